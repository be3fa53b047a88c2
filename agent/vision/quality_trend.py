"""How the quality index of one reader goes over time, and when it is too low. Pure.

Every parameter's score is smoothed by itself, so that a slow fall of one is not hidden by the
others. The index is low when one of them is below the limit, and is so until all are clearly above.
"""

from collections import deque
from dataclasses import dataclass, field

from agent.vision.quality_scale import Quality, Scale, graded, letter

LEAST = 5
"""Samples before anything is said."""
CLEAR = 0.3
"""By how much more than the limit a score must be for the index not to be low any more."""
KEPT = 60
"""Points of the trend that are kept."""

GROWTH = Scale(0.15, 0.22, 0.30, 0.40)
"""Bar codes are read until bars have grown by half a module, with good letters up to there: so the
trend of theirs judges what the index only reports. (In a matrix the modulation falls with it.)"""

SHORT = {
    "contrast": "SC",
    "modulation": "MOD",
    "reflectance_margin": "RM",
    "fixed_pattern": "FPD",
    "axial_nonuniformity": "AN",
    "grid_nonuniformity": "GN",
    "unused_correction": "UEC",
    "min_reflectance": "Rmin",
    "min_edge_contrast": "ECmin",
    "defects": "DEF",
    "decodability": "DCD",
    "decode": "DEC",
    "print_growth": "BWG",
}
"""What parameters are called on the reports of verifiers, in every language."""

LIMITS = {"A": 4.0, "B": 3.0, "C": 2.0, "D": 1.0, "": 0.0}
"""The score at which a letter begins; "" is no limit."""


@dataclass(frozen=True, slots=True)
class TrendSettings:
    """`limit` is the letter that the index should have at least ("" = any), `window` over about
    how many samples a score is smoothed."""

    limit: str = "C"
    window: int = 20

    def __post_init__(self) -> None:
        if self.limit not in LIMITS or self.window < 1:
            raise ValueError(
                f"limit {self.limit!r} is no letter, or window {self.window} too small"
            )


@dataclass(slots=True)
class Trend:
    """The trend of one reader. `scores` are the smoothed ones by parameter, `low` says that one of
    them is below the limit, `points` are (time as given, smoothed score of the worst)."""

    settings: TrendSettings = field(default_factory=TrendSettings)
    samples: int = 0
    low: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    points: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, quality: Quality, at: int) -> None:
        """One more sample, taken at `at` (any clock that rises)."""
        self.samples += 1
        # At first the plain mean of all, later of about the last `window`.
        share = max(1 / self.samples, 2 / (self.settings.window + 1))
        found = {each.name: each.score or 0.0 for each in graded(quality.parameters)}
        for each in quality.parameters:
            if each.name == "print_growth":
                found[each.name] = GROWTH.score(abs(each.value))
        for name, score in found.items():
            before = self.scores.get(name, score)
            self.scores[name] = before + share * (score - before)
        self.points.append((at, round(self.score, 2)))
        limit = LIMITS[self.settings.limit]
        if self.samples < LEAST:
            return
        # A perfect score is not a hair above a limit of A.
        self.low = self.score < (min(limit + CLEAR, 4.0) if self.low else limit)

    @property
    def worst(self) -> str:
        """The parameter with the least smoothed score; "" before the first sample."""
        return min(self.scores, key=lambda name: self.scores[name], default="")

    @property
    def score(self) -> float:
        """The least smoothed score, 0 to 4; 0 before the first sample."""
        return min(self.scores.values(), default=0.0)

    @property
    def letter(self) -> str:
        """Of the least smoothed score."""
        return letter(self.score)
