"""Many symbols in one frame: an open case as a grid of cells, each with its code or no-read.

The whole region is read first, once. What was read says how the case stands, and the cells follow
it. Then only the cells that are still empty are tried again, attempt by attempt, so that a hard
cell does not eat the time of the others: first close about the place where the symbol must be, then
the whole cell.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot
from types import MappingProxyType
from typing import Final

import numpy as np

from agent.ports.reading import Image, Read
from agent.vision import look as looks
from agent.vision.attempts import ATTEMPTS, Attempt
from agent.vision.cascade import Agreement, Budget, attempt_all, is_picture
from agent.vision.formats import LINEAR
from agent.vision.look import Verdict
from agent.vision.pose import Pose, fit
from agent.vision.settings import Box, DecodeSettings

_MARGIN = 0.15
"""A retry looks this share of the cell beyond its edges: a child rarely stands in the middle."""
_CLOSE = 0.62
"""A close look reaches this share of a symbol's diagonal from its middle, to see its quiet zone."""

CLOSE_ORDER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "QRCode": ("half", "median", "blur_double", "double"),
        "DataMatrix": ("half", "blur_double", "double", "median"),
    }
)
"""What a close look tries where the station has no order of its own: quick ones that read most of
what `fast` on the whole frame leaves (docs/adr/0021-cases-and-tuning.md)."""


@dataclass(frozen=True, slots=True)
class CellReads:
    """What one frame shows of a grid.

    `cells` has one entry per cell in grid order (row by row): its read, or None for no-read;
    never more than one. `strays` are reads in no cell, or beside another in the same cell.
    `doubles` are the texts that were seen at two places of the frame. `late` says that the
    deadline ended it before every empty cell had every attempt; what was read in time stands.
    `verdicts` says of every cell what is in it, `pose` how the case stood (None: not known),
    `boxes` where each cell was looked for (px of the full frame).
    """

    cells: tuple[Read | None, ...]
    strays: tuple[Read, ...] = ()
    doubles: tuple[str, ...] = ()
    seconds: float = 0.0
    late: bool = False
    verdicts: tuple[Verdict, ...] = ()
    pose: Pose | None = None
    boxes: tuple[Box, ...] = ()


def decode_cells(image: Image, settings: DecodeSettings, deadline: float) -> CellReads:
    """Read the grid in the station's region of `image` (height x width, 8-bit grey).

    `deadline` is a time.monotonic() value, asked before each attempt on each cell. Never raises
    for any picture; what is not a picture has no reads.
    """
    start = time.monotonic()
    if not is_picture(image):
        return nothing_read(settings, time.monotonic() - start, late=False)
    height, width = image.shape
    region = settings.box(width, height)
    x, y, w, h = region
    if w < 1 or h < 1:
        return nothing_read(settings, time.monotonic() - start, late=False)
    budget = Budget(deadline)
    fast = ATTEMPTS["fast"]
    whole: list[Read] = []
    if budget.allows(fast):
        whole = attempt_all(image[y : y + h, x : x + w], settings.symbology, fast, (x, y))
        budget.spent(fast)
    boxes = settings.cell_boxes(width, height)
    pose = fit(np.array([_middle(read) for read in whole], np.float64).reshape(-1, 2), boxes)
    board = _Board(boxes if pose is None else pose.boxes(boxes))
    for read in whole:
        board.put(read)
    retry = _Retry(image, settings, region, board, budget)
    retry.closely()
    in_time = time.monotonic() < deadline
    verdicts = _verdicts(image, settings, board) if in_time else None
    gone = {n for n, what in enumerate(verdicts or ()) if what is Verdict.MISSING}
    retry.cell_by_cell(gone)
    return CellReads(
        tuple(board.cells),
        tuple(board.strays),
        board.doubles(),
        time.monotonic() - start,
        budget.late,
        _final(board, verdicts),
        pose,
        tuple(board.boxes),
    )


def nothing_read(settings: DecodeSettings, seconds: float, late: bool) -> CellReads:
    """A grid of no-reads."""
    rows, columns = settings.grid or (1, 1)
    many = rows * columns
    return CellReads((None,) * many, seconds=seconds, late=late, verdicts=(Verdict.UNREAD,) * many)


@dataclass(slots=True)
class _Retry:
    """The attempts on the cells that the whole frame left empty."""

    image: Image
    settings: DecodeSettings
    region: Box
    board: "_Board"
    budget: Budget
    believed: list[Agreement] = field(init=False)

    def __post_init__(self) -> None:
        linear = self.settings.symbology in LINEAR
        self.believed = [Agreement(linear) for _ in self.board.boxes]

    def closely(self) -> None:
        """About the middle of each empty cell, as far as symbols of this frame reach."""
        near = self.board.reach()
        order = CLOSE_ORDER.get(self.settings.symbology, ())
        if near is None or not order:
            return
        spots = [
            (round(x + w / 2 - near), round(y + h / 2 - near), round(2 * near), round(2 * near))
            for x, y, w, h in self.board.boxes
        ]
        for attempt in [ATTEMPTS[name] for name in self.settings.attempts or order]:
            for cell in self.board.empty():
                self._try(attempt, cell, _inside(spots[cell], self.region))

    def cell_by_cell(self, gone: set[int]) -> None:
        """Every empty cell as a whole, but those where nothing stands (`gone`)."""
        for attempt in self.settings.plan:
            for cell in self.board.empty():
                if cell not in gone:
                    self._try(attempt, cell, _around(self.board.boxes[cell], self.region))

    def _try(self, attempt: Attempt, cell: int, where: tuple[int, int, int, int]) -> None:
        symbology = self.settings.symbology
        left, top, right, bottom = where
        if right <= left or bottom <= top or self.board.cells[cell] is not None:
            return
        if attempt.second:  # too slow for one of many cells
            return
        share = (right - left) * (bottom - top) / (self.region[2] * self.region[3])
        if not self.budget.allows(attempt, share):
            return
        reads = attempt_all(self.image[top:bottom, left:right], symbology, attempt, (left, top))
        self.budget.spent(attempt, share)
        for read in reads:
            if self.believed[cell].counts(read):
                self.board.put(read)


@dataclass(slots=True)
class _Board:
    """The cells of one frame while it is being read. Boxes are in pixels of the full frame."""

    boxes: Sequence[Box]
    cells: list[Read | None] = field(init=False)
    strays: list[Read] = field(default_factory=list)
    crowded: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cells = [None] * len(self.boxes)

    def empty(self) -> list[int]:
        return [n for n, read in enumerate(self.cells) if read is None]

    def put(self, read: Read) -> None:
        """Give a read its cell. A symbol that is already on the board is not put again."""
        if any(_same_place(read, known) for known in self._all()):
            return
        number = self._cell_of(_middle(read))
        if number is None:
            self.strays.append(read)
            return
        other, box = self.cells[number], self.boxes[number]
        if other is None:
            self.cells[number] = read
            return
        self.crowded.add(number)
        if _off_centre(read, box) < _off_centre(other, box):
            self.cells[number] = read
            self.strays.append(other)
        else:
            self.strays.append(read)

    def _cell_of(self, middle: tuple[float, float]) -> int | None:
        """The cell that a point lies in; the nearest where cells of a turned case overlap."""
        px, py = middle
        within = [
            (hypot(px - x - w / 2, py - y - h / 2), n)
            for n, (x, y, w, h) in enumerate(self.boxes)
            if x <= px < x + w and y <= py < y + h
        ]
        return min(within)[1] if within else None

    def reach(self) -> float | None:
        """How far from its cell's middle a symbol of this frame reaches, with its quiet zone (px);
        None where too few were read to say."""
        read = [(r, box) for r, box in zip(self.cells, self.boxes, strict=True) if r is not None]
        if len(read) < 3:
            return None
        size = float(np.median([_diagonal(r) for r, _ in read]))
        return _CLOSE * size + float(np.quantile([_off_centre(r, box) for r, box in read], 0.9))

    def doubles(self) -> tuple[str, ...]:
        """Texts seen at more than one place, in order of the board."""
        return tuple(
            text for text, n in Counter(read.text for read in self._all()).items() if n > 1
        )

    def _all(self) -> list[Read]:
        return [read for read in self.cells if read is not None] + self.strays


def _verdicts(image: Image, settings: DecodeSettings, board: _Board) -> tuple[Verdict, ...] | None:
    """What is in each cell as far as the picture shows; None where no look was learnt."""
    look, empty = settings.look, board.empty()
    if look is None:
        return None
    read = [box for n, box in enumerate(board.boxes) if n not in empty]
    light = looks.light_of(image, look, read) if empty else looks.Light()
    return tuple(
        looks.tell(image, box, look, light) if board.cells[n] is None else Verdict.READ
        for n, box in enumerate(board.boxes)
    )


def _final(board: _Board, seen: tuple[Verdict, ...] | None) -> tuple[Verdict, ...]:
    """The verdict of each cell when all attempts are over."""
    twice = set(board.doubles())
    sizes = [_diagonal(read) for read in board.cells if read is not None]
    usual = float(np.median(sizes)) if len(sizes) >= 4 else None
    out = []
    for n, read in enumerate(board.cells):
        if read is None:
            out.append(seen[n] if seen else Verdict.UNREAD)
        elif n in board.crowded or read.text in twice:
            out.append(Verdict.DOUBLED)
        elif usual is not None and not 0.75 < _diagonal(read) / usual < 1.33:
            out.append(Verdict.FOREIGN)
        else:
            out.append(Verdict.READ)
    return tuple(out)


def _around(box: Box, region: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a cell with its margin, inside the region."""
    x, y, w, h = box
    dx, dy = round(w * _MARGIN), round(h * _MARGIN)
    return _inside((x - dx, y - dy, w + 2 * dx, h + 2 * dy), region)


def _inside(box: Box, region: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what of a box lies in the region."""
    x, y, w, h = box
    rx, ry, rw, rh = region
    return max(rx, x), max(ry, y), min(rx + rw, x + w), min(ry + rh, y + h)


def _middle(read: Read) -> tuple[float, float]:
    xs, ys = zip(*read.corners, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def _diagonal(read: Read) -> float:
    (x0, y0), (x1, y1) = read.corners[0], read.corners[2]
    return hypot(x1 - x0, y1 - y0)


def _off_centre(read: Read, box: Box) -> float:
    x, y, w, h = box
    middle = _middle(read)
    return hypot(middle[0] - x - w / 2, middle[1] - y - h / 2)


def _same_place(one: Read, other: Read) -> bool:
    """Whether two reads are of the same symbol: same text, middles within half a diagonal."""
    if one.text != other.text:
        return False
    a, b = _middle(one), _middle(other)
    return hypot(a[0] - b[0], a[1] - b[1]) < _diagonal(one) / 2
