"""What an event about moving goods adds to the tables: pieces posted, papers, goods that were seen.

Pure, and only added to: an event that is declared wrong comes once more, with the sign turned.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from sync.cloud.keys import key

MOVES = frozenset({"shipping", "void_shipping", "receiving", "stock_taking"})
"""Steps that say where goods are, or no longer are."""
MAX_WORD = 200


class Ends(NamedTuple):
    """From which party to which, by name; "" = not told."""

    source: str
    destination: str


class Posting(NamedTuple):
    """Pieces of a lot that came to a party, left it, were found or lost there."""

    party: str
    kind: str
    day: str
    product: str
    lot: str
    pieces: int


def party_of(uri: str) -> str:
    """The party's own number, from its URI."""
    return unquote(uri.rpartition("/party/")[2]) if "/party/" in uri else uri


def ends(detail: Mapping[str, Any]) -> Ends:
    """Between whom goods move."""
    return Ends(
        party_of(end(detail.get("sourceList"), "source", "possessing_party")),
        party_of(end(detail.get("destinationList"), "destination", "possessing_party")),
    )


def end(listed: Any, word: str, kind: str) -> str:
    """The party or the place of a source or destination list, "" without."""
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("type") == kind:
            value = each.get(word)
            return value[:MAX_WORD] if isinstance(value, str) else ""
    return ""


def paper(detail: Mapping[str, Any], kind: str) -> str:
    """The number of a paper that an event refers to, "" without."""
    listed = detail.get("bizTransactionList")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("type") == kind:
            value = each.get("bizTransaction")
            if isinstance(value, str):
                return unquote(value.rpartition(f"/bt/{kind}/")[2])[:MAX_WORD]
    return ""


def owner(detail: Mapping[str, Any]) -> str:
    """Whose warehouse tells it: said, or by the direction."""
    told = detail.get("x:party")
    if isinstance(told, str) and told:
        return party_of(told[:MAX_WORD])
    source, destination = ends(detail)
    return source if detail.get("bizStep") in ("shipping", "void_shipping") else destination


def shipment_key(source: str, destination: str, number: str) -> bytes:
    """The key of a shipment."""
    return key("\n".join(("shipment", source, destination, number)))


def shipment_of(detail: Mapping[str, Any]) -> bytes | None:
    """Which shipment an event is of; None: of none."""
    step, disposition = detail.get("bizStep"), detail.get("disposition")
    if disposition == "returned":
        return None
    if step not in ("shipping", "void_shipping", "receiving") and not detail.get("x:missing"):
        return None
    number = paper(detail, "desadv")
    source, destination = ends(detail)
    if not (number and source and destination) or source == destination:
        return None
    return shipment_key(source, destination, number)


def sees(detail: Mapping[str, Any]) -> bool:
    """Whether an event is about where goods are."""
    return (
        detail.get("bizStep") in MOVES
        or detail.get("x:lost") is True
        or detail.get("x:inspection") is True
    )


def postings(event: Mapping[str, Any]) -> list[Posting]:
    """What an event posts for the party whose books it is of. What is declared wrong is taken back
    on the day on which that was said."""
    kind, sign = _kind(event)
    party = owner(event)
    listed = event.get("x:pieces")
    if not kind or not party or not isinstance(listed, list):
        return []
    day = _word(event.get("x:day")) or _word(event.get("eventTime"))
    wrong = event.get("errorDeclaration")
    if wrong is not None:
        sign = -sign
        day = _word(wrong.get("declarationTime")) if isinstance(wrong, dict) else day
    day = day[:10]
    found = []
    for each in listed:
        many = each.get("x:quantity") if isinstance(each, dict) else None
        if isinstance(many, int) and 0 < many < 1 << 40:
            product, lot = _word(each.get("x:product")), _word(each.get("x:lot"))
            found.append(Posting(party, kind, day, product, lot, sign * many))
            if event.get("x:implicit") is True and kind in ("shipped", "returned_out"):
                # It was there, and nobody had told that it came.
                found.append(Posting(party, "implicit", day, product, lot, sign * many))
    return found


def _kind(detail: Mapping[str, Any]) -> tuple[str, int]:
    step, returned = detail.get("bizStep"), detail.get("disposition") == "returned"
    if step == "inspecting":
        return ("lost", 1) if detail.get("x:lost") is True else ("", 0)
    source, destination = ends(detail)
    if step in ("shipping", "void_shipping", "receiving") and source == destination and source:
        return "", 0  # within one party: what it has is the same
    if step == "shipping":
        return ("returned_out" if returned else "shipped"), 1
    if step == "void_shipping":
        return "shipped", -1
    if step == "receiving":
        return ("returned_in" if returned else "received"), 1
    if step == "stock_taking":
        return "found", 1
    return "", 0


def _word(value: Any) -> str:
    return value[:MAX_WORD].replace("\0", "") if isinstance(value, str) else ""
