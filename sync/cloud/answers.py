"""What is known of a code, and how far it can be: the answer to a trace.

What has not been reported yet is never said to be false: `not_known_yet` names what may still come,
and `reported` how far each agent concerned has told its story.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from sync.cloud import pools
from sync.cloud.database import Connection, marks
from sync.cloud.fold import Container, Statement, Stream, Thing, World
from sync.cloud.gather import Alias, Born, Gathered, Gatherer
from sync.cloud.keys import key
from sync.uris import BASE

MOST_HISTORY = 500
MOST_CHILDREN = 5_000
MOST_AGENTS = 1_000
DEEPEST = 3
"""Levels of content that one answer may show."""

_AGENTS = "SELECT id, name, online, state, state_ms FROM agent"
_ENDED = frozenset({"destroyed", "void"})


def iso(ms: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds; None stays None."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def trace(
    conn: Connection, text: str, base: str = BASE, depth: int = 1, now_ms: int | None = None
) -> dict[str, Any]:
    """All that is known of a code as a person scans or types it. DomainError: no code reads so."""
    with conn.reading():
        uri = pools.named(conn, text, base)
        return _Tracer(conn, uri, base).answer(max(0, min(depth, DEEPEST)))


def of_uri(conn: Connection, uri: str, base: str = BASE) -> dict[str, Any]:
    """The same of the thing with this URI, without what it holds."""
    with conn.reading():
        return _Tracer(conn, uri, base).answer(0)


class _Tracer:
    """One answer."""

    def __init__(self, conn: Connection, uri: str, base: str) -> None:
        self._conn = conn
        self._uri = uri
        self._base = base
        self._key = key(uri)
        self._gatherer = Gatherer(conn)

    def answer(self, depth: int) -> dict[str, Any]:
        found = self._gatherer.about([self._key])
        name = found.now.get(self._key, self._key)
        self._classes(found, name)
        if not found.statements and not found.aliases:
            return {
                "code": self._uri,
                "answer": "not_known_yet",
                "not_known_yet": ["everything"],
                "reported": self._reported(None),
            }
        world = found.world([name])
        thing = world.things[name]
        chain = world.chain(name)
        box = world.containers.get(name)
        shown = self._gatherer.texts([name, *chain, *found.names(name)])
        disputed = [each for code in found.names(name) for each in found.disputed.get(code, ())]
        born = self._birth(found, name)
        birth = {} if born is None else _birth(born)
        answer: dict[str, Any] = {
            "code": self._uri,
            "answer": "quarantined" if disputed else "known",
            "name": shown.get(name, self._uri),
            **birth,
            "codes": self._codes(found, name, shown),
            "state": world.state(name) or "told",
            "reason": thing.reason,
            "held": bool(thing.holds),
            "doubtful": world.doubtful(name),
            "integrity": (box.integrity or None) if box else None,
            "weakest": world.weakest(name),
            "up": [self._above(found, world, name, each, shown) for each in chain],
            "where": _where(thing),
            "formerly": self._formerly(thing),
        }
        if box is not None:
            answer |= self._content(found, box, depth)
        if disputed:
            answer["claims"] = self._claims(found, disputed)
        told = [each for each in found.statements.values() if self._concerns(each, found, name)]
        answer["lost_by_its_agent"] = bool(told) and all(each.lost for each in told)
        history = world.mattered[name]
        answer["history"] = [_event(each) for each in history[-MOST_HISTORY:]]
        answer["history_left_off"] = max(0, len(history) - MOST_HISTORY)
        answer["not_known_yet"] = self._open(answer, chain, box)
        streams = {each.stream.agent for each in found.statements.values()}
        answer["reported"] = self._reported(streams)
        return answer

    # ---------------------------------------------------------------------------- its parts

    def _birth(self, found: Gathered, name: bytes) -> Statement | None:
        """The commissioning that counts: the newest that its agent still knows."""
        births = [
            found.statements[each.event]
            for code in found.names(name)
            for each in found.born.get(code, ())
            if each.event in found.statements
        ]
        births.sort(key=lambda each: (not each.lost, each.stream.agent, each.place))
        return births[-1] if births else None

    def _codes(self, found: Gathered, name: bytes, shown: dict[bytes, str]) -> list[dict[str, Any]]:
        own = [
            {"code": each.text, "role": each.role, "pair": each.pair or None}
            for each in {
                alias.code: alias for alias in found.aliases if found.now.get(alias.code) == name
            }.values()
        ]
        return sorted(own, key=lambda each: (each["role"] or "", each["code"] or ""))

    def _above(
        self, found: Gathered, world: World, name: bytes, at: bytes, shown: dict[bytes, str]
    ) -> dict[str, Any]:
        box = world.containers[at]
        below = next(each for each in (name, *world.chain(name)) if world.parent.get(each) == at)
        by = box.by[below]
        births = [
            found.statements[each.event]
            for each in found.born.get(at, ())
            if each.event in found.statements
        ]
        return {
            "code": shown.get(at),
            "level": _level(births[0]) if births else _text(by.detail.get("x:level")),
            "evidence": box.children[below] or None,
            "integrity": box.integrity or None,
            "unknown": box.unknown,
            "doubtful": box.doubtful,
            "broken": box.broken,
            "since": iso(by.ms),
            "agent": by.stream.agent,
        }

    def _content(self, found: Gathered, box: Container, depth: int) -> dict[str, Any]:
        children = list(box.children)
        answer: dict[str, Any] = {
            "expected": box.expected,
            "unknown": box.unknown,
            "own": box.own or None,
            "partial_reason": box.reason,
            "broken": box.broken,
            "count": len(children),
        }
        if depth:
            shown = self._gatherer.texts(children[:MOST_CHILDREN])
            answer["down"] = [
                {"code": shown.get(child), "evidence": box.children[child] or None}
                for child in children[:MOST_CHILDREN]
            ]
            answer["down_left_off"] = max(0, len(children) - MOST_CHILDREN)
            self._deeper(answer["down"], children[:MOST_CHILDREN], depth - 1)
            answer["broken"] |= any(each.get("elsewhere") for each in answer["down"])
        return answer

    def _deeper(self, listed: list[dict[str, Any]], children: Sequence[bytes], depth: int) -> None:
        """Where each child really is, and what it holds itself."""
        below = self._gatherer.about(children)
        world = below.world(children)
        for entry, child in zip(listed, children, strict=True):
            at = world.now(child)
            now = world.parent.get(at)
            if now != self._now(below):
                shown = self._gatherer.texts([now]) if now else {}
                entry["elsewhere"] = shown.get(now) if now else "unpacked"
            born = self._birth(below, at)
            if born is not None:
                entry["level"] = _level(born)
            box = world.containers.get(at)
            if box is not None:
                entry["integrity"] = box.integrity or None
                if depth:
                    entry["down"] = self._texts_of(box)

    def _now(self, found: Gathered) -> bytes:
        return found.now.get(self._key, self._key)

    def _texts_of(self, box: Container) -> list[str | None]:
        shown = self._gatherer.texts(box.children)
        return [shown.get(child) for child in box.children]

    def _formerly(self, thing: Thing) -> list[dict[str, Any]]:
        shown = self._gatherer.texts({parent for parent, _, _ in thing.former})
        return [
            {"container": shown.get(parent), "from": iso(since), "until": iso(until)}
            for parent, since, until in thing.former
        ]

    def _claims(self, found: Gathered, disputed: Iterable[Born | Alias]) -> list[dict[str, Any]]:
        """Who says what the code is on, in an order that does not depend on who came first."""
        each_once = list(dict.fromkeys(disputed))
        rows = self._gatherer.many(
            "SELECT id, stream, seq, ms FROM event WHERE id", (each.event for each in each_once)
        )
        said = {event: (stream, seq, ms) for event, stream, seq, ms in rows}
        units = self._gatherer.texts(each.unit for each in each_once if isinstance(each, Alias))
        claims = []
        for each in each_once:
            stream, seq, ms = said[each.event]
            (where,) = self._gatherer.streams([stream])
            claim: dict[str, Any] = {
                "code": each.text,
                "agent": where.agent,
                "epoch": where.epoch,
                "seq": seq,
                "time": iso(ms),
            }
            if isinstance(each, Alias):
                claim["on"] = units.get(each.unit)
            claims.append(claim)
        return sorted(claims, key=lambda claim: (claim["agent"], claim["epoch"], claim["seq"]))

    def _concerns(self, each: Statement, found: Gathered, name: bytes) -> bool:
        names = set(found.names(name))
        return bool(names & (found.about.get(each.event, set()) | set(each.children or ())))

    def _open(
        self, answer: dict[str, Any], chain: Sequence[bytes], box: Container | None
    ) -> list[str]:
        """What may still be reported."""
        found = []
        if "level" not in answer:
            found.append("commissioning")
        if not chain and answer["state"] not in _ENDED:
            found.append("up")
        if (chain or box is not None) and answer["weakest"] is None:
            found.append("weakest")
        if not answer["where"]["place"] and not answer["where"]["in_transit"]:
            found.append("where")
        return found

    def _reported(self, agents: set[str] | None) -> list[dict[str, Any]]:
        """How far these agents (None: all) have told."""
        if agents is None:
            return agent_rows(self._conn, MOST_AGENTS)
        return reported(self._conn, agents)

    def _classes(self, found: Gathered, name: bytes) -> None:
        """What was said of a range of its pool or of its lot concerns it too."""
        wanted: dict[bytes, int | None] = {}
        prefix = f"{self._base}/pool/"
        column, _, position = self._uri.rpartition("/")
        if self._uri.startswith(prefix) and position.isdigit() and len(position) < 16:
            wanted[key(column)] = int(position)
        born = self._birth(found, name)
        if born is not None:
            ilmd = born.detail.get("ilmd")
            ilmd = ilmd if isinstance(ilmd, dict) else {}
            lot, product = _text(ilmd.get("cbvmda:lotNumber")), _text(ilmd.get("x:productClass"))
            if lot and product:
                wanted[key(f"{product}/10/{quote(lot, safe='')}")] = None
        if not wanted:
            return
        classes = self._gatherer.about(wanted)
        for event, each in classes.statements.items():
            for code in classes.about.get(event, ()):
                if code in wanted and _covers(each, wanted[code]):
                    found.statements[event] = each
                    found.about.setdefault(event, set()).add(name)


def _covers(each: Statement, position: int | None) -> bool:
    if position is None:
        return True
    first = each.detail.get("x:first")
    listed = each.detail.get("quantityList")
    many = listed[0].get("quantity") if isinstance(listed, list) and listed else None
    return isinstance(first, int) and isinstance(many, int) and first <= position < first + many


def _birth(born: Statement) -> dict[str, Any]:
    detail = born.detail
    ilmd = detail.get("ilmd")
    ilmd = ilmd if isinstance(ilmd, dict) else {}
    return {
        "level": _level(born),
        "role": _text(detail.get("x:role")),
        "product": _text(ilmd.get("x:product")),
        "lot": _text(ilmd.get("cbvmda:lotNumber")),
        "produced": _text(ilmd.get("x:productionDate")),
        "expires": _text(ilmd.get("cbvmda:itemExpirationDate")),
        "order": unquote(_text(detail.get("x:task")).rpartition("/")[2]),
        "commissioned": iso(born.ms),
        "agent": born.stream.agent,
    }


def _level(born: Statement) -> str:
    return _text(born.detail.get("x:level"))


def _where(thing: Thing) -> dict[str, Any]:
    return {
        "holder": thing.holder or None,
        "place": thing.place or None,
        "in_transit": thing.transit,
        "toward": thing.toward or None,
        "counted": iso(thing.counted_ms or None),
    }


_PLAIN = (
    "bizStep",
    "disposition",
    "action",
    "x:reason",
    "x:why",
    "x:integrity",
    "x:doubtful",
    "x:evidence",
    "x:operator",
    "x:task",
    "x:clock",
    "x:held",
    "x:partialReason",
    "bizTransactionList",
    "sourceList",
    "destinationList",
)


def _event(each: Statement) -> dict[str, Any]:
    """A statement, short."""
    found: dict[str, Any] = {
        "time": iso(each.ms),
        "agent": each.stream.agent,
        "epoch": each.stream.epoch,
        "seq": each.seq,
    }
    for name in _PLAIN:
        value = each.detail.get(name)
        if value not in (None, "") and not isinstance(value, dict):
            found[name.removeprefix("x:")] = value
    point = each.detail.get("readPoint")
    if isinstance(point, dict):
        found["readPoint"] = point.get("id")
    if "errorDeclaration" in each.detail:
        found["declared_wrong"] = True
    if each.lost:
        found["lost_by_its_agent"] = True
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def agent_rows(conn: Connection, limit: int, after: str = "") -> list[dict[str, Any]]:
    """The agents in the order of their names, each with how far it has told, what it says of
    itself, and what a person must look at."""
    rows = conn.rows(f"{_AGENTS} WHERE name > ? ORDER BY name LIMIT ?", (after, limit))
    return [_agent(conn, *row) for row in rows]


def reported(conn: Connection, agents: Iterable[str]) -> list[dict[str, Any]]:
    """The same of these agents only."""
    names = sorted(set(agents))[:MOST_AGENTS]
    if not names:
        return []
    rows = conn.rows(f"{_AGENTS} WHERE name IN ({marks(len(names))}) ORDER BY name", names)
    return [_agent(conn, *row) for row in rows]


def _agent(
    conn: Connection, number: int, name: str, online: int | None, state: str | None, at: int | None
) -> dict[str, Any]:
    streams = [
        Stream(row[0], name, *row[1:])
        for row in conn.rows(
            "SELECT id, epoch, first, upto, cut, event_ms, heard_ms FROM watermark "
            "WHERE agent = ? ORDER BY id",
            (number,),
        )
    ]
    newest = streams[-1] if streams else None
    letters = conn.one(
        "SELECT count(*) FROM dead_letter d JOIN watermark w ON w.id = d.stream "
        "WHERE w.agent = ? AND d.state = 'open'",
        (number,),
    )
    forks = conn.one("SELECT count(*) FROM fork WHERE agent = ? AND kind <> 'restored'", (name,))
    refused = conn.one("SELECT count(*) FROM refused WHERE agent = ?", (name,))
    return {
        "agent": name,
        "epoch": newest.epoch if newest else None,
        "upto": newest.upto if newest else 0,
        "newest_event": iso(newest.event_ms) if newest else None,
        "heard": iso(newest.heard_ms) if newest else None,
        "former_epochs": [
            {"epoch": each.epoch, "upto": each.upto, "ended_at": each.cut} for each in streams[:-1]
        ],
        "online": None if online is None else bool(online),
        "says": state,
        "said": iso(at),
        "dead_letters": int(letters[0]) if letters else 0,
        "forks": int(forks[0]) if forks else 0,
        "refused": int(refused[0]) if refused else 0,
    }
