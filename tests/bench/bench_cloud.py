"""Into the cloud's tables: the consumer on pre-built batches against the bare database on the rows
that the consumer writes, in the same run.

    python tests/bench/bench_cloud.py --bottles 1000000 --codes 1 --rounds 3 --together 8

`bare executemany` and `bare COPY` get the consumer's rows, built before the clock starts; COPY once
from rows in the order in which they are told (psycopg's write_row) and once from the consumer's own
binary blocks, which are in the order of their keys. Tables, indexes and settings of the connection
are the same, the payload of each batch is written by all, and what stands in the tables afterwards
is compared. PostgreSQL is started in a folder of its own, as it comes (fsync on).

With `--together 1` every batch is a transaction. With more the bare loops write so many in each;
the consumer writes at most so many, those that are prepared by then, as it does at the broker.

Printed are bottles a second, the processor time a bottle of the thread that prepares, of the one
that applies and of the server's process, and the consumer's ratio to each bare loop: by the clock,
by processor time if all of it runs on one processor, and by that of the longest way where preparing
and applying have a processor each, each from the median of the rounds. The last two hold on a busy
machine.
"""

import argparse
import os
import queue
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sync.cloud.answers import trace
from sync.cloud.consumer import WAITING
from sync.cloud.database import Connection, Database, open_database
from sync.cloud.ingest import Ingest
from sync.cloud.migrations.m0001_initial import COLUMNS
from sync.cloud.postgres import Postgres, PostgresConnection
from sync.cloud.rows import Rows, each_key, each_text, rows
from sync.cloud.service import quicken
from sync.cloud.sqlite import Sqlite
from sync.envelope import Batch, encode
from tests.sync.cloud import postgres
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.told import NOW, Teller

CASE = 24
TRACES = 1_000
CASES = 330
"""In one batch; 2 MB of JSON at most."""


def name(n: int) -> str:
    """The code of bottle `n`."""
    return f"https://q.example.cn/{n * 2654435761 % (1 << 61):016X}"


def batches(bottles: int, codes: int) -> Iterator[Batch]:
    """Batches of cases; each bottle with `codes` codes."""
    agent = Teller()
    size = CASES if codes == 1 else CASES // (2 * codes)
    made = 0
    while made < bottles:
        first = agent.last + 1
        for _ in range(size):
            names = [name(n) for n in range(made, made + CASE)]
            agent.case(f"https://q.example.cn/C{made:016X}", names)
            if codes > 1:
                say = agent.speaker()
                agent.say(
                    say,
                    [
                        say.associated(
                            f"c{n}",
                            name,
                            [f"{name}/{k}" for k in range(1, codes)],
                            {"x:roles": [f"r{k}" for k in range(1, codes)], "x:pairs": "proven"},
                        )
                        for n, name in enumerate(names)
                    ],
                )
            made += CASE
        yield agent.cut(first, agent.last)
        agent.bodies.clear()


def tables(found: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """The rows as the database gets them."""
    return {
        "event": [(at, 1, *rest) for at, *rest in found.events],
        "unit": list(each_text(found.units)),
        "alias": list(found.aliases),
        "link": list(each_key(found.links)),
        "box": list(found.boxes),
    }


class Spent(NamedTuple):
    """Seconds by the clock, and of processors: preparing, applying, the server's process."""

    clock: float
    preparing: float
    applying: float
    server: float

    @property
    def alone(self) -> float:
        """On one processor."""
        return self.preparing + self.applying + self.server

    @property
    def beside(self) -> float:
        """On two, with preparing beside the rest."""
        return max(self.preparing, self.applying + self.server, self.alone / 2)


@contextmanager
def measured(conn: Connection, preparing: list[float]) -> Iterator[list[Spent]]:
    """Puts what the block took into the list; `preparing` is filled by whoever prepares."""
    found: list[Spent] = []
    clock, own, server = time.perf_counter(), time.thread_time(), server_seconds(conn)
    yield found
    found.append(
        Spent(
            time.perf_counter() - clock,
            sum(preparing),
            time.thread_time() - own,
            server_seconds(conn) - server,
        )
    )


def server_seconds(conn: Connection) -> float:
    """Processor seconds of the process that serves a connection; 0 where there is none."""
    if not isinstance(conn, PostgresConnection):
        return 0.0
    row = conn.one("SELECT pg_backend_pid()")
    assert row is not None
    fields = Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def consumer(
    database: Database, payloads: Sequence[bytes], _built: Sequence[Rows], together: int
) -> Spent:
    """The consumer as it works at the broker: one thread prepares the next batches meanwhile."""
    ingest = Ingest(database)
    preparing: list[float] = []
    ready: queue.Queue[Any] = queue.Queue(WAITING)

    def prepare() -> None:
        for payload in payloads:
            began = time.thread_time()
            done = ingest.prepare("brand/plant-1/edge-1", payload)
            preparing.append(time.thread_time() - began)
            ready.put(done)

    with ThreadPoolExecutor(1) as pool, measured(ingest._conn, preparing) as found:
        ended = pool.submit(prepare)
        left = len(payloads)
        while left:
            group = [ready.get()]
            while len(group) < together and not ready.empty():
                group.append(ready.get_nowait())
            left -= len(group)
            for ack in ingest.apply(group, NOW):
                assert not ack.rewind
                assert not ack.reject
                assert not ack.fork, ack
        ended.result()
    ingest.close()
    return found[0]


def chunks(some: Sequence[Any], many: int) -> Iterator[tuple[int, Any]]:
    """So many at a time, each with its number."""
    for at in range(0, len(some), many):
        yield at, some[at : at + many]


CONTENTS = (
    "SELECT count(*), sum(id), sum(stream), sum(seq), sum(part), sum(ms) FROM event",
    "SELECT count(*), sum(length(text)), sum(event) FROM unit",
    "SELECT count(*), sum(length(text)), sum(event) FROM alias",
    "SELECT count(*), sum(event) FROM link",
    "SELECT count(*), sum(event), sum(length(text)), sum(length(children)) FROM box",
    "SELECT count(*), sum(length(payload)) FROM batch",
    "SELECT count(*), sum(length(body)) FROM detail",
)


def contents(database: Database) -> list[Any]:
    """What must be the same, however it was written."""
    conn = database.connect()
    try:
        return [[int(each or 0) for each in conn.one(query) or ()] for query in CONTENTS]
    finally:
        conn.close()


def traces(database: Database, bottles: int) -> None:
    """Print how long an answer takes, of bottles at random."""
    dice = random.Random(1)
    conn = database.connect()
    taken = []
    for _ in range(TRACES):
        code = name(dice.randrange(bottles))
        began = time.perf_counter()
        found = trace(conn, code)
        taken.append((time.perf_counter() - began) * 1e3)
        assert len(found["up"]) == 1, found
    conn.close()
    taken.sort()
    print(f"    trace: p50 {taken[TRACES // 2]:.2f} ms, p99 {taken[TRACES * 99 // 100]:.2f} ms")


def keep(conn: Connection, payloads: Sequence[bytes], at: int) -> None:
    """The payloads, numbered from `at`."""
    for n, payload in enumerate(payloads, at):
        conn.change(
            "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
            (1, n, n, bytes(16), bytearray(payload), NOW),
        )


def bare_many(
    database: Database, payloads: Sequence[bytes], built: Sequence[Rows], together: int
) -> Spent:
    """executemany of the same rows."""
    conn = database.connect(ingest=True)
    every = [tables(some) for some in built]
    with measured(conn, []) as found:
        for at, group in chunks(every, together):
            with conn.writing():
                for table, columns in COLUMNS.items():
                    marks = ", ".join("?" * len(columns))
                    for some in group:
                        each = some.get(table, ())
                        conn.change_many(f"INSERT INTO {table} VALUES ({marks})", each)
                keep(conn, payloads[at : at + together], at)
    conn.close()
    return found[0]


def bare_rows(
    database: Database, payloads: Sequence[bytes], built: Sequence[Rows], together: int
) -> Spent:
    """COPY of the same rows, given row by row."""
    types = {
        "key": "uuid",
        "unit": "uuid",
        "child": "uuid",
        "parent": "uuid",
        "uuid": "uuid",
        "detail": "uuid",
        "text": "text",
        "role": "text",
        "pair": "text",
        "n": "int4",
        "part": "int4",
        "children": "bytea",
    }
    conn = database.connect()
    raw: psycopg.Connection[Any] = conn._conn  # type: ignore[attr-defined]
    every = [tables(some) for some in built]
    with measured(conn, []) as found:
        for at, group in chunks(every, together):
            with raw.transaction(), raw.cursor() as cursor:
                for table, columns in COLUMNS.items():
                    some = [row for each in group for row in each.get(table, ())]
                    if not some:
                        continue
                    with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                        copy.set_types([types.get(name, "int8") for name in columns])
                        for row in some:
                            copy.write_row(row)
                keep(conn, payloads[at : at + together], at)
    conn.close()
    return found[0]


def bare_blocks(
    database: Database, payloads: Sequence[bytes], built: Sequence[Rows], together: int
) -> Spent:
    """COPY of the same rows, packed before."""
    packed = [
        {
            "event": database.placed(database.pack("event", some.events), 1),
            "unit": database.pack("unit", some.units),
            "alias": database.pack("alias", some.aliases),
            "link": database.pack("link", some.links),
            "box": database.pack("box", some.boxes),
        }
        for some in built
    ]
    conn = database.connect(ingest=True)
    with measured(conn, []) as found:
        for at, group in chunks(packed, together):
            with conn.writing():
                for table in group[0]:
                    conn.copy(table, [some[table] for some in group])
                keep(conn, payloads[at : at + together], at)
    conn.close()
    return found[0]


Run = Callable[[Database, Sequence[bytes], Sequence[Rows], int], Spent]


@contextmanager
def fresh(server: str | None) -> Iterator[Database]:
    """A new database: PostgreSQL at the server, or SQLite."""
    folder = Path(tempfile.mkdtemp(prefix="caselink-bench-"))
    url = f"sqlite:///{folder / 'cloud.db'}" if server is None else fresh_postgres(server)
    database = open_database(url)
    try:
        yield database
        if isinstance(database, Sqlite):
            size = sum(each.stat().st_size for each in folder.iterdir())
        else:
            assert isinstance(database, Postgres)
            conn = database.connect()
            row = conn.one("SELECT pg_database_size(current_database())")
            size = int(row[0]) if row else 0
            conn.close()
        print(f"    {size / 1e6:.0f} MB", flush=True)
    finally:
        database.close()
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bottles", type=int, default=200_000)
    parser.add_argument("--codes", type=int, default=1, help="codes on a bottle")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--db", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--together", type=int, default=1, help="batches in a transaction")
    options = parser.parse_args()
    quicken()
    made = list(batches(options.bottles, options.codes))
    payloads = [encode(batch) for batch in made]
    bottles = sum(len(batch.docs) for batch in made) * CASE
    if options.codes > 1:
        bottles //= 2
    wire = sum(map(len, payloads)) / bottles
    began = time.perf_counter()
    found, base = [], 1
    for batch in made:
        found.append(rows(batch, base))
        base += len(found[-1].events)
    each = (time.perf_counter() - began) / bottles * 1e6
    details = {key: body for some in found for key, body in some.details.items()}
    print(
        f"{bottles} bottles with {options.codes} code(s), {len(payloads)} batches, "
        f"{wire:.1f} B a bottle on the wire; reading and linting {each:.2f} us a bottle"
    )
    del made

    def run(name: str, server: str | None, runs: dict[str, Run]) -> None:
        taken: dict[str, list[Spent]] = {what: [] for what in runs}
        seen: list[Any] = []
        for _ in range(options.rounds):
            for what, job in runs.items():
                with fresh(server) as database:
                    if what != "consumer":
                        conn = database.connect()
                        conn.change_many("INSERT INTO detail VALUES (?, ?)", details.items())
                        conn.close()
                    spent = job(database, payloads, found, options.together)
                    taken[what].append(spent)
                    us = [f"{each / bottles * 1e6:.1f}" for each in spent[1:]]
                    print(
                        f"  {name} {what}: {bottles / spent.clock:,.0f} bottles/s, processors "
                        f"{us[0]} + {us[1]} + {us[2]} us a bottle",
                        flush=True,
                    )
                    seen.append(contents(database))
                    assert seen[-1] == seen[0], f"other rows: {seen[0]} {seen[-1]}"
                    if what == "consumer":
                        traces(database, bottles)
        ours = taken.pop("consumer")
        for what, theirs in taken.items():
            clock, alone, beside = (
                median(getattr(each, by) for each in theirs)
                / median(getattr(each, by) for each in ours)
                for by in ("clock", "alone", "beside")
            )
            print(
                f"  {name} consumer = {clock:.2f} x {what} by the clock, "
                f"{alone:.2f} on one processor, {beside:.2f} on two"
            )

    wanted = options.db or ("sqlite", "postgresql")
    if "sqlite" in wanted:
        run(
            "SQLite",
            None,
            {"consumer": consumer, "bare executemany": bare_many, "bare statements": bare_blocks},
        )
    if "postgresql" not in wanted:
        return
    with postgres.server(durable=True) as server:
        run(
            "PostgreSQL",
            server,
            {
                "consumer": consumer,
                "bare COPY (rows)": bare_rows,
                "bare COPY (blocks)": bare_blocks,
            },
        )


if __name__ == "__main__":
    main()
