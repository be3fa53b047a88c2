"""The quality index of one symbol: its parameters, their letters, and the scales behind them.

It follows the parameters of ISO/IEC 15415, 29158 and 15416, but the camera's reflectance is not
calibrated, its aperture and light are the line's: it is an index to follow over time, never a grade
by these standards.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

BEST = 4.0
"""The highest score of a parameter; 3, 2 and 1 are where B, C and D begin."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where A, B, C and D begin, from best to worst; rising limits mean that less is better."""

    a: float
    b: float
    c: float
    d: float

    def score(self, value: float) -> float:
        """0 to 4: 4 from the limit of A on, 3, 2 and 1 at the limits of B, C and D, even in between
        and down to 0, at no value of the parameter (or, where less is better, at twice D's)."""
        if not isfinite(value):
            return 0.0
        falls = self.a > self.d
        worst = 0.0 if falls else 2 * self.d
        marks = (self.a, self.b, self.c, self.d, worst)
        for n, (high, low) in enumerate(pairwise(marks)):
            if n == 0 and (value >= high if falls else value <= high):
                return BEST
            if value >= low if falls else value <= low:
                return BEST - n - (high - value) / (high - low)
        return 0.0


CONTRAST = Scale(0.70, 0.55, 0.40, 0.20)
MODULATION = Scale(0.50, 0.40, 0.30, 0.20)
AXIAL = Scale(0.06, 0.08, 0.10, 0.12)
GRID = Scale(0.38, 0.50, 0.63, 0.75)
UNUSED = Scale(0.62, 0.50, 0.37, 0.25)
BAR_MODULATION = Scale(0.70, 0.60, 0.50, 0.40)
DEFECTS = Scale(0.15, 0.20, 0.25, 0.30)
DECODABILITY = Scale(0.62, 0.50, 0.37, 0.25)


def letter(score: float) -> str:
    """A to D, or F: the step that the score has reached."""
    # What is even in decimals may be a hair less in binary.
    return "FDCBA"[int(score + 1e-9)]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `value` in its own unit (shares of 1; print growth in modules), `score` 0 to
    4, None for one that is reported only."""

    name: str
    value: float
    score: float | None

    @property
    def letter(self) -> str:
        """A to F; "" for a parameter that is reported only."""
        return "" if self.score is None else letter(self.score)


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality index of one symbol. `module_px` is the size of a module (of a bar's unit) in
    pixels of the frame, `version` what the reader says of the symbol's size."""

    symbology: str
    version: str
    module_px: float
    parameters: tuple[Parameter, ...]

    @property
    def worst(self) -> Parameter:
        """The graded parameter with the least score: it is the symbol's."""
        return min(graded(self.parameters), key=lambda each: each.score or 0.0)

    @property
    def score(self) -> float:
        """0 to 4, the worst parameter's."""
        return self.worst.score or 0.0

    @property
    def letter(self) -> str:
        """A to F, the worst parameter's."""
        return letter(self.score)

    def __getitem__(self, name: str) -> Parameter:
        """A parameter by its name; KeyError if it was not measured."""
        for each in self.parameters:
            if each.name == name:
                return each
        raise KeyError(name)


def graded(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Those that have a score."""
    return [each for each in parameters if each.score is not None]
