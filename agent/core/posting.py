"""Decisions that post documents of the warehouse: closing them, accepting an ASN whole, counting.

What must leave something else for that is opened then (`Decision.opens`).
"""

from collections.abc import Iterable
from dataclasses import replace

from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.facts import Content, Moved
from agent.core.goods import SUPERVISE, Item
from agent.core.rules import FINAL, INWARD
from agent.core.warehouse import Decision, Known, KnownClaim, KnownDocument, KnownGoods, need


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
