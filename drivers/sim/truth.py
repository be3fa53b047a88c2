"""The physical things of the plant, and the plant's own account of them.

Nothing here knows what the agent believes. `write` makes `truth.jsonl` (one object per physical
container, exactly level, code, children, open) and `plant.json` (all an audit may want to ask).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Mark(NamedTuple):
    """A symbol on a thing: what it says, and whether anyone could read it."""

    text: str
    readable: bool


UNKNOWN = -1
"""The number of an item that lies in no window of the PLC."""


class Item:
    """A bottle or a container. `bad` says why an honest line would not pass it ("" = good);
    `place` is belt, lane, packer, packed, rejected, taken, aside, foreign (rejector) or output.

    What the PLC has of it: `number`, and `seen_at`, the station whose eye saw it last (both
    UNKNOWN until an eye saw it). A `ghost` is a window of the PLC with nothing in it. What is
    `hidden` no eye sees; it may stand `next_to` another, whose edge covers its own. It was `shown`
    if a camera for its own code ever took its picture, whatever came of it, and `glimpsed` is what
    stood in a camera's view for a role that it did not have yet.
    """

    __slots__ = (
        "at",
        "bad",
        "befell",
        "children",
        "former",
        "ghost",
        "glimpsed",
        "hidden",
        "level",
        "marks",
        "next_to",
        "number",
        "open",
        "origin",
        "parent",
        "place",
        "rejected",
        "seen_at",
        "serial",
        "shown",
        "why",
    )

    def __init__(self, serial: int, level: int, number: int = UNKNOWN) -> None:
        self.serial = serial  # among all things of its level, from 1
        self.level = level  # index of its belt
        self.number = number
        self.seen_at = UNKNOWN
        self.ghost = False
        self.hidden = False
        self.next_to: Item | None = None
        self.befell: tuple[str, ...] = ()
        self.shown = False
        self.glimpsed: dict[str, str] = {}
        self.marks: dict[str, Mark] = {}
        self.former: tuple[str, ...] = ()  # what is under a second label
        self.children: list[Item] = []
        self.parent: Item | None = None
        self.open = False
        self.bad = ""
        self.place = "belt"
        self.rejected = ""  # name of the station whose gate took it
        self.why = ""
        self.origin = 0.0  # the belt's travel when it was laid on it
        self.at = 0  # index of the point it reaches next


class Happening(NamedTuple):
    """One trouble that happened: when (s), to which thing of which level, where on the line, and
    whether anything told of it."""

    trouble: str
    at: float
    level: str
    serial: int
    where: str
    told: bool


class GateCount:
    """What went through one gate, told apart by what it physically was.

    Beside what the gate told of the things in their windows (passed, rejected): `failed`, rejects
    after which the place was not empty; `empty`, windows of triggers in which nothing came;
    `unasked`, those of both that had no trigger here; `unseen`, things that passed in no window,
    and `blind`, those that were rejected without a word after the PLC had lost its memory.
    """

    __slots__ = (
        "blind",
        "empty",
        "failed",
        "passed_bad",
        "passed_good",
        "rejected_bad",
        "rejected_good",
        "station",
        "unasked",
        "unseen",
    )

    def __init__(self, station: int) -> None:
        self.station = station
        self.passed_good = self.passed_bad = self.rejected_good = self.rejected_bad = 0
        self.empty = self.failed = self.unasked = self.unseen = self.blind = 0

    def data(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class Truth:
    """Everything that ever was on the line. `levels[i]` holds the things of belt i."""

    def __init__(self, levels: tuple[tuple[str, str, bool], ...]) -> None:
        """`levels`: (name, primary role, is that a GS1 symbol) of each belt."""
        self._names = levels
        self.levels: list[list[Item]] = [[] for _ in levels]
        self.gates: dict[str, GateCount] = {}
        self.triggers: dict[str, int] = {}
        self.troubled: list[Happening] = []

    def happened(
        self,
        trouble: str,
        now: float,
        item: Item | None = None,
        where: str = "",
        *,
        told: bool = True,
    ) -> None:
        """A trouble happened to this item (None: to none) at this place. Not `told`: no event of
        the PLC, no count and no picture of an honest agent can show it."""
        serial = 0 if item is None else item.serial
        level = "" if item is None else self._names[item.level][0]
        if item is not None:
            item.befell = (*item.befell, trouble)
        self.troubled.append(Happening(trouble, round(now, 3), level, serial, where, told))

    def new(self, level: int, number: int = UNKNOWN) -> Item:
        things = self.levels[level]
        item = Item(len(things) + 1, level, number)
        things.append(item)
        return item

    def primary(self, item: Item) -> str | None:
        """The readable primary code as printed, None without one."""
        mark = item.marks.get(self._names[item.level][1])
        return mark.text if mark is not None and mark.readable else None

    def containers(self, canonical: Callable[[str], str]) -> list[dict[str, Any]]:
        """The objects of truth.jsonl, smallest level first, in the order they were begun."""
        return [
            {
                "level": self._names[item.level][0],
                "code": self.code(item, canonical),
                "children": [self.code(child, canonical) for child in item.children],
                "open": item.open,
            }
            for things in self.levels[1:]
            for item in things
        ]

    def name(self, item: Item) -> str:
        """The level of a thing."""
        return self._names[item.level][0]

    def code(self, item: Item, canonical: Callable[[str], str]) -> str | None:
        """The readable primary code as a reader of ours would give it, None without one."""
        text = self.primary(item)
        if text is None:
            return None
        return canonical(self._carried(item, text))

    def _carried(self, item: Item, text: str) -> str:
        """A primary code as its symbol carries it: a reader tells FNC1 at its start."""
        gs1 = self._names[item.level][2] and not text.startswith("(")
        return "]C1" + text if gs1 else text

    def account(self, canonical: Callable[[str], str]) -> dict[str, Any]:
        """The object of plant.json."""
        bottles = self.levels[0]
        return {
            "fed": len(bottles),
            "places": self.places(),
            "bad": _tally(item.bad for item in bottles if item.bad),
            "gates": {name: gate.data() for name, gate in self.gates.items()},
            "triggers": dict(self.triggers),
            "happened": _tally(each.trouble for each in self.troubled),
            "untold": _tally(each.trouble for each in self.troubled if not each.told),
            "troubled": [each._asdict() for each in self.troubled],
            "good_rejected": [
                {**self._fate(item, canonical), "reason": item.why}
                for item in bottles
                if item.place == "rejected" and not item.bad
            ],
            "bad_kept": [
                self._fate(item, canonical)
                for item in bottles
                if item.place in ("packed", "output") and item.bad
            ],
            "numbers": {
                name: len(things)
                for (name, _, _), things in zip(self._names, self.levels, strict=True)
            },
            "items": [self._fate(item, canonical) for item in bottles],
            "containers": [
                {
                    **self._fate(item, canonical),
                    "open": item.open,
                    "count": len(item.children),
                    "former": [canonical(self._carried(item, text)) for text in item.former],
                }
                for things in self.levels[1:]
                for item in things
            ],
        }

    def places(self) -> dict[str, int]:
        """How many bottles ended where."""
        return _tally(item.place for item in self.levels[0])

    def _fate(self, item: Item, canonical: Callable[[str], str]) -> dict[str, Any]:
        parent = item.parent
        return {
            "level": self._names[item.level][0],
            "serial": item.serial,
            "number": item.number,
            "code": self.code(item, canonical),
            "marks": {role: list(mark) for role, mark in item.marks.items()},
            "bad": item.bad or None,
            "place": item.place,
            "rejected": item.rejected or None,
            "why": item.why or None,
            "container": None if parent is None else parent.serial,
            "befell": list(item.befell),
            "shown": item.shown,
            "glimpsed": item.glimpsed,
        }

    def write(self, folder: Path, canonical: Callable[[str], str], more: Mapping[str, Any]) -> None:
        """Write truth.jsonl and plant.json into an existing folder; `more` joins plant.json."""
        lines = (json.dumps(each, ensure_ascii=False) for each in self.containers(canonical))
        (folder / "truth.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
        account = {**more, **self.account(canonical)}
        (folder / "plant.json").write_text(json.dumps(account, ensure_ascii=False), "utf-8")


def _tally(words: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts
