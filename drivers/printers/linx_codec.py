"""EXPERIMENTAL: frames in the manner of Linx RCI, as Chinese ink jets speak them; no I/O.

`1B 02 [machine] CMD data 1B 03 CHK`, answered `1B 06|15 P-status C-status CMD data 1B 03 CHK`; 1B
in data is doubled. Public notes contradict each other about CHK: the two's complement of the sum of
all bytes, or of all but the ESC bytes. So the rule is an option, to be proven with the harmless
status command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.printers.values import forbidden, too_long, wrong_charset

ESC, STX, ETX, ACK, NAK = 0x1B, 0x02, 0x03, 0x06, 0x15
MAX_FRAME = 2048
MAX_TEXT = 512

STOP, START, STATUS, FIELD, CLEAR, WAITING = 0x12, 0x11, 0x14, 0x1D, 0x21, 0x33
GOOD, JUST_FULL, STILL_FULL = 0, 66, 67
REFUSALS = {
    1: "printer fault",
    14: "too few fields",
    16: "no such message",
    17: "printing already",
    18: "not printing",
    20: "print interval too short",
}

Rule = Literal["no_esc", "all"]
Charset = Literal["ascii", "gbk", "utf-8"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: `kind` is the command in two hexadecimal digits."""

    kind: str
    good: bool
    machine: int
    status: int
    data: bytes = b""


def checksum(frame: bytes, rule: Rule) -> int:
    """CHK of a frame from its first ESC to ESC ETX, doubled bytes as they are on the wire."""
    escapes = frame.count(ESC) * ESC if rule == "no_esc" else 0
    return -(sum(frame) - escapes) & 0xFF


def command(number: int, data: bytes = b"", *, machine: int | None, rule: Rule) -> bytes:
    """The bytes of a command; `machine` None: no machine number is sent."""
    body = bytes([number]) + data if machine is None else bytes([machine, number]) + data
    frame = bytes([ESC, STX]) + body.replace(b"\x1b", b"\x1b\x1b") + bytes([ESC, ETX])
    return frame + bytes([checksum(frame, rule)])


def field_data(device: str, values: Sequence[str], encoding: Charset) -> bytes:
    """Data of the command that fills remote fields: two bytes of length (low first), then the
    text. DomainError, and nothing may be sent: a text that the field cannot hold."""
    text = "".join(values)
    bad = next((char for char in text if ord(char) < 0x20 or ord(char) == 0x7F), None)
    if bad is not None or not text:
        raise forbidden(device, repr(bad) if bad else "nothing at all (an empty record)")
    try:
        raw = text.encode(encoding)
    except UnicodeEncodeError as error:
        raise wrong_charset(device, encoding, text, error.start) from None
    if len(raw) > MAX_TEXT:
        raise too_long(device, MAX_TEXT, len(raw))
    return len(raw).to_bytes(2, "little") + raw


class LinxCodec:
    """Cuts answers; one whose checksum is wrong counts as `noise`."""

    def __init__(self, rule: Rule) -> None:
        self._rule: Rule = rule
        self._buffer = bytearray()
        self.expected: Sequence[str] = ()
        self.noise = 0

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that became complete, in order."""
        answers: list[Answer] = []
        for at in range(0, len(data), MAX_FRAME):
            self._buffer += data[at : at + MAX_FRAME]
            while self._next(answers):
                pass
        return answers

    def _next(self, answers: list[Answer]) -> bool:
        """Take one step; False when more bytes are needed."""
        buffer = self._buffer
        begin = buffer.find(ESC)
        if begin < 0:
            self._drop(len(buffer))
            return False
        self._drop(begin)
        if len(buffer) < 2:
            return False
        if buffer[1] not in (ACK, NAK):
            self._drop(1)
            return True
        at, body = 2, bytearray()
        while True:
            if at + 1 >= len(buffer):
                break
            if buffer[at] != ESC:
                body.append(buffer[at])
                at += 1
            elif buffer[at + 1] == ESC:
                body.append(ESC)
                at += 2
            elif buffer[at + 1] == ETX and at + 2 < len(buffer):
                self._end(at + 2, body, answers)
                return True
            elif buffer[at + 1] == ETX:
                break
            else:
                self._drop(at)  # cut off: something else begins
                return True
        if len(buffer) > MAX_FRAME:
            self._drop(1)
            return True
        return False

    def _end(self, end: int, body: bytearray, answers: list[Answer]) -> None:
        buffer = self._buffer
        if len(body) < 3 or checksum(bytes(buffer[:end]), self._rule) != buffer[end]:
            self._drop(end + 1)
            return
        machine, status, number = body[:3]
        good = buffer[1] == ACK
        answers.append(Answer(f"{number:02x}", good, machine, status, bytes(body[3:])))
        del buffer[: end + 1]

    def _drop(self, count: int) -> None:
        self.noise += count
        del self._buffer[:count]
