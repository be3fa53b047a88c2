"""Videojet 1000-line ink jet by WSI: one user field, no queue, no word of a print; a counter.

The value stays in the device and is printed at every trigger. So printing is on only while a fresh
value is there (`hold`), and what the counter says is compared after it is off again: the real lock
is the PLC's gate, since a trigger may be faster than a question.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.core.errors import ConfigError
from agent.ports.printing import Evidence, PrinterCapability, PrinterStatus, PrintEvent, PrintJob
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers import wsi_codec as codec
from drivers.printers.coder_link import CoderLink
from drivers.printers.one_by_one import OneByOne, Out
from drivers.printers.values import refused, values_of
from drivers.transport import AddressText


class WsiConfig(BaseModel):
    """Section of a device of type `wsi`. `message` is selected when it is not (empty: what is
    selected stays); `fields` maps the job's fields to user fields of the message; `hold` switches
    printing off whenever no fresh value is there. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["wsi"] = "wsi"
    address: AddressText
    message: str = Field(default="", max_length=codec.MAX_NAME)
    fields: dict[str, str] = Field(min_length=1)
    hold: bool = True
    poll: float = Field(default=0.05, gt=0, le=10)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)

    @field_validator("message", "fields")
    @classmethod
    def _clean(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        for text in [value] if isinstance(value, str) else value.values():
            if not all(" " <= char <= "~" for char in text):
                raise ValueError("names are printable ASCII")
        return value


class Wsi:
    """ports.Printer over a user field and a print counter."""

    def __init__(self, name: str, config: WsiConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._stopped = False
        self._link: CoderLink[codec.Message] = CoderLink(
            name,
            config.address,
            context,
            codec.WsiCodec,
            lambda message, now: False,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            advice="advice_wsi",
        )
        self._value = OneByOne(self._link, self._count, config.poll, self._hold)

    @property
    def capability(self) -> PrinterCapability:
        return PrinterCapability(
            Evidence.COUNTER,
            queue=0,
            repeat_risk=True,
            clears=self._config.hold,
            counts="prints",
            counter_kept=True,
        )

    async def open(self) -> None:
        """Connect, stop printing and see that the message is selected; see ports.Device."""
        self._value.out, self._stopped = None, False
        await self._link.open()
        name = await self._ask("Q", codec.NAME)
        self._link.strict = True
        if self._config.hold:
            await self._must("O0")
        wanted = self._config.message
        if wanted and name != wanted:
            await self._must(f"M{wanted}")
            name = await self._ask("Q", codec.NAME)
            if name != wanted:
                raise ConfigError(
                    *told(
                        "wsi_other_message", name=self.name, selected=f"{name:.40}", wanted=wanted
                    )
                )

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Set the fields and let it print; see ports.Printer. False while the value before was
        not printed."""
        values = values_of(self.name, tuple(self._config.fields), job)
        updates = [
            codec.update(self.name, field, value)
            for field, value in zip(self._config.fields.values(), values, strict=True)
        ]
        if not await self._value.free():
            return False
        counter = await self._count()
        self._link.quiet = True
        for update in updates:
            if not await self._order(update, self._mask(codec.command(update))):
                raise refused(self.name, f"U{update[1:].partition(chr(10))[0]}", job.ref, "!")
        self._value.out = Out(job.ref, counter)
        if self._config.hold and not self._stopped:
            await self._must("O1")
        self._link.wake()
        return True

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The print that the counter shows; see ports.Printer."""
        return await self._value.next_event(timeout)

    async def status(self) -> PrinterStatus:
        """Fault bits, traffic light and counter; see ports.Printer. Bits are faults while the
        light is red, else warnings."""
        keys, light = codec.faults_of(await self._ask("E", codec.FAULTS))
        stopped = bool(light & codec.RED) or not light & codec.GREEN
        return PrinterStatus(
            ready=not stopped,
            faults=(keys or ("stopped",)) if stopped else (),
            counter=await self._value.counter(),
            warnings=() if stopped else keys,
        )

    async def clear(self) -> bool:
        """Switch printing off: the value that is there is printed no more; see ports.Printer."""
        if not self._config.hold or not await self._order("O0"):
            return False
        await self._value.look()
        self._value.out = None
        return True

    async def inhibit(self) -> bool:
        """Switch printing off; see ports.Inhibit."""
        self._stopped = True
        return await self._order("O0")

    async def release(self) -> None:
        """Switch printing on again, if a fresh value is there; see ports.Inhibit."""
        self._stopped = False
        if self._value.out is not None or not self._config.hold:
            await self._must("O1")

    async def _hold(self) -> None:
        if self._config.hold:
            await self._must("O0")

    async def _count(self) -> int:
        return int(await self._ask("GA", codec.COUNT))

    async def _ask(self, body: str, kind: str) -> str:
        answer = await self._link.command(
            body, codec.command(body), (kind, codec.FRAME, codec.OK, codec.BAD)
        )
        if answer.kind != kind:
            raise self._link.fail(
                *told(
                    "wsi_odd",
                    name=self.name,
                    command=body,
                    said=f"{answer.kind} {answer.text:.40}",
                )
            )
        return answer.text

    async def _order(self, body: str, shown: bytes | None = None) -> bool:
        answer = await self._link.command(
            body[:1] + body[1:].partition("\n")[0],
            codec.command(body),
            (codec.OK, codec.BAD),
            shown=shown,
        )
        if answer.text != codec.checksum(body):
            raise self._link.fail(
                *told(
                    "wsi_out_of_step", name=self.name, said=answer.text, wanted=codec.checksum(body)
                )
            )
        return answer.kind == codec.OK

    async def _must(self, body: str) -> None:
        if not await self._order(body):
            raise self._link.fail(*told("wsi_refused", name=self.name, command=body))
