"""Decisions about what people scan by hand at a line: the content of one container.

What a scan says about containers before and after it is decided in `slips`.
"""

from agent.core import broken, slips
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.known import KnownUnit
from agent.core.outcome import Outcome
from agent.core.restate import ELSEWHERE, Read, may_be_there, restate
from agent.core.rework import name, unit_of

MOST_SCANNED = 512
"""Codes of one scan."""


def hand_scanned(out: Outcome, what: i.HandScanned) -> None:
    """A person scanned children of one container, and perhaps its own code."""
    if not what.by:
        raise DomainError("who_missing", "Say who scanned it (--by): the record names the person.")
    if not what.texts or len(what.texts) > MOST_SCANNED:
        raise DomainError("nothing_named", f"Scan between 1 and {MOST_SCANNED} codes.")
    units = list({unit.unit: unit for unit in (unit_of(out, t) for t in what.texts)}.values())
    complete = what.complete or what.empty
    container, own = (_empty(out, units), True) if what.empty else _container(out, units)
    if complete and not what.empty and len(units) == 1 and units[0].unit in out.known.containers:
        raise DomainError(
            "scan_alone",
            f"Only {name(out, units[0].unit)} was scanned, and nothing in it. Scan all that it "
            "holds with it, or say that it is empty.",
        )
    seen = [unit for unit in units if unit.unit != container.unit]
    held = out.known.containers[container.unit]
    inside = {link.child for link in held.links}
    out.facts.append(
        f.ContainerScanned(
            container.unit, tuple(unit.unit for unit in seen), complete, own, what.by
        )
    )
    how = Read(f.LinkEvidence.SCANNED, f.OwnCode.SCANNED if own else None, "scanned", what.by)
    children = tuple(unit.unit for unit in seen)
    if slips.content_seen(out, container.unit, children, how, whole=complete):
        return
    strangers = [unit for unit in seen if unit.unit not in inside]
    if complete:
        _as_scanned(out, container.unit, children, how)
    elif strangers:
        doubted = {container.unit, *(unit.unit for unit in strangers)}
        doubted |= {unit.parent for unit in strangers if unit.parent is not None}
        out.facts.append(f.UnitsDoubted(tuple(sorted(doubted)), "scan_differs"))
        broken.seen_elsewhere(out, "", strangers, "scanned")


def _as_scanned(out: Outcome, container: int, seen: tuple[int, ...], how: Read) -> None:
    """The container holds what was scanned in it, whatever was recorded."""
    before = out.known.containers[container]
    right = {link.child for link in before.links} == set(seen)
    if not right or before.integrity is not f.Integrity.PROVEN:
        content = [child if may_be_there(out, child, container) else None for child in seen]
        losers = restate(out, {container: content}, {container: how}, ELSEWHERE)
        for loser in losers:
            out.facts.append(f.UnitsDoubted((loser,), ELSEWHERE))
        if losers:
            broken.mark(out, "", losers, seen[0], ELSEWHERE)
    if out.known.units[container].doubtful:
        out.facts.append(f.DoubtResolved((container,), "scanned"))


def _empty(out: Outcome, units: list[KnownUnit]) -> KnownUnit:
    """The container of which a person says that nothing is in it."""
    if len(units) != 1 or units[0].unit not in out.known.containers:
        raise DomainError(
            "empty_unclear", "Scan the code of the empty container, and no other code."
        )
    return units[0]


def _container(out: Outcome, units: list[KnownUnit]) -> tuple[KnownUnit, bool]:
    """The container that was scanned, and whether its own code was among the scans."""
    over = [unit for unit in units if _is_above(out, unit, units)]
    if len(over) == 1:
        return over[0], True
    boxes = [unit for unit in units if unit.unit in out.known.containers]
    holding = [box for box in boxes if not any(box.parent == other.unit for other in boxes)]
    levels = {unit.level for unit in units}
    if len(holding) == 1 and len(levels) > 1:
        return holding[0], True
    parents = {unit.parent for unit in units}
    (parent,) = parents if len(parents) == 1 else (None,)
    if parent is None or parent not in out.known.units:
        one = name(out, units[0].unit)
        raise DomainError(
            "scan_unclear",
            f"These codes ({one} ...) do not name one container: scan the container's own code "
            "with them.",
        )
    return out.known.units[parent], False


def _is_above(out: Outcome, box: KnownUnit, units: list[KnownUnit]) -> bool:
    """Whether all the others are of the level that this container holds, by its packing scheme.
    Where the record has them does not matter: a scan shows that they are elsewhere."""
    order = out.known.orders.get(box.order)
    below = order.scheme.below(box.level) if order is not None else None
    others = [unit for unit in units if unit is not box]
    return (
        box.unit in out.known.containers
        and below is not None
        and bool(others)
        and all(unit.level == below.name for unit in others)
    )
