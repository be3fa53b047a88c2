"""Which way the bars or modules of a picture run, and the picture turned so that they are upright.

The reader scans rows and columns: a bar code at 30 degrees has few rows that cross all its bars,
and a blurred Data Matrix is found best upright.
"""

from math import atan2, ceil, cos, degrees, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image

_SMALL = 240
"""The direction is asked of a copy with about so many px at its longer edge."""

Matrix = NDArray[np.float64]
"""2 x 3: maps a point of one picture to the other."""


def of_bars(image: Image) -> float:
    """Degrees by which to turn the picture so that most edges run upwards (-90 to 90)."""
    x, y = _edges(image)
    return degrees(0.5 * atan2(2 * float((x * y).sum()), float((x * x - y * y).sum())))


def of_modules(image: Image) -> float:
    """Degrees by which to turn the picture so that most edges run upwards or across (-45 to 45)."""
    x, y = _edges(image)
    a, b = x * x - y * y, 2 * x * y
    return degrees(0.25 * atan2(float((2 * a * b).sum()), float((a * a - b * b).sum())))


def _edges(image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = image.shape
    factor = _SMALL / max(height, width)
    if factor < 0.7:
        size = (max(8, round(width * factor)), max(8, round(height * factor)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(image, (0, 0), 1.2)
    return cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)


def turned(image: Image, angle: float) -> tuple[Image, Matrix]:
    """The picture turned by `angle` degrees about its middle, nothing cut off, and the matrix
    that leads from the turned picture back."""
    height, width = image.shape
    a, b = cos(radians(angle)), sin(radians(angle))
    wide = ceil(width * abs(a) + height * abs(b))
    high = ceil(width * abs(b) + height * abs(a))
    # Destination -> source, which is also what maps corners back.
    back = np.array(
        [
            [a, -b, (width - 1) / 2 - a * (wide - 1) / 2 + b * (high - 1) / 2],
            [b, a, (height - 1) / 2 - b * (wide - 1) / 2 - a * (high - 1) / 2],
        ]
    )
    shown = cv2.warpAffine(
        image,
        back,
        (wide, high),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return shown, back
