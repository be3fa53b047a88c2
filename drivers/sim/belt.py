"""A conveyor: how far it has travelled, and which item reaches which station next.

Items lie still on the belt, so the next arrival is known in mm of travel, whatever the belt does
until then: a stop only moves the time at which it happens. The PLC's shift register lies on the
same belt: an item carries its window with it, and a window without an item rides alone.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import Protocol

from drivers.sim.plcmodel import Numbers
from drivers.sim.truth import UNKNOWN, Item

WINDOW = 0.35
"""Half the width of an item's window in the PLC, in pitches."""
ROOM = 0.9
"""The least gap between two items, in pitches, into which a hand can put one."""


class Outcome(IntEnum):
    """What a station did with the item that reached it."""

    STAYS = 0
    GONE = 1  # off this belt
    WAIT = 2  # the belt must stand until it can be done


class Point:
    """Something at a place of the belt that acts on every item that reaches it."""

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        """An item is here."""
        raise NotImplementedError

    def empty(self, window: Item, now: float, travel: float) -> None:
        """A window of the PLC is here, and nothing lies in it."""


class Laid(Protocol):
    """Who wants to know that an item was laid on the head of the belt."""

    def __call__(self, belt: "Belt", item: Item, now: float) -> None: ...


Accident = Callable[[float, float], None]
"""Something that happens at a time and a travel of its belt."""

NEAR = 1e-6  # mm
RETRY = 0.02  # s between two looks at what a standing belt waits for


class Belt:
    """`due` is when its next arrival happens (inf: never, as things stand)."""

    __slots__ = (
        "_accidents",
        "_ghosts",
        "_halted",
        "_heap",
        "_last",
        "_order",
        "_points",
        "_since",
        "_travel",
        "_v",
        "due",
        "forgot",
        "index",
        "laid",
        "length",
        "level",
        "numbers",
        "pitch",
        "speed",
    )

    def __init__(
        self, level: str, speed: float, pitch: float, length: float, index: int, numbers: Numbers
    ) -> None:
        self.level = level
        self.index = index
        self.speed = speed
        self.due = inf
        self.forgot = -inf  # the travel at which the PLC lost its memory
        self.pitch = pitch
        self.length = length
        self.numbers = numbers
        self.laid: Laid | None = None
        self._points: Sequence[tuple[float, Point]] = ()
        self._heap: list[tuple[float, int, Item]] = []
        self._accidents: list[tuple[float, int, Accident]] = []
        self._order = 0
        self._ghosts = 0  # windows with nothing in them
        self._last = -inf
        self._travel = 0.0
        self._since = 0.0
        self._v = 0.0
        self._halted = True  # stopped from outside; a belt that waits for a station is not

    def build(self, points: Sequence[tuple[float, Point]]) -> None:
        """Set the stations: (place in mm, what acts there), by place; the last takes the item."""
        self._points = points

    def __len__(self) -> int:
        return len(self._heap)

    def items(self) -> list[Item]:
        """What lies on the belt, foremost first."""
        entries = sorted(self._heap, key=lambda entry: entry[2].origin)
        return [entry[2] for entry in entries if not entry[2].ghost]

    def travel(self, now: float) -> float:
        """mm the belt has run until `now`."""
        return self._travel + (now - self._since) * self._v

    def run(self, now: float) -> None:
        if self._halted:
            self._halted = False
            self._since = now
            self._v = self.speed
            self._schedule()

    def stop(self, now: float) -> None:
        if self._v:
            self._travel = self.travel(now)
            self._v = 0.0
        self._halted = True
        self._since = now
        self.due = inf

    def time_of(self, travel: float) -> float:
        """When the belt will have run that far, if nothing stops it; inf while it stands."""
        return self._since + (travel - self._travel) / self._v if self._v else inf

    def put(self, item: Item, now: float) -> None:
        """Lay an item on the head of the belt, a pitch behind the one before at least."""
        item.origin = max(self.travel(now), self._last + self.pitch)
        item.at = 0
        self._last = item.origin
        self._push(item)
        if self.laid is not None:
            self.laid(self, item, now)
        if self._v:
            self._schedule()

    # ------------------------------------------------------------------- what is not in the plan

    def happen(self, travel: float, what: Accident) -> None:
        """Let something happen when the belt has run that far."""
        self._order += 1
        heappush(self._accidents, (travel, self._order, what))
        if self._v:
            self._schedule()

    def insert(self, item: Item, origin: float, now: float) -> None:
        """Put an item on the belt where it would be had it been laid on its head at `origin`."""
        item.origin = origin
        # What stands right before a station, when something else stops the belt, is still to come.
        reached = self.travel(now) - origin - NEAR
        item.at = 0
        while item.at < len(self._points) - 1 and self._points[item.at][0] < reached:
            item.at += 1
        self._push(item)
        if self._v:
            self._schedule()

    def remove(self, item: Item) -> None:
        """Take an item or a window off the belt."""
        self._heap = [entry for entry in self._heap if entry[2] is not item]
        heapify(self._heap)
        if self._v:
            self._schedule()

    def lift(self, item: Item, now: float) -> None:
        """Take an item off the belt; the PLC's window for it rides on alone."""
        self.remove(item)
        if item.number != UNKNOWN:
            self.ghost(item.number, item.seen_at, item.origin, now)
            item.number = item.seen_at = UNKNOWN

    def lay(self, item: Item, origin: float, now: float) -> None:
        """Put a lifted item back; it gets the number of the empty window that it lies in."""
        item.number = item.seen_at = UNKNOWN
        self.insert(item, origin, now)
        self._fill(item)

    def _fill(self, item: Item) -> None:
        # A window that is before or behind another station than its item ends there without it.
        window = self._window(item)
        if window is not None and window.at == item.at:
            self.adopt(item)

    def _window(self, item: Item) -> Item | None:
        if not self._ghosts:
            return None
        half = WINDOW * self.pitch
        near = [
            other
            for _, _, other in self._heap
            if other.ghost and abs(other.origin - item.origin) <= half
        ]
        return min(near, key=lambda other: abs(other.origin - item.origin), default=None)

    def adopt(self, item: Item) -> None:
        """An item without a number gets that of the empty window in which it is, if in any."""
        window = self._window(item)
        if window is not None:
            item.number, item.seen_at = window.number, window.seen_at
            self._ghosts -= 1
            self.remove(window)

    def slip(self, mm: float, now: float) -> None:
        """Everything on the belt lags behind by so much while the belt, and with it the PLC's
        windows, has gone on."""
        items = self.items()
        passed = [item.at for item in items]
        for item in items:
            self.lift(item, now)
        for item, at in zip(items, passed, strict=True):
            self.insert(item, item.origin + mm, now)
            if item.at < at:  # it stood still, it did not go back
                self.remove(item)
                item.at = at
                self._push(item)
        for item in items:
            self._fill(item)
        if self._v:
            self._schedule()

    def forget(self, now: float) -> None:
        """The PLC lost its memory: no window is left, and numbers begin anew."""
        self.forgot = self.travel(now)
        self._ghosts = 0
        self._heap = [entry for entry in self._heap if not entry[2].ghost]
        heapify(self._heap)
        for _, _, item in self._heap:
            item.number = item.seen_at = UNKNOWN
        self.numbers.restart()

    def ghost(self, number: int, seen_at: int, origin: float, now: float) -> None:
        """A window of the PLC with nothing in it."""
        window = Item(0, self.index, number)
        window.ghost = True
        self._ghosts += 1
        window.seen_at = seen_at
        self.insert(window, origin, now)

    def before(self, item: Item) -> Item | None:
        """The next item downstream on this belt."""
        ahead = [other for other in self.items() if other.origin < item.origin]
        return ahead[-1] if ahead else None

    def behind(self, origin: float) -> Item | None:
        """The next item upstream of that place on this belt."""
        return next((other for other in self.items() if other.origin > origin), None)

    def gap(self, origin: float, reach: float) -> float | None:
        """The middle of the nearest gap into which a hand can put one item; None when there is
        none within `reach` mm."""
        places = [item.origin for item in self.items()]
        need, middles = ROOM * self.pitch, []
        for front, back in zip([-inf, *places], [*places, inf], strict=True):
            if back - front >= need:
                low, high = front + need / 2, back - need / 2
                middles.append(min(max(origin, low), high))
        best = min(middles, key=lambda place: abs(place - origin), default=None)
        return best if best is not None and abs(best - origin) <= reach else None

    # ----------------------------------------------------------------------------------- running

    def step(self) -> None:
        """Let what is due happen."""
        now = self.due
        heap, accidents = self._heap, self._accidents
        if accidents and self._v and (not heap or accidents[0][0] <= heap[0][0]):
            travel, _, what = heappop(accidents)
            what(now, travel)
            self._schedule()
            return
        travel, order, item = heap[0]
        if not self._v:  # it stood and waited: is it there now?
            self._since = now
        point = self._points[item.at][1]
        if item.ghost:
            point.empty(item, now, travel)
            last = item.at == len(self._points) - 1
            outcome = Outcome.GONE if last else Outcome.STAYS
            self._ghosts -= last
        else:
            outcome = point.act(item, now, travel)
        if outcome is Outcome.WAIT:
            if self._v:
                self._travel = travel
                self._v = 0.0
            self._since = now
            self.due = now + RETRY
            return
        if heap is not self._heap or heap[0][2] is not item:
            self._moved(item, outcome)
        elif outcome is Outcome.STAYS:
            item.at += 1
            heapreplace(heap, (item.origin + self._points[item.at][0], order, item))
        else:
            heappop(heap)
        if not self._halted:
            self._v = self.speed
            self._schedule()

    def _moved(self, item: Item, outcome: Outcome) -> None:
        """The station also took or laid other things: the item is somewhere in the heap now."""
        self._heap = [entry for entry in self._heap if entry[2] is not item]
        heapify(self._heap)
        if outcome is Outcome.STAYS:
            item.at += 1
            self._push(item)

    def _push(self, item: Item) -> None:
        self._order += 1
        heappush(self._heap, (item.origin + self._points[item.at][0], self._order, item))

    def _schedule(self) -> None:
        if not self._v:
            return
        due = self._heap[0][0] if self._heap else inf
        if self._accidents and self._accidents[0][0] < due:
            due = self._accidents[0][0]
        self.due = self._since + (due - self._travel) / self._v
