"""What a station wants read: symbology, region of the frame, grid of an open case, attempts."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from agent.core.errors import ConfigError
from agent.vision.attempts import ATTEMPTS, CASCADES, Attempt, ask, pitched
from agent.vision.formats import LINEAR

if TYPE_CHECKING:
    from agent.vision.look import Look

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the full frame."""

MOST_CELLS = 256


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How one station's frames are read; checked when it is made (ConfigError).

    `region` (x, y, w, h in px) is cut out of the frame before anything else, None is the whole
    frame; what lies outside the frame is ignored. `grid` (rows, columns) makes it a multi-read:
    the cells divide the region evenly unless `cells` gives each one, in grid order, as fractions
    of the region (x, y, w, h). `attempts` replaces the symbology's order of attempts. `look` is how
    a child in a cell looks, where that was learnt. `track` (share of the frame) is how far the
    symbol's middle may be off the region's (0 = the region is all that is looked at). `pitch` is
    the size of a module in px where that is known: attempts that are made for it come after the
    first. `plan` are the attempts, `fast` how the reader is asked in the first one if that is
    `fast`, `linear` whether bar codes are read: made once, not for each frame.
    """

    symbology: str
    region: Box | None = None
    grid: tuple[int, int] | None = None
    cells: tuple[tuple[float, float, float, float], ...] = ()
    attempts: tuple[str, ...] = ()
    look: "Look | None" = None
    track: float = 0.0
    pitch: float | None = None
    plan: tuple[Attempt, ...] = field(init=False, repr=False, compare=False)
    fast: dict[str, Any] | None = field(init=False, repr=False, compare=False)
    linear: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.symbology not in CASCADES:
            raise ConfigError(
                f"symbology {self.symbology!r} cannot be read here; write one of "
                f"{', '.join(CASCADES)}"
            )
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise ConfigError(
                f"region {self.region} is not inside a frame; write x, y (from 0) and width, "
                "height (from 1) in pixels"
            )
        if self.grid is not None and not (
            min(self.grid) >= 1 and self.grid[0] * self.grid[1] <= MOST_CELLS
        ):
            raise ConfigError(
                f"grid {self.grid} is not rows, columns of 1 to {MOST_CELLS} cells together"
            )
        if not 0 <= self.track <= 0.5 or (self.track and (self.region is None or self.grid)):
            raise ConfigError(
                f"track {self.track} is not a share of the frame from 0 to 0.5 of a reader with a "
                "region and without a grid"
            )
        if self.pitch is not None and not 0.5 <= self.pitch <= 200:
            raise ConfigError(f"pitch {self.pitch} is no module size; write 0.5 to 200 px")
        self._check_cells()
        for name in self.attempts:
            if name not in ATTEMPTS:
                raise ConfigError(
                    f"attempt {name!r} is not known; write some of {', '.join(ATTEMPTS)}"
                )
        plan = [ATTEMPTS[name] for name in self.order]
        if self.pitch is not None:
            plan[1:1] = pitched(self.symbology, self.pitch)
        object.__setattr__(self, "plan", tuple(plan))
        fast = ask(self.symbology, plan[0]) if plan[0].name == "fast" else None
        object.__setattr__(self, "fast", fast)
        object.__setattr__(self, "linear", self.symbology in LINEAR)

    def _check_cells(self) -> None:
        if not self.cells:
            return
        rows, columns = self.grid or (0, 0)
        if len(self.cells) != rows * columns:
            raise ConfigError(
                f"{len(self.cells)} cells are given for a grid of {rows} x {columns}; give one "
                "for each place, row by row, or none"
            )
        for cell in self.cells:
            x, y, width, height = cell
            inside = all(map(isfinite, cell)) and x >= 0 and y >= 0 and width > 0 and height > 0
            if not inside or x + width > 1 + 1e-9 or y + height > 1 + 1e-9:
                raise ConfigError(
                    f"cell {cell} is not inside its region; write x, y, width, height as "
                    "fractions from 0 to 1"
                )

    @property
    def order(self) -> tuple[str, ...]:
        """The attempts in the order they are tried."""
        return self.attempts or CASCADES[self.symbology]

    def box(self, width: int, height: int) -> Box:
        """The region inside a frame of this size; width or height is 0 when nothing is left."""
        x, y, w, h = self.region or (0, 0, width, height)
        x, y = min(x, width), min(y, height)
        return x, y, min(w, width - x), min(h, height - y)

    def cell_boxes(self, width: int, height: int) -> tuple[Box, ...]:
        """The cells in grid order (row by row), in pixels of a frame of this size."""
        rows, columns = self.grid or (1, 1)
        x, y, w, h = self.box(width, height)
        if self.cells:
            return tuple(
                (x + round(fx * w), y + round(fy * h), round(fw * w), round(fh * h))
                for fx, fy, fw, fh in self.cells
            )
        xs = [x + w * n // columns for n in range(columns + 1)]
        ys = [y + h * n // rows for n in range(rows + 1)]
        return tuple(
            (left, top, right - left, bottom - top)
            for top, bottom in pairwise(ys)
            for left, right in pairwise(xs)
        )
