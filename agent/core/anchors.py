"""Anchors: full readings of containers that were packed by order.

A full reading that comes out as predicted shows that the order was right up to here; two of them
with nothing unexplained between make what was packed between them *anchored* (DOMAIN.md).
"""

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
    """The doubtful containers among which a slip began, the one that is best scanned first: the
    middle one. Empty: no such slip is open."""
    for gap in packing.gaps:
        inside = [kept for kept in packing.kept if kept.unit in gap.containers]
        doubtful = [kept.unit for kept in inside if kept.doubt and kept.worth and not kept.whole]
        if doubtful:
            middle = len(doubtful) // 2
            return sorted(doubtful, key=lambda unit: abs(doubtful.index(unit) - middle))
    return []


def ask(out: Outcome, station: str, number: int) -> None:
    """A container of this packer is closed: ask for a hand-scanned one when too many are not
    anchored."""
    packing, wanted = out.state.packing.get(station), _every(out, station)
    if packing is None or not wanted or out.open("anchor_wanted", station):
        return
    count = unanchored(packing, wanted)
    if count >= wanted:
        out.alarm("anchor_wanted", 3, station, number, count=str(count))


def ask_last(out: Outcome) -> None:
    """Nothing more comes: what was packed since the last full reading has none behind it, unless a
    person scans the last one."""
    for station, packing in out.state.packing.items():
        last = max((n for n, kept in enumerate(packing.kept) if kept.whole), default=-1)
        count = sum(bool(kept.worth) for kept in packing.kept[last + 1 :])
        if count and _every(out, station):
            out.alarm("anchor_wanted", 3, station, count=str(count))


def _every(out: Outcome, station: str) -> int:
    own = out.plan.by_id[station].anchor_every
    return out.plan.anchor_every if own is None else own


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
    out.clear("anchor_wanted", station)
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
