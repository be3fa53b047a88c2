"""What may be asked of the warehouse: documents, goods for PDAs, stock, sums by day, exceptions."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from typing import Any, Protocol

from agent.config import Site, WarehouseSection
from agent.core import warehouse as core
from agent.core.errors import DomainError
from agent.core.goods import ALL_WORDS, SUPERVISE, Scope
from agent.core.rules import OPERATIONS, Case, Doc, Good, Line, judge
from agent.services.warehouse_documents import parties_of, products_of
from agent.store import documents, goods
from agent.store.commands import reference
from agent.store.database import Connection
from agent.store.documents import Document
from agent.store.goods import Row
from agent.store.standing import Standing, is_code

MOST_DOCUMENTS = 500
MOST_GOODS = 5_000
MOST_ROWS = 10_000
LAST = 20
MISSING = 200
MACHINE = "cli"
"""The device of those who type commands."""
_STATES = {
    "open": ("open",),
    "counted": ("counted",),
    "closed": ("closed",),
    "reversed": ("reversed",),
    "active": ("open", "counted"),
    "all": (),
}
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


class Views:
    """Questions of the warehouses of one agent. Answers are JSON values; times are ms since 1970
    (UTC). Everything raises DomainError `unknown_party` where the party has no warehouse here."""

    def __init__(self, site: Site, readers: Connects) -> None:
        self.site = site
        self._readers = readers
        self._sections = {each.party: each for each in site.warehouse}

    # -------------------------------------------------------------------------------- inside

    def section(self, scope: Scope) -> WarehouseSection:
        """The party's warehouse."""
        found = self._sections.get(scope.party)
        if found is None:
            raise DomainError(
                "unknown_party",
                f"No warehouse of {scope.party[:64] or 'nobody'} is here: add a [[warehouse]] to "
                "the site file.",
            )
        return found

    def at_the_machine(self, party: str) -> Scope:
        """What somebody at this machine may do for a party: everything; "" is the only party there
        is."""
        if not party and len(self._sections) == 1:
            party = next(iter(self._sections))
        self.section(Scope(party))
        return Scope(party, (), (*OPERATIONS, SUPERVISE), "", MACHINE)

    def within(self, scope: Scope, document: Document) -> bool:
        """Whether the scope's locations reach the document."""
        places = {place for place in (document.location, document.dest) if place}
        return not scope.locations or not places or bool(places & set(scope.locations))

    def standing(
        self, conn: Connection, section: WarehouseSection, document: Document | None
    ) -> Standing:
        """How the party sees units, for a document."""
        return Standing(
            conn,
            section.party,
            maker=section is self.site.warehouse[0],
            document=document,
            fifo=document is not None and document.kind == "ship" and section.older_first != "off",
            location="" if document is None else document.location,
        )

    def known_document(
        self, conn: Connection, section: WarehouseSection, document: Document
    ) -> core.KnownDocument:
        return core.KnownDocument(
            document.party,
            document.number,
            document.kind,
            document.status,
            document.location,
            document.dest,
            document.other,
            self.doc(conn, section, document),
            document.paper,
            document.round,
            document.reason,
            document.condition,
        )

    def doc(self, conn: Connection, section: WarehouseSection, document: Document) -> Doc:
        """What the rules see of a document."""
        asn = document.kind in ("receive", "return_in") and documents.told(conn, document.id)
        lines = lines_of(conn, document)
        return Doc(
            status=document.status,
            free=not lines and not asn,
            asn=asn,
            blind=bool(document.blind),
            party=document.party,
            other=document.other,
            location=document.location,
            territories=self._territories(conn, document),
            channel=document.channel,
            fifo=section.older_first,
            lines=tuple(
                Line(each["product"], each["lot"], each["pieces"], each["done"]) for each in lines
            ),
        )

    def _territories(self, conn: Connection, document: Document) -> tuple[str, ...]:
        if document.territory:
            return (document.territory,)
        if not document.other or document.kind != "ship":
            return ()
        told = reference(conn, "party", document.other)  # one of maybe thousands
        if told is not None:
            return tuple(json.loads(told.body).get("territories", ()))
        section = self.site.parties.get(document.other)
        return section.territories if section is not None else ()

    def closing(
        self, conn: Connection, standing: Standing, known: core.Known, document: Document
    ) -> core.Known:
        """With everything that posting a document needs."""
        claims = []
        for claim in documents.claims(conn, document.id):
            unit = standing.ref(claim.ref)
            if unit is None:
                raise DomainError("claim_gone", f"Nothing is known of {claim.ref} any more.")
            claims.append(core.KnownClaim(unit, claim.reason, claim.condition))
        expected: list[core.KnownGoods] = []
        for number in documents.expected(conn, document.id):
            row = goods.by_id(conn, number)
            unit = None if row is None else standing.ref(row.ref)
            if unit is not None:
                expected.append(unit)
        stands: list[core.KnownGoods] = []
        if document.kind == "count":
            refs = documents.standing_at(conn, document.party, document.location)
            stands = [unit for ref in refs if (unit := standing.ref(ref)) is not None]
        return replace(
            known,
            claims=tuple(claims),
            expected=tuple(expected),
            stands=tuple(stands),
            receipts=documents.parts(conn, document.party, document.number),
        )

    def _document(self, conn: Connection, scope: Scope, number: str) -> Document:
        self.section(scope)
        found = documents.find(conn, scope.party, number)
        if found is None or not self.within(scope, found):
            raise DomainError("document_unknown", f"There is no document {number[:64]} here.")
        return found

    # ----------------------------------------------------------------------------- documents

    def documents(self, scope: Scope, status: str = "open") -> list[dict[str, Any]]:
        """Documents of a party, newest first, each as `document` without `last` and `missing`;
        `status` is open, counted, active (both), closed, reversed or all."""
        section = self.section(scope)
        states = _STATES.get(status)
        if states is None:
            raise DomainError("kind_unknown", f"There is no status {status[:32]}.")
        with self._readers.connection() as conn:
            found = documents.listed(conn, scope.party, states, MOST_DOCUMENTS)
            return [self._told(conn, section, each) for each in found if self.within(scope, each)]

    def document(self, scope: Scope, number: str) -> dict[str, Any]:
        """A document with its progress: see `Depot.document`. DomainError `document_unknown`."""
        section = self.section(scope)
        with self._readers.connection() as conn:
            document = self._document(conn, scope, number)
            told = self._told(conn, section, document)
            told["last"] = [
                {
                    "ref": each.ref,
                    "level": each.level,
                    "product": each.content[0].product if each.content else "",
                    "lot": each.content[0].lot if each.content else "",
                    "pieces": sum(one.pieces for one in each.content),
                    "by": each.by,
                    "device": each.device,
                    "at_ms": each.at_ms,
                }
                for each in documents.claims(conn, document.id, newest=LAST)
            ]
            told["missing"] = self._missing(conn, document)
            return told

    def codes(self, scope: Scope, refs: Iterable[str]) -> dict[str, str]:
        """The codes of units as people may read them, "" where there is none to show."""
        section = self.section(scope)
        with self._readers.connection() as conn:
            standing = self.standing(conn, section, None)
            units = {ref: standing.ref(ref) for ref in set(refs)}
        return {ref: unit.code if unit is not None else "" for ref, unit in units.items()}

    def _told(
        self, conn: Connection, section: WarehouseSection, document: Document
    ) -> dict[str, Any]:
        claimed = documents.claimed(conn, document.id)
        devices = conn.execute(
            "SELECT device, count(*), max(at_ms) FROM claim WHERE document = ? GROUP BY device "
            "ORDER BY device",
            (document.id,),
        ).fetchall()
        (expected,) = conn.one(
            "SELECT count(*) FROM document_goods WHERE document = ?", (document.id,)
        )
        moved = documents.posted(conn, document, parts=bool(expected))
        lines = lines_of(conn, document)
        for line, done in zip(lines, _shared(lines, moved), strict=True):
            line["posted"] = done
        return {
            "posted": sum(moved.values()),
            "number": document.number,
            "kind": document.kind,
            "status": document.status,
            "party": document.party,
            "other": document.other,
            "location": document.location,
            "to": document.dest,
            "territory": document.territory,
            "channel": document.channel,
            "paper": document.paper,
            "blind": bool(document.blind),
            "source": document.source,
            "reason": document.reason,
            "condition": document.condition,
            "ending": document.ending,
            "by": document.by,
            "device": document.device,
            "opened_ms": document.opened_ms,
            "closed_ms": document.closed_ms,
            "round": document.round,
            "scanned": sum(many for _, many, _ in devices),
            "pieces": sum(claimed.values()),
            "expected": expected,
            "lines": lines,
            "doc": asdict(self.doc(conn, section, document)),
            "devices": [
                {"device": device, "units": many, "last_ms": last} for device, many, last in devices
            ],
        }

    def _missing(self, conn: Connection, document: Document) -> list[dict[str, Any]]:
        """Units of an ASN of which nothing was scanned yet."""
        found: list[dict[str, Any]] = []
        if document.status != "open":
            return found
        for number in documents.expected(conn, document.id, 0, MOST_GOODS):
            row = goods.by_id(conn, number)
            if row is None or documents.claim_of(conn, document.id, row.ref) is not None:
                continue
            held = goods.content_of(conn, row)
            found.append(
                {
                    "ref": row.ref,
                    "level": row.level,
                    "product": held[0].product if held else "",
                    "lot": held[0].lot if held else "",
                    "pieces": sum(each.pieces for each in held),
                }
            )
            if len(found) >= MISSING:
                break
        return found

    # ---------------------------------------------------------------------------------- goods

    def goods(
        self, scope: Scope, number: str, after: int = 0, most: int = MOST_GOODS
    ) -> dict[str, Any]:
        """What a PDA needs to judge the scans of a document offline: see `Depot.goods`."""
        section = self.section(scope)
        most = max(1, min(most, MOST_GOODS))
        with self._readers.connection() as conn:
            document = self._document(conn, scope, number)
            standing = self.standing(conn, section, document)
            standing.read_ahead()
            found, last = self._wanted(conn, scope, document, after, most)
            codes = goods.codes_of(conn, found)
            claimed = {each.ref for each in documents.claims(conn, document.id)}
            rows: list[dict[str, Any]] = []
            for row in found:
                units = [standing.foreign(row)] if row.unit is None else standing.boxes(row.ref)
                for unit in units:
                    if unit.good.state == "elsewhere":
                        continue
                    named = [unit.code, *codes.get(row.id, ())] if unit.ref == row.ref else []
                    rows.append(
                        {
                            "n": row.id,
                            "ref": unit.ref,
                            "codes": [c for c in dict.fromkeys(named or [unit.code]) if c],
                            "parent": unit.parent,
                            "claimed_here": unit.ref in claimed,
                            **_plain(unit.good),
                        }
                    )
            return {"goods": rows, "next": last}

    def _wanted(
        self, conn: Connection, scope: Scope, document: Document, after: int, most: int
    ) -> tuple[list[Row], int]:
        """Rows of goods that a document may concern: outermost units in the order of their rows,
        each followed by all that it holds; and the last of them if there are more."""
        if documents.told(conn, document.id):
            query = (
                "SELECT goods FROM document_goods WHERE document = :document AND done = 0 "
                "AND goods > :after ORDER BY goods LIMIT :most"
            )
        else:
            query = (
                "SELECT id FROM goods WHERE party = :party AND parent = 0 AND state = 'stock' "
                "AND (:location = '' OR location = :location) AND id > :after "
                "ORDER BY id LIMIT :most"
            )
        given = {
            "document": document.id,
            "party": scope.party,
            "location": document.location,
            "after": after,
            "most": most,
        }
        found: list[Row] = []
        last = 0
        tops = [int(number) for (number,) in conn.execute(query, given).fetchall()]
        for top in tops:
            held = goods.with_content(conn, top)
            if found and len(found) + len(held) > most:
                return found, last
            found += held
            last = top
        return found, last if len(tops) == most else 0

    # ---------------------------------------------------------------------------------- query

    def query(self, scope: Scope, text: str) -> dict[str, Any]:
        """What is known of a code: see `Depot.query`."""
        section = self.section(scope)
        code = is_code(text) if len(text) <= 2_000 else None
        with self._readers.connection() as conn:
            standing = self.standing(conn, section, None)
            unit = None if code is None else standing.text(code)
            case = Case("ship", Doc(party=scope.party), None if unit is None else unit.good)
            if code is None:
                case = Case("ship", Doc(), None, code=False)
            verdict = judge(case)
            told: dict[str, Any] = {"known": False, "verdict": asdict(verdict)}
            if unit is None or unit.good.state == "elsewhere":
                return told
            good = unit.good
            row = goods.by_ref(conn, unit.ref)
            parents = [standing.ref(ref) for ref in unit.above]
            return told | {
                "known": True,
                "ref": unit.ref,
                "code": unit.code,
                "level": good.level,
                "product": good.product,
                "lot": good.lot,
                "expires": _expires(conn, good),
                "pieces": good.pieces,
                "content": [each._asdict() for each in unit.content],
                "state": good.state,
                "location": good.location,
                "held": good.held,
                "integrity": good.integrity,
                "claimed": good.claimed,
                "to": good.to,
                "when": good.when,
                "parents": [
                    {"ref": each.ref, "code": each.code, "level": each.good.level}
                    for each in parents
                    if each is not None
                ],
                "children": len(standing.known_children(unit.ref)) if unit.ref else 0,
                "documents": [
                    {"number": number, "kind": kind, "status": status, "at_ms": at}
                    for number, kind, status, at in _documents_of(conn, row, unit, scope.party)
                ],
            }

    # ------------------------------------------------------------------------------ the sums

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


def lines_of(conn: Connection, document: Document) -> list[dict[str, Any]]:
    """The lines of a document with the pieces that were scanned for each: those of a lot first."""
    lines: list[dict[str, Any]] = [{**line, "done": 0} for line in json.loads(document.lines)]
    if not lines:
        return []
    for line, done in zip(lines, _shared(lines, documents.claimed(conn, document.id)), strict=True):
        line["done"] = done
    return lines


def _shared(lines: list[dict[str, Any]], pieces: dict[tuple[str, str], int]) -> list[int]:
    """Pieces for each line: those of a lot first, what is too much at the last that fits."""
    done = [0] * len(lines)
    for (product, lot), many in sorted(pieces.items()):
        fitting = [n for n, line in enumerate(lines) if line["product"] == product]
        fitting = [n for wanted in (lot, "") for n in fitting if lines[n]["lot"] == wanted]
        for n in fitting:
            room = max(0, lines[n]["pieces"] - done[n])
            took = many if n == fitting[-1] else min(many, room)
            done[n] += took
            many -= took
    return done


_GOOD = tuple(each.name for each in fields(Good))


def _plain(good: Good) -> dict[str, Any]:
    """The fields of a unit; `asdict` copies each and takes ten times as long."""
    return {name: getattr(good, name) for name in _GOOD}


def _expires(conn: Connection, good: Good) -> str:
    row = conn.one(
        "SELECT date FROM lot_date WHERE product = ? AND lot = ?", (good.product, good.lot)
    )
    return "" if row is None else str(row[0])


def _documents_of(
    conn: Connection, row: goods.Row | None, unit: core.KnownGoods, party: str
) -> Iterable[tuple[str, str, str, int]]:
    """Documents of the party that moved a unit, or what holds it."""
    rows = [row, *(goods.by_ref(conn, ref) for ref in unit.above)]
    found: dict[str, tuple[str, str, str, int]] = {}
    for each in rows:
        if each is None:
            continue
        for told in documents.of_unit(conn, each.id, party):
            found.setdefault(told[0], told)
    return found.values()


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
