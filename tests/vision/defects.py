"""Symbols with one defect of known size each, painted without the plant's renderer: the picture is
drawn at several times its size and averaged down, as a camera's pixels do it."""

from dataclasses import dataclass

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from agent.ports.reading import Image, Read

Modules = NDArray[np.bool_]
"""True is dark."""

URL = "https://q.example.cn/ABCDEFGHJKLMN"
FORMATS = zxingcpp.BarcodeFormat
_WRITTEN = {"ITF14": "ITF", "DataBar": "DataBarOmni"}  # without bearer bars; one of several
_FINE = 12  # px per module of the printing plate
_OVER = 3  # drawn so many times larger than the picture


def modules(kind: str, text: str = URL, level: str = "M") -> Modules:
    """The modules of a symbol; a bar code's bars are 20 rows high."""
    options = {"QRCode": {"ec_level": level}, "DataMatrix": {"force_square": True}}
    barcode = zxingcpp.create_barcode(
        text, getattr(FORMATS, _WRITTEN.get(kind, kind)), **options.get(kind, {})
    )
    drawn = np.array(barcode.to_image(scale=1, add_quiet_zones=False)) == 0
    if kind not in options:
        bars = np.flatnonzero(drawn[0])
        return np.repeat(drawn[:1, bars[0] : bars[-1] + 1], 20, axis=0)
    return drawn


@dataclass(frozen=True)
class Look:
    """How it is printed and seen. `px` per module, `turn` degrees, `growth` of what is dark in
    modules, `stretch` its height against its width, `bend` modules by which the middle of its rows
    is lifted, `lean` by how much its far edge is shorter (perspective), `ink` and `paper` grey."""

    px: float = 5.0
    turn: float = 0.0
    ink: int = 20
    paper: int = 235
    growth: float = 0.0
    stretch: float = 1.0
    bend: float = 0.0
    lean: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


def paint(dark: Modules, look: Look = Look(), quiet: int | None = None) -> Image:
    """The picture of a symbol with its middle about in the middle of it."""
    if quiet is None:
        quiet = 10 if dark.shape[1] > 2 * dark.shape[0] else 5
    plate = np.pad(np.kron(dark, np.ones((_FINE, _FINE), bool)), quiet * _FINE)
    grow = round(abs(look.growth) * _FINE)
    if grow:
        # Half on each side; an odd rest goes to the right and to the bottom.
        kernel = np.ones((grow + 1, grow + 1), np.uint8)
        change = cv2.dilate if look.growth > 0 else cv2.erode
        plate = change(plate.astype(np.uint8), kernel) > 0
    grey = np.where(plate, look.ink, look.paper).astype(np.uint8)
    rows, columns = (each + 2 * quiet for each in dark.shape)
    turn = np.deg2rad(look.turn)
    cos, sin = np.cos(turn), np.sin(turn)
    half_w, half_h = columns * look.px / 2, rows * max(1.0, look.stretch) * look.px / 2
    wide = int(abs(half_w * cos) + abs(half_h * sin)) + 2
    high = int(abs(half_w * sin) + abs(half_h * cos)) + 2
    x = ((np.arange(2 * wide * _OVER) + 0.5) / _OVER - wide).astype(np.float32)
    y = ((np.arange(2 * high * _OVER) + 0.5) / _OVER - high).astype(np.float32)[:, None]
    u = (x * cos + y * sin) / look.px
    v = (-x * sin + y * cos) / look.px / look.stretch
    u = u * (1 + look.lean * v / rows)
    v = v + look.bend * (1 - (2 * u / columns) ** 2)
    where = [((each + side / 2) * _FINE - 0.5) for each, side in ((u, columns), (v, rows))]
    large = cv2.remap(
        grey, *(each.astype(np.float32) for each in where), cv2.INTER_LINEAR, borderValue=look.paper
    )
    image = cv2.resize(large, (2 * wide, 2 * high), interpolation=cv2.INTER_AREA)
    if look.blur:
        image = cv2.GaussianBlur(image, (0, 0), look.blur)
    if look.noise:
        rough = np.random.default_rng(1).normal(0, look.noise, image.shape)
        image = np.clip(image + rough, 0, 255).astype(np.uint8)
    return image


def read(image: Image, kind: str) -> Read:
    """The read of the one symbol in a picture, as the reader gives it; AssertionError if none."""
    found = None
    for binarizer in (zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.FixedThreshold):
        found = found or zxingcpp.read_barcode(
            image,
            formats=getattr(FORMATS, kind),
            text_mode=zxingcpp.TextMode.Plain,
            binarizer=binarizer,
        )
    assert found is not None, "the symbol of this test cannot be read"
    at = found.position
    corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    return Read(found.text, found.symbology_identifier, tuple((p.x, p.y) for p in corners), "full")
