"""Domino Codenet: frames ESC .. EOT, acknowledgements, and the print-acknowledge character; no I/O.

Sources: public notes on the Ax manual EPT033760 and on an A200+; front matter of CS00145. The
character that tells a print stands between answers and is often a digit, and so are the digits of
a negative acknowledgement: they are taken as digits first, or NAK 024 would be a print.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.printers.values import forbidden, too_long, wrong_charset

ESC, EOT, ACK_BYTE, NAK_BYTE = 0x1B, 0x04, 0x06, 0x15
MAX_FRAME = 2048
MAX_DATA = 1024

ACK, NAK, PRINTED, FRAME = "ack", "nak", "printed", "frame"
QUERIES = ("O1", "1C", "T1", "Q1", "P1", "A", "y")

FULL = ("000", "050", "027", "")
"""Refusals that mean: not now. Software error (seen when full), busy, printing disabled, and the
bare NAK of those that send no digits."""
UNKNOWN = ("003", "020")

NAKS: Mapping[str, str] = {
    "000": "software error, or full",
    "002": "ESC expected",
    "003": "unknown command",
    "004": "characters after EOT",
    "005": "no such head",
    "007": "out of range",
    "008": "no such label",
    "009": "syntax",
    "010": "too long",
    "011": "too long",
    "012": "format",
    "013": "character not allowed",
    "016": "label",
    "017": "label",
    "020": "not implemented",
    "024": "checksum",
    "027": "printing disabled",
    "050": "busy",
    "051": "internal error",
    "052": "no such file",
}

STATES: Mapping[str, str] = {
    "000": "ready",
    "001": "ready",
    "002": "starting",
    "003": "shutting_down",
    "009": "standby",
    "011": "fault",
    "012": "initialising",
}

AckMode = Literal["variable", "fixed"]
NakMode = Literal["digits", "bare"]


@dataclass(frozen=True, slots=True)
class Message:
    """What the device said: `kind` ack, nak (`text` its digits), printed, or the command that a
    frame answers (`text` what follows it), "frame" for any other frame."""

    kind: str
    text: str = ""


class CodenetCodec:
    """`char` is the print-acknowledge character that was asked for; `ack` whether the device sends
    a lone ACK or ACK and three digits, `nak` whether NAK has its three digits."""

    def __init__(self, char: str, ack: AckMode = "variable", nak: NakMode = "digits") -> None:
        self._char = ord(char)
        self._fixed = ack == "fixed"
        self._bare = nak == "bare"
        self._special = re.compile(b"[\x06\x15\x1b" + re.escape(char.encode("ascii")) + b"]")
        self._frame: bytearray | None = None
        self._digits: tuple[str, str] | None = None  # the kind that they belong to, and these
        self.expected: Sequence[str] = ()
        self.noise = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that became complete, in order."""
        messages: list[Message] = []
        at = 0
        while at < len(data):
            if self._frame is not None:
                at = self._in_frame(self._frame, data, at, messages)
            elif self._digits is not None:
                at = self._in_digits(*self._digits, data, at, messages)
            else:
                found = self._special.search(data, at)
                start = len(data) if found is None else found.start()
                self.noise += start - at
                at = start
                if at < len(data):
                    self._begin(data[at], messages)
                    at += 1
        return messages

    def _begin(self, byte: int, messages: list[Message]) -> None:
        if byte == ESC:
            self._frame = bytearray()
        elif byte == NAK_BYTE and self._bare:
            messages.append(Message(NAK))
        elif byte == NAK_BYTE:
            self._digits = NAK, ""
        elif byte == ACK_BYTE and self._fixed:
            self._digits = ACK, ""
        elif byte == ACK_BYTE:
            messages.append(Message(ACK))
        else:
            messages.append(Message(PRINTED))

    def _in_digits(
        self, kind: str, digits: str, data: bytes, at: int, messages: list[Message]
    ) -> int:
        byte = data[at]
        if 0x30 <= byte <= 0x39:
            digits += chr(byte)
            done = len(digits) == 3
            self._digits = None if done else (kind, digits)
            if done:
                messages.append(Message(kind, digits))
            return at + 1
        if byte == self._char:  # no digit: a print between the bytes of the answer
            messages.append(Message(PRINTED))
            return at + 1
        self._digits = None  # it was a bare one; this byte begins something else
        messages.append(Message(kind, ""))
        self.noise += len(digits)
        return at

    def _in_frame(self, frame: bytearray, data: bytes, at: int, messages: list[Message]) -> int:
        end, again = data.find(EOT, at), data.find(ESC, at)
        if again >= 0 and (end < 0 or again < end):  # cut off: a new frame begins
            self.noise += len(frame) + again - at + 1
            frame.clear()
            return again + 1
        stop = end if end >= 0 else len(data)
        frame += data[at : min(stop, at + MAX_FRAME + 1 - len(frame))]
        # One that is too long is skipped to its end: its bytes are no prints.
        if end >= 0 and len(frame) > MAX_FRAME:
            self.noise += len(frame)
            self._frame = None
        elif end >= 0:
            self._frame = None
            message = _answer(bytes(frame))
            if message is None:
                self.noise += len(frame)
            else:
                messages.append(message)
        return len(data) if end < 0 else end + 1


def _answer(body: bytes) -> Message | None:
    if not body or not all(0x20 <= byte < 0x7F for byte in body):
        return None
    text = body.decode("ascii")
    kind = next((query for query in QUERIES if text.startswith(query)), None)
    return Message(FRAME, text) if kind is None else Message(kind, text[len(kind) :])


def command(text: str) -> bytes:
    """ESC, an ASCII command, EOT."""
    return bytes([ESC]) + text.encode("ascii") + bytes([EOT])


def external_data(device: str, data: str) -> bytes:
    """`OE`, four digits of length, the text: one record of the external data queue. DomainError,
    and nothing may be sent: a text that would end the frame, or that the device cannot hold."""
    bad = next((char for char in data if ord(char) < 0x20 or ord(char) == 0x7F), None)
    if bad is not None:
        raise forbidden(device, repr(bad))
    if not data:
        raise forbidden(device, "nothing at all (an empty record)")
    try:
        raw = data.encode("ascii")
    except UnicodeEncodeError as error:
        raise wrong_charset(device, "ASCII", data, error.start) from None
    if len(raw) > MAX_DATA:
        raise too_long(device, MAX_DATA, len(raw))
    return bytes([ESC]) + b"OE%04d" % len(raw) + raw + bytes([EOT])


def ink_of(text: str) -> tuple[str, ...]:
    """Warnings of the answer to `y?`: three digits of ink and three of make-up. 021 says that a
    sensor is unplugged; below 10 is low."""
    found = []
    for name, level in (("ink", text[:3]), ("makeup", text[3:6])):
        if level == "021":
            found.append(f"{name}_sensor")
        elif level.isdigit() and int(level) < 10:
            found.append(f"{name}_low")
    return tuple(found)
