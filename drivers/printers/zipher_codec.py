"""Videojet Zipher / CLARiTY text communications: lines out, replies and notifications in; no I/O.

Sources: DataFlex 6530 service manual, appendix B; public integrators' code written against
"CLARITY-Zipher Text Communications Protocol" V1.28. ASCII lines that end with CR (LF is ignored);
fields are separated and ended by `|`. A lone CR resets the device's parser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.printers.values import forbidden, too_long, wrong_charset

CR = b"\r"
MAX_LINE = 8192
MAX_RECORD = 1024
LAST_INDEX = 2**31 - 1

ACK, ERR, EVENT, STATE = "ACK", "ERR", "event", "STS"
REPLIES = ("SLR", "SNI", "SRC", "SGM", "SFS", "JOB", "JFL", "JDL", "FLT", "WRN")
EVENTS = ("PRS", "PRC", "STS", "ERS", "JOB", "OUT", "QEM", "QFU", "QHI", "QLO")

RUNNING, OFFLINE = 3, 4
STATES: Mapping[int, str] = {
    0: "shut_down",
    1: "starting",
    2: "shutting_down",
    RUNNING: "running",
    OFFLINE: "offline",
}
FAULT, WARNING = 2, 1


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the device. `kind` is what it answers (`ACK`, `STS`, `SLR` ..) or `event`, then
    `name` says which notification; `fields` are those after the name."""

    kind: str
    name: str
    fields: tuple[str, ...] = ()

    def number(self, at: int = 0) -> int | None:
        """A field as a number, None where there is none."""
        text = self.fields[at].strip() if at < len(self.fields) else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


class ZipherCodec:
    """Cuts lines and says by their shape what they are: `STS|3|` tells that the state changed,
    `STS|3|0|job|12|3456|` answers GST. What is no line of the language is counted in `noise`."""

    def __init__(self, encoding: str = "ascii") -> None:
        self._encoding = encoding
        self._buffer = bytearray()
        self._skip = False
        self.expected: Sequence[str] = ()
        self.noise = 0

    def feed(self, data: bytes) -> list[Line]:
        """The lines that became complete, in order."""
        lines: list[Line] = []
        pieces = data.split(CR)
        for n, piece in enumerate(pieces):
            if not self._skip:
                self._buffer += piece[: MAX_LINE + 1 - len(self._buffer)]
                self._skip = len(self._buffer) > MAX_LINE
            if n == len(pieces) - 1:
                break
            if not self._buffer:
                continue
            line = None if self._skip else self._line(bytes(self._buffer).replace(b"\n", b""))
            if line is None:
                self.noise += len(self._buffer)
            else:
                lines.append(line)
            self._buffer.clear()
            self._skip = False
        return lines

    def _line(self, raw: bytes) -> Line | None:
        try:
            name, *rest = raw.decode(self._encoding).split("|")
        except UnicodeDecodeError:
            return None
        if rest and rest[-1] == "":
            rest.pop()
        fields = tuple(rest)
        if name in (ACK, ERR):
            return Line(name, name, fields) if not fields else None
        if name == STATE:
            kind = {1: EVENT, 5: STATE}.get(len(fields))
            line = None if kind is None else Line(kind, name, fields)
            good = line is not None and line.number() in STATES
            return line if good else None
        if name == "JOB":
            # The same words answer GJN and tell that somebody selected another job.
            return Line("JOB" if "JOB" in self.expected else EVENT, name, fields)
        if name in EVENTS:
            return Line(EVENT, name, fields)
        return Line(name, name, fields) if name in REPLIES else None


def command(name: str, *fields: str | int) -> bytes:
    """The bytes of a command whose fields are known to be clean."""
    text = name + "".join(f"|{field}" for field in fields) + ("|" if fields else "")
    return text.encode("ascii") + CR


def record(
    device: str,
    index: int,
    values: Sequence[str],
    *,
    encoding: str = "ascii",
    gs: str = "",
    lengths: Sequence[int | None] = (),
) -> bytes:
    """`SID|index|v1|..|`: one record under our own number. `gs` stands for GS (0x1D) in the
    device's symbols, `lengths` are the fixed lengths of the fields. DomainError, and nothing may
    be sent: a value that the device would take for something else, or cannot hold."""
    if not 1 <= index <= LAST_INDEX:
        raise too_long(device, LAST_INDEX, index, "as record number")
    fields = [b"SID", b"%d" % index]
    for n, value in enumerate(values):
        want = lengths[n] if n < len(lengths) else None
        if want is not None and len(value) != want:
            raise too_long(device, want, len(value), "characters, exactly so many in this field,")
        fields.append(_value(device, value, encoding, gs))
    line = b"|".join(fields) + b"|" + CR
    if len(line) > MAX_RECORD:
        raise too_long(device, MAX_RECORD, len(line))
    return line


def _value(device: str, value: str, encoding: str, gs: str) -> bytes:
    # ~ begins a control sequence in CLARiSOFT's symbols (~1 is FNC1).
    bad = next((char for char in value if char in "|=~"), None)
    text = value.replace("\x1d", gs) if gs else value
    bad = bad or next((char for char in text if ord(char) < 0x20 or ord(char) == 0x7F), None)
    if bad is not None:
        raise forbidden(device, repr(bad), "Write gs = '~d029' for GS." if bad == "\x1d" else "")
    if not value:
        raise forbidden(device, "nothing at all (an empty field)")
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise wrong_charset(device, encoding, text, error.start) from None


def faults_of(line: Line) -> list[tuple[int, str]]:
    """(number, text) of `FLT|n|no|clearable|text|..` or `WRN|..`; what is cut off is left out."""
    found = []
    for at in range(1, len(line.fields) - 2, 3):
        number = line.number(at)
        if number is not None:
            found.append((number, line.fields[at + 2]))
    return found


def names_of(line: Line) -> tuple[str, ...]:
    """Field names of `JFL|n|f|..` or `JDL|n|f=v|..`."""
    return tuple(field.partition("=")[0] for field in line.fields[1:])
