"""The attempts of the cascade as data: what to do to the pixels, and how to ask the reader.

An attempt is one small pure function picture -> picture and the reader's options for it. Which
attempts a symbology gets, and in which order, is a table that a station may override. The orders
are measured (docs/adr/0004-vision.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np

from agent.ports import Image

# One decode uses one worker thread: OpenCV's own pool would only fight with the other workers.
cv2.setNumThreads(1)


def same(image: Image) -> Image:
    """The pixels as they came."""
    return image


def blur(sigma: float) -> Callable[[Image], Image]:
    """Gaussian of `sigma` px: joins the dots of a dot code, takes the edge off noise."""

    def apply(image: Image) -> Image:
        return _grey(cv2.GaussianBlur(image, (0, 0), sigma))

    return apply


def median(image: Image) -> Image:
    """Median of 3 x 3 px: takes single bad pixels away and keeps edges."""
    return _grey(cv2.medianBlur(np.ascontiguousarray(image), 3))


def half(image: Image) -> Image:
    """Half the size by area average: a large or defocused symbol becomes crisp."""
    height, width = image.shape
    size = (max(1, width // 2), max(1, height // 2))
    return _grey(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def double(image: Image) -> Image:
    """Twice the size, cubic: gives a small symbol the pixels the sampler wants."""
    return _grey(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


def unsharp(image: Image) -> Image:
    """Unsharp mask (sigma 2 px, amount 1)."""
    return _grey(cv2.addWeighted(image, 2.0, cv2.GaussianBlur(image, (0, 0), 2.0), -1.0, 0))


def clahe(image: Image) -> Image:
    """Local contrast, limit 2, 8 x 8 tiles."""
    # A fresh object each time: OpenCV's CLAHE keeps buffers and is not safe across threads.
    return _grey(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(image))


def chain(*steps: Callable[[Image], Image]) -> Callable[[Image], Image]:
    """One step after the other."""

    def apply(image: Image) -> Image:
        for step in steps:
            image = step(image)
        return image

    return apply


def _grey(result: Any) -> Image:
    image: Image = result
    return image


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the same pixels.

    `scale` is the size of the prepared picture relative to the original (to map corners back),
    `cost` about how much longer it takes than `fast` on a picture without a symbol. `invert`
    also looks for light symbols on dark ground, `downscale` also in smaller copies.
    """

    name: str
    prepare: Callable[[Image], Image] = same
    scale: float = 1.0
    invert: bool = True
    downscale: bool = True
    global_histogram: bool = False
    cost: float = 2.0


ATTEMPTS: Final[Mapping[str, Attempt]] = MappingProxyType(
    {
        attempt.name: attempt
        for attempt in (
            Attempt("fast", invert=False, downscale=False, cost=1.0),
            Attempt("full"),
            Attempt("half", half, scale=0.5, cost=0.5),
            Attempt("double", double, scale=2.0, cost=8.0),
            Attempt("blur", blur(1.5)),
            Attempt("blur_wide", blur(2.5)),
            Attempt("median", median),
            Attempt("global_hist", global_histogram=True),
            Attempt("blur_clahe", chain(blur(1.0), clahe)),
            Attempt("blur_double", chain(blur(1.0), double), scale=2.0, cost=8.0),
            Attempt("blur_double_sharp", chain(blur(0.7), double, unsharp), scale=2.0, cost=8.0),
            Attempt("double_sharp", chain(double, unsharp), scale=2.0, cost=8.0),
        )
    }
)
"""Every attempt by its name."""

_LINEAR: Final = ("fast", "full", "half", "double")

CASCADES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "QRCode": ("fast", "full", "blur_double_sharp", "half", "blur_double"),
        "DataMatrix": (
            "fast",
            "half",
            "blur",
            "median",
            "blur_double",
            "global_hist",
            "blur_clahe",
            "blur_wide",
            "double_sharp",
        ),
        "MicroQRCode": ("fast", "full", "blur_double_sharp", "half", "blur_double"),
        "RMQRCode": ("fast", "full", "blur_double_sharp", "half", "blur_double"),
        "Code128": _LINEAR,
        "EAN13": _LINEAR,
        "EAN8": _LINEAR,
        "ITF14": _LINEAR,
        "DataBar": _LINEAR,
    }
)
"""The order of attempts per symbology, where the station does not say otherwise."""
