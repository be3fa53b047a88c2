"""Documents from a file (dispatch orders, notices of what is coming, transfers, returns), checked
against what is known here and taken whole or not at all.

`documentread` says which bytes are rows; here every row is held against products, parties, units
and locations, and rows of one number become one document. Whatever is wrong is told with its line
and remedy; nothing of a file that has a problem is booked.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from agent.core.codes import canonical
from agent.core.documentdraft import (
    KINDS,
    UNITS,
    Book,
    DocumentsRefused,
    Draft,
    DraftLine,
    DraftUnit,
    Item,
)
from agent.core.documentread import HEAD, Problems, Row, read_rows
from agent.core.gs1 import Refused

MOST_PIECES = 100_000_000
"""Of one row: what is above it was typed wrongly."""

_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


def read_documents(data: bytes, book: Book, kind: str = "") -> tuple[Draft, ...]:
    """The documents of a file; `kind` is that of documents that name none. DocumentsRefused lists
    every problem with its line; nothing else is raised, whatever the bytes are."""
    problems = Problems()
    rows = read_rows(data, problems)
    by_number: dict[str, list[Row]] = {}
    for row in rows:
        if number := row.cells.get("number", ""):
            by_number.setdefault(number, []).append(row)
        else:
            problems.add(row.line, "number", "cell_empty")
    drafts = [
        _Reader(number, group, book, problems).draft(kind) for number, group in by_number.items()
    ]
    _codes_differ(drafts, problems)
    if problems:
        raise DocumentsRefused(sorted(problems.found, key=lambda p: p.line), problems.more)
    return tuple(drafts)


@dataclass(slots=True)
class _Reader:
    """One document while its rows are read; its faults go to `problems` and reading goes on."""

    number: str
    rows: list[Row]
    book: Book
    problems: Problems
    at: dict[str, int] = field(default_factory=dict)  # line of each code

    def draft(self, kind: str) -> Draft:
        first = self.rows[0].line
        if "/" in self.number:  # it is a part of addresses
            self.problems.add(first, "number", "number_wrong", value=self.number)
        elif self.book.taken(self.number):
            self.problems.add(first, "number", "number_taken", value=self.number)
        head = self._head()
        kind = self._kind(head, kind)
        party = self._party(head, kind)
        location, to = (self._location(head, name) for name in ("location", "to"))
        if kind == "transfer":
            self._way(first, location, to, party)
        lines = _added(filter(None, (self._line(r) for r in self.rows if not _coded(r))))
        goods = self._goods(kind)
        if goods and lines:
            self._agree(lines, goods, first)
        return Draft(
            self.number,
            kind,
            party,
            location,
            to,
            head.get("territory", (0, ""))[1],
            head.get("channel", (0, ""))[1],
            head.get("paper", (0, ""))[1],
            lines or self._asked(goods),
            goods,
            first,
        )

    # ------------------------------------------------------------------- the document as a whole

    def _head(self) -> dict[str, tuple[int, str]]:
        """What is said of the whole document, and on which line; a row may say nothing of it."""
        found: dict[str, tuple[int, str]] = {}
        for row in self.rows:
            for name in HEAD:
                value = row.cells.get(name, "")
                if not value:
                    continue
                line, said = found.setdefault(name, (row.line, value))
                if said != value:
                    self.problems.add(row.line, name, "head_differs", value=value, first=line)
        return found

    def _kind(self, head: Mapping[str, tuple[int, str]], default: str) -> str:
        line, said = head.get("kind", (self.rows[0].line, default))
        kind = _KIND_OF.get(_plain(said), "")
        if not said:
            self.problems.add(line, "kind", "cell_empty")
        elif not kind:
            known = ", ".join(f"{names[0]} ({kind})" for kind, names in KINDS.items())
            self.problems.add(line, "kind", "kind_unknown", value=said, known=known)
        return kind

    def _party(self, head: Mapping[str, tuple[int, str]], kind: str) -> str:
        line, said = head.get("party", (self.rows[0].line, ""))
        if not said:
            if kind != "transfer":
                self.problems.add(line, "party", "cell_empty")
            return ""
        found = [said] if said in self.book.parties else []
        found = found or [id for id, names in self.book.parties.items() if said in names.values()]
        if len(found) != 1:
            self.problems.add(line, "party", "party_unknown", value=said)
        elif found[0] == self.book.party and kind != "transfer":
            self.problems.add(line, "party", "party_self", value=said)
        return found[0] if found else ""

    def _location(self, head: Mapping[str, tuple[int, str]], column: str) -> str:
        line, said = head.get(column, (0, ""))
        if said and said not in self.book.locations:
            known = ", ".join(sorted(self.book.locations)[:20])
            self.problems.add(line, column, "location_unknown", value=said, known=known)
        return said

    def _way(self, line: int, location: str, to: str, party: str) -> None:
        """A transfer names where it begins and, within the warehouse, where it ends."""
        for column, said in (("location", location), ("to", to or party)):
            if not said:
                self.problems.add(line, column, "cell_empty")
        if location and location == to:
            self.problems.add(line, "to", "same_location")

    # --------------------------------------------------------------------------------- its rows

    def _item(self, row: Row) -> Item | None:
        said = row.cells.get("product", "")
        if not said:
            self.problems.add(row.line, "product", "cell_empty")
            return None
        items = self.book.items
        found = [items[said]] if said in items else []
        found = found or [
            item
            for item in items.values()
            if said in item.names.values() or (item.gtin and said.zfill(14) == item.gtin.zfill(14))
        ]
        if len(found) != 1:
            self.problems.add(row.line, "product", "product_unknown", value=said)
            return None
        return found[0]

    def _level(self, row: Row, item: Item) -> str:
        said = _plain(row.cells.get("unit", ""))
        if not said:
            self.problems.add(row.line, "unit", "cell_empty")
            return ""
        for level in item.units:
            if said == _plain(level) or said in UNITS.get(level, ()):
                return level
        known = ", ".join(f"{UNITS[u][0]} ({u})" if u in UNITS else u for u in item.units)
        self.problems.add(
            row.line, "unit", "unit_unknown", value=said, product=item.sku, known=known
        )
        return ""

    def _quantity(self, row: Row) -> int:
        said = row.cells.get("quantity", "")
        plain = unicodedata.normalize("NFKC", said)
        if not said:
            self.problems.add(row.line, "quantity", "cell_empty")
        elif not _WHOLE.fullmatch(plain) or not int(plain.replace(",", "").partition(".")[0]):
            self.problems.add(row.line, "quantity", "quantity", value=said)
        else:
            return int(plain.replace(",", "").partition(".")[0])
        return 0

    def _line(self, row: Row) -> DraftLine | None:
        item, quantity = self._item(row), self._quantity(row)
        level = self._level(row, item) if item else ""
        if item is None or not level or not quantity:
            return None
        pieces = quantity * item.units[level]
        if pieces > MOST_PIECES:
            self.problems.add(row.line, "quantity", "quantity_large", most=MOST_PIECES)
        return DraftLine(item.sku, level, quantity, row.cells.get("lot", ""), pieces)

    # ------------------------------------------------------------------------- units by their code

    def _goods(self, kind: str) -> tuple[DraftUnit, ...]:
        units: dict[str, DraftUnit] = {}
        for row in self.rows:
            if not _coded(row):
                continue
            if kind and kind != "receive":
                self.problems.add(row.line, "code", "code_kind")
                continue
            unit = self._unit(row)
            if unit is None:
                continue
            if unit.code in units:
                self.problems.add(row.line, "code", "code_twice", first=self.at[unit.code])
                continue
            units[unit.code] = unit
            self.at[unit.code] = row.line
        if not self._nested(units):
            return ()
        counted = _counted(units)
        for code in units.keys() - {unit.code for unit in counted}:
            self.problems.add(self.at[code], "parent", "parent_circle")
        return counted

    def _unit(self, row: Row) -> DraftUnit | None:
        item = self._item(row)
        level = self._level(row, item) if item else ""
        code = self._code(row, "code")
        parent = self._code(row, "parent") if row.cells.get("parent") else ""
        expires = self._date(row)
        given = self._quantity(row) if row.cells.get("quantity") else 0
        if item is None or not level or not code:
            return None
        if given > item.units[level]:
            self.problems.add(row.line, "quantity", "quantity_large", most=item.units[level])
        return DraftUnit(
            code,
            level,
            item.sku,
            row.cells.get("lot", ""),
            expires,
            parent,
            given or item.units[level],
        )

    def _code(self, row: Row, column: str) -> str:
        """The canonical text of a code, "" where it is none."""
        try:
            code = canonical(row.cells[column])
        except Refused as refused:
            self.problems.add(row.line, column, "code", why=refused.reason)
            return ""
        if code.kind == "product":
            self.problems.add(row.line, column, "code_product")
            return ""
        return code.text

    def _date(self, row: Row) -> str:
        said = row.cells.get("expires", "")
        plain = said.replace("/", "-").replace(".", "-")
        try:
            return date(*(int(part) for part in plain.split("-"))).isoformat() if plain else ""
        except (ValueError, TypeError, OverflowError):
            self.problems.add(row.line, "expires", "date", value=said)
            return ""

    def _nested(self, units: Mapping[str, DraftUnit]) -> bool:
        """Whether each unit's container is told, larger than it, and no unit inside itself."""
        good = True
        for unit in units.values():
            line = self.at[unit.code]
            parent = units.get(unit.parent)
            if unit.parent and parent is None:
                self.problems.add(line, "parent", "parent_unknown")
                good = False
            elif parent is not None:
                order = list(self.book.items[parent.product].units)
                below = order.index(unit.level) if unit.level in order else len(order)
                if unit.code == parent.code:
                    self.problems.add(line, "parent", "parent_circle")
                    good = False
                elif below >= order.index(parent.level):
                    self.problems.add(
                        line, "parent", "parent_level", level=unit.level, parent=parent.level
                    )
                    good = False
        return good

    def _asked(self, goods: Iterable[DraftUnit]) -> tuple[DraftLine, ...]:
        """What a document asks that only tells its units: the outermost ones, whole ones in their
        own level and the others in pieces."""
        lines = []
        for unit in goods:
            if unit.parent:
                continue
            units = self.book.items[unit.product].units
            whole = units[unit.level] == unit.pieces
            level = unit.level if whole else min(units, key=lambda name: units[name])
            quantity = 1 if whole else unit.pieces
            lines.append(DraftLine(unit.product, level, quantity, unit.lot, unit.pieces))
        return _added(lines)

    def _agree(self, lines: Iterable[DraftLine], goods: Iterable[DraftUnit], first: int) -> None:
        asked: dict[str, int] = {}
        told: dict[str, int] = {}
        for line in lines:
            asked[line.product] = asked.get(line.product, 0) + line.pieces
        for unit in goods:
            if not unit.parent:
                told[unit.product] = told.get(unit.product, 0) + unit.pieces
        for sku in asked.keys() | told.keys():
            if asked.get(sku, 0) != told.get(sku, 0):
                self.problems.add(
                    first,
                    "",
                    "content_differs",
                    product=sku,
                    asked=asked.get(sku, 0),
                    told=told.get(sku, 0),
                )


_WHOLE = re.compile(r"(?:[0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})(?:\.0{1,6})?")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _coded(row: Row) -> bool:
    return bool(row.cells.get("code"))


def _added(lines: Iterable[DraftLine | None]) -> tuple[DraftLine, ...]:
    """Lines of the same product, lot and level as one."""
    found: dict[tuple[str, str, str], DraftLine] = {}
    for line in lines:
        if line is None:
            continue
        key = line.product, line.level, line.lot
        if (there := found.get(key)) is not None:
            line = line._replace(
                quantity=there.quantity + line.quantity, pieces=there.pieces + line.pieces
            )
        found[key] = line
    return tuple(found.values())


def _counted(units: Mapping[str, DraftUnit]) -> tuple[DraftUnit, ...]:
    """The units with the pieces that their children tell, each after its container."""
    children: dict[str, list[str]] = {}
    for unit in units.values():
        children.setdefault(unit.parent, []).append(unit.code)
    found: list[DraftUnit] = []

    def walk(code: str) -> int:
        at = len(found)
        found.append(units[code])
        inside = [walk(child) for child in children.get(code, ())]
        pieces = sum(inside) if inside else units[code].pieces
        found[at] = units[code]._replace(pieces=pieces)
        return pieces

    for code in children.get("", ()):
        walk(code)
    return tuple(found)


def _codes_differ(drafts: Iterable[Draft], problems: Problems) -> None:
    """A unit is on one document of a file only."""
    seen: dict[str, int] = {}
    for draft in drafts:
        for unit in draft.goods:
            if unit.code in seen:
                problems.add(draft.line, "code", "code_twice", first=seen[unit.code])
            seen.setdefault(unit.code, draft.line)
