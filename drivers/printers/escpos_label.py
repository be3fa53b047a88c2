"""Labels and slips as ESC/POS; no I/O.

Everything is drawn by us and sent as rows of dots (`GS v 0`): no text goes to the printer, so none
can be a command. Printers obey DLE EOT, DLE ENQ and DLE DC4 even amid the bytes of a picture. A DLE
byte is a stroke of a single dot, so no part of a symbol whose modules are two dots or more: before
such a byte the stroke is made two dots wide. Source: Epson's ESC/POS reference, restated in
docs/devices.md.
"""

import re
from functools import cache

import numpy as np

from drivers.printers.label_draw import Bitmap, bits
from drivers.printers.tspl_label import bands

INIT = b"\x1b@"
CUT = b"\x1dVB\x00"
CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
STATUS = b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"
IN_ORDER = b"\x1dr\x01"
MAX_ROWS = 255
_RASTER = b"\x1dv0\x00"
_COMMAND = re.compile(rb"\x10(?=[\x04\x05\x14])")
"""DLE before EOT, ENQ or DC4."""


def label(picture: Bitmap, cut: bool) -> bytes:
    """The job that prints one label or slip, without what asks whether it came out."""
    packed = bits(picture)
    parts, at = [INIT], 0
    for top, bottom in bands(packed):
        parts.append(blank(top - at))
        band = packed[top:bottom]
        right = int(np.flatnonzero(band.any(axis=0))[-1]) + 1
        parts.append(raster(band[:, :right]))
        at = bottom
    parts.append(blank(len(packed) - at))
    return b"".join(parts) + (CUT if cut else b"")


def raster(packed: Bitmap) -> bytes:
    """Rows of bytes (1 = black) from the left edge, at most MAX_ROWS a command."""
    parts = []
    for top in range(0, len(packed), MAX_ROWS):
        rows = packed[top : top + MAX_ROWS]
        high, wide = rows.shape
        parts.append(_RASTER + wide.to_bytes(2, "little") + high.to_bytes(2, "little"))
        parts.append(harmless(rows.tobytes()))
    return b"".join(parts)


@cache
def blank(rows: int) -> bytes:
    """As many rows without ink."""
    return raster(np.zeros((rows, 1), np.uint8))


def harmless(data: bytes) -> bytes:
    """The bytes of a picture without a real-time command in them."""
    return _COMMAND.sub(b"\x30", data)


def process(number: int) -> str:
    """The process ID of a label: four characters."""
    return f"{number % 10_000:04d}"


def ask_process(text: str) -> bytes:
    """Ask for the process ID `text` once all that was sent before is printed."""
    return b"\x1d(H\x06\x0000" + text.encode("ascii")
