"""ZPL II label printers (Zebra and those that speak its language) over TCP or serial.

Plain ZPL acknowledges nothing, so the driver asks: `~HS` before and after each label, and while a
label is out until the printer is idle and, where it has one, its odometer has moved. One label
per job and one job at a time. A printer that is out of media or open may not answer `~HS` at all
while its connection lives: silence is a fault of the printer, not a lost session.
"""

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import DomainError, TransientError
from agent.ports import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from drivers.context import DeviceContext
from drivers.printers.label_files import load_label
from drivers.printers.zpl_label import LabelTemplate, recall, store
from drivers.printers.zpl_status import Answer, ErrorReport, HostStatus, Setting, StatusCodec
from drivers.transport import AddressText, Transport

QUIET = 0.3
IDLE_POLL = 0.5
PROBE = 1.0
_Answer = TypeVar("_Answer", HostStatus, ErrorReport, Setting)


class ZplConfig(BaseModel):
    """Section of a device of type `zpl`. `labels` maps the job's template name to a label, in
    place or as the name of a file in config/labels; a job without a template takes the only one.
    `drive` is where templates are stored (R: memory, E: flash), `odometer` the SGD setting that
    counts labels ("" where it must not be asked); times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["zpl"] = "zpl"
    address: AddressText
    labels: dict[str, LabelTemplate | str] = Field(min_length=1, max_length=100)
    drive: Literal["R", "E"] = "R"
    odometer: str = Field(default="odometer.total_label_count", pattern=r"^[a-z0-9_.]{0,64}$")
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=2.0, gt=0, le=60)
    print_timeout: float = Field(default=15.0, gt=0, le=600)
    poll_interval: float = Field(default=0.05, ge=0.01, le=10)


@dataclass(slots=True)
class _Out:
    """The label that was sent and is not known to be printed. `since` restarts with each sign of
    a fault, since a person may take any time to mend it."""

    ref: int
    counter: int | None
    since: float
    idle_seen: int = 0


class ZplPrinter:
    """ports.Printer for ZPL II."""

    def __init__(self, name: str, config: ZplConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._probe = min(PROBE, config.reply_timeout)
        self._labels: dict[str, tuple[str, LabelTemplate]] = {}
        for number, (label, template) in enumerate(config.labels.items()):
            loaded = load_label(template, name) if isinstance(template, str) else template
            self._labels[label] = (f"CL{number}", loaded)
        self._transport = Transport(
            name, config.address, connect_timeout=config.connect_timeout, context=context
        )
        self._codec = StatusCodec()
        self._answers: deque[Answer] = deque(maxlen=256)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stored: set[str] = set()
        self._out: _Out | None = None
        self._refused = False
        self._counts = False
        self._asked_at: float | None = None
        self._quiet_since = 0.0
        self._unanswered = 0
        self._broken: str | None = None

    @property
    def capability(self) -> PrinterCapability:
        """COUNTER once the odometer has answered in this session, else ACCEPTED."""
        evidence = Evidence.COUNTER if self._counts else Evidence.ACCEPTED
        return PrinterCapability(evidence=evidence, queue=1, repeat_risk=False, clears=True)

    async def open(self) -> None:
        """Connect and find out whether the printer counts; see ports.Device."""
        await self._transport.open()
        self._codec = StatusCodec()
        self._answers.clear()
        self._stored.clear()
        self._out = self._asked_at = self._broken = None
        self._unanswered = 0
        self._refused = self._counts = False
        if self._config.odometer:
            async with self._lock:
                self._counts = await self._odometer() is not None

    async def close(self) -> None:
        """End the session; see ports.Device."""
        self._broken = f"The session with {self.name} is closed; open it."
        self._wake.set()
        await self._transport.close()

    async def send(self, job: PrintJob) -> bool:
        """Print one label; see ports.Printer. False, and nothing was sent, while a label is out
        or the printer has a fault; an event REQUEST tells when it is ready again."""
        stored_as, template = self._label(job)
        label = recall(stored_as, template, job.fields, self._config.drive)
        async with self._lock:
            self._check()
            counter = None
            ready = self._out is None and await self._can_print()
            if ready and self._counts:
                counter = await self._odometer()
                ready = counter is not None
            if not ready:
                self._refused = True
                self._wake.set()
                return False
            if stored_as not in self._stored:
                await self._write(store(stored_as, template, self._config.drive))
                self._stored.add(stored_as)
            self._out = _Out(job.ref, counter, time.monotonic())
            self._refused = False
            await self._write(label, self._shown(job))
            if await self._host_status(self._config.reply_timeout) is None:
                raise self._fail(
                    f"{self.name} did not answer after a label was sent, so it is not known "
                    f"whether label {job.ref} comes out. Look at the printer and whether it did."
                )
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
                event = await self._look(end)
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
        not ready with the fault `silent`, or with what `~HQES` says if that is answered."""
        async with self._lock:
            self._check()
            status = await self._host_status(self._config.reply_timeout)
            if status is None:
                await self._write(b"~HQES\r\n")
                report = await self._hear(ErrorReport, time.monotonic() + self._probe)
                faults = report.errors if report is not None else ()
                return PrinterStatus(ready=False, faults=faults or ("silent",))
            counter = await self._odometer() if self._counts else None
            return PrinterStatus(
                ready=not status.faults,
                faults=status.faults,
                waiting=status.formats + status.remaining,
                counter=counter,
            )

    async def clear(self) -> bool:
        """Cancel all formats and wait until none is left; see ports.Printer."""
        async with self._lock:
            self._check()
            await self._write(b"~JA\r\n")
            end = time.monotonic() + self._config.print_timeout
            while time.monotonic() < end:
                status = await self._host_status(self._config.reply_timeout)
                if status is None:
                    return False
                if status.idle:
                    self._out = None
                    return True
                await asyncio.sleep(self._config.poll_interval)
            return False

    def _label(self, job: PrintJob) -> tuple[str, LabelTemplate]:
        if not job.template and len(self._labels) == 1:
            return next(iter(self._labels.values()))
        if job.template not in self._labels:
            raise DomainError(
                "printer_template_unknown",
                f"{self.name} has no label '{job.template}'; nothing was sent. Its labels are "
                f"{sorted(self._labels)}: name one of them, or add it to the device's section.",
            )
        return self._labels[job.template]

    def _shown(self, job: PrintJob) -> bytes | None:
        """Escaped in the label a secret value may look different to the mask: leave it all out."""
        values = [value.encode("utf-8", "replace") for value in job.fields.values()]
        if any(self._mask(value) != value for value in values):
            return b"(label %d with a secret value)" % job.ref
        return None

    async def _can_print(self) -> bool:
        status = await self._host_status(self._config.reply_timeout)
        return status is not None and status.idle and not status.faults

    async def _look(self, end: float) -> PrintEvent | None:
        """One look at the printer, if anything is expected of it."""
        out = self._out
        if out is None and not self._refused:
            if self._transport.lost:
                raise self._fail(f"{self.name} at {self._config.address} closed the connection.")
            return None
        status = await self._host_status(max(0.0, end - time.monotonic()))
        now = time.monotonic()
        if out is None:
            if status is None or status.faults or not status.idle:
                return None
            self._refused = False
            return PrintEvent(PrintEventKind.REQUEST, None, now)
        if status is not None and status.idle and await self._came_out(out):
            self._out = None
            return PrintEvent(PrintEventKind.PRINTED, out.ref, now)
        if status.faults if status is not None else self._silent(now):
            out.since = now
        elif now - out.since > self._config.print_timeout:
            raise self._fail(
                f"{self.name} took label {out.ref} and did not print it within "
                f"{self._config.print_timeout:g} s, and reports no fault. Look whether it came out."
            )
        return None

    async def _came_out(self, out: _Out) -> bool:
        """The printer is idle: is the label printed? Where it counts the counter must have moved;
        else it must be idle twice, since a format may not have been looked at yet."""
        if not self._counts:
            out.idle_seen += 1
            return out.idle_seen >= 2
        counter = await self._odometer()
        if counter is None or out.counter is None:
            return False
        if counter < out.counter:
            raise self._fail(
                f"The label counter of {self.name} went back from {out.counter} to {counter}: it "
                f"was restarted or replaced. Look whether label {out.ref} came out."
            )
        return counter > out.counter

    async def _host_status(self, patience: float) -> HostStatus | None:
        """The answer to a `~HS`, None while the printer is silent.

        A question that was not answered may be answered later, together with the next one: only
        the last answer, after a quiet while, says how things are now.
        """
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._config.reply_timeout:
            if self._asked_at is None:
                self._quiet_since = now
            self._asked_at = now
            self._unanswered += 1
            await self._write(b"~HS\r\n")
        answer = await self._hear(HostStatus, now + patience)
        if answer is None:
            return None
        self._unanswered -= 1
        while self._unanswered > 0:
            later = await self._hear(HostStatus, time.monotonic() + QUIET)
            if later is None:
                break
            answer = later
            self._unanswered -= 1
        self._unanswered = 0
        self._asked_at = None
        return answer

    def _silent(self, now: float) -> bool:
        waits = self._asked_at is not None
        return waits and now - self._quiet_since >= self._config.reply_timeout

    async def _odometer(self) -> int | None:
        """The label counter; None where the printer has none or is silent."""
        self._drop(Setting)
        await self._write(f'! U1 getvar "{self._config.odometer}"\r\n'.encode())
        answer = await self._hear(Setting, time.monotonic() + self._probe)
        match = re.match(r"\s*(\d{1,12})", answer.value or "") if answer is not None else None
        return int(match[1]) if match else None

    def _drop(self, kind: type[Answer]) -> None:
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
            try:
                data = await self._transport.read_some(left)
            except TransientError as error:
                raise self._fail(str(error)) from error
            if data is not None:
                self._answers.extend(self._codec.feed(data))

    async def _write(self, data: bytes, shown: bytes | None = None) -> None:
        try:
            await self._transport.write(data, self._config.reply_timeout, shown)
        except TransientError as error:
            raise self._fail(str(error)) from error

    def _fail(self, why: str) -> TransientError:
        if self._broken is None:
            self._broken = why
        return TransientError(why)

    def _check(self) -> None:
        if self._broken is not None:
            raise TransientError(self._broken)

    def _pause(self) -> float:
        """Until the next look: short while a label is out."""
        return self._config.poll_interval if self._out is not None else IDLE_POLL
