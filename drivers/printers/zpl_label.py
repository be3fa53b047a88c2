"""Labels as ZPL II; no I/O.

User text only ever goes into `^FD` behind `^FH_`, where every `^ ~ _ \\` and control byte is
written in hex, or into `^GF` as a picture in hex: no text becomes a command. Sources: Zebra's ZPL
II guide (`^BQ`, `^BX`, `^BC`, `^FH`, `^DF`, `^XF`, `^GF`) as restated in docs/devices.md.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import segno

from agent.core.gs1 import GS
from drivers.printers import code128
from drivers.printers.label_draw import Bitmap, bits, image, ink, letters_of, must_fit
from drivers.printers.label_template import (
    LINEAR,
    Element,
    LabelTemplate,
    Layout,
    Placed,
    lay_out,
    refuse,
)
from drivers.printers.label_values import DM_ESCAPE, carried

__all__ = ["Element", "LabelTemplate", "escape", "recall", "store"]

MAX_MODULE = 10
"""Dots of a module at most for `^BQ` and `^BY`; a symbol with larger ones is sent as a picture."""
_ESCAPED = frozenset(b"^~_\\") | frozenset(range(0x20)) | {0x7F}
_PLAIN = re.compile(r"[ -~]*")
_ONE = b"^PQ1,0,1,N^XZ\r\n"
_RUN = re.compile(r"(.)\1{2,}")

# Square Data Matrix symbols of ECC 200: code words and edge in modules (ISO/IEC 16022, table 7).
_MATRIX = (
    (3, 10), (5, 12), (8, 14), (12, 16), (18, 18), (22, 20), (30, 22), (36, 24), (44, 26),
    (62, 32), (86, 36), (114, 40), (144, 44), (174, 48), (204, 52), (280, 64), (368, 72),
    (456, 80), (576, 88), (696, 96), (816, 104), (1050, 120), (1304, 132), (1558, 144),
)  # fmt: skip


def escape(text: str) -> bytes:
    """`text` for a `^FD` behind `^FH_` under `^CI28`. DomainError for half a surrogate pair."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise refuse("printer_value_encoding", "holds half a character") from None
    return b"".join(b"_%02X" % byte if byte in _ESCAPED else bytes([byte]) for byte in data)


def store(name: str, template: LabelTemplate | Layout, drive: str = "R") -> bytes:
    """The format that keeps a label in the printer as `name` (A-Z, 0-9, 8 at most)."""
    layout = _layout(template)
    parts = [
        b"^XA^CI28",
        b"^DF%s:%s.ZPL^FS" % (drive.encode(), name.encode()),
        _sheet(layout),
    ]
    for number, placed in enumerate(layout.placed, 1):
        if not placed.element.variable:
            parts.append(_whole(layout, placed, {}))
        elif _by_printer(placed):
            parts.append(b"^FO%d,%d%s" % (placed.x, placed.y, _symbology(placed)))
            parts.append(b"^FN%d^FS" % number)
    return b"".join((*parts, b"^XZ\r\n"))


def recall(
    name: str, template: LabelTemplate | Layout, fields: Mapping[str, str], drive: str = "R"
) -> bytes:
    """The format that prints one label of the stored one. DomainError names the field that is
    missing, or says what its element cannot carry."""
    layout = _layout(template)
    parts = [b"^XA^CI28^XF%s:%s.ZPL^FS" % (drive.encode(), name.encode())]
    for number, placed in enumerate(layout.placed, 1):
        if not placed.element.variable:
            continue
        if _by_printer(placed):
            value = carried(placed.element, fields)
            if _by_printers_means(placed, value):
                data = escape(_content(layout, placed, value))
                parts.append(b"^FN%d^FH_^FD%s^FS" % (number, data))
                continue
            if placed.kind != "text":
                # Of a stored symbol without data some printers make an empty one: send all anew.
                return _inline(layout, fields)
        parts.append(_drawn(layout, placed, fields))
    return b"".join((*parts, _ONE))


def _inline(layout: Layout, fields: Mapping[str, str]) -> bytes:
    """One label that needs no stored one."""
    parts = [_whole(layout, placed, fields) for placed in layout.placed]
    return b"".join((b"^XA^CI28", _sheet(layout), *parts, _ONE))


def _sheet(layout: Layout) -> bytes:
    return b"^LH0,0^PW%d^LL%d" % (layout.width, layout.height)


def _layout(template: LabelTemplate | Layout) -> Layout:
    return template if isinstance(template, Layout) else lay_out(template, 8)


def _by_printer(placed: Placed) -> bool:
    """The printer can draw it; a text that must fit a width is measured and drawn by us."""
    return not placed.width if placed.kind == "text" else placed.size <= MAX_MODULE


def _by_printers_means(placed: Placed, value: str) -> bool:
    """The printer has these letters: ASCII, or any in a font file that the template names. In
    Code 128 not the character by which ZPL escapes there: printers differ in how it is written."""
    if placed.kind in LINEAR:
        return ">" not in value
    own = ":" in placed.element.font or _PLAIN.fullmatch(value) is not None
    return placed.kind != "text" or own


def _whole(layout: Layout, placed: Placed, fields: Mapping[str, str]) -> bytes:
    """An element with all that it shows."""
    at = b"^FO%d,%d" % (placed.x, placed.y)
    if placed.kind == "line":
        thick = min(placed.width, placed.height)
        return at + b"^GB%d,%d,%d^FS" % (placed.width, placed.height, thick)
    if placed.kind == "image":
        assert placed.element.file is not None
        return at + graphic(image(placed.element.file, placed.width)) + b"^FS"
    value = carried(placed.element, fields)
    if not (_by_printer(placed) and _by_printers_means(placed, value)):
        return _drawn(layout, placed, fields)
    data = escape(_content(layout, placed, value))
    return at + _symbology(placed) + b"^FH_^FD" + data + b"^FS"


def _drawn(layout: Layout, placed: Placed, fields: Mapping[str, str]) -> bytes:
    """An element as a picture, without its blank margins."""
    if placed.kind != "text":
        found = [(x, y, graphic(dots)) for x, y, dots in ink(layout, placed, fields)]
        return b"".join(b"^FO%d,%d%s^FS" % each for each in found)
    value = carried(placed.element, fields)
    if not value.strip():
        return b""
    left, top, picture = _cut_out(value, placed.size, placed.width, placed.element.align)
    return b"^FO%d,%d%s^FS" % (placed.x + left, placed.y + top, picture)


@lru_cache(maxsize=1024)
def _cut_out(text: str, size: int, width: int, align: str) -> tuple[int, int, bytes]:
    dots = letters_of(text, size, width, align)
    rows, columns = (dots == 0).any(axis=1).nonzero()[0], (dots == 0).any(axis=0).nonzero()[0]
    if not rows.size:
        return 0, 0, graphic(dots[:1, :1])
    top, left = int(rows[0]), int(columns[0])
    return left, top, graphic(dots[top : rows[-1] + 1, left : columns[-1] + 1])


def graphic(dots: Bitmap) -> bytes:
    """`^GFA` of a picture, in hex with the printer's own run lengths."""
    packed = bits(dots)
    rows, last = [], ""
    for row in packed:
        digits = row.tobytes().hex().upper()
        short = digits.rstrip("0")
        if len(digits) - len(short) > 1:
            text = _RUN.sub(_repeated, short) + ","
        else:
            text = _RUN.sub(_repeated, digits)
        rows.append(":" if text == last else text)
        last = text
    total = packed.size
    return b"^GFA,%d,%d,%d,%s" % (total, total, packed.shape[1], "".join(rows).encode())


def _repeated(run: re.Match[str]) -> str:
    """A run of one hex digit: g-z are 20 to 400 times, G-Y 1 to 19 times the digit after them."""
    count, marks = len(run[0]), ""
    while count >= 20:
        much = min(400, count // 20 * 20)
        marks, count = marks + chr(ord("g") + much // 20 - 1), count - much
    return marks + (chr(ord("G") + count - 1) if count else "") + run[1]


def _symbology(placed: Placed) -> bytes:
    size, height, element = placed.size, placed.height, placed.element
    match placed.kind:
        case "qr":
            return b"^BQN,2,%d" % size
        case "datamatrix" | "gs1-datamatrix":
            # The escape character is named: its default differs by firmware, and it is never off.
            return b"^BXN,%d,200,,,,%s" % (size, DM_ESCAPE.encode())
        case "text":
            font = element.font.encode()
            return b"^A%s,%d,%d" % (b"@N" if b":" in font else font + b"N", size, size) + (
                b"," + font if b":" in font else b""
            )
    return b"^BY%d^BCN,%d,%s,N,N,N" % (size, height, b"Y" if element.readable else b"N")


def _content(layout: Layout, placed: Placed, value: str) -> str:
    """The value in the language of its symbol (before `^FH` escaping)."""
    if placed.kind == "text":
        return value
    if placed.kind in LINEAR:
        found = code128.words(value, gs1=placed.kind != "code128")
        must_fit(layout, placed, code128.modules(found) * placed.size, placed.height)
        return "".join(_word(word) for word in found)
    edge = placed.size
    if placed.kind == "qr":
        # Error correction, A = the printer chooses the mode, comma: without these three characters
        # the printer takes the first three of the data for them.
        edge *= _qr_modules(_qr_mode(value), len(value.encode()), placed.element.level)
        text = f"{placed.element.level}A,{value}"
    else:
        edge *= _matrix_modules(value, placed.kind == "gs1-datamatrix")
        fnc1 = DM_ESCAPE + "1"
        text = value
        if placed.kind == "gs1-datamatrix":
            text = fnc1 + value.replace(GS, fnc1)
    must_fit(layout, placed, edge, edge)
    return text


_ZPL_WORD = {
    code128.START_B: ">:",
    code128.START_C: ">;",
    code128.TO_B: ">6",
    code128.FNC1: ">8",
}


def _word(word: code128.Word) -> str:
    return _ZPL_WORD.get(word.what) or word.text


def _qr_mode(value: str) -> str:
    if value.isascii() and value.isdigit():
        return "numeric"
    alphanumeric = re.fullmatch(r"[0-9A-Z $%*+./:-]+", value) is not None
    return "alphanumeric" if alphanumeric else "byte"


@lru_cache(maxsize=4096)
def _qr_modules(mode: str, length: int, level: str) -> int:
    """Edge of a QR in modules; a printer that mixes modes needs no more."""
    digit = {"numeric": "1", "alphanumeric": "A", "byte": "a"}[mode]
    try:
        code = segno.make_qr(digit * length, error=level, mode=mode, mask=0, boost_error=False)
    except segno.DataOverflowError:
        raise refuse("printer_value_too_long", "is too long for a QR code") from None
    return int(code.symbol_size(border=0)[0])


def _matrix_modules(value: str, gs1: bool) -> int:
    """Edge of a Data Matrix in modules, where the printer writes it in ASCII mode."""
    count, at = int(gs1), 0
    while at < len(value):
        at += 2 if re.match(r"[0-9]{2}", value[at : at + 2]) else 1
        count += 1
    for words, edge in _MATRIX:
        if count <= words:
            return edge
    raise refuse("printer_value_too_long", "is too long for a Data Matrix")
