"""Anchors: full readings of containers that were packed by order.

A full reading that comes out as predicted shows that the order was right up to here; two of them
with nothing unexplained between make what was packed between them *anchored* (DOMAIN.md).
"""

from collections.abc import Iterable
from itertools import takewhile

from agent.core import facts as f
from agent.core.outcome import Outcome
from agent.core.state import Kept, Packing


def unanchored(packing: Packing, most: int) -> int:
    """Containers since the last one that was read in full; counted up to `most`."""
    count = 0
    for kept in reversed(packing.kept):
        if kept.whole or count == most:
            break
        count += 1
    return count


def halving(packing: Packing) -> list[int]:
    """The doubtful containers among which slips began, the one that is best scanned first: the
    middle one of the longest run that no full reading divides, then that of the next longest.
    Empty: no such slip is open."""
    runs: list[list[int]] = []
    for gap in packing.gaps:
        runs.append([])
        for kept in packing.kept:
            if kept.unit in gap.containers and kept.whole:
                runs.append([])
            elif kept.unit in gap.containers and kept.doubt and kept.worth:
                runs[-1].append(kept.unit)
    found: list[int] = []
    for run in sorted(runs, key=len, reverse=True):
        middle = len(run) // 2
        found += sorted(run, key=lambda unit: abs(run.index(unit) - middle))
    return found


def best(packing: Packing, *, asked: bool) -> list[int]:
    """The closed containers of which a scan tells most, the best one first. While the panel asks
    for one, the newest behind the last full reading: it shows where the lanes stand now, and with
    it what is before it. One that lies before a full reading says nothing of what comes; it tells
    where a slip began."""
    newest = _newest(packing) if asked else []
    return [*newest, *(unit for unit in halving(packing) if unit not in newest)]


def _newest(packing: Packing, behind: int = 0) -> list[int]:
    """The closed containers behind the last full reading, and behind the container `behind` if that
    came later (0: none); the newest first."""
    kept = takewhile(lambda kept: not kept.whole and kept.unit != behind, reversed(packing.kept))
    return [each.unit for each in kept if each.worth]


def ask(out: Outcome, station: str, number: int) -> None:
    """A container of this packer is closed: ask for a hand-scanned one when too many are not
    anchored."""
    packing, wanted = out.state.packing.get(station), _every(out, station)
    if packing is None or not wanted or out.open("anchor_wanted", station):
        return
    count = unanchored(packing, wanted)
    if count >= wanted:
        out.alarm("anchor_wanted", 3, station, number, count=str(count))


def suspect(out: Outcome, stations: Iterable[str]) -> None:
    """Something was read that does not fit what was packed by order at these stations: ask for a
    hand-scanned container at once, if there is one that would tell."""
    for station in stations:
        count = len(_newest(out.state.packing[station]))
        if count and _every(out, station):
            out.alarm("anchor_wanted", 3, station, count=str(count))


def unconfirmed(out: Outcome, station: str) -> None:
    """The order was set right by the reading that found the slip, and by nothing else: ask for one
    more of what comes."""
    if _every(out, station):
        out.alarm("slip_unconfirmed", 3, station)


def ask_last(out: Outcome) -> None:
    """Nothing more comes: what was packed since the last full reading has none behind it, unless a
    person scans the last one."""
    suspect(out, out.state.packing)


def _every(out: Outcome, station: str) -> int:
    own = out.plan.by_id[station].anchor_every
    return out.plan.anchor_every if own is None else own


def read(out: Outcome, station: str, container: int) -> None:
    """All of this container was read, whatever it said: nobody needs to scan another one for what
    was packed until then."""
    if len(_newest(out.state.packing[station], container)) < max(1, _every(out, station)):
        out.clear("anchor_wanted", station)


def confirm(out: Outcome, station: str, kept: Kept, *, settles: bool) -> None:
    """A full reading of this container came out as predicted; `settles`: what follows is certain
    with it."""
    packing = out.state.packing[station]
    out.facts.append(f.ContainerConfirmed(station, kept.unit, settles))
    at = packing.kept.index(kept)
    before = next((n for n in range(at - 1, -1, -1) if packing.kept[n].fit), None)
    after = next((n for n in range(at + 1, len(packing.kept)) if packing.kept[n].fit), None)
    for first, last in ((before, at), (at, after)):
        if first is not None and last is not None:
            _between(out, station, packing.kept[first : last + 1])
    if all(not kept.whole or kept.fit for kept in packing.kept[at:]):
        out.clear("slip_unconfirmed", station)
    if settles:
        out.clear("order_doubtful", station)


def _between(out: Outcome, station: str, run: list[Kept]) -> None:
    """`run` begins and ends with a full reading that came out as predicted."""
    if any(kept.disturbed for kept in run[1:]):
        return
    # The order says what is in a container that went astray, not where it is.
    found = tuple(
        kept.unit for kept in run[1:-1] if kept.worth == f.Integrity.INFERRED and not kept.astray
    )
    if found:
        out.facts.append(f.ContainersAnchored(station, run[0].unit, run[-1].unit, found))
