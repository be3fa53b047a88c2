"""Goods that move between parties and places: ship, receive, return, count, as EPCIS events.

A movement names top-level units only: what they hold moves with them. Pure; `sync.goods` calls it
for the warehouse's rows of the journal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from sync.events import Event, Speaker, split


class Kind(StrEnum):
    """What happened to the goods."""

    SHIPPED = "shipped"
    SHIPMENT_VOIDED = "shipment_voided"
    RECEIVED = "received"
    RETURN_SHIPPED = "return_shipped"
    RETURN_RECEIVED = "return_received"
    COUNTED = "counted"
    LOST = "lost"


_STEPS: Mapping[Kind, tuple[str, str]] = {
    Kind.SHIPPED: ("shipping", "in_transit"),
    Kind.SHIPMENT_VOIDED: ("void_shipping", "sellable_not_accessible"),
    Kind.RECEIVED: ("receiving", "in_progress"),
    Kind.RETURN_SHIPPED: ("shipping", "returned"),
    Kind.RETURN_RECEIVED: ("receiving", "returned"),
    Kind.COUNTED: ("stock_taking", "sellable_not_accessible"),
    Kind.LOST: ("inspecting", "in_progress"),
}
_PAPERS = ("po", "desadv", "recadv", "rma")
"""Business transactions of CBV 2.0 that a movement may refer to."""


class Pieces(NamedTuple):
    """So many units of the lowest level, of a lot of a product ("" = not known)."""

    product: str
    lot: str
    many: int


@dataclass(frozen=True, slots=True)
class Movement:
    """`epcs` are the URIs of the goods. `papers` maps po, desadv, recadv, rma to numbers. `source`
    and `destination` are party and place, "" where not known. `more` are own fields (party,
    document, territory, channel, reason, condition, countSession ...). `content` says of each URI
    what it holds. `here` is the place where it happens, "" = the agent's. `part` tells movements of
    one row from each other."""

    kind: Kind
    epcs: tuple[str, ...]
    source: tuple[str, str] = ("", "")
    destination: tuple[str, str] = ("", "")
    papers: Mapping[str, str] | None = None
    more: Mapping[str, Any] | None = None
    content: Mapping[str, Sequence[Pieces]] = field(default_factory=dict)
    here: str = ""
    part: str = ""


def moved(say: Speaker, movement: Movement) -> list[Event]:
    """The events of a movement; several if it names many goods."""
    step, disposition = _STEPS[movement.kind]
    own = say.identity.own
    given: dict[str, Any] = {}
    if movement.here:
        place = {"id": own("loc", *movement.here.split("/"))}
        given |= {"readPoint": place, "bizLocation": place}
    papers = movement.papers or {}
    listed = [
        {"type": kind, "bizTransaction": own("bt", kind, papers[kind])}
        for kind in _PAPERS
        if papers.get(kind)
    ]
    if listed:
        given["bizTransactionList"] = listed
    for name, word, ends in (
        ("sourceList", "source", movement.source),
        ("destinationList", "destination", movement.destination),
    ):
        found = _ends(say, word, ends)
        if found:
            given[name] = found
    given |= {f"x:{name}": value for name, value in (movement.more or {}).items() if value}
    part = movement.part or movement.kind.value
    events = []
    for n, some in enumerate(split(movement.epcs)):
        held = _pieces(movement.content, some)
        more = {**given, "x:pieces": held} if held else given
        events += say.objects(
            "OBSERVE", f"{part}/{n}" if n else part, step, disposition, some, more
        )
    return events


def _pieces(
    content: Mapping[str, Sequence[Pieces]], names: Sequence[str]
) -> list[dict[str, str | int]]:
    """What these goods hold together, in the order in which products and lots come."""
    found: dict[tuple[str, str], int] = {}
    for name in names:
        for product, lot, many in content.get(name, ()):
            found[product, lot] = found.get((product, lot), 0) + many
    return [
        {"x:product": product, "x:lot": lot, "x:quantity": many}
        for (product, lot), many in found.items()
        if many
    ]


def _ends(say: Speaker, word: str, ends: Sequence[str]) -> list[dict[str, str]]:
    party, place = ends
    own = say.identity.own
    found = [{"type": "possessing_party", word: own("party", party)}] if party else []
    if place:
        found.append({"type": "location", word: own("loc", *place.split("/"))})
    return found
