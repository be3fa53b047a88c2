"""Where the order of lanes slipped: which shifts explain every reading of the containers.

Pure search over what is remembered of one packer. The order of a lane is a list of units (None =
unknown) with a place for each; containers took them by count. A *shift* takes units out of that
order or puts some in. What was noticed at the infeed (suspects) is tried first; without any, one
shift at any place since the last full reading.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

from agent.core.state import Kept, Suspect

FARTHEST = 3
"""Units by which a lane may slip at once."""
MOST = 512
"""Combinations of suspects that are tried."""
UNREAD = 32
"""Containers since the last full reading from which on what the infeed noticed is not believed
alone: so many are long enough for a slip that nobody noticed."""

HOLE = -1
"""In a lane's order: a place that a stroke counted and found empty."""

Content = list[int | None]


@dataclass(frozen=True, slots=True)
class Shift:
    """From `place` of a lane's order on: `gone` units were not there, `more` were."""

    lane: int
    place: int
    gone: int = 0
    more: tuple[int | None, ...] = ()


Shifts = tuple[Shift, ...]


@dataclass(slots=True)
class Lanes:
    """The believed order of every lane: the place of its first unit, and the units."""

    first: dict[int, int]
    units: dict[int, Content]

    def shifted(self, shifts: Shifts) -> "Lanes | None":
        """The order with these shifts; None if one lies outside of it."""
        units = dict(self.units)
        # From behind, so that no place moves; of several at one place the last one that came first.
        for shift in sorted(shifts, key=lambda shift: shift.place)[::-1]:
            at = shift.place - self.first.get(shift.lane, 0)
            if shift.lane not in units or not 0 <= at <= len(units[shift.lane]):
                return None
            changed = list(units[shift.lane])
            changed[at : at + shift.gone] = shift.more
            units[shift.lane] = changed
        return Lanes(self.first, units)

    def take(self, lane: int, start: int, count: int) -> Content:
        at = start - self.first.get(lane, start)
        found = self.units.get(lane, [])[at : at + count]
        return [*found, *[None] * (count - len(found))]

    def content(self, kept: Kept) -> Content:
        """What a container holds, by place: row by row across the lanes."""
        found: Content = []
        for counts, starts in zip(kept.strokes, kept.starts, strict=True):
            parts = [
                self.take(lane, start, count)
                for lane, (start, count) in enumerate(zip(starts, counts, strict=True))
            ]
            for row in range(max(counts, default=0)):
                found += [p[row] for p in parts if row < len(p) and p[row] != HOLE]
        return found


@dataclass(slots=True)
class Solution:
    """What explains the readings. `shifts` is the explanation to write (() = nothing slipped),
    `contents` and `queues` what follows from it; `agreed[n]`: every explanation gives container n
    the same content; `certain`: and the same order of what comes next."""

    shifts: Shifts
    contents: list[Content]
    queues: dict[int, Content]
    agreed: list[bool]
    certain: bool


def believed(run: Sequence[Kept], queues: Mapping[int, Sequence[int | None]]) -> Lanes | None:
    """The order of the lanes that the containers of `run` were packed from, and of what stands in
    them now; None where it is not known without a gap."""
    lanes = Lanes({}, {})
    for kept in run:
        if len(kept.starts) != len(kept.strokes):
            return None
        if len(kept.children) != sum(map(sum, kept.strokes)):
            return None
        children = iter(kept.children)
        for counts, starts in zip(kept.strokes, kept.starts, strict=True):
            parts: list[Content] = [[] for _ in counts]
            for row in range(max(counts, default=0)):
                for lane, count in enumerate(counts):
                    if row < count:
                        parts[lane].append(next(children))
            for lane, part in enumerate(parts):
                first = lanes.first.setdefault(lane, starts[lane])
                units = lanes.units.setdefault(lane, [])
                if part and first + len(units) != starts[lane]:
                    return None
                units += part
    for lane, units in lanes.units.items():
        units += queues.get(lane, ())
    return lanes


def fits(kept: Kept, content: Content, everywhere: Collection[int | None] = ()) -> bool:
    """Whether what was read in a container may be this content; what stands in the place of an
    unknown child may not be one of those that are `everywhere`."""
    known = {child for child in content if child is not None}
    strangers = set(kept.seen) - known
    if len(strangers) > len(content) - len(known) or not strangers.isdisjoint(everywhere):
        return False
    return not kept.whole or known <= set(kept.seen)


def solve(
    run: Sequence[Kept],
    queues: Mapping[int, Sequence[int | None]],
    suspects: Sequence[Suspect],
    found: int,
) -> Solution | None:
    """What explains all that was read in the containers of `run` (those since the last full
    reading, the oldest first), of which `run[found]` was read last; or at least where the lanes
    stand since. None: nothing does."""
    lanes = believed(run, queues)
    if lanes is None:
        return None
    return _explained(lanes, run, suspects, found) or _from_here(lanes, run, found)


def explain(
    run: Sequence[Kept],
    queues: Mapping[int, Sequence[int | None]],
    suspects: Sequence[Suspect],
    found: int,
) -> Solution | None:
    """What explains all readings alone, where several containers of `run` may have been read in
    full: all of them at once, else those between two of them for themselves."""
    lanes = believed(run, queues)
    if lanes is None:
        return None
    return _explained(lanes, run, suspects, found) or _piecewise(lanes, run, suspects, found)


def _piecewise(
    lanes: Lanes, run: Sequence[Kept], suspects: Sequence[Suspect], found: int
) -> Solution | None:
    contents = [list(kept.children) for kept in run]
    agreed = [False] * len(run)
    first = 0
    for at in (n for n, kept in enumerate(run[: found + 1]) if kept.whole and kept.seen):
        piece = run[first : at + 1]
        solution = _explained(lanes, piece, suspects, at - first)
        if solution is not None:
            contents[first : at + 1] = solution.contents
            agreed[first : at + 1] = solution.agreed
        certain = solution is not None and solution.certain
        shifts = solution.shifts if solution is not None and certain else _here(lanes, run[at])
        shifted = None if shifts is None else lanes.shifted(shifts)
        if shifted is None:
            break
        lanes, first = shifted, at + 1
    return Solution((), contents, {}, agreed, certain=False) if any(agreed) else None


def _explained(
    lanes: Lanes, run: Sequence[Kept], suspects: Sequence[Suspect], found: int
) -> Solution | None:
    read = [kept for kept in run if kept.seen]

    def explains(shifts: Shifts) -> bool:
        order = lanes.shifted(shifts)
        if order is None:
            return False
        everywhere = {unit for units in order.units.values() for unit in units}
        if not any(None in shift.more for shift in shifts):
            # What it takes out is nowhere: no unknown child may be one of these.
            everywhere |= {unit for units in lanes.units.values() for unit in units}
        return all(fits(kept, order.content(kept), everywhere) for kept in read)

    fitting = [shifts for shifts in _suspected(lanes, suspects) if explains(shifts)]
    guessed = all(any(None in shift.more for shift in shifts) for shifts in fitting)
    if () not in fitting and (guessed or found >= UNREAD):
        # Only something of which nobody knows that it ever was there explains it (an empty window
        # that did not arrive), or what was noticed did so long ago: a slip in silence may have done
        # this as well.
        ways = chain(_left_behind(lanes, run[: found + 1]), _anywhere(lanes, run[found]))
        fitting += [shifts for shifts in ways if explains(shifts)]
    return _agree(lanes, run, fitting) if fitting else None


def _from_here(lanes: Lanes, run: Sequence[Kept], found: int) -> Solution | None:
    """Nothing explains how it came to this, but a full reading shows where each lane stands: what
    follows the last unit of a lane that was read comes next. The run stays doubtful, and so does
    what comes, until a reading agrees."""
    shifts = _here(lanes, run[found])
    if not shifts or lanes.shifted(shifts) is None:
        return None
    solution = _agree(lanes, run, [shifts])
    solution.agreed = [n == found for n in range(len(run))]
    solution.certain = False
    return solution


def _here(lanes: Lanes, kept: Kept) -> Shifts | None:
    """What brings the lanes to where a full reading shows them."""
    if not kept.whole:
        return None
    shifts: list[Shift] = []
    for lane, units in lanes.units.items():
        count = sum(counts[lane] for counts in kept.strokes)
        places = [lanes.first[lane] + n for n, unit in enumerate(units) if unit in kept.seen]
        if not count:
            continue
        if not places or max(places) - min(places) >= count + FARTHEST:
            return None
        by = _end(kept, lane) - 1 - max(places)
        place = max(kept.starts[0][lane] - max(0, by), lanes.first[lane])
        if by:
            shifts.append(_moved(lane, place, by))
    return tuple(shifts)


def _agree(lanes: Lanes, run: Sequence[Kept], fitting: list[Shifts]) -> Solution:
    ends = {
        lane: max(
            (s[lane] + c[lane] for k in run for s, c in zip(k.starts, k.strokes, strict=True))
        )
        for lane in lanes.units
    }
    ways: list[tuple[Lanes, dict[int, Content]]] = []
    for shifts in fitting:
        order = lanes.shifted(shifts)
        assert order is not None
        queues = {
            lane: units[ends[lane] - order.first[lane] :] for lane, units in order.units.items()
        }
        ways.append((order, queues))
    # Of several the one without a shift, or the one that changes least: the last.
    best = fitting.index(()) if () in fitting else len(fitting) - 1
    order, queues = ways[best]
    contents = [order.content(kept) for kept in run]
    agreed = [
        all(way.content(kept) == content for way, _ in ways)
        for kept, content in zip(run, contents, strict=True)
    ]
    certain = all(way[1] == queues for way in ways)
    return Solution(fitting[best], contents, queues, agreed, certain)


def _suspected(lanes: Lanes, suspects: Sequence[Suspect]) -> list[Shifts]:
    """Every combination of what the suspects may have done, nothing at all first."""
    options: list[list[Shifts]] = []
    count = 1
    for suspect in suspects:
        mine: list[Shifts] = [()]
        for lane, place in suspect.places:
            if lane in lanes.first and place >= lanes.first[lane]:
                shift = (
                    Shift(lane, place, 0, (suspect.unit,))
                    if suspect.missed
                    else Shift(lane, place, 1)
                )
                mine.append((shift,))
        if suspect.stranger is not None and suspect.unit is not None:
            lane, place = suspect.stranger
            if lane in lanes.first and place >= lanes.first[lane]:
                mine.append((Shift(lane, place, 1, (suspect.unit,)),))
        count *= len(mine)
        if count > MOST:
            return [()]
        options.append(mine)
    return [tuple(shift for part in parts for shift in part) for parts in product(*options)]


def _anywhere(lanes: Lanes, found: Kept) -> Iterator[Shifts]:
    """One shift of one lane, or of what one lane got and another missed (a divider that
    miscounted), at every place since the first container of the run; the latest place last."""
    away = {lane: _distances(lanes, lane, found) for lane in lanes.units}
    still = {lane for lane, fitting in away.items() if 0 in fitting}
    ways = [
        {lane: by}
        for lane, fitting in away.items()
        if still >= away.keys() - {lane}
        for by in fitting
        if by
    ]
    ways = ways or [
        {one: by, two: -by}
        for one, two in combinations(away, 2)
        if still >= away.keys() - {one, two}
        for by in away[one]
        if by and -by in away[two]
    ]
    for moved in ways:
        last = {lane: _latest(found, lane, by) for lane, by in moved.items()}
        for lane, by in moved.items():
            others = tuple(
                _moved(other, last[other], moved[other]) for other in moved if other != lane
            )
            for place in range(lanes.first[lane], _end(found, lane) + 1):
                if place != last[lane]:
                    yield (*others, _moved(lane, place, by))
        yield tuple(_moved(lane, place, moved[lane]) for lane, place in last.items())


def _left_behind(lanes: Lanes, run: Sequence[Kept]) -> Iterator[Shifts]:
    """One stroke took one fewer from a lane than was counted: its first or last one stayed behind,
    or its last one stood in another lane (a divider that miscounted). From there on the lane in
    which that one stands is one late. What is rarer comes first."""
    within: list[Shifts] = []
    strokes = (each for kept in run for each in zip(kept.starts, kept.strokes, strict=True))
    for starts, counts in strokes:
        for lane, count in enumerate(counts):
            units = lanes.take(lane, starts[lane], count)
            if not units:
                continue
            end = starts[lane] + count
            within.append((Shift(lane, starts[lane], count, (*units[1:], HOLE, units[0])),))
            within.append((Shift(lane, end - 1, 0, (HOLE,)),))
            for other in sorted(lanes.units.keys() - {lane}):
                stands = Shift(other, starts[other] + counts[other], 0, (units[-1],))
                yield (Shift(lane, end - 1, 1, (HOLE,)), stands)
    yield from within


def _moved(lane: int, place: int, by: int) -> Shift:
    """Units that nobody saw come in (by > 0), or that were taken out (by < 0)."""
    return Shift(lane, place, max(0, -by), (None,) * max(0, by))


def _latest(found: Kept, lane: int, by: int) -> int:
    return found.starts[0][lane] - max(0, by)


def _end(found: Kept, lane: int) -> int:
    return found.starts[-1][lane] + found.strokes[-1][lane]


def _distances(lanes: Lanes, lane: int, found: Kept) -> list[int]:
    """By how many units the lane may have slipped before this container; 0 first."""
    seen = set(found.seen)
    mine = {unit for unit in lanes.units[lane] if unit is not None}
    fitting = []
    for by in sorted(range(-FARTHEST, FARTHEST + 1), key=abs):
        part: set[int | None] = set()
        for counts, starts in zip(found.strokes, found.starts, strict=True):
            start = max(starts[lane] - by, lanes.first[lane])
            part |= set(lanes.take(lane, start, starts[lane] - by + counts[lane] - start))
        part.discard(None)
        if seen & mine <= part and (part <= seen or not found.whole):
            fitting.append(by)
    return fitting
