"""Videojet coders that speak Zipher / CLARiTY text: the serialisation buffer, record by record.

Records go with a number of ours (`SID`), and the device says which one it printed last (`SLR`), so
a notification that is lost, late or doubled loses, moves or doubles nothing: it only makes us ask.
"""

import time
from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.core.errors import ConfigError
from agent.ports.printing import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers import zipher_codec as codec
from drivers.printers.coder_link import CoderLink
from drivers.printers.values import fault_key, refused, values_of
from drivers.transport import AddressText

BUFFER = 1000


class ZipherConfig(BaseModel):
    """Section of a device of type `zipher`. `job` is selected when it is not (empty: what is
    selected stays); `fields` maps the job's fields to the device's, in the order of its records;
    `lengths` are fixed lengths of device fields; `gs` stands for GS (0x1D) in symbols; `notify`
    are the notifications to switch on; `poll` is how often a print is asked for when nothing was
    told. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["zipher"] = "zipher"
    address: AddressText
    job: str = Field(default="", max_length=64)
    fields: dict[str, str] = Field(min_length=1)
    lengths: dict[str, int] = Field(default_factory=dict)
    encoding: Literal["ascii", "utf-8"] = "ascii"
    gs: Literal["", "~1", "~d029"] = ""
    queue: int = Field(default=20, ge=1, le=1000)
    notify: tuple[str, ...] = ("PRC", "STS", "ERS", "QEM", "JOB")
    poll: float = Field(default=0.5, gt=0, le=60)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)
    select_timeout: float = Field(default=5.0, gt=0, le=60)

    @field_validator("notify")
    @classmethod
    def _known(cls, notify: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in notify if name not in codec.EVENTS]
        if unknown:
            raise ValueError(f"{unknown[0]} is no notification; write some of {codec.EVENTS}")
        return notify

    @field_validator("job", "fields")
    @classmethod
    def _clean(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        for text in [value] if isinstance(value, str) else value.values():
            if any(char in "|=" or not " " <= char <= "~" for char in text):
                raise ValueError("names are ASCII without | and = in this language")
        return value


class Zipher:
    """ports.Printer over a CLARiTY serialisation buffer."""

    def __init__(self, name: str, config: ZipherConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._waiting: deque[int] = deque()  # refs in the device's buffer, oldest first
        self._ask = self._headed = False
        self._asked = 0.0
        self._link: CoderLink[codec.Line] = CoderLink(
            name,
            config.address,
            context,
            lambda: codec.ZipherCodec(config.encoding),
            self._take,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            advice="advice_zipher",
        )

    @property
    def capability(self) -> PrinterCapability:
        return PrinterCapability(
            Evidence.INDEXED,
            queue=self._config.queue,
            repeat_risk=False,
            clears=True,
            counts="prints",
        )

    async def open(self) -> None:
        """Connect, reset the parser and select the job; see ports.Device. The buffer stays as it
        is until `clear`. ConfigError: the job is not there or lacks a field."""
        self._waiting.clear()
        self._ask = self._headed = False
        await self._link.open()
        # The CR may end half a line of the session before: what answers that is no answer of ours.
        await self._link.say(codec.CR)
        await self._command("GST", expected=(codec.STATE,))
        self._link.strict = True
        await self._must("DAN")
        await self._select()
        for name in self._config.notify:
            await self._must("SNO", name, 1)

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Put one record into the buffer; see ports.Printer."""
        names = tuple(self._config.fields)
        lengths = [self._config.lengths.get(self._config.fields[name]) for name in names]
        values = values_of(self.name, names, job)
        # 0 is what the device says before the first print, so our numbers begin at 1.
        line = codec.record(
            self.name,
            job.ref + 1,
            values,
            encoding=self._config.encoding,
            gs=self._config.gs,
            lengths=lengths,
        )
        if len(self._waiting) >= self._config.queue:
            self._wants_look()
            return False
        if not self._headed:
            await self._head()
        self._link.quiet = True

        def answered(answer: codec.Line) -> None:
            if answer.kind == codec.ACK:
                self._waiting.append(job.ref)

        answer = await self._link.command(
            "SID", line, (codec.ACK, codec.ERR), shown=self._mask(line), answered=answered
        )
        if answer.kind == codec.ACK:
            return True
        if await self._number("SRC") >= await self._number("SGM"):
            return False
        raise refused(self.name, "SID", job.ref, "ERR; is the job still selected?")

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next print or request; see ports.Printer."""
        end = time.monotonic() + timeout
        while True:
            if not self._link.events:
                now = time.monotonic()
                if self._ask or (self._waiting and now - self._asked >= self._config.poll):
                    await self._look()
                if not self._link.events and now >= end:
                    self._link.check()
                    return None
            wait = min(end - time.monotonic(), self._config.poll if self._waiting else timeout)
            event = await self._link.next_event(max(0.0, wait))
            if event is not None:
                return event

    async def status(self) -> PrinterStatus:
        """State, counters, faults and warnings; see ports.Printer."""
        state = await self._command("GST", expected=(codec.STATE,))
        waiting, last = await self._number("SRC"), await self._number("SLR")
        faults: list[str] = []
        if state.number() != codec.RUNNING:
            faults.append(codec.STATES[state.number() or 0])
        if state.number(1) == codec.FAULT:
            faults += await self._named("GFT", "FLT")
        warnings = await self._named("GWN", "WRN") if state.number(1) != 0 else []
        return PrinterStatus(
            ready=state.number() == codec.RUNNING and state.number(1) != codec.FAULT,
            faults=tuple(faults),
            waiting=waiting,
            counter=state.number(4),
            last=last - 1 if last else None,
            warnings=tuple(warnings),
        )

    async def clear(self) -> bool:
        """Empty the buffer; see ports.Printer."""
        await self._look()
        answer = await self._command("SCB", expected=(codec.ACK, codec.ERR))
        if answer.kind == codec.ERR or await self._number("SRC"):
            return False
        # What was printed between the look and the clearing is still told.
        await self._look()
        self._waiting.clear()
        await self._head()
        return True

    async def inhibit(self) -> bool:
        """Go offline; see ports.Inhibit."""
        return await self._state(codec.OFFLINE)

    async def release(self) -> None:
        """Run; see ports.Inhibit."""
        if not await self._state(codec.RUNNING):
            raise self._link.fail(*told("zipher_not_running", name=self.name))

    async def _state(self, wanted: int) -> bool:
        state = await self._command("GST", expected=(codec.STATE,))
        if state.number() == wanted:
            return True
        answer = await self._command(
            "SST",
            wanted,
            timeout=self._config.select_timeout,
            expected=(codec.ACK, codec.ERR),
        )
        return answer.kind == codec.ACK

    async def _select(self) -> None:
        job = await self._command("GJN", expected=("JOB", codec.ERR))
        wanted = self._config.job
        if wanted and (job.kind == codec.ERR or job.fields[:1] != (wanted,)):
            answer = await self._command(
                "SLA", wanted, timeout=self._config.select_timeout, expected=(codec.ACK, codec.ERR)
            )
            if answer.kind == codec.ERR:
                raise ConfigError(*told("zipher_not_selected", name=self.name, job=wanted))
        elif not wanted and (job.kind == codec.ERR or not job.fields):
            raise ConfigError(*told("zipher_no_job", name=self.name))
        # An unknown field name is silently ignored by the device: nothing would be printed there.
        have = codec.names_of(await self._command("GJD", expected=("JDL",)))
        missing = [name for name in self._config.fields.values() if name not in have]
        if missing:
            raise ConfigError(
                *told(
                    "zipher_no_field",
                    name=self.name,
                    field=missing[0],
                    have=", ".join(have) or "-",
                )
            )

    async def _head(self) -> None:
        """Make room for the records and name their fields."""
        if (await self._number("SGM")) < self._config.queue:
            await self._must("SMR", BUFFER)
            if (await self._number("SGM")) < self._config.queue:
                raise self._link.fail(
                    *told("zipher_small", name=self.name, queue=self._config.queue)
                )
        await self._must("SHO", *self._config.fields.values())
        self._headed = True

    async def _look(self) -> None:
        """Ask which record was printed last: it and all before it came out."""
        self._ask, self._asked = False, time.monotonic()
        if not self._waiting:
            return
        last = await self._number("SLR") - 1
        now = time.monotonic()
        if last in self._waiting:
            while self._waiting[0] != last:
                self._link.tell(PrintEventKind.PRINTED, self._waiting.popleft(), now)
            self._link.tell(PrintEventKind.PRINTED, self._waiting.popleft(), now)

    def _wants_look(self) -> None:
        self._ask = True
        self._link.wake()

    def _take(self, line: codec.Line, now: float) -> bool:
        if line.kind != codec.EVENT:
            return False
        if line.name in ("PRC", "QEM", "QLO"):
            self._wants_look()
        if line.name in ("QEM", "QLO"):
            self._link.tell(PrintEventKind.REQUEST, None, now)
        elif line.name == "JOB" and self._link.strict:
            self._link.end(*told("zipher_job_changed", job=line.fields[:1], name=self.name))
        return True

    async def _named(self, command: str, kind: str) -> list[str]:
        line = await self._command(command, expected=(kind, codec.ERR))
        return [fault_key(text) for _, text in codec.faults_of(line)]

    async def _number(self, command: str) -> int:
        line = await self._command(command, expected=(command, codec.ERR))
        number = line.number()
        if number is None:
            raise self._link.fail(
                *told(
                    "zipher_odd",
                    name=self.name,
                    command=command,
                    said=f"{'|'.join((line.name, *line.fields)):.80}",
                )
            )
        return number

    async def _must(self, command: str, *fields: str | int) -> None:
        answer = await self._command(command, *fields, expected=(codec.ACK, codec.ERR))
        if answer.kind == codec.ERR:
            text = "|".join((command, *map(str, fields)))
            raise self._link.fail(
                *told("zipher_refused", name=self.name, text=text, command=command)
            )

    async def _command(
        self,
        command: str,
        *fields: str | int,
        expected: tuple[str, ...],
        timeout: float | None = None,
    ) -> codec.Line:
        return await self._link.command(
            command, codec.command(command, *fields), expected, timeout=timeout
        )
