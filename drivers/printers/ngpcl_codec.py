"""Markem-Imaje NGPCL: `{~CC<n>|p1|p2|..|}` out and in; no I/O.

Sources: SmartDate X60 manual; states captured by a public integrator's tool. Values must not hold
`| { } ~`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.printers.values import forbidden, too_long, wrong_charset

BEGIN, END = b"{~", b"|}"
MAX_FRAME = 4096
MAX_COMMAND = 2048

PRINTING, IDLE = "06", "11"
STATES: Mapping[str, str] = {
    PRINTING: "printing",
    IDLE: "idle",
    "05": "attention",
    "09": "beam_stop",
    "02": "off",
    "04": "stopped",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: `kind` its two letters (JN, JS, JU, FC, DS, NK ..), `result` the digit behind
    them (0 good), `fields` the rest."""

    kind: str
    result: str
    fields: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.result == "0"


class NgpclCodec:
    """Cuts frames; what stands between them is counted in `noise`, but for line ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.expected: Sequence[str] = ()
        self.noise = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that became complete, in order."""
        messages: list[Message] = []
        for at in range(0, len(data), MAX_FRAME):
            self._buffer += data[at : at + MAX_FRAME]
            self._cut(messages)
        return messages

    def _cut(self, messages: list[Message]) -> None:
        buffer = self._buffer
        while True:
            begin = buffer.find(BEGIN)
            if begin < 0:
                self._drop(len(buffer) - buffer.endswith(BEGIN[:1]))
                return
            self._drop(begin)
            end, again = buffer.find(END), buffer.find(BEGIN, 1)
            if again >= 0 and (end < 0 or again < end):  # cut off: a new frame begins
                self._drop(again)
            elif end < 0 and len(buffer) <= MAX_FRAME:
                return
            elif end < 0 or end > MAX_FRAME:
                self._drop(len(BEGIN))
            else:
                message = _message(bytes(buffer[len(BEGIN) : end]))
                if message is None:
                    self._drop(end + len(END))
                else:
                    messages.append(message)
                    del buffer[: end + len(END)]

    def _drop(self, count: int) -> None:
        if bytes(self._buffer[:count]).strip(b"\r\n"):
            self.noise += count
        del self._buffer[:count]


def _message(body: bytes) -> Message | None:
    if not body.isascii():
        return None
    head, *fields = body.decode("ascii").split("|")
    if len(head) < 2 or not (head[:2].isalpha() and head[:2].isupper()) or len(head) > 4:
        return None
    return Message(head[:2], head[2:], tuple(fields))


def command(head: str, *fields: str) -> bytes:
    """The bytes of a command whose fields are known to be clean."""
    return ("{~" + "|".join((head, *fields)) + "|}\r").encode("ascii")


def job_update(device: str, values: Mapping[str, str], select: str | None = None) -> bytes:
    """`JU0||1|name|value|..`: new values for the running job, and one print of them; with `select`
    that job, clean, is selected with them (`JS0|job|1|..`). DomainError, and nothing may be sent: a
    value that the language cannot carry."""
    parts = []
    for name, value in values.items():
        parts += [name, _clean(device, value)]
    data = command("JS0" if select else "JU0", select or "", "1", *parts)
    if len(data) > MAX_COMMAND:
        raise too_long(device, MAX_COMMAND, len(data))
    return data


def _clean(device: str, value: str) -> str:
    bad = next((char for char in value if char in "|{}~" or ord(char) < 0x20), None)
    if bad is not None:
        raise forbidden(device, repr(bad))
    if not value:
        raise forbidden(device, "nothing at all (an empty field)")
    wide = next((at for at, char in enumerate(value) if ord(char) >= 0x7F), None)
    if wide is not None:
        raise wrong_charset(device, "ASCII", value, wide)
    return value


def state_of(message: Message) -> str:
    """The state of an answer to DR: its ninth field, "" where it is cut off."""
    return message.fields[8] if len(message.fields) > 8 else ""
