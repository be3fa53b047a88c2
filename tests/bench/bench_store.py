"""How fast, how small and how large the store is.

Run: python tests/bench/bench_store.py [--dir DIR] [--units 10000000]. DIR should be on the disk
that counts (default: the system's temporary directory). Without --units it takes under a minute.

speed   one bottle, one case of 24 (24 passed, formed, packed, bound, closed: 28 facts) and eight
        such cases per commit, against bare sqlcipher3 with the same pragmas and key that appends
        the same rows ready-made by executemany, or the same bytes in one row per fact (see `Bare`);
        a ratio is bare time / the store's; the target is for the same rows (docs/adr/0002-
        store.md); rounds are shuffled, the first of each is dropped, median of the rest
gate    one bottle from its reading to its rows: look-up, decision, append; and the commit
bytes   written per bottle (wchar of /proc/self/io, checkpoints included), between and at 24 per
        commit, with other pools' rows on both sides of the bottles' pool
large   --units: so many units in the file (written in bulk, not journalled), with a container row
        for every 24 of them, then a start (open, newest unit, snapshot and a tail of 1,000 journal
        rows read into facts), look-ups of codes at random, commits, and resident memory
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact
from agent.core.inputs import GateReported, GateSaw, ItemReadings, ItemTriggered
from agent.core.known import Clock, Questions
from agent.core.plan import LinePlan, ReaderPlan, Station
from agent.core.poolfile import Declared, PoolFile, seal
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.store import journal, lookup, snapshots
from agent.store.database import Connection, Database, connect, load_key
from agent.store.gate import Gate
from agent.store.pool_import import import_pool
from agent.store.record import record
from agent.store.words import STEP, code_id
from agent.store.writer import Writer

LINE = "line-1"
SCHEME = PackingScheme(
    "bench",
    (
        LevelSpec("bottle", "body", ("body",)),
        LevelSpec("case", "case-outer", ("case-outer",), children=24),
    ),
)
ORDER = WorkOrder("WO-20260101-01", LINE, "sku", "lot", SCHEME, 10**7, {})
CASES, BOTTLES, OTHERS = 1, 2, 3
CASE = 24
ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"


Facts = Sequence[Fact]
T = TypeVar("T")


def text(rng: random.Random) -> str:
    """31 characters, as a brand's URL codes have."""
    return "https://q.example.cn/" + "".join(rng.choices(ALPHABET, k=10))


def pool(name: str, level: str, role: str, count: int, rng: random.Random) -> PoolFile:
    texts = tuple({text(rng): None for _ in range(count)})
    declared = Declared(name, level, (role,), preprinted=True)
    return PoolFile(declared, (role,), (texts,), (), (None,), (), seal(zip(texts, strict=True)))


class Line:
    """A database with three pools and a running order, and the facts of bottles and cases."""

    def __init__(self, where: Path, bottles: int) -> None:
        self.path, self.key_file = where / "bench.db", where / "bench.key"
        self.db = Database.open(self.path, self.key_file)
        self.conn = self.db.conn
        self.writer = Writer(self.conn)
        rng = random.Random(1)
        bottled = pool("bottles", "bottle", "body", bottles, rng)
        self.texts = bottled.columns[0]
        for file in (
            pool("cases", "case", "case-outer", bottles // CASE + 10, rng),
            bottled,
            pool("others", "bottle", "body", 1000, rng),
        ):
            self.job(partial(import_pool, file=file, line="", clock=self.clock(0)))
        self.unit = self.position = self.case = 0
        self.put([f.OrderCreated(ORDER, "b"), f.OrderStarted(ORDER.number, "b")])
        self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def job(self, job: Callable[[Connection], T]) -> T:
        return self.writer.run_inline(job)

    def clock(self, at: int) -> Clock:
        return Clock(1_790_000_000_000 + at * 30, 500_000_000 + at * 30, "synced")

    def put(self, *groups: Facts) -> None:
        """Each group in a job of its own, all in one transaction, as the writer's thread does."""
        clock = self.clock(self.position)
        jobs = [
            (partial(record, line=LINE, facts=facts, clock=clock), Future[int]())
            for facts in groups
        ]
        self.writer._transaction(list(jobs))
        for _, done in jobs:
            done.result(0)

    def bottle(self) -> Fact:
        key = CodeKey(BOTTLES, self.position, 0)
        self.position += 1
        self.unit += 1
        code = Attachment("body", key, f.PairIntegrity.PROVEN)
        item = self.position % 4096
        return f.ItemPassed("verify-1", item, self.unit, "bottle", ORDER.number, (code,), True)

    def boxed(self) -> list[Fact]:
        facts = [self.bottle() for _ in range(CASE)]
        children = tuple(range(self.unit - CASE + 1, self.unit + 1))
        self.unit += 1
        label = Attachment("case-outer", CodeKey(CASES, self.case, 0), f.PairIntegrity.PROVEN)
        self.case += 1
        unit = self.unit
        return [
            *facts,
            f.ContainerFormed(unit, "case", ORDER.number, "pack-1", self.case % 4096, CASE),
            f.Packed(unit, children, (f.LinkEvidence.READ,)),
            f.LabelBound(unit, (label,), f.OwnCode.CAPTIVE, "label-1"),
            f.ContainerClosed(unit, CASE, 0, f.Integrity.PROVEN),
        ]


def written() -> int:
    """Bytes that this process has handed to write()."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def settle(conn: Connection) -> None:
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def per_bottle(
    line: Line, facts: Callable[[], Sequence[Fact]], bottles: int, commits: int
) -> float:
    settle(line.conn)
    before = written()
    for _ in range(commits):
        line.put(facts())
    settle(line.conn)
    return (written() - before) / (bottles * commits)


def bytes_table(where: Path) -> None:
    line = Line(where, 60_000)
    print(f"{'bytes written per bottle':44}{'target':>12}")
    for name, facts, bottles, commits, target in (
        ("one bottle per commit", lambda: [line.bottle()], 1, 4000, "<= 3000"),
        ("24 bottles per commit", lambda: [line.bottle() for _ in range(24)], 24, 400, "<= 600"),
        ("24 bottles and their closed case per commit", line.boxed, 24, 400, ""),
    ):
        figure = per_bottle(line, facts, bottles, commits)
        print(f"  {name:42}{target:>12}{figure:12.0f}")
    size = line.path.stat().st_size
    line.db.close()
    print(f"  file, per code of the pools{'':29}{size / (60_000 + 60_000 / 24):12.0f}")


Rows = dict[str, list[tuple[Any, ...]]]
"""Rows by table."""


class Bare:
    """A bare connection with the store's pragmas and key, that appends what facts become,
    ready-made. Nothing is encoded, looked up, checked or updated while the clock runs.

    `rows` False: one row per fact with its bytes: the body, and BESIDE zeros for what the store
    keeps beside it. True: the rows that the store writes, column by column: a journal row for each
    fact, and a row for each code, unit and container that is written.
    """

    def __init__(self, where: Path, line: Line, *, rows: bool) -> None:
        self.rows = rows
        self.clock = line.clock(1)
        self.conn = connect(where / f"bare{rows:d}.db", load_key(line.key_file), read_only=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 1000"):
            self.conn.execute(f"PRAGMA {pragma}").fetchall()
        for table, columns in TABLES.items():
            names = ", ".join(f"c{n}" for n in range(1, columns))
            self.conn.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {names})")

    def ready(self, facts: Facts) -> Rows:
        if not self.rows:
            return {"one": [(None, journal.encode(fact) + bytes(BESIDE)) for fact in facts]}
        wall, mono, _ = self.clock
        journalled = [
            (None, wall, mono, 1, 2, 3, journal.encode(fact).decode(), bytes(16)) for fact in facts
        ]
        bottles = sum(isinstance(fact, f.ItemPassed) for fact in facts)
        cases = int(len(facts) > bottles)
        unit = (None, 6, 0, None, 10**6, 10**6, 2, 9, 9, 0, 10**6, None)
        container = (None, 24, 9, 999, 24, 0, 0, 1, 10**12, None, *(10**6,) * 4, "", "", "")
        return {
            "journal": journalled,
            "code": [unit] * (bottles + 2 * cases),
            "container": [container] * cases,
            "unit_at": [(None, 10**12)] * 2 * cases,
        }

    def write(self, jobs: list[Rows]) -> None:
        self.conn.change("BEGIN IMMEDIATE")
        for job in jobs:
            for table, rows in job.items():
                if rows:
                    self.conn.change_many(INSERT[table], rows)
        self.conn.change("COMMIT")


TABLES = {"one": 2, "journal": 8, "code": 12, "container": 17, "unit_at": 2}
"""Columns of the bare tables."""
INSERT = {
    table: f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"
    for table, columns in TABLES.items()
}
BESIDE = 40 + 30
"""Bytes that the store keeps beside a body: clock, names and hash; and the code's table row."""


@dataclass(frozen=True)
class Load:
    """What one commit holds: `jobs` jobs with the facts of `make`; `bottles` in all."""

    name: str
    jobs: int
    bottles: int
    commits: int
    cased: bool


LOADS = (
    Load("one bottle per commit", 1, 1, 200, cased=False),
    Load("one case of 24 per commit", 1, CASE, 40, cased=True),
    Load("8 cases of 24, each a job, per commit", 8, 8 * CASE, 8, cased=True),
)
ROUNDS = 15


def speed_table(where: Path) -> None:
    print(f"{'speed':42}{'store':>10}{'same rows':>14}{'target':>8}{'a row a fact':>14}")
    for number, load in enumerate(LOADS):
        folder = where / str(number)
        folder.mkdir()
        line = Line(folder, (ROUNDS + 2) * load.commits * load.bottles + 100)
        measured = speed(folder, line, load)
        line.db.close()
        store = measured["store"]
        rows, row = (
            f"{measured[which] * 1e3:7.2f} ={measured[which] / store:5.2f}"
            for which in ("rows", "bytes")
        )
        print(f"  {load.name:40}{store * 1e3:7.2f} ms{rows}{'>= 0.7':>8}{row}")


def speed(where: Path, line: Line, load: Load) -> dict[str, float]:
    """Median seconds of a commit, by who writes."""

    bare = {"bytes": Bare(where, line, rows=False), "rows": Bare(where, line, rows=True)}
    times: dict[str, list[float]] = {which: [] for which in ("store", *bare)}
    plan = list(times) * ROUNDS
    random.Random(2).shuffle(plan)
    for which in [*times, *plan]:
        before = (line.unit, line.position, line.case)
        commits = [
            [line.boxed() if load.cased else [line.bottle()] for _ in range(load.jobs)]
            for _ in range(load.commits)
        ]
        if which == "store":
            begin = perf_counter()
            for jobs in commits:
                line.put(*jobs)
        else:
            line.unit, line.position, line.case = before
            ready = [[bare[which].ready(facts) for facts in jobs] for jobs in commits]
            begin = perf_counter()
            for rows in ready:
                bare[which].write(rows)
        times[which].append((perf_counter() - begin) / load.commits)
    for other in bare.values():
        other.conn.close()
    return {which: statistics.median(taken[1:]) for which, taken in times.items()}


# ------------------------------------------------------------------------------------- the gate


def gate_table(where: Path) -> None:
    """A bottle from its reading to its facts in the tables: two inputs, one group, one commit."""
    line = Line(where, 4000)
    reader = ReaderPlan("camera", ("body",))
    station = Station("verify", 0, "verify", "bottle", (reader,))
    gate = Gate(line.writer, [LinePlan(LINE, (station,), ())])
    decided, committed = [], []
    for position in range(4000):
        read = ItemReadings("verify", position, "camera", (line.texts[position],))
        clock = line.clock(position)
        group = [(ItemTriggered("verify", position), clock), (read, clock)]
        began = perf_counter()
        done = line.job(partial(gate.decide, line=LINE, inputs=group))
        committed.append(perf_counter() - began - done.decide)
        decided.append(done.decide)
        gone = [(GateReported("verify", position, GateSaw.PASSED), clock)]
        line.job(partial(gate.decide, line=LINE, inputs=gone))
    assert line.conn.execute("SELECT count(*) FROM code WHERE unit > 0").fetchone() == (4000,)
    line.db.close()
    print(f"{'one bottle in the gate':42}{'p50':>12}{'p99':>12}")
    for name, times in (("look up, decide, append", decided), ("commit", committed)):
        ordered = sorted(times)
        p50, p99 = (ordered[len(ordered) * part // 100] * 1e3 for part in (50, 99))
        print(f"  {name:40}{p50:9.3f} ms{p99:9.3f} ms")


# ----------------------------------------------------------------------------------- ten million


def codes(units: int) -> Iterator[str]:
    """Codes of the large pool by position, in no order of text."""
    for position in range(units):
        yield large(position, units)


def large(position: int, units: int) -> str:
    return f"https://q.example.cn/{position * 7_368_787 % units:010d}"


TAIL = 990
"""Journal rows after the newest snapshot; the gate saves one every 1,000."""


def fill(where: Path, units: int) -> None:
    """Write a file as `units` bottles in cases would have left it; the journal is left out."""
    line = Line(where, 1000)
    conn = line.conn
    conn.execute("PRAGMA synchronous = OFF")
    conn.execute("PRAGMA cache_size = -200000")
    pool_id = OTHERS + 1
    start = code_id(CodeKey(pool_id, 0, 0))
    fact = f.PoolImported(
        pool_id, "large", "bottle", ("body",), (), "sku", "agent", "list", "", 0, "0" * 64
    )
    line.put([fact, f.ItemPassed("v", 1, 1, "bottle", ORDER.number, (_attach(0),), True)])
    line.put([f.ContainerFormed(2, "case", ORDER.number, "pack", 1, CASE)])
    seq = journal.tail(conn)[0]
    level, case, order, station = (
        conn.one("SELECT id FROM name WHERE text = ?", (word,))[0]
        for word in ("bottle", "case", ORDER.number, "pack")
    )
    full = (units - 1000) // CASE
    conn.execute("BEGIN IMMEDIATE")
    conn.execute("UPDATE pool SET count = ? WHERE id = ?", (units + 1000, pool_id))
    conn.executemany(
        "INSERT INTO pool_code VALUES (?, ?)",
        ((start + at * STEP, code) for at, code in enumerate(codes(units))),
    )
    # The order of the texts is known here: position p has the text number p * 7368787 % units.
    inverse = pow(7_368_787, -1, units)
    conn.executemany(
        "INSERT INTO code_index VALUES (?, ?)",
        (
            (f"https://q.example.cn/{rank:010d}", start + rank * inverse % units * STEP)
            for rank in range(units)
        ),
    )
    # All but the last thousand are attached and packed, in cases of 24: units 3 + 25 g to 26 + 25 g
    # in container 27 + 25 g.
    packed = [3 + 25 * g for g in range(full)]
    born = "INSERT INTO code VALUES (?, 6, ?, NULL, ?, ?, ?, ?, ?, 0, ?, NULL)"
    conn.executemany(
        born,
        (
            ((first + CASE) * STEP, None, seq, first + CASE, 1, case, order, first + CASE)
            for first in packed
        ),
    )
    conn.executemany(
        born,
        (
            (start + (CASE * g + k) * STEP, 0, seq, first + k, 2, level, order, first + CASE)
            for g, first in enumerate(packed)
            for k in range(CASE)
        ),
    )
    conn.executemany(
        "INSERT INTO code (id, state, room) VALUES (?, 0, zeroblob(20))",
        ((start + at * STEP,) for at in range(full * CASE, units)),
    )
    conn.executemany(
        f"INSERT INTO container VALUES (?, {CASE}, {station}, ?, {CASE}, 0, 0, 1, NULL, NULL, "
        f"{seq}, NULL, NULL, {seq}, '', '', '')",
        ((first + CASE, first % 4096) for first in packed),
    )
    conn.executemany(
        "INSERT INTO unit_at VALUES (?, ?)",
        (
            run
            for g, first in enumerate(packed)
            for run in ((first, start + CASE * g * STEP), (first + CASE, (first + CASE) * STEP))
        ),
    )
    conn.execute("COMMIT")
    conn.forget()
    line.job(lambda conn: snapshots.save(conn, LINE, bytes(20_000)))
    line.unit, line.position = packed[-1] + CASE, 1
    for _ in range(TAIL):
        line.put([line.bottle()])
    line.db.close()


def _attach(position: int) -> Attachment:
    return Attachment("body", CodeKey(BOTTLES, position, 0), f.PairIntegrity.PROVEN)


def large_table(where: Path, units: int) -> None:
    begin = perf_counter()
    if not (where / "bench.db").exists():
        fill(where, units)
    size = (where / "bench.db").stat().st_size
    print(f"{units:,} units: file {size / 1e6:,.0f} MB, filled in {perf_counter() - begin:.0f} s")
    done = subprocess.run(
        [sys.executable, __file__, "--dir", str(where), "--units", str(units), "--measure"],
        check=True,
        timeout=600,
        capture_output=True,
        text=True,
    )
    print(done.stdout, end="")


def measure(where: Path, units: int) -> None:
    """In a process of its own, so that its memory is the store's."""
    begin = perf_counter()
    database = Database.open(where / "bench.db", where / "bench.key")
    tail = snapshots.tail(database.conn, LINE, snapshots.load(database.conn, LINE).seq)
    assert len(tail) == TAIL
    clock = Clock(1_790_000_000_000, 0)
    known = lookup.answer(database.conn, Questions(), clock)
    start = perf_counter() - begin
    rng = random.Random(3)

    def ask(position: int) -> float:
        question = Questions(texts=(large(position, units),))
        began = perf_counter()
        answer = lookup.answer(database.conn, question, clock)
        took = perf_counter() - began
        assert len(answer.codes) == 1
        return took

    for _ in range(20_000):
        ask(rng.randrange(units))
    times = sorted(ask(rng.randrange(units)) for _ in range(20_000))
    writer = Writer(database.conn)
    pool_id, first = OTHERS + 1, units - 1000
    commits = []
    for n in range(300):
        code = Attachment("body", CodeKey(pool_id, first + n, 0), f.PairIntegrity.PROVEN)
        unit = known.next_unit + n
        passed = f.ItemPassed("verify-1", n, unit, "bottle", ORDER.number, (code,), True)
        began = perf_counter()
        writer.run_inline(partial(record, line=LINE, facts=(passed,), clock=clock))
        commits.append(perf_counter() - began)
    database.close()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    memory = int(status["VmHWM"].split()[0]) / 1024
    rows = (
        ("duplicate check, p50", "", f"{statistics.median(times) * 1e3:.3f} ms"),
        ("duplicate check, p99", "<= 1 ms", f"{times[len(times) * 99 // 100] * 1e3:.3f} ms"),
        ("one bottle committed, p50", "", f"{statistics.median(commits) * 1e3:.3f} ms"),
        (f"start: open, newest unit, {TAIL} rows of tail", "<= 5 s", f"{start:.3f} s"),
        ("resident memory, peak", "<= 300 MB", f"{memory:.0f} MB"),
    )
    for name, target, figure in rows:
        print(f"  {name:42}{target:>12}{figure:>15}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, help="where the files are written")
    parser.add_argument("--units", type=int, default=0, help="units of the large file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.dir, given.units)
        return
    with tempfile.TemporaryDirectory(dir=given.dir, prefix="caselink-bench-") as name:
        where = Path(name)
        for part in ("speed", "gate", "bytes", "large"):
            os.mkdir(where / part)
        speed_table(where / "speed")
        gate_table(where / "gate")
        bytes_table(where / "bytes")
        if given.units:
            large_table(where / "large", given.units)


if __name__ == "__main__":
    main()
