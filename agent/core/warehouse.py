"""Decisions of the warehouse: what an item of a PDA or the panel means, as facts.

Scans only claim units for a document; closing it moves them (`posting`). What must leave something
else for that is opened then: foreign units by a fact, units of this agent by the rework that lines
know of (`Decision.opens`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.facts import Content
from agent.core.goods import ALL_WORDS, SUPERVISE, Item
from agent.core.rules import FINAL, INWARD, OPERATIONS, Case, Doc, Good, judge

CONDITIONS = ("", "sellable", "damaged", "inspect")
MOST_CHILDREN = 2_000


@dataclass(frozen=True, slots=True)
class KnownGoods:
    """A unit as the store knows it now. `code` is its code as people may read it ("" = secret or
    none), `above` the refs of what holds it, the nearest first; `parent` the nearest. `own`: this
    agent made it."""

    ref: str
    good: Good
    content: tuple[Content, ...]
    code: str = ""
    above: tuple[str, ...] = ()
    own: bool = False

    @property
    def parent(self) -> str:
        return self.above[0] if self.above else ""


@dataclass(frozen=True, slots=True)
class KnownClaim:
    """A unit that was scanned for the document, as it is now, and what was said at the scan."""

    goods: KnownGoods
    reason: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """A document as the store knows it. `doc` is what the rules see. `asn`: what it expects is
    told."""

    party: str
    number: str
    kind: str
    status: str
    location: str
    to: str
    other: str
    doc: Doc
    paper: str = ""
    round: int = 1
    reason: str = ""
    condition: str = ""

    @property
    def asn(self) -> bool:
        return self.doc.asn


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says. `place` is the location that goods come to or leave where the document
    names none. For a scan: `scanned`, whether the text can be a `code`, what of it is `seen` on the
    document and which claims lie `inside` it; `told` is what an unknown code says of itself.
    For a closing: all `claims`, what is still `expected`, what `stands` at a counted location,
    units by ref and their children. `receipts` is how many parts of the ASN were received."""

    party: str
    operations: tuple[str, ...]
    at_ms: int
    day: str
    place: str
    document: KnownDocument | None = None
    code: bool = True
    scanned: KnownGoods | None = None
    told: f.Told | None = None
    seen: str = ""
    inside: tuple[str, ...] = ()
    claims: tuple[KnownClaim, ...] = ()
    expected: tuple[KnownGoods, ...] = ()
    stands: tuple[KnownGoods, ...] = ()
    unit: Callable[[str], KnownGoods | None] = lambda ref: None
    children: Callable[[str], tuple[str, ...] | None] = lambda ref: None
    receipts: int = 0
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What an item is answered with, and what is written for it. `opens` are (parent, child) of
    this agent's own units to be taken apart before `facts` are written."""

    word: str
    args: Mapping[str, Any] = field(default_factory=dict)
    facts: tuple[f.Fact, ...] = ()
    ref: str = ""
    code: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    opens: tuple[tuple[str, str], ...] = ()


def need(known: Known, kind: str) -> KnownDocument:
    """The document of an item. DomainError: it may not be worked on."""
    if known.document is None:
        raise DomainError("no_document", "There is no document of this number: open it first.")
    if kind not in known.operations:
        raise DomainError("not_allowed", f"You may not do this here ({kind}): ask a supervisor.")
    return known.document


# ----------------------------------------------------------------------------------------- scan


def scan(item: Item, known: Known) -> Decision:
    """A unit is scanned for a document, or taken back."""
    document = known.document
    if document is None:
        return Decision("no_document")
    goods = known.scanned
    case = Case(
        document.kind,
        document.doc,
        None if goods is None else goods.good,
        known.operations,
        item.remove,
        known.code,
        known.seen,
        known.told is not None,
        item.answer,
    )
    verdict = judge(case)
    ref = goods.ref if goods is not None else ""
    code = goods.code if goods is not None else (item.text if known.code else "")
    word, args = verdict.word, verdict.args
    if goods is not None and goods.good.state == "elsewhere" and not known.seen:
        ref = ""
    if ALL_WORDS[word] not in ("ok", "warn") or item.remove:
        return Decision(word, args, (), ref, code)
    if "not_expected" in item.answer.split() and not item.reason:
        return Decision("not_expected", {"need": "reason"}, (), ref, code)
    facts: tuple[f.Fact, ...] = ()
    if goods is None:
        assert known.told is not None
        told = known.told
        facts = (f.GoodsTold(document.party, "", (told,)),)
        goods = KnownGoods(
            told.ref,
            Good(told.level, told.product, told.lot, told.pieces, "expected", mine=False),
            (Content(told.product, told.lot, told.pieces),),
            told.ref,
        )
    body: dict[str, Any] = {
        "content": goods.content,
        "level": goods.good.level,
        "above": goods.above,
        "answer": item.answer,
    }
    if known.inside:
        body["instead"] = known.inside
    if goods.good.state == "stock" and goods.good.mine and document.kind not in (*INWARD, "count"):
        body["held_at"] = goods.good.location
    return Decision(word, args, facts, goods.ref, goods.code or code, body)


def stopped(item: Item, known: Known) -> Decision:
    """A device stopped a scan by itself and says so: judged here anew, and nothing is claimed."""
    told = scan(item, known)
    if ALL_WORDS[told.word] != "stop":
        return Decision("noted", {"word": told.word}, (), told.ref, told.code)
    return replace(told, facts=(), body={})


# --------------------------------------------------------------------------------- other deeds


def opened(fact: f.DocumentOpened, known: Known) -> Decision:
    """A document is made on a PDA, the panel or from a file."""
    if known.document is not None:
        return Decision("exists", {"number": fact.number, "status": known.document.status})
    if fact.kind not in OPERATIONS or fact.kind not in known.operations:
        return Decision("not_allowed", {"op": fact.kind})
    if fact.kind in ("ship", "return_out") and not fact.other and not fact.lines:
        raise DomainError("party_missing", "Say to which party the goods go.")
    if fact.kind == "return_in" and not fact.reason:
        raise DomainError("reason_missing", "Say why the goods come back.")
    if fact.condition not in CONDITIONS:
        raise DomainError("condition_unknown", "The condition is sellable, damaged or inspect.")
    if fact.kind == "transfer" and (not fact.to or fact.to == fact.location):
        raise DomainError("location_missing", "Say to which other location the goods go.")
    if fact.kind == "count" and not fact.location:
        raise DomainError("location_missing", "Say which location is counted.")
    return Decision("opened", {"number": fact.number}, (fact,))


def handed_over(item: Item, known: Known, by: str) -> Decision:
    """Another device goes on with the document."""
    document = need(known, known.document.kind if known.document else "")
    if document.status not in ("open", "counted"):
        return Decision("closed", {"status": document.status})
    device = str(item.body.get("device", ""))
    fact = f.DocumentHandedOver(document.party, document.number, device, by)
    return Decision("handed_over", {"device": device}, (fact,))


def unpack(item: Item, known: Known, by: str) -> Decision:
    """A child that is scanned alone leaves what holds it; or all that a unit holds leaves it."""
    goods = _loose_deed(known, item)
    if isinstance(goods, Decision):
        return goods
    if item.body.get("all") or not goods.parent:
        children = known.children(goods.ref)
        if not children:
            raise DomainError("nothing_inside", "Nothing is known to be in it: scan a child.")
        parent, leaving = goods.ref, children
    else:
        parent, leaving = goods.parent, (goods.ref,)
    args = {"units": len(leaving)}
    if goods.own:
        opens = tuple((parent, child) for child in leaving)
        return Decision("unpacked", args, (), goods.ref, goods.code, opens=opens)
    fact = f.GoodsOpened(known.party, parent, leaving, item.reason or "unpacked", by)
    return Decision("unpacked", args, (fact,), goods.ref, goods.code)


def _loose_deed(known: Known, item: Item) -> KnownGoods | Decision:
    """The unit that is to be taken apart or put together; or why it may not be."""
    goods = known.scanned
    if not known.code:
        return Decision("not_a_code")
    if goods is None or goods.good.state == "elsewhere":
        return Decision("unknown", code=item.text if goods is None else goods.code)
    if goods.good.state in FINAL:
        return Decision(goods.good.state, {}, (), goods.ref, goods.code)
    if goods.good.claimed:
        return Decision("claimed", {"document": goods.good.claimed}, (), goods.ref, goods.code)
    if goods.good.state == "in_transit":
        args = {"to": goods.good.to, "when": goods.good.when}
        return Decision("shipped_already", args, (), goods.ref, goods.code)
    return goods


def pack(item: Item, known: Known, children: tuple[KnownGoods | None, ...], by: str) -> Decision:
    """Foreign units of one place go into a parent, which may be new."""
    if not children or len(children) > MOST_CHILDREN:
        raise DomainError("children_missing", f"Scan 1 to {MOST_CHILDREN:,} units to put in.")
    inner: list[KnownGoods] = []
    for child in children:
        found = _loose_deed(replace(known, scanned=child, code=True), item)
        if isinstance(found, Decision):
            return found
        inner.append(found)
    parent = known.scanned
    if parent is None and known.told is None:
        level = str(item.body.get("level", ""))
        if not known.code or not level:
            raise DomainError("parent_missing", "Scan the new container and say its level.")
    if any(child.own for child in inner) or (parent is not None and parent.own):
        raise DomainError("packed_here", "Units made here are packed at the panel: cases, pack.")
    if any(child.above for child in inner):
        raise DomainError("still_inside", "Some of these are in something else: unpack them first.")
    places = {(child.good.state, child.good.location) for child in inner}
    if parent is not None and parent.good.pieces:
        places.add((parent.good.state, parent.good.location))
        kinds = {each[:2] for unit in (parent, *inner) for each in unit.content}
        if len(kinds) > 1 and not known.children(parent.ref):
            raise DomainError("content_unknown", "What is in it is not told: it keeps its one lot.")
    if len(places) > 1 or next(iter(places))[0] != "stock":
        raise DomainError("not_together", "They do not all stand in stock at one location.")
    ref = parent.ref if parent is not None else item.text
    if any(child.ref == ref for child in inner):
        raise DomainError("in_itself", "A unit cannot be in itself: scan the container again.")
    level = "" if parent is not None else str(item.body.get("level", ""))
    refs = tuple(dict.fromkeys(child.ref for child in inner))
    fact = f.GoodsPacked(known.party, ref, refs, by, level)
    return Decision("packed", {"units": len(refs)}, (fact,), ref, ref)


def reverse(item: Item, known: Known, by: str) -> Decision:
    """A posted document is taken back."""
    document = need(known, SUPERVISE)
    if document.status != "closed":
        raise DomainError(
            "not_posted", f"Only a posted document is reversed; it is {document.status}."
        )
    if not item.reason:
        raise DomainError("reason_missing", "Say why the document is reversed.")
    fact = f.DocumentReversed(
        document.party, document.number, by, item.reason, known.at_ms, known.day
    )
    return Decision("reversed", {"number": document.number}, (fact,))
