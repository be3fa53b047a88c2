"""What stands along a belt: coder, supply of preprinted codes, cameras, gate, capper, applicator.

Each acts on the item that reaches it and tells the belt whether it stays. They share a `Floor`.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from drivers.sim.belt import Outcome, Point
from drivers.sim.layout import Applicator, Camera, Capper, Coder, Feed, Layout, Preprinted
from drivers.sim.optics import Eye
from drivers.sim.plcmodel import PlcModel
from drivers.sim.troubles import Trouble
from drivers.sim.truth import GateCount, Item, Mark, Truth
from drivers.sim.world import (
    LABEL_APPLIED,
    PASSED,
    REJECTED,
    TRIGGER,
    Exposure,
    FiredPrinter,
)

RECENT = 256  # passed bottles of which a duplicate may be a copy


class Floor:
    """What the stations of one plant share."""

    def __init__(
        self,
        layout: Layout,
        feed: Feed,
        seed: int,
        rates: Mapping[str, float],
        printers: Mapping[str, FiredPrinter],
    ) -> None:
        self.layout = layout
        self.feed = feed
        self.seed = seed
        self.printers = printers
        self.plc = PlcModel(layout.pulses_per_mm)
        gs1 = {seen.role for view in layout.cameras().values() for seen in view.see if seen.gs1}
        self.truth = Truth(
            tuple((belt.level, belt.primary, belt.primary in gs1) for belt in layout.belts)
        )
        self.exposures: list[Exposure] = []
        self.caps: deque[Mark] = deque()
        self.recent: deque[Item] = deque(maxlen=RECENT)
        self.supplies = {name: iter(codes) for name, codes in layout.supplies.items()}
        self._foreign_next = 0
        self.unreadable = Trouble(seed, "unreadable", rates.get("unreadable", 0))
        self.duplicate = Trouble(seed, "duplicate", rates.get("duplicate", 0))
        self.foreign = Trouble(seed, "foreign", rates.get("foreign", 0))
        self.repeat = Trouble(seed, "repeat", rates.get("repeat", 0))
        self.label_unreadable = Trouble(seed, "label_unreadable", rates.get("label_unreadable", 0))
        # Roles that are put on bottles, in order: one of them is what `unreadable` damages.
        self._bottle_roles = [
            role
            for station in layout.belts[0].stations
            for role in (
                station.roles
                if isinstance(station, Coder)
                else (station.role,)
                if isinstance(station, Preprinted | Capper)
                else ()
            )
        ]
        self._primary = layout.belts[0].primary

    def damaged(self, item: Item, role: str) -> bool:
        """Is this role's symbol unreadable? Of a bottle one symbol is, of a container all are."""
        if item.level:
            return self.label_unreadable.hits(item.serial << 4 | item.level)
        if not self.unreadable.hits(item.serial):
            return False
        roles = self._bottle_roles
        return roles[self.unreadable.pick(item.serial, len(roles))] == role

    def mark(self, item: Item, role: str, text: str | None) -> None:
        """Put a code on an item as the day's troubles will have it; None: nothing came out."""
        if not item.level and role == self._primary:
            text = self._swapped(item, text)
        if text is None:
            spoil(item, "uncoded")
            return
        readable = not self.damaged(item, role)
        if not readable:
            spoil(item, "label_unreadable" if item.level else "unreadable")
        item.marks[role] = Mark(text, readable)

    def _swapped(self, item: Item, text: str | None) -> str | None:
        if self.foreign.hits(item.serial):
            spoil(item, "foreign")
            self._foreign_next += 1
            codes = self.layout.foreign
            if codes:
                return codes[(self._foreign_next - 1) % len(codes)]
            return f"HTTPS://FOREIGN.EXAMPLE/{self._foreign_next:08d}"
        if self.recent and self.duplicate.hits(item.serial):
            original = self.recent[self.duplicate.pick(item.serial, len(self.recent))]
            spoil(item, "duplicate")
            return original.marks[self._primary].text
        return text

    def arrived(self, item: Item) -> None:
        """A bottle has passed every gate of its belt."""
        if not item.bad:
            self.recent.append(item)


def spoil(item: Item, why: str) -> None:
    """An honest line would not pass it; the first cause counts."""
    if not item.bad:
        item.bad = why


class CoderStation:
    def __init__(self, spec: Coder, floor: Floor) -> None:
        self._floor = floor
        self._station = spec.station
        self._roles = spec.roles
        self._printer = floor.printers[spec.printer]
        self._last: tuple[str, ...] | None = None

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        floor = self._floor
        if self._station is not None:
            floor.plc.write(TRIGGER, self._station, 0, item.number, travel)
        texts = self._printer.fire(now)
        if texts is not None:
            if self._last is not None and not item.level and floor.repeat.hits(item.serial):
                # The device believes that it printed the new code; the old one is on the bottle.
                spoil(item, "repeat")
                texts = self._last
            self._last = texts
        for role, text in zip(self._roles, texts or (None,) * len(self._roles), strict=True):
            floor.mark(item, role, text)
        return Outcome.STAYS


class PreprintedStation:
    def __init__(self, spec: Preprinted, floor: Floor) -> None:
        self._floor = floor
        self._role = spec.role
        self._supply = floor.supplies[spec.supply]

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        self._floor.mark(item, self._role, next(self._supply, None))
        return Outcome.STAYS


class CameraStation:
    """Photo-eye, cameras, and the chute of caps that one of them may look at."""

    def __init__(self, spec: Camera, floor: Floor) -> None:
        self._floor = floor
        self._name = spec.name
        self._station = spec.station
        self._eyes = [Eye(view, floor.seed) for view in spec.views]
        caps = {seen.role for view in spec.views for seen in view.see if seen.of == "cap"}
        self._cap_role = min(caps, default="")
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
        cap = None
        if self._supply is not None:
            text = next(self._supply, None)
            if text is not None:
                cap = Mark(text, not floor.damaged(item, self._cap_role))
                floor.caps.append(cap)
        floor.plc.write(TRIGGER, self._station, 0, item.number, travel)
        triggers = floor.truth.triggers
        triggers[self._name] = triggers.get(self._name, 0) + 1
        for eye in self._eyes:
            floor.exposures.append(eye.shoot(now, item, item.children, cap))
        return Outcome.STAYS


class Gate:
    """Obeys the slot of its station; what it rejects is in the chute at once."""

    def __init__(self, spec: Camera, floor: Floor) -> None:
        self._floor = floor
        self._name = spec.name
        self._station = spec.station
        self._count = floor.truth.gates[spec.name] = GateCount(spec.station)

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        plc = self._floor.plc
        count = self._count
        why = plc.gate(self._station, item.number)
        if not why:
            plc.write(PASSED, self._station, 0, item.number, travel)
            if item.bad:
                count.passed_bad += 1
            else:
                count.passed_good += 1
            return Outcome.STAYS
        plc.write(REJECTED, self._station, 0, item.number, travel)
        if item.bad:
            count.rejected_bad += 1
        else:
            count.rejected_good += 1
        item.place, item.rejected, item.why = "rejected", self._name, why
        return Outcome.GONE


class CapperStation:
    def __init__(self, spec: Capper, floor: Floor) -> None:
        self._floor = floor
        self._role = spec.role
        self._supply = floor.supplies[spec.supply]
        # Without a camera before it nobody fills the chute: the caps come straight from the bag.
        self._chute = any(
            seen.of == "cap" and seen.role == spec.role
            for view in floor.layout.cameras().values()
            for seen in view.see
        )

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        floor = self._floor
        if not self._chute:
            floor.mark(item, self._role, next(self._supply, None))
        elif floor.caps:
            cap = floor.caps.popleft()
            item.marks[self._role] = cap
            if not cap.readable:
                spoil(item, "unreadable")
        else:
            spoil(item, "uncoded")
        return Outcome.STAYS


class ApplicatorStation:
    """The belt stands until a label is printed, or `wait` s have passed."""

    def __init__(self, spec: Applicator, floor: Floor) -> None:
        self._floor = floor
        self._spec = spec
        self._printer = floor.printers[spec.printer]
        self._since: float | None = None

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        texts = self._printer.fire(now)
        if texts is None:
            if self._since is None:
                self._since = now
            if now - self._since < self._spec.wait:
                return Outcome.WAIT
            spoil(item, "unlabelled")
        else:
            for role, text in zip(self._spec.roles, texts, strict=True):
                self._floor.mark(item, role, text)
            self._floor.plc.write(LABEL_APPLIED, self._spec.station, 0, item.number, travel)
        self._since = None
        return Outcome.STAYS


class Output:
    """The end of the last belt: finished goods."""

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        item.place = "output"
        return Outcome.GONE


def points(
    stations: Sequence[Coder | Preprinted | Capper | Camera | Applicator], floor: Floor
) -> list[tuple[float, Point]]:
    """The stations of a belt by place; a gate stands at its own."""
    found: list[tuple[float, Point]] = []
    for spec in stations:
        match spec:
            case Coder():
                found.append((spec.at, CoderStation(spec, floor)))
            case Preprinted():
                found.append((spec.at, PreprintedStation(spec, floor)))
            case Capper():
                found.append((spec.at, CapperStation(spec, floor)))
            case Applicator():
                found.append((spec.at, ApplicatorStation(spec, floor)))
            case Camera():
                found.append((spec.at, CameraStation(spec, floor)))
                if spec.gate is not None:
                    found.append((spec.gate, Gate(spec, floor)))
    return sorted(found, key=lambda point: point[0])
