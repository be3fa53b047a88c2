"""A code that is seen twice: a bottle that comes back, a copy, or a neighbour in view.

Which of two things has the code nobody can say at that moment, so both are in doubt; what comes
later tells: the other one shows its own code, or this one is read where it belongs.
"""

from collections.abc import Collection, Iterable

from agent.core import anchors
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.doubt import CHILD
from agent.core.evolve import MISSED, NOWHERE, has_gate, kept_of
from agent.core.known import KnownUnit
from agent.core.life import UnitState
from agent.core.outcome import Outcome
from agent.core.plan import Station
from agent.core.scheme import LevelSpec
from agent.core.state import Item, Kept, LineState, Packing
from agent.core.tracking import units_on_line

DUPLICATE = "duplicate"


def returning(
    out: Outcome, station: Station, item: Item, what: i.ItemReadings, spec: LevelSpec
) -> int | None:
    """The unit that this item is, come back after it had left the line; None if it is none. Only
    where its primary code is read and the gate decides."""
    if item.unit is not None or not has_gate(station) or len(item.waiting) != 1:
        return None
    if spec.primary in item.reads:
        return None
    for text in what.texts:
        code = out.known.codes.get(text)
        if code is not None and code.role == spec.primary and code.unit is not None:
            same = code.unit.level == station.level
            return code.unit.unit if same and may_return(out.state, code.unit) else None
    return None


def may_return(state: LineState, unit: KnownUnit) -> bool:
    """Whether the unit is known to have left the line, or was missed on it, and is in nothing."""
    if unit.parent is not None or unit.held:
        return False
    away = unit.state in (UnitState.REJECTED, UnitState.UNPACKED)
    missed = unit.state is UnitState.VERIFIED and unit.unit in state.missed
    return (away or missed) and unit.unit not in units_on_line(state)


def doubt(out: Outcome, others: tuple[int, ...], expected: f.CodeKey | None) -> None:
    """Another item showed a code of these units."""
    by_order = tuple(
        kept.unit
        for packing in out.state.packing.values()
        for kept in packing.kept
        if not kept.whole and not set(others).isdisjoint(kept.children)
    )
    anchors.suspect(
        out,
        [name for name, packing in out.state.packing.items() if _holds(out, name, packing, others)],
    )
    # By the record one of them is in a container that nobody looked into: or is it here?
    out.facts.append(f.UnitsDoubted((*others, *by_order), DUPLICATE))
    if expected is not None:
        out.facts.append(f.NeighbourSuspected(others, expected))


def resolve(out: Outcome, unit: int, back: int | None, keys: Iterable[f.CodeKey]) -> None:
    """An item passed: what it shows may end a doubt."""
    state, shown = out.state, set(keys)
    right = {other for other, expected in state.suspected.items() if expected in shown}
    if back is not None:
        right.add(unit)
        for station, packing in state.packing.items():
            suspects = [suspect for suspect in packing.suspects if suspect.unit != unit]
            if len(suspects) < len(packing.suspects) and not suspects and packing.doubt == MISSED:
                # It is here: so it was not in a lane, and the order is right.
                right |= {
                    kept.unit for kept in packing.kept if kept.doubt == MISSED and not kept.child
                }
                out.clear("order_doubtful", station)
    seen(out, right)


def _holds(out: Outcome, station: str, packing: Packing, units: Collection[int]) -> bool:
    """Whether one of them is by count in a lane of this packer, or in a container of it."""
    lanes = out.state.lanes.get(station, {}).values()
    kept = (kept.children for kept in packing.kept if not kept.whole)
    return any(unit in units for held in (*lanes, *kept) for unit in held)


def uncertain(out: Outcome, kept: Kept, children: Iterable[int | None]) -> bool:
    """Whether a child of this container was in doubt itself when it was packed, and is now."""
    known = out.known.units
    doubtful = (child in known and known[child].doubtful for child in children if child)
    return kept.child and any(doubtful)


def of_place(state: LineState, container: int) -> bool:
    """Whether only the place or code of a container is in doubt: seeing it says nothing of what it
    holds."""
    found = kept_of(state, container)
    return found is not None and found[1].doubt in (DUPLICATE, NOWHERE)


def seen(out: Outcome, units: Iterable[int]) -> None:
    """These units were seen where the record has them, and so is what holds them by order."""
    right = set(units)
    if not right:
        return
    doubted = out.state.suspected.keys() - right
    for packing in out.state.packing.values():
        right |= {
            kept.unit
            for kept in packing.kept
            if kept.doubt in (CHILD, DUPLICATE)
            and not right.isdisjoint(kept.children)
            and doubted.isdisjoint(kept.children)
        }
    out.facts.append(f.DoubtResolved(tuple(sorted(right)), "seen"))
