"""Labels as TSPL; no I/O.

Everything on a label is drawn by us and sent as dots (`BITMAP`): no text goes to the printer, so
none can be a command, and the many dialects of symbols and fonts do not matter. Printers obey
`<ESC>!` and `~!` even amid the bytes of a picture; such a pair of bytes is parted by cutting the
picture there. Source: TSC's TSPL/TSPL2 programming manual, restated in docs/devices.md.
"""

import re
from collections.abc import Iterator

import numpy as np

from drivers.printers.label_draw import Bitmap, bits

BAND_GAP = 8
"""Blank rows from which on a picture is cut in two: a command costs about as much."""
_IMMEDIATE = re.compile(rb"[\x1b~]!")


def label(picture: Bitmap, density: float, gap: float) -> bytes:
    """The job that prints one label; `gap` in mm between labels, 0 on an endless roll."""
    high, wide = picture.shape
    head = (
        f"SIZE {wide / density:.2f} mm,{high / density:.2f} mm\r\n"
        f"GAP {gap:g} mm,0 mm\r\nDIRECTION 1\r\nREFERENCE 0,0\r\nCLS\r\n"
    )
    parts = [head.encode()]
    packed = bits(picture)
    for top, bottom in bands(packed):
        columns = np.flatnonzero(packed[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        parts += _bitmaps(packed[top:bottom, left:right], left, top)
    return b"".join((*parts, b"PRINT 1,1\r\n"))


def bands(packed: Bitmap) -> Iterator[tuple[int, int]]:
    """Rows with ink (1 = black), first and behind the last, at least BAND_GAP blank ones apart."""
    rows = np.flatnonzero(packed.any(axis=1))
    if not rows.size:
        return
    begins = np.concatenate(([0], (np.diff(rows) > BAND_GAP).nonzero()[0] + 1))
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
        yield int(rows[begin]), int(rows[end - 1]) + 1


def _bitmaps(packed: Bitmap, column: int, row: int) -> list[bytes]:
    """`BITMAP`s of rows of bytes (1 = black) whose first stands at byte `column`; where the bytes
    hold an immediate command they are cut there: across rows first, then across columns."""
    high, wide = packed.shape
    data = (packed ^ 0xFF).tobytes()  # in TSPL 0 is black
    found = _IMMEDIATE.search(data)
    if found is None:
        return [b"BITMAP %d,%d,%d,%d,0,%s\r\n" % (column * 8, row, wide, high, data)]
    if high > 1:
        half = high // 2
        above = _bitmaps(packed[:half], column, row)
        return above + _bitmaps(packed[half:], column, row + half)
    cut = found.start() + 1
    left = _bitmaps(packed[:, :cut], column, row)
    return left + _bitmaps(packed[:, cut:], column + cut, row)
