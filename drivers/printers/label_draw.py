"""A label as a picture of dots: what TSPL and ESC/POS printers are sent and what the panel shows.

Symbols are drawn by zxing-cpp and compared with what they must carry before they are used. Text
is drawn with OpenCV's own font, which has Chinese and needs no font file.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import segno
import zxingcpp
from numpy.typing import NDArray

from agent.core.errors import ConfigError
from agent.core.gs1 import elements_of
from agent.told import os_said, told
from drivers.printers.label_template import GS1, LINEAR, Layout, Placed, refuse
from drivers.printers.label_values import carried

Bitmap = NDArray[np.uint8]
"""Dots, height x width: 0 black, 255 blank."""

_WEIGHT = 500
"""Of letters (400 is regular): a little more ink survives thresholding at small sizes."""
_SMALLEST = 0.5
"""Of its size, a text with a `width` is drawn at least; what is still too long is cut."""


class Ink(NamedTuple):
    """Dots and where their upper left corner stands on the label."""

    x: int
    y: int
    dots: Bitmap


def draw(layout: Layout, fields: Mapping[str, str]) -> Bitmap:
    """The whole label. DomainError: a field is missing, an element cannot carry its value, or its
    symbol does not fit on the label."""
    picture = np.full((layout.height, layout.width), 255, np.uint8)
    for placed in layout.placed:
        for x, y, dots in ink(layout, placed, fields):
            high, wide = dots.shape
            part = picture[max(0, y) : y + high, max(0, x) : x + wide]
            # What would stand beyond the edges is cut, as a printer does it.
            top, left = max(0, -y), max(0, -x)
            part &= dots[top : top + part.shape[0], left : left + part.shape[1]]
    return picture


def ink(layout: Layout, placed: Placed, fields: Mapping[str, str]) -> list[Ink]:
    """What one element puts on the label."""
    match placed.kind:
        case "line":
            return [Ink(placed.x, placed.y, np.zeros((placed.height, placed.width), np.uint8))]
        case "image":
            assert placed.element.file is not None
            return [Ink(placed.x, placed.y, image(placed.element.file, placed.width))]
        case "text":
            value = carried(placed.element, fields)
            return [text_ink(placed, value)] if value else []
    value = carried(placed.element, fields)
    symbol = modules(placed.kind, value, placed.element.level)
    size = placed.size
    if placed.kind in LINEAR:
        dots = np.repeat(np.repeat(symbol[:1], size, axis=1), placed.height, axis=0)
    else:
        dots = np.repeat(np.repeat(symbol, size, axis=0), size, axis=1)
    must_fit(layout, placed, dots.shape[1], dots.shape[0])
    found = [Ink(placed.x, placed.y, dots)]
    if placed.kind in LINEAR and placed.element.readable:
        letters = max(16, 8 * size)
        line = letters_of(readable(placed.kind, value), letters, dots.shape[1], "center")
        found.append(Ink(placed.x, placed.y + placed.height + 2, line))
    return found


def must_fit(layout: Layout, placed: Placed, wide: int, high: int) -> None:
    """DomainError where a symbol of `wide` x `high` dots would not stand whole on the label: what
    is cut off cannot be read."""
    if placed.x + wide > layout.width or placed.y + high > layout.height:
        raise refuse(
            "printer_value_too_long",
            f"makes a {placed.kind} of {wide} x {high} dots, which does not fit on the label at "
            f"({placed.x}, {placed.y})",
        )


def readable(kind: str, value: str) -> str:
    """What stands below bars for people: GS1 elements with brackets."""
    return "".join(f"({ai}){v}" for ai, v in elements_of(value).items()) if kind in GS1 else value


@lru_cache(maxsize=256)
def modules(kind: str, value: str, level: str) -> Bitmap:
    """A symbol, one dot a module, without quiet zone. DomainError: it cannot carry the value."""
    formats = zxingcpp.BarcodeFormat
    if kind == "qr" and not value.isascii():
        # As bytes of UTF-8 without an ECI mark, which many readers on lines do not know.
        code = segno.make_qr(value, error=level, mode="byte", encoding="utf-8", mask=3,
                             boost_error=False)  # fmt: skip
        return np.where(np.array([list(row) for row in code.matrix], np.uint8), 0, 255).astype(
            np.uint8
        )
    options: dict[str, Any] = {"gs1": True} if kind in GS1 else {}
    content, wanted = value, value
    if kind in GS1:
        content = readable(kind, value)
    if kind == "qr":
        symbology, options["ec_level"] = formats.QRCode, level
    elif kind in LINEAR:
        symbology = formats.Code128
    else:
        symbology, options["force_square"] = formats.DataMatrix, True
    try:
        made = zxingcpp.create_barcode(content, symbology, **options)
    except ValueError as error:
        raise refuse("printer_value_forbidden", f"does not go into a {kind} ({error})") from None
    if made.bytes != wanted.encode():
        raise refuse("printer_value_forbidden", f"cannot be written exactly as a {kind}")
    return np.array(made.to_image(scale=1, add_quiet_zones=False), np.uint8)


def text_ink(placed: Placed, value: str) -> Ink:
    """A text element's letters."""
    dots = letters_of(value, placed.size, placed.width, placed.element.align)
    return Ink(placed.x, placed.y, dots)


@lru_cache(maxsize=1024)
def letters_of(text: str, size: int, width: int, align: str) -> Bitmap:
    """`text` in letters `size` dots high, on `width` dots (0 = as wide as it is): there it is
    drawn smaller if it is too long, and cut with an ellipsis below half."""
    text = "".join(char if char.isprintable() else " " for char in text)
    font = cv2.FontFace("uni")
    if width:
        smallest = max(1, int(size * _SMALLEST))
        while size > smallest and _wide(font, text, size) > width:
            size = max(smallest, size * 9 // 10)
        if _wide(font, text, size) > width:
            keep = len(text)
            while keep and _wide(font, text[:keep] + "…", size) > width:
                keep = min(keep - 1, int(keep * width / _wide(font, text[:keep], size)) + 1)
            text = text[:keep] + "…"
    drawn = max(1, _wide(font, text, size))
    wide = width or drawn
    x = {"left": 0, "center": (wide - drawn) // 2, "right": wide - drawn}[align]
    canvas = np.full((size * 5 // 4 + 2, wide), 255, np.uint8)
    cv2.putText(canvas, text, (max(0, x), round(size * 0.88)), (0,), font, size, _WEIGHT)
    letters: Bitmap = np.where(canvas < 128, 0, 255).astype(np.uint8)
    return letters


def _wide(font: Any, text: str, size: int) -> int:
    x, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), font, size, _WEIGHT)
    return int(x + wide + 1)


@lru_cache(maxsize=64)
def image(path: str, width: int) -> Bitmap:
    """The picture of a file, `width` dots wide, in black and white. ConfigError: there is none."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigError(
            *told("label_picture_unreadable", path=path, why=os_said(error))
        ) from error
    grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if grey is None:
        raise ConfigError(*told("label_no_picture", path=path))
    height = max(1, round(grey.shape[0] * width / grey.shape[1]))
    scaled = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return np.where(scaled < 128, 0, 255).astype(np.uint8)


def png(picture: Bitmap) -> bytes:
    """The picture as a PNG of one bit a dot."""
    _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_BILEVEL, 1])
    return bytes(data.tobytes())


def bits(dots: Bitmap) -> NDArray[np.uint8]:
    """Rows of bytes, a bit a dot, the left dot the highest bit, 1 = black; blank to whole bytes."""
    return np.packbits(dots == 0, axis=1)
