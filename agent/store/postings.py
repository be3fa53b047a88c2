"""The warehouse's facts to tables: what is claimed for documents, and what these posted.

A scan claims a unit for one open document; a posting moves units and books sums. For each unit it
keeps what was before, so that it can be taken back.
"""

import json
from collections.abc import Callable
from typing import Any

from agent.core import facts as f
from agent.core.facts import Content
from agent.core.goods import ALL_WORDS
from agent.core.life import IllegalTransition, UnitState
from agent.store import goods, units
from agent.store.books import Sum, book, reserve, sums
from agent.store.database import Connection
from agent.store.documents import Document, find, get
from agent.store.goods import Place
from agent.store.words import UNIT_NUMBER

# --------------------------------------------------------------------------------------- claims


def _claim(conn: Connection, doc: Document, fact: f.ItemDone) -> None:
    said = json.loads(fact.body)
    for ref in said.get("instead", ()):
        _release(conn, doc, ref)
    content = [Content(*each) for each in said.get("content", ())]
    over = [str(ref) for ref in said.get("above", ())]
    held_at = said.get("held_at")
    conn.change(
        "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.ref,
            doc.id,
            doc.party,
            said.get("level", ""),
            json.dumps(content),
            held_at,
            fact.device,
            fact.seq,
            fact.by,
            fact.at_ms,
            said.get("answer", ""),
            fact.reason,
            fact.condition,
            json.dumps(over),
        ),
    )
    for upper in over:
        conn.change("INSERT INTO claim_above VALUES (?, ?, ?)", (upper, doc.id, fact.ref))
    for product, lot, pieces in content:
        conn.change(
            "INSERT INTO claimed VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT DO UPDATE SET pieces = pieces + ?4",
            (doc.id, product, lot, pieces),
        )
    if held_at is not None:
        reserve(conn, doc.party, held_at, content, 1)


def _release(conn: Connection, doc: Document, ref: str) -> None:
    row = conn.one(
        "SELECT content, held_at, above FROM claim WHERE ref = ? AND document = ?", (ref, doc.id)
    )
    if row is None:
        raise IllegalTransition(f"{ref} is not on document {doc.number}")
    content = [Content(*each) for each in json.loads(row[0])]
    for product, lot, pieces in content:
        conn.change(
            "UPDATE claimed SET pieces = pieces - ? WHERE document = ? AND product = ? AND lot = ?",
            (pieces, doc.id, product, lot),
        )
    if row[1] is not None:
        reserve(conn, doc.party, row[1], content, -1)
    for upper in json.loads(row[2]):
        conn.change(
            "DELETE FROM claim_above WHERE above = ? AND document = ? AND ref = ?",
            (upper, doc.id, ref),
        )
    conn.change("DELETE FROM claim WHERE ref = ? AND document = ?", (ref, doc.id))


def _release_all(conn: Connection, doc: Document) -> None:
    found = conn.execute("SELECT ref FROM claim WHERE document = ? ORDER BY ref", (doc.id,))
    for (ref,) in found.fetchall():
        _release(conn, doc, ref)


# ------------------------------------------------------------------------------ facts to tables


def _told(conn: Connection, seq: int, line: str, fact: f.GoodsTold) -> None:
    if not fact.document:
        goods.tell(conn, fact, 0, Place("told", fact.party))
        return
    doc = get(conn, fact.party, fact.document)
    place = Place(
        "expected",
        fact.party,
        sent_by=doc.other,
        sent_to=fact.party,
        territory=doc.territory,
        channel=doc.channel,
    )
    goods.tell(conn, fact, doc.id, place)
    if fact.last and doc.status == "coming":
        conn.change("UPDATE document SET status = 'open' WHERE id = ?", (doc.id,))


def _opened(conn: Connection, seq: int, line: str, fact: f.DocumentOpened) -> None:
    if find(conn, fact.party, fact.number) is not None:
        raise IllegalTransition(f"{fact.party} has a document {fact.number} already")
    conn.change(
        f"INSERT INTO document VALUES (NULL{', ?' * 23})",
        (
            fact.party,
            fact.number,
            fact.kind,
            "coming" if fact.coming else "open",
            fact.location,
            fact.other,
            fact.to,
            fact.territory,
            fact.channel,
            json.dumps([line._asdict() for line in fact.lines]),
            fact.paper,
            fact.blind,
            fact.source,
            fact.by,
            fact.reason,
            fact.condition,
            "",
            1,
            fact.at_ms,
            0,
            "",
            seq,
            0,
        ),
    )


def _item(conn: Connection, seq: int, line: str, fact: f.ItemDone) -> None:
    severity = ALL_WORDS.get(fact.verdict, "stop")
    conn.change(
        "INSERT INTO item_done VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.device,
            fact.seq,
            fact.party,
            fact.do,
            fact.document,
            fact.ref,
            fact.code,
            fact.verdict,
            fact.args,
            fact.item,
            fact.by,
            fact.at_ms,
            fact.device_ms,
            # What the device stopped by itself a person has seen already.
            1 if severity in ("stop", "ask") and fact.do != "stopped" else None,
            seq,
        ),
    )
    if severity in ("stop", "ask") and fact.verdict != "count_again":
        return
    if fact.do == "settle":
        said = json.loads(fact.body)
        conn.change(
            "UPDATE item_done SET open = NULL WHERE device = ? AND seq = ? AND party = ?",
            (said["device"], said["seq"], fact.party),
        )
        return
    # The same thing was done after all: what was asked or refused before is settled.
    conn.change(
        "UPDATE item_done SET open = NULL WHERE party = ? AND open IS NOT NULL AND document = ? "
        "AND do = ? AND code = ? AND ref IN ('', ?)",
        (fact.party, fact.document, fact.do, fact.code, fact.ref),
    )
    if fact.verdict == "count_again":
        doc = get(conn, fact.party, fact.document, "open")
        _release_all(conn, doc)
        conn.change("UPDATE document SET round = round + 1 WHERE id = ?", (doc.id,))
    elif fact.verdict == "counted":
        doc = get(conn, fact.party, fact.document, "open")
        conn.change("UPDATE document SET status = 'counted' WHERE id = ?", (doc.id,))
    elif fact.do == "scan" and severity in ("ok", "warn"):
        _claim(conn, get(conn, fact.party, fact.document, "open"), fact)
    elif fact.do == "remove" and fact.verdict == "removed":
        _release(conn, get(conn, fact.party, fact.document, "open"), fact.ref)


def _handed_over(conn: Connection, seq: int, line: str, fact: f.DocumentHandedOver) -> None:
    doc = get(conn, fact.party, fact.number, "open", "counted")
    conn.change("UPDATE document SET device = ? WHERE id = ?", (fact.device, doc.id))


def _closed(conn: Connection, seq: int, line: str, fact: f.DocumentClosed) -> None:
    doc = get(conn, fact.party, fact.number, "open", "coming")
    paper = find(conn, fact.party, doc.paper) if doc.paper else None
    for each in (doc, paper):
        if each is not None and each.kind == doc.kind and each.status == "open":
            _release_all(conn, each)
    for moved in fact.moved:
        row = _post(conn, seq, doc, moved, fact.at_ms, fact.day)
        for each in (doc, paper):
            if each is not None:
                conn.change(
                    "UPDATE document_goods SET done = ? WHERE document = ? AND done = 0 AND "
                    "goods = ?",
                    (doc.id, each.id, row),
                )
    _end(conn, doc, seq, fact.at_ms, fact.reason)


def _end(conn: Connection, doc: Document, seq: int, at_ms: int, why: str) -> None:
    conn.change(
        "UPDATE document SET status = 'closed', closed_ms = ?, ending = ?, posted = ? WHERE id = ?",
        (at_ms, why, seq, doc.id),
    )


def _post(conn: Connection, seq: int, doc: Document, moved: f.Moved, at_ms: int, day: str) -> int:
    """One unit goes where the document says, and the sums with it; the row of it."""
    row = _row(conn, moved)
    before, party, content = row.place, doc.party, moved.content
    changes: list[Sum] = []
    here = before.state == "stock" and before.party == party
    if before.state == "stock" and not here:
        # Another party's record had it: there it is missing.
        changes += sums(before.party, before.location, "difference", content, -1)
    match doc.kind:
        case "receive" | "return_in":
            if here:
                raise IllegalTransition(f"{moved.ref} is in the stock of {party} already")
            kind = "received" if doc.kind == "receive" else "returned_in"
            changes += sums(party, moved.target, kind, content, 1)
            after = _arrived(before, doc, moved, at_ms)
        case "ship" | "return_out":
            source = before.location if here else moved.source
            if not here:
                changes += sums(party, source, _made_up(before), content, 1)
            kind = "shipped" if doc.kind == "ship" else "returned_out"
            changes += sums(party, source, kind, content, -1)
            after = before._replace(
                state="in_transit",
                party=party,
                location="",
                sent_by=party,
                sent_to=doc.other,
                sent_ms=at_ms,
                territory=doc.territory or before.territory,
                channel=doc.channel or before.channel,
            )
        case "transfer":
            source = before.location if here else moved.source
            if not here:
                changes += sums(party, source, _made_up(before), content, 1)
            changes += sums(party, source, "moved", content, -1)
            changes += sums(party, moved.target, "moved", content, 1)
            after = _arrived(before, doc, moved, before.since_ms if here else at_ms)
        case _:
            raise IllegalTransition(f"a document of kind {doc.kind} moves nothing")
    _moved(conn, seq, doc, row, after, changes, day)
    return row.id


def _made_up(before: Place) -> str:
    """In which column a unit comes into the stock that was shipped without being there."""
    return "difference" if before.state == "lost" else "received"


def _arrived(before: Place, doc: Document, moved: f.Moved, since_ms: int) -> Place:
    return before._replace(
        state="stock",
        party=doc.party,
        location=moved.target,
        since_ms=since_ms,
        territory=doc.territory or before.territory,
        channel=doc.channel or before.channel,
        condition=_condition(before, doc, moved),
    )


def _condition(before: Place, doc: Document, moved: f.Moved) -> str:
    """What goods are like that came in; "" = good for sale. A transfer may leave it as it is."""
    if doc.kind == "transfer" and not moved.condition:
        return before.condition
    return "" if moved.condition == "sellable" else moved.condition


def _row(conn: Connection, moved: f.Moved) -> goods.Row:
    if goods.own_unit(moved.ref) is not None:
        row = goods.own_row(conn, moved.ref, moved.level, moved.content, moved.integrity)
        inside = bool(goods.own_above(conn, row.unit or 0))
    else:
        found = goods.by_ref(conn, moved.ref)
        if found is None:
            raise IllegalTransition(f"there are no goods {moved.ref}")
        row, inside = found, bool(found.parent)
    if inside:
        raise IllegalTransition(f"{moved.ref} is in something else and has no place of its own")
    return row


def _moved(
    conn: Connection,
    seq: int,
    doc: Document,
    row: goods.Row,
    after: Place,
    changes: list[Sum],
    day: str,
) -> None:
    before = row.place
    conn.change(
        "INSERT INTO posted VALUES (?, ?, ?, ?, ?)",
        (doc.id, row.id, json.dumps(before), json.dumps(changes), seq),
    )
    book(conn, day, changes)
    goods.put(conn, row.id, after._replace(doc=doc.id))
    if row.unit is not None:
        _on_line(conn, seq, row.unit, after.state)


def _on_line(conn: Connection, seq: int, unit: int, state: str) -> None:
    """A unit of ours that left is shipped, one that came back received."""
    kept = units.get(conn, unit)
    if state == "in_transit":
        units.move(conn, kept, UnitState.SHIPPED)
    elif kept.state == UNIT_NUMBER[UnitState.SHIPPED]:
        units.move(conn, kept, UnitState.RECEIVED)
    units.note(conn, unit, seq)


def _counted(conn: Connection, seq: int, line: str, fact: f.CountPosted) -> None:
    doc = get(conn, fact.party, fact.number, "open", "counted")
    _release_all(conn, doc)
    for moved in fact.lost:
        row = _row(conn, moved)
        before = row.place
        if before.state != "stock" or before.party != doc.party:
            raise IllegalTransition(f"{moved.ref} is not in stock and cannot be lost from it")
        changes = sums(doc.party, before.location, "difference", moved.content, -1)
        _moved(conn, seq, doc, row, before._replace(state="lost"), changes, fact.day)
    for moved in fact.found:
        row = _row(conn, moved)
        before = row.place
        changes = []
        kind = "difference"
        if before.state == "stock":
            kind = "moved" if before.party == doc.party else "difference"
            changes += sums(before.party, before.location, kind, moved.content, -1)
        changes += sums(doc.party, moved.target, kind, moved.content, 1)
        since = before.since_ms if kind == "moved" else fact.at_ms
        after = _arrived(before, doc, moved, since)
        after = after._replace(condition=before.condition)
        _moved(conn, seq, doc, row, after, changes, fact.day)
    _end(conn, doc, seq, fact.at_ms, "")


def _reversed(conn: Connection, seq: int, line: str, fact: f.DocumentReversed) -> None:
    doc = get(conn, fact.party, fact.number, "closed")
    found = conn.execute(
        "SELECT goods, before, sums FROM posted WHERE document = ? ORDER BY goods", (doc.id,)
    )
    for number, before, changes in found.fetchall():
        row = goods.by_id(conn, number)
        if row is None or row.place.doc != doc.id:
            raise IllegalTransition(f"goods {number} have moved since document {doc.number}")
        back = [Sum(*each) for each in json.loads(changes)]
        book(conn, fact.day, [each._replace(pieces=-each.pieces) for each in back])
        place = Place(*json.loads(before))
        goods.put(conn, number, place._replace(doc=0))
        if row.unit is not None:
            _on_line(conn, seq, row.unit, place.state)
    conn.change("UPDATE document_goods SET done = 0 WHERE done = ?", (doc.id,))
    conn.change("UPDATE document SET status = 'reversed' WHERE id = ?", (doc.id,))


def _followed(conn: Connection, seq: int, line: str, fact: f.GoodsFollowed) -> None:
    """The line or quality did something with a unit that stood in a warehouse."""
    if fact.why == "unpacked":
        top = goods.by_ref(conn, fact.parent)
        if top is None:
            raise IllegalTransition(f"goods {fact.parent} are not in the warehouse")
        goods.shrink(conn, top.id, fact.content)
        child = goods.own_row(conn, fact.ref, fact.level, fact.content, top.integrity)
        goods.put(conn, child.id, top.place._replace(doc=0))
        return
    row = goods.by_ref(conn, fact.ref)
    if row is None and fact.why != "packed":
        raise IllegalTransition(f"goods {fact.ref} are not in the warehouse")
    place = Place("line") if row is None else row.place
    stood = place.state == "stock"
    if row is not None and fact.why == "corrected":
        was = [each._replace(pieces=-each.pieces) for each in goods.content_of(conn, row)]
        goods.own_row(conn, fact.ref, fact.level, fact.content, row.integrity)
        goods.put(conn, row.id, place._replace(doc=0))
        if stood:
            change = goods.summed([*was, *fact.content])
            book(conn, fact.day, sums(place.party, place.location, "difference", change, 1))
        return
    if fact.why == "packed":
        parent = goods.by_ref(conn, fact.parent) if fact.parent else None
        if row is not None:
            goods.put(conn, row.id, Place("line"))
        if parent is not None:
            goods.grow(conn, parent.id, fact.content)
            if (parent.place.state, parent.place.party, parent.place.location) == (
                place.state,
                place.party,
                place.location,
            ):
                return
            if parent.place.state == "stock":
                into = parent.place
                book(conn, fact.day, sums(into.party, into.location, "moved", fact.content, 1))
        if stood:
            book(conn, fact.day, sums(place.party, place.location, "moved", fact.content, -1))
        return
    assert row is not None
    if stood:
        book(conn, fact.day, sums(place.party, place.location, "difference", fact.content, -1))
    goods.put(conn, row.id, place._replace(state=fact.why, doc=0))


CHANGES: dict[type[f.Fact], Callable[[Connection, int, str, Any], None]] = {
    f.GoodsTold: _told,
    f.DocumentOpened: _opened,
    f.ItemDone: _item,
    f.DocumentHandedOver: _handed_over,
    f.DocumentClosed: _closed,
    f.DocumentReversed: _reversed,
    f.CountPosted: _counted,
    f.GoodsOpened: goods.opened,
    f.GoodsPacked: goods.packed,
    f.GoodsFollowed: _followed,
}
