"""What a TSPL printer says: `<ESC>!S` and `<ESC>!?` answers. Bytes to frozen dataclasses, no I/O.

Sources: TSC's TSPL/TSPL2 programming manual (`<ESC>!S`: STX, four bytes, ETX CR LF); `<ESC>!?` is
one byte of bits, widely used by clones, restated in docs/devices.md.
"""

import re
from dataclasses import dataclass

MAX_BUFFER = 256

_FRAME = re.compile(rb"\x02([\x40-\x7f]{4})\x03(?:\r\n)?")

_MESSAGE = {
    "@": "",
    "`": "paused",
    "B": "working",
    "C": "working",
    "E": "error",
    "F": "working",
    "K": "wait_key",
    "L": "",  # the label is out and waits to be taken
    "P": "working",
    "W": "working",
}
_WARNING = {0x08: "buffer_full"}
_ERROR_1 = {0x01: "head_hot", 0x02: "motor_hot", 0x08: "cutter_fault", 0x10: "memory_full"}
_ERROR_2 = {
    0x01: "paper_out",
    0x02: "paper_jam",
    0x04: "ribbon_out",
    0x08: "ribbon_jam",
    0x20: "head_open",
}
_SHORT = {
    0x01: "head_open",
    0x02: "paper_jam",
    0x04: "paper_out",
    0x08: "ribbon_out",
    0x10: "paused",
    0x40: "other_40",
    0x80: "other_80",
}
_SHORT_WORKING = 0x20


@dataclass(frozen=True, slots=True)
class TsplStatus:
    """`working` = a label is being made; `faults` are stable keys."""

    working: bool
    faults: tuple[str, ...]


class TsplCodec:
    """Answers to the questions that the driver says it asked: with `short` set every byte is one,
    as many as are `owed`; more at once are noise, since a line of text is no status."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.noise = 0
        self.short = False
        self.owed = 0

    def feed(self, data: bytes) -> list[TsplStatus]:
        """The answers that became complete, in order."""
        if self.short:
            if len(data) > self.owed:
                self.noise += len(data)
                self.owed = 0
                return []
            self.owed -= len(data)
            return [_short(byte) for byte in data]
        found = []
        for at in range(0, len(data), MAX_BUFFER):
            self._buffer += data[at : at + MAX_BUFFER]
            while (frame := _FRAME.search(self._buffer)) is not None:
                found.append(_full(bytes(frame[1])))
                self._cut(frame.start(), noise=True)
                self._cut(frame.end() - frame.start(), noise=False)
            # A line end that came after its frame was read is nothing; a frame may have begun.
            if bytes(self._buffer) in (b"\r", b"\n", b"\r\n"):
                self._buffer.clear()
            begun = self._buffer.rfind(b"\x02")
            if begun < 0 or len(self._buffer) - begun > 5:
                self._cut(len(self._buffer), noise=True)
            else:
                self._cut(begun, noise=True)
        return found

    def _cut(self, count: int, noise: bool) -> None:
        self.noise += count if noise else 0
        del self._buffer[:count]


def _full(body: bytes) -> TsplStatus:
    message = _MESSAGE.get(chr(body[0]), "error")
    faults = [
        name
        for byte, names in zip(body[1:], (_WARNING, _ERROR_1, _ERROR_2), strict=True)
        for bit, name in names.items()
        if byte & bit
    ]
    if message in ("paused", "wait_key") or (message == "error" and not faults):
        faults.append(message)
    return TsplStatus(message == "working", tuple(faults))


def _short(byte: int) -> TsplStatus:
    faults = tuple(name for bit, name in _SHORT.items() if byte & bit)
    return TsplStatus(bool(byte & _SHORT_WORKING), faults)
