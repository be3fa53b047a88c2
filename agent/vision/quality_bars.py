"""What the widths of a bar code's elements say: module, decodability, print growth.

Two families: symbologies whose edges lie on whole modules (each character has so many), and
Interleaved 2 of 5, whose elements are just narrow or wide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np

from agent.vision.quality_grid import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Of lines x elements: the decodability of each line (0 to 1), the module in samples, and how
    much wider than a module the bars are (modules)."""

    decodability: Floats
    module: float
    growth: float


class Rule(Protocol):
    """How the elements of a symbology, bar first and bar last, make up its characters."""

    def fits(self, count: int) -> bool:
        """Whether a symbol can have so many elements."""

    def judge(self, widths: Floats) -> Judged:
        """Of element widths in samples (lines x elements), as many as fit."""


@dataclass(frozen=True, slots=True)
class Modular:
    """Edges on whole modules: `modules` of a character of `elements`; `fixed` are the elements of
    the whole symbol, 0 where it may have any number of characters; `guards` are elements (first,
    behind the last) that belong to no character, `start` those before the first character, `stop`
    the elements and modules after the last."""

    modules: int
    elements: int
    fixed: int = 0
    start: int = 0
    stop: tuple[int, int] = (0, 0)
    guards: tuple[int, int] = (0, 0)

    def fits(self, count: int) -> bool:
        """See Rule."""
        if self.fixed:
            return count == self.fixed
        return count > self.stop[0] and (count - self.stop[0]) % self.elements == 0

    def judge(self, widths: Floats) -> Judged:
        """1 when all distances from edge to similar edge are whole modules, 0 when one is halfway
        to the next or beyond (ISO/IEC 15417 and 15420: V = K / (S / 2n))."""
        last = widths.shape[1] - self.stop[0]
        starts = [
            n
            for first, end in ((self.start, self.guards[0] or last), (self.guards[1] or last, last))
            for n in range(first, end, self.elements)
        ]
        groups = np.stack([widths[:, n : n + self.elements] for n in starts], axis=1)
        unit = groups.sum(axis=-1, keepdims=True) / self.modules
        pairs = (groups[..., :-1] + groups[..., 1:])[..., : self.elements - 2] / unit
        # What most lines say is what is printed there.
        truth = np.rint(np.median(pairs, axis=0))
        values: Floats = np.clip(1 - 2 * np.abs(pairs - truth), 0, None).min(axis=(1, 2))
        bars = (groups / unit).mean(axis=0)
        whole = np.maximum(np.rint(bars), 1)
        first_is_bar = np.array([n % 2 == 0 for n in starts])[:, None]
        is_bar = (np.arange(self.elements) % 2 == 0) == first_is_bar
        growth = float((bars - whole)[is_bar].mean())
        between = self.guards[1] - self.guards[0]
        whole_symbol = self.start + between + self.modules * len(starts) + self.stop[1]
        return Judged(values, float(np.median(widths.sum(axis=1))) / whole_symbol, growth)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Interleaved 2 of 5 of a `fixed` number of elements: `start` narrow ones, ten for each pair of
    digits (five bars and the spaces between them, two of each wide), a wide bar, space and bar."""

    fixed: int
    start: int = 4
    stop: int = 3

    def fits(self, count: int) -> bool:
        """See Rule."""
        return count == self.fixed

    def judge(self, widths: Floats) -> Judged:
        """Each element of a pair of digits against the threshold of the reference decoding, 7/64 of
        the pair's width (ISO/IEC 16390): 1 when it is as far from it as a narrow or wide element of
        this line should be, 0 when it is on it or on the wrong side."""
        groups = widths[:, self.start : -self.stop].reshape(len(widths), -1, 10)
        limit = groups.sum(axis=-1, keepdims=True) * 7 / 64
        # What most lines say is what is printed there.
        wide = np.median(groups / limit, axis=0) > 1
        narrow = groups[:, ~wide].mean(axis=1)
        half = np.maximum((groups[:, wide].mean(axis=1) - narrow) / 2, 1e-9)
        apart = np.where(wide, groups - limit, limit - groups) / half[:, None, None]
        bar = np.arange(10) % 2 == 0
        bars, spaces = (groups[:, ~wide & of].mean() for of in (bar, ~bar))
        return Judged(
            np.clip(apart.min(axis=(1, 2)), 0, 1),
            float(np.median(narrow)),
            float((bars - spaces) / (bars + spaces)),
        )


RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "Code128": (Modular(11, 6, stop=(7, 13)),),
        "EAN13": (Modular(7, 4, 59, start=3, stop=(3, 3), guards=(27, 32)),),
        "EAN8": (Modular(7, 4, 43, start=3, stop=(3, 3), guards=(19, 24)),),
        "ITF14": (Interleaved(77),),
        # Omnidirectional, limited: as many elements, but another width. The guards' outer spaces
        # cannot be told from the quiet zone.
        "DataBar": (Modular(95, 45, 45), Modular(73, 45, 45)),
    }
)
"""Symbologies whose bars are graded: where there are two rules, the one that fits better."""
