"""Verify finds every kind of damage; rebuild mends the tables and only them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.store import journal
from agent.store.migrations import REPLAYED
from agent.store.verify import rebuild, verify
from tests.store.store_help import Plant, shift


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a busy day, to be copied."""
    where = tmp_path_factory.mktemp("worked")
    plant = Plant(where).load()
    for facts in shift(plant):
        plant.put(*facts)
    plant.close()
    return where


@pytest.fixture
def plant(worked: Path, tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(shutil.copytree(worked, tmp_path / "copy"))
    yield plant
    plant.close()


def unlock(plant: Plant) -> None:
    """What someone with the key and a grudge would do first."""
    plant.conn.execute("DROP TRIGGER journal_is_append_only_1")
    plant.conn.execute("DROP TRIGGER journal_is_append_only_2")


def dump(plant: Plant) -> dict[str, list[tuple[object, ...]]]:
    tables = (*REPLAYED, "pool_code", "pool_spelling", "code_index", "journal", "name")
    return {name: plant.conn.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def test_a_sound_database_has_no_problem_in_every_table(plant: Plant) -> None:
    for table in REPLAYED:
        (rows,) = plant.conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert rows, f"the test's day leaves {table} empty"
    before = dump(plant)
    reader = plant.db.reader()
    report = verify(reader)
    reader.close()
    assert report.problems == []
    assert report.rows == journal.tail(plant.conn)[0]
    assert report.last_hash == journal.tail(plant.conn)[1].hex()
    assert dump(plant) == before


def test_a_changed_row_is_found(plant: Plant) -> None:
    unlock(plant)
    plant.conn.execute("UPDATE journal SET body = replace(body, 'mismatch', 'no_read')")
    (problem,) = verify(plant.conn).problems
    assert "(ItemRejected) does not fit the chain" in problem


@pytest.mark.parametrize(
    "change", ["wall_ms = wall_ms + 1", "mono_ms = 0", "line = 1", "kind = 1", "clock = 2"]
)
def test_a_changed_head_of_a_row_is_found(plant: Plant, change: str) -> None:
    unlock(plant)
    plant.conn.execute(f"UPDATE journal SET {change} WHERE seq = 9")
    assert any("row 9" in problem for problem in verify(plant.conn).problems)


def test_a_changed_row_with_a_hash_made_to_fit_is_found(plant: Plant) -> None:
    unlock(plant)
    rows = list(journal.rows(plant.conn, 8, 9))
    forged = rows[1]._replace(wall_ms=1)
    plant.conn.execute(
        "UPDATE journal SET wall_ms = 1, hash = ? WHERE seq = 9", (forged.seal(rows[0].hash),)
    )
    (problem,) = verify(plant.conn).problems
    assert "row 10" in problem


def test_a_dropped_row_is_found(plant: Plant) -> None:
    unlock(plant)
    plant.conn.execute("DELETE FROM journal WHERE seq = 20")
    assert "journal: row 20 is missing, row 21 follows" in verify(plant.conn).problems


def test_a_cut_tail_is_found_by_the_tables(plant: Plant) -> None:
    unlock(plant)
    plant.conn.execute("DELETE FROM journal WHERE seq > 40")
    assert any(problem.startswith("table ") for problem in verify(plant.conn).problems)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE code SET unit_state = 1 WHERE unit = 2 AND unit_state IS NOT NULL",
        "UPDATE code SET parent = 10 WHERE unit = 2 AND unit_state IS NOT NULL",
        "UPDATE code SET flags = 1 WHERE unit = 3 AND unit_state IS NOT NULL",
        "UPDATE code SET state = 7 WHERE state = 5",
        "DELETE FROM code WHERE unit = 12",
        "INSERT INTO code (id, state) VALUES (5, 0)",
        "UPDATE container SET integrity = 0 WHERE integrity = 3",
        "UPDATE container SET unknown = 0",
        "DELETE FROM unit_at WHERE first > 5",
        "UPDATE unit_at SET id = id + 32",
        "DELETE FROM unit_code",
        "DELETE FROM unit_event",
        "UPDATE work_order SET state = 'running'",
        "DELETE FROM alarm WHERE cleared IS NOT NULL",
        "UPDATE pool SET next_position = 0",
        "DELETE FROM code_index WHERE text = 'CASE-00000'",
        "UPDATE code_index SET id = id + 32 WHERE text = 'CASE-00000'",
        "INSERT INTO code_index VALUES ('NEW', 1)",
        "UPDATE pool_code SET text = 'CASE-XXXXX' WHERE text = 'CASE-00000'",
        "UPDATE pool_code SET text = 'RULE-X' WHERE text = 'RULE-A'",
    ],
)
def test_a_changed_table_row_is_found(plant: Plant, statement: str) -> None:
    assert plant.conn.execute(statement).rowcount > 0
    assert not verify(plant.conn).ok


def test_damaged_bytes_are_found_not_believed(plant: Plant) -> None:
    plant.close()
    content = bytearray(plant.path.read_bytes())
    at = len(content) * 2 // 3
    content[at] ^= 1
    plant.path.write_bytes(content)
    plant.open()
    (first, *_) = verify(plant.conn).problems
    assert "damaged" in first


def test_rebuild_of_a_sound_database_changes_nothing(plant: Plant) -> None:
    before = dump(plant)
    assert plant.writer.run_inline(rebuild) == journal.tail(plant.conn)[0]
    assert dump(plant) == before


def test_rebuild_mends_every_table(plant: Plant) -> None:
    before = dump(plant)
    for table in REPLAYED:
        plant.conn.execute(f"DELETE FROM {table}")
    plant.conn.execute("INSERT INTO unit_code VALUES (1, 1)")
    plant.conn.execute("DELETE FROM pool_code WHERE text = 'RULE-A'")
    plant.conn.execute("DELETE FROM code_index WHERE text = 'RULE-B'")
    assert not verify(plant.conn).ok
    plant.reopen()
    plant.writer.run_inline(rebuild)
    assert dump(plant) == before
    assert verify(plant.conn).ok


def test_rebuild_that_fails_changes_nothing(plant: Plant) -> None:
    unlock(plant)
    plant.conn.execute("DELETE FROM journal WHERE seq = 7")  # the first bottle begins
    before = dump(plant)
    with pytest.raises(ConfigError, match="restore a backup"):
        plant.writer.run_inline(rebuild)
    assert dump(plant) == before
