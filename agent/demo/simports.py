"""A line's devices in memory: what the drivers do with bytes, without the bytes.

The PLC's registers, the cameras' exposures and the printers' models are those of the simulated
plant; here they become reports, frames and print events as the drivers make them. Everything
happens in virtual time and by seed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.config import ReaderSection
from agent.core.errors import TransientError
from agent.line.runner import BEAT, POLL
from agent.ports import (
    Decoded,
    Device,
    Evidence,
    Frame,
    FrameDecoder,
    Image,
    PlcEvent,
    PlcEventKind,
    PlcOutputs,
    PlcReport,
    Printer,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
    Read,
    Slot,
)
from drivers import registry
from drivers.context import DeviceContext
from drivers.plc import ring
from drivers.printers.label_files import load_label
from drivers.printers.zpl import ZplConfig
from drivers.printers.zpl_label import recall, store
from drivers.sim.text_coder import Done, Record, TextCoder
from drivers.sim.troubles import Dice
from drivers.sim.world import AgentImage, Exposure, PlcImage, Scene, Symbol
from drivers.sim.zpl_printer import ZplPrinter, ZplTalk

T = TypeVar("T")

FRAME_MS = (4, 14)
"""How long a picture takes from its exposure to the agent."""
DECODE_MS = (3, 12)
CONTENT_MS = (20, 60)
"""How long a picture of one symbol, or of many, takes to be read."""
LABEL_LOOK = 0.05
"""Seconds between looks at a label printer while a label is out."""

_AIM = {"QRCode": "]Q1", "DataMatrix": "]d1", "Code128": "]C0", "EAN13": "]E0"}
_AIM_GS1 = {"DataMatrix": "]d2", "Code128": "]C1", "QRCode": "]Q3"}


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


class Mailbox(Generic[T]):
    """Things that come by themselves, for one who waits for them. `lose` ends the session."""

    def __init__(self) -> None:
        self._things: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = ""
        self._cut = ""

    def open(self) -> None:
        if self._cut:
            raise TransientError(self._cut)
        self._lost = ""
        self._things.clear()

    def put(self, thing: T) -> None:
        self._things.append(thing)
        self._wake()

    def lose(self, why: str) -> None:
        """Whoever waits, now or later in this session, gets a TransientError."""
        self._lost = why
        self._wake()

    def cut(self, why: str) -> None:
        """The session is lost, and no other begins until `mend`."""
        self._cut = why
        self.lose(why)

    def mend(self) -> None:
        """A new session may begin."""
        self._cut = ""

    def check(self) -> None:
        """TransientError when the session is lost."""
        if self._lost:
            raise TransientError(self._lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self, timeout: float) -> T | None:
        """The next thing; None when none came in time."""
        self.check()
        if not self._things:
            loop = _loop()
            waiter = self._waiter = loop.create_future()
            alarm = loop.call_later(timeout, self._wake)
            try:
                await waiter
            finally:
                alarm.cancel()
                self._waiter = None
            self.check()
        return self._things.popleft() if self._things else None


# ------------------------------------------------------------------------------------------- PLC


class MemoryPlc:
    """ports.LinePlc over the plant's registers.

    A poll in which nothing can be new is not answered at once but when the next poll that has
    something to tell would have been: what the line's shell sees is the same. `due` is when it has
    something to do by the clock; `written` is told after each write.
    """

    def __init__(
        self,
        image: PlcImage,
        agent: AgentImage,
        due: Callable[[], float],
        written: Callable[[], None],
    ) -> None:
        self._image = image
        self._agent = agent
        self._due = due
        self._written = written
        self._cursor: ring.Cursor | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._beaten = -inf
        self._lost = ""

    async def open(self) -> None:
        self._check()
        if self._cursor is None:
            self._cursor = ring.Cursor(self._image.run, self._image.head)

    async def close(self) -> None: ...

    def cut(self, why: str) -> None:
        """The link is gone until `mend`."""
        self._lost = why
        self._wake()

    def mend(self) -> None:
        """The link is there again."""
        self._lost = ""

    def _check(self) -> None:
        if self._lost:
            raise TransientError(self._lost)

    def changed(self) -> None:
        """The plant went on."""
        if self._waiter is not None and self._news():
            self._wake()

    def _news(self) -> bool:
        return self._cursor != (self._image.run, self._image.head)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def poll(self) -> PlcReport:
        self._check()
        if not self._news():
            await self._until_news()
        return self._report()

    async def _until_news(self) -> None:
        loop = _loop()
        began = loop.time()
        waiter = self._waiter = loop.create_future()
        until = max(began, min(self._due(), self._beaten + BEAT))
        alarm = loop.call_at(until, self._wake)
        try:
            await waiter
        finally:
            alarm.cancel()
            self._waiter = None
        # A real poll sees it at its next turn.
        passed = loop.time() - began
        rest = ceil(passed / POLL - 1e-6) * POLL - passed
        if rest > 1e-9:
            await asyncio.sleep(rest)
        self._check()

    def _report(self) -> PlcReport:
        image = self._image
        first, count, lost = ring.pending(self._cursor, image.run, image.head)
        events = []
        for number in range(first, first + count):
            entry = image.ring[number % ring.RING_ENTRIES]
            if entry is not None:
                events.append(
                    PlcEvent(
                        number & 0xFFFF,
                        PlcEventKind(entry.kind),
                        entry.station,
                        entry.lane,
                        entry.number & 0xFFFF,
                        entry.encoder,
                        entry.data,
                    )
                )
        self._cursor = ring.Cursor(image.run, image.head)
        return PlcReport(
            run=image.run,
            heartbeat=image.heartbeat,
            events=tuple(events),
            lost=lost + count - len(events),
            flags=ring.flag_names(image.flags),
            encoder=image.encoder,
            speed=image.speed,
            received=_loop().time(),
        )

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        self._check()
        for slot in slots:
            registers = self._agent.slots[slot.station]
            registers[slot.number % ring.SLOTS_PER_STATION] = ring.slot_word(slot)

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        self._check()
        self._beaten = _loop().time()
        self._agent.heartbeat = outputs.heartbeat & 0xFFFF
        self._agent.commands = ring.command_word(outputs)
        self._agent.lamps = ring.lamp_word(outputs.lamps)
        self._written()


# --------------------------------------------------------------------------------------- cameras


class Sight(np.ndarray[Any, np.dtype[np.uint8]]):
    """A picture that is never painted: it knows the scene that it would show."""

    scene: Scene
    chance: int


def sight(exposure: Exposure, chance: int) -> Sight:
    blank: NDArray[np.uint8] = np.empty((1, 1), np.uint8)
    seen = blank.view(Sight)
    seen.scene, seen.chance = exposure.scene, chance
    return seen


def _between(span: tuple[int, int], chance: int) -> float:
    low, high = span
    return (low + chance % 4096 / 4096 * (high - low)) / 1000


class MemoryCamera:
    """ports.FrameSource: what the plant exposed, a little later."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._dice = Dice(seed, f"latency/{name}")
        self._frames: Mailbox[Frame] = Mailbox()
        self._shown = 0

    async def open(self) -> None:
        self._frames.open()

    async def close(self) -> None: ...

    def show(self, exposure: Exposure) -> None:
        """The camera was fired."""
        self._shown += 1
        chance = self._dice.roll(self._shown)
        loop = _loop()
        at = loop.time() + _between(FRAME_MS, chance)
        loop.call_at(at, self._arrived, exposure, chance >> 12)

    def _arrived(self, exposure: Exposure, chance: int) -> None:
        now = _loop().time()
        picture = sight(exposure, chance)
        self._frames.put(Frame(picture, exposure.counter, exposure.camera_time, now))

    async def next_frame(self, timeout: float) -> Frame | None:
        return await self._frames.get(timeout)


class MemoryDecoder:
    """ports.FrameDecoder: reads what can be read in a scene, when a decoder would have."""

    def __init__(self, section: ReaderSection) -> None:
        self._kind = section.symbology
        self._grid = section.grid
        self._span = CONTENT_MS if section.grid else DECODE_MS

    async def decode(self, image: Image, deadline: float) -> Decoded:
        assert isinstance(image, Sight)
        loop = _loop()
        now = loop.time()
        takes = _between(self._span, image.chance)
        if now + takes > deadline:
            await asyncio.sleep(max(0.0, deadline - now))
            return Decoded((), deadline - now, late=True)
        await asyncio.sleep(takes)
        symbols = [
            symbol
            for symbol in image.scene.symbols
            if symbol.kind == self._kind and symbol.damage < DAMAGE
        ]
        if self._grid is None:
            # A decoder for one symbol gives one of those in view.
            one = symbols[image.scene.seed % len(symbols)] if symbols else None
            return Decoded(() if one is None else (_read(one),), takes)
        return _content(image.scene, self._grid, symbols, takes)


DAMAGE = 0.3
"""The share of a symbol that its error correction cannot do without."""


def _read(symbol: Symbol) -> Read:
    aim = (_AIM_GS1 if symbol.gs1 else _AIM)[symbol.kind]
    x, y, half = round(symbol.x), round(symbol.y), round(symbol.size / 2)
    corners = (
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    )
    return Read(symbol.text, aim, corners, "fast")


def _content(
    scene: Scene, grid: tuple[int, int], symbols: Sequence[Symbol], seconds: float
) -> Decoded:
    """Reads with their places as agent.vision.multiread gives them: cells first, then strays."""
    rows, columns = grid
    cells: dict[int, Read] = {}
    strays: list[Read] = []
    texts: dict[str, int] = {}
    for symbol in symbols:
        texts[symbol.text] = texts.get(symbol.text, 0) + 1
        column = int(symbol.x * columns // scene.width)
        row = int(symbol.y * rows // scene.height)
        inside = 0 <= column < columns and 0 <= row < rows
        place = row * columns + column
        if inside and place not in cells:
            cells[place] = _read(symbol)
        else:
            strays.append(_read(symbol))
    placed = sorted(cells.items())
    places = [place for place, _ in placed] + [rows * columns + n for n in range(len(strays))]
    doubles = sum(count > 1 for count in texts.values())
    reads = (*(read for _, read in placed), *strays)
    return Decoded(reads, seconds, False, tuple(places), doubles)


# -------------------------------------------------------------------------------------- printers


class MemoryCoder:
    """ports.Printer over the plant's text coder: it says of each print which record it was."""

    def __init__(self, model: TextCoder, capability: PrinterCapability) -> None:
        self.model = model
        self.capability = capability
        self._events: Mailbox[PrintEvent] = Mailbox()
        model.on_done = self._done

    async def open(self) -> None:
        self._events.open()

    async def close(self) -> None: ...

    def lose(self, why: str) -> None:
        """The connection is gone; it can be opened again."""
        self._events.lose(why)

    def cut(self, why: str) -> None:
        """The connection is gone until `mend`."""
        self._events.cut(why)

    def mend(self) -> None:
        """It can be opened again."""
        self._events.mend()

    def _done(self, done: Done) -> None:
        now = _loop().time()
        self._events.put(PrintEvent(PrintEventKind.PRINTED, int(done.ref), now))

    async def send(self, job: PrintJob) -> bool:
        self._events.check()
        return self.model.add(Record(str(job.ref), tuple(job.fields.values())))

    async def next_event(self, timeout: float) -> PrintEvent | None:
        return await self._events.get(timeout)

    async def status(self) -> PrinterStatus:
        self._events.check()
        model = self.model
        return PrinterStatus(
            model.ready, tuple(sorted(model.faults)), len(model.buffer), model.counter
        )

    async def clear(self) -> bool:
        self._events.check()
        self.model.clear()
        return True


class MemoryLabels:
    """ports.Printer over the plant's label printer: one label out at a time, proven by its
    counter. Labels go to it in its own language, so that what comes out is what was sent."""

    capability = PrinterCapability(Evidence.COUNTER, queue=1, repeat_risk=False, clears=True)

    def __init__(self, model: ZplPrinter, config: ZplConfig, name: str) -> None:
        self.model = model
        self._labels = {
            label: load_label(template, name) if isinstance(template, str) else template
            for label, template in config.labels.items()
        }
        self._talk = ZplTalk(model, lambda: _loop().time())
        self._events: Mailbox[PrintEvent] = Mailbox()
        self._out: tuple[int, int] | None = None
        self._refused = False

    async def open(self) -> None:
        self._events.open()
        self._out, self._refused = None, False
        for number, template in enumerate(self._labels.values()):
            self._talk.feed(store(f"CL{number}", template))

    async def close(self) -> None: ...

    def lose(self, why: str) -> None:
        """The connection is gone; it can be opened again."""
        self._events.lose(why)

    def cut(self, why: str) -> None:
        """The connection is gone until `mend`."""
        self._events.cut(why)

    def mend(self) -> None:
        """It can be opened again."""
        self._events.mend()

    async def send(self, job: PrintJob) -> bool:
        self._events.check()
        names = list(self._labels)
        number = names.index(job.template) if job.template else 0
        label = recall(f"CL{number}", self._labels[names[number]], job.fields)
        if self._out is not None or self.model.queue or self.model.faults:
            self._refused = True
            self._look_later()
            return False
        self._out = (job.ref, self.model.counter)
        self._talk.feed(label)
        self._look_later()
        return True

    def _look_later(self) -> None:
        _loop().call_later(LABEL_LOOK, self._look)

    def _look(self) -> None:
        now = _loop().time()
        self.model.advance(now)
        if self._out is None:
            if self._refused and not self.model.queue and not self.model.faults:
                self._refused = False
                self._events.put(PrintEvent(PrintEventKind.REQUEST, None, now))
        elif self.model.counter > self._out[1] and not self.model.queue:
            ref, self._out = self._out[0], None
            self._events.put(PrintEvent(PrintEventKind.PRINTED, ref, now))
        else:
            self._look_later()

    async def next_event(self, timeout: float) -> PrintEvent | None:
        return await self._events.get(timeout)

    async def status(self) -> PrinterStatus:
        self._events.check()
        model = self.model
        faults = tuple(sorted(model.faults))
        return PrinterStatus(not faults, faults, len(model.queue), model.counter)

    async def clear(self) -> bool:
        self._events.check()
        self._talk.feed(b"~JA\r\n")
        self._out = None
        return True


# --------------------------------------------------------------------------------------- all


class MemoryDevices:
    """Devices of a site file whose things are those of a plant (agent.app.lines.Devices)."""

    def __init__(
        self, plc: MemoryPlc, models: Mapping[str, TextCoder | ZplPrinter], seed: int
    ) -> None:
        self.plc = plc
        self.cameras: dict[str, MemoryCamera] = {}
        self.printers: dict[str, MemoryCoder | MemoryLabels] = {}
        self._models = models
        self._seed = seed

    def build(self, name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
        kind = registry.kind_of(section)
        if kind == "plc":
            return self.plc
        if kind == "printer":
            return self._printer(name, section)
        camera = self.cameras[name] = MemoryCamera(name, self._seed)
        return camera

    def decoder(self, reader: ReaderSection) -> FrameDecoder:
        return MemoryDecoder(reader)

    def _printer(self, name: str, section: Mapping[str, Any]) -> Device:
        model = self._models[name]
        printer: MemoryCoder | MemoryLabels
        if isinstance(model, TextCoder):
            # Only the driver knows what it can say of its device.
            real = registry.build(name, section, DeviceContext())
            assert isinstance(real, Printer)
            printer = MemoryCoder(model, real.capability)
        else:
            config = ZplConfig.model_validate(section)
            printer = MemoryLabels(model, config, name)
        self.printers[name] = printer
        return printer
