"""The physical side of the model: things with marks, belts, printers, and a PLC that obeys slots.

It knows the truth and nothing of the agent. The gate is the simulated plant's own PLC model, and
verdicts reach it through the driver's own codec, so that a stale or misread slot shows here too.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from agent.core.facts import CodeKey
from agent.core.plan import LinePlan, Station
from agent.ports.plc import Slot
from drivers.plc import ring
from drivers.sim.plcmodel import PlcModel
from drivers.sim.world import SLOTS, AgentImage
from tests.core.sites import Pool

REST = "rest"
"""Where a thing is that has left the line by its end."""


@dataclass(eq=False)
class Thing:
    """A bottle, case or pallet. `marks` are the texts of its symbols by role; `torn` roles cannot
    be read. `granted`: a PASS was written for it before the gate it stands at decided."""

    level: str
    serial: int
    marks: dict[str, list[str]] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    children: list["Thing"] = field(default_factory=list)
    number: int = -1
    off: bool = False
    granted: bool = False

    def seen(self, role: str) -> list[str]:
        """What a camera reads of this role."""
        return [] if role in self.torn else list(self.marks.get(role, []))

    def __repr__(self) -> str:
        return f"<{self.level} {self.serial} no {self.number} {self.marks}>"


class Plc:
    """Numbers and gates. Slots are the registers that the agent writes, through the driver."""

    def __init__(self, plan: LinePlan, first: int) -> None:
        self.plan = plan
        self.first = first
        self.run = 0
        self.restart()

    def restart(self) -> None:
        """Numbers begin anew, slots are cleared."""
        self.run += 1
        self.numbers: Counter[str] = Counter()
        self.image = AgentImage(
            slots={station.index: [0] * SLOTS for station in self.plan.stations}
        )
        self.model = PlcModel(1.0)
        for _ in range(2):
            self._beat()

    def _beat(self) -> None:
        self.image.heartbeat += 1
        self.model.observe(0.0, self.image)

    def number(self, zone: str) -> int:
        """The next number of a zone, 16 bits."""
        self.numbers[zone] += 1
        return self.first + self.numbers[zone] - 1 & 0xFFFF

    def write(self, slot: Slot) -> None:
        """The agent writes a verdict."""
        place = ring.slot_place(slot) - slot.station * SLOTS
        self.image.slots[slot.station][place] = ring.slot_word(slot)
        self._beat()

    def lets_pass(self, station: Station, number: int) -> bool:
        """The gate decides, once, on this number."""
        return not self.model.gate(station.index, number)


@dataclass
class Printer:
    """A coder or label printer with the desk before it: records `waiting` at the desk, `device` in
    its queue, `reports` of prints not told yet, `labels` printed and not applied."""

    station: Station
    waiting: deque[tuple[CodeKey, str]] = field(default_factory=deque)
    device: deque[tuple[CodeKey, str]] = field(default_factory=deque)
    reports: deque[CodeKey] = field(default_factory=deque)
    labels: deque[str] = field(default_factory=deque)
    last: str = ""

    def print(self, printed: set[str]) -> str | None:
        """One record comes out; None when the queue is empty."""
        if not self.device:
            return None
        key, text = self.device.popleft()
        assert text not in printed, f"{text} was printed twice"
        printed.add(text)
        self.reports.append(key)
        self.last = text
        return text

    @property
    def held(self) -> tuple[CodeKey, ...]:
        """What the desk knows to be waiting or in the device's hand."""
        return (*(key for key, _ in (*self.waiting, *self.device)), *self.reports)

    def lost(self, keeps: bool) -> None:
        """The connection is gone; the device may keep what it had queued."""
        self.waiting.clear()
        self.reports.clear()
        if not keeps:
            self.device.clear()


class Belt:
    """Where everything is. `path[s]` are the things on their way into station `s`, in order;
    `here[s]` those between its eye and its gate; `lanes[s]` the infeed of a packer; `boxes[s]` its
    open containers; `lined[s]` full ones that its camera has not seen."""

    def __init__(self, plan: LinePlan, pools: tuple[Pool, ...], first: int) -> None:
        self.plan = plan
        self.plc = Plc(plan, first)
        self.things: list[Thing] = []
        self.path: dict[str, list[Thing]] = {station.id: [] for station in plan.stations}
        self.here: dict[str, list[Thing]] = {station.id: [] for station in plan.stations}
        packers = [station for station in plan.stations if station.kind == "pack"]
        self.lanes = {s.id: [deque[Thing]() for _ in range(s.lanes)] for s in packers}
        self.boxes: dict[str, list[Thing]] = {s.id: [] for s in packers}
        self.lined: dict[str, list[Thing]] = {s.id: [] for s in packers}
        self.printers = {s.id: Printer(s) for s in plan.stations if s.device}
        self.printed: set[str] = set()
        self.chute: list[Thing] = []
        self.done: list[Thing] = []

    def make(self, level: str) -> Thing:
        thing = Thing(level, len(self.things))
        self.things.append(thing)
        return thing

    def leave(self, station: Station, thing: Thing) -> None:
        """On to the next path, or off the end of the line."""
        thing.granted = False
        way = self.plan.out_of.get(station.id)
        if way is None:
            self.done.append(thing)
        else:
            self.path[way.target].append(thing)

    def drop(self, thing: Thing) -> None:
        """Off the line."""
        thing.off = True
        self.chute.append(thing)

    def sweep(self) -> None:
        """A person clears the line, all but the packers' lanes: the PLC has lost its numbers."""
        for places in (self.path, self.here, self.boxes, self.lined):
            for things in places.values():
                for thing in things:
                    self.drop(thing)
                things.clear()
        for printer in self.printers.values():
            printer.labels.clear()
