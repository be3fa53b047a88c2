"""Printers in memory: the plant's printer models, spoken to as their drivers do."""

import asyncio

from agent.demo.simbox import Mailbox
from agent.ports.printing import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from drivers.printers.label_files import load_label
from drivers.printers.zpl import ZplConfig
from drivers.printers.zpl_label import recall, store
from drivers.sim.text_coder import Done, Record, TextCoder
from drivers.sim.zpl_printer import ZplPrinter, ZplTalk

LABEL_LOOK = 0.05
"""Seconds between looks at a label printer while a label is out."""


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


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
        """The connection is gone until `mend`."""
        self._events.lose(why)

    def mend(self) -> None:
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
        """The connection is gone until `mend`."""
        self._events.lose(why)

    def mend(self) -> None:
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
