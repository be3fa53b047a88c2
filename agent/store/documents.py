"""Documents of the warehouse in tables, as they are asked for: life, claims, answered items.

`postings` writes them from the facts of the journal.
"""

import json
from typing import NamedTuple

from agent.core.facts import Content
from agent.core.life import IllegalTransition
from agent.store.database import Connection


class Document(NamedTuple):
    """A row of the table document; `status` is open, counted, closed, reversed, or coming: there
    for nobody yet, as its goods are still being told. `lines` is JSON, `dest` where a transfer
    ends, `ending` why it was closed with a difference."""

    id: int
    party: str
    number: str
    kind: str
    status: str
    location: str
    other: str
    dest: str
    territory: str
    channel: str
    lines: str
    paper: str
    blind: int
    source: str
    by: str
    reason: str
    condition: str
    device: str
    round: int
    opened_ms: int
    closed_ms: int
    ending: str
    rank: int
    posted: int


def find(conn: Connection, party: str, number: str) -> Document | None:
    """A document of a party."""
    row = conn.one("SELECT * FROM document WHERE party = ? AND number = ?", (party, number))
    return None if row is None else Document(*row)


def get(conn: Connection, party: str, number: str, *status: str) -> Document:
    """A document that must be there, in one of these states; IllegalTransition if it is not."""
    found = find(conn, party, number)
    if found is None:
        raise IllegalTransition(f"{party} has no document {number}")
    if status and found.status not in status:
        raise IllegalTransition(f"document {number} of {party} is {found.status}")
    return found


# ------------------------------------------------------------------------------------ questions


class Claim(NamedTuple):
    """A unit that was scanned for a document."""

    ref: str
    level: str
    content: tuple[Content, ...]
    device: str
    seq: int
    by: str
    at_ms: int
    reason: str
    condition: str


class Done(NamedTuple):
    """An item that was carried out; `args` is JSON."""

    device: str
    seq: int
    do: str
    document: str
    ref: str
    code: str
    verdict: str
    args: str
    item: str
    by: str
    at_ms: int
    device_ms: int


_CLAIM = "SELECT ref, level, content, device, seq, by, at_ms, reason, condition FROM claim "
_DONE = (
    "SELECT device, seq, do, document, ref, code, verdict, args, item, by, at_ms, device_ms "
    "FROM item_done "
)


def claims(conn: Connection, document: int, newest: int = 0) -> list[Claim]:
    """What was scanned for a document, or the newest of it first."""
    order = "ORDER BY at_ms DESC, seq DESC LIMIT ?" if newest else "ORDER BY at_ms, seq LIMIT ?"
    found = conn.execute(f"{_CLAIM}WHERE document = ? {order}", (document, newest or -1))
    return [
        Claim(row[0], row[1], tuple(Content(*c) for c in json.loads(row[2])), *row[3:])
        for row in found.fetchall()
    ]


def claim_of(conn: Connection, document: int, ref: str) -> Claim | None:
    row = conn.one(f"{_CLAIM}WHERE ref = ? AND document = ?", (ref, document))
    if row is None:
        return None
    return Claim(row[0], row[1], tuple(Content(*c) for c in json.loads(row[2])), *row[3:])


def claimed(conn: Connection, document: int) -> dict[tuple[str, str], int]:
    """Pieces that were scanned for a document, by product and lot."""
    found = conn.execute(
        "SELECT product, lot, pieces FROM claimed WHERE document = ? AND pieces <> 0", (document,)
    )
    return {(product, lot): int(pieces) for product, lot, pieces in found.fetchall()}


def upto(conn: Connection, device: str) -> int:
    """The number of the last item of a device; 0 before the first."""
    (last,) = conn.one("SELECT max(seq) FROM item_done WHERE device = ?", (device,))
    return 0 if last is None else int(last)


def done(conn: Connection, device: str, seq: int) -> Done | None:
    """What an item was answered with."""
    row = conn.one(f"{_DONE}WHERE device = ? AND seq = ?", (device, seq))
    return None if row is None else Done(*row)


def open_items(conn: Connection, party: str, most: int = 1000) -> list[Done]:
    """Items that were refused or asked about and are not settled, oldest first."""
    found = conn.execute(
        f"{_DONE}WHERE party = ? AND open IS NOT NULL ORDER BY rank LIMIT ?", (party, most)
    )
    return [Done(*row) for row in found.fetchall()]


def listed(
    conn: Connection, party: str, status: tuple[str, ...] = (), most: int = 500
) -> list[Document]:
    """Documents of a party, the newest first; with no status those of any that is to be seen."""
    marks = ", ".join("?" * len(status))
    where = f"AND status IN ({marks}) " if status else "AND status <> 'coming' "
    found = conn.execute(
        f"SELECT * FROM document WHERE party = ? {where}ORDER BY id DESC LIMIT ?",
        (party, *status, most),
    )
    return [Document(*row) for row in found.fetchall()]


def waiting(conn: Connection, opened_before: int) -> list[Document]:
    """Open receipts of all parties that were opened before this moment."""
    found = conn.execute(
        "SELECT * FROM document WHERE status = 'open' AND kind = 'receive' AND opened_ms < ? "
        "ORDER BY id",
        (opened_before,),
    )
    return [Document(*row) for row in found.fetchall()]


def expected(conn: Connection, document: int, after: int = 0, most: int = -1) -> list[int]:
    """Outermost units (rows of goods) that a document still expects, in the order of their rows."""
    found = conn.execute(
        "SELECT g.goods FROM document_goods g JOIN goods o ON o.id = g.goods WHERE g.document = ? "
        "AND g.done = 0 AND g.goods > ? AND (o.pieces > 0 OR o.unit IS NOT NULL) "
        "ORDER BY g.goods LIMIT ?",
        (document, after, most),
    )
    return [int(number) for (number,) in found.fetchall()]


def told(conn: Connection, document: int) -> bool:
    """Whether the content of a document is told."""
    row = conn.one("SELECT 1 FROM document_goods WHERE document = ? LIMIT 1", (document,))
    return row is not None


_POSTED = {
    "receive": ("received", 1),
    "ship": ("shipped", -1),
    "return_in": ("returned_in", 1),
    "return_out": ("returned_out", -1),
    "transfer": ("moved", 1),
}
"""By which sums a posting of each kind says what it moved."""


def posted(conn: Connection, document: Document, *, parts: bool) -> dict[tuple[str, str], int]:
    """Pieces that a document has moved, by product and lot, with those of the documents that post
    a `parts` of it. (What a stock-take found or lost is a difference and no part of this.)"""
    column, sign = _POSTED.get(document.kind, ("", 1))
    found = conn.execute(
        "WITH docs(id) AS (SELECT ?1 UNION SELECT id FROM document "
        "WHERE ?2 AND party = ?3 AND paper = ?4 AND source = 'agent') "
        "SELECT json_extract(s.value, '$[2]'), json_extract(s.value, '$[3]'), "
        "sum(?6 * json_extract(s.value, '$[5]')) FROM docs JOIN posted p ON p.document = docs.id, "
        "json_each(p.sums) s WHERE json_extract(s.value, '$[0]') = ?3 "
        "AND json_extract(s.value, '$[4]') = ?5 AND ?6 * json_extract(s.value, '$[5]') > 0 "
        "GROUP BY 1, 2",
        (document.id, parts, document.party, document.number, column, sign),
    )
    return {(str(product), str(lot)): int(pieces) for product, lot, pieces in found.fetchall()}


def parts(conn: Connection, party: str, number: str) -> int:
    """How many documents post a part of this one."""
    (many,) = conn.one(
        "SELECT count(*) FROM document WHERE party = ? AND paper = ? AND paper <> ''",
        (party, number),
    )
    return int(many)


def standing_at(conn: Connection, party: str, location: str) -> list[str]:
    """Names of the outermost units in stock at a location."""
    found = conn.execute(
        "SELECT ref FROM goods WHERE party = ? AND location = ? AND parent = 0 "
        "AND state = 'stock' AND pieces > 0 ORDER BY id",
        (party, location),
    )
    return [str(ref) for (ref,) in found.fetchall()]


def moved_since(conn: Connection, document: int) -> str:
    """A unit that moved again since a document posted it; "" if none did."""
    row = conn.one(
        "SELECT g.ref FROM posted p JOIN goods g ON g.id = p.goods "
        "WHERE p.document = ? AND g.doc <> ? LIMIT 1",
        (document, document),
    )
    return "" if row is None else str(row[0])


def of_unit(conn: Connection, number: int, party: str) -> list[tuple[str, str, str, int]]:
    """(number, kind, status, closed at) of a party's documents that moved a unit, newest first."""
    found = conn.execute(
        "SELECT d.number, d.kind, d.status, d.closed_ms FROM posted p JOIN document d "
        "ON d.id = p.document WHERE p.goods = ? AND d.party = ? ORDER BY p.seq DESC LIMIT 20",
        (number, party),
    )
    return [(str(n), str(kind), str(status), int(at)) for n, kind, status, at in found.fetchall()]


def sizes(conn: Connection, product: str) -> list[str]:
    """The levels of a product of which full units were seen."""
    rows = conn.execute("SELECT level FROM level_size WHERE product = ?", (product,)).fetchall()
    return [str(level) for (level,) in rows]


def size_of(conn: Connection, product: str, level: str) -> int | None:
    """Pieces of a full unit of a level, as far as such units were seen."""
    row = conn.one(
        "SELECT pieces FROM level_size WHERE product = ? AND level = ?", (product, level)
    )
    return None if row is None else int(row[0])
