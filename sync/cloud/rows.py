"""A batch as rows of the cloud's tables: pure, and without a look at what is there already.

Every document becomes rows of its own or a letter with the reason why not, so one bad document
never keeps back its neighbours, and a document that is applied later gives the same rows as if it
had come in time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

import orjson

from sync.cloud.freight import Posting, postings, sees, shipment_of
from sync.cloud.keys import key, keys
from sync.envelope import Batch, Doc
from sync.lint import problems

MAX_REASON = 1_000
"""Characters of a reason; a document with a hundred faults needs no hundred sentences."""

Lint = Callable[[Any, int], list[str]]

_OWN = frozenset(
    {
        "eventID",
        "eventTime",
        "eventTimeZoneOffset",
        "epcList",
        "parentID",
        "childEPCs",
        "x:agent",
        "x:seq",
        "x:roles",
        "x:pairs",
    }
)
"""What is an event's own; the rest is `detail`, which many events have in common."""


class Letter(NamedTuple):
    """A document that was not applied, and why: a stable key, then words."""

    seq: int
    n: int
    of: int
    reason: str
    doc: bytes


class Named(NamedTuple):
    """The things that one event names, by their keys; `texts` are their names, () where the table
    has none. A row of a table for each; a list of rows of their own costs twice the time."""

    event: int
    keys: Sequence[bytes]
    texts: Sequence[str] = ()


def each_text(named: Iterable[Named]) -> Iterator[tuple[bytes, str, int]]:
    """The rows one by one: key, text, event."""
    for each in named:
        yield from zip(each.keys, each.texts, repeat(each.event))


def each_key(named: Iterable[Named]) -> Iterator[tuple[bytes, int]]:
    """The rows one by one: key, event."""
    for each in named:
        yield from zip(each.keys, repeat(each.event))


@dataclass
class Rows:
    """Rows by table, in the order of the columns. Event ids begin at `base`; events lack
    the stream, which only the database knows. `newest_ms` is the latest eventTime, 0 = none."""

    base: int
    events: list[tuple[int, int, int, int, bytes, int, bytes]] = field(default_factory=list)
    details: dict[bytes, str] = field(default_factory=dict)
    units: list[Named] = field(default_factory=list)
    aliases: list[tuple[bytes, bytes, str, str, str, int]] = field(default_factory=list)
    links: list[Named] = field(default_factory=list)
    boxes: list[tuple[int, bytes, str, bytes]] = field(default_factory=list)
    movements: list[Named] = field(default_factory=list)
    postings: list[tuple[int, int, Posting]] = field(default_factory=list)
    passages: list[tuple[bytes, int]] = field(default_factory=list)
    sightings: list[tuple[bytes, int]] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    newest_ms: int = 0


class _Unreadable(Exception):
    """A document that passed the lint and cannot be read all the same."""


def rows(batch: Batch, base: int = 1, lint: Lint = problems) -> Rows:
    """The rows of a batch, its events numbered from `base`."""
    return of_documents(batch.docs, base, lint)


def of_documents(docs: Iterable[Doc], base: int = 1, lint: Lint = problems) -> Rows:
    """The rows of some documents."""
    found = Rows(base)
    reader = _Reader(found)
    for doc in docs:
        raw = bytes(doc.doc)
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            wrong = [f"malformed: it is no JSON ({error})"]
        else:
            wrong = lint(document, len(raw))
            if not wrong:
                try:
                    reader.read(doc.seq, doc.n, document["epcisBody"]["eventList"])
                except _Unreadable as error:
                    wrong = [str(error)]
        if wrong:
            reason = "; ".join(wrong)[:MAX_REASON].replace("\0", "")
            found.letters.append(Letter(doc.seq, doc.n, doc.of, reason, raw))
    return found


class _Reader:
    """Adds documents to rows, each whole or not at all."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._next = rows.base
        self._keys: dict[str, bytes] = {}
        self._details: dict[bytes, bytes] = {}
        self._times: dict[str, int] = {}

    def read(self, seq: int, n: int, events: list[dict[str, Any]]) -> None:
        """One document. _Unreadable: nothing of it was added."""
        # Everything that can fail comes first.
        times = [self._ms(event["eventTime"]) for event in events]
        ids = [_uuid(event["eventID"]) for event in events]
        self._keys = {}
        before: tuple[dict[str, Any], int, int] | None = None
        for part, event in enumerate(events):
            kind = event["type"]
            rest = {name: value for name, value in event.items() if name not in _OWN}
            if before is not None and before[0] == rest and before[2] == times[part]:
                # One row stands for all associations of a document that say the same.
                self._associate(event, before[1])
                continue
            at = self._event(seq, n, part, ids[part], times[part], rest)
            before = (rest, at, times[part]) if kind == "AssociationEvent" else None
            if kind == "ObjectEvent":
                self._objects(event, at)
            elif kind == "AssociationEvent":
                self._associate(event, at)
            else:
                self._aggregate(event, at)

    def _event(
        self, seq: int, n: int, part: int, uuid: bytes, ms: int, rest: dict[str, Any]
    ) -> int:
        body = orjson.dumps(rest)
        detail = self._details.get(body)
        if detail is None:
            text = body.decode()
            detail = self._details[body] = key(text)
            self._rows.details[detail] = text
        at = self._next
        self._next += 1
        self._rows.events.append((at, seq, n, part, uuid, ms, detail))
        self._rows.newest_ms = max(self._rows.newest_ms, ms)
        return at

    def _of(self, uris: list[str]) -> list[bytes]:
        """Keys; a code is named several times in a document and hashed once."""
        known = self._keys
        try:
            return [known[uri] for uri in uris]
        except KeyError:
            found = keys(uris)
            known.update(zip(uris, found, strict=True))
            return found

    def _objects(self, event: dict[str, Any], at: int) -> None:
        epcs = event.get("epcList", [])
        named = self._of(epcs)
        if event["action"] == "ADD" and event["bizStep"] == "commissioning":
            self._rows.units.append(Named(at, named, epcs))
            return
        # Of a range (quantityList) the class is named.
        named += [key(each["epcClass"]) for each in event.get("quantityList", ())]
        self._rows.movements.append(Named(at, named))
        self._moved(event, named, at)

    def _moved(self, event: dict[str, Any], named: list[bytes], at: int) -> None:
        """Goods that moved, or that were seen where they are."""
        if sees(event):
            self._rows.sightings.extend(zip(named, repeat(at)))
        shipment = shipment_of(event)
        if shipment is not None:
            self._rows.passages.append((shipment, at))
        self._rows.postings.extend((at, n, each) for n, each in enumerate(postings(event)))

    def _associate(self, event: dict[str, Any], at: int) -> None:
        children = event["childEPCs"]
        parent, *of = self._of([event["parentID"], *children])
        relabel = event.get("x:relabel")
        if relabel is not None:  # the thing has another name now: its relations read otherwise
            self._rows.movements.append(Named(at, [parent]))
        roles = _each(relabel if relabel is not None else event.get("x:roles"), len(of))
        pairs = _each(event.get("x:pairs"), len(of))
        self._rows.aliases.extend(zip(of, repeat(parent), children, roles, pairs, repeat(at)))

    def _aggregate(self, event: dict[str, Any], at: int) -> None:
        (parent,) = self._of([event["parentID"]])
        children = self._of(event["childEPCs"])
        self._rows.boxes.append((at, parent, event["parentID"], b"".join(children)))
        self._rows.links.append(Named(at, children))

    def _ms(self, text: str) -> int:
        found = self._times.get(text)
        if found is None:
            try:
                found = round(datetime.fromisoformat(text).timestamp() * 1000)
            except (ValueError, OverflowError) as error:
                raise _Unreadable(f"time: {text[:64]} is no time there is ({error})") from error
            self._times[text] = found
        return found


def _uuid(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("urn:uuid:").replace("-", ""))
    except ValueError as error:
        raise _Unreadable(f"event_id: {text[:64]} is no urn:uuid:") from error


def _each(given: Any, many: int) -> list[str]:
    """One word for each of `many` children, from one word for all or a list of them."""
    if isinstance(given, list):
        words = [_word(word) for word in given[:many]]
        return words + [""] * (many - len(words))
    return [_word(given or "")] * many


def _word(given: Any) -> str:
    # PostgreSQL has no text with a NUL in it.
    return str(given)[:64].replace("\0", "")
