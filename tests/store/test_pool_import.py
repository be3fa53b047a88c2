"""A pool comes in whole or not at all, in steps that a line hardly feels."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import pytest

from agent.core import facts as f
from agent.core.errors import DomainError, TransientError
from agent.core.facts import CodeKey
from agent.core.known import Questions
from agent.core.life import CodeState
from agent.core.poolfile import PoolFile, PoolRefused
from agent.store import lookup, pools, trace
from agent.store.database import Connection
from agent.store.pool_import import clean, import_in_steps, import_pool
from agent.store.record import record
from agent.store.turns import Turn
from agent.store.verify import rebuild, verify
from tests.store.store_help import LINE, RULE, Plant, at, codes, listed

T = TypeVar("T")
DEADLINE = 30.0
TABLES = (
    "pool",
    "code",
    "pool_code",
    "pool_spelling",
    "code_index",
    "staging",
    "journal",
)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path).load()
    yield plant
    report = verify(plant.conn)
    plant.close()
    assert report.problems == []


def dump(plant: Plant) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: plant.conn.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in TABLES
    }


def steps(plant: Plant, file: PoolFile, at_step: Callable[[int], None]) -> f.PoolImported:
    """Import with something happening before each step."""
    count = 0

    def run(job: Callable[[Connection], T]) -> T:
        nonlocal count
        count += 1
        at_step(count)
        return plant.writer.run_inline(job)

    return import_in_steps(run, file, "", at(0))


def big(count: int = 2000, name: str = "big") -> PoolFile:
    return listed(name, "bottle", {"body": codes(f"{name.upper()}-", count)})


def test_steps_leave_what_one_transaction_leaves(tmp_path: Path) -> None:
    texts = tuple(codes("LINK-", 300))
    linked = listed(
        "linked",
        "bottle",
        {"cap": codes("LID-", 300), "body": texts},
        secret=("cap",),
        parents=tuple(f"P{n // 12}" for n in range(300)),
        spelled=(None, tuple(text if n % 3 else text.lower() for n, text in enumerate(texts))),
    )
    dumps = []
    for name in ("one", "steps"):
        (tmp_path / name).mkdir()
        plant = Plant(tmp_path / name).load()
        if name == "one":
            plant.writer.run_inline(lambda conn: import_pool(conn, linked, "", at(0)))
        else:
            steps(plant, linked, lambda step: None)
        assert verify(plant.conn).problems == []
        found = dump(plant)
        found["journal"] = [row[:-1] for row in found["journal"]]  # epochs differ, so do hashes
        dumps.append(found)
        plant.close()
    assert dumps[0] == dumps[1]
    assert len(dumps[0]["pool_spelling"]) == 100
    assert dumps[0]["staging"] == []


def test_a_code_is_not_found_before_its_pool_is_there(plant: Plant) -> None:
    text = codes("BIG-", 2000)[7]
    before = dump(plant)["journal"]
    seen = 0

    def look(step: int) -> None:
        nonlocal seen
        reader = plant.db.reader()
        try:
            staged = reader.execute("SELECT count(*) FROM pool_code WHERE text = ?", (text,))
            seen += int(staged.fetchone()[0])
            for conn in (plant.conn, reader):
                assert lookup.answer(conn, Questions(texts=(text,)), at(0)).codes == {}
                assert trace.trace(conn, text) is None
                assert len(pools.list_pools(conn)) == 4
            if step % 5 == 0:
                assert verify(reader).problems == []
        finally:
            reader.close()
        assert plant.conn.execute("SELECT * FROM journal ORDER BY 1").fetchall() == before

    fact = steps(plant, big(), look)
    assert seen, "the codes were never there before their pool"
    found = lookup.find_code(plant.conn, text)
    assert found is not None
    assert (found.key, found.state) == (CodeKey(fact.pool, 7, 0), CodeState.ISSUED)


def test_a_refused_pool_leaves_no_row(plant: Plant) -> None:
    before = dump(plant)
    texts = [*codes("NEW-", 500), "CASE-00003", *codes("NEWER-", 500)]
    with pytest.raises(PoolRefused, match="row 501, case-outer, is in pool 2"):
        steps(plant, listed("again", "case", {"case-outer": texts}), lambda step: None)
    assert dump(plant) == before
    with pytest.raises(DomainError, match="There is a pool cases already"):
        steps(plant, listed("cases", "case", {"case-outer": ["X"]}), lambda step: None)
    assert dump(plant) == before


@pytest.mark.parametrize(
    "when",
    [
        "SELECT 1 FROM staging",
        "SELECT 1 FROM pool_code WHERE text = 'RULE-7'",
        "SELECT 1 FROM code_index WHERE text = 'RULE-7'",
    ],
)
def test_a_rule_that_admits_a_code_meanwhile_wins(plant: Plant, when: str) -> None:
    """The bottle stands on the line: the pool that names its code too late is refused."""
    texts = [*codes("Z-", 1000), "RULE-7", *codes("A-", 1000)]
    fact = f.CodeRegistered(CodeKey(RULE, 0, 0), "RULE-7")

    registered = False

    def register(step: int) -> None:
        nonlocal registered
        if not registered and plant.conn.execute(when).fetchone():
            registered = True
            assert lookup.answer(plant.conn, Questions(texts=("RULE-7",)), at(0)).codes
            plant.put(fact)

    with pytest.raises(PoolRefused, match=r"row 1001, body, is in pool 4 \(rule\)"):
        steps(plant, listed("late", "bottle", {"body": texts}), register)
    assert pools.place_of(plant.conn, "RULE-7") == CodeKey(RULE, 0, 0)
    assert pools.place_of(plant.conn, "Z-00000") is None
    (rows,) = plant.conn.execute("SELECT count(*) FROM pool_code WHERE id >= 5 << 41").fetchone()
    assert rows == 0
    assert dump(plant)["staging"] == []


def test_one_pool_is_imported_at_a_time(plant: Plant) -> None:
    def another(step: int) -> None:
        if plant.conn.execute("SELECT 1 FROM staging").fetchone():
            with pytest.raises(DomainError, match="Another pool is being imported"):
                steps(plant, big(10, "other"), lambda step: None)

    assert steps(plant, big(), another).pool == 5
    assert steps(plant, big(10, "other"), lambda step: None).pool == 6


_IMPORTER = """
import sys
from pathlib import Path
from agent.store.pool_import import import_in_steps
from tests.store.store_help import Plant, at, codes, listed

plant = Plant(Path(sys.argv[1]))
def run(job):
    done = plant.writer.run_inline(job)
    print(plant.conn.execute(
        "SELECT (SELECT count(*) FROM pool_code WHERE text LIKE 'BIG-%') > 0,"
        " (SELECT count(*) FROM code_index WHERE text LIKE 'BIG-%') > 0").fetchone(), flush=True)
    sys.stdin.readline()
    return done
import_in_steps(run, listed("big", "bottle", {"body": codes("BIG-", 5000)}), "", at(0))
"""


@pytest.mark.parametrize("state", ["(1, 0)", "(1, 1)"])
def test_the_next_start_takes_out_what_kill_9_left(plant: Plant, state: str) -> None:
    before = dump(plant)
    plant.close()
    child = subprocess.Popen(
        [sys.executable, "-c", _IMPORTER, str(plant.path.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    while (said := child.stdout.readline().strip()) != state:
        assert said, "the import ended before it could be killed"
        child.stdin.write("\n")
        child.stdin.flush()
    child.kill()
    child.communicate(timeout=10)
    plant.open()
    (left,) = plant.conn.execute("SELECT count(*) FROM pool_code WHERE id >= 5 << 41").fetchone()
    assert left, "the test killed too early"
    assert verify(plant.conn).problems == []
    assert lookup.find_code(plant.conn, "BIG-00000") is None
    plant.writer.run_inline(rebuild)
    clean(plant.writer.run_inline)
    assert dump(plant) == before
    assert steps(plant, big(), lambda step: None).count == 2000


def test_an_import_begins_by_taking_out_what_is_left_of_another(plant: Plant) -> None:
    def stop(step: int) -> None:
        if plant.conn.execute("SELECT 1 FROM code_index WHERE text LIKE 'BIG-%'").fetchone():
            raise TransientError("the store is closed")

    for _ in range(2):
        with pytest.raises(TransientError):
            steps(plant, big(), stop)
        assert dump(plant)["staging"] == [(5, 0)]
        plant.reopen()
    assert steps(plant, big(100), lambda step: None).count == 100
    (rows,) = plant.conn.execute("SELECT count(*) FROM code_index WHERE id >= 5 << 41").fetchone()
    assert rows == 100


def test_verdicts_hardly_wait_while_200_000_codes_come_in(tmp_path: Path) -> None:
    plant = Plant(tmp_path, bottles=20_000).load()
    plant.writer.start()
    texts = [f"https://q.example.cn/{n * 7_368_787 % 200_000:06d}" for n in range(200_000)]
    file = listed("large", "bottle", {"body": texts})
    imported: list[f.PoolImported] = []
    thread = threading.Thread(
        target=lambda: imported.append(
            import_in_steps(plant.writer.wait, file, "", at(0)),
        )
    )
    thread.start()
    waits: list[float] = []
    pause = threading.Event()
    while thread.is_alive() and len(waits) < 19_000:
        unit = len(waits) + 1
        verdict = partial(record, line=LINE, facts=(plant.bottle(unit, unit),), clock=at(0))
        began = perf_counter()
        plant.writer.submit(verdict, Turn.LINE).result(DEADLINE)
        waits.append(perf_counter() - began)
        pause.wait(0.01)  # a bottle comes every 10 ms, three times as many as on a quick line
    thread.join(DEADLINE)
    plant.writer.close()
    assert [fact.count for fact in imported] == [200_000]
    waits.sort()
    print(f"{len(waits)} waits: p50 {waits[len(waits) // 2]:.4f}, worst {waits[-1]:.4f} s")
    assert len(waits) > 50
    assert waits[len(waits) * 9 // 10] < 0.05
    assert waits[-1] < 0.5, "a verdict waited for the import"
    plant.close()
