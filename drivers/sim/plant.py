"""The physical truth of a simulated line as a pure `advance(t)`.

Deterministic: the same layout, feed, seed, troubles, printers and calls give the same outputs,
byte for byte. It never sleeps and knows no clock but its argument (seconds from any zero).
"""

from collections.abc import Mapping
from math import inf

from agent.core.errors import ConfigError
from agent.core.values import value
from drivers.sim.agenda import Agenda
from drivers.sim.belt import Belt
from drivers.sim.floor import Floor
from drivers.sim.hands import Hands
from drivers.sim.layout import Feed, Layout, check
from drivers.sim.outages import Outages
from drivers.sim.packer import PackerStation
from drivers.sim.plcmodel import Numbers
from drivers.sim.stations import Output, points
from drivers.sim.stops import Stops
from drivers.sim.troubles import Trouble
from drivers.sim.troubles import check as check_troubles
from drivers.sim.truth import Truth
from drivers.sim.world import AgentImage, Ask, Exposure, FiredPrinter, PlcImage


@value(frozen=True, slots=True)
class Outputs:
    """What came out of one `advance`: exposures in the order in which cameras fired, the PLC's
    registers (one object that the plant goes on writing: publish it before the next call), and the
    devices that cannot be reached now ("plc", cameras and printers by name), and what people do at
    the agent."""

    exposures: list[Exposure]
    plc: PlcImage
    away: frozenset[str] = frozenset()
    asks: tuple[Ask, ...] = ()


class Feeder:
    """Lays bottles on the first belt, evenly while the infeed runs."""

    def __init__(self, belt: Belt, feed: Feed, floor: Floor) -> None:
        self._belt = belt
        self._truth = floor.truth
        self._spacing = belt.speed * 3600 / feed.bph
        self._at = 0.0  # the belt's travel at which the next bottle comes
        self.left: float = inf if feed.total is None else feed.total
        self.due = inf
        self.open = False

    def switch(self, on: bool, now: float) -> None:
        """Open or close the infeed."""
        if on and not self.open:
            self._at = max(self._at, self._belt.travel(now))
        self.open = on
        self._schedule()

    def step(self) -> None:
        bottle = self._truth.new(0)
        self._belt.put(bottle, self.due)
        self._at += self._spacing
        self.left -= 1
        self._schedule()

    def _schedule(self) -> None:
        self.due = self._belt.time_of(self._at) if self.open and self.left > 0 else inf


class Plant:
    """A line of belts. `troubles` are rates by name (troubles.TROUBLES), `printers` what the coders
    and applicators of the layout fire. `people` says that somebody does at the agent what the
    outputs' `asks` say; without, nothing happens that would need it. ConfigError where the line
    cannot be built."""

    def __init__(
        self,
        layout: Layout,
        seed: int,
        troubles: Mapping[str, float],
        printers: Mapping[str, FiredPrinter],
        feed: Feed,
        *,
        people: bool = False,
    ) -> None:
        check(layout)
        check_troubles(troubles)
        if feed.bph <= 0 or (feed.total is not None and feed.total < 0):
            raise ConfigError("feed: write a speed above 0 bottles/h and a total of 0 or more")
        missing = layout.printers() - printers.keys()
        if missing:
            raise ConfigError(f"layout: no printer named {sorted(missing)}; add it to printers")
        self._floor = floor = Floor(layout, feed, seed, troubles, printers, people=people)
        self._belts = [
            Belt(
                spec.level,
                speed,
                spec.pitch,
                spec.length,
                index,
                Numbers(layout.first_number),
            )
            for index, (spec, speed) in enumerate(
                zip(layout.belts, layout.speeds(feed.bph), strict=True)
            )
        ]
        self._packers: list[PackerStation] = []
        for level, (spec, belt) in enumerate(zip(layout.belts, self._belts, strict=True)):
            last: PackerStation | Output = Output(floor)
            if spec.packer is not None:
                last = PackerStation(spec.packer, level + 1, belt, self._belts[level + 1], floor)
                self._packers.append(last)
            belt.build([*points(spec.stations, floor, belt), (spec.length, last)])
            Hands(spec, belt, floor)
        self._feeder = Feeder(self._belts[0], feed, floor)
        self._running = False
        self._holds: list[int] = []  # why the line may not run
        self._agenda = Agenda(seed)
        self._stops = Stops(floor, self, self._belts, self._packers, self._agenda)
        Outages(floor, self._agenda)

    @property
    def running(self) -> bool:
        """The belts run, or wait for a station."""
        return self._running

    def hold(self, flag: int, now: float) -> None:
        """Stop every belt for a reason, a bit of the PLC's flags (0: one that has none)."""
        self._holds.append(flag)
        self._floor.plc.held |= flag
        if self._running:
            self._running = False
            for belt in self._belts:
                belt.stop(now)
        self._feeder.switch(False, now)

    def release(self, flag: int, now: float) -> None:
        """One reason less; without any the belts start again."""
        self._holds.remove(flag)
        if flag not in self._holds:
            self._floor.plc.held &= ~flag
        if not self._holds:
            self._stops.starts(now)
            self._start(now)
            self._switch(now)

    def _start(self, now: float) -> None:
        for belt in self._belts:
            belt.run(now)
        self._running = True

    @property
    def truth(self) -> Truth:
        return self._floor.truth

    def trouble(self, name: str) -> Trouble:
        """A trouble of people who work at this plant, at its rate here."""
        return self._floor.trouble(name)

    @property
    def fed(self) -> int:
        """Bottles that were ever on the line, those that hands put in among them."""
        return len(self.truth.levels[0])

    @property
    def on_belts(self) -> int:
        """Items of any level that are on their way (not in lanes or containers)."""
        return sum(len(belt) for belt in self._belts)

    @property
    def finished(self) -> bool:
        """Every bottle was fed and every belt has run empty."""
        return self.stopping and not self.on_belts

    @property
    def stopping(self) -> bool:
        """No bottle will come any more."""
        return self._feeder.left <= 0

    @property
    def calm(self) -> bool:
        """Nothing holds the line, and every device answers."""
        return not self._holds and not self._floor.away

    def rest(self) -> None:
        """From now on nothing befalls the line as a whole or its devices."""
        self._agenda.rest()

    def stop_feed(self) -> None:
        """No bottle comes any more; what is on the belts runs on."""
        self._feeder.left = 0
        self._feeder.due = inf

    def next_time(self) -> float:
        """When something happens next if the agent writes nothing new; inf: never."""
        shutters = [shutter.due for shutter in self._floor.shutters]
        belts = [belt.due for belt in self._belts]
        return min(self._agenda.due, self._feeder.due, *belts, *shutters)

    def advance(self, t: float, agent: AgentImage) -> Outputs:
        """Let everything happen until `t`, under what the agent has written; `t` never falls."""
        floor = self._floor
        floor.plc.observe(t, agent)
        self._switch(t)
        sources: list[Belt | Feeder | Agenda] = [
            self._agenda,
            *reversed(self._belts),
            self._feeder,
        ]
        while True:
            first = sources[0]
            for source in sources:
                if source.due < first.due:
                    first = source
            if first.due > t:
                break
            first.step()
        if self._running and not self._feeder.open and not self.on_belts:
            for belt in self._belts:
                belt.stop(t)
            self._running = False
        belt = self._belts[0]
        floor.plc.refresh(t, self._running, belt.travel(t), belt.speed)
        for shutter in floor.shutters:
            shutter.deliver(t)
        exposures = floor.exposures[:]
        floor.exposures.clear()
        asks = tuple(floor.asks)
        floor.asks.clear()
        return Outputs(exposures, floor.plc.image, frozenset(floor.away), asks)

    def _switch(self, t: float) -> None:
        """Open the infeed if the agent permits it, close it if not."""
        permits = self._floor.plc.permits and self._feeder.left > 0 and not self._holds
        if permits and not self._running:
            self._start(t)
        if permits != self._feeder.open:
            self._feeder.switch(permits, t)
