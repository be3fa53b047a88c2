"""Documents of the warehouse as they come in: checked against parties, products and locations, and
what the cloud tells of goods on their way, as facts."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agent.core import facts as f
from agent.core.codes import Refused, canonical
from agent.core.errors import DomainError
from agent.core.goods import Item, Scope
from agent.core.rules import OPERATIONS
from agent.sections import Site, WarehouseSection
from agent.store import documents, goods, lookup
from agent.store.commands import references
from agent.store.database import Connection
from agent.store.follow import day_of
from sync import kinds

MOST_LINES = 1_000
IN_ONE_FACT = 500
"""Units that one GoodsTold names."""


def products_of(conn: Connection, site: Site) -> list[dict[str, Any]]:
    """Products of the site file and of the cloud, which has the last word."""
    found: dict[str, dict[str, Any]] = {
        sku: {"sku": sku, "names": dict(each.names), "gtin": each.gtin, "withdrawn": False}
        for sku, each in site.products.items()
    }
    for reference in references(conn, "product"):
        said = json.loads(reference.body)
        found[reference.key] = {
            "sku": reference.key,
            "names": said.get("names", {}),
            "gtin": said.get("gtin", ""),
            "withdrawn": bool(said.get("withdrawn")),
        }
    return list(found.values())


def parties_of(conn: Connection, site: Site) -> list[dict[str, Any]]:
    """Parties of the site file and of the cloud, which has the last word."""
    found: dict[str, dict[str, Any]] = {
        name: {
            "id": name,
            "kind": each.kind,
            "names": dict(each.names),
            "territories": list(each.territories),
            "channels": list(each.channels),
            "withdrawn": False,
        }
        for name, each in site.parties.items()
    }
    for section in site.warehouse:
        found.setdefault(
            section.party,
            {
                "id": section.party,
                "kind": "dealer",
                "names": dict(section.names),
                "territories": [],
                "channels": [],
                "withdrawn": False,
            },
        )
    for reference in references(conn, "party"):
        said = json.loads(reference.body)
        found[reference.key] = {
            "id": reference.key,
            "kind": said.get("kind", "dealer"),
            "names": said.get("names", {}),
            "territories": said.get("territories", []),
            "channels": said.get("channels", []),
            "withdrawn": bool(said.get("withdrawn")),
        }
    return list(found.values())


def pieces_of(conn: Connection, site: Site, product: str, level: str) -> int | None:
    """Pieces of a full unit of a level; None where neither the file says so nor one was seen."""
    return site.pieces(product, level) or documents.size_of(conn, product, level)


def asked_line(
    conn: Connection, site: Site, product: str, level: str, quantity: int, lot: str
) -> f.Asked:
    """A line in pieces. DomainError `level_unknown`."""
    size = pieces_of(conn, site, product, level) if level else 1
    if size is None:
        raise DomainError(
            "level_unknown",
            f"How many pieces a {level} of {product} holds is not known here: give the quantity "
            "in pieces, or say it in the site file ([products.X] units).",
        )
    return f.Asked(product, level, quantity, lot, quantity * size)


def drafted(
    conn: Connection,
    site: Site,
    section: WarehouseSection,
    scope: Scope,
    number: str,
    item: Item,
    by: str,
) -> f.DocumentOpened:
    """The document that an item wants to open, checked on entry. DomainError with the remedy."""
    said = item.body

    def text(key: str) -> str:
        value = said.get(key, "")
        return value if isinstance(value, str) else ""

    if not 1 <= len(number) <= 64 or "/" in number or not number.isprintable():
        raise DomainError(
            "number_wrong", f"Document number {number[:64]!r}: 1 to 64 printable characters, no /."
        )
    kind = text("kind")
    if kind not in OPERATIONS:
        raise DomainError("kind_unknown", f"There is no document of kind {kind[:32]}.")
    places = [place for place in (text("location"), text("to")) if place]
    for place in places:
        if place not in section.locations or (scope.locations and place not in scope.locations):
            raise DomainError(
                "unknown_location",
                f"{section.party} has no location {place[:64]} here, or it is not yours "
                f"(there is {', '.join(scope.locations or section.locations)[:200]}).",
            )
    other = text("other")
    if other:
        party = next((each for each in parties_of(conn, site) if each["id"] == other), None)
        if party is None or party["withdrawn"] or other == section.party:
            raise DomainError(
                "other_unknown", f"Party {other[:64]} is not one that goods may come from or go to."
            )
    lines = said.get("lines") or []
    asked = tuple(_line(conn, site, line) for line in _some(lines))
    if kind == "ship" and not asked and not section.ship_without_order:
        raise DomainError("order_needed", "Here nothing is shipped without a dispatch order.")
    return f.DocumentOpened(
        section.party,
        number,
        kind,
        text("location"),
        other,
        text("to"),
        text("territory")[:64],
        text("channel")[:64],
        asked,
        text("paper")[:64],
        kind == "receive" and bool(said.get("blind", not asked)),
        "pda" if scope.device else "panel",
        by,
        item.reason[:200] or text("reason")[:200],
        item.condition or text("condition")[:16],
        item.at_ms,
    )


def _some(lines: Any) -> Sequence[Any]:
    if not isinstance(lines, list) or len(lines) > MOST_LINES:
        raise DomainError("line_wrong", f"A document has a list of at most {MOST_LINES:,} lines.")
    return lines


def _line(conn: Connection, site: Site, line: Any) -> f.Asked:
    product = line.get("product") if isinstance(line, dict) else None
    quantity = line.get("quantity") if isinstance(line, dict) else None
    if not isinstance(product, str) or not isinstance(quantity, int):
        raise DomainError("line_wrong", "A line names a product and a whole quantity.")
    if not 1 <= quantity <= 1_000_000_000:
        raise DomainError("line_wrong", f"A line of {product[:64]} asks for {quantity}.")
    known = next((each for each in products_of(conn, site) if each["sku"] == product), None)
    if known is None or known["withdrawn"]:
        raise DomainError(
            "product_unknown", f"Product {product[:64]} is not known here, or was withdrawn."
        )
    lot = str(line.get("lot") or "")[:64]
    return asked_line(conn, site, product, str(line.get("level") or "")[:64], quantity, lot)


# ------------------------------------------------------------------------------ from the cloud


def told_facts(conn: Connection, party: str, number: str, units: Iterable[f.Told]) -> list[f.Fact]:
    """A document's content as facts: refs as this agent names them, product and lot of a unit
    inside from what holds it where they are not told, sums right."""
    listed = [_named(conn, told) for told in units]
    names = {old.ref: new for old, new in listed}
    by_ref: dict[str, f.Told] = {}
    for old, new in listed:
        parent = names.get(old.parent, old.parent)
        by_ref[new] = old._replace(ref=new, parent=parent)
    order = _parents_first(by_ref)
    for ref in order:
        told = by_ref[ref]
        above = by_ref.get(told.parent)
        if above is not None:
            by_ref[ref] = told._replace(
                product=told.product or above.product,
                lot=told.lot or above.lot,
                expires=told.expires or above.expires,
                made_ms=told.made_ms or above.made_ms,
                integrity=told.integrity or above.integrity,
            )
    inner: dict[str, list[str]] = {}
    for ref in order:
        inner.setdefault(by_ref[ref].parent, []).append(ref)
    for ref in reversed(order):
        told = by_ref[ref]
        held = [by_ref[child] for child in inner.get(ref, ())]
        if not held:
            by_ref[ref] = told._replace(pieces=max(1, told.pieces))
            continue
        pieces = sum(each.pieces for each in held)
        if any((each.product, each.lot) != (told.product, told.lot) for each in held):
            by_ref[ref] = told._replace(product="", lot="", pieces=pieces)
        else:
            by_ref[ref] = told._replace(pieces=max(told.pieces, pieces))
    rows = [by_ref[ref] for ref in order]
    return [
        f.GoodsTold(party, number, tuple(rows[at : at + IN_ONE_FACT]))
        for at in range(0, len(rows), IN_ONE_FACT)
    ]


def _named(conn: Connection, told: f.Told) -> tuple[f.Told, str]:
    """A unit with the name that it has here. DomainError `goods_code_wrong`."""
    try:
        text = canonical(told.ref).text
    except Refused as error:
        raise DomainError("goods_code_wrong", f"{told.ref[:80]} is no code: {error}") from None
    code = lookup.find_code(conn, text)
    ref = goods.own_ref(code.unit.unit) if code is not None and code.unit is not None else text
    row = None if code is not None else goods.by_code(conn, text)
    return told, row.ref if row is not None else ref


def _parents_first(units: dict[str, f.Told]) -> list[str]:
    """DomainError `goods_nested_wrong`: a unit is in one that is not told, or in itself."""
    order: list[str] = []
    placed: set[str] = set()
    for ref in units:
        chain: list[str] = []
        at = ref
        while at and at not in placed:
            if at in chain or at not in units or len(chain) > goods.DEEPEST:
                raise DomainError(
                    "goods_nested_wrong",
                    f"{ref[:80]} is told to be in {units[chain[-1]].parent[:80] if chain else at}, "
                    "which is not among the goods.",
                )
            chain.append(at)
            at = units[at].parent
        for each in reversed(chain):
            order.append(each)
            placed.add(each)
    return order


def asn_facts(conn: Connection, site: Site, asn: kinds.Asn, at_ms: int) -> list[f.Fact]:
    """What the cloud tells of goods on their way: a receipt that waits for them; or, `withdrawn`,
    its end. DomainError: `unknown_party` (no warehouse of the receiver is here), `document_exists`
    (another receipt has the number), or the goods cannot be so. The first fact opens it, though it
    may be `coming` already; the others tell its goods."""
    section = _warehouse(site, asn.receiver)
    number = asn.number
    there = documents.find(conn, section.party, number)
    if asn.withdrawn:
        return _withdrawn(conn, there, at_ms, site)
    if there is not None and there.status != "coming":
        raise DomainError("document_exists", f"There is a document {number} already.")
    opened = f.DocumentOpened(
        section.party,
        number,
        "receive",
        section.locations[0],
        asn.sender,
        "",
        asn.territory,
        asn.channel,
        (),
        asn.purchase_order,
        False,
        "cloud",
        "cloud",
        at_ms=at_ms,
    )
    units = [told for unit in asn.units for told in _coming(conn, site, unit)]
    return [opened, *told_facts(conn, section.party, number, units)]


def _coming(conn: Connection, site: Site, unit: kinds.Coming) -> Iterable[f.Told]:
    size = pieces_of(conn, site, unit.product, unit.level) if unit.product else None
    pieces = unit.pieces or unit.quantity or size or max(1, len(unit.children))
    yield f.Told(
        unit.code,
        unit.level,
        unit.product,
        unit.lot,
        unit.expires,
        unit.made,
        unit.parent,
        pieces,
        unit.integrity,
        tuple(unit.codes),
    )
    many = len(unit.children)
    each = pieces // many if many and pieces % many == 0 else 1
    for child in unit.children:
        yield f.Told(child, "", "", "", "", 0, unit.code, each, "")


def dispatch_facts(
    conn: Connection, site: Site, dispatch: kinds.Dispatch, at_ms: int
) -> list[f.Fact]:
    """What the cloud wants shipped: an open shipment; or, `withdrawn`, its end. DomainError as
    `asn_facts`, and `product_unknown`, `level_unknown`."""
    section = _warehouse(site, dispatch.sender)
    there = documents.find(conn, section.party, dispatch.number)
    if dispatch.withdrawn:
        return _withdrawn(conn, there, at_ms, site)
    if there is not None:
        raise DomainError("document_exists", f"There is a document {dispatch.number} already.")
    lines = tuple(
        asked_line(conn, site, line.product, line.level, line.quantity, line.lot)
        for line in dispatch.lines
    )
    return [
        f.DocumentOpened(
            section.party,
            dispatch.number,
            "ship",
            "",
            dispatch.party,
            "",
            getattr(dispatch, "territory", ""),
            getattr(dispatch, "channel", ""),
            lines,
            dispatch.purchase_order,
            False,
            "cloud",
            "cloud",
            at_ms=at_ms,
        )
    ]


def _warehouse(site: Site, party: str) -> WarehouseSection:
    """The warehouse of a party; the only one where no party is named."""
    found = [each for each in site.warehouse if each.party == party or not party]
    if len(found) != 1:
        known = ", ".join(each.party for each in site.warehouse) or "none"
        raise DomainError(
            "unknown_party",
            f"No warehouse of {party or 'a party that is named'} is on this agent (there is "
            f"{known}): send it to the agent that has it, or add [[warehouse]] to the site file.",
        )
    return found[0]


def _withdrawn(
    conn: Connection, there: documents.Document | None, at_ms: int, site: Site
) -> list[f.Fact]:
    """A document ends before anything was scanned for it."""
    if there is None or there.status in ("closed", "reversed"):
        return []
    if documents.claims(conn, there.id, newest=1):
        raise DomainError(
            "document_begun",
            f"Goods were scanned for document {there.number} already: take them back first.",
        )
    refs = [goods.by_id(conn, number) for number in documents.expected(conn, there.id)]
    missing = tuple(row.ref for row in refs if row is not None)
    return [
        f.DocumentClosed(
            there.party,
            there.number,
            (),
            missing,
            bool(missing),
            "withdrawn",
            "cloud",
            at_ms=at_ms,
            day=day_of(at_ms, site.offset_ms),
        )
    ]
