"""Import of files of documents into a warehouse, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.core import facts as f
from agent.core.documentdraft import PIECE, Book, Draft, Item
from agent.core.documentfile import read_documents
from agent.core.documentread import MAX_BYTES
from agent.core.errors import DomainError
from agent.core.known import Clock
from agent.sections import Site, WarehouseSection
from agent.services.warehouse_documents import parties_of, products_of, told_facts
from agent.store import documents
from agent.store.database import Connection
from agent.store.record import record


def read_file(path: Path) -> bytes:
    """A file's bytes. DomainError: it cannot be read, or is far too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DomainError(
                "file_too_large", f"{path} is larger than {MAX_BYTES:,} bytes: split it."
            )
        return path.read_bytes()
    except OSError as error:
        raise DomainError(
            "file_unreadable", f"{path} cannot be read: {error.strerror}. Name another file."
        ) from None


def warehouse_of(site: Site, party: str) -> WarehouseSection:
    """The warehouse of a party, or the only one where none is named. DomainError
    `unknown_party`."""
    for section in site.warehouse:
        if section.party == party or (not party and len(site.warehouse) == 1):
            return section
    known = ", ".join(section.party for section in site.warehouse) or "none: add a [[warehouse]]"
    raise DomainError(
        "unknown_party",
        f"There is no warehouse of {party or 'a party that is not named'} in the site file "
        f"(there is {known}): name one of them.",
    )


def items_of(conn: Connection, site: Site) -> dict[str, Item]:
    """The products that documents may ask for, each with its levels, the smallest first."""
    levels = {level.name for section in site.schemes.values() for level in section.levels}
    found = {}
    for said in products_of(conn, site):
        if said["withdrawn"]:
            continue
        sku = said["sku"]
        section = site.products.get(sku)
        named = levels | set(section.units if section else ()) | set(documents.sizes(conn, sku))
        sizes = {
            level: site.pieces(sku, level) or documents.size_of(conn, sku, level)
            for level in sorted(named)
        }
        units = {level: size for level, size in sizes.items() if size}
        if 1 not in units.values():
            units[PIECE] = 1
        ordered = dict(sorted(units.items(), key=lambda unit: unit[1]))
        found[sku] = Item(sku, said["names"], ordered, said["gtin"])
    return found


def book_of(conn: Connection, site: Site, section: WarehouseSection) -> Book:
    """What a file for a warehouse is held against."""
    return Book(
        section.party,
        items_of(conn, site),
        {each["id"]: each["names"] for each in parties_of(conn, site) if not each["withdrawn"]},
        section.locations,
        lambda number: documents.find(conn, section.party, number) is not None,
    )


def look(conn: Connection, site: Site, party: str, data: bytes, kind: str) -> tuple[Draft, ...]:
    """The documents of a file. DocumentsRefused lists what is wrong with it, by line."""
    return read_documents(data, book_of(conn, site, warehouse_of(site, party)), kind)


def keep(
    conn: Connection, site: Site, party: str, data: bytes, kind: str, by: str, clock: Clock
) -> tuple[Draft, ...]:
    """Book all documents of a file, in the caller's transaction. DocumentsRefused as `look`."""
    section = warehouse_of(site, party)
    drafts = read_documents(data, book_of(conn, site, section), kind)
    facts: list[f.Fact] = []
    for draft in drafts:
        facts += _facts(conn, section, draft, by, clock)
    record(conn, "", facts, clock)
    return drafts


def told(drafts: Sequence[Draft]) -> list[dict[str, Any]]:
    """The documents of a file in short, for a person who looks before it is booked."""
    return [
        {
            "number": draft.number,
            "kind": draft.kind,
            "other": draft.party,
            "location": draft.location,
            "to": draft.to,
            "lines": len(draft.lines),
            "pieces": sum(line.pieces for line in draft.lines),
            "units": len(draft.goods),
        }
        for draft in drafts
    ]


def _facts(
    conn: Connection, section: WarehouseSection, draft: Draft, by: str, clock: Clock
) -> list[f.Fact]:
    opened = f.DocumentOpened(
        section.party,
        draft.number,
        draft.kind,
        draft.location,
        draft.party,
        draft.to,
        draft.territory,
        draft.channel,
        tuple(
            f.Asked(
                line.product,
                "" if line.level == PIECE else line.level,
                line.quantity,
                line.lot,
                line.pieces,
            )
            for line in draft.lines
        ),
        draft.paper,
        False,
        "import",
        by,
        at_ms=clock.wall_ms,
    )
    units = [
        f.Told(
            unit.code,
            "" if unit.level == PIECE else unit.level,
            unit.product,
            unit.lot,
            unit.expires,
            0,
            unit.parent,
            unit.pieces,
            "inferred",
        )
        for unit in draft.goods
    ]
    return [opened, *told_facts(conn, section.party, draft.number, units)] if units else [opened]
