"""What a camera's pictures are like, for whoever sets it up: how many are read, how many pixels a
module has, how sharp, how bright, how even the light is.

Figures are in the terms of an installer: pixels, grey values (0 black, 255 white), shares.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from agent.ports.reading import Image, Read
from agent.vision.attempts import ATTEMPTS
from agent.vision.cascade import is_picture
from agent.vision.formats import FORMATS, LINEAR
from agent.vision.settings import DecodeSettings

Floats = NDArray[np.float64]

WANTED: Final = {"DataMatrix": 6.0, **dict.fromkeys(LINEAR, 3.0)}
"""Pixels per module (per narrow bar) to ask of an installer; 4 for the other symbologies."""
WANTED_ELSE: Final = 4.0
MOST_FRAMES = 200
_ROOM = 1.4
"""A symbol is looked at with this much around it: its quiet zone and a little of the label."""
_OWN_BLUR = 0.85
"""Sigma (px) that pixels and the slope's filter add."""
_SATURATED = 252


@dataclass(frozen=True, slots=True)
class Figures:
    """One picture. `read` is the share of its places that were read (one place, or a case's cells).
    What needs a symbol is None where none was read: `module` and `blur` (sigma of the edges) in px,
    `smear` how much blurrier one way than the other (1 = alike; along x above 1, along y below).
    `contrast` is the share of the grey scale between ink and ground, `level` the grey value of the
    bright ground, `glare` the share of pixels at the upper end of the scale. `sides` are the
    brightness of left, right, upper and lower side, the brightest of two being 1."""

    read: float
    ms: float
    attempts: tuple[str, ...]
    module: float | None
    blur: float | None
    smear: float | None
    contrast: float
    level: float
    glare: float
    sides: tuple[float, float, float, float]
    strays: int = 0


def measure(
    image: Image, settings: DecodeSettings, reads: Sequence[Read], places: int, seconds: float
) -> Figures | None:
    """The figures of a picture and of the `reads` on it, of `places` that were to be read.

    None for what is no picture."""
    if not is_picture(image):
        return None
    linear = settings.symbology in LINEAR
    patches = [
        (read, patch) for read in reads if (patch := _patch(image, read, linear)) is not None
    ]
    if not patches:
        x, y, w, h = settings.box(image.shape[1], image.shape[0])
        region = image[y : y + h, x : x + w]
        return _without(region, seconds) if region.size else None
    modules = [m for read, _ in patches[:4] if (m := module_of(image, read, settings.symbology))]
    edges = [_edges(patch) for _, patch in patches]
    # Bars have edges one way only: the sharper way is across them.
    blurs = [min(each) if linear else max(each) for each in edges]
    levels = [float(np.percentile(patch, 90)) for _, patch in patches]
    inks = [float(np.percentile(patch, 4)) for _, patch in patches]
    return Figures(
        min(1.0, len(reads) / max(1, places)),
        seconds * 1000,
        tuple(read.attempt for read in reads),
        median(modules) if modules else None,
        median(blurs),
        None if linear else median(x / y for x, y in edges),
        median((b - a) / 255 for a, b in zip(inks, levels, strict=True)),
        median(levels),
        float(np.mean([(patch >= _SATURATED).mean() for _, patch in patches])),
        _spread(patches, levels) if len(patches) >= 4 else _within(patches[0][1]),
        max(0, len(reads) - places),
    )


def module_of(image: Image, read: Read, symbology: str) -> float | None:
    """Pixels per module of a symbol (of its narrow bars); None where it cannot be said."""
    if symbology in LINEAR:
        return _narrow_bar(image, read)
    modules = _count(image, read, symbology)
    if modules is None:
        return None
    across, down = modules
    c = read.corners
    wide = (_far(c[0], c[1]) + _far(c[3], c[2])) / 2
    high = (_far(c[0], c[3]) + _far(c[1], c[2])) / 2
    return (wide / across + high / down) / 2


def _count(image: Image, read: Read, symbology: str) -> tuple[int, int] | None:
    """Modules across and down, as the symbol itself says by its version."""
    patch = _patch(image, read)
    attempt = ATTEMPTS.get(read.attempt)
    if patch is None:
        return None
    if attempt is None or attempt.turn is not None or attempt.second:
        attempt = ATTEMPTS["full"]
    for prepared in (attempt.prepare(patch), patch):
        found = zxingcpp.read_barcode(prepared, formats=FORMATS[symbology])
        if found is not None and found.text:
            return _size(symbology, str(found.extra.get("Version", "")))
    return None


def _size(symbology: str, version: str) -> tuple[int, int] | None:
    rows, x, columns = version.partition("x")
    if x and rows.lstrip("R").isdigit() and columns.isdigit():
        return int(columns), int(rows.lstrip("R"))
    digits = version.lstrip("M")
    if not digits.isdigit():
        return None
    edge = 9 + 2 * int(digits) if symbology == "MicroQRCode" else 17 + 4 * int(digits)
    return edge, edge


def _narrow_bar(image: Image, read: Read) -> float | None:
    """From the runs of dark and light along the middle of the bars."""
    c = np.array(read.corners, np.float64)
    left, right = (c[0] + c[3]) / 2, (c[1] + c[2]) / 2
    length = float(np.linalg.norm(right - left))
    if length < 20:
        return None
    steps = np.linspace(0, 1, int(length * 4))[:, None]
    points = (left + (right - left) * steps).astype(np.float32)
    line = cv2.remap(image, points[None, :, 0], points[None, :, 1], cv2.INTER_LINEAR)[0]
    middle = (np.percentile(line, 10) + np.percentile(line, 90)) / 2
    changes = np.flatnonzero(np.diff(line > middle))
    runs = np.diff(changes) / 4
    if len(runs) < 8:
        return None
    narrow = float(np.percentile(runs, 20))
    alike = runs[(runs > 0.6 * narrow) & (runs < 1.4 * narrow)]
    return float(alike.mean())


def _patch(image: Image, read: Read, linear: bool = False) -> Image | None:
    """A symbol and its surroundings; of a bar code, whose corners are those of one scan line, a
    strip about that line."""
    if len(read.corners) != 4:
        return None
    xs, ys = zip(*read.corners, strict=True)
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    if linear:
        wide, high = max(wide, round(0.15 * high)), max(high, round(0.15 * wide))
    middle = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    w, h = wide * _ROOM / 2, high * _ROOM / 2
    left, top = max(0, round(middle[0] - w)), max(0, round(middle[1] - h))
    patch = image[top : round(middle[1] + h), left : round(middle[0] + w)]
    return patch if min(patch.shape) >= 12 else None


def _edges(patch: Image) -> tuple[float, float]:
    """Sigma (px) of the sharpest edges along x and along y: a step of height C that a Gaussian has
    blurred is C / (sigma sqrt(2 pi)) steep in its middle."""
    ink, ground = np.percentile(patch, (4, 90))
    step = max(1.0, float(ground - ink))
    out = []
    for dx, dy in ((1, 0), (0, 1)):
        # Scharr weighs 32 over two pixels; its cross smoothing takes the noise off.
        slope = np.abs(cv2.Scharr(patch, cv2.CV_32F, dx, dy)) / 32
        steep = max(0.5, float(np.percentile(slope, 99)))
        sigma = step / (steep * 2.5066)
        out.append(max(0.3, max(0.0, sigma**2 - _OWN_BLUR**2) ** 0.5))
    return out[0], out[1]


def _without(region: Image, seconds: float) -> Figures:
    """A picture on which nothing was read: only light can be said."""
    dark, bright = np.percentile(region, (4, 90))
    return Figures(
        0.0,
        seconds * 1000,
        (),
        None,
        None,
        None,
        float(bright - dark) / 255,
        float(bright),
        float((region >= _SATURATED).mean()),
        (1.0, 1.0, 1.0, 1.0),
    )


def _within(patch: Image) -> tuple[float, float, float, float]:
    """The ground's brightness in the outer fifths of one symbol's surroundings."""
    high, wide = (max(1, edge // 5) for edge in patch.shape)
    parts = (patch[:, :wide], patch[:, -wide:], patch[:high], patch[-high:])
    return _shares([float(np.percentile(part, 90)) for part in parts])


def _spread(
    patches: Sequence[tuple[Read, Image]], levels: Sequence[float]
) -> tuple[float, float, float, float]:
    """The light over a frame with many symbols: a plane through their ground's brightness."""
    middles = np.array([np.mean(read.corners, axis=0) for read, _ in patches])
    low, high = middles.min(axis=0), middles.max(axis=0)
    around = (middles - (low + high) / 2) / np.maximum(1.0, (high - low) / 2)
    rows = np.column_stack([np.ones(len(around)), around])
    a, b, c = np.linalg.lstsq(rows, np.array(levels), rcond=None)[0]
    return _shares([float(v) for v in (a - b, a + b, a - c, a + c)])


def _shares(values: Sequence[float]) -> tuple[float, float, float, float]:
    left, right, top, bottom = (max(1.0, value) for value in values)
    return (
        left / max(left, right),
        right / max(left, right),
        top / max(top, bottom),
        bottom / max(top, bottom),
    )


def _far(a: tuple[int, int], b: tuple[int, int]) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])


@dataclass(slots=True)
class Tuning:
    """The figures of many pictures of one camera, the last MOST_FRAMES of them."""

    figures: list[Figures] = field(default_factory=list)

    def add(self, figures: Figures) -> None:
        self.figures.append(figures)
        del self.figures[:-MOST_FRAMES]

    @property
    def rate(self) -> float | None:
        """Share of all places that were read; None before the first picture."""
        if not self.figures:
            return None
        return sum(each.read for each in self.figures) / len(self.figures)

    def typical(self) -> Figures | None:
        """The median of each figure; None before the first picture."""
        every = self.figures
        if not every:
            return None

        def middle(name: str) -> Any:
            values = [v for each in every if (v := getattr(each, name)) is not None]
            return median(values) if values else None

        return Figures(
            self.rate or 0.0,
            middle("ms"),
            tuple(name for name, _ in self.attempts().most_common()),
            middle("module"),
            middle("blur"),
            middle("smear"),
            middle("contrast"),
            middle("level"),
            middle("glare"),
            (
                median(each.sides[0] for each in every),
                median(each.sides[1] for each in every),
                median(each.sides[2] for each in every),
                median(each.sides[3] for each in every),
            ),
            max(each.strays for each in every),
        )

    def attempts(self) -> Counter[str]:
        """How many symbols each attempt read."""
        return Counter(name for each in self.figures for name in each.attempts)
