"""Cognex DataMan readers by their own command protocol (DMCC), TCP 23 or serial.

Commands are `||0:ID>COMMAND CR LF`; with extended responses the reader answers
`||0:ID[STATUS]DATA CR LF`, and what it reads comes as status 1 with base64 data (Cognex, DataMan
Communications and Programming Guide, "DMCC Overview"). Readings as plain lines are taken too.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from functools import reduce
from itertools import count
from operator import xor
from typing import Literal

from pydantic import Field

from agent.core.errors import in_words, say
from agent.ports.devices import DeviceCheck
from drivers.context import DeviceContext
from drivers.readers.asked import AskedReader, Refused
from drivers.readers.cutter import LineCutter
from drivers.readers.link import ReaderLink
from drivers.readers.payload import Answer, Heard, PayloadConfig
from drivers.transport import AddressText

MAX_LINE = 8192
_END = b"\r\n"
_READ = 1
# `||` options `[` status `]` data. A command without options is answered without them (`||[0]`),
# and newer firmware writes others of its own before the status (`||:::2[0]`).
_REPLY = re.compile(rb"\|\|([0-9:]{0,40})\[(\d{1,3})\](.*)", re.DOTALL)
# What a telnet server says of its options (RFC 854): nothing that we need to answer.
_TELNET = re.compile(rb"\xff[\xfb-\xfe].", re.DOTALL)
_ESCAPES = {'"': r"\"", "\\": r"\\", "|": r"\|", "\t": r"\t", "\r": r"\r", "\n": r"\n"}
_STATUS = {
    100: "dmcc_no_reason",
    101: "dmcc_no_command",
    102: "dmcc_no_value",
    103: "dmcc_checksum",
    104: "dmcc_state",
    105: "dmcc_offline",
}
_OFFLINE = 105


class DmccConfig(PayloadConfig):
    """Section of a device of type `dmcc`. `model` must stand in what the reader says it is (such as
    "DM370"); "" takes any. `checksum` puts the XOR of a message's bytes before its end."""

    type: Literal["dmcc"] = "dmcc"
    address: AddressText
    model: str = Field("", max_length=40)
    checksum: bool = False
    no_read: tuple[str, ...] = Field(("NO READ", "NO-READ", "NOREAD"), max_length=16)
    alive_s: float = Field(5.0, ge=0, le=3600)
    connect_timeout: float = Field(3.0, gt=0, le=60)
    reply_timeout: float = Field(2.0, gt=0, le=60)


def command(number: int, text: str, checksum: bool = False) -> bytes:
    """The bytes of a command with its number."""
    data = f"||{int(checksum)}:{number}>{text}".encode("latin-1")
    return data + (bytes([reduce(xor, data)]) if checksum else b"") + _END


def quoted(text: str) -> str:
    """A string argument: in quotes, with every character escaped that has a meaning of its own."""
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


class DmccCodec(LineCutter):
    """Bytes to readings and answers; no I/O. `dropped` counts lines that were neither."""

    def __init__(self, config: PayloadConfig) -> None:
        super().__init__(_END, MAX_LINE, config)

    def feed(self, data: bytes) -> list[Heard | Answer]:
        """The messages that became complete, in order."""
        found = [self._line(line) for line in self._cut(data)]
        return [one for one in found if one is not None]

    def _line(self, line: bytes) -> Heard | Answer | None:
        line = _TELNET.sub(b"", line)
        if not line:
            return None
        match = _REPLY.fullmatch(line)
        if match is None:
            if line.startswith(b"||"):
                self.dropped += 1
                return None
            return self._reading(line)
        options, status, data = match[1], int(match[2]), match[3]
        if options.startswith(b"1"):
            if not data or reduce(xor, line) != 0:
                self.dropped += 1
                return None
            data = data[:-1]
        if status == _READ:
            try:
                data = base64.b64decode(data, validate=True)
            except binascii.Error:
                self.dropped += 1
                return Heard(())
            return self._reading(data)
        number = re.fullmatch(rb"[01]?:(\d{1,9})", options)
        key = number[1].decode() if number else ""
        return Answer(key, status, data.decode("latin-1").strip())


class DmccReader(AskedReader):
    """ports.CodeReader over DMCC."""

    def __init__(self, name: str, config: DmccConfig, context: DeviceContext) -> None:
        self._config = config
        self._numbers = count(1)
        link = ReaderLink(
            name,
            config.address,
            context,
            lambda: DmccCodec(config),
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            alive_s=config.alive_s,
            alive=self._identify,
            clean=lambda head: _TELNET.sub(b"", head),
            advice="advice_dmcc",
        )
        super().__init__(name, config.model, link)

    async def _greeted(self) -> bool:
        """Switch extended responses on, and ask what it is."""
        # Silent until this is done, so no answer is owed to it.
        data = command(next(self._numbers), "SET COM.DMCC-RESPONSE 1", self._config.checksum)
        await self._link.send("SET COM.DMCC-RESPONSE", data)
        await self._identify()
        return True

    async def trigger(self, on: bool = True) -> None:
        """Start a reading by command, or end it. TransientError when the reader refuses."""
        await self._ask(f"TRIGGER {'ON' if on else 'OFF'}")

    async def fire(self) -> bool:
        """Start a reading; see ports.Fired."""
        await self.trigger()
        return True

    async def check(self) -> Sequence[DeviceCheck]:
        """What the reader says of itself; see ports.Checked."""
        found = [DeviceCheck(True, say("model", model=await self._identify()))]
        for name in ("DEVICE.NAME", "DEVICE.FIRMWARE-VER"):
            try:
                said = await self._ask(f"GET {name}")
                found.append(DeviceCheck(True, say("setting", name=name, value=said)))
            except Refused as refused:
                found.append(DeviceCheck(refused.status != _OFFLINE, in_words(refused)))
        return found

    async def _identify(self) -> str:
        return self._checked(await self._ask("GET DEVICE.TYPE"))

    async def _ask(self, text: str) -> str:
        number = next(self._numbers)
        data = command(number, text, self._config.checksum)
        answer = await self._link.ask(text, str(number), data)
        if answer.code:
            known = _STATUS.get(answer.code)
            why = say(known) if known else say("reader_status", status=answer.code)
            raise self._refused(text, answer.code, why)
        return answer.text
