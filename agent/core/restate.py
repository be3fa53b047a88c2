"""Write what containers hold after all: corrections of the ones that were read, and of those that
lose a child to them. A child is in one container, so no correction stands alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core import duplicates
from agent.core import facts as f
from agent.core.align import Content
from agent.core.evolve import kept_of
from agent.core.life import UnitState
from agent.core.outcome import Outcome
from agent.core.pack import integrity

ELSEWHERE = "elsewhere"
_MAY_MOVE = (UnitState.VERIFIED, UnitState.PACKED, UnitState.UNPACKED, UnitState.REJECTED)


@dataclass(frozen=True, slots=True)
class Read:
    """How one container was read: `own` says where its own code was read with the children."""

    evidence: f.LinkEvidence
    own: f.OwnCode | None
    why: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class _Held:
    content: Content
    closed: bool
    own: f.OwnCode


def held(out: Outcome, container: int) -> _Held | None:
    """What the record says of a container; None where it is not known here."""
    whole = out.known.containers.get(container)
    if whole is not None:
        children = [link.child for link in whole.links]
        return _Held(children, whole.integrity is not None, whole.own or f.OwnCode.UNREAD)
    found = kept_of(out.state, container)
    if found is None:
        return None
    kept = found[1]
    children = list(kept.children)
    if kept.changed:
        here = {u.unit for u in out.known.units.values() if u.parent == container}
        children = [child for child in children if child is None or child in here]
    closed = bool(kept.worth) or any(
        isinstance(fact, f.ContainerClosed) and fact.container == container for fact in out.facts
    )
    return _Held(children, closed, f.OwnCode(kept.own or f.OwnCode.UNREAD))


def may_be_there(out: Outcome, child: int, container: int) -> bool:
    """Whether the record can be brought to say that this child is in this container."""
    unit = out.known.units.get(child)
    if unit is None:
        unit = next(
            (c.unit for c in out.known.codes.values() if c.unit and c.unit.unit == child), None
        )
    if unit is None or unit.state not in _MAY_MOVE:
        return False
    return unit.parent in (None, container) or held(out, unit.parent) is not None


def restate(
    out: Outcome, new: Mapping[int, Content], reads: Mapping[int, Read], why: str
) -> list[int]:
    """Containers hold `new`. Gives those that only lost a child: what is in its place is unknown.
    `reads` says how some of them were read; of the others only the order is known, for `why`."""
    contents = {container: list(content) for container, content in new.items()}
    seen = {child for container in reads for child in contents.get(container, ())}
    for container in contents.keys() - reads.keys():
        contents[container] = [None if c in seen else c for c in contents[container]]
    taken = {child for content in contents.values() for child in content if child is not None}
    losers = []
    for child in sorted(taken):
        parent = _parent(out, child)
        if parent is None or parent in contents:
            continue
        before = held(out, parent)
        if before is not None:
            contents[parent] = [None if c in taken else c for c in before.content]
            losers.append(parent)
    moved = [
        child
        for container, content in contents.items()
        for child in content
        if child is not None and _parent(out, child) != container
    ]
    for container, content in contents.items():
        _correct(out, container, content, reads.get(container), why)
    unsure = tuple(sorted(child for child in moved if _content_doubtful(out, child)))
    if unsure:
        # Who found where they are has not looked into them.
        out.facts.append(f.UnitsDoubted(unsure, why))
    return losers


def _content_doubtful(out: Outcome, child: int) -> bool:
    """Whether the child is a container, and in doubt for what it holds and not for its place (where
    nobody knows for which: for both)."""
    found = kept_of(out.state, child)
    if found is not None:
        kept = found[1]
        return bool(kept.doubt) and not kept.whole and not duplicates.of_place(out.state, child)
    unit = out.known.units.get(child)
    if unit is None or not unit.doubtful:
        return False
    order = out.known.orders.get(unit.order)
    return order is None or order.scheme.below(unit.level) is not None


def _parent(out: Outcome, child: int) -> int | None:
    for packing in out.state.packing.values():
        for kept in packing.kept:
            if child in kept.children and not kept.changed:
                return kept.unit
    unit = out.known.units.get(child)
    return None if unit is None else unit.parent


def _correct(out: Outcome, container: int, content: Content, read: Read | None, why: str) -> None:
    before = held(out, container)
    if before is None:
        return
    evidence = (read.evidence,) if read is not None else _evidence(out, container, content)
    own = read.own if read is not None and read.own is not None else before.own
    worth = integrity(set(evidence), content.count(None), own, doubtful=False)
    out.facts.append(
        f.LinksCorrected(
            container,
            tuple(content),
            tuple(c for c in before.content if c is not None and c not in content),
            evidence,
            worth if before.closed else None,
            why if read is None else read.why,
            "" if read is None else read.by,
        )
    )


def _evidence(out: Outcome, container: int, content: Content) -> tuple[f.LinkEvidence, ...]:
    """Children that stay keep the evidence that they had."""
    whole = out.known.containers.get(container)
    if whole is None:
        return (f.LinkEvidence.ORDER,)
    had = {link.child: link.evidence for link in whole.links}
    return tuple(had.get(child, f.LinkEvidence.ORDER) for child in content)
