"""Whether what was read is what a person wrote down as the content of a symbol.

Lists of contents come from many tools, and the same content has many spellings. What is taken as
the same, and nothing else:

- a byte order mark, newlines at the end, and `\\r\\n` for a newline;
- a written form of the separator for 0x1D: `<GS>`, `{GS}`, `[GS]`, `<FNC1>`, `{FNC1}`, `[FNC1]`,
  `\\x1d`, `\\u001d`, `^]`, U+241D; inside the data it must stand where it stands in the symbol. A
  list without any separator (many tools drop them) is compared with the read without its own;
- an AIM identifier (`]C1`, `]d2` ...) or a separator at the beginning, which say "GS1" and are no
  data, and a separator at the end;
- `(01)...(10)...` for an element string, if the symbol says that it carries GS1 data;
- the 12 digits of a UPC-A for the 13 of EAN-13, the 14 digits of a GTIN for a DataBar's `01`+GTIN;
- another charset: bytes that are the text in UTF-8, Latin-1, Shift JIS or GB 18030 (a QR code may
  leave open which), and composed or decomposed accents;
- one line of several, for a picture with several symbols.
"""

import re
from unicodedata import normalize

from agent.core.gs1 import BRACKET, GS
from agent.ports.reading import Read
from agent.vision.formats import GS1_IDENTIFIERS

_WRITTEN_GS = re.compile(r"<GS>|\{GS\}|\[GS\]|<FNC1>|\{FNC1\}|\[FNC1\]|\\x1d|\\u001d|\^\]|␝", re.I)
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_CHARSETS = ("utf-8", "latin-1", "shift_jis", "gb18030")


def expected_text(data: bytes) -> str:
    """The text of an expectation file: UTF-8, or Latin-1 if it is not that; no newline at the end.

    Empty means that nothing is to be read."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").rstrip("\r\n")


def says(read: Read, expected: str) -> bool:
    """Whether the read is the expected content, or that of one of its lines."""
    lines = expected.split("\n")
    candidates = [expected] if len(lines) == 1 else [expected, *filter(None, lines)]
    return any(_same(read, each) for each in candidates)


def _same(read: Read, expected: str) -> bool:
    got = read.text.replace("\r\n", "\n").rstrip("\r\n")
    if got == expected or _bytes_say(read.data, expected):
        return True
    got, wanted = _folded(got), _folded(expected)
    if got == wanted:
        return True
    if GS in got and GS not in wanted and got.replace(GS, "") == wanted:
        return True
    if read.symbology in GS1_IDENTIFIERS:
        if wanted.startswith("("):
            plain = BRACKET.sub(r"\1", wanted.replace(" ", ""))  # spaces may be for the eye
            return plain == got.replace(GS, "").replace(" ", "")
        if read.symbology == "]e0" and len(wanted) == 14:
            return got == f"01{wanted}"
    # UPC-A is the EAN-13 that begins with 0.
    return read.symbology == "]E0" and len(wanted) == 12 and got == f"0{wanted}"


def _folded(text: str) -> str:
    text = normalize("NFC", _WRITTEN_GS.sub(GS, text))
    return _AIM.sub("", text, count=1).strip(GS) if _AIM.match(text) else text.strip(GS)


def _bytes_say(data: bytes, expected: str) -> bool:
    if not data:
        return False
    for charset in _CHARSETS:
        try:
            if expected.encode(charset) == data:
                return True
        except UnicodeEncodeError:
            continue
    return False
