"""A region that follows the symbol within a bound: the bottle that stands a little off is read, the
neighbour's symbol never.

The station's `region` is where the symbol belongs, `track` how far its middle may be off, as a
share of the frame. First a close look where the last ones were, which costs less than the whole
region; then everything within reach. The bound is fixed: however often the symbol drifts, what lies
beyond it is not ours.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import hypot
from statistics import median

from agent.ports.reading import Decoded, Image, Read
from agent.vision.cascade import attempt_one, decode, is_picture
from agent.vision.formats import doubtful
from agent.vision.second import SecondOpinion
from agent.vision.settings import Box, DecodeSettings

MOST_TRACK = 0.15
"""How far a bottle may be off, as a share of the frame, where no neighbour is near."""
FOLLOW = 0.2
"""Share of the way that the close look goes towards each new symbol."""
_ROOM = 1.5
"""Edge of the close look, in edges of the upright box about the last symbols."""
_QUIET = 1.4
"""Edge of a region that was found, in edges of the largest symbol: its quiet zone is in it."""
_CUTS = 2
"""Neighbours that are cut off one frame before it is given up."""

_LEAST = 8
"""Edge (px) below which a rest of the region is not worth a look."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Middle and upright size of the symbols seen last (px)."""

    middle: Point
    size: Point


class Track:
    """What one station remembers from picture to picture. Safe to use from several threads: it is
    swapped as a whole, and a lost update is a look that is a little less close."""

    def __init__(self) -> None:
        self._seen: _Seen | None = None

    def decode(
        self,
        image: Image,
        settings: DecodeSettings,
        deadline: float,
        expected: Collection[str] = (),
        second: SecondOpinion | None = None,
    ) -> Decoded:
        """As cascade.decode, within the bound. A symbol whose middle is beyond it is not given."""
        if settings.region is None or not settings.track or not is_picture(image):
            return decode(image, settings, deadline, expected, second)
        start = time.monotonic()
        height, width = image.shape
        home = settings.box(width, height)
        reach = (settings.track * width, settings.track * height)

        def ours(read: Read) -> bool:
            x, y = middle_of(read)
            off = (abs(x - home[0] - home[2] / 2), abs(y - home[1] - home[3] / 2))
            return bool(off[0] <= reach[0] + 1 and off[1] <= reach[1] + 1)

        near = self._near(home, reach, (width, height))
        first = settings.plan[0]
        if near is not None and first.name == "fast" and start < deadline:
            x, y, w, h = near
            close = attempt_one(image[y : y + h, x : x + w], settings.symbology, first, (x, y))
            took = time.monotonic() - start
            sure = close is not None and not doubtful(settings.symbology, close.text)
            if close is not None and sure and ours(close) and start + took <= deadline:
                self._follow(close, home, reach)
                return Decoded((close,), took, tried=(("fast", took),))

        def again(box: Box) -> Decoded:
            return decode(image, replace(settings, region=box), deadline, expected, second)

        found = _within_reach(again, _whole(home, reach, (width, height)), ours)
        if found.reads:
            self._follow(found.reads[0], home, reach)
        return replace(found, seconds=time.monotonic() - start)

    def _near(self, home: Box, reach: Point, frame: tuple[int, int]) -> Box | None:
        seen = self._seen
        if seen is None:
            return None
        w, h = seen.size[0] * _ROOM, seen.size[1] * _ROOM
        box = (round(seen.middle[0] - w / 2), round(seen.middle[1] - h / 2), round(w), round(h))
        return _clip(box, _whole(home, reach, frame))

    def _follow(self, read: Read, home: Box, reach: Point) -> None:
        x, y = middle_of(read)
        size = (float(_span(read, 0)), float(_span(read, 1)))
        was = self._seen
        if was is not None:
            x = was.middle[0] + FOLLOW * (x - was.middle[0])
            y = was.middle[1] + FOLLOW * (y - was.middle[1])
            # The largest of late, forgotten slowly: a turned symbol has a larger box.
            size = (max(size[0], 0.98 * was.size[0]), max(size[1], 0.98 * was.size[1]))
        self._seen = _Seen((x, y), (min(size[0], home[2] * 2.0), min(size[1], home[3] * 2.0)))


def _within_reach(
    again: Callable[[Box], Decoded], box: Box, ours: Callable[[Read], bool]
) -> Decoded:
    """Our symbol in `box`. Where a neighbour's is read first, its side is cut off, and again."""
    found = again(box)
    for _ in range(_CUTS):
        if not found.reads or ours(found.reads[0]):
            return found
        cut = _cut(box, found.reads[0])
        if cut is None:
            break
        box = cut
        found = again(box)
    if found.reads and not ours(found.reads[0]):
        return replace(found, reads=())
    return found


def _cut(box: Box, read: Read) -> Box | None:
    """The box without the side on which a neighbour's symbol lies; None when little is left."""
    xs, ys = zip(*read.corners, strict=True)
    x, y, w, h = box
    sides = (
        (x, y, min(xs) - x, h),
        (max(xs), y, x + w - max(xs), h),
        (x, y, w, min(ys) - y),
        (x, max(ys), w, y + h - max(ys)),
    )
    left = [side for side in sides if side[2] >= _LEAST and side[3] >= _LEAST]
    return max(left, key=lambda side: side[2] * side[3], default=None)


def _whole(home: Box, reach: Point, frame: tuple[int, int]) -> Box:
    """Everything in which a symbol whose middle is within reach can lie."""
    x, y, w, h = home
    box = (
        round(x - reach[0]),
        round(y - reach[1]),
        round(w + 2 * reach[0]),
        round(h + 2 * reach[1]),
    )
    return _clip(box, (0, 0, *frame))


def _clip(box: Box, bounds: Box) -> Box:
    x, y, w, h = box
    bx, by, bw, bh = bounds
    left, top = min(max(x, bx), bx + bw - 1), min(max(y, by), by + bh - 1)
    return left, top, max(1, min(x + w, bx + bw) - left), max(1, min(y + h, by + bh) - top)


def middle_of(read: Read) -> Point:
    """The middle of a symbol's corners."""
    xs, ys = zip(*read.corners, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def find_region(
    reads: list[Read], frame: tuple[int, int], others: list[Read]
) -> tuple[Box, float] | None:
    """Region and track from the symbols of commissioning (one per picture) in frames of this width
    and height; `others` were seen beside them. The region is a quiet zone larger than the largest
    symbol, about the median of their middles; the track is 0.15 of the frame, less where a
    neighbour is nearer than twice that. None for fewer than three reads."""
    if len(reads) < 3:
        return None
    width, height = frame
    x, y = (median(middle_of(read)[axis] for read in reads) for axis in (0, 1))
    w, h = (_QUIET * max(_span(read, axis) for read in reads) for axis in (0, 1))
    track = MOST_TRACK
    for other in others:
        ox, oy = middle_of(other)
        if hypot(ox - x, oy - y) > max(w, h) / 4:
            # Half way to the neighbour, in the direction in which it is farther in shares.
            track = min(track, max(abs(ox - x) / width, abs(oy - y) / height) / 2)
    left, top = max(0, round(x - w / 2)), max(0, round(y - h / 2))
    box = (left, top, min(width - left, round(w)), min(height - top, round(h)))
    return box, round(track, 3)


def _span(read: Read, axis: int) -> int:
    values = [corner[axis] for corner in read.corners]
    return max(values) - min(values)
