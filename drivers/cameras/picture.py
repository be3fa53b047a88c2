"""Picture files to 8-bit grey pixels: JPEG, PNG, BMP, PGM, measured before they are decoded.

A file of a few kilobytes can claim to be a gigabyte of pixels, and a decoder believes it. So the
size is read from agent.told import told
from the file's own header first.
"""

import re
import struct

import cv2
import numpy as np

from agent.core.errors import CaselinkError
from agent.ports.reading import Image
from agent.told import told

# Its own lines about every bad file on stderr: whoever calls us says it, and not 30 times a second.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Data = bytes | bytearray

MOST_PIXELS = 50_000_000
"""A larger picture is refused: no line camera makes one."""

# Start-of-frame markers of JPEG (ITU T.81 table B.1); C4, C8 and CC are something else.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})

# Comments may stand between the numbers of the header.
_PGM = re.compile(rb"P5" + 3 * rb"(?:\s+|#[^\n]*\n)+(\d{1,6})" + rb"\s")


class PictureError(CaselinkError):
    """Not a picture that we take; says what is wrong with it. The driver names the remedy."""


def decode(data: Data) -> Image:
    """The pixels of a picture file, height x width, 8-bit grey (colour is converted).

    PictureError if it is none of the four formats, is cut off, claims more than MOST_PIXELS, or
    cannot be decoded.
    """
    width, height = size(data)
    if not 0 < width * height <= MOST_PIXELS:
        raise PictureError(*told("picture_size", width=width, height=height))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise PictureError(*told("picture_undecoded_why", why=error.err)) from error
    if image is None or image.ndim != 2 or image.dtype != np.uint8:
        raise PictureError(*told("picture_undecoded"))
    grey: Image = image
    return grey


def raw(data: Data, width: int, height: int) -> Image:
    """Raw 8-bit grey rows as pixels; PictureError if the length does not fit the size."""
    if not 0 < width * height <= MOST_PIXELS:
        raise PictureError(*told("picture_size", width=width, height=height))
    if len(data) != width * height:
        raise PictureError(*told("picture_bytes", many=len(data), width=width, height=height))
    return np.frombuffer(data, np.uint8).reshape(height, width)


def size(data: Data) -> tuple[int, int]:
    """Width and height as the file's header says; PictureError for what is none of the four.
    Whether the rest of the file is there, the decoder finds out."""
    if data.startswith(b"BM"):
        return _bmp(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"P5"):
        return _pgm(data)
    raise PictureError(*told("picture_unknown"))


def _bmp(data: Data) -> tuple[int, int]:
    if len(data) < 26 or struct.unpack_from("<I", data, 14)[0] < 40:
        raise PictureError(*told("picture_bmp_cut"))
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # negative: rows from the top


def _png(data: Data) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise PictureError(*told("picture_png_cut"))
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: Data) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF:
            raise PictureError(*told("picture_jpeg_broken"))
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _SOF:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise PictureError(*told("picture_jpeg_cut"))


def _pgm(data: Data) -> tuple[int, int]:
    match = _PGM.match(data[:4096])
    if match is None:
        raise PictureError(*told("picture_pgm_broken"))
    width, height, most = (int(group) for group in match.groups())
    if not 0 < most < 256:
        raise PictureError(*told("picture_pgm_deep"))
    return width, height
