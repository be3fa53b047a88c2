"""The person with the hand scanner in virtual time: scans a container when the panel asks."""

from collections.abc import Callable

from agent.core import inputs as i
from agent.core.plan import LinePlan
from agent.core.state import LineState
from drivers.sim.truth import Item, Truth

ASKING = ("order_doubtful", "anchor_wanted")
LOOKS = 2
"""Looks at the panel between the alarm and the scan: a container of what came after it is taken."""
BY = "demo"


class Hand:
    """Scans the newest closed container of the packer that asks; one of which a code cannot be read
    is passed over. `canonical` makes the text of a code of what the scanner reads."""

    def __init__(self, plan: LinePlan, truth: Truth, canonical: Callable[[str], str]) -> None:
        self._plan = plan
        self._truth = truth
        self._canonical = canonical
        self._since: dict[str, int] = {}
        self._scanned: set[int] = set()

    def look(self, state: LineState) -> list[i.Input]:
        """What the person scans now."""
        asking = {a.station for a in state.alarms.values() if a.key in ASKING and a.station}
        self._since = {station: self._since.get(station, 0) + 1 for station in asking}
        found: list[i.Input] = []
        for station, looks in sorted(self._since.items()):
            scan = self._scan(station) if looks > LOOKS else None
            if scan is not None:
                found.append(scan)
        return found

    def _scan(self, station: str) -> i.HandScanned | None:
        level = self._plan.by_id[station].level
        for things in self._truth.levels[1:]:
            if not things or self._truth.name(things[0]) != level:
                continue
            for item in reversed(things):
                texts = None if item.open or item.rejected else self._texts(item)
                if texts is None or id(item) in self._scanned:
                    continue
                self._scanned.add(id(item))
                return i.HandScanned(texts, True, BY)
        return None

    def _texts(self, item: Item) -> tuple[str, ...] | None:
        codes = [self._truth.code(each, self._canonical) for each in (item, *item.children)]
        texts = [code for code in codes if code is not None]
        return tuple(texts) if len(texts) == len(codes) else None
