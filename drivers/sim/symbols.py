"""Symbols as module bitmaps: what a printer would put on the bottle, one pixel per module."""

import re
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import segno
import zxingcpp
from numpy.typing import NDArray

Bitmap = NDArray[np.uint8]
"""Modules (height x width), 0 printed and 255 blank, without quiet zone."""

# What the cameras of a line need (VISION.md): px per module, and quiet zone in modules.
PITCH = {"QRCode": 4, "DataMatrix": 6, "Code128": 3, "EAN13": 3}
QUIET = {"QRCode": 4, "DataMatrix": 2, "Code128": 10, "EAN13": 11}
LINEAR = {"Code128", "EAN13"}
_BAR_HEIGHT = 0.35  # of a bar code's width

# GS1 application identifiers whose value has a fixed length, by their first two digits
# (GS1 General Specifications, figure 7.8.5-2: length with the two digits).
_FIXED = {
    "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "11": 8, "12": 8, "13": 8, "14": 8,
    "15": 8, "16": 8, "17": 8, "18": 8, "19": 8, "20": 4, "31": 10, "32": 10, "33": 10,
    "34": 10, "35": 10, "36": 10, "41": 16,
}  # fmt: skip
_LONG_AI = {"23": 3, "24": 3, "25": 3, "31": 4, "32": 4, "33": 4, "34": 4, "35": 4, "36": 4,
            "39": 4, "40": 3, "41": 3, "42": 3, "43": 4, "70": 4, "71": 3, "72": 4, "80": 4,
            "82": 4}  # fmt: skip


@lru_cache(maxsize=8192)
def bitmap(text: str, kind: str, gs1: bool = False) -> Bitmap:
    """The modules of a symbol. With `gs1` the text is a GS1 element string, bracketed or with
    0x1D separators, and the symbol starts with FNC1. ValueError if it cannot be written."""
    if kind == "QRCode" and not gs1:
        # Not by zxing-cpp, which reads it again: a mistake shared by both would not show.
        # A fixed mask: trying all eight takes 2.4 ms, and any mask may be read.
        code = segno.make_qr(text, error="m", mask=3, boost_error=False)
        return np.where(np.array([list(row) for row in code.matrix], np.uint8), 0, 255).astype(
            np.uint8
        )
    formats = zxingcpp.BarcodeFormat
    options: dict[str, Any] = {"gs1": True} if gs1 else {}
    if kind == "DataMatrix":
        options["force_square"] = True
    if kind not in PITCH:
        raise ValueError(f"no symbol of kind {kind!r}: QRCode, DataMatrix, Code128 or EAN13")
    if kind == "EAN13" and not re.fullmatch(r"\d{13}", text):
        raise ValueError(f"EAN-13 takes 13 digits, not {text!r}")  # a short one would be filled up
    barcode = zxingcpp.create_barcode(
        bracketed(text) if gs1 else text, getattr(formats, kind), **options
    )
    modules = np.array(barcode.to_image(scale=1, add_quiet_zones=False), np.uint8)
    if kind in LINEAR:
        width = modules.shape[1]
        return np.repeat(modules[:1], max(1, round(width * _BAR_HEIGHT)), axis=0)
    return modules


def bracketed(text: str) -> str:
    """A GS1 element string with brackets round its application identifiers; bracketed stays."""
    if text.startswith("("):
        return text
    out = []
    rest = text.strip("\x1d")
    while rest:
        if not re.match(r"\d\d", rest):
            raise ValueError(f"no application identifier at {rest!r}")
        head = rest[:2]
        end = rest.find("\x1d")
        if head in _FIXED:
            end = _FIXED[head]
        elif end < 0:
            end = len(rest)
        ai = _LONG_AI.get(head, 2)
        out.append(f"({rest[:ai]}){rest[ai:end]}")
        rest = rest[end:].lstrip("\x1d")
    return "".join(out)


def suggest_size(text: str, kind: str, gs1: bool = False) -> int:
    """Edge in px (width of a bar code) at which a camera reads this symbol well."""
    return int(bitmap(text, kind, gs1).shape[1]) * PITCH[kind]


@lru_cache(maxsize=64)
def printed(text: str, kind: str, gs1: bool, damage: float, pitch: int) -> Bitmap:
    """The symbol at `pitch` px per module, with one blank module on every side.

    `damage` 0..1 paints that share of the symbol's area, from the middle, over in grey.
    """
    modules = bitmap(text, kind, gs1)
    height, width = (side * pitch for side in modules.shape)
    picture = cv2.resize(modules, (width, height), interpolation=cv2.INTER_NEAREST)
    if damage > 0:
        share = min(1.0, damage)
        # A bar code survives any hole that leaves one scan line: it is hidden over its full height.
        half_w = width / 2 * (share if kind in LINEAR else share**0.5)
        half_h = height / 2 * (1.0 if kind in LINEAR else share**0.5)
        rows = slice(round(height / 2 - half_h), round(height / 2 + half_h))
        picture[rows, round(width / 2 - half_w) : round(width / 2 + half_w)] = 128
    result: Bitmap = cv2.copyMakeBorder(
        picture, pitch, pitch, pitch, pitch, cv2.BORDER_CONSTANT, value=(255,)
    )
    return result
