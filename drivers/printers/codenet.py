"""Domino coders that speak Codenet: one record after the other into the external data queue.

The device says with one character that it printed, and not what: the oldest record. The character
is asked for anew in each session, since the device forgets it.
"""

from collections import deque
from typing import Literal

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
from drivers.printers import codenet_codec as codec
from drivers.printers.coder_link import CoderLink
from drivers.printers.values import refused, values_of
from drivers.transport import AddressText


class CodenetConfig(BaseModel):
    """Section of a device of type `codenet`. `fields` are the job's fields in the record's order,
    joined by `separator`; `model` must be in what the device says it is; `print_char` is the
    character by which it tells a print; `ack` is its acknowledgement mode, `nak` whether three
    digits follow its NAK; `ink` asks for ink levels. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["codenet"] = "codenet"
    address: AddressText
    fields: tuple[str, ...] = ()
    separator: str = Field(default="", max_length=8)
    model: str = ""
    print_char: str = Field(default="P", min_length=1, max_length=1)
    ack: codec.AckMode = "variable"
    nak: codec.NakMode = "digits"
    ink: bool = True
    queue: int = Field(default=3, ge=1, le=1023)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)

    @field_validator("print_char")
    @classmethod
    def _can_stand(cls, char: str) -> str:
        # 0 ends every acknowledgement of the fixed mode.
        if not "!" <= char <= "~" or char == "0":
            raise ValueError("write one printable ASCII character, not 0 and best no digit")
        return char

    @model_validator(mode="after")
    def _cannot_be_confused(self) -> "CodenetConfig":
        if self.nak == "bare" and self.print_char.isdigit():
            raise ValueError(
                "with nak = 'bare' the digits of a NAK that has some would count as prints: write "
                "a print_char that is no digit"
            )
        return self


class Codenet:
    """ports.Printer over Codenet's external data."""

    def __init__(self, name: str, config: CodenetConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._waiting: deque[int] = deque()
        self._asks: dict[str, bool] = {}
        self._link: CoderLink[codec.Message] = CoderLink(
            name,
            config.address,
            context,
            lambda: codec.CodenetCodec(config.print_char, config.ack, config.nak),
            self._take,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            advice="advice_codenet",
        )

    @property
    def capability(self) -> PrinterCapability:
        return PrinterCapability(
            Evidence.EVENT,
            queue=self._config.queue,
            repeat_risk=False,
            clears=True,
            counts="triggers",
        )

    async def open(self) -> None:
        """Connect, ask who it is and have prints told; see ports.Device."""
        self._waiting.clear()
        self._asks = {"O1": True, "1C": True, "T1": True, "Q1": True, "y": self._config.ink}
        await self._link.open()
        model = (await self._link.command("A?", codec.command("A?"), ("A",))).text
        self._link.strict = True
        if self._config.model not in model:
            raise ConfigError(
                *told(
                    "codenet_other", name=self.name, said=f"{model:.60}", wanted=self._config.model
                )
            )
        answer = await self._order(f"I1{self._config.print_char}")
        if answer.kind == codec.NAK:
            raise self._link.fail(
                *told(
                    "codenet_no_prints",
                    name=self.name,
                    char=self._config.print_char,
                    why=_why(answer),
                )
            )

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Queue one record; see ports.Printer. NAK for want of room is an answer, not an error."""
        values = values_of(self.name, self._config.fields, job)
        data = codec.external_data(self.name, self._config.separator.join(values))
        self._link.quiet = True

        def answered(answer: codec.Message) -> None:
            if answer.kind == codec.ACK:
                self._waiting.append(job.ref)

        answer = await self._link.command(
            "OE", data, (codec.ACK, codec.NAK), shown=self._mask(data), answered=answered
        )
        if answer.kind == codec.ACK:
            return True
        if answer.text in codec.FULL:
            return False
        if answer.text in codec.UNKNOWN:
            raise self._link.fail(*told("codenet_no_external", name=self.name, why=_why(answer)))
        raise refused(self.name, "OE", job.ref, _why(answer))

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next print; see ports.Printer."""
        return await self._link.next_event(timeout)

    async def status(self) -> PrinterStatus:
        """State, counter, and what it says of its ink; see ports.Printer. What a model does not
        know (NAK) is not asked again in this session."""
        state = await self._ask("O1")
        if state is None:
            state = await self._ask("1C")
        counter, enabled = await self._ask("T1"), await self._ask("Q1")
        ink = await self._ask("y")
        faults = [] if state is None else [codec.STATES.get(state[:3], f"state_{state[:3]}")]
        faults = [fault for fault in faults if fault != "ready"]
        if enabled == "N":
            faults.append("print_disabled")
        return PrinterStatus(
            ready=not faults,
            faults=tuple(faults),
            counter=int(counter) if counter and counter.isdigit() else None,
            warnings=() if ink is None else codec.ink_of(ink),
        )

    async def clear(self) -> bool:
        """Empty the data queue of this interface; see ports.Printer."""
        queue = 0 if self._config.address.startswith("tcp:") else 1
        answer = await self._link.command(
            "OE0000", codec.command(f"OE0000{queue}"), (codec.ACK, codec.NAK), answered=self._gone
        )
        return answer.kind == codec.ACK

    async def inhibit(self) -> bool:
        """Disable the head; see ports.Inhibit."""
        return (await self._order("Q1N")).kind == codec.ACK

    async def release(self) -> None:
        """Enable the head; see ports.Inhibit."""
        answer = await self._order("Q1Y")
        if answer.kind == codec.NAK:
            raise self._link.fail(*told("codenet_head", name=self.name, why=_why(answer)))

    def _take(self, message: codec.Message, now: float) -> bool:
        if message.kind == codec.FRAME:
            return True  # a frame that answers nothing of ours: its own report
        if message.kind != codec.PRINTED:
            return False
        ref = self._waiting.popleft() if self._waiting else None
        self._link.tell(PrintEventKind.PRINTED, ref, now)
        return True

    def _gone(self, answer: codec.Message) -> None:
        if answer.kind == codec.ACK:
            self._waiting.clear()

    async def _order(self, text: str) -> codec.Message:
        return await self._link.command(text, codec.command(text), (codec.ACK, codec.NAK))

    async def _ask(self, what: str) -> str | None:
        if not self._asks[what]:
            return None
        answer = await self._link.command(f"{what}?", codec.command(f"{what}?"), (what, codec.NAK))
        if answer.kind == codec.NAK:
            self._asks[what] = answer.text not in codec.UNKNOWN
            return None
        return answer.text


def _why(answer: codec.Message) -> str:
    if not answer.text:
        return "NAK"
    return f"NAK {answer.text}, {codec.NAKS.get(answer.text, 'not documented')}"
