"""The attempts of the cascade as data: what to do to the pixels, and how to ask the reader.

An attempt is one small pure function picture -> picture and the reader's options for it. Which
attempts a symbology gets, and in which order, is a table that a station may override. The orders
are measured (docs/adr/0020-reading.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import zxingcpp

from agent.ports.reading import Image
from agent.vision import orient
from agent.vision.filters import (
    Filter,
    along,
    blur,
    chain,
    clahe,
    dots,
    flat,
    grown,
    median,
    opened,
    same,
    scaled,
    sharp,
    sharp_across,
    squared,
    squeezed,
    stretched,
    thresholded,
    widened,
)
from agent.vision.formats import FORMATS, LINEAR


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the same pixels.

    `turn` says by how many degrees the picture is turned first; `prepare` comes after it.
    `scale` is the size of the prepared picture relative to the original, across and up (to map
    corners back), `cost` about how much longer it takes than `fast` on a picture without a symbol.
    `invert` also looks for light symbols on dark ground, `downscale` also in smaller copies.
    `second` is not a way to prepare pixels but another reader (agent.vision.second).
    `kind` is what the preparation is about: two attempts of one kind are not two witnesses.
    """

    name: str
    prepare: Filter = same
    scale: float | tuple[float, float] = 1.0
    invert: bool = False
    downscale: bool = False
    global_histogram: bool = False
    cost: float = 2.0
    turn: Callable[[Image], float] | None = None
    kind: str = ""
    second: bool = False

    @property
    def witness(self) -> str:
        """What agreement is counted by."""
        return self.kind or self.name


_BARS = orient.of_bars
_GRID = orient.of_modules

ATTEMPTS: Final[Mapping[str, Attempt]] = MappingProxyType(
    {
        attempt.name: attempt
        for attempt in (
            Attempt("fast", cost=1.0, kind="plain"),
            Attempt("full", invert=True, downscale=True, kind="plain"),
            Attempt("second", cost=16.0, second=True),
            # Other sizes.
            Attempt("third", scaled(0.33), scale=0.33, cost=0.6, kind="size"),
            Attempt(
                "half", scaled(0.5), scale=0.5, invert=True, downscale=True, cost=0.8, kind="size"
            ),
            Attempt("larger", scaled(1.5), scale=1.5, cost=3.0, kind="large"),
            Attempt(
                "double",
                scaled(2.0),
                scale=2.0,
                invert=True,
                downscale=True,
                cost=5.0,
                kind="large",
            ),
            # Less noise.
            Attempt("blur", blur(1.5), invert=True, downscale=True),
            Attempt("blur_wide", blur(2.5), invert=True, downscale=True, cost=3.0),
            Attempt("median", median(3), invert=True, downscale=True, cost=1.5),
            # Sharper.
            Attempt("blur_double", chain(blur(1.0), scaled(2.0)), scale=2.0, cost=5.0),
            Attempt("double_sharp", chain(scaled(2.0), sharp(2.0, 1.0)), scale=2.0, cost=8.0),
            Attempt(
                "blur_double_sharp",
                chain(blur(0.7), scaled(2.0), sharp(2.0, 1.0)),
                scale=2.0,
                cost=9.0,
            ),
            Attempt(
                "larger_sharp",
                chain(blur(0.7), scaled(1.5), sharp(2.0, 2.0)),
                scale=1.5,
                cost=6.0,
            ),
            Attempt(
                "double_crisp",
                chain(blur(1.0), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                cost=10.0,
            ),
            Attempt(
                "stretched_crisp_hist",
                chain(blur(0.8), stretched(25), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                global_histogram=True,
                cost=12.0,
            ),
            # Other light.
            Attempt("global_hist", global_histogram=True, invert=True, downscale=True),
            Attempt("blur_clahe", chain(blur(1.0), clahe), invert=True, downscale=True, cost=2.5),
            Attempt("flat", chain(blur(1.0), flat(31)), cost=2.0, kind="flat"),
            Attempt(
                "flat_hist",
                chain(blur(1.0), flat(31)),
                global_histogram=True,
                cost=1.2,
                kind="flat",
            ),
            Attempt(
                "flat_crisp",
                chain(blur(1.0), flat(31), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                cost=11.0,
            ),
            Attempt("threshold", chain(blur(1.2), thresholded(31, 4)), cost=2.0),
            Attempt("threshold_wide", chain(blur(2.0), thresholded(41, 3), blur(1.0)), cost=2.5),
            # Dots.
            Attempt("opened_wide", chain(blur(1.0), opened(5)), cost=1.2),
            Attempt(
                "grown_wide_half", chain(grown(5), blur(1.0), scaled(0.5)), scale=0.5, cost=1.0
            ),
            Attempt(
                "blur_half_sharp",
                chain(blur(1.5), scaled(0.5), sharp(1.5, 1.0)),
                scale=0.5,
                cost=1.2,
            ),
            Attempt(
                "dots_square_half",
                chain(dots(1.0, 6.0), squared(3), blur(1.0), scaled(0.5)),
                scale=0.5,
                cost=1.8,
            ),
            Attempt(
                "dots_grown_small",
                chain(dots(1.0, 6.0), grown(5), blur(1.0), scaled(0.4)),
                scale=0.4,
                cost=1.6,
            ),
            Attempt(
                "upright_square", chain(opened(5), squared(3), blur(1.0)), turn=_GRID, cost=3.5
            ),
            Attempt("dots_half", chain(dots(1.5, 8.0), scaled(0.5)), scale=0.5, cost=1.5),
            # Upright.
            Attempt("upright", turn=_GRID, cost=3.0),
            Attempt("upright_blur", blur(1.0), turn=_GRID, cost=2.0),
            Attempt("upright_blur_wide", blur(2.0), turn=_GRID, cost=2.0),
            Attempt(
                "upright_sharp",
                chain(blur(0.7), scaled(1.5), sharp(2.5, 2.0)),
                scale=1.5,
                turn=_GRID,
                cost=12.0,
            ),
            Attempt(
                "upright_threshold", chain(blur(1.2), thresholded(31, 4)), turn=_GRID, cost=3.0
            ),
            Attempt(
                "upright_grown_half",
                chain(grown(5), blur(1.0), scaled(0.5)),
                scale=0.5,
                turn=_GRID,
                cost=1.5,
            ),
            Attempt("upright_opened_dots", chain(opened(5), dots(1.5, 20.0)), turn=_GRID, cost=3.0),
            # Upright bars.
            Attempt("bars", turn=_BARS, cost=3.0),
            Attempt(
                "bars_sharp",
                chain(blur(0.7), scaled(1.5), sharp(2.0, 1.0)),
                scale=1.5,
                turn=_BARS,
                cost=4.0,
            ),
            Attempt(
                "bars_flat",
                chain(squeezed(4.0), along(3), flat(41), widened(2.0), sharp_across(3.0, 1.5)),
                scale=(2.0, 0.25),
                turn=_BARS,
                cost=2.0,
            ),
            Attempt(
                "bars_stretched",
                chain(squeezed(4.0), along(3), stretched(41), widened(2.0), sharp_across(3.0, 1.5)),
                scale=(2.0, 0.25),
                turn=_BARS,
                cost=2.0,
            ),
            Attempt(
                "bars_deep",
                chain(squeezed(4.0), along(4), widened(3.0), sharp_across(5.0, 3.0)),
                scale=(3.0, 0.25),
                turn=_BARS,
                cost=2.0,
            ),
        )
    }
)
"""Every attempt by its name."""

_BAR_CODE: Final = (
    "fast",
    "bars_flat",
    "bars_stretched",
    "full",
    "half",
    "larger",
    "median",
    "bars_deep",
    "blur_clahe",
    "double",
    "third",
    "second",
)
_QR: Final = (
    "fast",
    "larger_sharp",
    "full",
    "double_crisp",
    "half",
    "upright_sharp",
    "stretched_crisp_hist",
    "median",
    "third",
    "flat_crisp",
    "upright_square",
    "blur_wide",
    "blur_double",
)

CASCADES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "QRCode": (*_QR, "second"),
        "MicroQRCode": ("fast", "blur_double", "full", "median", "blur_double_sharp", *_QR[8:]),
        "RMQRCode": (
            "fast",
            "larger",
            "full",
            "upright",
            "upright_sharp",
            "double_sharp",
            "flat",
            *_QR[6:],
        ),
        "DataMatrix": (
            "fast",
            "half",
            "dots_square_half",
            "threshold",
            "grown_wide_half",
            "full",
            "flat_hist",
            "upright_square",
            "dots_half",
            "upright_threshold",
            "threshold_wide",
            "dots_grown_small",
            "blur_half_sharp",
            "third",
            "upright_blur_wide",
            "flat",
            "opened_wide",
            "double_sharp",
            "upright_opened_dots",
            "upright_grown_half",
        ),
        "Code128": _BAR_CODE,
        "EAN13": _BAR_CODE,
        "EAN8": _BAR_CODE,
        "ITF14": _BAR_CODE,
        # A stacked one has rows that must not be mixed.
        "DataBar": ("fast", "bars", "bars_sharp", *_BAR_CODE[1:]),
    }
)
"""The order of attempts per symbology, where the station does not say otherwise."""

_LOCAL, _GLOBAL = zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram


def ask(symbology: str, attempt: Attempt) -> dict[str, Any]:
    """How the reader is asked: always for exactly one format."""
    return {
        "formats": FORMATS[symbology],
        "try_downscale": attempt.downscale,
        "try_invert": attempt.invert,
        # The plain text keeps a group separator as 0x1D; the default writes brackets.
        "text_mode": zxingcpp.TextMode.Plain,
        "binarizer": _GLOBAL if attempt.global_histogram else _LOCAL,
    }


_WORKING_PITCH: Final = 4.5
"""Px per module at which the reader's sampler is at its best (3 to 6)."""


def pitched(symbology: str, pitch: float) -> tuple[Attempt, ...]:
    """The attempts of a station whose module size in px is known: noise and dots are smoothed over
    a quarter of a module, and the picture gets the size that the reader likes."""
    scale = _WORKING_PITCH / pitch
    smooth = chain(blur(max(0.3, 0.25 * pitch)), scaled(scale))
    cost = max(0.3, 1.5 * scale * scale + 0.5)
    plain = Attempt("pitched", smooth, scale=scale, cost=cost)
    if symbology in LINEAR:
        return (plain,)
    closed = chain(squared(max(1, round(0.4 * pitch))), smooth)
    return (
        plain,
        Attempt("pitched_upright", closed, scale=scale, cost=cost + 2, turn=_GRID),
    )
