"""进销存 of a party: what came, left, came back, was found and lost, and what is there, by product,
lot and day. Sums of what its agent has posted."""

from collections import defaultdict
from typing import Any

from sync.cloud import parties
from sync.cloud.answers import reported
from sync.cloud.database import Connection

SIGNS = {
    "received": 1,
    "implicit": 1,
    "returned_in": 1,
    "found": 1,
    "shipped": -1,
    "returned_out": -1,
    "lost": -1,
}
"""Kinds of postings, and what they do to the stock. `implicit` left without having been received:
it counts as received with the posting that shipped it."""
MOST_ROWS = 10_000


def stock(
    conn: Connection, party: str, first: str = "", last: str = "", product: str = ""
) -> dict[str, Any]:
    """The stock of a party after the day `last` (ISO; "" = now), and what moved from the day
    `first` on. What a restored agent does not know any more is left out, as in its own books."""
    with conn.reading():
        rows = conn.rows(
            "SELECT p.day, p.product, p.lot, p.kind, sum(p.pieces) FROM posting p "
            "JOIN event e ON e.id = p.event JOIN watermark w ON w.id = e.stream "
            "WHERE p.party = ? AND (? = '' OR p.day <= ?) AND (? = '' OR p.product = ?) "
            "AND (w.cut IS NULL OR e.seq < w.cut) "
            "GROUP BY p.day, p.product, p.lot, p.kind ORDER BY p.day, p.product, p.lot, p.kind",
            (party, last, last, product, product),
        )
        agents = {
            str(name)
            for (name,) in conn.rows(
                "SELECT DISTINCT a.name FROM posting p JOIN event e ON e.id = p.event "
                "JOIN watermark w ON w.id = e.stream JOIN agent a ON a.id = w.agent "
                "WHERE p.party = ?",
                (party,),
            )
        }
        agents.add(parties.agent_of(conn, party))
        coming = conn.one(
            "SELECT count(*) FROM shipment WHERE destination = ? AND state = 'open'", (party,)
        )
        told = reported(conn, agents)
    lots: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    days: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for day, name, lot, kind, pieces in rows:
        many = int(pieces)
        lots[name, lot]["stock"] += SIGNS.get(kind, 0) * many
        if day >= first:
            lots[name, lot][kind] += many
            days[day, name, lot][kind] += many
    found = sorted(days)
    return {
        "party": party,
        "stock": [
            {
                "product": name,
                "lot": lot,
                **_sums(lots[name, lot]),
                "stock": lots[name, lot]["stock"],
            }
            for name, lot in sorted(lots)
        ][:MOST_ROWS],
        "days": [
            {"day": day, "product": name, "lot": lot, **_sums(days[day, name, lot])}
            for day, name, lot in found[-MOST_ROWS:]
        ],
        "left_off": max(0, len(found) - MOST_ROWS) + max(0, len(lots) - MOST_ROWS),
        "coming": int(coming[0]) if coming else 0,
        "answer": "known" if rows else "not_known_yet",
        "reported": told,
    }


def _sums(said: dict[str, int]) -> dict[str, int]:
    return {kind: said.get(kind, 0) for kind in SIGNS}
