"""Where everything stands in a QR code or Data Matrix: fixed patterns, codewords, their blocks.

Pure tables and placement rules, made once per size. Sources: ISO/IEC 18004 clauses 6.3, 7.5 to 7.8
(QR; block table of segno), ISO/IEC 16022 table 7 and annex F (Data Matrix ECC 200).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from segno import consts

Ints = NDArray[np.int16]
Bools = NDArray[np.bool_]

FREE = -1
"""In `fixed`: the module is data or format, not a fixed pattern."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One Reed-Solomon block: which codewords of the symbol it is made of, in the order of its
    polynomial (highest first), how many of them correct, and how many of those only detect."""

    codewords: tuple[int, ...]
    correcting: int
    detecting: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A symbol of one size, rows x columns of modules; arrays are indexed [row, column].

    `fixed` is 1 (dark), 0 (light) or FREE; `segments` are the fixed patterns that are graded one by
    one, by name, each as the modules that belong to it; `codeword` is the number of the codeword
    that a module carries a bit of (-1: none) and `bit` which one (7 = highest); `masked` says which
    modules the data mask turned over. `prime`, `root` are of the Galois field and its generator.
    """

    fixed: Ints
    segments: dict[str, Bools]
    codeword: Ints
    bit: Ints
    masked: Bools
    blocks: tuple[Block, ...]
    prime: int
    root: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        rows, columns = self.fixed.shape
        return rows, columns


# ------------------------------------------------------------------------------------------ QR

_LEVELS = {
    "L": consts.ERROR_LEVEL_L,
    "M": consts.ERROR_LEVEL_M,
    "Q": consts.ERROR_LEVEL_Q,
    "H": consts.ERROR_LEVEL_H,
}

_MISDECODE = {(1, "L"): 3, (1, "M"): 2, (1, "Q"): 1, (1, "H"): 1, (2, "L"): 2, (3, "L"): 1}
"""Codewords that only guard against a misdecode (ISO/IEC 18004 table 9, p)."""


@lru_cache(maxsize=64)
def qr(version: int, level: str, mask: int) -> Layout | None:
    """The layout of a QR code (model 2), None for what is none: version 1 to 40, level L, M, Q or
    H, mask 0 to 7."""
    if not 1 <= version <= 40 or level not in _LEVELS or not 0 <= mask <= 7:
        return None
    size = 17 + 4 * version
    fixed = np.full((size, size), FREE, np.int16)
    segments: dict[str, Bools] = {}
    for name, top, left in (("A1", 0, 0), ("A2", 0, size - 7), ("A3", size - 7, 0)):
        segments[name] = _finder(fixed, top, left)
    line = (np.arange(size) + 1) % 2
    for name, place in (("B1", np.s_[6, 8 : size - 8]), ("B2", np.s_[8 : size - 8, 6])):
        fixed[place] = line[8 : size - 8]
        segments[name] = np.zeros((size, size), bool)
        segments[name][place] = True
    centres = consts.ALIGNMENT_POS[version - 2] if version > 1 else ()
    marks = np.zeros((size, size), bool)
    last = len(centres) - 1
    for n, row in enumerate(centres):
        for m, column in enumerate(centres):
            if (n, m) not in ((0, 0), (0, last), (last, 0)):
                fixed[row - 2 : row + 3, column - 2 : column + 3] = 1
                fixed[row - 1 : row + 2, column - 1 : column + 2] = 0
                fixed[row, column] = 1
                marks[row - 2 : row + 3, column - 2 : column + 3] = True
    if marks.any():
        segments["C"] = marks
    fixed[size - 8, 8] = 1  # the dark module
    busy = fixed != FREE
    # Format and version information are neither fixed nor data.
    busy[8, :9] = busy[:9, 8] = busy[8, size - 8 :] = busy[size - 8 :, 8] = True
    if version >= 7:
        busy[:6, size - 11 : size - 8] = busy[size - 11 : size - 8, :6] = True
    codeword, bit = _zigzag(busy)
    blocks = _qr_blocks(version, level)
    codeword[codeword >= sum(len(block.codewords) for block in blocks)] = -1  # remainder bits
    masked = _mask(size, mask) & (codeword >= 0)
    return Layout(fixed, segments, codeword, bit, masked, blocks, 0x11D, 0)


def _finder(fixed: Ints, top: int, left: int) -> Bools:
    """A finder pattern with its separator; returns the modules of both."""
    size = fixed.shape[0]
    part = np.zeros(fixed.shape, bool)
    part[max(0, top - 1) : min(size, top + 8), max(0, left - 1) : min(size, left + 8)] = True
    fixed[part] = 0
    fixed[top : top + 7, left : left + 7] = 1
    fixed[top + 1 : top + 6, left + 1 : left + 6] = 0
    fixed[top + 2 : top + 5, left + 2 : left + 5] = 1
    return part


def _zigzag(busy: Bools) -> tuple[Ints, Ints]:
    """Number and bit of the codeword in each free module: pairs of columns from the right, up and
    down in turn; the column of the vertical timing pattern is left out."""
    size = busy.shape[0]
    number = np.full(busy.shape, -1, np.int16)
    bit = np.zeros(busy.shape, np.int16)
    count, up = 0, True
    for right in [c for c in range(size - 1, 0, -2) if c > 6] + [5, 3, 1]:
        for row in range(size - 1, -1, -1) if up else range(size):
            for column in (right, right - 1):
                if not busy[row, column]:
                    number[row, column] = count // 8
                    bit[row, column] = 7 - count % 8
                    count += 1
        up = not up
    return number, bit


def _qr_blocks(version: int, level: str) -> tuple[Block, ...]:
    """Blocks of codewords as they are interleaved: data first, then what corrects."""
    shapes = [
        (info.num_data, info.num_total - info.num_data)
        for info in consts.ECC[version][_LEVELS[level]]
        for _ in range(info.num_blocks)
    ]
    members: list[list[int]] = [[] for _ in shapes]
    count = 0
    for part in (0, 1):
        for n in range(max(shape[part] for shape in shapes)):
            for block, shape in enumerate(shapes):
                if n < shape[part]:
                    members[block].append(count)
                    count += 1
    detecting = _MISDECODE.get((version, level), 0)
    return tuple(
        Block(tuple(block), shape[1], detecting)
        for block, shape in zip(members, shapes, strict=True)
    )


def _mask(size: int, mask: int) -> Bools:
    """Modules that a data mask turns over (ISO/IEC 18004 table 10)."""
    i, j = np.mgrid[:size, :size]
    rules = (
        (i + j) % 2,
        i % 2,
        j % 3,
        (i + j) % 3,
        (i // 2 + j // 3) % 2,
        i * j % 2 + i * j % 3,
        (i * j % 2 + i * j % 3) % 2,
        ((i + j) % 2 + i * j % 3) % 2,
    )
    over: Bools = rules[mask] == 0
    return over


# --------------------------------------------------------------------------------- Data Matrix

# Rows, columns, rows and columns of regions, codewords of data and of correction, blocks.
_SIZES = (
    (10, 10, 1, 1, 3, 5, 1), (12, 12, 1, 1, 5, 7, 1), (14, 14, 1, 1, 8, 10, 1),
    (16, 16, 1, 1, 12, 12, 1), (18, 18, 1, 1, 18, 14, 1), (20, 20, 1, 1, 22, 18, 1),
    (22, 22, 1, 1, 30, 20, 1), (24, 24, 1, 1, 36, 24, 1), (26, 26, 1, 1, 44, 28, 1),
    (32, 32, 2, 2, 62, 36, 1), (36, 36, 2, 2, 86, 42, 1), (40, 40, 2, 2, 114, 48, 1),
    (44, 44, 2, 2, 144, 56, 1), (48, 48, 2, 2, 174, 68, 1), (52, 52, 2, 2, 204, 84, 2),
    (64, 64, 4, 4, 280, 112, 2), (72, 72, 4, 4, 368, 144, 4), (80, 80, 4, 4, 456, 192, 4),
    (88, 88, 4, 4, 576, 224, 4), (96, 96, 4, 4, 696, 272, 4), (104, 104, 4, 4, 816, 336, 6),
    (120, 120, 6, 6, 1050, 408, 6), (132, 132, 6, 6, 1304, 496, 8),
    (8, 18, 1, 1, 5, 7, 1), (8, 32, 1, 2, 10, 11, 1), (12, 26, 1, 1, 16, 14, 1),
    (12, 36, 1, 2, 22, 18, 1), (16, 36, 1, 2, 32, 24, 1), (16, 48, 1, 2, 49, 28, 1),
)  # fmt: skip


@lru_cache(maxsize=64)
def data_matrix(rows: int, columns: int) -> Layout | None:
    """The layout of a Data Matrix ECC 200; None for a size that is not in the table (144 x 144,
    whose blocks are uneven, and the rectangles of ISO/IEC 21471)."""
    found = next((size for size in _SIZES if size[:2] == (rows, columns)), None)
    if found is None:
        return None
    _, _, down, across, data, correcting, blocks = found
    fixed = np.full((rows, columns), FREE, np.int16)
    high, wide = rows // down, columns // across
    for top in range(0, rows, high):
        for left in range(0, columns, wide):
            region = fixed[top : top + high, left : left + wide]
            region[0, :] = (np.arange(wide) + 1) % 2
            region[:, -1] = np.arange(high) % 2
            region[:, 0] = 1
            region[-1, :] = 1
    number, bit = _placed(rows - 2 * down, columns - 2 * across)
    codeword = np.full((rows, columns), -1, np.int16)
    bits = np.zeros((rows, columns), np.int16)
    free = fixed == FREE
    codeword[free], bits[free] = number.ravel(), bit.ravel()
    # Where no codeword reaches, the corner is a small check of its own.
    spare = free & (codeword < 0)
    if spare.any():
        at_row, at_column = np.argwhere(spare).max(axis=0)
        fixed[at_row - 1 : at_row + 1, at_column - 1 : at_column + 1] = [[1, 0], [0, 1]]
    return Layout(
        fixed,
        _dm_segments(rows, columns, high, wide),
        codeword,
        bits,
        np.zeros((rows, columns), bool),
        tuple(
            Block(tuple(range(n, data + correcting, blocks)), correcting // blocks)
            for n in range(blocks)
        ),
        0x12D,
        1,
    )


def _dm_segments(rows: int, columns: int, high: int, wide: int) -> dict[str, Bools]:
    """Left and bottom edge (L1, L2), their opposite clock tracks (T1, T2), what stands inside."""
    segments: dict[str, Bools] = {}
    for name, place in (
        ("L1", np.s_[:, 0]),
        ("L2", np.s_[-1, :]),
        ("T1", np.s_[0, :]),
        ("T2", np.s_[:, -1]),
    ):
        segments[name] = np.zeros((rows, columns), bool)
        segments[name][place] = True
    for n, top in enumerate(range(high, rows, high), 1):
        segments[f"R{n}"] = np.zeros((rows, columns), bool)
        segments[f"R{n}"][top - 1 : top + 1, :] = True
    for n, left in enumerate(range(wide, columns, wide), 1):
        segments[f"C{n}"] = np.zeros((rows, columns), bool)
        segments[f"C{n}"][:, left - 1 : left + 1] = True
    return segments


# The eight modules of a codeword about its last one (row, column), highest bit first.
_UTAH = ((-2, -2), (-2, -1), (-1, -2), (-1, -1), (-1, 0), (0, -2), (0, -1), (0, 0))


def _corners(rows: int, columns: int) -> dict[int, tuple[tuple[int, int], ...]]:
    """The four shapes of a codeword that stands in corners (annex F, corner 1 to 4)."""
    r, c = rows, columns
    return {
        1: ((r-1, 0), (r-1, 1), (r-1, 2), (0, c-2), (0, c-1), (1, c-1), (2, c-1), (3, c-1)),
        2: ((r-3, 0), (r-2, 0), (r-1, 0), (0, c-4), (0, c-3), (0, c-2), (0, c-1), (1, c-1)),
        3: ((r-3, 0), (r-2, 0), (r-1, 0), (0, c-2), (0, c-1), (1, c-1), (2, c-1), (3, c-1)),
        4: ((r-1, 0), (r-1, c-1), (0, c-3), (0, c-2), (0, c-1), (1, c-3), (1, c-2), (1, c-1)),
    }  # fmt: skip


def _placed(rows: int, columns: int) -> tuple[Ints, Ints]:
    """Number and bit of the codeword of each module of the joined regions (annex F.3)."""
    number = np.full((rows, columns), -1, np.int16)
    bit = np.zeros((rows, columns), np.int16)
    corners = _corners(rows, columns)
    count = 0

    def put(modules: tuple[tuple[int, int], ...]) -> None:
        nonlocal count
        for n, (row, column) in enumerate(modules):
            if row < 0:
                row, column = row + rows, column + 4 - (rows + 4) % 8
            if column < 0:
                row, column = row + 4 - (columns + 4) % 8, column + columns
            number[row, column], bit[row, column] = count, 7 - n
        count += 1

    def utah(row: int, column: int) -> None:
        put(tuple((row + down, column + right) for down, right in _UTAH))

    row, column = 4, 0
    while row < rows or column < columns:
        if (row, column) == (rows, 0):
            put(corners[1])
        if (row, column) == (rows - 2, 0) and columns % 4:
            put(corners[2])
        if (row, column) == (rows - 2, 0) and columns % 8 == 4:
            put(corners[3])
        if (row, column) == (rows + 4, 2) and not columns % 8:
            put(corners[4])
        while True:
            if row < rows and column >= 0 and number[row, column] < 0:
                utah(row, column)
            row, column = row - 2, column + 2
            if row < 0 or column >= columns:
                break
        row, column = row + 1, column + 3
        while True:
            if row >= 0 and column < columns and number[row, column] < 0:
                utah(row, column)
            row, column = row + 2, column - 2
            if row >= rows or column < 0:
                break
        row, column = row + 3, column + 1
    return number, bit
