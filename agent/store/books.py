"""The sums of a warehouse: `stock` by place and what of it is claimed, `ledger` by day."""

from collections.abc import Iterable
from typing import NamedTuple

from agent.core.facts import Content
from agent.store.database import Connection


class Sum(NamedTuple):
    """So much the stock of a party changed at a location, in one column of the ledger."""

    party: str
    location: str
    product: str
    lot: str
    kind: str
    pieces: int


def sums(party: str, location: str, kind: str, content: Iterable[Content], sign: int) -> list[Sum]:
    """The sums that content adds (`sign` 1) or takes (-1)."""
    return [
        Sum(party, location, product, lot, kind, sign * pieces) for product, lot, pieces in content
    ]


def book(conn: Connection, day: str, changes: Iterable[Sum]) -> None:
    """Add sums to the stock and to the ledger of a day."""
    for party, location, product, lot, kind, pieces in changes:
        conn.change(
            "INSERT INTO stock VALUES (?1, ?2, ?3, ?4, ?5, 0) "
            "ON CONFLICT DO UPDATE SET pieces = pieces + ?5",
            (party, product, lot, location, pieces),
        )
        conn.change(
            "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
            "ON CONFLICT DO UPDATE SET pieces = pieces + ?7",
            (party, day, product, lot, location, kind, pieces),
        )


def reserve(
    conn: Connection, party: str, location: str, content: Iterable[Content], sign: int
) -> None:
    """Claim so much of the stock (`sign` 1), or give it free (-1)."""
    for product, lot, pieces in content:
        conn.change(
            "UPDATE stock SET claimed = claimed + ? "
            "WHERE party = ? AND product = ? AND lot = ? AND location = ?",
            (sign * pieces, party, product, lot, location),
        )
