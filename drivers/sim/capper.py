"""A capper with several heads: each head takes the next cap of the chute for its bottle."""

from drivers.sim.belt import Outcome, Point
from drivers.sim.floor import Floor, spoil
from drivers.sim.layout import Capper
from drivers.sim.truth import Item, Mark


class CapperStation(Point):
    """Bottle n meets head n mod `heads`.

    A head that drops its cap takes the next one. A head that skips its bottle keeps its cap and
    gives it to the bottle that meets it one turn later. Either way the caps come in another order
    than a camera before the capper read them.
    """

    def __init__(self, spec: Capper, floor: Floor) -> None:
        self._floor = floor
        self._role = spec.role
        self._supply = floor.supplies[spec.supply]
        # Without a camera before it nobody fills the chute: the caps come straight from the bag.
        self._chute = any(
            seen.of == "cap" and seen.role == spec.role
            for view in floor.layout.cameras().values()
            for seen in view.see
        )
        self._dropped = floor.trouble("cap_dropped")
        self._skipped = floor.trouble("cap_skipped")
        self._heads: list[Mark | None] = [None] * spec.heads
        self._turn = 0

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        floor, serial = self._floor, item.serial
        if item in floor.uncapped:
            floor.uncapped.remove(item)
        head = self._turn
        self._turn = (head + 1) % len(self._heads)
        cap, self._heads[head] = self._heads[head] or self._take(item), None
        if cap is not None and self._skipped.hits(serial):
            floor.spoiled(item, "cap_skipped", now)
            self._heads[head] = cap
            return Outcome.STAYS
        if cap is not None and self._dropped.hits(serial):
            floor.truth.happened("cap_dropped", now, item)
            cap = self._take(item)
        if cap is None:
            spoil(item, "uncoded")
            return Outcome.STAYS
        item.marks[self._role] = cap
        if not cap.readable:
            floor.spoiled(item, "unreadable", now)
        return Outcome.STAYS

    def _take(self, item: Item) -> Mark | None:
        """The next cap of the chute, or of the bag."""
        if self._chute and self._floor.caps:
            return self._floor.caps.popleft()
        text = next(self._supply, None)
        return None if text is None else Mark(text, not self._floor.damaged(item, self._role))
