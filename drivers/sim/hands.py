"""What befalls items on their way along a belt: hands, falls, bottles that touch, other rejectors.

Everything is thrown when an item is laid on the belt and happens when the item reaches a place that
is thrown too. Hands may act on an item while it is on its belt, never inside a closed container.
"""

from collections.abc import Callable

from drivers.sim.belt import Belt
from drivers.sim.floor import Floor, spoil
from drivers.sim.layout import Applicator, Camera, Capper, Coder, Preprinted
from drivers.sim.layout import Belt as BeltSpec
from drivers.sim.troubles import Trouble
from drivers.sim.truth import UNKNOWN, Item
from drivers.sim.world import FOREIGN_REJECT

EDGE = 15.0  # mm from the ends of a belt within which no hand acts
CLOSE = 0.2  # pitches between two items that touch
SEPARATED = 50  # one in so many touching pairs is one at the infeed too: a screw parts the others
REACH = 3.0  # pitches within which items close up
FALL = 0.45  # pitches by which a fallen bottle lags behind
SLOPPY = 0.1  # pitches by which a hand misses an item's own place at most


class Hands:
    """The troubles of one belt's way; `laid` is called for each item when it begins."""

    def __init__(self, spec: BeltSpec, belt: Belt, floor: Floor) -> None:
        self._belt = belt
        self._floor = floor
        self._truth = floor.truth
        marking = [
            station.at
            for station in spec.stations
            if isinstance(station, Coder | Preprinted | Capper | Applicator)
        ]
        cameras = [station for station in spec.stations if isinstance(station, Camera)]
        pictures = [station.at for station in cameras if _sees(station, "content")]
        self._coded = max(marking, default=0.0)
        self._loose = spec.loose
        labels = [station.at for station in cameras if _sees(station, "own")]
        self._reread = max(labels, default=0.0)  # where a code of its own is read last
        gates = [s.gate or s.at for s in spec.stations if isinstance(s, Camera)]
        self._after_gates = max(gates, default=0.0)
        befall: dict[str, Callable[[Item, Trouble, float, float], None]] = {
            "taken": self._taken,
            "put_back": self._put_back,
            "put_elsewhere": self._put_elsewhere,
            "put_in": self._put_in,
        }
        if not belt.index:
            befall |= {
                "fallen": self._fallen,
                "touching": self._touching,
                "foreign_told": self._foreign,
                "foreign_silent": self._foreign,
            }
        self._spans = {
            "foreign_told": (self._after_gates, belt.length),  # a check weigher before the packer
            "content_taken": (0.0, max(pictures, default=0.0)),
            "refed": (self._after_gates, belt.length),
        }
        if pictures:
            befall["content_taken"] = self._content_taken
        if belt.index and self._reread > self._coded + 3 * EDGE:
            befall["refed"] = self._refed
            if belt.index + 1 < len(floor.layout.belts):
                befall["unstacked"] = self._unstacked
        where = spec.level if belt.index else ""
        self._befall = [
            (trouble, act)
            for trouble, act in ((floor.trouble(name, where), act) for name, act in befall.items())
            if trouble
        ]
        if self._befall:
            belt.laid = self.laid

    def laid(self, belt: Belt, item: Item, now: float) -> None:
        serial = item.serial
        for trouble, act in self._befall:
            if trouble.hits(serial):
                self._await(item, trouble, act)

    def _await(
        self, item: Item, trouble: Trouble, act: Callable[[Item, Trouble, float, float], None]
    ) -> None:
        low, high = self._spans.get(trouble.name, (0.0, self._belt.length))
        place = low + EDGE + trouble.share(item.serial) * (high - low - 2 * EDGE)
        origin = item.origin

        def happens(now: float, travel: float) -> None:
            # It may have left the belt, or lie elsewhere on it by now.
            if item.place == "belt" and item.level == self._belt.index and item.origin == origin:
                act(item, trouble, now, travel)

        self._belt.happen(origin + place, happens)

    # ---------------------------------------------------------------------------------- off, on

    def _off(self, item: Item, now: float, place: str) -> None:
        self._floor.part(item)
        self._belt.lift(item, now)
        item.place = place

    def _on(self, item: Item, origin: float, now: float) -> None:
        item.place, item.rejected, item.why = "belt", "", ""
        self._belt.lay(item, origin, now)

    def _taken(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        self._happened(trouble, now, item, travel)
        self._off(item, now, "taken")
        self._floor.table[item.level].append(item)

    def _put_back(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """The hand goes along with the belt; if it is too slow the item stays off."""
        belt = self._belt
        origin, share = item.origin, trouble.share(item.serial ^ 1)
        self._happened(trouble, now, item, travel)
        self._off(item, now, "taken")

        def back(now: float, travel: float) -> None:
            there = origin + (share - 0.5) * 2 * SLOPPY * belt.pitch
            if travel - there < belt.length - EDGE and item.place == "taken":
                self._on(item, there, now)

        belt.happen(travel + (0.1 + share) * belt.length / 3, back)

    def _put_elsewhere(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """Into the gap nearest to a place behind the last station that marks."""
        belt = self._belt
        self._happened(trouble, now, item, travel)
        other = belt.before(item)
        if self._loose and other is not None and travel - other.origin < self._coded:
            self._exchange(item, other, now)
            return
        self._off(item, now, "taken")
        share = trouble.share(item.serial ^ 1)

        def back(now: float, travel: float) -> None:
            if item.place == "taken":
                self._lay_in_gap(item, travel, share, now)

        belt.happen(travel + (0.1 + share) * belt.length / 2, back)

    def _exchange(self, item: Item, other: Item, now: float) -> None:
        """Two that have no code yet change places."""
        places = [(item, other.origin), (other, item.origin)]
        for each, _ in places:
            self._belt.lift(each, now)
        for each, origin in places:
            self._belt.lay(each, origin, now)

    def _put_in(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """One of those that lie about, or a bottle that was never coded."""
        table = self._floor.table[item.level]
        share = trouble.share(item.serial ^ 1)
        blank = not item.level and (trouble.pick(item.serial, 2) or not table)
        if not blank and not table:
            return
        if self._gap(travel, share, self._belt.length) is None:
            return
        if blank:
            stranger = self._truth.new(0)
            spoil(stranger, "uncoded")
        else:
            stranger = table.pop()
        if self._lay_in_gap(stranger, travel, share, now):
            self._happened(trouble, now, stranger, travel)

    def _refed(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """Read and passed already, it is carried back before the camera that read it."""
        belt, high = self._belt, self._reread
        share = trouble.share(item.serial ^ 1)
        if "taken" in item.befell or self._gap(travel, share, high) is None:
            return
        self._happened(trouble, now, item, travel)
        self._off(item, now, "taken")

        def back(now: float, travel: float) -> None:
            if item.place == "taken":
                self._lay_in_gap(item, travel, share, now, high)

        belt.happen(travel + belt.pitch / 2, back)

    def _unstacked(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """Behind this one a hand puts in another, off the newest pallet that is finished."""
        above = reversed(self._truth.levels[self._belt.index + 1])
        pallet = next((each for each in above if each.place == "output"), None)
        share, high = trouble.share(item.serial ^ 1), self._reread
        if pallet is None or not pallet.children or self._gap(travel, share, high) is None:
            return
        child = pallet.children.pop(trouble.pick(item.serial, len(pallet.children)))
        child.parent, child.place = None, "taken"
        pallet.befell = (*pallet.befell, trouble.name)
        self._happened(trouble, now, child, travel)
        self._lay_in_gap(child, travel, share, now, high)

    def _content_taken(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        """Out of an open container, before anyone took a picture of it; half of the time one of
        those that lie about goes in instead."""
        if not item.children:
            return
        table = self._floor.table[item.level - 1]
        place = trouble.pick(item.serial, len(item.children))
        child = item.children.pop(place)
        child.place, child.parent = "taken", None
        if table and trouble.share(item.serial ^ 1) < 0.5:
            other = table.pop()
            other.place, other.parent, other.rejected, other.why = "packed", item, "", ""
            other.befell = (*other.befell, "swapped_in")
            item.children.insert(place, other)
        table.append(child)
        self._happened(trouble, now, item, travel)

    def _gap(self, travel: float, share: float, high: float) -> float | None:
        belt = self._belt
        low = self._coded + EDGE
        place = low + share * (high - EDGE - low)
        origin = belt.gap(travel - place, belt.length)
        if origin is None or not low <= travel - origin <= high - EDGE:
            return None
        return origin

    def _lay_in_gap(
        self, item: Item, travel: float, share: float, now: float, high: float | None = None
    ) -> bool:
        origin = self._gap(travel, share, self._belt.length if high is None else high)
        if origin is None:
            return False
        self._on(item, origin, now)
        return True

    # ------------------------------------------------------------------- falls and other things

    def _fallen(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        self._floor.spoiled(item, "fallen", now)
        item.marks = {role: mark._replace(readable=False) for role, mark in item.marks.items()}
        if trouble.pick(item.serial, 2):
            item.hidden = True
            return
        origin = item.origin + FALL * self._belt.pitch
        self._belt.lift(item, now)
        self._belt.lay(item, origin, now)

    def _touching(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        belt, floor = self._belt, self._floor
        front = belt.before(item)
        near = front is not None and item.origin - front.origin <= REACH * belt.pitch
        if front is None or not near or front.hidden or front in floor.followers:
            return
        self._happened(trouble, now, item, travel)
        floor.part(item)
        belt.lift(item, now)
        origin = front.origin + CLOSE * belt.pitch
        belt.lay(item, origin, now)
        item.hidden, item.next_to = True, front
        floor.followers[front] = item
        front.befell = (*front.befell, trouble.name)  # the picture may show either of them
        if trouble.pick(item.serial, SEPARATED):
            belt.happen(origin + belt.length - 1.0, lambda now, travel: self._apart(item, origin))

    def _apart(self, item: Item, origin: float) -> None:
        """The divider's screw pulls them apart before the infeed's eye."""
        if item.place == "belt" and item.origin == origin:
            self._floor.part(item)

    def _foreign(self, item: Item, trouble: Trouble, now: float, travel: float) -> None:
        told = trouble.name == "foreign_told"
        if told and item.number == UNKNOWN:
            return
        self._happened(trouble, now, item, travel)
        if told:
            plc = self._floor.plc
            plc.write(FOREIGN_REJECT, item.seen_at, 0, item.number, travel)
            item.number = item.seen_at = UNKNOWN  # the PLC closes its window
        self._off(item, now, "foreign")

    def _happened(self, trouble: Trouble, now: float, item: Item, travel: float) -> None:
        where = f"{self._belt.level} belt, {travel - item.origin:.0f} mm"
        self._truth.happened(trouble.name, now, item, where)


def _sees(camera: Camera, what: str) -> bool:
    return any(seen.of == what for view in camera.views for seen in view.see)
