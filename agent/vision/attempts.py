"""The attempts of the cascade as data: what to do to the pixels, and how to ask the reader.

An attempt is one small pure function picture -> picture and the reader's options for it. Which
attempts a symbology gets, and in which order, is a table that a station may override. The orders
are measured (docs/adr/0020-reading.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.ports import Image
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
    stretched,
    thresholded,
    widened,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the same pixels.

    `turn` says by how many degrees the picture is turned first; `prepare` comes after it.
    `scale` is the size of the prepared picture relative to the original, across and up (to map
    corners back), `cost` about how much longer it takes than `fast` on a picture without a symbol.
    `invert` also looks for light symbols on dark ground, `downscale` also in smaller copies.
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
            # Other sizes.
            Attempt("fifth", scaled(0.2), scale=0.2, cost=0.3),
            Attempt("third", scaled(0.33), scale=0.33, cost=0.4),
            Attempt("half", scaled(0.5), scale=0.5, invert=True, downscale=True, cost=1.0),
            Attempt("smaller", scaled(0.7), scale=0.7, cost=1.0),
            Attempt("larger", scaled(1.5), scale=1.5, cost=3.0),
            Attempt("double", scaled(2.0), scale=2.0, invert=True, downscale=True, cost=8.0),
            # Less noise.
            Attempt("blur_fine", blur(1.0)),
            Attempt("blur", blur(1.5), invert=True, downscale=True),
            Attempt("blur_wide", blur(2.5), invert=True, downscale=True),
            Attempt("median", median(3), invert=True, downscale=True),
            # Sharper.
            Attempt("blur_double", chain(blur(1.0), scaled(2.0)), scale=2.0, cost=8.0),
            Attempt("double_sharp", chain(scaled(2.0), sharp(2.0, 1.0)), scale=2.0, cost=9.0),
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
                cost=5.0,
            ),
            Attempt(
                "double_crisp",
                chain(blur(1.0), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                cost=9.0,
            ),
            Attempt(
                "median_double_crisp",
                chain(median(3), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                cost=9.0,
            ),
            Attempt(
                "crisp_hist",
                chain(blur(0.7), scaled(2.0), sharp(3.0, 3.0)),
                scale=2.0,
                global_histogram=True,
                cost=6.0,
            ),
            Attempt(
                "stretched_crisp_hist",
                chain(blur(0.8), stretched(25), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                global_histogram=True,
                cost=9.0,
            ),
            # Other light.
            Attempt("global_hist", global_histogram=True, invert=True, downscale=True),
            Attempt("blur_clahe", chain(blur(1.0), clahe), invert=True, downscale=True, cost=4.0),
            Attempt("flat", chain(blur(1.0), flat(31)), cost=3.0),
            Attempt("flat_hist", chain(blur(1.0), flat(31)), global_histogram=True, cost=2.0),
            Attempt("stretched", chain(blur(1.0), stretched(41)), cost=4.0),
            Attempt(
                "stretched_hist", chain(blur(1.0), stretched(41)), global_histogram=True, cost=4.0
            ),
            Attempt(
                "flat_crisp",
                chain(blur(1.0), flat(31), scaled(2.0), sharp(3.0, 2.0)),
                scale=2.0,
                cost=10.0,
            ),
            Attempt("threshold", chain(blur(1.2), thresholded(31, 4)), cost=4.0),
            Attempt("threshold_wide", chain(blur(2.0), thresholded(41, 3), blur(1.0)), cost=5.0),
            # Dots.
            Attempt("opened", opened(3), cost=2.0),
            Attempt("opened_wide", chain(blur(1.0), opened(5)), cost=3.0),
            Attempt("grown", chain(grown(3), blur(1.0)), cost=2.0),
            Attempt("blur_grown", chain(blur(1.0), grown(3)), cost=2.0),
            Attempt("grown_half", chain(blur(0.8), grown(3), scaled(0.5)), scale=0.5, cost=1.5),
            Attempt("grown_wide", chain(grown(5), blur(1.5)), cost=2.0),
            Attempt(
                "grown_wide_half", chain(grown(5), blur(1.0), scaled(0.5)), scale=0.5, cost=1.5
            ),
            Attempt(
                "blur_half_sharp",
                chain(blur(1.5), scaled(0.5), sharp(1.5, 1.0)),
                scale=0.5,
                cost=2.0,
            ),
            Attempt(
                "opened_square_half",
                chain(opened(5), squared(3), blur(1.0), scaled(0.5)),
                scale=0.5,
                cost=1.5,
            ),
            Attempt(
                "dots_square_half",
                chain(dots(1.0, 6.0), squared(3), blur(1.0), scaled(0.5)),
                scale=0.5,
                cost=3.0,
            ),
            Attempt(
                "dots_grown_small",
                chain(dots(1.0, 6.0), grown(5), blur(1.0), scaled(0.4)),
                scale=0.4,
                cost=3.0,
            ),
            Attempt(
                "dots_threshold_third",
                chain(dots(1.5, 8.0), thresholded(31, 8), blur(1.0), scaled(0.3)),
                scale=0.3,
                cost=4.0,
            ),
            Attempt(
                "upright_square", chain(opened(5), squared(3), blur(1.0)), turn=_GRID, cost=5.0
            ),
            Attempt(
                "upright_threshold_grown",
                chain(blur(1.2), thresholded(31, 4), grown(5), blur(1.0), scaled(0.5)),
                scale=0.5,
                turn=_GRID,
                cost=6.0,
            ),
            Attempt("dots_half", chain(dots(1.5, 8.0), scaled(0.5)), scale=0.5, cost=4.0),
            # Upright.
            Attempt("upright", turn=_GRID, cost=4.0),
            Attempt("upright_blur", blur(1.0), turn=_GRID, cost=4.0),
            Attempt("upright_blur_wide", blur(2.0), turn=_GRID, cost=4.0),
            Attempt("upright_half", scaled(0.5), scale=0.5, turn=_GRID, cost=3.0),
            Attempt(
                "upright_sharp",
                chain(blur(0.7), scaled(1.5), sharp(2.5, 2.0)),
                scale=1.5,
                turn=_GRID,
                cost=9.0,
            ),
            Attempt(
                "upright_threshold", chain(blur(1.2), thresholded(31, 4)), turn=_GRID, cost=6.0
            ),
            Attempt(
                "upright_grown_half",
                chain(grown(5), blur(1.0), scaled(0.5)),
                scale=0.5,
                turn=_GRID,
                cost=4.0,
            ),
            Attempt("upright_dots", dots(1.0, 6.0), turn=_GRID, cost=8.0),
            Attempt("upright_dots_grown", chain(dots(2.0, 10.0), grown(3)), turn=_GRID, cost=8.0),
            Attempt("upright_opened_dots", chain(opened(5), dots(1.5, 20.0)), turn=_GRID, cost=8.0),
            # Upright bars.
            Attempt("bars", along(5), turn=_BARS, cost=4.0),
            Attempt(
                "bars_flat",
                chain(along(11), flat(41), widened(2.0), sharp_across(3.0, 1.5)),
                scale=(2.0, 1.0),
                turn=_BARS,
                cost=8.0,
            ),
            Attempt(
                "bars_stretched",
                chain(along(11), stretched(41), widened(2.0), sharp_across(3.0, 1.5)),
                scale=(2.0, 1.0),
                turn=_BARS,
                cost=9.0,
            ),
            Attempt(
                "bars_deep",
                chain(along(15), widened(3.0), sharp_across(5.0, 3.0)),
                scale=(3.0, 1.0),
                turn=_BARS,
                cost=10.0,
            ),
        )
    }
)
"""Every attempt by its name."""

_LINEAR: Final = ("fast", "full", "half", "double")
_QR: Final = ("fast", "full", "blur_double_sharp", "half", "blur_double")

CASCADES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "QRCode": _QR,
        "MicroQRCode": _QR,
        "RMQRCode": _QR,
        "DataMatrix": ("fast", "half", "blur", "median"),
        "Code128": _LINEAR,
        "EAN13": _LINEAR,
        "EAN8": _LINEAR,
        "ITF14": _LINEAR,
        "DataBar": _LINEAR,
    }
)
"""The order of attempts per symbology, where the station does not say otherwise."""
