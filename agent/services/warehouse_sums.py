"""What may be asked of a party's warehouse as a whole: stock, sums by day, exceptions, names."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from agent.core.errors import DomainError
from agent.core.goods import ALL_WORDS, SUPERVISE, Scope
from agent.core.rules import OPERATIONS
from agent.sections import Site, WarehouseSection
from agent.services.warehouse_documents import parties_of, products_of
from agent.store import documents
from agent.store.database import Connection

MOST_ROWS = 10_000
MACHINE = "cli"
"""The device of those who type commands."""
_COLUMNS = {
    "received": ("received", 1),
    "shipped": ("shipped", -1),
    "returned_in": ("returned_in", 1),
    "returned_out": ("returned_out", -1),
    "moved": ("moved", 1),
    "difference": ("difference", 1),
}


class Connects(Protocol):
    """Lends a connection that only reads."""

    def connection(self) -> AbstractContextManager[Connection]: ...


class Sums:
    """Questions of the warehouses of one agent. Answers are JSON values; times are ms since 1970
    (UTC). Everything raises DomainError `unknown_party` where the party has no warehouse here."""

    def __init__(self, site: Site, readers: Connects) -> None:
        self.site = site
        self._readers = readers
        self._sections = {each.party: each for each in site.warehouse}

    def section(self, scope: Scope) -> WarehouseSection:
        """The party's warehouse."""
        found = self._sections.get(scope.party)
        if found is None:
            of = f" of {scope.party[:64]}" if scope.party else ""
            raise DomainError(
                "unknown_party",
                f"No warehouse{of} is here: add a [[warehouse]] to the site file.",
            )
        return found

    def at_the_machine(self, party: str) -> Scope:
        """What somebody at this machine may do for a party: everything; "" is the only party there
        is."""
        if not party and len(self._sections) == 1:
            party = next(iter(self._sections))
        self.section(Scope(party))
        return Scope(party, (), (*OPERATIONS, SUPERVISE), "", MACHINE)

    def stock(
        self, scope: Scope, product: str = "", lot: str = "", location: str = ""
    ) -> list[dict[str, Any]]:
        """Rows {product, lot, location, pieces, claimed, units, oldest_ms, expires}; "" = any."""
        self.section(scope)
        with self._readers.connection() as conn:
            found = conn.execute(
                "SELECT product, lot, location, pieces, claimed FROM stock WHERE party = ?1 "
                "AND (?2 = '' OR product = ?2) AND (?3 = '' OR lot = ?3) "
                "AND (?4 = '' OR location = ?4) AND pieces <> 0 "
                "ORDER BY product, lot, location LIMIT ?5",
                (scope.party, product, lot, location, MOST_ROWS),
            ).fetchall()
            ages = self._ages(conn, scope.party, location)
            return [
                {
                    "product": row[0],
                    "lot": row[1],
                    "location": row[2],
                    "pieces": row[3],
                    "claimed": row[4],
                    "units": ages.get((row[0], row[1], row[2]), (0, 0, ""))[0],
                    "oldest_ms": ages.get((row[0], row[1], row[2]), (0, 0, ""))[1],
                    "expires": ages.get((row[0], row[1], row[2]), (0, 0, ""))[2],
                }
                for row in found
                if not scope.locations or row[2] in scope.locations
            ]

    @staticmethod
    def _ages(
        conn: Connection, party: str, location: str
    ) -> dict[tuple[str, str, str], tuple[int, int, str]]:
        """Outermost units, since when the oldest is here, and when the first expires, by product,
        lot and location. (A unit that holds several lots counts at none.)"""
        found = conn.execute(
            "SELECT product, lot, location, count(*), min(since_ms), "
            "min(iif(expires = '', '9999', expires)) FROM goods "
            "WHERE party = ?1 AND parent = 0 AND state = 'stock' AND pieces > 0 "
            "AND (?2 = '' OR location = ?2) GROUP BY 1, 2, 3",
            (party, location),
        )
        return {
            (row[0], row[1], row[2]): (row[3], row[4], "" if row[5] == "9999" else row[5])
            for row in found.fetchall()
        }

    def ledger(self, scope: Scope, first_day: str, last_day: str) -> list[dict[str, Any]]:
        """By product, lot and day: see `Depot.ledger`."""
        self.section(scope)
        with self._readers.connection() as conn:
            here = "" if not scope.locations else "AND location IN (SELECT value FROM json_each(?))"
            places = [json.dumps(scope.locations)] if scope.locations else []
            before = {
                (product, lot): int(pieces)
                for product, lot, pieces in conn.execute(
                    "SELECT product, lot, sum(pieces) FROM ledger WHERE party = ? AND day < ? "
                    f"{here} GROUP BY product, lot",
                    (scope.party, first_day, *places),
                ).fetchall()
            }
            found = conn.execute(
                "SELECT day, product, lot, kind, sum(pieces) FROM ledger WHERE party = ? "
                f"AND day BETWEEN ? AND ? {here} GROUP BY day, product, lot, kind "
                "ORDER BY day, product, lot LIMIT ?",
                (scope.party, first_day, last_day, *places, 6 * MOST_ROWS),
            ).fetchall()
        return _by_day(before, found)

    def exceptions(self, scope: Scope) -> list[dict[str, Any]]:
        """Items that were refused or asked about and that nobody has settled, oldest first."""
        self.section(scope)
        with self._readers.connection() as conn:
            return [
                {
                    "device": each.device,
                    "seq": each.seq,
                    "do": each.do,
                    "document": each.document,
                    "ref": each.ref,
                    "text": each.code,
                    "verdict": each.verdict,
                    "severity": ALL_WORDS.get(each.verdict, "stop"),
                    "args": json.loads(each.args) if each.args else {},
                    "by": each.by,
                    "at_ms": each.at_ms,
                }
                for each in documents.open_items(conn, scope.party)
            ]

    def locations(self, scope: Scope) -> list[str]:
        """The locations of the party's warehouse that the scope reaches, in the file's order."""
        places = self.section(scope).locations
        return [place for place in places if not scope.locations or place in scope.locations]

    def products(self) -> list[dict[str, Any]]:
        """{sku, names, gtin, withdrawn} of the site file and the cloud."""
        with self._readers.connection() as conn:
            return products_of(conn, self.site)

    def parties(self) -> list[dict[str, Any]]:
        """{id, kind, names, territories, channels, withdrawn} of the site file and the cloud."""
        with self._readers.connection() as conn:
            return parties_of(conn, self.site)


def _by_day(
    before: dict[tuple[str, str], int], found: Iterable[tuple[str, str, str, str, int]]
) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for day, product, lot, kind, pieces in found:
        row = rows.setdefault(
            (day, product, lot),
            {"day": day, "product": product, "lot": lot, **dict.fromkeys(_COLUMNS, 0), "stock": 0},
        )
        column, sign = _COLUMNS[kind]
        row[column] += sign * int(pieces)
    for key in sorted(rows):
        row = rows[key]
        at = key[1:]
        change = sum(sign * row[column] for column, sign in _COLUMNS.values())
        before[at] = row["stock"] = before.get(at, 0) + change
    return [rows[key] for key in sorted(rows)]
