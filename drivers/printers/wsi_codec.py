"""Videojet WSI "simple protocol" of the 1000 line: STX .. ETX, and replies that sum it up.

Source: Videojet, WSI communications protocol, revision AD (2013). The host sends no checksum; the
device answers `$XX` or `!XX`, XX being the sum of the bytes that it took, which proves that this is
the answer to this command.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.printers.values import forbidden, too_long, wrong_charset

STX, ETX = 0x02, 0x03
MAX_FRAME = 1024
MAX_VALUE = 50
MAX_NAME = 30

OK, BAD, FRAME = "ok", "bad", "frame"
NAME, FAULTS, COUNT = "name", "faults", "count"

_BITS = (
    ("charge_error", "eht_trip", "gutter", "ink_core_empty"),
    ("pump", "cabinet_hot", "core_service", "viscosity"),
    ("nozzle", "modulation_chip", "no_phase_response", "threshold_min"),
    ("threshold_max", "auto_modulation", "initial_trim", "modulation_readback"),
    ("raster_overflow", "valve", "core_not_filling", "ink_low"),
    ("clock_not_set", "ink_mismatch", "eht_calibration", ""),
)
GREEN, AMBER, RED = 1, 2, 4

_TOKEN = re.compile(rb"[\x02$!]")
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")
_FAULTS = re.compile(r"[0-9A-Fa-f]{6} ?[0-7]")
_COUNT = re.compile(r"[0-9]{8,10}")


@dataclass(frozen=True, slots=True)
class Message:
    """What the device said: ok or bad with the sum in `text`, or a frame (`name`, `faults`,
    `count`: as what it was expected) with what is between STX and ETX."""

    kind: str
    text: str = ""


class WsiCodec:
    """Cuts replies and frames. A frame that has not the shape of what is expected is `frame`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.expected: Sequence[str] = ()
        self.noise = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that became complete, in order."""
        messages: list[Message] = []
        for at in range(0, len(data), MAX_FRAME):
            self._buffer += data[at : at + MAX_FRAME]
            while (message := self._next()) is not None:
                messages.append(message)
        return messages

    def _next(self) -> Message | None:
        buffer = self._buffer
        while found := _TOKEN.search(buffer):
            self._drop(found.start())
            if buffer[0] != STX:
                if len(buffer) < 3:
                    return None
                digits = bytes(buffer[1:3])
                if _HEX.fullmatch(digits):
                    kind = OK if buffer[0] == ord("$") else BAD
                    del buffer[:3]
                    return Message(kind, digits.decode().upper())
                self._drop(1)
                continue
            end, again = buffer.find(ETX), buffer.find(STX, 1)
            if again >= 0 and (end < 0 or again < end):  # cut off: a new frame begins
                self._drop(again)
            elif end < 0 and len(buffer) <= MAX_FRAME:
                return None
            elif end < 0 or end > MAX_FRAME:
                self._drop(1)
            else:
                text = buffer[1:end].decode("ascii", "replace")
                del buffer[: end + 1]
                return Message(self._kind(text), text)
        self._drop(len(buffer))
        return None

    def _kind(self, text: str) -> str:
        if FAULTS in self.expected and _FAULTS.fullmatch(text):
            return FAULTS
        if COUNT in self.expected and _COUNT.fullmatch(text):
            return COUNT
        return NAME if NAME in self.expected else FRAME

    def _drop(self, count: int) -> None:
        self.noise += count
        del self._buffer[:count]


def command(body: str) -> bytes:
    """STX, an ASCII command, ETX."""
    return bytes([STX]) + body.encode("ascii") + bytes([ETX])


def checksum(body: str) -> str:
    """The two hexadecimal digits with which the device answers this command."""
    return f"{sum(body.encode('ascii')) % 256:02X}"


def update(device: str, field: str, value: str) -> str:
    """The command that sets a user field. DomainError, and nothing may be sent: a value that the
    field cannot hold."""
    if not value.strip():
        raise forbidden(device, "nothing at all (a blank field)")
    bad = next((char for char in value if ord(char) < 0x20 or ord(char) == 0x7F), None)
    if bad is not None:
        raise forbidden(device, repr(bad))
    wide = next((at for at, char in enumerate(value) if ord(char) > 0x7F), None)
    if wide is not None:
        raise wrong_charset(device, "ASCII", value, wide)
    if len(value) > MAX_VALUE:
        raise too_long(device, MAX_VALUE, len(value), "characters a field")
    return f"U{field}\n{value}"


def faults_of(text: str) -> tuple[tuple[str, ...], int]:
    """Keys of the fault bits of `EEEEEE A`, and the traffic light (GREEN, AMBER, RED)."""
    found = []
    for digit, names in zip(text[:6], _BITS, strict=True):
        value = int(digit, 16)
        found += [name for bit, name in enumerate(names) if value >> bit & 1 and name]
    return tuple(found), int(text[-1], 16)
