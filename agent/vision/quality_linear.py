"""The quality index of a bar code: ten scan lines, after ISO/IEC 15416 clause 5.

What differs from the standard: reflectance is the grey value over the station's white, the camera's
pixel is the aperture along the line, and of the symbologies' own reference decoding only what
agent.vision.quality_bars says of the elements' widths is used.
"""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image
from agent.vision.quality_bars import RULES, Rule
from agent.vision.quality_grid import Floats, look
from agent.vision.quality_scale import (
    BAR_MODULATION,
    BEST,
    CONTRAST,
    DECODABILITY,
    DEFECTS,
    Parameter,
    Quality,
    Scale,
)

LINES = 10
"""Scan lines, evenly over the inner 80 % of the bars' height."""
FINE = 4
"""Samples per pixel along a scan line."""
QUIET = 4
"""Modules beside the bars that belong to a scan line: what is printed farther out is not ours."""
ALIKE = 0.7
"""Correlation of a line across the bars with the one in the middle, to be still on the bars."""
GAP = 5
"""Pixels of bars missing over their whole width that do not end them."""
MOST = 4096
"""Pixels that a bar code is wide at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Scan lines of one symbol: grey values (lines x samples), samples per pixel FINE, and where
    the bars begin and end in samples, about."""

    grey: Floats
    first: float
    last: float


def grade(
    image: Image,
    corners: NDArray[np.float64],
    text: str,
    symbology: str,
    white: float = 255.0,
) -> Quality | None:
    """The quality index of the bar code that was read between these corners. None if its bars are
    not found there.

    Each parameter's score is the mean over the lines (15416 5.4 and 6.2), its value too. contrast:
    Rmax - Rmin. min_reflectance: Rmin / Rmax, at most 0.5. min_edge_contrast: the least step from a
    bar to its neighbour, at least 0.15. modulation: that step over the contrast. defects: the
    largest peak within a bar or dip within a space, over the contrast. decodability: how far the
    worst width is from being taken for another. decode: lines that can be
    decoded. Print growth: how much wider than a module the bars are, reported only.
    """
    rules = RULES[symbology]
    lines = _lines(image, corners)
    if lines is None:
        return None
    edges = [_edges(line, lines) for line in lines.grey]
    count = _count(edges, rules[0])
    if count is None:
        return None
    good = np.array([len(each) == count + 1 for each in edges])
    placed = np.array([each for each, fits in zip(edges, good, strict=True) if fits])
    widths = np.diff(placed, axis=1)
    judged = max((rule.judge(widths) for rule in rules), key=lambda each: each.decodability.mean())
    high, low = lines.grey.max(axis=1), lines.grey.min(axis=1)
    contrast = np.maximum(high - low, 1e-9)
    step, defect = _profile(lines.grey[good], placed, contrast[good])
    decoded = np.zeros(LINES)
    decoded[good] = np.where(judged.decodability > 0, 1.0, 0.0)
    floor = low / np.maximum(high, 1e-9)
    return Quality(
        symbology,
        str(len(text)),
        judged.module / FINE,
        (
            _mean("contrast", contrast / white, CONTRAST),
            _limit("min_reflectance", floor, floor <= 0.5),
            _limit("min_edge_contrast", step / white, step / white >= 0.15, good),
            _mean("modulation", step / contrast[good], BAR_MODULATION, good),
            _mean("defects", defect, DEFECTS, good),
            _mean("decodability", judged.decodability, DECODABILITY, good),
            _limit("decode", decoded, decoded > 0),
            Parameter("print_growth", judged.growth, None),
        ),
    )


def _mean(
    name: str, values: Floats, scale: Scale, of: NDArray[np.bool_] | None = None
) -> Parameter:
    """Over all lines; one that is not among `of` could not be measured and scores nothing."""
    scores = sum(scale.score(float(value)) for value in values)
    many = len(values) if of is None else len(of)
    return Parameter(name, float(values.mean()), scores / many)


def _limit(
    name: str, values: Floats, kept: NDArray[np.bool_], of: NDArray[np.bool_] | None = None
) -> Parameter:
    """A parameter with one limit: A or F per line."""
    many = len(values) if of is None else len(of)
    return Parameter(name, float(values.mean()), BEST * float(kept.sum()) / many)


# -------------------------------------------------------------------------------- where it lies


def _lines(image: Image, corners: NDArray[np.float64]) -> Lines | None:
    """Ten lines across the bars. The reader's corners say where the bars begin and end, not how
    high they are, and its line need not be at right angles to them."""
    left, right = (corners[0] + corners[3]) / 2 + 0.5, (corners[1] + corners[2]) / 2 + 0.5
    if not 8 <= np.hypot(*(right - left)) <= MOST:
        return None
    along = _across_bars(image, left, right)
    if along is None:
        return None
    middle, half = (left + right) / 2, float((right - left) @ along) / 2
    if half < 4:
        return None
    beside = np.array([-along[1], along[0]])
    height, width = image.shape
    apart = max(1, round(half / 100))
    reach = np.arange(-round(half), round(half) + 1, apart)
    rough = np.arange(-half, half, apart)
    places = middle + reach[:, None, None] * beside + rough[:, None] * along
    inside = (places > 0).all(axis=-1) & (places < (width, height)).all(axis=-1)
    on = _on_bars(look(image, places), inside.all(axis=1), max(1, GAP // apart))
    if on is None:
        return None
    low, high = float(reach[on[0]]), float(reach[on[1]])
    if high - low < LINES:
        return None
    # The number of modules is not known yet: a line goes a little farther than any may need.
    spare = QUIET * 2 * half / 60
    steps = np.arange(-half - spare, half + spare, 1 / FINE)
    offsets = low + (high - low) * (0.1 + 0.8 * (np.arange(LINES) + 0.5) / LINES)
    thick = np.linspace(-0.4, 0.4, 3) * min(2.0, (high - low) / LINES)
    at = (offsets[:, None] + thick)[..., None, None] * beside + steps[:, None] * along + middle
    return Lines(look(image, at).mean(axis=1), spare * FINE, (2 * half + spare) * FINE)


def _across_bars(image: Image, left: Floats, right: Floats) -> Floats | None:
    """The direction at right angles to the bars, from left to right: that of the grey values'
    slopes between the corners (structure tensor)."""
    reach = max(4.0, 0.05 * float(np.hypot(*(right - left))))
    height, width = image.shape
    low = np.floor(np.minimum(left, right) - reach).astype(int)
    high = np.ceil(np.maximum(left, right) + reach).astype(int)
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    part = image[y0 : min(height, int(high[1])), x0 : min(width, int(high[0]))]
    if min(part.shape) < 4:
        return None
    # On a line between the corners, so that what is printed beside it does not count.
    mask = np.zeros(part.shape, np.uint8)
    ends = [tuple(np.rint(end - (x0, y0)).astype(int).tolist()) for end in (left, right)]
    cv2.line(mask, ends[0], ends[1], 1, max(3, round(reach)))
    gx = cv2.Sobel(part, cv2.CV_32F, 1, 0)[mask > 0]
    gy = cv2.Sobel(part, cv2.CV_32F, 0, 1)[mask > 0]
    angle = np.arctan2(2 * float(gx @ gy), float(gx @ gx) - float(gy @ gy)) / 2
    along: Floats = np.array([np.cos(angle), np.sin(angle)])
    turn = float((right - left) @ along)
    if abs(turn) < 0.5 * np.hypot(*(right - left)):
        return None
    return along if turn > 0 else -along


def _on_bars(grey: Floats, inside: NDArray[np.bool_], gap: int) -> tuple[int, int] | None:
    """First and last of the lines (lines x samples) that show the same bars as the middle one, with
    at most `gap` lines in between that do not."""
    middle = len(grey) // 2
    centre = grey[max(0, middle - 1) : middle + 2].mean(axis=0)
    centre = centre - centre.mean()
    each = grey - grey.mean(axis=1, keepdims=True)
    size = np.sqrt((each**2).sum(axis=1) * (centre**2).sum())
    alike = np.divide(each @ centre, size, out=np.zeros(len(grey)), where=size > 0)
    on = (alike >= ALIKE) & inside
    if not on[middle]:
        return None
    ends = []
    for step in (-1, 1):
        last = at = middle
        while 0 <= at + step < len(on) and abs(at + step - last) <= gap:
            at += step
            if on[at]:
                last = at
        ends.append(last)
    return ends[0], ends[1]


# -------------------------------------------------------------------------------- what it shows


def _edges(line: Floats, lines: Lines) -> Floats:
    """Where a line crosses the middle of its brightest and darkest, from the first bar's beginning
    to the last one's end, in samples."""
    above = line - (line.max() + line.min()) / 2
    before = np.nonzero((above[:-1] >= 0) != (above[1:] >= 0))[0]
    edges: Floats = before + above[before] / (above[before] - above[before + 1])
    slack = (lines.last - lines.first) * 0.03 + FINE
    edges = edges[(edges > lines.first - slack) & (edges < lines.last + slack)]
    if len(edges) and above[max(0, int(edges[0]))] < 0:
        edges = edges[1:]  # it began in the dark: the edge of something else
    return edges[: len(edges) // 2 * 2]


def _count(edges: list[Floats], rule: Rule) -> int | None:
    """Elements that most lines show, of the numbers that the symbology can have."""
    counts = Counter(len(each) - 1 for each in edges)
    able = {n: many for n, many in counts.items() if rule.fits(n)}
    return max(able, key=lambda n: able[n]) if able else None


def _profile(grey: Floats, edges: Floats, contrast: Floats) -> tuple[Floats, Floats]:
    """Per line the least step between neighbours (grey values), and the largest defect (share of
    the contrast). Elements are bar, space, ... bar, with the quiet zones before and behind."""
    steps, defects = [], []
    for line, at, full in zip(grey, edges, contrast, strict=True):
        ends = np.concatenate([[0.0], at, [len(line) - 1.0]])
        first = np.minimum(np.ceil(ends[:-1]).astype(int), len(line) - 1)
        last = np.maximum(np.floor(ends[1:]).astype(int), first)
        reach = np.minimum(first[:, None] + np.arange((last - first).max() + 1), last[:, None])
        seen = line[reach]
        # Bars turned over: then every element is a hill, and its defect a dip in it.
        seen[1::2] *= -1
        dips = np.minimum(
            np.maximum.accumulate(seen, axis=1),
            np.maximum.accumulate(seen[:, ::-1], axis=1)[:, ::-1],
        )
        defects.append(float((dips - seen).max()) / full)
        tops = seen.max(axis=1)
        steps.append(float((tops[:-1] + tops[1:]).min()))
    return np.array(steps), np.array(defects)
