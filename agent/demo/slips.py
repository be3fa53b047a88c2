"""Slips of a shift: where the order that the agent believed left the order on the belt, and what
became of it. The journal's first word on every container is held against the plant's truth.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

from agent.core import facts as f
from agent.store import journal, trace
from agent.store.database import Connection

NEAR = 3
"""Containers that may be packed between the first reading that could show a slip and the one that
did."""
HANDS = frozenset({"unstacked", "content_taken"})
"""What hands do to a container's content alone: the order behind it is right."""


TELLING = (
    f.ContainerFormed,
    f.Packed,
    f.ContainerScanned,
    f.ContainerConfirmed,
    f.ChildrenSeen,
    f.SlipFound,
    f.DoubtResolved,
)
"""The facts that say how containers were packed, what was read in them, and what was found out."""


@dataclass(slots=True)
class Slips:
    """`made`: runs of containers that were first recorded with another content than they have, and
    of which children are recorded in each other's place; `odd` are containers whose record is wrong
    by itself, while the order is right (another code was read on the child, a hand changed it).
    `warned`: the order was in doubt by the record within NEAR containers, before any reading.

    `read`: of so many a reading came that contradicts the record; `prompt`: and at most NEAR
    containers later it was found. `found` a reading has shown, `located` those of which a shift was
    named that explains them, `unique` the ones of these that all readings together leave one
    explanation for: nothing of the run is in doubt for the slip any more; `repaired` those located
    of which every record is right in the end.

    Distances, each with how many have it, are counted in containers of the packer: `unread` from
    the first wrong one until such a reading came (nothing could show it before), `behind` from that
    reading until the slip was found, each reading in vain counted as one more; `cases` is their
    sum, until it was found."""

    made: int = 0
    odd: int = 0
    warned: int = 0
    read: int = 0
    prompt: int = 0
    found: int = 0
    located: int = 0
    unique: int = 0
    repaired: int = 0
    unread: dict[int, int] = field(default_factory=dict)
    behind: dict[int, int] = field(default_factory=dict)
    cases: dict[int, int] = field(default_factory=dict)

    def add(self, other: "Slips") -> None:
        for each in fields(self):
            mine, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, int):
                setattr(self, each.name, mine + more)
            else:
                for distance, many in more.items():
                    mine[distance] = mine.get(distance, 0) + many

    @staticmethod
    def middle(distances: Mapping[int, int]) -> tuple[int, int]:
        """The median (the higher of two), and the most."""
        every = sorted(n for n, many in distances.items() for _ in range(many))
        return (every[len(every) // 2], every[-1]) if every else (0, 0)

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {
            name: {str(n): many for n, many in sorted(each.items())}
            if isinstance(each, dict)
            else each
            for name, each in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: of the container at `place`, when `packed` were; `seen` of its children, or all
    (`whole`). `found`: it showed a slip, `located`: and which."""

    place: int
    packed: int
    seen: tuple[int, ...] = ()
    whole: bool = False
    found: bool = False
    located: bool = False


@dataclass(slots=True)
class Packer:
    """One packer's containers in order, and what was read in them; both as they came."""

    order: list[int] = field(default_factory=list)
    read: list[Reading] = field(default_factory=list)

    def reading(self, unit: int, **more: Any) -> None:
        if unit in self.order:
            self.read.append(Reading(self.order.index(unit), len(self.order), **more))


@dataclass(slots=True)
class Case:
    """What is known of one container: what it was recorded with first (`claimed`, with units as
    names), what it holds (`there`; None: nobody can say), whether the record is right in the end,
    and what was in doubt when it was packed and at the end."""

    claimed: Counter[str | None]
    there: Counter[str | None] | None
    right: bool
    warned: bool
    unsure: bool

    @property
    def wrong(self) -> bool:
        return self.there is not None and not self.claimed <= self.there


def slips(
    conn: Connection, truth: Iterable[Mapping[str, Any]], told: Mapping[str, Any] | None = None
) -> Slips:
    """What the journal and the truth say of the slips of all packers that pack by order. `told` is
    the plant's account: what hands did to containers."""
    inside = {each["code"]: Counter(each["children"]) for each in truth if each["code"]}
    changed = {
        each["code"] for each in (told or {}).get("containers", ()) if HANDS & {*each["befell"]}
    }
    final: dict[str, Counter[str | None]] = {
        each["code"]: Counter(each["children"]) for each in trace.containers(conn) if each["code"]
    }
    name = cache(lambda unit: trace.name_of(conn, unit))
    packers: dict[str, Packer] = {}
    station: dict[int, str] = {}
    packed: dict[int, list[int | None]] = {}
    doubted: set[int] = set()  # when they were packed
    unsure: set[int] = set()  # what they hold is in doubt for a slip
    nowhere = Packer()
    for entry in journal.read_kinds(conn, *TELLING):
        match entry.fact:
            case f.ContainerFormed(unit=unit, station=where):
                station[unit] = where
            case f.Packed(container=unit, children=children, lanes=lanes) if lanes:
                if unit not in packed:
                    packers.setdefault(station[unit], Packer()).order.append(unit)
                packed.setdefault(unit, []).extend(children)
                if entry.fact.doubt:
                    doubted.add(unit)
            case f.ContainerScanned(container=unit, seen=seen, complete=whole):
                packers.get(station.get(unit, ""), nowhere).reading(unit, seen=seen, whole=whole)
            case f.ChildrenSeen(container=unit, children=seen):
                packers.get(station.get(unit, ""), nowhere).reading(unit, seen=seen)
            case f.ContainerConfirmed(container=unit):
                unsure.discard(unit)
            case f.DoubtResolved(units=units):
                unsure.difference_update(units)
            case f.SlipFound(station=where, found=unit, shifts=shifts) if where in packers:
                unsure.update(entry.fact.doubtful)
                packers[where].reading(unit, found=True, located=bool(shifts))
    result = Slips()
    for packer in packers.values():
        cases = []
        for unit in packer.order:
            code = name(unit)
            claimed = Counter(name(child) for child in packed[unit] if child is not None)
            there = inside.get(code) if code and code not in changed else None
            right = not code or code not in inside or _right(final[code], inside[code])
            cases.append(Case(claimed, there, right, unit in doubted, unit in unsure))
            if code in changed and not claimed <= inside.get(code, claimed):
                result.odd += 1
        count(result, cases, packer, name)
    return result


def _right(recorded: Counter[str | None], there: Counter[str | None]) -> bool:
    known = recorded.copy()
    del known[None]
    return known <= there


def count(
    result: Slips, cases: list[Case], packer: Packer, name: Callable[[int], str | None]
) -> None:
    """Each run of wrong containers in which children are in each other's place is a slip. One of
    which nobody can say what it holds (it has no code, a hand changed it) ends no run."""
    holds = {
        child: n for n, case in enumerate(cases) if case.there is not None for child in case.there
    }
    claims = {child: n for n, case in enumerate(cases) for child in case.claimed}
    at = 0
    while at < len(cases):
        if not cases[at].wrong:
            at += 1
            continue
        end = last = at
        while end < len(cases) and (cases[end].wrong or cases[end].there is None):
            last = end if cases[end].wrong else last
            end += 1
        wrong = [n for n in range(at, last + 1) if cases[n].wrong]
        displaced = any(
            any(holds.get(child, n) != n for child in cases[n].claimed)
            or any(claims.get(child, n) != n for child in cases[n].there or ())
            for n in wrong
        )
        if displaced or end == len(cases):  # nothing behind it shows that the order was right
            _slip(result, cases, packer, name, range(at, last + 1), end)
        else:
            result.odd += len(wrong)
        at = end


def _slip(
    result: Slips,
    cases: list[Case],
    packer: Packer,
    name: Callable[[int], str | None],
    run: range,
    end: int,
) -> None:
    result.made += 1
    result.warned += any(cases[n].warned for n in run[:NEAR])
    reads = [
        read
        for read in packer.read
        if run[0] <= read.place <= end
        and (read.found or _contradicts(cases[read.place], read, name))
    ]
    if not reads:
        return
    first = reads[0]
    unread = min(first.packed, end) - run[0]
    result.read += 1
    result.unread[unread] = result.unread.get(unread, 0) + 1
    found = next((n for n, read in enumerate(reads) if read.found), None)
    if found is None:
        return
    # The scan that shows it is told before what it shows.
    vain = len({read.place for read in reads[:found]} - {reads[found].place})
    behind = reads[found].packed - first.packed + vain
    result.found += 1
    result.prompt += behind <= NEAR
    result.behind[behind] = result.behind.get(behind, 0) + 1
    result.cases[unread + behind] = result.cases.get(unread + behind, 0) + 1
    if any(read.located for read in reads):
        result.located += 1
        result.unique += not any(cases[n].unsure for n in run)
        result.repaired += all(cases[n].right for n in run)


def _contradicts(case: Case, read: Reading, name: Callable[[int], str | None]) -> bool:
    """Whether what was read is not what the container was recorded with first."""
    seen = Counter(map(name, read.seen))
    return not seen <= case.claimed or (read.whole and not case.claimed <= seen)
