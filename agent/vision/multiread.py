"""Many symbols in one frame: an open case as a grid of cells, each with its code or no-read.

The whole region is read first, once; then only the cells that are still empty are tried again,
attempt by attempt, so that a hard cell does not eat the time of the others.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot

from agent.ports import Image, Read
from agent.vision.attempts import ATTEMPTS
from agent.vision.cascade import Agreement, Budget, attempt_all, is_picture
from agent.vision.formats import LINEAR
from agent.vision.settings import Box, DecodeSettings

_MARGIN = 0.15
"""A retry looks this share of the cell beyond its edges: a child rarely stands in the middle."""


@dataclass(frozen=True, slots=True)
class CellReads:
    """What one frame shows of a grid.

    `cells` has one entry per cell in grid order (row by row): its read, or None for no-read;
    never more than one. `strays` are reads in no cell, or beside another in the same cell.
    `doubles` are the texts that were seen at two places of the frame. `late` says that the
    deadline ended it before every empty cell had every attempt; what was read in time stands.
    """

    cells: tuple[Read | None, ...]
    strays: tuple[Read, ...] = ()
    doubles: tuple[str, ...] = ()
    seconds: float = 0.0
    late: bool = False


def decode_cells(image: Image, settings: DecodeSettings, deadline: float) -> CellReads:
    """Read the grid in the station's region of `image` (height x width, 8-bit grey).

    `deadline` is a time.monotonic() value, asked before each attempt on each cell. Never raises
    for any picture; what is not a picture has no reads.
    """
    start = time.monotonic()
    if not is_picture(image):
        return nothing_read(settings, time.monotonic() - start, late=False)
    height, width = image.shape
    x, y, w, h = settings.box(width, height)
    if w < 1 or h < 1:
        return nothing_read(settings, time.monotonic() - start, late=False)
    board = _Board(settings.cell_boxes(width, height))
    budget = Budget(deadline)
    fast = ATTEMPTS["fast"]
    if budget.allows(fast):
        for read in attempt_all(image[y : y + h, x : x + w], settings.symbology, fast, (x, y)):
            board.put(read)
        budget.spent(fast)
    believed = [Agreement(settings.symbology in LINEAR) for _ in board.boxes]
    for name in settings.order:
        attempt = ATTEMPTS[name]
        for cell in board.empty():
            left, top, right, bottom = _around(board.boxes[cell], (x, y, w, h))
            if right <= left or bottom <= top or board.cells[cell] is not None:
                continue
            share = (right - left) * (bottom - top) / (w * h)
            if not budget.allows(attempt, share):
                continue
            reads = attempt_all(
                image[top:bottom, left:right], settings.symbology, attempt, (left, top)
            )
            budget.spent(attempt, share)
            for read in reads:
                if believed[cell].counts(read):
                    board.put(read)
    return CellReads(
        tuple(board.cells),
        tuple(board.strays),
        board.doubles(),
        time.monotonic() - start,
        late=budget.late,
    )


def nothing_read(settings: DecodeSettings, seconds: float, late: bool) -> CellReads:
    """A grid of no-reads."""
    rows, columns = settings.grid or (1, 1)
    return CellReads((None,) * (rows * columns), seconds=seconds, late=late)


@dataclass(slots=True)
class _Board:
    """The cells of one frame while it is being read. Boxes are in pixels of the full frame."""

    boxes: Sequence[Box]
    cells: list[Read | None] = field(init=False)
    strays: list[Read] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cells = [None] * len(self.boxes)

    def empty(self) -> list[int]:
        return [n for n, read in enumerate(self.cells) if read is None]

    def put(self, read: Read) -> None:
        """Give a read its cell. A symbol that is already on the board is not put again."""
        if any(_same_place(read, known) for known in self._all()):
            return
        middle = _middle(read)
        for number, box in enumerate(self.boxes):
            x, y, w, h = box
            if not (x <= middle[0] < x + w and y <= middle[1] < y + h):
                continue
            other = self.cells[number]
            if other is None:
                self.cells[number] = read
            elif _off_centre(read, box) < _off_centre(other, box):
                self.cells[number] = read
                self.strays.append(other)
            else:
                self.strays.append(read)
            return
        self.strays.append(read)

    def doubles(self) -> tuple[str, ...]:
        """Texts seen at more than one place, in order of the board."""
        return tuple(
            text for text, n in Counter(read.text for read in self._all()).items() if n > 1
        )

    def _all(self) -> list[Read]:
        return [read for read in self.cells if read is not None] + self.strays


def _around(box: Box, region: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a cell with its margin, inside the region."""
    x, y, w, h = box
    rx, ry, rw, rh = region
    dx, dy = round(w * _MARGIN), round(h * _MARGIN)
    return max(rx, x - dx), max(ry, y - dy), min(rx + rw, x + w + dx), min(ry + rh, y + h + dy)


def _middle(read: Read) -> tuple[float, float]:
    xs, ys = zip(*read.corners, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def _off_centre(read: Read, box: Box) -> float:
    x, y, w, h = box
    middle = _middle(read)
    return hypot(middle[0] - x - w / 2, middle[1] - y - h / 2)


def _same_place(one: Read, other: Read) -> bool:
    """Whether two reads are of the same symbol: same text, middles within half a diagonal."""
    if one.text != other.text:
        return False
    a, b = _middle(one), _middle(other)
    (x0, y0), (x1, y1) = one.corners[0], one.corners[2]
    return hypot(a[0] - b[0], a[1] - b[1]) < hypot(x1 - x0, y1 - y0) / 2
