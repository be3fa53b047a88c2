"""Labels and slips as ESC/POS; no I/O.

Everything is drawn by us and sent as rows of dots (`GS v 0`): no text goes to the printer, so none
can be a command. Printers obey DLE EOT, DLE ENQ and DLE DC4 even amid the bytes of a picture. A DLE
byte is a stroke of a single dot, so no part of a symbol whose modules are two dots or more: before
such a byte the stroke is made two dots wide. Source: Epson's ESC/POS reference, restated in
docs/devices.md.
"""

import numpy as np

from drivers.printers.label_draw import Bitmap, bits
from drivers.printers.tspl_label import bands

INIT = b"\x1b@"
CUT = b"\x1dVB\x00"
CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
STATUS = b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"
IN_ORDER = b"\x1dr\x01"
MAX_ROWS = 255
_DLE = 0x10
_REAL_TIME = (0x04, 0x05, 0x14)


def label(picture: Bitmap, cut: bool) -> bytes:
    """The job that prints one label or slip, without what asks whether it came out."""
    parts, at = [INIT], 0
    for top, bottom in bands(picture):
        parts.append(raster(np.full((top - at, 8), 255, np.uint8)))
        band = picture[top:bottom]
        right = int((band == 0).any(axis=0).nonzero()[0][-1]) + 1
        parts.append(raster(band[:, :right]))
        at = bottom
    parts.append(raster(np.full((picture.shape[0] - at, 8), 255, np.uint8)))
    return b"".join(parts) + (CUT if cut else b"")


def raster(dots: Bitmap) -> bytes:
    """Rows of dots from the left edge, at most MAX_ROWS a command."""
    parts = []
    for top in range(0, dots.shape[0], MAX_ROWS):
        packed = harmless(bits(dots[top : top + MAX_ROWS]))
        high, wide = packed.shape
        parts.append(b"\x1dv0\x00" + wide.to_bytes(2, "little") + high.to_bytes(2, "little"))
        parts.append(packed.tobytes())
    return b"".join(parts)


def harmless(packed: Bitmap) -> Bitmap:
    """The bytes of a picture without a real-time command in them."""
    flat = packed.reshape(-1)
    pair = (flat[:-1] == _DLE) & np.isin(flat[1:], _REAL_TIME)
    if pair.any():
        flat = flat.copy()
        flat[:-1][pair] = 0x30
    return flat.reshape(packed.shape)


def process(number: int) -> str:
    """The process ID of a label: four characters."""
    return f"{number % 10_000:04d}"


def ask_process(text: str) -> bytes:
    """Ask for the process ID `text` once all that was sent before is printed."""
    return b"\x1d(H\x06\x0000" + text.encode("ascii")
