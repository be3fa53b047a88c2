"""What may be asked of the warehouse unit by unit: documents, goods for PDAs, a code."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from agent.core import warehouse as core
from agent.core.errors import DomainError
from agent.core.goods import Scope
from agent.core.rules import Case, Doc, Good, Line, judge
from agent.sections import WarehouseSection
from agent.services.warehouse_sums import Sums
from agent.store import documents, goods
from agent.store.commands import reference
from agent.store.database import Connection
from agent.store.documents import Document
from agent.store.goods import Row
from agent.store.standing import Standing, is_code

MOST_DOCUMENTS = 500
MOST_GOODS = 5_000
LAST = 20
MISSING = 200
_STATES = {
    "open": ("open",),
    "counted": ("counted",),
    "closed": ("closed",),
    "reversed": ("reversed",),
    "active": ("open", "counted"),
    "all": (),
}


class Views(Sums):
    """Questions about documents, goods and codes; the sums are inherited."""

    # -------------------------------------------------------------------------------- inside

    def within(self, scope: Scope, document: Document) -> bool:
        """Whether the document is there for the scope: its locations reach it."""
        if document.status == "coming":
            return False
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
        coming = documents.expected(conn, document.id)
        if len(coming) > MISSING:
            standing.read_ahead()
        claims = []
        for claim in documents.claims(conn, document.id):
            unit = standing.ref(claim.ref)
            if unit is None:
                raise DomainError("claim_gone", f"Nothing is known of {claim.ref} any more.")
            claims.append(core.KnownClaim(unit, claim.reason, claim.condition))
        expected: list[core.KnownGoods] = []
        for number in coming:
            row = goods.by_id(conn, number)
            if row is None:
                continue
            unit = standing.foreign(row) if row.unit is None else standing.ref(row.ref)
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
