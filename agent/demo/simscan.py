"""The person with the hand scanner in virtual time: scans a container when the panel asks, and
those among which a slip began, by halves."""

from collections.abc import Callable

from agent.core import anchors
from agent.core import inputs as i
from agent.core.state import LineState
from agent.line.asking import WANTED
from drivers.sim.truth import Item, Truth

LOOKS = 2
"""Looks at the panel between the alarm and the scan: a container of what came after it is taken."""
BY = "demo"


class Hand:
    """Scans the closed container of the packer that asks which tells most, as far as its codes can
    be read. `canonical` makes the text of a code of what the scanner reads, `code` says the code of
    a unit as the panel shows it."""

    def __init__(
        self,
        truth: Truth,
        canonical: Callable[[str], str],
        code: Callable[[int], str | None],
    ) -> None:
        self._truth = truth
        self._canonical = canonical
        self._code = code
        self._since: dict[str, int] = {}
        self._scanned: set[int] = set()

    def look(self, state: LineState) -> list[i.Input]:
        """What the person scans now."""
        self._since = {station: self._since.get(station, 0) + 1 for station in self.asked(state)}
        found: list[i.Input] = []
        for station, looks in sorted(self._since.items()):
            if looks > LOOKS:
                asked = station in self._asking(state)
                scan = self._scan(anchors.best(state.packing[station], asked=asked))
                found += [scan] if scan is not None else []
        return found

    def asked(self, state: LineState) -> set[str]:
        """The packers of which the panel asks for a container, or lists some to scan."""
        return self._asking(state) | self._named(state, asked=False)

    def wanted(self, state: LineState) -> set[str]:
        """Those of which there is one to be scanned now."""
        return {
            station
            for asked in (True, False)
            for station in self._named(state, asked=asked)
            if not asked or station in self._asking(state)
        }

    def _named(self, state: LineState, *, asked: bool) -> set[str]:
        return {
            station
            for station, packing in state.packing.items()
            if not self._scanned.issuperset(anchors.best(packing, asked=asked))
        }

    @staticmethod
    def _asking(state: LineState) -> set[str]:
        return {
            alarm.station
            for alarm in state.alarms.values()
            if alarm.key in WANTED and alarm.station in state.packing
        }

    def _scan(self, wanted: list[int]) -> i.HandScanned | None:
        """The first of these that is not scanned yet, and can be."""
        for unit in wanted:
            if unit in self._scanned:
                continue
            self._scanned.add(unit)
            item = self._find(self._code(unit))
            if item is not None and not item.open and not item.rejected:
                texts, complete = self._texts(item)
                if len(texts) > 1 or not item.children:
                    return i.HandScanned(texts, complete, BY, empty=not item.children)
        return None

    def _find(self, code: str | None) -> Item | None:
        """The container that shows this code."""
        return next(
            (
                item
                for things in self._truth.levels[1:]
                for item in reversed(things)
                if code is not None and self._truth.code(item, self._canonical) == code
            ),
            None,
        )

    def _texts(self, item: Item) -> tuple[tuple[str, ...], bool]:
        """What can be read of it, and whether that is all."""
        codes = [self._truth.code(each, self._canonical) for each in (item, *item.children)]
        texts = tuple(code for code in codes if code is not None)
        return texts, len(texts) == len(codes)
