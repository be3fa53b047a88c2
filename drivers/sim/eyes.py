"""The PLC's photo-eyes: which edges they give, and which item number each edge gets.

As docs/plc.md describes it: the eye at the zone's first station numbers an item; at every later
one an edge belongs to the item in whose encoder window it falls. An edge outside of every window
(put in by hand, seen late, a drop of water) gets the next number of the belt.
"""

from collections.abc import Callable, Mapping

from drivers.sim.belt import Belt
from drivers.sim.troubles import Trouble
from drivers.sim.truth import UNKNOWN, Item, Truth

DOUBLE, EXTRA = 0.4, 0.5  # pitches behind an item at which a second, or a false edge comes

Fire = Callable[[int, Item | None, float, float], object]
"""An edge that no item gave: (number, the item it is the second edge of, time, travel)."""


class PhotoEye:
    """One eye at `place` mm of its belt; `fire` is called for the edges that no item's own are."""

    def __init__(
        self,
        belt: Belt,
        truth: Truth,
        seed: int,
        rates: Mapping[str, float],
        name: str,
        station: int,
        *,
        place: float,
        fire: Fire,
    ) -> None:
        self._belt = belt
        self._truth = truth
        self._name = name
        self._station = station
        self._place = place
        self._fire = fire
        self._lost, self._double, self._extra = (
            Trouble(seed, trouble, rates.get(trouble, 0), name)
            for trouble in ("lost_trigger", "double_trigger", "extra_trigger")
        )

    def sees(self, item: Item, now: float, travel: float) -> bool:
        """An item is in the beam: does it give an edge? Then it has its number."""
        serial = item.serial
        if self._extra.hits(serial):
            self._truth.happened("extra_trigger", now, item, self._name)
            self._later(EXTRA, None, travel)
        if item.number == UNKNOWN and not item.hidden:
            self._belt.adopt(item)
        if item.hidden or (item.seen_at == self._station and item.number != UNKNOWN):
            return False  # the PLC counts one edge in a window
        if self._lost.hits(serial):
            self._truth.happened("lost_trigger", now, item, self._name)
            return False
        if self._double.hits(serial):
            self._truth.happened("double_trigger", now, item, self._name)
            self._later(DOUBLE, item, travel)
        if item.number == UNKNOWN:
            item.number = self._belt.numbers.take()
        item.seen_at = self._station
        return True

    def _later(self, pitches: float, item: Item | None, travel: float) -> None:
        belt = self._belt
        origin = travel + pitches * belt.pitch

        def edge(now: float, here: float) -> None:
            number = belt.numbers.take()
            belt.ghost(number, self._station, origin - self._place, now)
            self._fire(number, item, now, here)

        belt.happen(origin, edge)
