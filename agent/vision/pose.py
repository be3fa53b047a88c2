"""Where an open case stands in this frame: shift, turn and size against where it stood when its
cells were learnt, from the middles of the symbols that were read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.vision.settings import Box

Points = NDArray[np.float64]
"""n x 2: x, y in px."""

MOST_TURN = 15.0
"""Degrees. A case that stands more askew than this is not measured: its frame fails."""
MOST_SHIFT = 0.5
"""Of the distance between two cells, each way: beyond it a cell may as well be its neighbour."""
_SIZES = (0.92, 1.08)
_FITS = 0.25
"""Of the distance between two cells: a child that stands this far off its place still fits it."""
_STARTS = (0.0, 4.0, -4.0, 8.0, -8.0, 12.0, -12.0)
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Pose:
    """Turns and scales about `pivot`, then shifts (px of the full frame)."""

    pivot: tuple[float, float]
    turn: float = 0.0
    size: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def put(self, points: Points) -> Points:
        """Where these places of the learnt case are in this frame."""
        a = np.radians(self.turn)
        turning = self.size * np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        pivot = np.array(self.pivot)
        moved: Points = (points - pivot) @ turning + pivot + np.array(self.shift)
        return moved

    def boxes(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """The cells of this frame: upright boxes of the same size about the moved middles."""
        middles = self.put(middles_of(boxes))
        return tuple(
            (round(x - w / 2), round(y - h / 2), w, h)
            for (x, y), (_, _, w, h) in zip(middles, boxes, strict=True)
        )


def middles_of(boxes: Sequence[Box]) -> Points:
    """n x 2."""
    return np.array([(x + w / 2, y + h / 2) for x, y, w, h in boxes], np.float64)


def spacing(middles: Points) -> float:
    """Distance (px) between neighbouring places: the median of each one's nearest; inf for one."""
    if len(middles) < 2:
        return float("inf")
    far = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    np.fill_diagonal(far, np.inf)
    return float(np.median(far.min(axis=1)))


def fit(seen: Points, boxes: Sequence[Box]) -> Pose | None:
    """The pose that puts the cells onto the middles that were `seen` (n x 2, px).

    None with fewer than three, and when no pose within MOST_TURN and MOST_SHIFT explains most of
    them: then the cells stay where they were learnt.
    """
    places = middles_of(boxes)
    pitch = spacing(places)
    if len(seen) < _FEWEST or len(places) < _FEWEST:
        return None
    best: Pose | None = None
    fits = 0
    for start in _STARTS:
        pose = _settle(seen, places, pitch, start)
        if pose is None:
            continue
        near, _ = _nearest(seen, pose.put(places))
        inside = int((near < _FITS * pitch).sum())
        if inside > fits:
            best, fits = pose, inside
        if fits >= 0.9 * len(seen):
            break  # the first start is the likeliest
    return best if fits >= max(_FEWEST, 0.6 * len(seen)) else None


def _settle(seen: Points, places: Points, pitch: float, start: float) -> Pose | None:
    """Match to the nearest and fit again until it stands still; None when it runs away."""
    pivot = (float(places[:, 0].mean()), float(places[:, 1].mean()))
    pose = Pose(pivot, start)
    for _ in range(6):
        near, which = _nearest(seen, pose.put(places))
        good = near < MOST_SHIFT * pitch
        if good.sum() < _FEWEST:
            return None
        was, pose = pose, _similar(places[which[good]], seen[good], pivot)
        if abs(pose.turn) > MOST_TURN or not _SIZES[0] <= pose.size <= _SIZES[1]:
            return None
        if np.abs(pose.shift).max() > MOST_SHIFT * pitch:
            return None
        if abs(was.turn - pose.turn) < 0.01 and np.hypot(*np.subtract(was.shift, pose.shift)) < 0.1:
            break
    return pose


def _nearest(seen: Points, places: Points) -> tuple[Points, NDArray[np.intp]]:
    far = np.linalg.norm(seen[:, None] - places[None], axis=2)
    which = far.argmin(axis=1)
    return far[np.arange(len(seen)), which], which


def _similar(old: Points, new: Points, pivot: tuple[float, float]) -> Pose:
    """The least-squares turn, size and shift (Umeyama 1991, in the plane as complex numbers)."""
    a, b = old - np.array(pivot), new - np.array(pivot)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    p = (a - mean_a) @ np.array([1, 1j])
    q = (b - mean_b) @ np.array([1, 1j])
    weight = float((p.conj() * p).real.sum())
    factor = complex((p.conj() * q).sum() / weight) if weight > 1e-9 else 1 + 0j
    moved = complex(mean_b @ np.array([1, 1j])) - factor * complex(mean_a @ np.array([1, 1j]))
    turn = float(np.degrees(np.angle(factor)))
    return Pose(pivot, turn, abs(factor), (moved.real, moved.imag))
