"""What all label printers have in common: one label per job, one job at a time, and asking until
it is out.

Label languages acknowledge nothing, so a driver asks: before a label, and while one is out until
the printer is idle and, where it has such a thing, its evidence has come. What is answered in
another language is a wrong port or model, and said so.
"""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import DomainError, Said, TransientError
from agent.ports.printing import (
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers.label_draw import image
from drivers.printers.label_files import load_label
from drivers.printers.label_template import LabelTemplate, Layout, lay_out
from drivers.transport import AddressText, Transport

QUIET = 0.3
IDLE_POLL = 0.5
SAMPLE = 40
_Answer = TypeVar("_Answer")


class LabelPrinterConfig(BaseModel):
    """What sections of label printers have in common. `labels` maps the job's template name to a
    label, in place or as the name of a file in config/labels; a job without a template takes the
    only one. `dots_per_mm` is the print head's (8 = 203 dpi, 12 = 300 dpi, 24 = 600 dpi); times in
    seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: AddressText
    labels: dict[str, LabelTemplate | str] = Field(min_length=1, max_length=100)
    dots_per_mm: float = Field(default=8.0, ge=4, le=24)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=2.0, gt=0, le=60)
    print_timeout: float = Field(default=15.0, gt=0, le=600)
    poll_interval: float = Field(default=0.05, ge=0.01, le=10)


class Codec(Protocol):
    """Bytes from the printer to answers. `noise` counts bytes that belong to none."""

    noise: int

    def feed(self, data: bytes) -> Sequence[Any]:
        """The answers that became complete, in order."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the printer is: `idle` = nothing that it was given is unprinted."""

    idle: bool
    faults: tuple[str, ...] = ()
    waiting: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Out:
    """The label that was sent and is not known to be printed. `since` restarts with each sign of
    a fault, since a person may take any time to mend it, and so does `sent`; `counter` is what the
    printer's counter was before; `seen` how often it was seen idle since then, `busy` that it was
    seen at work."""

    ref: int
    counter: int | None
    since: float
    sent: float
    seen: int = 0
    busy: bool = False


def layouts(
    device: str, labels: Mapping[str, LabelTemplate | str], density: float
) -> dict[str, Layout]:
    """The labels of a device's section in its dots. ConfigError: one is not there or not right."""
    loaded = {
        name: load_label(label, device) if isinstance(label, str) else label
        for name, label in labels.items()
    }
    found = {name: lay_out(label, density, device) for name, label in loaded.items()}
    for layout in found.values():
        for placed in layout.placed:
            if placed.element.file is not None:
                image(placed.element.file, placed.width)  # now, and not when a case waits for it
    return found


class LabelPrinter(ABC):
    """ports.Printer for label printers; a language adds its bytes."""

    def __init__(self, name: str, config: LabelPrinterConfig, context: DeviceContext) -> None:
        self.name = name
        self.labels = layouts(name, config.labels, config.dots_per_mm)
        self._config = config
        self._mask = context.mask
        self._transport = Transport(
            name, config.address, connect_timeout=config.connect_timeout, context=context
        )
        self._codec = self._new_codec()
        self._answers: deque[Any] = deque(maxlen=256)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._out: Out | None = None
        self._refused = False
        self._asked_at: float | None = None
        self._quiet_since = 0.0
        self._unanswered = 0
        self._noise = 0
        self._sample = b""
        self._broken: TransientError | None = None

    # ------------------------------------------------------------------ what a language adds

    language = ""
    """How people call it."""
    _may_be_silent = False
    """Silence on a live connection is a fault of the printer; else it ends the session."""
    _pictured = False
    """Labels go to it as dots."""
    _strict = False
    """Its answers are single bytes: among other bytes they may be anything."""
    _calm = 0.0
    """Seconds for which a printer must stay idle before nothing can be left in it."""

    @property
    @abstractmethod
    def capability(self) -> PrinterCapability: ...

    @abstractmethod
    def _new_codec(self) -> Codec:
        """For a new session."""

    async def _greet(self) -> None:  # noqa: B027 - most have nothing to ask
        """Find out what this printer can; called once per session under the lock."""

    @abstractmethod
    def _build(self, stored: str, layout: Layout, job: PrintJob) -> bytes:
        """The bytes that print one label. DomainError: it cannot be printed."""

    async def _prepare(self, stored: str, layout: Layout) -> None:  # noqa: B027 - as above
        """Before a label of this layout: keep it in the printer, where that is of use."""

    @abstractmethod
    async def _look(self, patience: float) -> Look | None:
        """Ask the printer; None while it is silent."""

    async def _counter(self) -> int | None:
        """What proves a print, where there is such a thing."""
        return None

    @property
    def _counts(self) -> bool:
        """Whether `_counter` proves prints in this session."""
        return False

    async def _handed(self, out: Out) -> None:
        """The label is written. TransientError: it is not known whether the printer has it."""
        look = await self._look(self._config.reply_timeout)
        if look is None:
            raise self._fail(*told("label_in_doubt", name=self.name, label=out.ref))
        out.busy = not look.idle and not look.faults

    @abstractmethod
    async def _came_out(self, out: Out) -> bool:
        """The printer is idle: is the label printed?"""

    @abstractmethod
    async def _cancel(self) -> bool:
        """Write the command that removes what is not printed yet; False where there is none."""

    # --------------------------------------------------------------------------- ports.Printer

    async def open(self) -> None:
        """Connect and find out what the printer can; see ports.Device."""
        await self._transport.open()
        self._codec = self._new_codec()
        self._answers.clear()
        self._out = self._asked_at = self._broken = None
        self._unanswered = self._noise = 0
        self._sample = b""
        self._refused = False
        async with self._lock:
            await self._greet()

    async def close(self) -> None:
        """End the session; see ports.Device."""
        self._broken = TransientError(*told("session_closed", name=self.name))
        self._wake.set()
        await self._transport.close()

    async def send(self, job: PrintJob) -> bool:
        """Print one label; see ports.Printer. False, and nothing was sent, while a label is out
        or the printer has a fault; an event REQUEST tells when it is ready again."""
        stored, layout = self._label(job)
        try:
            label = self._build(stored, layout, job)
        except DomainError as refused:
            raise DomainError(refused.reason, f"{self.name}: {refused}") from None
        async with self._lock:
            self._check()
            counter = None
            ready = self._out is None and await self._can_print()
            if ready and self._counts:
                counter = await self._counter()
                ready = counter is not None
            if not ready:
                self._refused = True
                self._wake.set()
                return False
            await self._prepare(stored, layout)
            now = time.monotonic()
            self._out = Out(job.ref, counter, now, now)
            self._refused = False
            await self._write(label, self._shown(job, label))
            await self._handed(self._out)
        self._wake.set()
        return True

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """PRINTED of the label that is out, or REQUEST after a refusal; see ports.Printer."""
        end = time.monotonic() + timeout
        while True:
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    await self._lock.acquire()
            except TimeoutError:
                return None
            try:
                self._check()
                event = await self._watch(end)
            finally:
                self._lock.release()
            left = end - time.monotonic()
            if event is not None or left <= 0:
                return event
            try:
                async with asyncio.timeout(min(left, self._pause())):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def status(self) -> PrinterStatus:
        """Ask the printer; see ports.Printer. A printer that is silent on a live connection is
        not ready with the fault `silent`, where its kind may be."""
        async with self._lock:
            self._check()
            look = await self._look(self._config.reply_timeout)
            if look is None:
                return PrinterStatus(ready=False, faults=await self._why_silent())
            counter = await self._counter() if self._counts else None
            return PrinterStatus(
                ready=not look.faults,
                faults=look.faults,
                waiting=look.waiting,
                counter=counter,
                warnings=look.warnings + await self._warnings(),
            )

    async def _warnings(self) -> tuple[str, ...]:
        """What will soon keep it from printing, where that is a question of its own."""
        return ()

    async def _why_silent(self) -> tuple[str, ...]:
        return ("silent",)

    async def clear(self) -> bool:
        """Remove what is not printed and wait until nothing is left; see ports.Printer."""
        async with self._lock:
            self._check()
            cancelled = await self._cancel()
            began = calm = time.monotonic()
            while calm - began < self._config.print_timeout:
                look = await self._look(self._config.reply_timeout)
                if look is None or not (look.idle or cancelled):
                    return False
                now = time.monotonic()
                if not look.idle:
                    calm = now
                elif now - calm >= self._calm:
                    self._out = None
                    return True
                await asyncio.sleep(self._config.poll_interval)
            return False

    # -------------------------------------------------------------------------------- inside

    def _label(self, job: PrintJob) -> tuple[str, Layout]:
        names = list(self.labels)
        name = job.template or (names[0] if len(names) == 1 else "")
        if name not in self.labels:
            raise DomainError(
                "printer_template_unknown",
                f"{self.name} has no label '{job.template}'; nothing was sent. Its labels are "
                f"{sorted(self.labels)}: name one of them, or add it to the device's section.",
            )
        return f"CL{names.index(name)}", self.labels[name]

    def _shown(self, job: PrintJob, label: bytes) -> bytes | None:
        """A label in the wire log. Escaped in it a secret value may look different to the mask:
        leave it all out. Before a picture stands what is on it."""
        values = [value.encode("utf-8", "replace") for value in job.fields.values()]
        if any(self._mask(value) != value for value in values):
            return b"(label %d with a secret value)" % job.ref
        if self._pictured:
            words = json.dumps(dict(job.fields), ensure_ascii=False)
            return b"(label %d: %s) " % (job.ref, words.encode("utf-8", "replace")) + label
        return None

    async def _can_print(self) -> bool:
        look = await self._look(self._config.reply_timeout)
        return look is not None and look.idle and not look.faults

    async def _watch(self, end: float) -> PrintEvent | None:
        """One look at the printer, if anything is expected of it."""
        out = self._out
        if out is None and not self._refused:
            if self._transport.lost:
                raise self._fail(
                    *told("printer_closed", name=self.name, where=self._config.address)
                )
            return None
        look = await self._look(max(0.0, end - time.monotonic()))
        now = time.monotonic()
        if out is None:
            if look is None or look.faults or not look.idle:
                return None
            self._refused = False
            return PrintEvent(PrintEventKind.REQUEST, None, now)
        if look is not None and look.idle and await self._came_out(out):
            self._out = None
            return PrintEvent(PrintEventKind.PRINTED, out.ref, now)
        if look.faults if look is not None else self._silent(now):
            # Mended, it prints the label anew: what was seen of it before says nothing.
            out.since = out.sent = now
            out.busy, out.seen = False, 0
        elif now - out.since > self._config.print_timeout:
            raise self._fail(
                *told(
                    "label_not_printed",
                    name=self.name,
                    label=out.ref,
                    s=f"{self._config.print_timeout:g}",
                )
            )
        elif look is not None and not look.idle:
            out.busy = True
        return None

    async def _ask(self, question: bytes, kind: type[_Answer], patience: float) -> _Answer | None:
        """The answer to a question about how things are; None while the printer is silent.

        A question that was not answered may be answered later, together with the next one: only
        the last answer, after a quiet while, says how things are now.
        """
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._config.reply_timeout:
            if self._asked_at is None:
                self._quiet_since = now
            if self._unanswered == 0:
                await self._take(0)
                self._drop(kind)  # nobody asked for what came meanwhile
            self._asked_at = now
            self._unanswered += 1
            self._noise = self._codec.noise
            await self._write(question)
        answer = await self._hear(kind, now + patience)
        if answer is None:
            self._understood(question)
            if not self._may_be_silent and self._silent(time.monotonic()):
                raise self._mute(question)
            return None
        if self._strict:
            self._understood(question)
        self._unanswered -= 1
        while self._unanswered > 0:
            later = await self._hear(kind, time.monotonic() + QUIET)
            if later is None:
                break
            answer = later
            self._unanswered -= 1
        self._unanswered = 0
        self._asked_at = None
        return answer

    def _understood(self, question: bytes) -> None:
        """TransientError when something was answered that is not this language."""
        if self._codec.noise > self._noise:
            raise self._fail(
                *told(
                    "printer_other",
                    name=self.name,
                    where=self._config.address,
                    question=f"{question.strip()!r}",
                    said=f"{self._sample!r}",
                    language=self.language,
                )
            )

    def _mute(self, question: bytes) -> TransientError:
        return self._fail(
            *told(
                "printer_silent",
                name=self.name,
                where=self._config.address,
                question=f"{question.strip()!r}",
                s=f"{self._config.reply_timeout:g}",
                language=self.language,
            )
        )

    def _silent(self, now: float) -> bool:
        waits = self._asked_at is not None
        return waits and now - self._quiet_since >= self._config.reply_timeout

    def _drop(self, kind: type[Any]) -> None:
        kept = [answer for answer in self._answers if not isinstance(answer, kind)]
        self._answers.clear()
        self._answers.extend(kept)

    async def _hear(self, kind: type[_Answer], end: float) -> _Answer | None:
        """The next answer of a kind; the others wait for who asked for them."""
        while True:
            for answer in self._answers:
                if isinstance(answer, kind):
                    self._answers.remove(answer)
                    return answer
            left = end - time.monotonic()
            if left <= 0:
                return None
            await self._take(left)

    async def _take(self, timeout: float) -> None:
        """Read what is there, or comes within `timeout` seconds."""
        try:
            data = await self._transport.read_some(timeout)
        except TransientError as error:
            raise self._fail(str(error), error.said) from error
        if data is not None:
            noise = self._codec.noise
            self._answers.extend(self._codec.feed(data))
            if self._codec.noise > noise:
                self._sample = data[:SAMPLE]

    async def _write(self, data: bytes, shown: bytes | None = None) -> None:
        try:
            await self._transport.write(data, self._config.reply_timeout, shown)
        except TransientError as error:
            raise self._fail(str(error), error.said) from error

    def _fail(self, why: str, said: Said | None) -> TransientError:
        error = TransientError(why, said)
        self._broken = self._broken or error
        return error

    def _check(self) -> None:
        if self._broken is not None:
            raise TransientError(str(self._broken), self._broken.said)

    def _pause(self) -> float:
        """Until the next look: short while a label is out."""
        return self._config.poll_interval if self._out is not None else IDLE_POLL
