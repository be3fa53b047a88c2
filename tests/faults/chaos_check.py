"""What must be true of the cloud when the chaos is over: it holds what a fresh translation of the
agents' journals gives, each document once and in order, and its tables are those of a consumer that
nobody disturbed.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent import config as site_config
from agent.app import Files
from agent.app.uplink import identity
from agent.store import journal
from agent.store.database import Connection as Store
from agent.store.database import open_reader
from agent.store.look import Journalled
from agent.store.verify import verify
from sync.cloud import lists
from sync.cloud.answers import trace
from sync.cloud.database import Connection, Database, open_database
from sync.cloud.ingest import Ingest, Prepared
from sync.envelope import ZERO, Batch, Doc, encode
from sync.epcis import translate
from sync.pending import State
from tests.sync.cloud.delivery import doubled, pages

ROWS = 500
"""Journal rows in a batch of the undisturbed consumer."""
TRACES = 150
NOW = 1_790_000_000_000

_WHO = "a.name, w.epoch, e.seq, e.n, e.part"
_EVENT = "event e JOIN watermark w ON w.id = e.stream JOIN agent a ON a.id = w.agent"
TABLES = {
    "event": f"SELECT {_WHO}, e.uuid, e.ms, d.body FROM {_EVENT} JOIN detail d ON d.key = e.detail",
    "unit": f"SELECT {_WHO}, x.key, x.text FROM {_EVENT} JOIN unit x ON x.event = e.id",
    "alias": f"SELECT {_WHO}, x.key, x.unit, x.text, x.role, x.pair FROM {_EVENT} "
    "JOIN alias x ON x.event = e.id",
    "link": f"SELECT {_WHO}, x.child FROM {_EVENT} JOIN link x ON x.event = e.id",
    "movement": f"SELECT {_WHO}, x.key FROM {_EVENT} JOIN movement x ON x.event = e.id",
    "box": f"SELECT {_WHO}, x.parent, x.text, x.children FROM {_EVENT} "
    "JOIN box x ON x.event = e.id",
    "claim": f"SELECT {_WHO}, x.key, x.kind, x.text, x.role, x.pair, x.duplicate FROM {_EVENT} "
    "JOIN claim x ON x.event = e.id",
    "dead_letter": "SELECT a.name, w.epoch, x.seq, x.n, x.reason, x.doc, x.state "
    "FROM dead_letter x JOIN watermark w ON w.id = x.stream JOIN agent a ON a.id = w.agent",
    "watermark": "SELECT a.name, w.epoch, w.first, w.upto, w.hash, w.cut, w.event_ms "
    "FROM watermark w JOIN agent a ON a.id = w.agent",
    "fork": "SELECT agent, epoch, kind, first FROM fork",
    "refused": "SELECT agent, reason FROM refused",
}
"""Rows without the numbers that a database gives."""


def batches(folder: Path) -> Iterator[Batch]:
    """The whole journal of the agent in `folder`, translated afresh from its first row."""
    config = folder / "site.toml"
    site = site_config.load(config)
    assert site.sync is not None
    files, me = Files(site, config), identity(site, site.sync)
    conn = open_reader(files.database, files.key)
    try:
        state, look = State(), Journalled(conn)
        prev, docs, first = ZERO, list[Doc](), 1
        last = journal.tail(conn)[0]
        for entry in journal.read(conn):
            told = translate(state, entry, look, me)
            docs += [Doc(entry.seq, n, len(told), msgspec.Raw(d.body)) for n, d in enumerate(told)]
            if entry.seq % ROWS == 0 or entry.seq == last:
                here = entry.hash.hex()
                yield Batch(
                    agent=me.name,
                    epoch=entry.epoch,
                    first=first,
                    last=entry.seq,
                    prev=prev,
                    hash=here,
                    docs=docs,
                )
                prev, docs, first = here, [], entry.seq + 1
    finally:
        conn.close()


def rows(conn: Connection, table: str) -> Counter[tuple[Any, ...]]:
    """The rows of a table, comparable between databases."""
    return Counter(
        tuple(bytes(v) if isinstance(v, (memoryview, bytearray)) else v for v in row)
        for row in conn.rows(TABLES[table])
    )


def answers(conn: Connection) -> dict[str, Any]:
    """What the cloud answers."""
    found: dict[str, Any] = {row["bottle"]: row for page in pages(conn, 500) for row in page}
    for each in found.values():
        each.pop("cursor", None)
    for name in sorted(set(lists.containers(conn)))[:TRACES]:
        answer = dict(trace(conn, name, depth=2))
        answer.pop("reported")  # also says when each agent was heard
        found[f"trace {name}"] = answer
    return found


def undisturbed(folder: Path, agents: list[Path]) -> Database:
    """A consumer's database that was given the agents' journals one after the other."""
    database = open_database(f"sqlite:///{folder / 'undisturbed.db'}")
    ingest = Ingest(database)
    try:
        for agent in agents:
            for batch in batches(agent):
                prepared = ingest.prepare(batch.agent, encode(batch))
                assert isinstance(prepared, Prepared), prepared
                (ack,) = ingest.apply([prepared], NOW)
                assert (ack.upto, ack.fork, ack.rewind) == (batch.last, "", False), ack
    finally:
        ingest.close()
    return database


def compare(folder: Path, agents: list[Path], url: str) -> tuple[dict[str, int], list[str]]:
    """Counts (documents; lost, doubled, wrong, disordered: all must be 0) and what is wrong."""
    database = open_database(url)
    conn = database.connect()
    reference = undisturbed(folder, agents)
    other = reference.connect()
    try:
        want = {
            (batch.agent, batch.epoch, doc.seq, doc.n): bytes(doc.doc)
            for agent in agents
            for batch in batches(agent)
            for doc in batch.docs
        }
        have: Counter[tuple[str, str, int, int]] = Counter()
        changed = 0
        for name, epoch, doc in lists.documents(conn):
            at = name, epoch, doc.seq, doc.n
            have[at] += 1
            changed += want.get(at) != bytes(doc.doc)
        problems = [
            f"{table}: {sum((mine - theirs).values())} too many, "
            f"{sum((theirs - mine).values())} missing, e.g. "
            f"{str(next(iter((mine - theirs) + (theirs - mine))))[:300]}"
            for table in TABLES
            for mine, theirs in [(rows(conn, table), rows(other, table))]
            if mine != theirs
        ]
        if not problems and answers(conn) != answers(other):
            problems.append("the cloud answers otherwise than an undisturbed one")
        counts = {
            "documents": len(want),
            "lost": len(want.keys() - have.keys()),
            "doubled": sum(n - 1 for n in have.values() if n > 1) + len(doubled(conn)),
            "changed": changed,
            "disordered": disordered(conn),
        }
        problems += [f"{n} {what}" for what, n in counts.items() if n and what != "documents"]
        if not want or other.one("SELECT count(*) FROM link") == (0,):
            problems.append("nothing was told: this proves nothing")
        problems += [problem for agent in agents for problem in broken(agent)]
        return counts, problems
    finally:
        conn.close()
        database.close()
        other.close()
        reference.close()


def disordered(conn: Connection) -> int:
    """How often rows of a stream were applied after later ones, or a batch left a gap."""
    found, upto = 0, dict[int, int]()
    for stream, seq in conn.rows(
        "SELECT e.stream, e.seq FROM arrival a JOIN event e ON e.id = a.first ORDER BY a.id"
    ):
        found += seq <= upto.get(stream, 0)
        upto[stream] = seq
    ends = dict[int, int]()
    for stream, first, last in conn.rows("SELECT stream, first, last FROM batch ORDER BY first"):
        found += first != ends.get(stream, 0) + 1
        ends[stream] = last
    return found


def store(folder: Path) -> Store:
    """The record of the agent in `folder`, to read."""
    config = folder / "site.toml"
    files = Files(site_config.load(config), config)
    return open_reader(files.database, files.key)


def broken(folder: Path) -> list[str]:
    """What is wrong with the agent's own record."""
    conn = store(folder)
    try:
        return verify(conn, folder).problems
    finally:
        conn.close()
