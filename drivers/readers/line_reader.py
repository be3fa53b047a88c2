"""Code readers that send one text line for each trigger: `[prefix]code[separator code..]end`.

Nearly every fixed reader can be set to that; how each is set when it comes from its maker is a
profile of config/readers. GS (0x1D) inside a code survives, an AIM identifier goes into the read's
symbology, and the no-read texts become a reading without reads.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from agent.core.errors import DomainError, say
from agent.ports.devices import DeviceCheck
from agent.ports.reading import Reading
from drivers.context import DeviceContext
from drivers.readers.cutter import LineCutter
from drivers.readers.link import ReaderLink
from drivers.readers.payload import Bytes, Heard, PayloadConfig
from drivers.transport import AddressText, Role

MAX_LINE = 4096


class LineReaderConfig(PayloadConfig):
    """Section of a device of type `line_reader`. `prefix` and `terminator` frame a line,
    `heartbeat` is a line to ignore, `silence` the seconds without any line after which
    the reader counts as lost (only where it sends a heartbeat). `trigger_on` and `trigger_off` are
    what starts and ends a reading by command, where the reader takes any."""

    type: Literal["line_reader"] = "line_reader"
    address: AddressText
    role: Role = "client"
    prefix: Bytes = ""
    terminator: Bytes = Field(default="\r\n", min_length=1)
    heartbeat: str = Field("", max_length=64)
    silence: float | None = Field(default=None, gt=0, le=3600)
    trigger_on: Bytes = ""
    trigger_off: Bytes = ""
    connect_timeout: float = Field(default=3.0, gt=0, le=60)

    @model_validator(mode="after")
    def _consistent(self) -> "LineReaderConfig":
        if "\x1d" in self.terminator:
            raise ValueError("GS (0x1D) is part of GS1 codes and can be no terminator or separator")
        if self.silence is not None and not self.heartbeat:
            raise ValueError("'silence' needs 'heartbeat': a reader without codes is silent too")
        if self.trigger_off and not self.trigger_on:
            raise ValueError("'trigger_off' needs 'trigger_on': write both or neither")
        for text in self.no_read:
            if text == self.heartbeat or self.terminator in text:
                raise ValueError(f"the no_read text {text!r} is the heartbeat or holds the end")
        return self


class LineCodec(LineCutter):
    """Bytes to readings, whatever the reads were; no I/O.

    A line longer than `MAX_LINE` bytes is dropped up to its terminator; what stands before the
    prefix, is not in the character set or lacks its trigger's number is dropped too. `dropped`
    counts such lines.
    """

    def __init__(self, config: LineReaderConfig) -> None:
        super().__init__(config.terminator.encode("latin-1"), MAX_LINE, config)
        self._prefix = config.prefix.encode("latin-1")
        self._alive = config.heartbeat.encode(config.encoding)

    def feed(self, data: bytes) -> list[Heard]:
        """The readings that became complete, in order; heartbeats are none."""
        found = [self._line(line) for line in self._cut(data)]
        return [one for one in found if one is not None]

    def _line(self, line: bytes) -> Heard | None:
        if self._prefix:
            _, found, line = line.rpartition(self._prefix)
            if not found:
                self.dropped += 1
                return None
        if not line or (self._alive and line == self._alive):
            return None
        return self._reading(line)


class LineReader:
    """ports.CodeReader over `LineCodec`."""

    def __init__(self, name: str, config: LineReaderConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._link = ReaderLink(
            name,
            config.address,
            context,
            lambda: LineCodec(config),
            role=config.role,
            connect_timeout=config.connect_timeout,
            silence=config.silence,
            advice="advice_line",
        )

    async def open(self) -> None:
        """Connect, or wait until the reader connects; see ports.Device."""
        await self._link.open()

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in the order of arrival; see ports.CodeReader. For one caller at a
        time."""
        return await self._link.next_reading(timeout)

    async def trigger(self, on: bool = True) -> None:
        """Start a reading by command, or end it. DomainError where no bytes are known for it."""
        data = self._config.trigger_on if on else self._config.trigger_off
        if on and not data:
            raise DomainError(
                "no_trigger",
                f"{self.name} has no trigger_on: write the bytes that fire it, or use its button.",
            )
        if data:
            await self._link.send("trigger_on" if on else "trigger_off", data.encode("latin-1"))

    async def fire(self) -> bool:
        """Start a reading where bytes are known for it; see ports.Fired."""
        if self._config.trigger_on:
            await self.trigger()
        return bool(self._config.trigger_on)

    async def check(self) -> Sequence[DeviceCheck]:
        """What can be known of a reader that only reads; see ports.Checked."""
        if self._config.silence is not None:
            return [DeviceCheck(True, say("heartbeat", s=f"{self._config.silence:g}"))]
        return [DeviceCheck(True, say("says_nothing"))]
