"""The simulated printer's own understanding of ZPL II: bytes to formats, formats to symbols.

Written from the public description of the language and not from the driver: what a scanner would
read on the label is worked out here, so that a missing `QA,` or a wrong escape shows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

MAX_FORMAT = 65_536
GS = "\x1d"

_IMMEDIATE = re.compile(rb"~([A-Z]{2}(?:ES)?)")
_GETVAR = re.compile(rb'! U1 getvar "([^"\r\n]{1,64})"\r?\n')
_SGD_START = b"! U1 "


@dataclass(frozen=True, slots=True)
class Immediate:
    """A `~` command: HS, JA, PP, PS, HQES."""

    name: str


@dataclass(frozen=True, slots=True)
class GetVar:
    """`! U1 getvar "name"`."""

    name: str


@dataclass(frozen=True, slots=True)
class Format:
    """What stood between `^XA` and `^XZ`."""

    body: bytes


@dataclass(frozen=True, slots=True)
class LabelField:
    """One field: its place, its symbology (or "text"), data (None: to be filled in by `^FN`)."""

    x: int
    y: int
    kind: str
    parameters: tuple[str, ...]
    number: int | None
    data: str | None


@dataclass(frozen=True, slots=True)
class PrintedSymbol:
    """A symbol as a scanner sees it; in `text` a GS stands for an inner FNC1."""

    kind: str
    text: str
    gs1: bool = False


class Splitter:
    """Cuts the stream. `~` commands count at once, even in the middle of a format, as in a real
    printer: that is what makes an unescaped tilde in a product name dangerous."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._format: bytearray | None = None

    @property
    def partial(self) -> bool:
        """A format has begun and not ended."""
        return self._format is not None

    def reset(self) -> None:
        """Forget the format that has begun."""
        self._format = None

    def feed(self, data: bytes) -> list[Immediate | GetVar | Format]:
        """What became complete, in order."""
        self._buffer += data
        found: list[Immediate | GetVar | Format] = []
        while self._buffer:
            size, item = self._step()
            if size == 0:
                break
            del self._buffer[:size]
            if item is not None:
                found.append(item)
        return found

    def _step(self) -> tuple[int, Immediate | GetVar | Format | None]:
        """How many bytes to take away and what they were; 0 = more bytes are needed."""
        head = self._buffer[0]
        if head == ord("~"):
            if len(self._buffer) < 5 and not self._buffer.endswith(b"\n"):
                return 0, None
            match = _IMMEDIATE.match(self._buffer)
            return (match.end(), Immediate(match[1].decode())) if match else (1, None)
        if head == ord("^"):
            if len(self._buffer) < 3:
                return 0, None
            name = bytes(self._buffer[1:3])
            if name == b"XA":
                self._format = bytearray()
                return 3, None
            if name == b"XZ":
                body, self._format = self._format, None
                return 3, Format(bytes(body)) if body is not None else None
        elif self._format is None and head == ord("!"):
            end = self._buffer.find(b"\n") + 1
            if end == 0:
                return (0, None) if len(self._buffer) < 256 else (1, None)
            match = _GETVAR.fullmatch(self._buffer[:end])
            return end, GetVar(match[1].decode("latin-1")) if match else None
        if self._format is not None and len(self._format) < MAX_FORMAT:
            self._format.append(head)
        return 1, None


def fields_of(body: bytes) -> tuple[str, str, list[LabelField]]:
    """A format: the name it stores under (`^DF`), the name it recalls (`^XF`), its fields."""
    store = recall = ""
    fields: list[LabelField] = []
    unicode = False
    x = y = 0
    kind = "text"
    parameters: tuple[str, ...] = ()
    number: int | None = None
    data: str | None = None
    hex_char: str | None = None
    for part in body.split(b"^")[1:]:
        name, rest = part[:2], part[2:]
        words = rest.decode("latin-1").split(",")
        if name == b"CI":
            unicode = words[0].strip() == "28"
        elif name == b"DF":
            store = rest.decode("latin-1").strip()
        elif name == b"XF":
            recall = rest.decode("latin-1").strip()
        elif name == b"FO":
            x, y = int(words[0] or 0), int(words[1] or 0)
        elif name in (b"BQ", b"BX", b"BC"):
            kind, parameters = name.decode(), tuple(words)
        elif name == b"FN":
            number = int(words[0])
        elif name == b"FH":
            hex_char = rest.decode("latin-1")[:1] or "_"
        elif name == b"FD":
            data = _field_data(rest, hex_char, unicode)
        elif name == b"FS":
            if number is not None or data is not None:
                fields.append(LabelField(x, y, kind, parameters, number, data))
            kind, parameters, number, data, hex_char, x, y = "text", (), None, None, None, 0, 0
    return store, recall, fields


def _field_data(raw: bytes, hex_char: str | None, unicode: bool) -> str:
    if hex_char is not None:
        mark = re.escape(hex_char.encode("latin-1"))
        raw = re.sub(mark + rb"([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), raw)
    return raw.decode("utf-8" if unicode else "cp850", "replace")


def fill(template: list[LabelField], fields: list[LabelField]) -> list[LabelField]:
    """A stored template with the data of a recalling format."""
    given: Mapping[int, str] = {
        field.number: field.data
        for field in fields
        if field.number is not None and field.data is not None
    }
    return [
        replace(field, data=given.get(field.number, "")) if field.number is not None else field
        for field in template
    ]


def symbols_of(fields: list[LabelField]) -> list[PrintedSymbol]:
    """The symbols that a scanner could read, in the order of the format; texts are none."""
    symbols = []
    for field in fields:
        if not field.data:
            continue
        if field.kind == "BQ":
            symbols.append(_qr(field.data))
        elif field.kind == "BX":
            symbols.append(_datamatrix(field.data, field.parameters))
        elif field.kind == "BC":
            symbols.append(_code128(field.data, field.parameters))
    return symbols


def _qr(data: str) -> PrintedSymbol:
    # The printer takes the first two letters and the comma as its own, whatever they are.
    return PrintedSymbol("QRCode", data[3:])


def _datamatrix(data: str, parameters: tuple[str, ...]) -> PrintedSymbol:
    mark = parameters[6] if len(parameters) > 6 and parameters[6] else "~"
    text, gs1, at = "", False, 0
    while at < len(data):
        char, following = data[at], data[at + 1 : at + 2]
        if char == mark and following == mark:
            text, at = text + mark, at + 2
        elif char == mark and following == "1":
            gs1, text, at = gs1 or at == 0, text + (GS if at else ""), at + 2
        elif char == mark and following == "d":
            text, at = text + chr(int(data[at + 2 : at + 5])), at + 5
        else:
            text, at = text + char, at + 1
    return PrintedSymbol("DataMatrix", text, gs1)


def _code128(data: str, parameters: tuple[str, ...]) -> PrintedSymbol:
    mode = parameters[5].strip() if len(parameters) > 5 else "N"
    if mode == "D":
        return PrintedSymbol("Code128", data.replace("(", "").replace(")", ""), True)
    if mode == "A":
        return PrintedSymbol("Code128", data)
    text, gs1, started, at = "", False, False, 0
    while at < len(data):
        if data[at] == ">" and at + 1 < len(data):
            code = data[at + 1]
            at += 2
            if code == "0":
                text += ">"
            elif code == "8":
                gs1 = gs1 or not started
                text += GS if started else ""
            started = started or code in "08"
            continue
        text, started, at = text + data[at], True, at + 1
    return PrintedSymbol("Code128", text, gs1)
