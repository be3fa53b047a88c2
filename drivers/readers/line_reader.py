"""Code readers that send one text line for each trigger: `[prefix]code[separator code..]end`.

Nearly every fixed reader can be set to that. GS (0x1D) inside a code survives, an AIM identifier
goes into the read's symbology, and the no-read texts become a reading without reads.
"""

import re
import time
from collections import deque
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agent.core.errors import TransientError
from agent.ports import Read, Reading
from drivers.context import DeviceContext
from drivers.transport import AddressText, Role, Transport

MAX_LINE = 4096
MAX_READINGS = 1024
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")


def _check_bytes(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("write bytes as characters U+0000 to U+00FF, such as \\u0002") from None
    return text


_Bytes = Annotated[str, Field(max_length=32), AfterValidator(_check_bytes)]


class LineReaderConfig(BaseModel):
    """Section of a device of type `line_reader`. `prefix` and `terminator` frame a line,
    `no_read` are the texts that mean "nothing read", `separator` splits several codes of one
    trigger, `heartbeat` is a line to ignore, `silence` the seconds without any line after which
    the reader counts as lost (only where it sends a heartbeat)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["line_reader"] = "line_reader"
    address: AddressText
    role: Role = "client"
    prefix: _Bytes = ""
    terminator: _Bytes = Field(default="\r\n", min_length=1)
    no_read: tuple[str, ...] = ("NOREAD", "ERROR")
    separator: _Bytes = ""
    heartbeat: str = ""
    silence: float | None = Field(default=None, gt=0, le=3600)
    encoding: Literal["ascii", "utf-8", "gbk", "gb18030", "latin-1"] = "utf-8"
    connect_timeout: float = Field(default=3.0, gt=0, le=60)

    @model_validator(mode="after")
    def _consistent(self) -> "LineReaderConfig":
        if "\x1d" in self.terminator or "\x1d" in self.separator:
            raise ValueError("GS (0x1D) is part of GS1 codes and can be no terminator or separator")
        if self.silence is not None and not self.heartbeat:
            raise ValueError("'silence' needs 'heartbeat': a reader without codes is silent too")
        return self


class LineCodec:
    """Bytes to readings, whatever the reads were; no I/O.

    A line longer than `MAX_LINE` bytes is dropped up to its terminator; what stands before the
    prefix or is not in the character set is dropped too. `dropped` counts such lines.
    """

    def __init__(self, config: LineReaderConfig) -> None:
        self._config = config
        self._prefix = config.prefix.encode("latin-1")
        self._end = config.terminator.encode("latin-1")
        self._separator = config.separator.encode("latin-1")
        self._buffer = bytearray()
        self._overlong = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[tuple[Read, ...]]:
        """The readings that became complete, in order; heartbeats are none."""
        readings: list[tuple[Read, ...]] = []
        self._buffer += data
        begin = 0
        while (at := self._buffer.find(self._end, begin)) >= 0:
            reads = None if self._overlong else self._line(bytes(self._buffer[begin:at]))
            self._overlong = False
            if reads is not None:
                readings.append(reads)
            begin = at + len(self._end)
        del self._buffer[:begin]
        if len(self._buffer) > MAX_LINE:
            # The terminator itself may have come in part.
            del self._buffer[: len(self._buffer) - len(self._end) + 1]
            self.dropped += not self._overlong
            self._overlong = True
        return readings

    def _line(self, line: bytes) -> tuple[Read, ...] | None:
        if self._prefix:
            _, found, line = line.rpartition(self._prefix)
            if not found:
                self.dropped += 1
                return None
        if not line:
            return None
        if len(line) > MAX_LINE:
            self.dropped += 1
            return None
        try:
            text = line.decode(self._config.encoding)
            if text == self._config.heartbeat:
                return None
            parts = line.split(self._separator) if self._separator else [line]
            texts = [part.decode(self._config.encoding) for part in parts]
        except UnicodeDecodeError:
            self.dropped += 1
            return ()
        return tuple(_read(part) for part in texts if part and part not in self._config.no_read)


def _read(text: str) -> Read:
    aim = _AIM.match(text)
    if aim and len(text) > 3:
        return Read(text=text[3:], symbology=aim.group())
    return Read(text=text)


class LineReader:
    """ports.CodeReader over `LineCodec`."""

    def __init__(self, name: str, config: LineReaderConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._transport = Transport(
            name,
            config.address,
            role=config.role,
            connect_timeout=config.connect_timeout,
            context=context,
        )
        self._codec = LineCodec(config)
        self._readings: deque[Reading] = deque()
        self._heard = 0.0

    async def open(self) -> None:
        """Connect, or wait until the reader connects; see ports.Device."""
        await self._transport.open()
        self._codec = LineCodec(self._config)
        self._readings.clear()
        self._heard = time.monotonic()

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._transport.close()

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in the order of arrival; see ports.CodeReader. For one caller at a
        time."""
        end = time.monotonic() + timeout
        silence = self._config.silence
        while not self._readings:
            now = time.monotonic()
            if silence is not None and now - self._heard > silence:
                raise TransientError(
                    f"{self.name} at {self._config.address} said nothing for {silence:g} s. "
                    f"Check its power and network, and that its heartbeat is switched on."
                )
            if now > end:
                return None
            wait = max(0.0, end - now)
            data = await self._transport.read_some(wait if silence is None else min(wait, silence))
            if data is None:
                if silence is None:
                    return None
                continue
            self._heard = received = time.monotonic()
            for reads in self._codec.feed(data):
                if len(self._readings) >= MAX_READINGS:
                    raise TransientError(
                        f"{self.name} sent {MAX_READINGS} lines at once, more than any line of "
                        f"products can. Check its trigger and its no-read text."
                    )
                self._readings.append(Reading(reads, received))
        return self._readings.popleft()
