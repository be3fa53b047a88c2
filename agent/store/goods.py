"""Units of the warehouse: who they are, what holds them, what they hold, where they stand.

A unit that this agent made (`u:<unit id>`) is held by what `code` says; one that others told of by
its row here. The place is that of the outermost row; a unit inside has none.

Functions that change rows raise IllegalTransition when a fact contradicts them.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agent.core import facts as f
from agent.core.facts import Content
from agent.core.life import IllegalTransition
from agent.store import names, orders, units
from agent.store.database import Connection

DEEPEST = 32
"""Levels; a chain of parents cannot be longer."""


class Place(NamedTuple):
    """Where an outermost unit is and how it came there; see the table goods. `state`: told (known
    by name only), expected, stock, in_transit, lost, sampled, destroyed, line (back on a line)."""

    state: str
    party: str = ""
    location: str = ""
    since_ms: int = 0
    sent_by: str = ""
    sent_to: str = ""
    sent_ms: int = 0
    territory: str = ""
    channel: str = ""
    condition: str = ""
    doc: int = 0


class Row(NamedTuple):
    """A row of the table goods."""

    id: int
    ref: str
    unit: int | None
    level: str
    product: str
    lot: str
    expires: str
    made_ms: int
    parent: int
    pieces: int
    content: str
    integrity: str
    place: Place


COLUMNS = (
    "id, ref, unit, level, product, lot, expires, made_ms, parent, pieces, content, integrity, "
    "state, party, location, since_ms, sent_by, sent_to, sent_ms, territory, channel, condition, "
    "doc"
)


def _row(values: Any) -> Row:
    return Row._make((*values[:12], Place._make(values[12:])))


def row_of(values: Any) -> Row | None:
    """A row from the values of `COLUMNS`; None from None."""
    return None if values is None else _row(values)


def by_ref(conn: Connection, ref: str) -> Row | None:
    return row_of(conn.one(f"SELECT {COLUMNS} FROM goods WHERE ref = ?", (ref,)))


def by_id(conn: Connection, number: int) -> Row | None:
    return row_of(conn.one(f"SELECT {COLUMNS} FROM goods WHERE id = ?", (number,)))


def by_code(conn: Connection, text: str) -> Row | None:
    """The unit that carries this canonical text, as its name or another of its codes."""
    found = by_ref(conn, text)
    if found is not None:
        return found
    row = conn.one("SELECT goods FROM goods_code WHERE text = ?", (text,))
    return None if row is None else by_id(conn, row[0])


def codes_of(conn: Connection, rows: Iterable[Row]) -> dict[int, list[str]]:
    """The other codes of the units of these rows."""
    found: dict[int, list[str]] = {}
    numbers = json.dumps([row.id for row in rows])
    for number, text in conn.execute(
        "SELECT goods, text FROM goods_code WHERE goods IN (SELECT value FROM json_each(?)) "
        "ORDER BY goods, text",
        (numbers,),
    ):
        found.setdefault(int(number), []).append(str(text))
    return found


def with_content(conn: Connection, number: int) -> list[Row]:
    """A foreign unit and all that it holds, parents first."""
    found = conn.execute(
        "WITH RECURSIVE held(id, depth) AS (VALUES (?, 0) UNION ALL "
        "SELECT g.id, h.depth + 1 FROM goods g JOIN held h ON g.parent = h.id WHERE g.parent > 0) "
        f"SELECT {', '.join('o.' + name for name in COLUMNS.split(', '))} "
        "FROM held h JOIN goods o ON o.id = h.id ORDER BY h.depth, o.id",
        (number,),
    )
    return [_row(values) for values in found.fetchall()]


def inside(conn: Connection, number: int) -> list[Row]:
    """Foreign units directly in a foreign unit."""
    found = conn.execute(  # the index holds rows with a parent only
        f"SELECT {COLUMNS} FROM goods WHERE parent = ? AND parent > 0 ORDER BY id", (number,)
    )
    return [_row(values) for values in found.fetchall()]


def own_ref(unit: int) -> str:
    return f"u:{unit}"


def own_unit(ref: str) -> int | None:
    """The unit id of one that this agent made."""
    return int(ref[2:]) if ref.startswith("u:") and ref[2:].isdecimal() else None


def above(conn: Connection, row: Row, seen: dict[int, Row] | None = None) -> list[Row]:
    """What holds a foreign unit, from the inside outwards. `seen` are rows that were read before:
    it grows."""
    found: list[Row] = []
    while row.parent and len(found) < DEEPEST:
        upper = seen.get(row.parent) if seen is not None else None
        if upper is None:
            upper = by_id(conn, row.parent)
            if seen is not None and upper is not None:
                seen[row.parent] = upper
        if upper is None:
            raise IllegalTransition(f"goods {row.ref} are in a unit that does not exist")
        found.append(upper)
        row = upper
    return found


def own_above(conn: Connection, unit: int) -> list[int]:
    """What holds a unit of this agent, from the inside outwards."""
    found: list[int] = []
    at = units.find(conn, unit)
    while at is not None and at.parent is not None and len(found) < DEEPEST:
        found.append(at.parent)
        at = units.find(conn, at.parent)
    return found


def content_of(conn: Connection, row: Row) -> tuple[Content, ...]:
    """What a unit holds by product and lot, from its rows."""
    if row.content:
        return tuple(Content(*each) for each in json.loads(row.content))
    if row.product or row.unit is not None:
        return (Content(row.product, row.lot, row.pieces),) if row.pieces else ()
    held = [each for child in inside(conn, row.id) for each in content_of(conn, child)]
    return summed(held) if held else (Content("", row.lot, row.pieces),) if row.pieces else ()


def summed(content: Iterable[Content]) -> tuple[Content, ...]:
    """The same by product and lot, without what is nothing."""
    sums: dict[tuple[str, str], int] = {}
    for product, lot, pieces in content:
        sums[product, lot] = sums.get((product, lot), 0) + pieces
    return tuple(Content(*key, pieces) for key, pieces in sums.items() if pieces)


# -------------------------------------------------------------------------------------- changes

_PLACE = (
    "UPDATE goods SET state = ?, party = ?, location = ?, since_ms = ?, sent_by = ?, sent_to = ?, "
    "sent_ms = ?, territory = ?, channel = ?, condition = ?, doc = ? WHERE id = ?"
)


def put(conn: Connection, number: int, place: Place) -> None:
    """An outermost unit is at this place."""
    conn.change(_PLACE, (*place, number))


def add(conn: Connection, told: f.Told, parent: int, place: Place) -> int:
    """A new row; its id. 0: there is one of that name."""
    row = conn.one(
        f"INSERT INTO goods ({COLUMNS}) VALUES (NULL{', ?' * 22}) ON CONFLICT (ref) DO NOTHING "
        "RETURNING id",
        (
            told.ref,
            own_unit(told.ref),
            told.level,
            told.product,
            told.lot,
            told.expires,
            told.made_ms,
            parent,
            told.pieces,
            "",
            told.integrity,
            *place,
        ),
    )
    return 0 if row is None else int(row[0])


def own_row(
    conn: Connection, ref: str, level: str, content: tuple[Content, ...], integrity: str
) -> Row:
    """The row of a unit that this agent made, new where it has none, with what it holds now."""
    unit = own_unit(ref)
    if unit is None:
        raise IllegalTransition(f"there are no goods {ref}")
    kept = units.get(conn, unit)
    one = content[0] if len(content) == 1 else None
    row = by_ref(conn, ref)
    if row is None:
        order = orders.get(conn, names.text(conn, kept.order))
        product, lot, made, expires = ("", "", "", "")
        if order is not None:
            product, lot, made, expires = order.product, order.lot, order.produced, order.expires
            dated(conn, product, lot, expires or made)
        told = f.Told(ref, level, product, lot, expires, day_ms(made), "", 0, integrity)
        number = add(conn, told, 0, Place("told"))
    else:
        number = row.id
    if one is not None:
        conn.change(
            "UPDATE goods SET product = ?, lot = ? WHERE id = ?", (one.product, one.lot, number)
        )
        sized(conn, one.product, level, one.pieces)
    conn.change(
        "UPDATE goods SET pieces = ?, content = ? WHERE id = ?",
        (
            sum(each.pieces for each in content),
            json.dumps(content) if len(content) > 1 else "",
            number,
        ),
    )
    found = by_id(conn, number)
    assert found is not None
    return found


def day_ms(day: str) -> int:
    """Midnight (UTC) of an ISO date, 0 of none."""
    if not day:
        return 0
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def dated(conn: Connection, product: str, lot: str, date: str) -> None:
    """What tells which of two lots is older: when it expires, else when it was made."""
    if product and lot and date:
        conn.change("INSERT OR IGNORE INTO lot_date VALUES (?, ?, ?)", (product, lot, date))


def sized(conn: Connection, product: str, level: str, pieces: int) -> None:
    """So many pieces a full unit of this level holds, as far as was seen."""
    if product and level:
        conn.change(
            "INSERT INTO level_size VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET pieces = ?3 "
            "WHERE pieces < ?3",
            (product, level, pieces),
        )


def shrink(conn: Connection, number: int, content: Iterable[Content]) -> None:
    """A unit, and whatever holds it, holds so much less."""
    less = tuple(content)
    pieces = sum(each.pieces for each in less)
    while number:
        row = by_id(conn, number)
        if row is None:
            return
        kept = row.content
        if kept:
            left = [*content_of(conn, row), *(each._replace(pieces=-each.pieces) for each in less)]
            kept = json.dumps(summed(left))
        conn.change(
            "UPDATE goods SET pieces = max(0, pieces - ?), content = ?, doc = 0 WHERE id = ?",
            (pieces, kept, number),
        )
        number = row.parent


def grow(conn: Connection, number: int, content: Iterable[Content]) -> None:
    """A unit, and whatever holds it, holds so much more."""
    more = tuple(content)
    while number:
        row = by_id(conn, number)
        if row is None:
            return
        held = summed([*content_of(conn, row), *more])
        mixed = json.dumps(held) if row.unit is not None and len(held) > 1 else ""
        conn.change(
            "UPDATE goods SET pieces = pieces + ?, content = ?, doc = 0 WHERE id = ?",
            (sum(each.pieces for each in more), mixed, number),
        )
        if len(held) == 1 and not row.product:
            conn.change(
                "UPDATE goods SET product = ?, lot = ? WHERE id = ?", (*held[0][:2], number)
            )
        elif len(held) > 1 and row.unit is None and row.product:
            # Several lots: the children say which.
            conn.change("UPDATE goods SET product = '', lot = '' WHERE id = ?", (number,))
        number = row.parent


def tell(conn: Connection, fact: f.GoodsTold, document: int, place: Place) -> None:
    """Units that others tell of; what stands in a stock stays where it is, whatever is told."""
    known: dict[str, int] = {}
    noted: set[tuple[object, ...]] = set()
    for told in fact.goods:
        kind = told.product, told.lot, told.level, told.expires, told.made_ms, told.pieces
        if kind not in noted:
            noted.add(kind)
            _note(conn, told)
        if not told.parent:
            number = _told_outermost(conn, told, place)
            if document:
                conn.change(
                    "INSERT OR IGNORE INTO document_goods VALUES (?, ?, 0)", (document, number)
                )
            known[told.ref] = number
            continue
        parent = known.get(told.parent)
        if parent is None:
            row = by_ref(conn, told.parent)
            if row is None:
                raise IllegalTransition(f"{told.ref} is told to be in {told.parent}, which is not")
            parent = known[told.parent] = row.id
        child = _told_inside(conn, told, parent)
        if child:
            known[told.ref] = child


def _told_outermost(conn: Connection, told: f.Told, place: Place) -> int:
    number = add(conn, told, 0, place)
    if number:
        _other_codes(conn, number, told)
        return number
    row = by_ref(conn, told.ref)
    assert row is not None
    if row.parent:
        if above(conn, row)[-1].place.state == "stock":
            return row.id  # it stands here inside another: whoever scans it opens that one
        shrink(conn, row.parent, content_of(conn, row))
        conn.change("UPDATE goods SET parent = 0 WHERE id = ?", (row.id,))
        put(conn, row.id, place)
    elif row.place.state not in ("stock", "in_transit"):
        put(conn, row.id, place)
    _other_codes(conn, row.id, told)
    return row.id


def _told_inside(conn: Connection, told: f.Told, parent: int) -> int:
    """The id of a unit that is in its parent now; 0 where it stays elsewhere (the parent has so
    much less then)."""
    number = add(conn, told, parent, Place("")) if own_unit(told.ref) is None else 0
    if number:
        _other_codes(conn, number, told)
        return number
    row = by_ref(conn, told.ref)
    if row is not None and row.parent == parent:
        return row.id
    top = row
    if row is not None and row.parent:
        top = above(conn, row)[-1]
    if top is None or top.unit is not None or top.place.state in ("stock", "in_transit"):
        owner = by_id(conn, parent)
        if owner is not None and owner.unit is None:
            shrink(conn, parent, (Content(told.product, told.lot, told.pieces),))
        return 0
    assert row is not None
    if row.parent:
        shrink(conn, row.parent, content_of(conn, row))
    conn.change("UPDATE goods SET parent = ? WHERE id = ?", (parent, row.id))
    put(conn, row.id, Place(""))
    _other_codes(conn, row.id, told)
    return row.id


def _note(conn: Connection, told: f.Told) -> None:
    made = datetime.fromtimestamp(told.made_ms / 1000, UTC).date().isoformat()
    dated(conn, told.product, told.lot, told.expires or (made if told.made_ms else ""))
    sized(conn, told.product, told.level, told.pieces)


def _other_codes(conn: Connection, number: int, told: f.Told) -> None:
    for text in told.codes:
        conn.change("INSERT OR IGNORE INTO goods_code VALUES (?, ?)", (text, number))


def opened(conn: Connection, seq: int, line: str, fact: f.GoodsOpened) -> None:
    """Children have their own place from now on: that of what held them."""
    parent = by_ref(conn, fact.parent)
    if parent is None:
        raise IllegalTransition(f"there are no goods {fact.parent} to open")
    chain = above(conn, parent)
    top = chain[-1] if chain else parent
    for ref in fact.children:
        child = by_ref(conn, ref)
        if child is None or child.parent != parent.id:
            raise IllegalTransition(f"goods {ref} are not in {fact.parent}")
        shrink(conn, parent.id, content_of(conn, child))
        conn.change("UPDATE goods SET parent = 0 WHERE id = ?", (child.id,))
        put(conn, child.id, top.place._replace(doc=0))


def packed(conn: Connection, seq: int, line: str, fact: f.GoodsPacked) -> None:
    """Children of one place go into a parent, which stands there or is new."""
    rows = [by_ref(conn, ref) for ref in fact.children]
    found = [row for row in rows if row is not None]
    if len(found) != len(fact.children) or any(row.parent for row in found) or not found:
        raise IllegalTransition(f"what goes into {fact.parent} is not loose in the warehouse")
    place = found[0].place
    parent = by_ref(conn, fact.parent)
    if parent is None or (not parent.pieces and parent.place.state != "stock"):
        if parent is None:
            told = f.Told(fact.parent, fact.level, "", "", "", 0, "", 0, "")
            add(conn, told, 0, Place("told"))
            parent = by_ref(conn, fact.parent)
        assert parent is not None
        put(conn, parent.id, place._replace(doc=0))
    elif parent.parent or _where(parent.place) != _where(place):
        raise IllegalTransition(f"{fact.parent} does not stand where its new content is")
    for row in found:
        if _where(row.place) != _where(place):
            raise IllegalTransition(f"{row.ref} does not stand where the others are")
        held = content_of(conn, row)
        grow(conn, parent.id, held)
        conn.change("UPDATE goods SET parent = ?, doc = 0 WHERE id = ?", (parent.id, row.id))
        put(conn, row.id, Place(""))


def _where(place: Place) -> tuple[str, str, str]:
    return place.state, place.party, place.location
