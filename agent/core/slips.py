"""What a later reading says of containers that were packed by order: that it was right, or where it
slipped. Nothing is deleted: what was recorded wrongly is corrected by facts that name it."""

from collections.abc import Collection, Iterable
from copy import copy

from agent.core import align, anchors, broken, duplicates
from agent.core import facts as f
from agent.core.align import Content, Solution
from agent.core.evolve import MISSED, STRANGER, guessed, kept_of
from agent.core.outcome import Outcome
from agent.core.restate import ELSEWHERE, Read, may_be_there, restate
from agent.core.state import Gap, Kept, LineState, Packing

SLIP = "slip"
_LOCATED = ("", MISSED, STRANGER)


def units_at(state: LineState, stations: Iterable[str]) -> tuple[int, ...]:
    """The units that a slip at these packers may move."""
    found: list[int] = []
    for station in stations:
        packing = state.packing.get(station)
        if packing is not None:
            for kept in packing.kept:
                found += [c for c in (*kept.children, *kept.counted) if c is not None]
            for gap in packing.gaps:
                found += [c for lane in gap.behind.values() for c in lane if c is not None]
                found += [s.unit for s in gap.suspects if s.unit is not None]
            found += [s.unit for s in packing.suspects if s.unit is not None]
    return tuple(dict.fromkeys(found))


def content_seen(
    out: Outcome,
    container: int,
    seen: Collection[int],
    how: Read,
    *,
    whole: bool,
) -> bool:
    """Children were read in a container: all that it holds (`whole`), or some. False: it is not
    remembered here, or tells nothing of the order."""
    found = kept_of(out.state, container)
    if found is None:
        _of_old(out, container, set(seen), whole=whole)
        return False
    if not seen and not whole:
        return True
    station, kept = found
    if kept.changed and kept.astray:
        return False  # broken: what is missing in it says nothing of the order
    packing = out.state.packing[station]
    if not seen:
        _empty(out, station, kept, how)
        return True
    if whole:
        anchors.read(out, station, container)
    read = copy(kept)
    read.seen, read.whole = sorted({*kept.seen, *seen}), whole or kept.whole
    for gap in packing.gaps:
        if container in gap.containers and container != gap.found and not kept.whole:
            run = [read if k.unit == container else k for k in packing.kept]
            if _in_gap(_Reading(out, station, read, whole, how), run, gap):
                return True
    run, place, since = _since_reading(packing, read)
    solution = None
    if all(k.starts for k in run):
        lanes = out.state.lanes.get(station, {})
        solution = align.solve(run, lanes, packing.suspects, place)
    else:  # of before a restart: the lanes are counted anew since
        solution = _alone(run, place)
    reading = _Reading(out, station, read, whole, how)
    if solution is None or not _possible(out, run, solution):
        reading.unexplained(run, since)
    elif solution.shifts:
        reading.slipped(run, solution, since)
    else:
        reading.as_predicted(run, solution)
    return True


def _empty(out: Outcome, station: str, kept: Kept, how: Read) -> None:
    """Nothing is in a container: that shows that the order slipped, and not by how much. Where that
    is known already, it says what this one holds and no more."""
    packing = out.state.packing[station]
    nothing = copy(kept)
    nothing.seen, nothing.whole = [], True
    reading = _Reading(out, station, nothing, True, how)
    slipped = any(kept.unit in gap.containers for gap in packing.gaps)
    if slipped or kept.whole or not any(kept.children):
        reading.alone()
        return
    run, _, since = _since_reading(packing, nothing)
    reading.unexplained(run, since)


def _since_reading(packing: Packing, read: Kept) -> tuple[list[Kept], int, int]:
    """The containers since the last full reading before this one, with `read` in its place; which
    of them it is, and the unit of that full reading (0: there was none)."""
    at = next(n for n, kept in enumerate(packing.kept) if kept.unit == read.unit)
    first = max((n + 1 for n in range(at) if packing.kept[n].whole), default=0)
    run = [*packing.kept[first:at], read, *packing.kept[at + 1 :]]
    return run, at - first, packing.kept[first - 1].unit if first else 0


def _of_old(out: Outcome, container: int, seen: set[int], *, whole: bool) -> None:
    """Only the name is remembered of this container and of those around it. What does not fit its
    record says that the order was wrong, not for which of them."""
    held = out.known.containers.get(container)
    recorded = {link.child for link in held.links if link.child} if held is not None else seen
    if seen <= recorded and (not whole or recorded <= seen):
        return
    for station, packing in out.state.packing.items():
        others = tuple(unit for unit in packing.forgotten if unit != container)
        if container in packing.forgotten and others:
            out.facts.append(f.UnitsDoubted(others, SLIP))
            out.alarm("slip_found", 2, station, count=str(len(others)))
            anchors.suspect(out, [station])


def _in_gap(reading: "_Reading", kept: list[Kept], gap: Gap) -> bool:
    """A container was read of those among which a slip began. False: it follows on them."""
    run = [k for k in kept if k.unit in gap.containers]
    units = [k.unit for k in run]
    if gap.found not in units or units.index(reading.kept.unit) > units.index(gap.found):
        return False
    found = units.index(gap.found)
    counted = []
    for each in run:
        as_counted = copy(each)
        as_counted.children = each.counted
        counted.append(as_counted)
    solution = align.explain(counted, gap.behind, gap.suspects, found)
    if solution is not None and not _possible(reading.out, run, solution):
        solution = None
    reading.narrows(run[:found], solution)
    return True


def _alone(run: list[Kept], found: int) -> Solution | None:
    """What a reading of `run[found]` says by itself, of the others nothing."""
    if not align.fits(run[found], run[found].children):
        return None
    contents = [list(kept.children) for kept in run]
    return Solution((), contents, {}, [n == found for n in range(len(run))], certain=False)


def _possible(out: Outcome, run: list[Kept], solution: Solution) -> bool:
    """Whether the units that a solution moves may be where it puts them."""
    if not solution.shifts:
        return True
    for kept, content in zip(run, solution.contents, strict=True):
        if content != kept.children and kept.changed:
            return False
        for child in set(content) - set(kept.children) - {None}:
            if child is not None and not may_be_there(out, child, kept.unit):
                return False
    return True


class _Reading:
    """One reading of a container, and what follows from it."""

    def __init__(
        self,
        out: Outcome,
        station: str,
        kept: Kept,
        whole: bool,
        read: Read,
    ) -> None:
        self.out = out
        self.station = station
        self.kept = kept
        self.whole = whole
        self.read = read

    def as_predicted(self, run: list[Kept], solution: Solution) -> None:
        """Nothing slipped, by what was read so far."""
        out = self.out
        if not self.whole:
            out.facts.append(f.ChildrenSeen(self.kept.unit, tuple(self.kept.seen)))
            return
        self.alone()
        packing = out.state.packing[self.station]
        located = packing.doubt in (*_LOCATED, SLIP) and solution.certain
        kept = next(k for k in packing.kept if k.unit == self.kept.unit)
        anchors.confirm(out, self.station, kept, settles=kept.fresh or located)
        self._resolve(run, solution)

    def slipped(self, run: list[Kept], solution: Solution, since: int) -> None:
        """The order slipped, and it is known how."""
        out, packing = self.out, self.out.state.packing[self.station]
        new = {
            kept.unit: content
            for kept, content in zip(run, solution.contents, strict=True)
            if content != kept.children and not kept.whole
        }
        if self.whole:
            at = next(n for n, kept in enumerate(run) if kept.unit == self.kept.unit)
            new[self.kept.unit] = self._filled(solution.contents[at])
        doubtful = [
            kept.unit
            for kept, agreed in zip(run, solution.agreed, strict=True)
            if not agreed and not kept.whole
        ]
        doubt = "" if solution.certain else SLIP
        if packing.doubt not in (*_LOCATED, SLIP) and not self.kept.fresh:
            doubt = packing.doubt
        self._found(run, doubtful, doubt, since, solution)
        for lane, units in solution.queues.items():
            if units != out.state.lanes.get(self.station, {}).get(lane, []):
                out.facts.append(f.LaneRestated(self.station, lane, tuple(units)))
        self._restate(new)
        self._resolve(run, solution)
        if not doubt:
            out.clear("order_doubtful", self.station)

    def narrows(self, run: list[Kept], solution: Solution | None) -> None:
        """It is read in the midst of containers among which a slip began: `run`, of which those are
        known now that every explanation that is left gives the same content."""
        if not self.whole:
            self.out.facts.append(f.ChildrenSeen(self.kept.unit, tuple(self.kept.seen)))
        new: dict[int, Content] = {}
        right: list[int] = []
        for n, kept in enumerate(run):
            content = kept.children if solution is None else solution.contents[n]
            if kept.unit == self.kept.unit and self.whole:
                new[kept.unit] = self._filled(content)
            elif solution is not None and solution.agreed[n] and not kept.whole:
                if content != kept.children:
                    new[kept.unit] = content
                if self._explained(kept, content):
                    right.append(kept.unit)
        self._restate(new)
        if right:
            self.out.facts.append(f.DoubtResolved(tuple(right), SLIP))

    def alone(self) -> None:
        """All of it was read, and that says nothing of the others."""
        self._restate({self.kept.unit: self._filled(self.kept.children)})

    def unexplained(self, run: list[Kept], since: int) -> None:
        """Nothing explains what was read, or too much does: the run is to be scanned by hand."""
        doubtful = [kept.unit for kept in run if kept.unit != self.kept.unit and not kept.whole]
        if not self.whole:
            doubtful.append(self.kept.unit)
        self._found(run, doubtful, SLIP, since, None)
        if self.whole:
            self.alone()

    def _found(
        self,
        run: list[Kept],
        doubtful: list[int],
        doubt: str,
        since: int,
        solution: Solution | None,
    ) -> None:
        shifts = solution.shifts if solution is not None else ()
        told = tuple((s.lane, s.place, s.gone, len(s.more)) for s in shifts)
        containers = tuple(kept.unit for kept in run)
        self.out.facts.append(
            f.SlipFound(
                self.station,
                self.kept.unit,
                self.whole,
                since,
                told,
                containers,
                tuple(doubtful),
                doubt,
            )
        )
        forgotten = () if since else tuple(self.out.state.packing[self.station].forgotten)
        if forgotten:  # nothing is remembered of what they were packed from
            self.out.facts.append(f.UnitsDoubted(forgotten, SLIP))
        anchors.unconfirmed(self.out, self.station)
        self.out.alarm("slip_found", 2, self.station, count=str(len(doubtful) + len(forgotten)))

    def _restate(self, new: dict[int, Content]) -> None:
        reads = {self.kept.unit: self.read} if self.whole else {}
        losers = restate(self.out, new, reads, SLIP)
        for unit in losers:
            self.out.facts.append(f.UnitsDoubted((unit,), ELSEWHERE))
        if losers:
            broken.mark(self.out, self.station, losers, self.kept.seen[0], ELSEWHERE)
        if self.whole and self.kept.doubt:
            self.out.facts.append(f.DoubtResolved((self.kept.unit,), self.read.why))

    def _filled(self, content: Content) -> Content:
        """All that was read in it, in the places that were predicted as far as they fit."""
        seen = dict.fromkeys(self.kept.seen)
        rest: Content = [unit for unit in seen if unit not in content]
        rest = [u if u and may_be_there(self.out, u, self.kept.unit) else None for u in rest]
        found: Content = []
        for child in content:
            if child in seen:
                found.append(child)
            elif rest:
                found.append(rest.pop(0))
        return [*found, *rest]

    def _resolve(self, run: list[Kept], solution: Solution) -> None:
        """What was doubtful for what was noticed at the infeed, and is explained now."""
        packing = self.out.state.packing[self.station]
        if packing.doubt not in (*_LOCATED, SLIP) and not solution.shifts:
            return
        at = next(n for n, kept in enumerate(run) if kept.unit == self.kept.unit)
        guesses = guessed(packing)
        right = tuple(
            kept.unit
            for n, (kept, agreed) in enumerate(zip(run, solution.agreed, strict=True))
            if agreed and kept.unit not in guesses and (n <= at or solution.certain)
            if self._explained(kept, solution.contents[n])
        )
        if right:
            self.out.facts.append(f.DoubtResolved(right, SLIP))

    def _explained(self, kept: Kept, content: Content) -> bool:
        """Whether what made a container doubtful is explained when its order is: that says what is
        in it, not where it is, nor that a child is the one whose code was read on it."""
        order = kept.doubt in (MISSED, STRANGER, SLIP)
        return order and not kept.astray and not duplicates.uncertain(self.out, kept, content)
