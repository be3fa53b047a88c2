"""Keyence SR readers (SR-700, SR-1000, SR-2000, SR-X): text commands that end with CR, TCP 9004 or
serial.

`LON` and `LOFF` start and end a reading; a command is answered `OK,COMMAND[,..]` or
`ER,COMMAND,NN`, and what is read comes as a line of its own, `ERROR` for nothing (the maker's
manuals as restated by the open SRX library; LON and LOFF may stay without an answer).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from pydantic import Field

from agent.core.errors import say
from agent.ports.devices import DeviceCheck
from drivers.context import DeviceContext
from drivers.readers.asked import AskedReader, Refused
from drivers.readers.cutter import LineCutter
from drivers.readers.link import ReaderLink
from drivers.readers.payload import Answer, Heard, PayloadConfig
from drivers.transport import AddressText, Role

MAX_LINE = 8192
# A line of this shape is an answer whoever waits for it: a late one must never become a code.
_ANSWER = re.compile(
    rb"(OK|ER),(LON|LOFF|KEYENCE|ERRSTAT|CMDSTAT|BUSYSTAT|EMAC|NUM|RESET|TEST\d?)(?:,(.*))?",
    re.DOTALL,
)
_ERRORS = {
    0: "keyence_no_command",
    1: "keyence_form",
    20: "keyence_state",
    21: "keyence_overflow",
    22: "keyence_settings",
    23: "keyence_navigator",
    99: "keyence_fault",
}


class KeyenceConfig(PayloadConfig):
    """Section of a device of type `keyence_sr`. `model` must stand in what the reader says it is
    (such as "SR-2000"); "" takes any. In role server the reader pushes what it reads to our
    address, and is asked nothing unless `commands` is true."""

    type: Literal["keyence_sr"] = "keyence_sr"
    address: AddressText
    role: Role = "client"
    commands: bool = True
    model: str = Field("", max_length=40)
    no_read: tuple[str, ...] = Field(("ERROR",), max_length=16)
    alive_s: float = Field(5.0, ge=0, le=3600)
    connect_timeout: float = Field(3.0, gt=0, le=60)
    reply_timeout: float = Field(2.0, gt=0, le=60)


class KeyenceCodec(LineCutter):
    """Bytes to readings and answers; no I/O. `dropped` counts lines that were neither. Lines end
    with CR; a LF behind it, as some are set up, is ignored."""

    def __init__(self, config: PayloadConfig) -> None:
        super().__init__(b"\r", MAX_LINE, config)

    def feed(self, data: bytes) -> list[Heard | Answer]:
        """The messages that became complete, in order."""
        found = [self._line(line) for line in self._cut(data)]
        return [one for one in found if one is not None]

    def _line(self, line: bytes) -> Heard | Answer | None:
        line = line.removeprefix(b"\n")
        if not line:
            return None
        answer = _ANSWER.fullmatch(line)
        if answer is not None:
            said = (answer[3] or b"").decode("latin-1")
            key = answer[2].decode()
            if answer[1] == b"OK":
                return Answer(key, 0, said)
            # An error without a number that we can read is still none of success.
            return Answer(key, int(said) if re.fullmatch(r"\d{1,3}", said) else -1, said)
        return self._reading(line)


class KeyenceReader(AskedReader):
    """ports.CodeReader over Keyence's command interface."""

    def __init__(self, name: str, config: KeyenceConfig, context: DeviceContext) -> None:
        self._config = config
        link = ReaderLink(
            name,
            config.address,
            context,
            lambda: KeyenceCodec(config),
            role=config.role,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            alive_s=config.alive_s if config.commands else 0.0,
            alive=self._identify,
            advice="advice_keyence",
        )
        super().__init__(name, config.model, link)

    async def _greeted(self) -> bool:
        if self._config.commands:
            await self._identify()
        return self._config.commands

    async def trigger(self, on: bool = True) -> None:
        """Start a reading by command, or end it. Whether it was taken shows by what is read."""
        await self._link.send("LON" if on else "LOFF", b"LON\r" if on else b"LOFF\r")

    async def fire(self) -> bool:
        """Start a reading, unless the reader is asked nothing; see ports.Fired."""
        if self._config.commands:
            await self.trigger()
        return self._config.commands

    async def check(self) -> Sequence[DeviceCheck]:
        """What the reader says of itself; see ports.Checked."""
        if not self._config.commands:
            return [DeviceCheck(True, say("pushes"))]
        found = [DeviceCheck(True, say("model", model=await self._identify()))]
        with suppress(Refused):  # a model that does not know this command
            state = await self._ask("ERRSTAT")
            good = state.lower() in ("none", "")
            found.append(DeviceCheck(good, say("error_state", state=state or "-")))
        return found

    async def _identify(self) -> str:
        return self._checked(await self._ask("KEYENCE"))

    async def _ask(self, text: str) -> str:
        answer = await self._link.ask(text, text, f"{text}\r".encode())
        if answer.code:
            known = _ERRORS.get(answer.code)
            why = say(known) if known else say("reader_status", status=answer.text)
            raise self._refused(text, answer.code, why)
        return answer.text
