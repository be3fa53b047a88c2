"""Label templates as data, and the ZPL II that they become; no I/O.

User text only ever goes into `^FD` behind `^FH_`, where every `^ ~ _ \\` and control byte is
written in hex: no text becomes a command. Sources: Zebra's ZPL II guide (`^BQ`, `^BX`, `^BC`,
`^FH`, `^DF`, `^XF`) as restated in docs/devices.md.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.codes import canonical, element_string
from agent.core.errors import DomainError
from agent.core.gs1 import GS, bracketed, check_digit, is_digits, lookup

MAX_VALUE = 1024
DM_ESCAPE = "|"
"""Escape character of Data Matrix. Doubling it in data is understood by some printers only, so it
is one that codes do not use (GS1 does not allow it), and data with it are refused."""

_ESCAPED = frozenset(b"^~_\\") | frozenset(range(0x20)) | {0x7F}

Dots = Annotated[int, Field(ge=0, le=32_000)]
Kind = Literal["qr", "datamatrix", "gs1-datamatrix", "code128", "gs1-128", "sscc", "text"]
FieldName = Annotated[str, Field(min_length=1, max_length=64)]


class Element(BaseModel):
    """One thing on the label, its upper left corner at `x`, `y` dots.

    `field` names the job's field that it shows, or `text` is fixed. `size` is the module in dots
    (qr: 1 to 10), for text the height of its letters; `height` that of a linear symbol; `level`
    the QR error correction; `font` a printer font: "0", or a file such as `E:SIMSUN.TTF`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    x: Dots
    y: Dots
    field: FieldName | None = None
    text: str | None = Field(default=None, max_length=MAX_VALUE)
    size: int = Field(default=6, ge=1, le=1500)
    height: int = Field(default=120, ge=1, le=3000)
    level: Literal["L", "M", "Q", "H"] = "M"
    readable: bool = True
    font: str = Field(default="0", pattern=r"^([A-Z0-9]|[A-Z]:[A-Z0-9_]{1,16}\.[A-Z]{3})$")

    @model_validator(mode="after")
    def _consistent(self) -> "Element":
        if (self.field is None) == (self.text is None):
            raise ValueError("an element has either 'field' (of the job) or 'text' (fixed)")
        if self.kind not in ("text",) and self.size > 10:
            raise ValueError("'size' of a symbol is its module in dots, 1 to 10")
        return self


class LabelTemplate(BaseModel):
    """A label of `width` x `height` dots."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: Dots
    height: Dots
    elements: tuple[Element, ...] = Field(min_length=1, max_length=64)


def escape(text: str) -> bytes:
    """`text` for a `^FD` behind `^FH_` under `^CI28`. DomainError for half a surrogate pair."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse("printer_value_encoding", "holds half a character") from None
    return b"".join(b"_%02X" % byte if byte in _ESCAPED else bytes([byte]) for byte in data)


def store(name: str, template: LabelTemplate, drive: str = "R") -> bytes:
    """The format that keeps `template` in the printer as `name` (A-Z, 0-9, 8 at most)."""
    parts = [
        b"^XA^CI28",
        b"^DF%s:%s.ZPL^FS" % (drive.encode(), name.encode()),
        b"^LH0,0^PW%d^LL%d" % (template.width, template.height),
    ]
    for number, element in enumerate(template.elements, 1):
        parts.append(b"^FO%d,%d%s" % (element.x, element.y, _symbology(element)))
        if element.text is None:
            parts.append(b"^FN%d^FS" % number)
        else:
            parts.append(b"^FH_^FD%s^FS" % escape(_content(element, element.text)))
    return b"".join((*parts, b"^XZ\r\n"))


def recall(
    name: str, template: LabelTemplate, fields: Mapping[str, str], drive: str = "R"
) -> bytes:
    """The format that prints one label of the stored template. DomainError names the field that
    is missing or that its symbol cannot carry."""
    parts = [b"^XA^CI28^XF%s:%s.ZPL^FS" % (drive.encode(), name.encode())]
    for number, element in enumerate(template.elements, 1):
        if element.field is None:
            continue
        if element.field not in fields:
            raise DomainError(
                "printer_field_missing",
                f"The label needs the field '{element.field}' and the job has {sorted(fields)}; "
                f"nothing was sent. Mend the label's elements or the job's fields.",
            )
        content = escape(_content(element, fields[element.field]))
        parts.append(b"^FN%d^FH_^FD%s^FS" % (number, content))
    return b"".join((*parts, b"^PQ1,0,1,N^XZ\r\n"))


def _symbology(element: Element) -> bytes:
    size, height = element.size, element.height
    readable = b"Y" if element.readable else b"N"
    match element.kind:
        case "qr":
            return b"^BQN,2,%d" % size
        case "datamatrix" | "gs1-datamatrix":
            # The escape character is named: its default differs by firmware, and it is never off.
            return b"^BXN,%d,200,,,,%s" % (size, DM_ESCAPE.encode())
        case "code128":
            return b"^BY%d^BCN,%d,%s,N,N,A" % (size, height, readable)
        case "gs1-128" | "sscc":
            return b"^BY%d^BCN,%d,%s,N,N,N" % (size, height, readable)
        case "text":
            if ":" in element.font:
                return b"^A@N,%d,%d,%s" % (size, size, element.font.encode())
            return b"^A%sN,%d,%d" % (element.font.encode(), size, size)


def _content(element: Element, value: str) -> str:
    """The value in the language of its symbol (before `^FH` escaping)."""
    if len(value) > MAX_VALUE:
        raise _refuse("printer_value_too_long", f"has more than {MAX_VALUE} characters")
    if element.kind == "text":
        return value
    if not value:
        raise _refuse("printer_value_forbidden", "is empty, and a symbol needs a text")
    return _CONTENT[element.kind](element, value)


def _qr(element: Element, value: str) -> str:
    # Error correction, A = the printer chooses the mode, comma: without these three characters
    # the printer takes the first three of the data for them.
    return f"{element.level}A,{value}"


def _datamatrix(element: Element, value: str) -> str:
    if DM_ESCAPE in value or not value.isascii():
        raise _refuse("printer_value_forbidden", "holds a character that Data Matrix has not here")
    return value


def _gs1_datamatrix(element: Element, value: str) -> str:
    fnc1 = DM_ESCAPE + "1"
    return fnc1 + _datamatrix(element, _elements(value)).replace(GS, fnc1)


def _code128(element: Element, value: str) -> str:
    return _linear(value)


def _gs1_128(element: Element, value: str) -> str:
    # Start in subset B, FNC1; the printer changes subsets in mode N only when told.
    return ">:>8" + _linear(_elements(value).replace(GS, "\0")).replace("\0", ">8")


def _sscc(element: Element, value: str) -> str:
    digits = value.removeprefix("https://id.gs1.org/00/").removeprefix("(00)")
    if len(digits) == 20:
        digits = digits.removeprefix("00")
    if len(digits) != 18 or not is_digits(digits) or check_digit(digits[:17]) != digits[17]:
        raise _refuse("printer_value_forbidden", "is no SSCC with its right check digit")
    return f">;>800{digits}"  # start in subset C, FNC1


_CONTENT: Mapping[str, Callable[[Element, str], str]] = {
    "qr": _qr,
    "datamatrix": _datamatrix,
    "gs1-datamatrix": _gs1_datamatrix,
    "code128": _code128,
    "gs1-128": _gs1_128,
    "sscc": _sscc,
}


def _linear(value: str) -> str:
    """Printable ASCII without `>`, the printer's own escape character in Code 128."""
    if not all(char == "\0" or (" " <= char <= "~" and char != ">") for char in value):
        raise _refuse("printer_value_forbidden", "holds a character that Code 128 has not here")
    return value


def _elements(value: str) -> str:
    """The GS1 element string of any spelling of an item, GS between variable elements."""
    if not value.startswith("("):
        try:
            return element_string(canonical(value))
        except ValueError:
            raise _refuse("printer_value_forbidden", "is no GS1 item") from None
    found = list(bracketed(value).items())
    parts = []
    for ai, text in found:
        if ai in ("00", "01", "02") and check_digit(text[:-1]) != text[-1]:
            raise _refuse("printer_value_forbidden", f"has a wrong check digit in ({ai})")
        known = lookup(ai)
        open_end = known is None or known[2]
        parts.append(ai + text + (GS if open_end else ""))
    return "".join(parts).removesuffix(GS)


def _refuse(reason: str, what: str) -> DomainError:
    return DomainError(
        reason,
        f"A value for the label {what}; nothing was sent. Change the value, or the kind of "
        f"symbol in the label's template.",
    )
