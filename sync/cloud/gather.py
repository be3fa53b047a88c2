"""Reads from the tables all that was said of some things, for `fold` to play through.

Everything is asked for many things at once, so that a page of relations costs a few queries.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from sync.cloud.database import Connection, Row, marks
from sync.cloud.fold import Statement, Stream, World
from sync.cloud.keys import SIZE, key
from sync.envelope import Batch, decode

AT_ONCE = 500
"""Keys in one query."""
DEEPEST = 8
"""Levels of containers, and of names after one another, that are followed."""
MOST_RAW = 200
"""Children of which another agent has not told yet, looked up in batches for one answer."""
MOST_CONTAINERS = 20_000
"""Containers around the things of one question."""

_EVENT = "e.id, e.stream, e.seq, e.n, e.part, e.uuid, e.ms, d.body"
_FROM = "JOIN event e ON e.id = {}.event JOIN detail d ON d.key = e.detail"
_STREAM = (
    "SELECT w.id, a.name, w.epoch, w.first, w.upto, w.cut, w.event_ms, w.heard_ms "
    "FROM watermark w JOIN agent a ON a.id = w.agent"
)


def split_keys(packed: Any) -> list[bytes]:
    """The keys that a row of `box` has one after the other."""
    data = bytes(packed)
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


@dataclass(frozen=True, slots=True)
class Alias:
    """`code` is on the thing that `unit` names; `event` said so."""

    code: bytes
    unit: bytes
    text: str
    role: str
    pair: str
    event: int


@dataclass(frozen=True, slots=True)
class Born:
    """`key` was commissioned by `event`."""

    key: bytes
    text: str
    event: int


@dataclass
class Gathered:
    """What is known of some things; `now` maps every name of one to the name that it bears now."""

    now: dict[bytes, bytes] = field(default_factory=dict)
    aliases: list[Alias] = field(default_factory=list)
    born: dict[bytes, list[Born]] = field(default_factory=dict)
    disputed: dict[bytes, list[Born | Alias]] = field(default_factory=dict)
    statements: dict[int, Statement] = field(default_factory=dict)
    about: dict[int, set[bytes]] = field(default_factory=dict)
    _former: dict[bytes, list[bytes]] = field(default_factory=dict)

    def world(self, things: Iterable[bytes], until: int | None = None) -> World:
        """Everything played through, or what was up to an event."""
        world = World(self.now, things)
        world.play(self.said(), until)
        return world

    def said(self) -> Iterator[Statement]:
        """All statements, each with what it is about."""
        for number, each in self.statements.items():
            about = each.about or tuple(sorted(self.about.get(number, ())))
            yield each if each.children is not None else each._replace(about=about)

    def names(self, thing: bytes) -> list[bytes]:
        """All names of a thing, that of now first."""
        return [thing, *sorted(name for name, now in self.now.items() if now == thing != name)]

    def names_of(self, thing: bytes) -> Iterable[bytes]:
        """The same, quick where many things are asked for."""
        if not self._former:
            for name, now in self.now.items():
                if now != name:
                    self._former.setdefault(now, []).append(name)
            self._former.setdefault(b"", [])
        return (thing, *sorted(self._former.get(thing, ())))


class Gatherer:
    """Gathers on one connection, within one reading transaction."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._streams: dict[int, Stream] = {}
        self._details: dict[str, dict[str, Any]] = {}
        self._tables: tuple[str, ...] | None = None

    def many(self, query: str, keys: Iterable[Any], more: str = "") -> Iterator[Row]:
        """The rows of a query that ends in `IN`, for any number of keys."""
        wanted = sorted(set(keys))
        for at in range(0, len(wanted), AT_ONCE):
            some = wanted[at : at + AT_ONCE]
            yield from self._conn.rows(f"{query} IN ({marks(len(some))}){more}", some)

    def about(self, keys: Iterable[bytes]) -> Gathered:
        """All that was said of these things and of every container they were ever in."""
        found = Gathered()
        things = self._named(found, set(keys))
        self._objects(found, things)
        seen: set[bytes] = set()
        for _ in range(DEEPEST):
            new = things - seen
            if not new or len(seen) > MOST_CONTAINERS:
                break
            seen |= new
            parents = {
                bytes(parent)
                for (parent,) in self.many(
                    "SELECT DISTINCT b.parent FROM link l JOIN box b ON b.event = l.event "
                    "WHERE l.child",
                    new,
                )
            }
            self._boxes(found, new | parents)
            parents = self._named(found, parents - seen)
            self._boxes(found, parents)
            self._objects(found, parents)
            things = parents
        return found

    def below(self, keys: Iterable[bytes]) -> set[bytes]:
        """These things and all that was ever in them, by all their names."""
        seen: set[bytes] = set()
        level = set(keys)
        for _ in range(DEEPEST):
            level -= seen
            if not level:
                break
            level = self._akin(level)
            seen |= level
            level = {
                child
                for (packed,) in self.many("SELECT children FROM box WHERE parent", level)
                for child in split_keys(packed)
            }
        return seen

    def above(self, keys: Iterable[bytes]) -> set[bytes]:
        """These things and all that they were ever in, by all their names."""
        seen: set[bytes] = set()
        level = set(keys)
        for _ in range(DEEPEST):
            level -= seen
            if not level or len(seen) > MOST_CONTAINERS:
                break
            level = self._akin(level)
            seen |= level
            level = {
                bytes(parent)
                for (parent,) in self.many(
                    "SELECT DISTINCT b.parent FROM link l JOIN box b ON b.event = l.event "
                    "WHERE l.child",
                    level,
                )
            }
        return seen

    def _akin(self, keys: set[bytes]) -> set[bytes]:
        """These names and all others of the same things."""
        if self._tables is None:
            several = self._conn.one("SELECT 1 FROM claim WHERE kind = 'alias' LIMIT 1")
            self._tables = ("alias", "claim") if several else ("alias",)
        known: set[bytes] = set()
        fresh = set(keys)
        for _ in range(DEEPEST):
            known |= fresh
            new: set[bytes] = set()
            for table in self._tables:
                only = " AND unit IS NOT NULL" if table == "claim" else ""
                new.update(
                    bytes(unit)
                    for (unit,) in self.many(f"SELECT unit FROM {table} WHERE key", fresh, only)
                )
                new.update(
                    bytes(code)
                    for (code,) in self.many(f"SELECT key FROM {table} WHERE unit", fresh)
                )
            fresh = new - known
            if not fresh:
                break
        return known

    def events(self, numbers: Iterable[int]) -> list[Statement]:
        """These events, each about all that it names as goods that moved."""
        found = Gathered()
        wanted = set(numbers)
        select = f"SELECT {_EVENT} FROM event e JOIN detail d ON d.key = e.detail WHERE e.id"
        for row in self.many(select, wanted):
            self._statement(found, row, None)
        named: dict[int, list[bytes]] = {}
        for event, code in self.many("SELECT event, key FROM sighting WHERE event", wanted):
            named.setdefault(event, []).append(bytes(code))
        return [
            each._replace(about=tuple(sorted(named.get(number, ()))))
            for number, each in sorted(found.statements.items())
        ]

    def streams(self, ids: Iterable[int]) -> list[Stream]:
        """What is applied of these streams."""
        missing = set(ids) - self._streams.keys()
        for row in self.many(f"{_STREAM} WHERE w.id", missing):
            self._streams[row[0]] = Stream._make(row)
        return [self._streams[each] for each in sorted(set(ids))]

    def texts(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """What is written on things, by their keys; where only a hash is in the tables, from the
        batch that named it."""
        wanted = set(keys)
        found: dict[bytes, str] = {}
        for query in (
            "SELECT key, text FROM unit WHERE key",
            "SELECT key, text FROM alias WHERE key",
            "SELECT parent, text FROM box WHERE parent",
        ):
            found.update(self.many(query, wanted - found.keys()))
        for code in sorted(wanted - found.keys())[:MOST_RAW]:
            if code not in found:
                found.update(self._raw(code))
        return found

    def _raw(self, code: bytes) -> dict[bytes, str]:
        """All texts in a document that named a child, or the new name of a thing."""
        row = None
        for query in (
            "SELECT e.stream, e.seq, e.n FROM link l JOIN event e ON e.id = l.event "
            "WHERE l.child = ? ORDER BY e.id LIMIT 1",
            "SELECT e.stream, e.seq, e.n FROM alias a JOIN event e ON e.id = a.event "
            "WHERE a.unit = ? ORDER BY e.id LIMIT 1",
        ):
            row = row or self._conn.one(query, (code,))
        if row is None:
            return {}
        stream, seq, n = row
        kept = self._conn.one(
            "SELECT payload FROM batch WHERE stream = ? AND last >= ? ORDER BY last LIMIT 1",
            (stream, seq),
        )
        batch = decode(bytes(kept[0])) if kept else None
        if not isinstance(batch, Batch):
            return {}
        found: dict[bytes, str] = {}
        for doc in batch.docs:
            if (doc.seq, doc.n) == (seq, n):
                for event in orjson.loads(bytes(doc.doc))["epcisBody"]["eventList"]:
                    uris = (event.get("parentID"), *event.get("childEPCs", ()))
                    found.update((key(uri), uri) for uri in uris if uri)
        return found

    # ------------------------------------------------------------------------------- names

    def _named(self, found: Gathered, keys: set[bytes]) -> set[bytes]:
        """Follow names both ways; all names of the things."""
        known: set[bytes] = set()
        fresh = set(keys)
        for _ in range(DEEPEST):
            fresh -= known
            if not fresh:
                break
            known |= fresh
            self._born(found, fresh)
            fresh = self._aliases(found, fresh)
        self._settle(found)
        return known | fresh

    def _born(self, found: Gathered, keys: set[bytes]) -> None:
        for code, text, event in self.many("SELECT key, text, event FROM unit WHERE key", keys):
            found.born.setdefault(code, []).append(Born(code, text, event))
        claims = self.many(
            "SELECT key, text, event, duplicate FROM claim WHERE kind = 'unit' AND key", keys
        )
        twice = set()
        for code, text, event, duplicate in claims:
            found.born.setdefault(code, []).append(Born(code, text, event))
            if duplicate:
                twice.add(code)
        for code in twice:
            found.disputed[code] = [*found.born[code]]

    def _aliases(self, found: Gathered, keys: set[bytes]) -> set[bytes]:
        """Add the aliases of and on these names; the names that they lead to."""
        said: list[Alias] = []
        twice = set()
        columns = "key, unit, text, role, pair, event"
        for where in ("key", "unit"):
            rows = self.many(f"SELECT {columns} FROM alias WHERE {where}", keys)
            said += [Alias(*row) for row in rows]
            for row in self.many(
                f"SELECT {columns}, duplicate FROM claim WHERE kind = 'alias' AND {where}", keys
            ):
                said.append(Alias(*row[:-1]))
                if row[-1]:
                    twice.add(row[0])
        there = set(found.aliases)
        new = [each for each in dict.fromkeys(said) if each not in there]
        found.aliases += new
        for code in twice:
            rows = self.many(f"SELECT {columns} FROM alias WHERE key", [code])
            more = self.many(f"SELECT {columns} FROM claim WHERE kind = 'alias' AND key", [code])
            found.disputed[code] = [Alias(*row) for row in (*rows, *more)]
        return {
            name
            for each in new
            if each.code not in found.disputed
            for name in (each.code, each.unit)
        }

    def _settle(self, found: Gathered) -> None:
        """Which name each thing bears now: that on which its other codes were told to be."""
        above: dict[bytes, Alias] = {}
        several = set()
        for each in found.aliases:
            if each.code in found.disputed:
                continue
            if above.setdefault(each.code, each).unit != each.unit:
                several.add(each.code)
        if several:  # an agent that was restored told it anew: its last word counts
            rival = [each for each in found.aliases if each.code in several]
            rows = self.many(
                "SELECT id, stream, seq FROM event WHERE id", (each.event for each in rival)
            )
            places = {event: (stream, seq) for event, stream, seq in rows}
            for each in sorted(rival, key=lambda alias: places[alias.event]):
                above[each.code] = each
        found.now = {}
        for code in above:
            at, steps = code, 0
            while at in above and steps < 64:
                at, steps = above[at].unit, steps + 1
            found.now[code] = at

    # -------------------------------------------------------------------------- statements

    def _objects(self, found: Gathered, keys: set[bytes]) -> None:
        events: dict[int, set[bytes]] = {}
        births = [each for code in keys for each in found.born.get(code, ())]
        for each in births:
            events.setdefault(each.event, set()).add(each.key)
        select = f"SELECT {_EVENT} FROM event e JOIN detail d ON d.key = e.detail WHERE e.id"
        for row in self.many(select, events):
            self._statement(found, row, None)
            found.about.setdefault(row[0], set()).update(events[row[0]])
        select = f"SELECT m.key, {_EVENT} FROM movement m {_FROM.format('m')} WHERE m.key"
        for code, *event in self.many(select, keys):
            self._statement(found, tuple(event), None)
            found.about.setdefault(event[0], set()).add(code)

    def _boxes(self, found: Gathered, keys: set[bytes]) -> None:
        select = (
            f"SELECT b.parent, b.children, {_EVENT} FROM box b {_FROM.format('b')} WHERE b.parent"
        )
        for parent, packed, *row in self.many(select, keys):
            self._statement(found, tuple(row), tuple(split_keys(packed)))
            found.statements[row[0]] = found.statements[row[0]]._replace(about=(parent,))

    def _statement(self, found: Gathered, row: Row, children: tuple[bytes, ...] | None) -> None:
        event, stream, seq, n, part, uuid, ms, body = row
        if event in found.statements:
            return
        (where,) = self.streams([stream])
        found.statements[event] = Statement(
            event, where, seq, n, part, uuid, ms, self._detail(body), (), children
        )

    def _detail(self, body: str) -> dict[str, Any]:
        found = self._details.get(body)
        if found is None:
            found = orjson.loads(body)
            evidence = found.get("x:evidence")
            if isinstance(evidence, dict):
                found["x:evidence"] = {key(uri): word for uri, word in evidence.items()}
            if len(self._details) < 10_000:
                self._details[body] = found
        return found
