"""What stands along a belt: coder, supply of preprinted codes, cameras, gate, applicator.

Each acts on the item that reaches it and tells the belt whether it stays. They share a `Floor`.
"""

from collections.abc import Sequence

from drivers.sim.belt import Belt, Outcome, Point
from drivers.sim.capper import CapperStation
from drivers.sim.floor import Floor, spoil
from drivers.sim.layout import Applicator, Camera, Capper, Coder, Preprinted
from drivers.sim.truth import UNKNOWN, GateCount, Item, Mark
from drivers.sim.world import (
    LABEL_APPLIED,
    PASSED,
    REJECT_FAILED,
    REJECTED,
    TRIGGER,
)

NOTHING_THERE = 1
"""The lane byte of REJECT_FAILED when no sensor saw anything: the window passed empty."""


class CoderStation(Point):
    def __init__(self, spec: Coder, floor: Floor, belt: Belt) -> None:
        self._floor = floor
        self._station = spec.station
        self._roles = spec.roles
        self._printer = floor.printers[spec.printer]
        self._last: tuple[str, ...] | None = None
        self._eye = (
            floor.eye(belt, spec.name, spec.station, spec.at, self._fire)
            if spec.station is not None
            else None
        )

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        eye = self._eye
        if eye is not None and not eye.sees(item, now, travel):
            for role in self._roles:
                if role not in item.marks:
                    spoil(item, "uncoded")
            return Outcome.STAYS
        texts = self._fire(item.number, item, now, travel)
        floor = self._floor
        if texts is not None:
            if self._last is not None and not item.level and floor.repeat.hits(item.serial):
                # The device believes that it printed the new code; the old one is on the bottle.
                floor.spoiled(item, "repeat", now)
                texts = self._last
            self._last = texts
        for role, text in zip(self._roles, texts or (None,) * len(self._roles), strict=True):
            floor.mark(item, role, text, now)
        return Outcome.STAYS

    def _fire(
        self, number: int, item: Item | None, now: float, travel: float
    ) -> tuple[str, ...] | None:
        """An edge: the PLC reports it, the head prints, whatever stands before it."""
        if self._station is not None:
            self._floor.plc.write(TRIGGER, self._station, 0, number, travel)
        return self._printer.fire(now)


class PreprintedStation(Point):
    def __init__(self, spec: Preprinted, floor: Floor) -> None:
        self._floor = floor
        self._role = spec.role
        self._supply = floor.supplies[spec.supply]

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        self._floor.mark(item, self._role, next(self._supply, None), now)
        return Outcome.STAYS


class CameraStation(Point):
    """Photo-eye, cameras, and the chute of caps that one of them may look at."""

    def __init__(self, spec: Camera, floor: Floor, belt: Belt) -> None:
        self._floor = floor
        self._belt = belt
        self._name = spec.name
        self._station = spec.station
        self._eye = floor.eye(belt, spec.name, spec.station, spec.at, self._fire)
        self._cameras = [floor.shutter(view) for view in spec.views]
        self._neighbour = floor.trouble("neighbour", spec.name)
        caps = {seen.role for view in spec.views for seen in view.see if seen.of == "cap"}
        self._cap_role = min(caps, default="")
        self._own = any(seen.of == "own" for view in spec.views for seen in view.see)
        self._supply = next(
            (
                floor.supplies[station.supply]
                for belt in floor.layout.belts
                for station in belt.stations
                if isinstance(station, Capper) and station.role == self._cap_role
            ),
            None,
        )

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        floor = self._floor
        cap = None if self._supply is None else self._next_cap(item)
        if not self._eye.sees(item, now, travel):
            return Outcome.STAYS
        own: Item | None = item
        beside: list[Item] = []
        if floor.followers and item in floor.followers:
            beside.append(floor.followers[item])
        if self._own and self._neighbour.hits(item.serial):
            own = self._look_aside(item, beside, now)
        self._trigger(item.number, travel)
        item.shown = item.shown or self._own
        if cap is not None:
            item.glimpsed = {self._cap_role: cap.text}
        for camera in self._cameras:
            camera.shoot(now, own, item.children, cap, beside)
        return Outcome.STAYS

    def _next_cap(self, item: Item) -> Mark | None:
        """The cap at the chute's window when this item passes. The chute holds one cap for each
        item between here and the capper: it has stood still where a head took none, and one went
        by unseen where a head took two."""
        floor, waiting = self._floor, self._floor.uncapped
        assert self._supply is not None
        while waiting and waiting[0].place != "belt":
            waiting.popleft()
        between = sum(other.place == "belt" for other in waiting)
        waiting.append(item)
        if len(floor.caps) > between:
            return floor.caps[-1]
        while True:
            text = next(self._supply, None)
            if text is None:
                return None
            seen = len(floor.caps) >= between
            cap = Mark(text, not (seen and floor.damaged(item, self._cap_role)))
            floor.caps.append(cap)
            if seen:
                return cap

    def _look_aside(self, item: Item, beside: list[Item], now: float) -> Item | None:
        """The item before or behind is in the picture too; its own code may be turned away."""
        choice = self._neighbour.pick(item.serial, 4)
        belt = self._belt
        other = belt.before(item) if choice & 1 else belt.behind(item.origin)
        if other is None or not other.marks:
            return item
        beside.append(other)
        self._floor.truth.happened("neighbour", now, item, self._name)
        return None if choice & 2 else item

    def _fire(self, number: int, item: Item | None, now: float, travel: float) -> None:
        """An edge that is no item's own: the camera sees what stands there, or nothing."""
        self._trigger(number, travel)
        for camera in self._cameras:
            camera.shoot(now, item, item.children if item is not None else ())

    def _trigger(self, number: int, travel: float) -> None:
        self._floor.plc.write(TRIGGER, self._station, 0, number, travel)
        triggers = self._floor.truth.triggers
        triggers[self._name] = triggers.get(self._name, 0) + 1


class Gate(Point):
    """Obeys the slot of its station; what it rejects is in the chute at once.

    It acts on windows of the PLC: what lies in none goes by unseen, and what the station's eye
    did not see has no answer in its slot.
    """

    def __init__(self, spec: Camera, floor: Floor, belt: Belt) -> None:
        self._floor = floor
        self._belt = belt
        self._name = spec.name
        self._station = spec.station
        assert spec.gate is not None
        self._reach = spec.gate - spec.at
        self._fails = floor.trouble("gate_failed", spec.name)
        self._count = floor.truth.gates[spec.name] = GateCount(spec.station)

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        plc = self._floor.plc
        count = self._count
        number = item.number
        if number == UNKNOWN:
            if travel - self._belt.forgot < self._reach:
                # Behind its eye when the PLC lost its memory: nobody can answer for it.
                count.blind += 1
                self._take(item, "plc_restart")
                return Outcome.GONE
            count.unseen += 1
            return Outcome.STAYS
        why = plc.gate(self._station, number)
        asked = item.seen_at == self._station
        if asked and not why:
            plc.write(PASSED, self._station, 0, number, travel)
            if item.bad:
                count.passed_bad += 1
            else:
                count.passed_good += 1
            return Outcome.STAYS
        if not asked:
            count.unasked += 1
        if self._floor.low_air or self._fails.hits(item.serial):
            self._floor.truth.happened("gate_failed", now, item, self._name)
            plc.write(REJECT_FAILED, self._station, 0, number, travel)
            count.failed += 1
            return Outcome.STAYS
        if self._covered(item):
            plc.write(REJECT_FAILED, self._station, 0, number, travel)
            count.failed += 1
        else:
            plc.write(REJECTED, self._station, 0, number, travel)
            if item.bad:
                count.rejected_bad += 1
            else:
                count.rejected_good += 1
        self._take(item, why or "unasked")
        return Outcome.GONE

    def empty(self, window: Item, now: float, travel: float) -> None:
        if window.seen_at != self._station:
            return
        plc = self._floor.plc
        plc.gate(self._station, window.number)  # the answer is used up
        plc.write(REJECT_FAILED, self._station, NOTHING_THERE, window.number, travel)
        self._count.empty += 1

    def _covered(self, item: Item) -> bool:
        """Something stands so close behind that its place is not empty after the blast; or the
        blast takes both."""
        floor = self._floor
        follower = floor.followers.get(item) if floor.followers else None
        if follower is None:
            return False
        floor.part(item)
        if follower.serial & 1:
            return True
        self._belt.remove(follower)
        self._take(follower, "next_to")
        return False

    def _take(self, item: Item, why: str) -> None:
        item.place, item.rejected, item.why = "rejected", self._name, why
        self._floor.table[item.level].append(item)


class ApplicatorStation(Point):
    """The belt stands until a label is printed, or `wait` s have passed."""

    def __init__(self, spec: Applicator, floor: Floor, belt: Belt) -> None:
        self._floor = floor
        self._belt = belt
        self._spec = spec
        self._printer = floor.printers[spec.printer]
        self._since: float | None = None
        self._shifted = floor.trouble("label_shifted", spec.name)
        self._stuck: tuple[str, ...] | None = None
        self._left = 0  # containers until the label that sticks falls off

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        texts = self._printer.fire(now)
        if texts is None:
            if self._since is None:
                self._since = now
            if now - self._since < self._spec.wait:
                return Outcome.WAIT
            spoil(item, "unlabelled")
        else:
            texts = self._shift(item, texts, now)
            for role, text in zip(self._spec.roles, texts or (), strict=bool(texts)):
                self._floor.mark(item, role, text, now)
            if item.number == UNKNOWN:
                item.number = self._belt.numbers.take()
            self._floor.plc.write(LABEL_APPLIED, self._spec.station, 0, item.number, travel)
        self._since = None
        return Outcome.STAYS

    def _shift(self, item: Item, texts: tuple[str, ...], now: float) -> tuple[str, ...] | None:
        """What really lands on the container; None: the label stuck to the pad."""
        if self._stuck is not None:
            self._floor.spoiled(item, "label_shifted", now)
            texts, self._stuck = self._stuck, texts
            self._left -= 1
            if not self._left:
                self._stuck = None
            return texts
        if not self._shifted.hits(item.serial):
            return texts
        self._floor.spoiled(item, "label_shifted", now)
        self._stuck, self._left = texts, 1 + self._shifted.pick(item.serial, 4)
        return None


class Output(Point):
    """The end of the last belt: finished goods."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        item.place = "output"
        if item.bad == "half_pallet":
            self._floor.halves.append(item)
        return Outcome.GONE


def points(
    stations: Sequence[Coder | Preprinted | Capper | Camera | Applicator],
    floor: Floor,
    belt: Belt,
) -> list[tuple[float, Point]]:
    """The stations of a belt by place; a gate stands at its own."""
    found: list[tuple[float, Point]] = []
    for spec in stations:
        match spec:
            case Coder():
                found.append((spec.at, CoderStation(spec, floor, belt)))
            case Preprinted():
                found.append((spec.at, PreprintedStation(spec, floor)))
            case Capper():
                found.append((spec.at, CapperStation(spec, floor)))
            case Applicator():
                found.append((spec.at, ApplicatorStation(spec, floor, belt)))
            case Camera():
                found.append((spec.at, CameraStation(spec, floor, belt)))
                if spec.gate is not None:
                    found.append((spec.gate, Gate(spec, floor, belt)))
    return sorted(found, key=lambda point: point[0])
