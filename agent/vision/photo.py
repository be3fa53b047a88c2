"""A picture file as 8-bit grey pixels, whatever it is: for pictures that lie in a folder."""

from pathlib import Path

import cv2
import numpy as np

from agent.ports.reading import Image

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("bmp", "dib", "gif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm"),
        *("tif", "tiff", "webp"),
    )
)
"""What a file is called that is meant to be a picture (lower case)."""

MOST_BYTES = 400_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


class PhotoError(Exception):
    """Not a picture; says what is wrong with the file."""


def load(file: Path) -> Image:
    """The file's pixels, height x width, 8-bit grey; PhotoError if it is none.

    Colour is weighted as the eye sees it, 16 bits are cut to 8, what is transparent is white
    (a symbol that is drawn black on nothing would be black on black otherwise).
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise PhotoError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
        data = file.read_bytes()
    except OSError as error:
        raise PhotoError(f"it cannot be read: {error.strerror}") from error
    if not data:
        raise PhotoError("it is empty")
    try:
        image = _decoded(data)
    except (cv2.error, MemoryError) as error:
        raise PhotoError(f"it cannot be decoded: {str(error).strip()[-200:]}") from error
    if image is None or image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise PhotoError("it is no picture, or cut off")
    return image


def _decoded(data: bytes) -> Image | None:
    pixels = np.frombuffer(data, np.uint8)
    if data.startswith(_PNG) and len(data) > 25 and (data[25] in (4, 6) or b"tRNS" in data[:4096]):
        found = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
        if found is not None and found.ndim == 3 and found.shape[2] == 4:
            most = float(np.iinfo(found.dtype).max)
            grey = cv2.cvtColor(found, cv2.COLOR_BGRA2GRAY).astype(np.float32) / most
            opaque = found[:, :, 3].astype(np.float32) / most
            white: Image = np.rint((grey * opaque + 1 - opaque) * 255).astype(np.uint8)
            return white
    image: Image | None = cv2.imdecode(pixels, cv2.IMREAD_GRAYSCALE)
    return image
