"""Into the cloud's tables: the consumer on pre-built batches against the bare database on the rows
that the consumer writes, in the same run.

    python tests/bench/bench_cloud.py --bottles 1000000 --codes 1

`bare executemany` and `bare COPY` get the consumer's rows, built before the clock starts; COPY once
from rows (psycopg's write_row) and once from the binary blocks. The payload of each batch is
written by all. PostgreSQL is started in a folder of its own, as it comes (fsync on).
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sync.cloud.answers import trace
from sync.cloud.database import Database, open_database
from sync.cloud.ingest import Ingest
from sync.cloud.migrations.m0001_initial import COLUMNS
from sync.cloud.postgres import Postgres
from sync.cloud.rows import Rows, rows
from sync.cloud.service import SWITCH_SECONDS
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
        "unit": list(found.units),
        "alias": list(found.aliases),
        "link": list(found.links),
        "box": list(found.boxes),
    }


def consumer(database: Database, payloads: Sequence[bytes]) -> float:
    """Seconds of the consumer, as it works at the broker: two threads with PostgreSQL."""
    ingest = Ingest(database)
    began = time.perf_counter()
    if not database.several:
        for payload in payloads:
            done = ingest.prepare("brand/plant-1/edge-1", payload)
            (ack,) = ingest.apply([done], NOW)  # type: ignore[list-item]
            assert not ack.rewind
        seconds = time.perf_counter() - began
        ingest.close()
        return seconds
    with ThreadPoolExecutor(1) as preparing:
        ahead = [preparing.submit(ingest.prepare, "brand/plant-1/edge-1", payloads[0])]
        for n in range(len(payloads)):
            if n + 1 < len(payloads):
                ahead.append(
                    preparing.submit(ingest.prepare, "brand/plant-1/edge-1", payloads[n + 1])
                )
            (ack,) = ingest.apply([ahead[n].result()], NOW)  # type: ignore[list-item]
            ahead[n] = None  # type: ignore[call-overload]
            assert not ack.rewind
            assert not ack.reject
            assert not ack.fork, ack
    seconds = time.perf_counter() - began
    ingest.close()
    return seconds


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


def bare_many(database: Database, payloads: Sequence[bytes], built: Sequence[Any]) -> float:
    """Seconds of executemany of the same rows."""
    conn = database.connect()
    began = time.perf_counter()
    for n, some in enumerate(built):
        with conn.writing():
            for table, each in some.items():
                marks = ", ".join("?" * len(COLUMNS[table]))
                conn.change_many(f"INSERT INTO {table} VALUES ({marks})", each)
            conn.change(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (1, n, n, bytes(16), bytearray(payloads[n]), NOW),
            )
    seconds = time.perf_counter() - began
    conn.close()
    return seconds


def bare_rows(database: Database, payloads: Sequence[bytes], built: Sequence[Any]) -> float:
    """Seconds of COPY of the same rows, given row by row."""
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
    began = time.perf_counter()
    for n, some in enumerate(built):
        with raw.transaction(), raw.cursor() as cursor:
            for table, each in some.items():
                if not each:
                    continue
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types([types.get(name, "int8") for name in COLUMNS[table]])
                    for row in each:
                        copy.write_row(row)
            conn.change(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (1, n, n, bytes(16), bytearray(payloads[n]), NOW),
            )
    seconds = time.perf_counter() - began
    conn.close()
    return seconds


def bare_blocks(database: Database, payloads: Sequence[bytes], built: Sequence[Any]) -> float:
    """Seconds of COPY of the same rows, packed before."""
    packed = [{table: database.pack(table, each) for table, each in some.items()} for some in built]
    conn = database.connect()
    began = time.perf_counter()
    for n, some in enumerate(packed):
        with conn.writing():
            for table, block in some.items():
                conn.copy(table, block)
            conn.change(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (1, n, n, bytes(16), bytearray(payloads[n]), NOW),
            )
    seconds = time.perf_counter() - began
    conn.close()
    return seconds


Run = Callable[[Database, Sequence[bytes], Sequence[Any]], float]


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
    options = parser.parse_args()
    sys.setswitchinterval(SWITCH_SECONDS)
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
    built = [tables(some) for some in found]
    details = {key: body for some in found for key, body in some.details.items()}
    print(
        f"{bottles} bottles with {options.codes} code(s), {len(payloads)} batches, "
        f"{wire:.1f} B a bottle on the wire; reading and linting {each:.2f} us a bottle"
    )
    del made, found

    def run(name: str, server: str | None, runs: dict[str, Run]) -> None:
        for _ in range(options.rounds):
            figures: dict[str, float] = {}
            for what, job in runs.items():
                with fresh(server) as database:
                    if what != "consumer":
                        conn = database.connect()
                        conn.change_many("INSERT INTO detail VALUES (?, ?)", details.items())
                        conn.close()
                    spent = time.process_time()
                    figures[what] = bottles / job(database, payloads, built)
                    spent = (time.process_time() - spent) / bottles * 1e6
                    print(
                        f"  {name} {what}: {figures[what]:,.0f} bottles/s, "
                        f"{spent:.1f} us of our processor a bottle",
                        flush=True,
                    )
                    if what == "consumer":
                        traces(database, bottles)
            for what, rate in figures.items():
                if what != "consumer":
                    print(f"  {name} consumer = {figures['consumer'] / rate:.2f} x {what}")

    consumed: Run = lambda database, payloads, _built: consumer(database, payloads)  # noqa: E731
    run("SQLite", None, {"consumer": consumed, "bare executemany": bare_many})
    with postgres.server(durable=True) as server:
        run(
            "PostgreSQL",
            server,
            {
                "consumer": consumed,
                "bare COPY (rows)": bare_rows,
                "bare COPY (blocks)": bare_blocks,
            },
        )


if __name__ == "__main__":
    main()
