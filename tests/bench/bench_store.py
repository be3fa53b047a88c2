"""How fast, how small and how large the store is.

Run: python tests/bench/bench_store.py [--dir DIR] [--units 10000000]. DIR should be on the disk
that counts (default: the system's temporary directory). Without --units it takes under a minute.

speed   one case of 24 per commit (24 passed, formed, packed, bound, closed), against bare
        sqlcipher3 with the same pragmas and key that appends the same bytes, in one row per fact or
        in the same rows; rounds are shuffled, the first of each is dropped, median of the rest
bytes   written per bottle (wchar of /proc/self/io, checkpoints included), between and at 24 per
        commit, with other pools' rows on both sides of the bottles' pool
large   --units: so many units in the file (written in bulk, not journalled), then look-ups of codes
        at random, commits, a start (open, newest unit, snapshot), and resident memory
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact
from agent.core.known import Clock, Questions
from agent.core.poolfile import Declared, PoolFile, seal
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.store import journal, lookup, snapshots
from agent.store.database import Connection, Database, connect, load_key
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
ROUNDS, COMMITS = 15, 40


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
        for file in (
            pool("cases", "case", "case-outer", bottles // CASE + 10, rng),
            pool("bottles", "bottle", "body", bottles, rng),
            pool("others", "bottle", "body", 1000, rng),
        ):
            self.job(partial(import_pool, file=file, line="", clock=self.clock(0)))
        self.unit = self.position = self.case = 0
        self.put([f.OrderCreated(ORDER, "b"), f.OrderStarted(ORDER.number, "b")])
        self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def job(self, job: Callable[[Connection], object]) -> None:
        self.writer.run_inline(job)

    def clock(self, at: int) -> Clock:
        return Clock(1_790_000_000_000 + at * 30, 500_000_000 + at * 30, "synced")

    def put(self, facts: Sequence[Fact]) -> None:
        self.job(lambda conn: record(conn, LINE, facts, self.clock(self.position)))

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


def bare(where: Path, line: Line, width: int) -> Callable[[list[Fact]], None]:
    """Append facts' ready-made bytes to plain tables, durable; nothing is looked up or checked.

    `width` 1: one row per fact, body and what stands beside it. 8: the same rows as the store's,
    a journal row of eight columns per fact and a row for each code and container.
    """
    conn = connect(where / f"bare{width}.db", load_key(line.key_file), read_only=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 1000"):
        conn.execute(f"PRAGMA {pragma}").fetchall()
    conn.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, body BLOB)")
    conn.execute("CREATE TABLE journal (id INTEGER PRIMARY KEY, a, b, c, d, e, f, g)")
    conn.execute("CREATE TABLE code (id INTEGER PRIMARY KEY, a, b, c, d, e, f, g, h)")
    clock, chain = line.clock(1), bytes(16)

    def same_bytes(facts: list[Fact]) -> None:
        rows = [(journal.encode(fact) + bytes(BESIDE),) for fact in facts]
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("INSERT INTO one (body) VALUES (?)", rows)
        conn.execute("COMMIT")

    def same_rows(facts: list[Fact]) -> None:
        rows = [
            (clock.wall_ms, clock.mono_ms, 1, 2, 3, journal.encode(fact).decode(), chain)
            for fact in facts
        ]
        units = [(6, 0, 1_000_000, 1_000_000, 2, 9, 9, 1_000_000)] * (len(facts) - 1)
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", rows)
        conn.executemany("INSERT INTO code VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", units)
        conn.execute("COMMIT")

    return same_bytes if width == 1 else same_rows


BESIDE = 40 + 30
"""Bytes that the store keeps beside a body: clock, names and hash; and the code's table row."""


def speed_table(where: Path) -> None:
    line = Line(where, 3 * ROUNDS * COMMITS * CASE)
    run = {"store": line.put, "bytes": bare(where, line, 1), "rows": bare(where, line, 8)}
    times: dict[str, list[float]] = {which: [] for which in run}
    plan = list(run) * ROUNDS
    random.Random(2).shuffle(plan)
    for which in [*run, *plan]:
        before = (line.unit, line.position, line.case)
        cases = [line.boxed() for _ in range(COMMITS)]
        if which != "store":
            line.unit, line.position, line.case = before
        begin = perf_counter()
        for facts in cases:
            run[which](facts)
        times[which].append((perf_counter() - begin) / COMMITS)
    line.db.close()
    middle = {which: statistics.median(taken[1:]) for which, taken in times.items()}
    store = middle["store"]
    print(f"one case of 24 per commit{'':21}{'target':>10}{'median':>12}")
    print(f"  {'journal and tables':54}{store * 1e3:9.2f} ms {CASE / store:9,.0f} bottles/s")
    for which, name in (("bytes", "same bytes"), ("rows", "same rows, ready-made")):
        print(f"  {f'bare sqlcipher3, {name}':54}{middle[which] * 1e3:9.2f} ms")
        print(f"  {'  ratio':42}{'>= 0.7':>12}{middle[which] / store:9.2f}")


# ----------------------------------------------------------------------------------- ten million


def codes(units: int) -> Iterator[str]:
    """Codes of the large pool by position, in no order of text."""
    for position in range(units):
        yield large(position, units)


def large(position: int, units: int) -> str:
    return f"https://q.example.cn/{position * 7_368_787 % units:010d}"


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
    level, order = (
        conn.execute("SELECT id FROM name WHERE text = ?", (word,)).fetchone()[0]
        for word in ("bottle", ORDER.number)
    )
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
    # All but the last thousand are attached and packed, in cases of 24.
    conn.executemany(
        "INSERT INTO code VALUES (?, 6, 0, NULL, ?, ?, 2, ?, ?, 0, ?, NULL)",
        (
            (start + at * STEP, 10_000_000 + at, 3 + at + at // 24, level, order, 2)
            for at in range(units - 1000)
        ),
    )
    conn.executemany(
        "INSERT INTO code (id, state, room) VALUES (?, 0, zeroblob(20))",
        ((start + at * STEP,) for at in range(units - 1000, units)),
    )
    conn.executemany(
        "INSERT INTO unit_at VALUES (?, ?)",
        ((3 + at + at // 24, start + at * STEP) for at in range(0, units - 1000, 24)),
    )
    conn.execute("COMMIT")
    assert seq
    line.job(lambda conn: snapshots.save(conn, LINE, bytes(20_000)))
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
    snapshots.tail(database.conn, LINE, snapshots.load(database.conn, LINE).seq)
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
        ("start: open, newest unit, snapshot", "<= 5 s", f"{start:.3f} s"),
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
        for part in ("speed", "bytes", "large"):
            os.mkdir(where / part)
        speed_table(where / "speed")
        bytes_table(where / "bytes")
        if given.units:
            large_table(where / "large", given.units)


if __name__ == "__main__":
    main()
