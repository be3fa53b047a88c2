"""How long `GET /trace` takes to answer where many units are.

    python tests/bench/bench_trace.py --bottles 10000000 [--db postgresql] [--filled URL]

The tables are filled with the rows that the consumer would write (24 a case, 40 cases a pallet),
without keeping the batches and without syncing: only the answers are measured, by
`sync.cloud.answers.trace` in this process, of bottles, cases and pallets at random. The first of
each reads what no cache has. The processor time of an answer, ours and the server's, holds on a
busy machine too. With `--filled` the tables of a database that was filled so before are asked.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from os import urandom
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sync.cloud.answers import trace
from sync.cloud.database import Connection, Database, open_database
from sync.cloud.keys import keys
from sync.cloud.rows import Named, each_key, each_text, rows
from tests.bench.bench_cloud import CASE, name, server_seconds
from tests.sync.cloud import postgres
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.told import NOW, Teller

CASES = 40
"""Cases on a pallet."""
PALLET = CASE * CASES
TOGETHER = 1_000
"""Pallets whose rows are written in one transaction, in the order of their keys."""


def case(n: int) -> str:
    """The code of the case that begins with bottle `n`."""
    return f"https://q.example.cn/C{n:016X}"


def pallet(n: int) -> str:
    """The code of the pallet that begins with bottle `n`."""
    return f"https://q.example.cn/P{n:016X}"


class Filler:
    """The consumer's rows of one pallet, and from them those of every other."""

    def __init__(self, agent: Teller) -> None:
        for each in range(0, PALLET, CASE):
            agent.case(case(each), [name(n) for n in range(each, each + CASE)])
        agent.pallet(pallet(0), [case(each) for each in range(0, PALLET, CASE)])
        self.rows = rows(agent.cut(1, agent.last), 0)
        assert not self.rows.letters, self.rows.letters[0]
        self.last = agent.last
        self._units = list(each_text(self.rows.units))
        texts = [text for _, text, _ in self._units]
        self._place = {key: n for n, (key, _, _) in enumerate(self._units)}
        self._links = [(self._place[child], event) for child, event in each_key(self.rows.links)]
        self._boxes = [
            (event, self._place[parent], [self._place[key] for key in _split(children)])
            for event, parent, _, children in self.rows.boxes
        ]
        numbers = {name(n): n for n in range(PALLET)}
        self._kinds = [numbers.get(text, -1) for text in texts]

    def pallet(self, start: int, base: int) -> dict[str, list[Any]]:
        """Its rows by table; its events are numbered from `base`."""
        texts = [
            name(start + n) if n >= 0 else text[:-16] + f"{int(text[-16:], 16) + start:016X}"
            for n, (_, text, _) in zip(self._kinds, self._units, strict=True)
        ]
        named = keys(texts)
        seq = start // PALLET * self.last
        return {
            "event": [
                (base + at, seq + row, n, part, urandom(16), ms, detail)
                for at, row, n, part, _, ms, detail in self.rows.events
            ],
            "unit": [
                Named(base + event, [key], [text])
                for key, text, (_, _, event) in zip(named, texts, self._units, strict=True)
            ],
            "link": [Named(base + event, [named[child]]) for child, event in self._links],
            "box": [
                (base + event, named[at], texts[at], b"".join([named[n] for n in inside]))
                for event, at, inside in self._boxes
            ],
        }


def _split(children: bytes) -> list[bytes]:
    return [children[at : at + 16] for at in range(0, len(children), 16)]


def fill(database: Database, conn: Connection, bottles: int) -> None:
    """Write all of it."""
    if not database.several:
        conn.change("PRAGMA synchronous = OFF")
    agent = Teller()
    filler = Filler(agent)
    with conn.writing():
        conn.change("INSERT INTO agent (name) VALUES (?)", (agent.name,))
        conn.change(
            "INSERT INTO watermark (agent, epoch, first, upto, hash, event_ms, heard_ms) "
            "VALUES (1, ?, 1, ?, ?, ?, ?)",
            ("e1", bottles // PALLET * filler.last, bytes(16), NOW, NOW),
        )
        conn.change_many("INSERT INTO detail VALUES (?, ?)", filler.rows.details.items())
    base = 1
    for first in range(0, bottles, PALLET * TOGETHER):
        waiting: dict[str, list[Any]] = {}
        for start in range(first, min(first + PALLET * TOGETHER, bottles), PALLET):
            for table, each in filler.pallet(start, base).items():
                waiting.setdefault(table, []).extend(each)
            base += len(filler.rows.events)
        with conn.writing():
            for table, each in waiting.items():
                block = database.pack(table, each)
                conn.copy(table, [database.placed(block, 1) if table == "event" else block])


def ask(conn: Connection, what: str, codes: list[str]) -> None:
    """Print how long the answers take."""
    taken = []
    own, server = time.thread_time(), server_seconds(conn)
    for code in codes:
        began = time.perf_counter()
        found = trace(conn, code)
        taken.append((time.perf_counter() - began) * 1e3)
        assert found["answer"] == "known", found
        assert len(found["up"]) == {"bottle": 2, "case": 1, "pallet": 0}[what], found
    taken.sort()
    many = len(taken)
    own, server = time.thread_time() - own, server_seconds(conn) - server
    print(
        f"  {what}: p50 {taken[many // 2]:.2f} ms, p99 {taken[many * 99 // 100]:.2f} ms, "
        f"most {taken[-1]:.1f} ms; "
        f"processors {own / many * 1e3:.2f} + {server / many * 1e3:.2f} ms",
        flush=True,
    )


def ask_all(conn: Connection, bottles: int, traces: int) -> None:
    """Bottles, cases and pallets at random."""
    dice = random.Random(1)

    def some(step: int) -> list[int]:
        return [dice.randrange(bottles // step) * step for _ in range(traces)]

    ask(conn, "bottle", [name(n) for n in some(1)])
    ask(conn, "case", [case(n) for n in some(CASE)])
    ask(conn, "pallet", [pallet(n) for n in some(PALLET)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bottles", type=int, default=500_000)
    parser.add_argument("--db", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--traces", type=int, default=1_000)
    parser.add_argument("--filled", help="ask this database, filled so before")
    given = parser.parse_args()
    given.bottles -= given.bottles % PALLET
    if given.filled:
        database = open_database(given.filled)
        ask_all(database.connect(), given.bottles, given.traces)
        return
    for kind in given.db or ("sqlite", "postgresql"):
        with ExitStack() as stack:
            where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caselink-")))
            if kind == "sqlite":
                url = f"sqlite:///{where / 'cloud.db'}"
            else:
                # As it comes, on the disk: the default of the tests is in memory.
                url = fresh_postgres(stack.enter_context(postgres.server(durable=True)))
            database = open_database(url)
            stack.callback(database.close)
            conn = database.connect()
            began = time.perf_counter()
            fill(database, conn, given.bottles)
            if database.several:
                conn.change("ANALYZE")
            conn.close()
            (conn := database.connect()).one("SELECT 1")
            stack.callback(conn.close)
            spent = time.perf_counter() - began
            print(f"{kind}: {given.bottles:,} bottles, filled in {spent:.0f} s", flush=True)
            ask_all(conn, given.bottles, given.traces)


if __name__ == "__main__":
    main()
