"""The quality index of a QR code or Data Matrix, after ISO/IEC 15415 clause 7 and 29158.

What differs from the standards: reflectance is the grey value over the station's white, and the
grid is fitted to all boundaries of modules (quality_grid), not only to the clock tracks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image
from agent.vision.quality_codewords import correct, gather, scatter
from agent.vision.quality_grid import Floats, Grid, fit, reflectances
from agent.vision.quality_layout import FREE, Bools, Layout
from agent.vision.quality_scale import (
    AXIAL,
    BEST,
    CONTRAST,
    GRID,
    MODULATION,
    UNUSED,
    Parameter,
    Quality,
    Scale,
)

KNOWN = 0.75
"""The share of the fixed patterns that must be as they should: less is another symbol's place."""

NEAR = 0.05
"""Turns whose fixed patterns agree nearly as well as the best's are tried too."""

_FINDER = Scale(0, 1, 2, 3)
"""Wrong modules of a finder pattern (ISO/IEC 18004 annex on print quality)."""
_CLOCK = Scale(0.0, 0.07, 0.11, 0.14)
"""Share of wrong modules of a QR code's timing pattern (there)."""
_MARKS = Scale(0.0, 0.10, 0.20, 0.30)
"""Share of a QR code's alignment patterns' modules that are wrong; there: of the patterns."""
_EDGE = Scale(0.0, 0.09, 0.13, 0.17)
"""Share of wrong modules of an edge of a Data Matrix (ISO/IEC 16022 annex M)."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A symbol as it was measured: how bright each module is (rows x columns, 0 to 255, dark ones
    low, turned so that the layout fits), where the modules lie, by how much printed ones have
    grown (across, down; modules), what is of the wrong side, and the errors of each block."""

    light: Floats
    grid: Grid
    growth: tuple[float, float]
    dark: Bools
    truth: Bools
    errors: tuple[int | None, ...]


def measure(image: Image, corners: NDArray[np.float64], layout: Layout) -> Measured | None:
    """Measure the symbol about these corners (pixels; top left, top right, bottom right, bottom
    left as it is read), however it is turned, mirrored, or light on dark. None if its fixed
    patterns are not there: then the corners are of something else."""
    grid = fit(image, corners, layout.shape)
    if grid is None:
        return None
    light = reflectances(image, grid)
    fixed = layout.fixed != FREE
    wanted = layout.fixed[fixed] == 1
    able: list[tuple[float, Floats, bool, float]] = []
    for turned, swapped in _turns(light):
        if turned.shape != layout.shape:
            continue
        middle = (float(turned.max()) + float(turned.min())) / 2
        agree = float(((turned[fixed] < middle) == wanted).mean())
        able += [(agree, turned, swapped, 1.0), (1 - agree, 255.0 - turned, swapped, -1.0)]
    best = max(share for share, *_ in able)
    if best < KNOWN:
        return None
    across, down = grid.growth
    first: Measured | None = None
    # Seen from behind, the fixed patterns are nearly or wholly the same: the codewords tell.
    for share, seen, swapped, sign in able:
        if share < best - NEAR:
            continue
        dark = seen < (float(seen.max()) + float(seen.min())) / 2
        right, errors = correct(layout, gather(layout, dark))
        growth = (sign * down, sign * across) if swapped else (sign * across, sign * down)
        found = Measured(seen, grid, growth, dark, scatter(layout, right), errors)
        first = first or found
        if None not in errors:
            return found
    return first


def _turns(light: Floats) -> Iterator[tuple[Floats, bool]]:
    """The modules as they are, mirrored, and both turned by quarters; whether rows became
    columns."""
    for mirrored, quarter in product((False, True), range(4)):
        yield np.rot90(light.T if mirrored else light, quarter), (quarter % 2 == 1) != mirrored


def grade(
    image: Image,
    corners: NDArray[np.float64],
    layout: Layout,
    symbology: str,
    version: str,
    white: float = 255.0,
) -> Quality | None:
    """The quality index of the symbol about these corners. `white` is the grey value of full
    reflectance. None if there is no symbol of this layout.

    contrast: Rmax - Rmin over modules (15415 7.8.2). modulation: 2 |R - GT| / SC per module, the
    least of its modules per codeword, graded with the unused correction that is left when weaker
    codewords count as errors (7.8.4). reflectance_margin: the same, 0 for a module of the wrong
    side. fixed_pattern: the worst segment (7.8.5 and the symbologies' annexes). axial_nonuniformity
    |X - Y| / mean (7.8.6), grid_nonuniformity: the largest deviation from an even grid in modules
    (7.8.7). unused_correction: 1 - (e + 2t) / (d - p), the worst block (7.8.8). Print growth: how
    much wider than a module the dark ones are (7.9), reported only.
    """
    found = measure(image, corners, layout)
    if found is None:
        return None
    light = found.light
    high, low = float(light.max()), float(light.min())
    if high <= low:
        return None
    contrast = (high - low) / white
    modulation = 2 * np.abs(light - (high + low) / 2) / (high - low)
    margin = np.where(found.dark == found.truth, modulation, 0.0)
    unused = min(
        0.0 if wrong is None else 1 - 2 * wrong / (block.correcting - block.detecting)
        for block, wrong in zip(layout.blocks, found.errors, strict=True)
    )
    width, height, away = found.grid.axes()
    uneven = abs(width - height) / ((width + height) / 2)
    most = float(away.max())
    return Quality(
        symbology,
        version,
        (width + height) / 2,
        (
            Parameter("contrast", contrast, CONTRAST.score(contrast)),
            _overlaid("modulation", layout, modulation),
            _overlaid("reflectance_margin", layout, margin),
            _fixed_pattern(layout, symbology, found.dark, modulation),
            Parameter("axial_nonuniformity", uneven, AXIAL.score(uneven)),
            Parameter("grid_nonuniformity", most, GRID.score(most)),
            Parameter("unused_correction", unused, UNUSED.score(unused)),
            Parameter("print_growth_x", found.growth[0], None),
            Parameter("print_growth_y", found.growth[1], None),
        ),
    )


def _overlaid(name: str, layout: Layout, per_module: Floats) -> Parameter:
    """The best level whose weaker codewords, counted as errors, leave that grade of unused
    correction (15415 7.8.4, table 6); its value is that level's modulation."""
    carries = layout.codeword >= 0
    words = np.full(int(layout.codeword.max()) + 1, np.inf)
    np.minimum.at(words, layout.codeword[carries], per_module[carries])
    best_score, best_value = 0.0, 0.0
    blocks = [
        (np.sort(words[list(block.codewords)]), block.correcting - block.detecting)
        for block in layout.blocks
    ]
    for level in np.unique(words):
        # Those that are weaker than the level count as errors.
        left = min(1 - 2 * int(np.searchsorted(each, level)) / room for each, room in blocks)
        if left < 0:
            break
        score = min(MODULATION.score(float(level)), UNUSED.score(left))
        if score > best_score or not best_score:
            best_score, best_value = score, float(level)
        if MODULATION.score(float(level)) == BEST:
            break
    return Parameter(name, best_value, best_score)


def _fixed_pattern(layout: Layout, symbology: str, dark: Bools, modulation: Floats) -> Parameter:
    """Each segment by the best level whose weaker modules, counted as wrong, leave that grade; the
    value is the share of modules that are of the wrong side, in the segment where it is largest."""
    wrong = dark != (layout.fixed == 1)
    score, value = BEST, 0.0
    for name, segment in layout.segments.items():
        bad, weak = wrong[segment], modulation[segment]
        value = max(value, float(bad.mean()))
        score = min(score, _segment(symbology, name, bad, weak))
    return Parameter("fixed_pattern", value, score)


def _segment(symbology: str, name: str, bad: Bools, weak: Floats) -> float:
    best = 0.0
    for level in (0.50, 0.40, 0.30, 0.20, 0.0):
        wrong = int((bad | (weak < level)).sum())
        share = wrong / bad.size
        if symbology == "DataMatrix":
            here = _EDGE.score(share)
        elif name.startswith("A"):
            here = _FINDER.score(wrong)
        else:
            here = (_MARKS if name == "C" else _CLOCK).score(share)
        best = max(best, min(here, MODULATION.score(level)))
    return best


def crop(image: Image, corners: NDArray[np.float64], margin: float = 0.35) -> Image:
    """The part of a picture about some corners, with `margin` of their extent on each side."""
    height, width = image.shape
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.maximum(margin * float((high - low).max()), 8.0)
    left, top = (int(each) for each in np.maximum(np.floor(low - room), 0))
    right = int(min(np.ceil(high[0] + room), width))
    bottom = int(min(np.ceil(high[1] + room), height))
    return np.ascontiguousarray(image[top:bottom, left:right])
