"""Slips of a shift: where the order that the agent believed left the order on the belt, and what
became of it. The journal's first word on every container is held against the plant's truth.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from agent.core import facts as f
from agent.store import journal, trace
from agent.store.database import Connection

NEAR = 3
"""Containers between the first reading that could show a slip and the one that did."""


TELLING = (
    f.ContainerFormed,
    f.Packed,
    f.ContainerScanned,
    f.ContainerConfirmed,
    f.SlipFound,
    f.DoubtResolved,
)
"""The facts that say how containers were packed, what was read in them, and what was found out."""


@dataclass(slots=True)
class Slips:
    """`made`: runs of containers that were first recorded with another content than they have.
    `read`: of so many a container was read, or the one right behind; `prompt`: and within NEAR
    containers of the first one of these it was found. `found` a reading has shown, `located` those
    of which a shift was named that explains them, `unique` the ones of these that all readings
    together leave one explanation for: nothing of the run is in doubt for the slip any more;
    `repaired` those located of which every record is right in the end.
    `cases` counts distances: how many containers of a run were packed until it was found."""

    made: int = 0
    read: int = 0
    prompt: int = 0
    found: int = 0
    located: int = 0
    unique: int = 0
    repaired: int = 0
    cases: dict[int, int] = field(default_factory=dict)

    def add(self, other: "Slips") -> None:
        self.made += other.made
        self.read += other.read
        self.prompt += other.prompt
        self.found += other.found
        self.located += other.located
        self.unique += other.unique
        self.repaired += other.repaired
        for distance, count in other.cases.items():
            self.cases[distance] = self.cases.get(distance, 0) + count

    @property
    def distance(self) -> tuple[int, int]:
        """Cases until a slip was found: the median (the higher of two), and the most."""
        every = sorted(n for n, count in self.cases.items() for _ in range(count))
        return (every[len(every) // 2], every[-1]) if every else (0, 0)

    def data(self) -> dict[str, Any]:
        """For --json."""
        found = asdict(self)
        found["cases"] = {str(each): count for each, count in sorted(self.cases.items())}
        return found


@dataclass(slots=True)
class _Packer:
    """One packer's containers in order, the places of those that were read, and its slips by the
    place at which they were found; both as they came."""

    order: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    found: dict[int, bool] = field(default_factory=dict)


def slips(conn: Connection, truth: Iterable[Mapping[str, Any]]) -> Slips:
    """What the journal and the truth say of the slips of all packers that pack by order."""
    inside = {each["code"]: Counter(each["children"]) for each in truth if each["code"]}
    final: dict[str, Counter[str | None]] = {
        each["code"]: Counter(each["children"]) for each in trace.containers(conn) if each["code"]
    }
    name = cache(lambda unit: trace.name_of(conn, unit))
    packers: dict[str, _Packer] = {}
    station: dict[int, str] = {}
    packed: dict[int, list[int | None]] = {}
    unsure: set[int] = set()  # what they hold is in doubt for a slip
    for entry in journal.read_kinds(conn, *TELLING):
        match entry.fact:
            case f.ContainerFormed(unit=unit, station=where):
                station[unit] = where
            case f.Packed(container=unit, children=children, lanes=lanes) if lanes:
                if unit not in packed:
                    packers.setdefault(station[unit], _Packer()).order.append(unit)
                packed.setdefault(unit, []).extend(children)
            case f.ContainerScanned(container=unit) | f.ContainerConfirmed(container=unit):
                _read(packers, station, unit)
                if isinstance(entry.fact, f.ContainerConfirmed):
                    unsure.discard(unit)
            case f.DoubtResolved(units=units):
                unsure.difference_update(units)
            case f.SlipFound(station=where, found=unit, shifts=shifts) if where in packers:
                _read(packers, station, unit)
                unsure.update(entry.fact.doubtful)
                order = packers[where].order
                if unit in order:
                    packers[where].found[order.index(unit)] = bool(shifts)
    result = Slips()
    for packer in packers.values():
        wrong: list[bool] = []
        right_now: list[bool] = []
        doubtful = [unit in unsure for unit in packer.order]
        for unit in packer.order:
            code = name(unit)
            there = inside.get(code) if code else None
            known = Counter(name(child) for child in packed[unit] if child is not None)
            wrong.append(there is not None and not known <= there)
            right_now.append(
                code is None or there is None or _without_unknown(final[code]) <= there
            )
        result.add(_runs(wrong, right_now, doubtful, packer))
    return result


def _read(packers: Mapping[str, _Packer], station: Mapping[int, str], unit: int) -> None:
    packer = packers.get(station.get(unit, ""))
    if packer is not None and unit in packer.order:
        packer.read.append(packer.order.index(unit))


def _without_unknown(children: Counter[str | None]) -> Counter[str | None]:
    known = children.copy()
    del known[None]
    return known


def _runs(wrong: list[bool], right_now: list[bool], doubtful: list[bool], packer: _Packer) -> Slips:
    """Each run of wrong containers is a slip; it is found at its end or just behind it."""
    result = Slips()
    at = 0
    while at < len(wrong):
        if not wrong[at]:
            at += 1
            continue
        end = at
        while end < len(wrong) and wrong[end]:
            end += 1
        result.made += 1
        places = [place for place in packer.found if at <= place <= end]
        first_read = next((place for place in packer.read if at <= place <= end), None)
        if first_read is not None:
            result.read += 1
            result.prompt += bool(places) and abs(places[0] - first_read) <= NEAR
        if places:
            first = min(places)
            distance = first - at + 1
            result.found += 1
            result.cases[distance] = result.cases.get(distance, 0) + 1
            if any(packer.found[place] for place in places):
                result.located += 1
                result.unique += not any(doubtful[at:end])
                result.repaired += all(right_now[at:end])
        at = end
    return result
