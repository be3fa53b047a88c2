"""Builders of EPCIS 2.0 events (GS1 EPCIS 2.0 and CBV 2.0, JSON-LD) and of documents. Pure.

Own fields have the prefix `x`: docs/events.md lists them. `eventID` is derived from agent, epoch,
row and part, so that a document that is built again is the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson

from agent.ports.cloud import Entry
from sync.uris import Identity

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
CBV_MASTER_DATA = "urn:epcglobal:cbv:mda:"
MAX_EVENTS = 100
MAX_BYTES = 20_000
"""Limits of one document at public repositories."""
MAX_NAMES = 8_000
"""Bytes of URIs in one event; longer lists are split into several events."""
EARLIEST_MS = 1_577_836_800_000
LATEST_MS = 4_102_444_800_000
"""2020 to 2100: a clock that says otherwise is wrong."""

_SPACE = UUID("6f1c6c9e-6a1b-5d0b-9f0e-0c1a5e1b7a00")
"""The name space of event ids."""

Event = dict[str, Any]


class Document(NamedTuple):
    """An EPCISDocument: its events, and all of it as JSON."""

    events: list[Event]
    body: bytes


def iso(ms: int, offset: str) -> str:
    """Milliseconds since 1970 as ISO 8601 with the offset (`+08:00`)."""
    sign = -1 if offset[0] == "-" else 1
    away = sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
    at = datetime.fromtimestamp(ms / 1000, UTC) + away
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}{offset}"


class Speaker:
    """Builds the events of one journal row. `at_ms` is the time that they give."""

    def __init__(self, identity: Identity, entry: Entry, at_ms: int) -> None:
        self.identity = identity
        self.entry = entry
        self._at_ms = at_ms

    @cached_property
    def time(self) -> str:
        """When the row was written, as events give it."""
        return iso(self._at_ms, self.identity.offset)

    @cached_property
    def _always(self) -> Event:
        """What every event of this row has."""
        identity, entry = self.identity, self.entry
        place = identity.own("loc", identity.site)
        point = identity.own("loc", identity.site, entry.line) if entry.line else place
        always: Event = {
            "readPoint": {"id": point},
            "bizLocation": {"id": place},
            "x:agent": identity.own("agent", *identity.name.split("/")),
            "x:seq": entry.seq,
            "x:clock": entry.clock.quality,
        }
        if self._at_ms != entry.clock.wall_ms:
            always["x:wallMs"] = entry.clock.wall_ms
        by = str(getattr(entry.fact, "by", ""))
        if by:
            always["x:operator"] = identity.own("user", by)
        return always

    def event_id(self, part: str) -> str:
        """The id of one event of this row."""
        return self.shared_id(f"{self.entry.seq}/{part}")

    def shared_id(self, what: str) -> str:
        """A name that several rows share."""
        entry = self.entry
        return f"urn:uuid:{uuid5(_SPACE, f'{self.identity.name}/{entry.epoch}/{what}')}"

    def event(
        self, kind: str, action: str, part: str, step: str, disposition: str, order: str = ""
    ) -> Event:
        """What all events have; the caller adds what they are about."""
        event: Event = {
            "type": kind,
            "eventID": self.event_id(part),
            "eventTime": self.time,
            "eventTimeZoneOffset": self.identity.offset,
            "action": action,
            "bizStep": step,
            "disposition": disposition,
            **self._always,
        }
        if order:
            transaction = self.identity.own("bt", "prodorder", order)
            event["bizTransactionList"] = [{"type": "prodorder", "bizTransaction": transaction}]
            event["x:task"] = self.identity.own("task", order)
        return event

    def objects(
        self,
        action: str,
        part: str,
        step: str,
        disposition: str,
        epcs: Sequence[str],
        more: Mapping[str, Any] | None = None,
        order: str = "",
    ) -> list[Event]:
        """ObjectEvents about these URIs, as many as their length asks for; none without any."""
        found = []
        for n, some in enumerate(split(epcs)):
            event = self.event("ObjectEvent", action, f"{part}/{n}", step, disposition, order)
            event["epcList"] = some
            event.update(more or {})
            found.append(event)
        return found

    def range(self, step: str, disposition: str, action: str, about: Mapping[str, Any]) -> Event:
        """An ObjectEvent about a class of things: `about` has its quantityList and the rest."""
        return {**self.event("ObjectEvent", action, "range", step, disposition), **about}

    def associated(
        self, part: str, parent: str, children: Sequence[str], more: Mapping[str, Any]
    ) -> Event:
        """Several codes are on one unit."""
        event = self.event("AssociationEvent", "ADD", part, "assembling", "in_progress")
        return {**event, "parentID": parent, "childEPCs": list(children), **more}

    def aggregated(
        self,
        action: str,
        part: str,
        parent: str,
        children: Sequence[str],
        more: Mapping[str, Any],
        order: str = "",
    ) -> list[Event]:
        """Children are bound to a parent (ADD), left it (DELETE), or are in it (OBSERVE)."""
        step = "unpacking" if action == "DELETE" else "packing"
        found = []
        for n, some in enumerate(split(children)):
            event = self.event(
                "AggregationEvent", action, f"{part}/{n}", step, "in_progress", order
            )
            found.append({**event, "parentID": parent, "childEPCs": some, **more})
        return found

    def documents(self, events: Iterable[Event]) -> list[Document]:
        """Documents with these events in order, each within the limits of public repositories."""
        head = orjson.dumps(
            {
                "@context": [
                    CONTEXT,
                    {"cbvmda": CBV_MASTER_DATA},
                    {"x": self.identity.namespace},
                ],
                "type": "EPCISDocument",
                "schemaVersion": "2.0",
                "creationDate": self.time,
            }
        )[:-1]
        found: list[Document] = []
        some: list[Event] = []
        bodies: list[bytes] = []
        size = 0

        def close() -> None:
            if some:
                body = b'%b,"epcisBody":{"eventList":[%b]}}' % (head, b",".join(bodies))
                found.append(Document(list(some), body))

        room = MAX_BYTES - len(head) - 64
        for event in events:
            body = orjson.dumps(event)
            if some and (len(some) >= MAX_EVENTS or size + len(body) + 1 > room):
                close()
                some, bodies, size = [], [], 0
            some.append(event)
            bodies.append(body)
            size += len(body) + 1
        close()
        return found


def split(names: Sequence[str]) -> Iterator[list[str]]:
    """Runs of URIs of at most `MAX_NAMES` bytes each."""
    some: list[str] = []
    size = 0
    for name in names:
        if some and size + len(name) > MAX_NAMES:
            yield some
            some, size = [], 0
        some.append(name)
        size += len(name) + 3
    if some:
        yield some


def only(parts: Sequence[str]) -> str | list[str]:
    """One word where all are the same, else all of them."""
    return parts[0] if len(set(parts)) == 1 else list(parts)
