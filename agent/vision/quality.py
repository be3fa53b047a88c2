"""The quality index of a symbol that was read: picture and read in, parameters and letters out.

Pure, and far too slow for a verdict (milliseconds): it runs beside the line, on samples.
"""

from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from agent.ports.reading import Image, Read
from agent.vision import quality_bars, quality_linear, quality_matrix
from agent.vision.attempts import ATTEMPTS, Attempt
from agent.vision.cascade import is_picture
from agent.vision.formats import FORMATS
from agent.vision.quality_layout import Layout, data_matrix, qr
from agent.vision.quality_scale import Parameter, Quality

__all__ = ["GRADED", "Parameter", "Quality", "grade"]

GRADED = frozenset({"QRCode", "DataMatrix", *quality_bars.RULES})
"""Symbologies that have a quality index."""


def grade(image: Image, read: Read, symbology: str, white: float = 255.0) -> Quality | None:
    """The quality index of one read of `symbology` in `image` (height x width, 8-bit grey), the
    picture that it was read in. `white` is the grey value that counts as full reflectance.

    None where there is none to give: the symbology has no index here, the read has no place in the
    picture, or what is there cannot be measured. Never raises for any picture.
    """
    if symbology not in GRADED or not is_picture(image) or len(read.corners) != 4:
        return None
    corners = np.array(read.corners, np.float64)
    if symbology in quality_bars.RULES:
        return quality_linear.grade(image, corners, read.text, symbology, white)
    part = quality_matrix.crop(image, corners)
    if part.size == 0:
        return None
    for attempt in _attempts(read):
        found = _again(part, symbology, attempt)
        if found is None or str(found.text) != read.text:
            continue
        layout = _layout(symbology, found.extra or {})
        if layout is None:
            return None
        version = str(found.extra["Version"])
        seen = quality_matrix.grade(
            part, _corners(found, attempt), layout, symbology, version, white
        )
        if seen is not None:
            return seen
    return None


def _attempts(read: Read) -> list[Attempt]:
    """How the symbol is looked for once more: plainly if that does, else as it was read."""
    names = dict.fromkeys(("full", read.attempt))
    return [ATTEMPTS[name] for name in names if name in ATTEMPTS]


def _again(part: Image, symbology: str, attempt: Attempt) -> Any:
    """What the reader itself knows of the symbol: its version, its mask. Never `to_image()` of what
    it gives: that ends the process for some bar codes (zxing-cpp 3.1.1, Code 128)."""
    try:
        return zxingcpp.read_barcode(
            attempt.prepare(part),
            formats=FORMATS[symbology],
            text_mode=zxingcpp.TextMode.Plain,
            binarizer=zxingcpp.Binarizer.GlobalHistogram
            if attempt.global_histogram
            else zxingcpp.Binarizer.LocalAverage,
        )
    except (cv2.error, ValueError, RuntimeError):
        return None


def _corners(found: Any, attempt: Attempt) -> NDArray[np.float64]:
    """Top left, top right, bottom right, bottom left, in pixels of the part."""
    position = found.position
    points = (
        position.top_left,
        position.top_right,
        position.bottom_right,
        position.bottom_left,
    )
    # The corners are pixels of the symbol: half a pixel more is nearer the middle of its edge.
    return np.array([(p.x + 0.5, p.y + 0.5) for p in points], np.float64) / attempt.scale


def _layout(symbology: str, extra: dict[str, Any]) -> Layout | None:
    try:
        if symbology == "QRCode":
            return qr(int(extra["Version"]), str(extra["ECLevel"]), int(extra["DataMask"]))
        rows, columns = str(extra["Version"]).split("x")
        return data_matrix(int(rows), int(columns))
    except (KeyError, ValueError):
        return None
