"""The warehouse's facts as events: what came, left, came back, was counted, opened and packed.

Pure; `sync.epcis` calls it for its rows of the journal. Goods are named as everywhere in events: a
unit of this agent by its code or place in a pool, others by the code that was scanned.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agent.core import facts as f
from agent.core.facts import Moved
from agent.ports.cloud import Posted
from sync.events import EARLIEST_MS, LATEST_MS, Event, Speaker
from sync.movements import Kind, Movement, Pieces, moved
from sync.pending import State
from sync.teller import Teller

_INWARD = frozenset({"receive", "return_in"})
_KINDS = {
    "receive": Kind.RECEIVED,
    "ship": Kind.SHIPPED,
    "return_in": Kind.RETURN_RECEIVED,
    "return_out": Kind.RETURN_SHIPPED,
}


def closed(row: Teller, fact: f.DocumentClosed) -> list[Event]:
    """A document is posted: its units moved, and what it waited for did not come."""
    opened = _posted(row, fact).opened
    events = row.first(_own(each.ref for each in fact.moved))
    for n, (one, some) in enumerate(_alike(fact.moved)):
        events += _movement(row, fact, opened, f"{n}", one, some)
    return events + _missing(row, fact, opened)


def _movement(
    row: Teller,
    fact: f.DocumentClosed,
    opened: f.DocumentOpened,
    part: str,
    one: Moved,
    some: Sequence[Moved],
) -> list[Event]:
    """Units that moved in the same way."""
    party, kind = fact.party, opened.kind
    source, target = _place(party, one.source), _place(party, one.target)
    inward = kind in _INWARD
    more = {
        **_about(row, party, fact.number),
        "day": fact.day,
        "territory": opened.territory,
        "channel": opened.channel,
        "reason": opened.reason,
        "condition": one.condition,
        "implicit": one.implicit,
        "unscanned": one.unscanned,
        "difference": fact.difference,
    }
    if fact.sampled:
        more |= {"sampled": fact.sampled, "sampledOf": len(fact.moved)}
    if kind == "transfer":
        # The goods leave one place and come to another, at once and with the same party.
        ends: dict[str, Any] = {"source": (party, source), "destination": (party, target)}
        return [
            event
            for way, here in ((Kind.SHIPPED, source), (Kind.RECEIVED, target))
            for event in _told(row, way, some, f"{way}/{part}", here, more=more, **ends)
        ]
    return _told(
        row,
        _KINDS[kind],
        some,
        f"{kind}/{part}",
        target if inward else source,
        source=(opened.other, "") if inward else (party, source),
        destination=(party, target) if inward else (opened.other, ""),
        papers=_papers(fact, opened),
        more=more,
    )


def _papers(
    fact: f.DocumentClosed | f.DocumentReversed, opened: f.DocumentOpened
) -> dict[str, str]:
    """What a movement refers to: a receipt names the paper by which the goods were sent."""
    number, paper = fact.number, opened.paper
    match opened.kind:
        case "ship":
            return {"po": paper, "desadv": number}
        case "receive":
            return {"desadv": paper or ("" if opened.blind else number), "recadv": number}
        case "return_in" | "return_out":
            return {"rma": paper or number}
    return {}


def _missing(row: Teller, fact: f.DocumentClosed, opened: f.DocumentOpened) -> list[Event]:
    """What was told to come and does not come any more."""
    lines = {line.product for line in opened.lines}
    lines |= {f"{line.product}/{line.lot}" for line in opened.lines}
    refs = [ref for ref in fact.missing if ref not in lines]
    if opened.kind != "receive" or not refs:
        return []
    movement = Movement(
        Kind.LOST,
        tuple(_name(row, ref) for ref in refs),
        (opened.other, ""),
        (fact.party, ""),
        _papers(fact, opened),
        {**_about(row, fact.party, fact.number), "missing": True, "reason": fact.reason},
        part="missing",
    )
    return moved(row.say, movement)


def counted(row: Teller, fact: f.CountPosted) -> list[Event]:
    """A stock-take is posted: what was found here, and what should be here and is not."""
    events = row.first(_own(each.ref for each in (*fact.found, *fact.lost)))
    about = {**_about(row, fact.party, fact.number), "countSession": fact.number, "day": fact.day}
    for n, (one, some) in enumerate(_alike(fact.found)):
        here = _place(fact.party, one.target)
        # What stood elsewhere with the same party is no more than before.
        known = one.state == "stock" and bool(one.source)
        events += _told(row, Kind.COUNTED, some, f"found/{n}", here, more=about, silent=known)
    for n, (one, some) in enumerate(_alike(fact.lost)):
        here = _place(fact.party, one.source)
        events += _told(row, Kind.LOST, some, f"lost/{n}", here, more={**about, "lost": True})
    return events


def reversed_(row: Teller, fact: f.DocumentReversed) -> list[Event]:
    """A posted document never was: what was shipped is not, and all else is declared wrong."""
    posted = _posted(row, fact)
    opened, entry = posted.opened, posted.entry
    if entry is None:
        return []
    told = entry.fact
    if isinstance(told, f.DocumentClosed) and opened.kind == "ship":
        events = []
        for n, (one, some) in enumerate(_alike(told.moved)):
            source = _place(fact.party, one.source)
            more = {
                **_about(row, fact.party, fact.number),
                "day": fact.day,
                "reason": fact.reason,
                "implicit": one.implicit,
            }
            events += _told(
                row,
                Kind.SHIPMENT_VOIDED,
                some,
                f"void/{n}",
                source,
                source=(fact.party, source),
                destination=(opened.other, ""),
                papers=_papers(fact, opened),
                more=more,
            )
        return events
    at = entry.clock.wall_ms
    if not EARLIEST_MS <= at < LATEST_MS:
        at = row.look.wall_ms(entry.seq, EARLIEST_MS, LATEST_MS) or EARLIEST_MS
    before = Teller(State(), row.look, Speaker(row.identity, entry, at))
    again = TELL[type(told)](before, told)
    declared = {"declarationTime": row.say.time, "reason": "did_not_occur"}
    return [{**event, "errorDeclaration": declared} for event in again]


def stopped(row: Teller, fact: f.ItemDone) -> list[Event]:
    """Goods that were sent to somebody else came to a party: it does not take them in, and the
    brand learns where they are. Only the text that was scanned is told."""
    if fact.verdict != "not_for_party" or not fact.code:
        return []
    document = row.look.document(fact.party, fact.document)
    if document is None or document.opened.kind not in (*_INWARD, "count"):
        return []
    more = {f"x:{name}": value for name, value in _about(row, fact.party, fact.document).items()}
    more |= {"x:inspection": True, "x:refused": True, "x:why": fact.verdict}
    code = row.identity.code(fact.code)
    return row.say.objects("OBSERVE", "refused", "inspecting", "in_progress", [code], more)


def opened_goods(row: Teller, fact: f.GoodsOpened) -> list[Event]:
    """Foreign units left what held them."""
    more = {"x:reason": fact.why, "x:unknown": 0, "x:party": _party(row, fact.party)}
    names = [_name(row, ref) for ref in fact.children]
    return row.say.aggregated("DELETE", "unpack", _name(row, fact.parent), names, more)


def packed_goods(row: Teller, fact: f.GoodsPacked) -> list[Event]:
    """Foreign units were put together: each was scanned, and so was what holds them now."""
    names = [_name(row, ref) for ref in fact.children]
    more: dict[str, Any] = {"x:evidence": "scanned", "x:unknown": 0}
    if fact.level:  # a new one: this is all that it holds
        whole = {"x:level": fact.level, "x:expectedQuantity": len(names), "x:own": "scanned"}
        more |= {**whole, "x:integrity": "proven"}
    more["x:party"] = _party(row, fact.party)
    return row.say.aggregated("ADD", "pack", _name(row, fact.parent), names, more)


# ---------------------------------------------------------------------------------------- parts


def _told(
    row: Teller,
    kind: Kind,
    some: Sequence[Moved],
    part: str,
    here: str,
    *,
    silent: bool = False,
    **more: Any,
) -> list[Event]:
    names = [_name(row, each.ref) for each in some]
    content = {
        name: [Pieces(*held) for held in each.content]
        for name, each in zip(names, some, strict=True)
        if not silent
    }
    movement = Movement(kind, tuple(names), content=content, here=here, part=part, **more)
    return moved(row.say, movement)


def _alike(units: Iterable[Moved]) -> list[tuple[Moved, list[Moved]]]:
    """Units that moved in the same way, together; in the order of the first of each."""
    found: dict[tuple[Any, ...], list[Moved]] = {}
    for each in units:
        known = each.state == "stock" and bool(each.source)
        way = (
            each.source,
            each.target,
            each.implicit,
            each.unscanned,
            each.condition,
            known,
        )
        found.setdefault(way, []).append(each)
    return [(some[0], some) for some in found.values()]


def _posted(row: Teller, fact: f.DocumentClosed | f.DocumentReversed) -> Posted:
    found = row.look.document(fact.party, fact.number)
    if found is None:
        raise LookupError(f"the journal does not say how document {fact.number} was opened")
    return found


def _about(row: Teller, party: str, number: str) -> dict[str, Any]:
    return {"party": _party(row, party), "document": number}


def _party(row: Teller, party: str) -> str:
    return row.identity.own("party", party)


def _place(party: str, location: str) -> str:
    return f"{party}/{location}" if location else ""


def _unit(ref: str) -> int | None:
    return int(ref[2:]) if ref.startswith("u:") and ref[2:].isdecimal() else None


def _own(refs: Iterable[str]) -> list[int]:
    return [unit for unit in map(_unit, refs) if unit is not None]


def _name(row: Teller, ref: str) -> str:
    unit = _unit(ref)
    return row.identity.code(ref) if unit is None else row.known_as(unit)


TELL: dict[type[f.Fact], Callable[[Teller, Any], list[Event]]] = {
    f.DocumentClosed: closed,
    f.DocumentReversed: reversed_,
    f.CountPosted: counted,
    f.GoodsOpened: opened_goods,
    f.GoodsPacked: packed_goods,
    f.ItemDone: stopped,
}
"""The facts of the warehouse that are told; all others have no document of their own."""
