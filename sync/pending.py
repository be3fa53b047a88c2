"""What the cloud has not been told of yet: items that are in no closed container, and containers.

A thing is *told* by the first document that names it; until then what is known of it is kept here,
so that its commissioning can travel with its case. The state is a function of the journal up to a
row, and small: what is between the first station and a closed case. Pure.
"""

from collections.abc import Iterable, Iterator

import msgspec

from agent.core import facts as f
from agent.core.facts import Attachment, Fact, Integrity, LinkEvidence
from agent.ports.cloud import Entry

Child = tuple[int | None, str]
"""A unit (None = unknown) and the evidence that it is in its container."""


class Thing(msgspec.Struct):
    """An item or (with `expected` >= 0) a container, as the journal had it at some row.

    `born` is its first row and `born_ms` when that was written. `seen_off`: it was taken off the
    line. `integrity` is None until it is closed."""

    level: str
    order: str
    born: int
    born_ms: int
    line: str
    codes: tuple[Attachment, ...] = ()
    expected: int = -1
    children: tuple[Child, ...] = ()
    own: str = ""
    closed: bool = False
    integrity: Integrity | None = None
    reason: str = ""
    doubtful: bool = False
    seen_off: bool = False

    @property
    def is_container(self) -> bool:
        """Whether it holds other units."""
        return self.expected >= 0


class State(msgspec.Struct):
    """What is pending after row `seq`, by unit; `last_ms` is the newest time that can be true."""

    seq: int = 0
    last_ms: int = 0
    things: dict[int, Thing] = {}

    def to_json(self) -> bytes:
        """The state as it is stored."""
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(body: bytes) -> "State":
        """The state that was stored; msgspec.DecodeError if it is of another version."""
        return msgspec.json.decode(body, type=State)


def begins(entry: Entry) -> tuple[int, Thing] | None:
    """The unit that this row brings into being."""
    at = entry.seq, entry.clock.wall_ms, entry.line
    match entry.fact:
        case f.ItemPassed(commissioned=True) as fact:
            return fact.unit, Thing(fact.level, fact.order, *at, codes=fact.codes)
        case f.ContainerFormed() as fact:
            return fact.unit, Thing(fact.level, fact.order, *at, expected=fact.expected)
    return None


def concerned(fact: Fact) -> Iterable[int]:
    """The units of which a fact says something (`absorb` knows what)."""
    match fact:
        case f.ItemPassed() | f.Relabelled():
            return (fact.unit,)
        case f.ContainerFormed():
            return (fact.unit,)
        case f.RejectConfirmed(unit=int(unit)) | f.ForeignRejected(unit=int(unit)):
            return (unit,)
        case f.ContainerRefused(unit=int(unit)):
            return (unit,)
        case f.LinksCorrected():
            return (fact.container, *fact.removed, *(c for c in fact.children if c is not None))
        case (
            f.Packed()
            | f.Unpacked()
            | f.LabelBound()
            | f.ContainerClosed()
            | f.ContainerReopened()
            | f.ContainerRejected()
            | f.ContainerConfirmed()
        ):
            return (fact.container,)
        case f.ContainersAnchored() | f.ContainersBroken():
            return fact.containers
        case f.UnitsDoubted() | f.ItemsMissed() | f.DoubtResolved():
            return fact.units
        case f.UnitsSampled() | f.UnitsDestroyed():
            return fact.units
        case f.RunBegan() | f.SlipFound():
            return fact.doubtful
        case f.PathDisturbed():
            return fact.containers
    return ()


def absorb(thing: Thing, unit: int, fact: Fact) -> None:
    """What a fact says of this unit."""
    match fact:
        case f.ItemPassed():
            thing.seen_off = False
            _bear(thing, fact.codes)
        case f.LabelBound():
            thing.seen_off = False
            thing.own = fact.own.value
            _bear(thing, fact.codes)
        case f.Relabelled():
            new = Attachment(fact.role, fact.new, fact.pair)
            kept = tuple(new if code.key == fact.old else code for code in thing.codes)
            thing.codes = kept if new in kept else (*kept, new)
        case f.Packed():
            thing.children += _children(fact)
            thing.doubtful |= bool(fact.doubt)
        case f.Unpacked():
            unknown = fact.unknown
            left: list[Child] = []
            for child, why in thing.children:
                if child is None and unknown:
                    unknown -= 1
                elif child not in fact.children:
                    left.append((child, why))
            thing.children = tuple(left)
        case f.LinksCorrected():
            if unit == fact.container:
                thing.children = _children(fact)
                thing.integrity = fact.integrity or thing.integrity
            elif unit in fact.removed:
                thing.doubtful = True  # until it is seen nobody knows where it is
        case f.ContainerClosed():
            thing.closed, thing.integrity, thing.reason = True, fact.integrity, fact.reason
        case f.ContainerReopened():
            thing.closed, thing.integrity, thing.reason = False, None, ""
        case f.ContainersAnchored():
            thing.integrity, thing.doubtful = Integrity.ANCHORED, False
        case f.ContainersBroken():
            thing.doubtful = True
            if thing.integrity in (Integrity.PROVEN, Integrity.ANCHORED):
                thing.integrity = Integrity.INFERRED
        case f.ContainerConfirmed() | f.DoubtResolved():
            thing.doubtful = False
        case f.UnitsDoubted() | f.ItemsMissed() | f.RunBegan() | f.PathDisturbed() | f.SlipFound():
            thing.doubtful = True
        case f.RejectConfirmed() | f.ForeignRejected() | f.ContainerRejected():
            thing.seen_off = True


def steps(entries: Iterable[Entry], unit: int) -> Iterator[tuple[Entry, Thing]]:
    """A unit after each row that says something of it, given in order: one Thing, changed."""
    thing: Thing | None = None
    for entry in entries:
        began = begins(entry)
        if began is not None and began[0] == unit:
            thing = began[1]
        elif thing is not None and unit in concerned(entry.fact):
            absorb(thing, unit, entry.fact)
        else:
            continue
        yield entry, thing


def replay(entries: Iterable[Entry], unit: int) -> Thing | None:
    """A unit after the rows that concern it, given in order; None if it does not begin in them."""
    thing: Thing | None = None
    for _, changed in steps(entries, unit):
        thing = changed
    return thing


def _bear(thing: Thing, codes: Iterable[Attachment]) -> None:
    there = {code.key for code in thing.codes}
    thing.codes += tuple(code for code in codes if code.key not in there)


def _children(fact: f.Packed | f.LinksCorrected) -> tuple[Child, ...]:
    why: tuple[LinkEvidence, ...] = fact.evidence
    if len(why) == 1:
        return tuple((child, why[0].value) for child in fact.children)
    return tuple((c, w.value) for c, w in zip(fact.children, why, strict=True))
