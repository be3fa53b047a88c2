"""Goods that move between parties and places: ship, receive, return, count, as EPCIS events.

A movement names top-level units only: what they hold moves with them. Pure; `sync.epcis` calls it
for the warehouse's rows of the journal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sync.events import Event, Speaker


class Kind(StrEnum):
    """What happened to the goods."""

    SHIPPED = "shipped"
    SHIPMENT_VOIDED = "shipment_voided"
    RECEIVED = "received"
    RETURN_SHIPPED = "return_shipped"
    RETURN_RECEIVED = "return_received"
    COUNTED = "counted"


_STEPS: Mapping[Kind, tuple[str, str]] = {
    Kind.SHIPPED: ("shipping", "in_transit"),
    Kind.SHIPMENT_VOIDED: ("void_shipping", "sellable_not_accessible"),
    Kind.RECEIVED: ("receiving", "in_progress"),
    Kind.RETURN_SHIPPED: ("shipping", "returned"),
    Kind.RETURN_RECEIVED: ("receiving", "returned"),
    Kind.COUNTED: ("stock_taking", "sellable_not_accessible"),
}
_PAPERS = ("po", "desadv", "recadv", "rma")
"""Business transactions of CBV 2.0 that a movement may refer to."""


@dataclass(frozen=True, slots=True)
class Movement:
    """`epcs` are the URIs of the goods. `papers` maps po, desadv, recadv, rma to numbers. `source`
    and `destination` are party and place, "" where not known. `more` are own fields (territory,
    channel, reason, condition, countSession ...)."""

    kind: Kind
    epcs: tuple[str, ...]
    source: tuple[str, str] = ("", "")
    destination: tuple[str, str] = ("", "")
    papers: Mapping[str, str] | None = None
    more: Mapping[str, str] | None = None


def moved(say: Speaker, movement: Movement) -> list[Event]:
    """The events of a movement; several if it names many goods."""
    step, disposition = _STEPS[movement.kind]
    own = say.identity.own
    given: dict[str, Any] = {}
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
    return say.objects("OBSERVE", movement.kind, step, disposition, movement.epcs, given)


def _ends(say: Speaker, word: str, ends: Sequence[str]) -> list[dict[str, str]]:
    party, place = ends
    own = say.identity.own
    found = [{"type": "possessing_party", word: own("party", party)}] if party else []
    if place:
        found.append({"type": "location", word: own("loc", *place.split("/"))})
    return found
