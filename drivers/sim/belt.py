"""A conveyor: how far it has travelled, and which item reaches which station next.

Items lie still on the belt, so the next arrival is known in mm of travel, whatever the belt does
until then: a stop only moves the time at which it happens.
"""

from collections.abc import Sequence
from enum import IntEnum
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Protocol

from drivers.sim.truth import Item


class Outcome(IntEnum):
    """What a station did with the item that reached it."""

    STAYS = 0
    GONE = 1  # off this belt
    WAIT = 2  # the belt must stand until it can be done


class Point(Protocol):
    """Something at a place of the belt that acts on every item that reaches it."""

    def act(self, item: Item, now: float, travel: float) -> Outcome: ...


RETRY = 0.02  # s between two looks at what a standing belt waits for


class Belt:
    """`due` is when its next arrival happens (inf: never, as things stand)."""

    __slots__ = (
        "_heap",
        "_last",
        "_order",
        "_pitch",
        "_points",
        "_since",
        "_travel",
        "_v",
        "due",
        "level",
        "speed",
    )

    def __init__(self, level: str, speed: float, pitch: float) -> None:
        self.level = level
        self.speed = speed
        self.due = inf
        self._pitch = pitch
        self._points: Sequence[tuple[float, Point]] = ()
        self._heap: list[tuple[float, int, Item]] = []
        self._order = 0
        self._last = -inf
        self._travel = 0.0
        self._since = 0.0
        self._v = 0.0

    def build(self, points: Sequence[tuple[float, Point]]) -> None:
        """Set the stations: (place in mm, what acts there), by place; the last takes the item."""
        self._points = points

    def __len__(self) -> int:
        return len(self._heap)

    def items(self) -> list[Item]:
        """What lies on the belt, foremost first."""
        return [entry[2] for entry in sorted(self._heap, key=lambda entry: entry[2].origin)]

    def travel(self, now: float) -> float:
        """mm the belt has run until `now`."""
        return self._travel + (now - self._since) * self._v

    def run(self, now: float) -> None:
        if self._v == 0.0:
            self._since = now
            self._v = self.speed
            self._schedule()

    def stop(self, now: float) -> None:
        if self._v:
            self._travel = self.travel(now)
            self._since = now
            self._v = 0.0
            self.due = inf

    def time_of(self, travel: float) -> float:
        """When the belt will have run that far, if nothing stops it; inf while it stands."""
        return self._since + (travel - self._travel) / self._v if self._v else inf

    def put(self, item: Item, now: float) -> None:
        """Lay an item on the head of the belt, a pitch behind the one before at least."""
        item.origin = max(self.travel(now), self._last + self._pitch)
        item.at = 0
        self._last = item.origin
        self._order += 1
        heappush(self._heap, (item.origin + self._points[0][0], self._order, item))
        if self._v:
            self._schedule()

    def step(self) -> None:
        """Let the arrival that is due happen."""
        now = self.due
        heap = self._heap
        travel, order, item = heap[0]
        if not self._v:  # it stood and waited: is it there now?
            self._since = now
        outcome = self._points[item.at][1].act(item, now, travel)
        if outcome is Outcome.WAIT:
            if self._v:
                self._travel = travel
                self._v = 0.0
            self._since = now
            self.due = now + RETRY
            return
        if outcome is Outcome.STAYS:
            item.at += 1
            heapreplace(heap, (item.origin + self._points[item.at][0], order, item))
        else:
            heappop(heap)
        self._v = self.speed
        self._schedule()

    def _schedule(self) -> None:
        heap = self._heap
        self.due = self._since + (heap[0][0] - self._travel) / self._v if heap else inf
