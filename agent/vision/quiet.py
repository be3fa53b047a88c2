"""Whether a bar code that was read ends where the reader says: nothing is printed beyond it."""

import numpy as np
from numpy.typing import NDArray

from agent.ports.reading import Image, Read

_BEYOND = 0.11
"""Share of the symbol's length that is looked at beyond each end: more than its quiet zone may
hold print, less than a character of Interleaved 2 of 5 is missed in noise."""

_STILL = 0.35
"""Edges beyond an end, as a share of those inside, up to which it is quiet."""


def ends(image: Image, read: Read, left: int = 0, top: int = 0) -> bool:
    """Whether both ends of the read's symbol are quiet in `image`, whose corner lies at `left`,
    `top` of the frame. A symbol of half a code has bars beyond one of them."""
    corners = np.array(read.corners, np.float64) - (left, top)
    first, last = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    along = last - first
    length = float(np.hypot(*along))
    if length < 10:
        return False
    count = int(length)
    inside = _edges(image, first, last, count)
    if inside <= 0:
        return False
    few = max(4, int(count * _BEYOND))
    margin = along * 0.015  # the last bar's own edge
    before = _edges(image, first - along * _BEYOND, first - margin, few)
    after = _edges(image, last + margin, last + along * _BEYOND, few)
    return max(before, after) <= _STILL * inside


def _edges(image: Image, start: NDArray[np.float64], end: NDArray[np.float64], count: int) -> float:
    """Mean step of grey from pixel to pixel of a line; what lies outside the picture is as its
    edge."""
    height, width = image.shape
    steps = np.linspace(0.0, 1.0, count)
    xs = np.clip(np.rint(start[0] + (end[0] - start[0]) * steps), 0, width - 1).astype(np.intp)
    ys = np.clip(np.rint(start[1] + (end[1] - start[1]) * steps), 0, height - 1).astype(np.intp)
    return float(np.abs(np.diff(image[ys, xs].astype(np.int16))).mean())
