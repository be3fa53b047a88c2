"""What stops the whole line: jams that hands clear, open guards, emergency stops, a PLC that starts
anew; and what a stop does to the items that lie on the belts.
"""

from collections.abc import Sequence
from typing import Protocol

from drivers.sim.agenda import Agenda, Chance
from drivers.sim.belt import Belt
from drivers.sim.floor import Floor
from drivers.sim.packer import PackerStation
from drivers.sim.truth import Item
from drivers.sim.world import ESTOP, GUARD_OPEN, JAM, LOW_AIR, REJECT_FULL

STRETCH = (2.0, 8.0)  # pitches of belt that a jam, or a hand behind a guard, concerns
LOOK = 2.0  # s until a person is there
JAM_SECONDS = (8.0, 30.0)
GUARD_SECONDS = (3.0, 15.0)
ESTOP_SECONDS = (5.0, 20.0)
STOP_SECONDS = (1.0, 15.0)
MENDED_SECONDS = (5.0, 30.0)  # until the table is empty, or the air is back
BOOT_SECONDS = (4.0, 10.0)
CREEP = (0.05, 0.8)  # pitches by which items lag behind the belt that starts; mostly below half


class Line(Protocol):
    """The line as one: `hold` stops all belts for a reason (a bit of the PLC's flags, 0 for none),
    `release` lets them run again when no reason is left."""

    @property
    def running(self) -> bool: ...

    def hold(self, flag: int, now: float) -> None: ...

    def release(self, flag: int, now: float) -> None: ...


class Stops:
    """The line's stops of one plant, in its agenda."""

    def __init__(
        self,
        floor: Floor,
        line: Line,
        belts: Sequence[Belt],
        packers: Sequence[PackerStation],
        agenda: Agenda,
    ) -> None:
        self._floor = floor
        self._line = line
        self._belts = belts
        self._packers = packers
        self._agenda = agenda
        self._creep = [floor.trouble("creep", belt.level) for belt in belts]
        self._starts = 0
        for name, deed in (
            ("jam", self._jam),
            ("guard_open", self._guard_open),
            ("estop", self._estop),
            ("stopped", self._stopped),
            ("plc_restart", self._plc_restart),
            ("reject_full", self._reject_full),
            ("low_air", self._low_air),
        ):
            agenda.often(name, floor.rates.get(name, 0), deed)
        for packer in packers:
            packer.on_abort = self._aborted
            packer.on_jam = self._blocked

    # ------------------------------------------------------------------------------------- hands

    def _jam(self, chance: Chance, now: float) -> None:
        """Items pile up; a person opens the guard and takes them out, or puts them right."""
        stretch = self._stretch(chance, now)
        if not stretch or not self._line.running:
            return
        belt, items = stretch
        self._happened("jam", now, items[0], belt)
        self._line.hold(JAM, now)
        agenda, seconds = self._agenda, chance.between(*JAM_SECONDS)
        agenda.at(now + LOOK, lambda now: self._line.hold(GUARD_OPEN, now))
        agenda.at(now + seconds / 2, lambda now: self._clear(chance, belt, items, now))
        agenda.at(now + seconds, lambda now: self._line.release(GUARD_OPEN, now))
        agenda.at(now + seconds + 1, lambda now: self._line.release(JAM, now))

    def _guard_open(self, chance: Chance, now: float) -> None:
        """A person opens the guard; half of them have a hand in it."""
        if not self._line.running:
            return
        stretch = self._stretch(chance, now)
        meddles = chance.below(2) and stretch
        self._happened("guard_open", now, None, self._belts[0])
        self._line.hold(GUARD_OPEN, now)
        seconds = chance.between(*GUARD_SECONDS)
        if meddles and stretch:
            belt, items = stretch
            self._agenda.at(
                now + seconds / 2, lambda now: self._clear(chance, belt, items[:3], now)
            )
        self._agenda.at(now + seconds, lambda now: self._line.release(GUARD_OPEN, now))

    def _estop(self, chance: Chance, now: float) -> None:
        if not self._line.running:
            return
        self._happened("estop", now, None, self._belts[0])
        self._line.hold(ESTOP, now)
        seconds = chance.between(*ESTOP_SECONDS)
        self._agenda.at(now + seconds, lambda now: self._line.release(ESTOP, now))

    def _stopped(self, chance: Chance, now: float) -> None:
        """A machine behind is full, or somebody pressed stop: no flag says so."""
        if not self._line.running:
            return
        self._happened("stopped", now, None, self._belts[0])
        self._line.hold(0, now)
        seconds = chance.between(*STOP_SECONDS)
        self._agenda.at(now + seconds, lambda now: self._line.release(0, now))

    def _reject_full(self, chance: Chance, now: float) -> None:
        """The PLC says so and goes on; who stops the line is the agent."""
        if not self._line.running:
            return
        self._happened("reject_full", now, None, self._belts[0])
        self._sign(REJECT_FULL, chance, now)

    def _low_air(self, chance: Chance, now: float) -> None:
        """Until there is air again no gate rejects anything."""
        if not self._line.running:
            return
        self._happened("low_air", now, None, self._belts[0])
        self._floor.low_air = True
        self._sign(LOW_AIR, chance, now)

    def _sign(self, flag: int, chance: Chance, now: float) -> None:
        plc, floor = self._floor.plc, self._floor
        plc.held |= flag

        def over(now: float) -> None:
            plc.held &= ~flag
            floor.low_air = bool(plc.held & LOW_AIR)

        self._agenda.at(now + chance.between(*MENDED_SECONDS), over)

    def _stretch(self, chance: Chance, now: float) -> tuple[Belt, list[Item]] | None:
        """Some items that lie behind each other, on the first belt as often as on all others."""
        belts = [*([self._belts[0]] * (len(self._belts) - 1)), *self._belts[1:]]
        belt = belts[chance.below(len(belts))] if belts else self._belts[0]
        items = belt.items()
        if not items:
            return None
        first = chance.below(len(items))
        reach = items[first].origin + chance.between(*STRETCH) * belt.pitch
        return belt, [item for item in items[first:] if item.origin <= reach]

    def _clear(self, chance: Chance, belt: Belt, items: Sequence[Item], now: float) -> None:
        """Taken out, all or some, and what goes back goes back in another order."""
        floor = self._floor
        here = [item for item in items if item.place == "belt" and item.level == belt.index]
        origins = [item.origin for item in here]
        for item in here:
            item.befell = (*item.befell, "cleared")
            floor.part(item)
            belt.lift(item, now)
            item.place = "taken"
        back = (0, len(here), len(here) - 1)[chance.below(3)]
        order = chance.shuffled(len(here))
        for place in range(max(0, back)):
            item = here[order[place]]
            item.place = "belt"
            belt.lay(item, origins[place], now)
        for item in here:
            if item.place == "taken":
                floor.table[item.level].append(item)

    def _blocked(self, now: float) -> None:
        """Something lies across the infeed of a packer; a person takes it away."""
        self._line.hold(JAM, now)
        self._agenda.at(now + LOOK, lambda now: self._line.hold(GUARD_OPEN, now))
        self._agenda.at(now + LOOK + 3, lambda now: self._line.release(GUARD_OPEN, now))
        self._agenda.at(now + LOOK + 4, lambda now: self._line.release(JAM, now))

    def _aborted(self, packer: PackerStation, now: float) -> None:
        """A packer stood still in mid-move. A person empties it and says so at the PLC."""
        self._line.hold(JAM, now)
        self._agenda.at(now + LOOK, lambda now: self._line.hold(GUARD_OPEN, now))
        self._agenda.at(now + LOOK + 3, packer.empty_lanes)
        self._agenda.at(now + LOOK + 6, lambda now: self._line.release(GUARD_OPEN, now))
        self._agenda.at(now + LOOK + 7, lambda now: self._line.release(JAM, now))

    # --------------------------------------------------------------------------------------- PLC

    def _plc_restart(self, chance: Chance, now: float) -> None:
        """The PLC starts anew: everything stands, its memory is lost, the packers are emptied."""
        floor, line = self._floor, self._line
        if "plc" in floor.away or not floor.truth.levels[0]:
            return
        self._happened("plc_restart", now, None, self._belts[0])
        line.hold(0, now)
        floor.away.add("plc")
        for belt in self._belts:
            belt.forget(now)
        floor.plc.restart(now)

        def up(now: float) -> None:
            floor.away.discard("plc")
            for packer in self._packers:
                packer.set_aside(now)
            line.release(0, now)

        self._agenda.at(now + chance.between(*BOOT_SECONDS), up)

    # ------------------------------------------------------------------------------------- start

    def starts(self, now: float) -> None:
        """The belts are about to run again: items may lag behind them."""
        self._starts += 1
        for belt, creep in zip(self._belts, self._creep, strict=True):
            if creep.hits(self._starts) and belt.items():
                low, high = CREEP
                share = creep.share(self._starts) ** 2
                self._happened("creep", now, None, belt)
                belt.slip((low + share * (high - low)) * belt.pitch, now)

    def _happened(self, trouble: str, now: float, item: Item | None, belt: Belt) -> None:
        self._floor.truth.happened(trouble, now, item, f"{belt.level} belt")
