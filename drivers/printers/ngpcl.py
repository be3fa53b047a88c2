"""Markem-Imaje printers by NGPCL: one update of the running job, allowed to be printed once.

The allocation of 1 is what keeps a code from being printed twice: after one print the device is
idle until the next update. It tells no print by itself: it is asked until it is idle again.
"""

import time
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
from drivers.printers import ngpcl_codec as codec
from drivers.printers.coder_link import CoderLink
from drivers.printers.values import refused, values_of
from drivers.transport import AddressText


class NgpclConfig(BaseModel):
    """Section of a device of type `ngpcl`. `job` must be the running one (empty: whatever runs), or
    with `select` it is selected by the first record; `fields` maps the job's fields to those of the
    device's job. `clear` are the two letters of its command that clears the print queue (empty: it
    has none that is known). Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["ngpcl"] = "ngpcl"
    address: AddressText
    job: str = Field(default="", max_length=128)
    select: bool = False
    clear: str = Field(default="", pattern="^([A-Z]{2})?$")
    fields: dict[str, str] = Field(min_length=1)
    poll: float = Field(default=0.05, gt=0, le=10)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)

    @field_validator("job", "fields")
    @classmethod
    def _clean(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        for text in [value] if isinstance(value, str) else value.values():
            if any(char in "|{}~" or not " " <= char <= "~" for char in text):
                raise ValueError("names are ASCII without | { } ~ in this language")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.select and not self.job:
            raise ValueError("select needs the job to select: write job")
        return self


class Ngpcl:
    """ports.Printer over job updates with an allocation of one print."""

    def __init__(self, name: str, config: NgpclConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._out: int | None = None
        self._select = False  # the next record selects the job
        self._link: CoderLink[codec.Message] = CoderLink(
            name,
            config.address,
            context,
            codec.NgpclCodec,
            lambda message, now: False,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            advice="advice_ngpcl",
        )

    @property
    def capability(self) -> PrinterCapability:
        clears = bool(self._config.clear)
        return PrinterCapability(Evidence.ACCEPTED, queue=1, repeat_risk=False, clears=clears)

    async def open(self) -> None:
        """Connect and see that the job and its fields are there; see ports.Device."""
        self._out = None
        await self._link.open()
        job = await self._ask("JR", "JN")
        self._link.strict = True
        running = job.fields[0] if job.good and job.fields else ""
        self._select = self._config.select and running != self._config.job
        if self._select:
            return  # its fields are those of the job that runs now
        if self._config.job and running != self._config.job:
            raise ConfigError(
                *told(
                    "job_other", name=self.name, running=f"{running:.60}", wanted=self._config.job
                )
            )
        for field in self._config.fields.values():
            if not (await self._ask("FR", "FC", field)).good:
                raise ConfigError(*told("job_no_field", name=self.name, field=field))

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Update the job for one print, and read back what it took; see ports.Printer. False while
        the record before was not printed."""
        names = tuple(self._config.fields)
        texts = values_of(self.name, names, job)
        values = {self._config.fields[name]: text for name, text in zip(names, texts, strict=True)}
        select = self._config.job if self._select else None
        data = codec.job_update(self.name, values, select)
        if self._out is not None:
            await self._look(self._out)
            if self._out is not None:
                return False
        if codec.state_of(await self._ask("DR", "DS")) == codec.PRINTING:
            return False  # the update before this session's is not printed yet
        self._link.quiet = True
        what = "JU" if select is None else "JS"
        answer = await self._link.command(what, data, (what, "NK"), shown=self._mask(data))
        if not answer.good or answer.kind == "NK":
            raise refused(self.name, what, job.ref, f"{answer.kind}{answer.result}")
        self._select = False
        # An unknown field is silently accepted: only what is read back is there.
        for field, value in values.items():
            have = await self._ask("FR", "FC", field)
            if have.fields[:2] != (field, value):
                raise self._link.fail(
                    *told("ngpcl_other_value", name=self.name, record=job.ref, field=field)
                )
        if codec.state_of(await self._ask("DR", "DS")) != codec.PRINTING:
            raise self._link.fail(*told("ngpcl_not_waiting", name=self.name, record=job.ref))
        self._out = job.ref
        self._link.wake()
        return True

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """PRINTED when the device is idle again after its one print; see ports.Printer."""
        end = time.monotonic() + timeout
        while True:
            if self._out is not None and not self._link.events:
                await self._look(self._out)
            left = end - time.monotonic()
            wait = left if self._out is None else min(left, self._config.poll)
            event = await self._link.next_event(max(0.0, wait))
            if event is not None or end <= time.monotonic():
                return event

    async def status(self) -> PrinterStatus:
        """The state that DR tells; see ports.Printer."""
        state = codec.state_of(await self._ask("DR", "DS"))
        ready = state in (codec.PRINTING, codec.IDLE)
        name = codec.STATES.get(state, f"state_{state[:8] or 'unknown'}")
        return PrinterStatus(
            ready=ready,
            faults=() if ready else (name,),
            waiting=1 if state == codec.PRINTING else 0,
        )

    async def clear(self) -> bool:
        """With the command of the configuration: nothing that is published takes an allocation
        back; see ports.Printer."""
        head = self._config.clear
        if not head:
            return False
        self._out = None
        answer = await self._link.command(head, codec.command(head), (head, "NK"))
        if not answer.good or answer.kind == "NK":
            return False
        return codec.state_of(await self._ask("DR", "DS")) != codec.PRINTING

    async def _look(self, ref: int) -> None:
        state = codec.state_of(await self._ask("DR", "DS"))
        if state == codec.IDLE and self._out == ref:
            self._out = None
            self._link.tell(PrintEventKind.PRINTED, ref, time.monotonic())

    async def _ask(self, head: str, kind: str, *fields: str) -> codec.Message:
        answer = await self._link.command(head, codec.command(head, *fields), (kind, "NK"))
        if answer.kind == "NK":
            raise self._link.fail(
                *told("ngpcl_unknown", name=self.name, command=head, status=answer.result)
            )
        return answer
