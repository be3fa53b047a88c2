"""Rows of a camera's buffer to 8-bit grey pixels, by pixel format (EMVA's PFNC numbers)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image
from agent.told import told
from drivers.cameras.picture import MOST_PIXELS, PictureError

MONO8 = 0x01080001

# Formats of 16 bits per pixel, and how many of those carry light.
_DEEP = {0x01100003: 10, 0x01100005: 12, 0x01100025: 14, 0x01100007: 16}
# Formats of 8 bits per channel: how many, and what makes them grey. OpenCV names a Bayer pattern
# by its rows' colours as PFNC does in its newer names (RGGB is BayerRG).
_COLOUR = {
    0x02180014: (3, cv2.COLOR_RGB2GRAY),
    0x02180015: (3, cv2.COLOR_BGR2GRAY),
    0x02200016: (4, cv2.COLOR_RGBA2GRAY),
    0x02200017: (4, cv2.COLOR_BGRA2GRAY),
    0x01080008: (1, cv2.COLOR_BayerGRBG2GRAY),
    0x01080009: (1, cv2.COLOR_BayerRGGB2GRAY),
    0x0108000A: (1, cv2.COLOR_BayerGBRG2GRAY),
    0x0108000B: (1, cv2.COLOR_BayerBGGR2GRAY),
}


def grey(data: Any, width: int, height: int, padding: int, pixel_format: int) -> Image:
    """A buffer's rows as a picture of its own: one copy, or one conversion in its place.

    `data` is anything with the buffer protocol, `padding` the bytes behind each row, and may be
    followed by others (chunk data). PictureError for a format that we do not know, or a buffer
    that is shorter than its picture.
    """
    if not 0 < width * height <= MOST_PIXELS:
        raise PictureError(*told("picture_size", width=width, height=height))
    channels, convert = _COLOUR.get(pixel_format, (1, None))
    deep = _DEEP.get(pixel_format)
    if convert is None and deep is None and pixel_format != MONO8:
        raise PictureError(*told("picture_format", format=f"{pixel_format:08x}"))
    row = width * channels * (1 if deep is None else 2)
    size = height * (row + padding)
    if len(data) < size:
        raise PictureError(
            *told(
                "picture_bytes_padded", many=len(data), width=width, height=height, padding=padding
            )
        )
    rows = np.frombuffer(data, np.uint8, size).reshape(height, row + padding)[:, :row]
    if convert is not None:
        shaped = rows if channels == 1 else rows.reshape(height, width, channels)
        converted: Image = cv2.cvtColor(np.ascontiguousarray(shaped), convert)
        return converted
    if deep is not None:
        words: NDArray[Any] = np.ascontiguousarray(rows).view("<u2")
        return (words >> (deep - 8)).astype(np.uint8)
    return rows.copy()
