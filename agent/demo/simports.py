"""A line's devices in memory: what the drivers do with bytes, without the bytes.

The PLC's registers, the cameras' exposures and the printers' models are those of the simulated
plant; here they become reports, frames and print events as the drivers make them. Everything
happens in virtual time and by seed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from typing import Any

from agent.core.errors import TransientError
from agent.demo.simeyes import MemoryCamera, MemoryDecoder
from agent.demo.simprinters import MemoryCoder, MemoryLabels
from agent.line.pairing import QUIET
from agent.line.runner import BEAT, POLL
from agent.ports.devices import Device
from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, PlcReport, Slot
from agent.ports.printing import Printer
from agent.ports.reading import FrameDecoder
from agent.sections import ReaderSection
from drivers import registry
from drivers.context import DeviceContext
from drivers.plc import ring
from drivers.printers.zpl import ZplConfig
from drivers.sim.text_coder import TextCoder
from drivers.sim.world import AgentImage, PlcImage
from drivers.sim.zpl_printer import ZplPrinter

AWAY = QUIET / 3
"""The longest poll in seconds: after half a QUIET the line's shell takes it that nobody looked."""


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


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

    def forget(self) -> None:
        """Another agent asks from now on."""
        self._cursor, self._waiter, self._beaten = None, None, -inf

    def lose(self, why: str) -> None:
        """The link is gone until `mend`."""
        self._lost = why
        self._wake()

    def mend(self) -> None:
        """The link is there again."""
        self._lost = ""

    def _check(self) -> None:
        if self._lost:
            raise TransientError(self._lost)

    def changed(self, image: PlcImage) -> None:
        """The plant went on."""
        self._image = image
        if self._waiter is not None and self._news():
            self._wake()

    def _news(self) -> bool:
        return self._cursor != (self._image.run, self._image.head)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def poll(self) -> PlcReport:
        self._check()
        untold = -inf
        if not self._news():
            await self._until_news()
            untold = _loop().time() - POLL  # what a real poll then would have seen
        return self._report(untold)

    async def _until_news(self) -> None:
        loop = _loop()
        began = loop.time()
        waiter = self._waiter = loop.create_future()
        until = max(began, min(self._due(), self._beaten + BEAT, began + AWAY))
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

    def _report(self, untold: float) -> PlcReport:
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
            untold=untold,
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
