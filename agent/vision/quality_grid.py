"""Where the modules of a symbol lie in a picture, to part of a pixel, and how bright they are.

A reader's corners are whole pixels: modules sampled by them are off by up to a third of a module,
and a perfect symbol would score badly. So each boundary between a dark and a light module is
measured where its profile crosses the middle of the two, and the grid is fitted to all of them:
eight numbers of a perspective, and how much the dark modules have grown. What the perspective
leaves (a label on a bottle) is smoothed and kept as each module's shift.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image

Floats = NDArray[np.float64]

ROUNDS = 3
STEPS = 9
"""Points of a profile from the middle of one module to that of the next."""
BESIDE = (-0.25, 0.0, 0.25)
"""A profile is the mean of three beside each other, in modules."""
APERTURE = 0.8
"""Diameter in modules of the spot that a module's reflectance is the mean of (ISO/IEC 15415)."""
LEAST = 0.3
"""Part of the picture's contrast below which a boundary is none."""
FEWEST = 24
"""Boundaries without which no grid is fitted."""
ENOUGH = 800
"""Modules of which the boundaries fit a grid; of a larger symbol some rows and columns are left
out."""
AROUND = 3
"""Modules, across, over which the shifts of a bent symbol are smoothed."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The grid of a symbol: `matrix` maps (column, row) in modules to pixels (x to the right, a
    pixel's middle at its .5); `shift` (rows x columns x 2) is what each module lies beside that, in
    modules; `growth` (across, down) is how much wider than a module a dark one is, in modules."""

    matrix: Floats
    shift: Floats
    growth: tuple[float, float]

    def centres(self) -> Floats:
        """Middles of all modules in pixels, rows x columns x 2."""
        rows, columns = self.shift.shape[:2]
        v, u = np.mgrid[:rows, :columns] + 0.5
        return self.pixels(u + self.shift[..., 0], v + self.shift[..., 1])

    def pixels(self, u: Floats, v: Floats) -> Floats:
        """Pixels of points given in modules, without their shift."""
        return project(self.matrix, u, v)

    def axes(self) -> tuple[float, float, Floats]:
        """Mean width and height of a module in pixels, and how far each module lies from an even
        grid, in modules (rows x columns). The even grid is the one that fits all modules best."""
        actual = self.centres()
        rows, columns = self.shift.shape[:2]
        v, u = np.mgrid[:rows, :columns]
        model = np.column_stack([np.ones(u.size), u.ravel(), v.ravel()])
        fitted = least_squares(model, actual.reshape(-1, 2))
        width, height = (float(np.hypot(*axis)) for axis in fitted[1:])
        away = np.hypot(*(actual.reshape(-1, 2) - model @ fitted).T).reshape(rows, columns)
        return width, height, away / ((width + height) / 2)


def least_squares(model: Floats, values: Floats) -> Floats:
    """What `model` is to be multiplied by to come nearest to `values`. By the normal equations: the
    columns are of one size, and NumPy's own would keep other threads' processors busy."""
    square = model.T @ model
    # So little that it changes nothing; where nothing was measured the answer is 0.
    square += np.eye(len(square)) * (1e-9 * len(model))
    found: Floats = np.linalg.solve(square, model.T @ values).astype(np.float64)
    return found


def project(matrix: Floats, u: Floats, v: Floats) -> Floats:
    """Points (u, v) through a perspective."""
    where = np.empty((1, u.size, 2))
    where[0, :, 0], where[0, :, 1] = u.ravel(), v.ravel()
    # OpenCV's, because it lets other threads run meanwhile.
    seen: Floats = cv2.perspectiveTransform(where, matrix).reshape(*u.shape, 2)
    return seen


def look(image: Image, points: Floats) -> Floats:
    """Grey values (0 to 255) at points in pixels, between pixels in proportion; outside the picture
    those of its edge."""
    where = (points - 0.5).astype(np.float32)
    flat = where.reshape(1, -1, 2)
    # OpenCV's pictures have at most 32767 columns.
    width = 16_384
    height = -(-flat.shape[1] // width)
    padded = np.zeros((height * width, 2), np.float32)
    padded[: flat.shape[1]] = flat[0]
    seen = cv2.remap(
        image,
        padded.reshape(height, width, 2) if height > 1 else flat,
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    values: Floats = seen.ravel()[: flat.shape[1]].astype(np.float64)
    return values.reshape(points.shape[:-1])


def fit(image: Image, corners: NDArray[np.float64], shape: tuple[int, int]) -> Grid | None:
    """The grid of a symbol of `shape` (rows, columns) whose corners (top left, top right, bottom
    right, bottom left; pixels) are known about. None if there are too few boundaries to measure."""
    rows, columns = shape
    ideal = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    try:
        matrix = cv2.getPerspectiveTransform(ideal, corners.astype(np.float32))
    except cv2.error:
        return None
    # The fit is done on -1..1: powers of module numbers would spoil its precision.
    spread = float(np.subtract(*np.percentile(image, (98, 2))))
    few = 1 + rows * columns // ENOUGH
    unit = np.array([[columns / 2, 0, columns / 2], [0, rows / 2, rows / 2], [0, 0, 1.0]])
    undo = np.linalg.inv(unit)
    for step in range(ROUNDS):
        across, down = _boundaries(image, matrix, shape, spread, few)
        found = _solve(across, down, shape, few, strict=step > 0)
        if found is None:
            return None
        p, growth = found
        turn = np.array([[1 + p[1], p[2], p[0]], [p[4], 1 + p[5], p[3]], [-p[6], -p[7], 1.0]])
        matrix = matrix @ unit @ turn @ undo
        if not np.isfinite(matrix).all():
            return None
        if np.abs(p).max() < 0.02 / max(shape):
            break
    across, down = _boundaries(image, matrix, shape, spread)
    shift = np.stack(
        [
            _smooth(across, growth[0], shape),
            np.swapaxes(_smooth(down, growth[1], (columns, rows)), 0, 1),
        ],
        axis=-1,
    )
    return Grid(matrix, shift, growth)


def reflectances(image: Image, grid: Grid) -> Floats:
    """How bright each module is, 0 to 255: the mean over the aperture. Rows x columns."""
    rows, columns = grid.shift.shape[:2]
    steps = np.linspace(-APERTURE / 2, APERTURE / 2, 7)
    du, dv = (each.ravel() for each in np.meshgrid(steps, steps))
    inside = np.hypot(du, dv) <= APERTURE / 2 + 1e-9
    v, u = np.mgrid[:rows, :columns] + 0.5
    u = (u + grid.shift[..., 0])[..., None] + du[inside]
    v = (v + grid.shift[..., 1])[..., None] + dv[inside]
    mean: Floats = look(image, grid.pixels(u, v)).mean(axis=-1)
    return mean


@dataclass(frozen=True, slots=True, eq=False)
class _Boundaries:
    """Boundaries between neighbours in one direction, lines x (neighbours - 1): how far each lies
    beside its place in modules, 1 where it goes from dark to light, -1 the other way, 0: none."""

    beside: Floats
    rises: Floats


def _boundaries(
    image: Image, matrix: Floats, shape: tuple[int, int], spread: float, every: int = 1
) -> tuple[_Boundaries, _Boundaries]:
    """Those across (between columns; rows x columns - 1) and down (columns x rows - 1), of `every`
    so many rows and columns. `spread` is the picture's contrast in grey values."""
    rows, columns = shape
    found = []
    for lines, many, turned in ((rows, columns, False), (columns, rows, True)):
        along = np.arange(many - 1)[:, None] + 0.5 + np.linspace(0, 1, STEPS)
        line = np.arange(0, lines, every)[:, None] + 0.5 + np.array(BESIDE)
        a = np.broadcast_to(along[None, :, :, None], (len(line), many - 1, STEPS, len(BESIDE)))
        b = np.broadcast_to(line[:, None, None, :], a.shape)
        points = project(matrix, b, a) if turned else project(matrix, a, b)
        profile = look(image, points).mean(axis=-1)
        first = profile[..., :2].mean(axis=-1)
        last = profile[..., -2:].mean(axis=-1)
        rises = np.sign(last - first)
        above = (profile - ((first + last) / 2)[..., None]) * rises[..., None]
        index = np.argmax(above >= 0, axis=-1)
        real = (np.abs(last - first) >= LEAST * spread) & (index > 0) & (spread > 0)
        index = np.maximum(index, 1)
        low = np.take_along_axis(above, index[..., None] - 1, -1)[..., 0]
        high = np.take_along_axis(above, index[..., None], -1)[..., 0]
        step = np.divide(-low, high - low, out=np.zeros_like(low), where=high > low)
        beside = (index - 1 + step) / (STEPS - 1) - 0.5
        found.append(_Boundaries(beside, np.where(real, rises, 0.0)))
    return found[0], found[1]


def _solve(
    across: _Boundaries, down: _Boundaries, shape: tuple[int, int], every: int, *, strict: bool
) -> tuple[Floats, tuple[float, float]] | None:
    """The change of the perspective (in -1..1) and the growth that explain the boundaries best.
    `strict` leaves out what lies far beside the rest: a spot, a missing module."""
    rows, columns = shape
    row, column = np.nonzero(across.rises)
    u, v = 2 * (column + 1) / columns - 1, 2 * (row * every + 0.5) / rows - 1
    none, one = np.zeros_like(u), np.ones_like(u)
    sign = across.rises[row, column]
    left = [one, u, v, none, none, none, u * u, u * v, sign * (1 / columns), none]
    beside = across.beside[row, column] * (2 / columns)
    column, row = np.nonzero(down.rises)
    u, v = 2 * (column * every + 0.5) / columns - 1, 2 * (row + 1) / rows - 1
    none, one = np.zeros_like(u), np.ones_like(u)
    sign = down.rises[column, row]
    right = [none, none, none, one, u, v, u * v, v * v, none, sign * (1 / rows)]
    beside = np.concatenate([beside, down.beside[column, row] * (2 / rows)])
    if beside.size < FEWEST:
        return None
    model = np.column_stack([np.concatenate(pair) for pair in zip(left, right, strict=True)])
    solved = least_squares(model, beside)
    if strict:
        away = np.abs(beside - model @ solved)
        keep = away <= max(4 * float(np.median(away)), 0.1 / max(shape))
        solved = least_squares(model[keep], beside[keep])
    return solved[:8], (float(solved[8]), float(solved[9]))


def _smooth(boundaries: _Boundaries, growth: float, shape: tuple[int, int]) -> Floats:
    """What each module lies beside the perspective, in modules: the mean of the boundaries about
    it, of both kinds alike, so that growth is not taken for a shift."""
    lines, many = shape
    total = np.zeros((lines, many))
    weight = np.zeros((lines, many))
    real = (boundaries.rises != 0) & (np.abs(boundaries.beside) < 0.4)
    beside = np.where(real, boundaries.beside - boundaries.rises * growth / 2, 0.0)
    for side in (np.s_[:, :-1], np.s_[:, 1:]):
        total[side] += beside
        weight[side] += real
    total, weight = (
        cv2.boxFilter(each, -1, (AROUND, AROUND), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for each in (total, weight)
    )
    mean: Floats = np.divide(total, weight, out=np.zeros_like(total), where=weight >= AROUND)
    return mean
