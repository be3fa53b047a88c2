"""What the stations of one plant share: the PLC, the truth, the supplies, the troubles of codes."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from drivers.sim.belt import Belt
from drivers.sim.eyes import Fire, PhotoEye
from drivers.sim.frames import Shutter
from drivers.sim.layout import Capper, Coder, Feed, Layout, Preprinted, View
from drivers.sim.plcmodel import PlcModel
from drivers.sim.troubles import Trouble
from drivers.sim.truth import Item, Mark, Truth
from drivers.sim.world import Ask, Exposure, FiredPrinter

RECENT = 256  # passed bottles of which a duplicate may be a copy


class Floor:
    """What the stations of one plant share.

    `caps` lie in the capper's chute for the `uncapped` bottles before it; `table` holds by level
    what was rejected or taken and lies about; `followers` the item that stands close behind
    another and gives no edge of its own; `away` names the devices that cannot be reached now.
    With `people` somebody does what `asks` say, so `halves`, containers that left half full, can
    be topped up.
    """

    def __init__(
        self,
        layout: Layout,
        feed: Feed,
        seed: int,
        rates: Mapping[str, float],
        printers: Mapping[str, FiredPrinter],
        *,
        people: bool = False,
    ) -> None:
        self.layout = layout
        self.feed = feed
        self.seed = seed
        self.rates = rates
        self.printers = printers
        self.people = people
        self.plc = PlcModel(layout.pulses_per_mm)
        gs1 = {seen.role for view in layout.cameras().values() for seen in view.see if seen.gs1}
        self.truth = Truth(
            tuple((belt.level, belt.primary, belt.primary in gs1) for belt in layout.belts)
        )
        self.exposures: list[Exposure] = []
        self.shutters: list[Shutter] = []
        self.caps: deque[Mark] = deque()
        self.uncapped: deque[Item] = deque()
        self.recent: deque[Item] = deque(maxlen=RECENT)
        self.table: list[deque[Item]] = [deque(maxlen=RECENT) for _ in layout.belts]
        self.followers: dict[Item, Item] = {}
        self.away: set[str] = set()
        self.asks: list[Ask] = []
        self.halves: list[Item] = []
        self.low_air = False  # no gate has the strength to reject
        self.supplies = {name: self._rolls(name, codes) for name, codes in layout.supplies.items()}
        self._strangers = {"foreign": iter(layout.foreign), "campaign": iter(layout.campaign)}
        self._strange = 0
        self.unreadable = self.trouble("unreadable")
        self.duplicate = self.trouble("duplicate")
        self.foreign = self.trouble("foreign")
        self.campaign = self.trouble("campaign")
        self.repeat = self.trouble("repeat")
        self.label_unreadable = self.trouble("label_unreadable")
        # Roles that are put on bottles, in order: one of them is what `unreadable` damages.
        self._bottle_roles = [
            role
            for station in layout.belts[0].stations
            for role in (
                station.roles
                if isinstance(station, Coder)
                else (station.role,)
                if isinstance(station, Preprinted | Capper)
                else ()
            )
        ]
        self._primary = layout.belts[0].primary

    def trouble(self, name: str, where: str = "") -> Trouble:
        """A trouble at the rate of this floor; `where` tells its places apart."""
        return Trouble(self.seed, name, self.rates.get(name, 0), where)

    def eye(self, belt: Belt, name: str, station: int, place: float, fire: Fire) -> PhotoEye:
        """A photo-eye of the PLC."""
        return PhotoEye(
            belt, self.truth, self.seed, self.rates, name, station, place=place, fire=fire
        )

    def shutter(self, view: View) -> Shutter:
        """A camera."""
        shutter = Shutter(view, self.seed, self.rates, self.truth, self.exposures)
        self.shutters.append(shutter)
        return shutter

    def _rolls(self, name: str, codes: Sequence[str]) -> Iterator[str]:
        """The codes roll by roll, as they are mounted: one may come before the one before it."""
        swapped = self.trouble("roll_swapped", name)
        size = self.layout.roll or max(1, len(codes))
        rolls = [codes[start : start + size] for start in range(0, len(codes), size)]
        at = 0
        while at < len(rolls):
            if at + 1 < len(rolls) and swapped.hits(at):
                rolls[at], rolls[at + 1] = rolls[at + 1], rolls[at]
                self.truth.happened("roll_swapped", 0.0, None, f"{name}, roll {at + 1}")
                yield from rolls[at]
                at += 1
            yield from rolls[at]
            at += 1

    def damaged(self, item: Item, role: str) -> bool:
        """Is this role's symbol unreadable? Of a bottle one symbol is, of a container all are."""
        if "fallen" in item.befell:
            return True
        if item.level:
            return self.label_unreadable.hits(item.serial << 4 | item.level)
        if not self.unreadable.hits(item.serial):
            return False
        roles = self._bottle_roles
        return roles[self.unreadable.pick(item.serial, len(roles))] == role

    def mark(self, item: Item, role: str, text: str | None, now: float) -> None:
        """Put a code on an item as the day's troubles will have it; None: nothing came out."""
        if not item.level and role == self._primary:
            text = self._swapped(item, text, now)
        if text is None:
            spoil(item, "uncoded")
            return
        readable = not self.damaged(item, role)
        if not readable:
            self.spoiled(item, "label_unreadable" if item.level else "unreadable", now)
        before = item.marks.get(role)
        if item.level and before is not None:
            item.former = (*item.former, before.text)
        item.marks[role] = Mark(text, readable)

    def spoiled(self, item: Item, trouble: str, now: float) -> None:
        """A trouble made this item one that an honest line would not pass."""
        if trouble not in item.befell:
            self.truth.happened(trouble, now, item)
        spoil(item, trouble)

    def _swapped(self, item: Item, text: str | None, now: float) -> str | None:
        for trouble in (self.foreign, self.campaign):
            if trouble.hits(item.serial):
                self.spoiled(item, trouble.name, now)
                self._strange += 1
                made = f"HTTPS://{trouble.name.upper()}.EXAMPLE/{self._strange:08d}"
                return next(self._strangers[trouble.name], made)
        if self.recent and self.duplicate.hits(item.serial):
            original = self.recent[self.duplicate.pick(item.serial, len(self.recent))]
            self.spoiled(item, "duplicate", now)
            return original.marks[self._primary].text
        return text

    def arrived(self, item: Item) -> None:
        """A bottle has passed every gate of its belt."""
        if not item.bad:
            self.recent.append(item)

    def part(self, item: Item) -> None:
        """Whatever stands close to this item stands by itself again."""
        follower = self.followers.pop(item, None)
        if follower is not None:
            follower.hidden, follower.next_to = False, None
        if item.next_to is not None:
            self.followers.pop(item.next_to, None)
            item.hidden, item.next_to = False, None


def spoil(item: Item, why: str) -> None:
    """An honest line would not pass it; the first cause counts."""
    if not item.bad:
        item.bad = why
