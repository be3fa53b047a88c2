"""Decisions of the warehouse: what an item of a PDA or the panel means, as facts.

Scans only claim units for a document; closing the document moves them. What must leave something
else for that is opened then: foreign units by a fact, units of this agent by the rework that lines
know of (`Decision.opens`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.facts import Content, Moved
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


# ---------------------------------------------------------------------------------------- close


def close(item: Item, known: Known, by: str) -> Decision:
    """A document is posted, or a part of an ASN."""
    document = need(known, known.document.kind if known.document else "")
    if document.status == "counted":
        return post_count(item, known, by)
    if document.status != "open":
        return Decision("closed", {"status": document.status})
    if document.kind == "count":
        return count_done(item, known, by)
    missing = _missing(document, known)
    ends = bool(item.body.get("end")) or not document.asn or not missing
    acknowledged = "difference" in item.answer.split()
    if not known.claims and not (acknowledged and ends):
        raise DomainError("nothing_scanned", "Nothing was scanned for this document: scan first.")
    extra = [c for c in known.claims if document.asn and not _is_expected(c.goods)]
    if (missing or extra) and not acknowledged:
        return Decision("difference", {"missing": len(missing), "extra": len(extra)})
    differs = bool(missing or extra)
    claims = whole(known.claims, known)
    moved = tuple(_moved(document, claim, known) for claim in claims)
    number, facts = document.number, _opened(document.party, claims, "moved_alone", by)
    if not ends:
        number = f"{document.number}.{known.receipts + 1}"
        facts.append(_part(document, number, known, by))
    facts.append(
        f.DocumentClosed(
            document.party,
            number,
            moved,
            tuple(missing) if ends else (),
            differs,
            item.reason,
            by,
            at_ms=known.at_ms,
            day=known.day,
        )
    )
    pieces = sum(each.pieces for one in moved for each in one.content)
    said = {"number": number, "units": len(moved), "pieces": pieces, "missing": len(missing)}
    return Decision("posted", said, tuple(facts), opens=_own_opens(claims))


def _part(document: KnownDocument, number: str, known: Known, by: str) -> f.DocumentOpened:
    """The receipt of a part of an ASN."""
    doc = document.doc
    return f.DocumentOpened(
        document.party,
        number,
        document.kind,
        document.location or known.place,
        document.other,
        "",
        "",
        doc.channel,
        (),
        document.number,
        False,
        "agent",
        by,
        document.reason,
        document.condition,
        known.at_ms,
    )


def _is_expected(goods: KnownGoods) -> bool:
    return goods.good.expected


def _missing(document: KnownDocument, known: Known) -> list[str]:
    """What the document wants and nobody scanned: units of an ASN, lines."""
    if document.asn:
        covered = {claim.goods.ref for claim in whole(known.claims, known)}
        return [each.ref for each in known.expected if each.ref not in covered]
    return [
        f"{line.product}/{line.lot}" if line.lot else line.product
        for line in document.doc.lines
        if line.done < line.pieces
    ]


def whole(claims: Iterable[KnownClaim], known: Known) -> list[KnownClaim]:
    """The same, where all children of a unit were scanned: that unit itself."""
    found = {claim.goods.ref: claim for claim in claims}
    again = True
    while again:
        again = False
        by_parent: dict[str, list[str]] = {}
        for ref, claim in found.items():
            if claim.goods.parent:
                by_parent.setdefault(claim.goods.parent, []).append(ref)
        for parent, refs in by_parent.items():
            children = known.children(parent)
            unit = known.unit(parent)
            if children is None or unit is None or set(children) != set(refs):
                continue
            first = found[refs[0]]
            for ref in refs:
                del found[ref]
            found[parent] = replace(first, goods=unit)
            again = True
    return list(found.values())


def _moved(document: KnownDocument, claim: KnownClaim, known: Known) -> Moved:
    goods = claim.goods
    good = goods.good
    _still_fits(document, goods)
    here = document.location or known.place
    source = good.location if good.state == "stock" else ("" if document.kind in INWARD else here)
    target = {"ship": "", "return_out": "", "transfer": document.to}.get(document.kind, here)
    implicit = good.state != "stock" and document.kind not in INWARD
    implicit = implicit or (document.kind == "return_in" and good.state in ("made", "lost"))
    return Moved(
        goods.ref,
        goods.content,
        good.state,
        source,
        target,
        implicit,
        False,
        good.integrity,
        good.level,
        claim.condition or document.condition,
    )


def _still_fits(document: KnownDocument, goods: KnownGoods) -> None:
    """DomainError: since the scan something happened to the unit."""
    state = goods.good.state
    inward = document.kind in INWARD
    wrong = state in FINAL or (state == "elsewhere" and not (inward and goods.good.expected))
    wrong = wrong or (state == "stock" and inward)
    wrong = wrong or (state == "in_transit" and goods.good.mine and not inward)
    if wrong:
        name = goods.code or goods.ref
        raise DomainError(
            "claim_gone",
            f"{name} is {state} since it was scanned: take it off the document, then close it.",
        )


def _opened(party: str, claims: Iterable[KnownClaim], why: str, by: str) -> list[f.Fact]:
    """Foreign units that go alone leave what holds them."""
    leaving: dict[str, list[str]] = {}
    for claim in claims:
        if claim.goods.parent and not claim.goods.own:
            leaving.setdefault(claim.goods.parent, []).append(claim.goods.ref)
    return [
        f.GoodsOpened(party, parent, tuple(children), why, by)
        for parent, children in leaving.items()
    ]


def _own_opens(claims: Iterable[KnownClaim]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (claim.goods.parent, claim.goods.ref)
        for claim in claims
        if claim.goods.own and claim.goods.parent
    )


# ---------------------------------------------------------------------------------- accept all


def accept_all(item: Item, known: Known, by: str) -> Decision:
    """A whole ASN is received by one confirmation and some scanned samples."""
    document = need(known, "receive")
    if document.status != "open":
        return Decision("closed", {"status": document.status})
    if not document.asn or document.kind != "receive":
        raise DomainError(
            "no_asn", "Only a receipt whose content is told can be accepted whole: scan the goods."
        )
    wanted = min(known.samples, len(known.expected))
    sampled = len(known.claims)
    if sampled < wanted:
        return Decision("samples_missing", {"left": wanted - sampled})
    return _all(document, known, by, item.reason, sampled)


def unscanned(known: Known) -> Decision:
    """Nobody scanned an ASN for so long that it counts as received."""
    assert known.document is not None
    return _all(known.document, known, "", "unscanned_days", len(known.claims))


def _all(document: KnownDocument, known: Known, by: str, reason: str, sampled: int) -> Decision:
    tops = {each.ref: each for each in known.expected}
    seen = {claim.goods.ref for claim in known.claims}
    for claim in known.claims:
        seen.update(claim.goods.above)
    moved = [
        replace_unscanned(_moved(document, KnownClaim(each), known), each.ref not in seen)
        for each in known.expected
    ]
    others = [
        claim
        for claim in known.claims
        if claim.goods.ref not in tops and not tops.keys() & set(claim.goods.above)
    ]
    moved += [_moved(document, claim, known) for claim in others]
    facts = _opened(document.party, others, "moved_alone", by)
    facts.append(
        f.DocumentClosed(
            document.party,
            document.number,
            tuple(moved),
            (),
            bool(others),
            reason,
            by,
            sampled,
            known.at_ms,
            known.day,
        )
    )
    pieces = sum(each.pieces for one in moved for each in one.content)
    said = {"number": document.number, "units": len(moved), "pieces": pieces, "missing": 0}
    return Decision("posted", said, tuple(facts), opens=_own_opens(others))


def replace_unscanned(moved: Moved, unscanned: bool) -> Moved:
    return moved._replace(unscanned=unscanned)


# ---------------------------------------------------------------------------------------- count


def count_done(item: Item, known: Known, by: str) -> Decision:
    """All of a location was counted: it fits, is counted again, or waits for a supervisor."""
    document = need(known, "count")
    if document.kind != "count":
        raise DomainError("not_a_count", "This document is no stock-take: close it.")
    if document.status != "open":
        return Decision("closed", {"status": document.status})
    decision = _count(document, known, by)
    posted = decision.facts[-1]
    assert isinstance(posted, f.CountPosted)
    if not posted.found and not posted.lost:
        return decision
    if document.round == 1:
        return Decision("count_again", {"found": len(posted.found), "lost": len(posted.lost)})
    return Decision("counted", {"found": len(posted.found), "lost": len(posted.lost)})


def post_count(item: Item, known: Known, by: str) -> Decision:
    """A supervisor posts the differences of a stock-take."""
    document = need(known, SUPERVISE)
    decision = _count(document, known, by)
    posted = decision.facts[-1]
    assert isinstance(posted, f.CountPosted)
    if (posted.found or posted.lost) and "difference" not in item.answer.split():
        return Decision("difference", {"missing": len(posted.lost), "extra": len(posted.found)})
    return decision


def _count(document: KnownDocument, known: Known, by: str) -> Decision:
    claims = whole(known.claims, known)
    standing = {each.ref: each for each in known.stands}
    counted = {claim.goods.ref for claim in claims}
    left = {ref: list(each.content) for ref, each in standing.items() if ref not in counted}
    found: list[KnownClaim] = []
    alone: list[KnownClaim] = []
    for claim in claims:
        if claim.goods.ref in standing:
            continue
        if claim.goods.above:
            alone.append(claim)
        top = claim.goods.above[-1] if claim.goods.above else ""
        if top in standing:
            # It is where it should be; what holds it by the record has so much less.
            if top in left:
                left[top] += [each._replace(pieces=-each.pieces) for each in claim.goods.content]
        else:
            found.append(claim)
    here = document.location or known.place
    lost = []
    for ref, content in left.items():
        rest = _summed(content)
        if rest:
            good = standing[ref].good
            lost.append(Moved(ref, rest, "stock", good.location, "", level=good.level))
    facts = _opened(document.party, alone, "counted_alone", by)
    facts.append(
        f.CountPosted(
            document.party,
            document.number,
            tuple(
                Moved(
                    claim.goods.ref,
                    claim.goods.content,
                    claim.goods.good.state,
                    claim.goods.good.location,
                    here,
                    integrity=claim.goods.good.integrity,
                    level=claim.goods.good.level,
                )
                for claim in found
            ),
            tuple(lost),
            by,
            known.at_ms,
            known.day,
        )
    )
    said = {"number": document.number, "found": len(found), "lost": len(lost)}
    return Decision("posted", said, tuple(facts), opens=_own_opens(alone))


def _summed(content: Iterable[Content]) -> tuple[Content, ...]:
    sums: dict[tuple[str, str], int] = {}
    for product, lot, pieces in content:
        sums[product, lot] = sums.get((product, lot), 0) + pieces
    return tuple(Content(*key, pieces) for key, pieces in sums.items() if pieces)


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
