"""Where the cells of an open case are, learnt at commissioning from the symbols of full cases."""

from collections.abc import Sequence

import numpy as np

from agent.vision.pose import MOST_SHIFT, MOST_TURN, Points, fit, spacing
from agent.vision.settings import Box

_ROOM = 0.5
"""Of a cell: what the region has beyond the cells on each side, for a case that stands askew."""

Cell = tuple[float, float, float, float]


def learn_cells(
    seen: Sequence[Points], grid: tuple[int, int], frame: tuple[int, int]
) -> tuple[Box, tuple[Cell, ...]] | None:
    """Region (px) and cells (fractions of it, row by row) from the middles of the symbols of some
    frames (each n x 2, px); `grid` is rows, columns, `frame` width, height.

    None when no frame shows exactly one symbol per cell. The first such frame gives the order; the
    others, laid upon it, the middles.
    """
    rows, columns = grid
    full = next((points for points in seen if len(points) == rows * columns), None)
    if full is None or rows * columns < 2:
        return None
    places = _in_order(full, columns)
    wide, high = _sizes(places, rows, columns)
    boxes = [_about(place, wide, high) for place in places]
    heaps: list[list[Points]] = [[place] for place in places]
    for points in seen:
        pose = fit(points, boxes)
        if pose is None:
            continue
        stood = pose.put(places)
        for point in points:
            far = np.linalg.norm(stood - point, axis=1)
            nearest = int(far.argmin())
            if far[nearest] < MOST_SHIFT * min(wide, high):
                heaps[nearest].append(places[nearest] + point - stood[nearest])
    middles = np.array([np.median(np.array(heap), axis=0) for heap in heaps])
    return _within(middles, wide, high, frame)


def _in_order(points: Points, columns: int) -> Points:
    """Row by row, the picture's upper left first, whatever the case's turn."""
    turn = _turn(points)
    c, s = np.cos(turn), np.sin(turn)
    upright = points @ np.array([[c, -s], [s, c]])
    by_height = np.argsort(upright[:, 1], kind="stable").reshape(-1, columns)
    order = [row[np.argsort(upright[row, 0], kind="stable")] for row in by_height]
    return points[np.concatenate(order)]


def _turn(points: Points) -> float:
    """The turn (radians) of the rows: the direction, near level, in which most neighbours lie."""
    pitch = spacing(points)
    most = np.radians(MOST_TURN)
    steps = (points[:, None] - points[None]).reshape(-1, 2)
    far = np.linalg.norm(steps, axis=1)
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    near = (far > 0) & (far < 1.6 * pitch) & (np.abs(angle) <= most)
    return float(np.median(angle[near])) if near.any() else 0.0


def _sizes(places: Points, rows: int, columns: int) -> tuple[float, float]:
    """Width and height of a cell: the steps along and across the rows."""
    board = places.reshape(rows, columns, 2)
    along = np.linalg.norm(np.diff(board, axis=1), axis=2)
    across = np.linalg.norm(np.diff(board, axis=0), axis=2)
    wide = float(np.median(along)) if along.size else float(np.median(across))
    high = float(np.median(across)) if across.size else wide
    return wide, high


def _about(place: Points, wide: float, high: float) -> Box:
    x, y = place
    return round(x - wide / 2), round(y - high / 2), round(wide), round(high)


def _within(
    middles: Points, wide: float, high: float, frame: tuple[int, int]
) -> tuple[Box, tuple[Cell, ...]]:
    width, height = frame
    edge = np.array([wide, high]) * (0.5 + _ROOM)
    left, top = np.maximum(0, np.floor(middles.min(axis=0) - edge)).astype(int)
    right, bottom = np.minimum((width, height), np.ceil(middles.max(axis=0) + edge).astype(int))
    w, h = int(right - left), int(bottom - top)
    cells = []
    for x, y in middles:
        x0, x1 = np.clip([x - left - wide / 2, x - left + wide / 2], 0, w) / w
        y0, y1 = np.clip([y - top - high / 2, y - top + high / 2], 0, h) / h
        cells.append(
            (
                round(float(x0), 4),
                round(float(y0), 4),
                round(float(x1 - x0) - 5e-5, 4),
                round(float(y1 - y0) - 5e-5, 4),
            )
        )
    return (int(left), int(top), w, h), tuple(cells)
