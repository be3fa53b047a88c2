"""Small pure functions picture -> picture, of which the attempts of the cascade are made.

All take and give height x width of 8-bit grey and never change what they are given. Lengths are
pixels of the picture they are applied to.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from agent.ports.reading import Image

Filter = Callable[[Image], Image]

# One decode uses one worker thread: OpenCV's own pool would only fight with the other workers.
cv2.setNumThreads(1)


def same(image: Image) -> Image:
    """The pixels as they came."""
    return image


def chain(*steps: Filter) -> Filter:
    """One step after the other."""

    def apply(image: Image) -> Image:
        for step in steps:
            image = step(image)
        return image

    return apply


def blur(sigma: float) -> Filter:
    """Gaussian: joins the dots of a dot code, takes the edge off noise."""

    def apply(image: Image) -> Image:
        return _grey(cv2.GaussianBlur(image, (0, 0), sigma))

    return apply


def median(edge: int) -> Filter:
    """Median of edge x edge px: takes single bad pixels away and keeps edges."""

    def apply(image: Image) -> Image:
        return _grey(cv2.medianBlur(np.ascontiguousarray(image), edge))

    return apply


def scaled(factor: float) -> Filter:
    """Another size: area average when smaller (a large or defocused symbol becomes crisp), cubic
    when larger (gives a small symbol the pixels that the sampler wants)."""
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC

    def apply(image: Image) -> Image:
        height, width = image.shape
        size = (max(1, int(width * factor)), max(1, int(height * factor)))
        return _grey(cv2.resize(image, size, interpolation=way))

    return apply


def sharp(sigma: float, amount: float) -> Filter:
    """Unsharp mask."""

    def apply(image: Image) -> Image:
        soft = cv2.GaussianBlur(image, (0, 0), sigma)
        return _grey(cv2.addWeighted(image, 1 + amount, soft, -amount, 0))

    return apply


def clahe(image: Image) -> Image:
    """Local contrast, limit 2, 8 x 8 tiles."""
    # A fresh object each time: OpenCV's CLAHE keeps buffers and is not safe across threads.
    return _grey(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(image))


def flat(edge: int) -> Filter:
    """Divided by its own mean over edge x edge px: takes uneven light away."""

    def apply(image: Image) -> Image:
        ground = cv2.blur(image, (edge, edge))
        return _grey(cv2.divide(image, cv2.max(ground, 1), scale=150))

    return apply


def stretched(edge: int) -> Filter:
    """Each place spread from its darkest to its brightest within about edge px: takes uneven
    light, glare and low contrast away."""

    def apply(image: Image) -> Image:
        height, width = image.shape
        small = cv2.resize(
            image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
        )
        around = np.ones((edge // 2, edge // 2), np.uint8)
        high, low = (
            cv2.resize(cv2.blur(reach(small, around), (edge // 2, edge // 2)), (width, height))
            for reach in (cv2.dilate, cv2.erode)
        )
        range_ = cv2.max(cv2.subtract(high, low), 16)
        return _grey(cv2.divide(cv2.subtract(image, low), range_, scale=255))

    return apply


def grown(edge: int) -> Filter:
    """What is dark grows by (edge - 1) / 2 px on every side: closes the gaps between dots."""
    around = _disc(edge)

    def apply(image: Image) -> Image:
        return _grey(cv2.erode(image, around))

    return apply


def squared(edge: int) -> Filter:
    """As `grown`, by a square: dots of an upright code become square modules."""
    around = np.ones((edge, edge), np.uint8)

    def apply(image: Image) -> Image:
        return _grey(cv2.erode(image, around))

    return apply


def opened(edge: int) -> Filter:
    """What is dark grows and shrinks again: closes gaps and takes bright specks away."""
    around = _disc(edge)

    def apply(image: Image) -> Image:
        return _grey(cv2.morphologyEx(image, cv2.MORPH_OPEN, around))

    return apply


def thresholded(edge: int, below: float) -> Filter:
    """Black where it is darker by `below` than its surroundings of edge px, else white."""

    def apply(image: Image) -> Image:
        return _grey(
            cv2.adaptiveThreshold(
                np.ascontiguousarray(image),
                255,
                cv2.ADAPTIVE_THRESH_GAUSSIAN_C,
                cv2.THRESH_BINARY,
                edge,
                below,
            )
        )

    return apply


def dots(inner: float, outer: float) -> Filter:
    """Difference of two Gaussians, spread to the full range: what is as large as a dot stays, the
    ground's texture and the light go."""

    def apply(image: Image) -> Image:
        plane = image.astype(np.float32)
        band = cv2.GaussianBlur(plane, (0, 0), inner)
        # The wide one on a quarter of the size: the same to the eye, a tenth of the time.
        height, width = image.shape
        small = cv2.resize(
            plane, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA
        )
        wide = cv2.GaussianBlur(small, (0, 0), max(0.5, outer / 4))
        band -= cv2.resize(wide, (width, height), interpolation=cv2.INTER_LINEAR)
        deviation = float(cv2.meanStdDev(band)[1][0][0]) + 1e-3
        return _grey(cv2.convertScaleAbs(band, alpha=45 / deviation, beta=128))

    return apply


def along(length: int) -> Filter:
    """Mean over `length` px upwards: of upright bars the noise goes and the bars stay."""

    def apply(image: Image) -> Image:
        return _grey(cv2.blur(image, (1, length)))

    return apply


def squeezed(factor: float) -> Filter:
    """Lower only, by area average: of upright bars the noise goes and the bars stay."""

    def apply(image: Image) -> Image:
        height, width = image.shape
        size = (width, max(1, round(height / factor)))
        return _grey(cv2.resize(image, size, interpolation=cv2.INTER_AREA))

    return apply


def widened(factor: float) -> Filter:
    """Wider only, cubic: pixels for narrow bars."""

    def apply(image: Image) -> Image:
        height, width = image.shape
        size = (max(1, int(width * factor)), height)
        return _grey(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))

    return apply


def sharp_across(sigma: float, amount: float) -> Filter:
    """Unsharp mask across upright bars only."""

    def apply(image: Image) -> Image:
        soft = cv2.GaussianBlur(image, (0, 0), sigma, sigmaY=0.1)
        return _grey(cv2.addWeighted(image, 1 + amount, soft, -amount, 0))

    return apply


def _disc(edge: int) -> Image:
    return _grey(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge)))


def _grey(result: Any) -> Image:
    image: Image = result
    return image
