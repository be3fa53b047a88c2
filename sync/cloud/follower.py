"""Follows what agents tell, behind the batches: keeps shipments and diversions as they are known
now, and tells a receiver's agent what is on its way to it.

Everything is made from what the tables say of the things concerned, so it may be made again at any
time and comes out the same. A step looks at what arrived since the last one, in one reading
transaction, and writes what has changed together with how far it looked; of two that look at once
the slower one has worked for nothing.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from agent.core.errors import DomainError, TransientError
from sync import kinds
from sync.cloud import cases, commands, parties, shipments
from sync.cloud.content import Tree
from sync.cloud.database import Connection, Database, Duplicate
from sync.cloud.fold import Statement, papers_of
from sync.cloud.gather import Gatherer
from sync.cloud.relations import touched
from sync.cloud.shipments import Shipment
from sync.uris import BASE

log = logging.getLogger(__name__)

BY = "cloud"
PAUSE = 0.5
"""Seconds between two looks where nothing has come."""
WAITING = 50
"""Shipments that wait for something, looked at in one step."""
AGAIN = 60.0
"""Seconds after which they are looked at though nothing has come."""
NOW = parties.NOW
INSPECTIONS = 200
CLOSE_SECONDS = 15.0
"""What a step that was broken off gets to notice it: it may be connecting just then."""


class _Cursor(NamedTuple):
    xid: int
    arrival: int
    event: int
    inspection: int
    turn: int


class _Place(NamedTuple):
    """Where an agent said something."""

    stream: int
    seq: int
    ms: int


@dataclass
class _Change:
    """What a step has found out."""

    cursor: _Cursor
    shipments: dict[bytes, Shipment] = field(default_factory=dict)
    roots: set[bytes] = field(default_factory=set)
    rows: list[cases.Row] = field(default_factory=list)
    more: bool = False


def step(conn: Connection, now_ms: int, base: str = BASE, again: bool = False) -> bool:
    """Look once at what has come; whether there is more. `again`: look also at what waits, though
    nothing has come. TransientError: another one did."""
    with conn.reading():
        change = _look(conn, base, again)
    with conn.writing():
        _write(conn, change, now_ms)
    return change.more


def behind(conn: Connection) -> int:
    """How many batches and findings came since the last look: what is answered lacks them."""
    row = conn.one(
        "SELECT (SELECT count(*) FROM arrival a WHERE (a.xid, a.id) > (f.xid, f.arrival)) + "
        "(SELECT count(*) FROM inspection i WHERE i.id > f.inspection) "
        "FROM follower f WHERE f.name = 'goods'"
    )
    return int(row[0]) if row else 0


def catch_up(conn: Connection, now_ms: int, base: str = BASE) -> None:
    """Look until nothing is left."""
    while step(conn, now_ms, base):
        pass


def _look(conn: Connection, base: str, again: bool) -> _Change:
    row = conn.one(
        "SELECT xid, arrival, event, inspection, turn FROM follower WHERE name = 'goods'"
    )
    assert row is not None
    at = cursor = _Cursor(*map(int, row))
    gatherer = Gatherer(conn)
    said: dict[int, list[bytes]] = {}
    for some, (xid, arrival, event) in touched(conn, at[:3]):
        if some:
            said[event] = some
        cursor = cursor._replace(xid=xid, arrival=arrival, event=event)
    found = conn.rows(
        "SELECT id, key FROM inspection WHERE id > ? ORDER BY id LIMIT ?",
        (at.inspection, INSPECTIONS),
    )
    if found:
        cursor = cursor._replace(inspection=int(found[-1][0]))
    change = _Change(cursor, more=cursor != at)
    waiting = conn.rows(
        "SELECT key FROM shipment WHERE waits >= ? ORDER BY waits DESC, ms LIMIT ?",
        (1 if again or change.more else NOW, WAITING),
    )
    papers = {bytes(shipment) for (shipment,) in waiting}
    moves = {event for (event,) in gatherer.many("SELECT event FROM sighting WHERE event", said)}
    passages = gatherer.many("SELECT shipment FROM passage WHERE event", said)
    papers |= {bytes(shipment) for (shipment,) in passages}
    # What moved or was found concerns what it holds and what it is in; what else is told of things
    # may change what shipments held, too.
    keys = {key for event in moves for key in said[event]} | {bytes(key) for _, key in found}
    around = _around(gatherer, keys)
    change.roots = _seen(gatherer, around)
    papers |= _reordered(gatherer, around, gatherer.events(moves))
    for agent, events in _by_agent(gatherer, set(said) - moves).items():
        around = _around(gatherer, {key for event in events for key in said[event]})
        change.roots |= _seen(gatherer, around)
        papers |= _changed(gatherer, around, agent, list(events.values()))
    for each in sorted(papers):
        shipment = shipments.look(gatherer, each, base)
        if shipment is not None:
            change.shipments[each] = shipment
    belongs = parties.belonging(conn)
    change.rows = cases.of_roots(gatherer, change.roots, belongs, base)
    return change


def _around(gatherer: Gatherer, keys: set[bytes]) -> set[bytes]:
    """Whatever may be judged otherwise by what is told of these things: all that they hold, that
    these were ever in, and that was ever in or around that (a child that is seen elsewhere breaks
    what it was in)."""
    for _ in range(2 if keys else 0):
        keys = gatherer.above(gatherer.below(keys))
    return keys


def _seen(gatherer: Gatherer, keys: set[bytes]) -> set[bytes]:
    """Those of the things that a warehouse or an inspector saw."""
    return {
        bytes(key)
        for table in ("sighting", "inspection")
        for (key,) in gatherer.many(f"SELECT key FROM {table} WHERE key", keys)
    }


def _by_agent(gatherer: Gatherer, events: Iterable[int]) -> dict[str, dict[int, _Place]]:
    """Events by the agent that told them, each with its place there."""
    rows = list(gatherer.many("SELECT id, stream, seq, ms FROM event WHERE id", events))
    agents = {each.id: each.agent for each in gatherer.streams({row[1] for row in rows})}
    found: dict[str, dict[int, _Place]] = {}
    for event, stream, seq, ms in rows:
        found.setdefault(agents[stream], {})[event] = _Place(stream, seq, ms)
    return found


def _changed(
    gatherer: Gatherer, keys: set[bytes], agent: str, told: Sequence[_Place]
) -> set[bytes]:
    """The shipments that an agent's words about these things may have changed: all that the things
    were on, but those of which it was known before what was held when the goods moved."""
    seen = {event for (event,) in gatherer.many("SELECT event FROM sighting WHERE key", keys)}
    found = {
        bytes(shipment)
        for (shipment,) in gatherer.many("SELECT shipment FROM passage WHERE event", seen)
    }
    events: dict[bytes, list[int]] = {}
    for shipment, event in gatherer.many(
        "SELECT shipment, event FROM passage WHERE shipment", found
    ):
        events.setdefault(bytes(shipment), []).append(event)
    return {
        shipment
        for shipment, some in events.items()
        if not _over(gatherer.events(some), agent, told)
    }


def _reordered(gatherer: Gatherer, keys: set[bytes], moves: Sequence[Statement]) -> set[bytes]:
    """Shipments of these things in which something else may have come first, now that these moves
    are told: what was received by a paper was received after it was sent, and a clock that is right
    again corrects what its agent said before."""
    events = {event for (event,) in gatherer.many("SELECT event FROM sighting WHERE key", keys)}
    seen = gatherer.events(events)
    received = {
        paper
        for each in seen
        if each.detail.get("bizStep") == "receiving"
        for paper in papers_of(each)
    }
    guessed: dict[str, int] = {}
    for each in seen:
        if each.detail.get("x:clock") != "synced":
            agent = each.stream.agent
            guessed[agent] = max(each.ms, guessed.get(agent, 0))
    if not any(
        each.ms < guessed.get(each.stream.agent, 0)
        or (each.detail.get("bizStep") == "shipping" and received.intersection(papers_of(each)))
        for each in moves
    ):
        return set()
    rows = gatherer.many("SELECT shipment FROM passage WHERE event", events)
    return {bytes(shipment) for (shipment,) in rows}


def _over(passages: Sequence[Statement], agent: str, told: Sequence[_Place]) -> bool:
    """Whether an agent said these things after the last event of a shipment, in every order that
    may come out: in later rows than its own receipts (than its own dispatch, while nothing is
    received), by a clock that was right and has not gone back."""
    last = [each for each in passages if each.detail.get("bizStep") == "receiving"] or passages
    return all(
        each.stream.agent == agent
        and each.detail.get("x:clock") == "synced"
        and all(each.place[:2] < place[:2] and each.ms <= place.ms for place in told)
        for each in last
    )


# --------------------------------------------------------------------------------------- writing


def _write(conn: Connection, change: _Change, now_ms: int) -> None:
    cursor = change.cursor
    moved = conn.change(
        "UPDATE follower SET xid = ?, arrival = ?, event = ?, inspection = ?, turn = turn + 1 "
        "WHERE name = 'goods' AND turn = ?",
        cursor,
    )
    if not moved:
        raise TransientError("Another consumer has looked at the same: look again.")
    for key in sorted(change.shipments):
        _keep(conn, key, change.shipments[key], now_ms)
    for case, before in cases.keep(conn, change.roots, change.rows):
        _alarm(conn, case, before)


def _alarm(conn: Connection, case: bytes, before: str) -> None:
    row = conn.one("SELECT state, rightful, party FROM diversion_case WHERE key = ?", (case,))
    if row is not None and row[0] in ("open", "suspected") and row[0] != before:
        log.warning(
            "diversion %s (%s): goods of %s are with %s; see GET /diversions",
            case.hex(),
            row[0],
            row[1] or "nobody named",
            row[2] or "somebody not named",
        )


def _keep(conn: Connection, key: bytes, found: Shipment, now_ms: int) -> None:
    """Keep what a shipment is, and tell its receiver's agent what is to be told."""
    papers = found.papers
    row = conn.one("SELECT asn, told FROM shipment WHERE key = ?", (key,))
    asn, told = (str(row[0]), str(row[1])) if row is not None else ("", "")
    body = shipments.shown(key, found)
    waits = False
    agent = parties.agent_of(conn, papers.destination)
    if agent and papers.round != told:
        try:
            asn, told = _tell(conn, agent, found, asn, told, now_ms)
        except DomainError as error:
            body["why"] = str(error)
        waits = papers.round != told and found.state in ("open", "different")
    said = papers.sent or papers.received or papers.missed
    conn.change(
        "INSERT INTO shipment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
        "SET state = excluded.state, waits = excluded.waits, ms = excluded.ms, "
        "body = excluded.body, asn = excluded.asn, told = excluded.told",
        (
            key,
            papers.number,
            papers.source,
            papers.destination,
            found.state,
            int(waits),
            said[0].ms if said else now_ms,
            msgspec.json.encode(body).decode(),
            asn,
            told,
        ),
    )


def _tell(
    conn: Connection, agent: str, found: Shipment, asn: str, told: str, now_ms: int
) -> tuple[str, str]:
    """Tell an agent what is on its way, or that it does not come; the command, and of which
    dispatch it is. DomainError: it cannot be told now."""
    papers = found.papers
    if told and asn:
        asn, told = _withdraw(conn, agent, found, asn, told, now_ms), ""
    if not papers.sent or found.state == "closed" or found.goods is None:
        return asn, papers.round
    if found.goods.open or found.goods.too_many:
        return asn, told  # not before the content is known
    uid = f"asn-{papers.round}"
    if conn.one("SELECT 1 FROM command WHERE uid = ?", (uid,)) is None:
        content = msgspec.json.encode(notice(found, found.goods))
        commands.queue(conn, agent, "asn", content, BY, now_ms, uid)
    return uid, papers.round


def _withdraw(
    conn: Connection, agent: str, found: Shipment, asn: str, told: str, now_ms: int
) -> str:
    """What was told does not come: taken back where it was not sent, else told."""
    row = conn.one("SELECT sent_ms, answered_ms, about FROM command WHERE uid = ?", (asn,))
    if row is not None and row[0] is None and row[1] is None:
        commands.take_back(conn, asn, BY, now_ms)
        return ""
    uid = f"asn-{told}-void"
    if conn.one("SELECT 1 FROM command WHERE uid = ?", (uid,)) is None:
        papers = found.papers
        gone = kinds.Asn(
            number=papers.number,
            sender=papers.source,
            receiver=papers.destination,
            units=[kinds.Coming(code=papers.number, level="document")],
            withdrawn=True,
        )
        commands.queue(conn, agent, "asn", msgspec.json.encode(gone), BY, now_ms, uid)
    return uid


def notice(found: Shipment, goods: Tree) -> kinds.Asn:
    """What is on its way, with all that is in it. Pure."""
    papers = found.papers
    detail: dict[str, Any] = dict(papers.sent[0].detail)
    units = [
        kinds.Coming(
            code=good.name,
            level=good.level[:64],
            product=good.product[:64],
            lot=good.lot[:64],
            parent="" if good.parent is None else goods.goods[good.parent].name,
            expires=good.expires if len(good.expires) == 10 else "",
            made=good.made_ms,
            pieces=good.pieces,
            integrity=good.integrity,  # type: ignore[arg-type]
            codes=list(good.codes)[:32],
        )
        for good in goods.goods.values()
    ]
    return kinds.Asn(
        number=papers.number,
        sender=papers.source,
        receiver=papers.destination,
        units=units,
        territory=str(detail.get("x:territory") or "")[:64],
        channel=str(detail.get("x:channel") or "")[:64],
    )


# -------------------------------------------------------------------------------------- running


class Follower:
    """Follows in a thread of its own until it is closed. `ended` says how that came: a mistake of
    ours must not leave a consumer that answers and no longer follows."""

    def __init__(self, database: Database, clock: Callable[[], int], base: str = BASE) -> None:
        self._database = database
        self._clock = clock
        self._base = base
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._whole, name="cloud follower", daemon=True)
        self._conn: Connection | None = None
        self.steps = 0
        self._lost = False
        self.ended: Future[None] = Future()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End at once: a step that is broken off is made again by the next consumer, and after a
        drain one may take longer than anybody waits."""
        self._stop.set()
        if self._conn is not None:
            self._conn.interrupt()
        self._thread.join(CLOSE_SECONDS)

    def _whole(self) -> None:
        try:
            self._run()
        except BaseException as bug:  # noqa: BLE001 - it is handed on
            self.ended.set_exception(bug)
        else:
            self.ended.set_result(None)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                conn = self._conn = self._database.connect()
                try:
                    self._follow(conn)
                finally:
                    self._conn = None
                    conn.close()
            except (TransientError, Duplicate) as error:
                if self._stop.is_set():
                    return
                log.log(logging.DEBUG if self._lost else logging.WARNING, "Goods: %s", error)
                self._lost = True
            self._wait()

    def _follow(self, conn: Connection) -> None:
        looked = 0.0
        while not self._stop.is_set():
            again = time.monotonic() - looked > AGAIN
            if again:
                looked = time.monotonic()
            more = step(conn, self._clock(), self._base, again)
            self.steps += 1
            self._lost = False
            if not more:
                self._wait()

    def _wait(self) -> None:
        # Of several consumers not all at the same moment.
        self._stop.wait(PAUSE * (1 + os.urandom(1)[0] / 256))
