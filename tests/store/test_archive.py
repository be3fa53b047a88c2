"""Old rows in files of their own: the journal reads as before, and nothing is lost on the way."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlcipher3 import dbapi2

from agent.core import facts as f
from agent.core.errors import ConfigError, TransientError
from agent.store import archive, backup, journal, orders, outbox, snapshots, trace
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from agent.store.restore import Terms, restore
from agent.store.verify import rebuild, verify
from sync.build import Builder
from sync.uris import Identity
from tests.store.store_help import LINE, Plant, shift
from tests.store.test_verify import dump

CODES = ("CASE-00000", "PAL-00000", "https://q.example.cn/b/00000", "CAP-00000", "RULE-B")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a busy day that the cloud has acknowledged."""
    where = tmp_path_factory.mktemp("worked")
    plant = Plant(where).load()
    for facts in shift(plant):
        plant.put(*facts)
    acknowledge(plant, journal.tail(plant.conn)[0])
    plant.close()
    return where


@pytest.fixture
def plant(worked: Path, tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(shutil.copytree(worked, tmp_path / "copy"))
    yield plant
    plant.close()


def acknowledge(plant: Plant, seq: int) -> None:
    chain = journal.hash_at(plant.conn, seq)
    assert chain is not None
    plant.writer.run_inline(lambda conn: outbox.keep(conn, seq, chain.hex(), None))


def move(plant: Plant, days: int = 1, **more: Any) -> int:
    return archive.move(
        plant.writer.run_inline,
        lambda: nullcontext(plant.conn),
        plant.path,
        plant.key_file,
        days,
        **{"least": 1, **more},
    )


def everything(plant: Plant) -> list[Any]:
    return list(journal.rows(plant.conn))


def left(plant: Plant) -> list[int]:
    return [seq for (seq,) in plant.conn.execute("SELECT seq FROM journal ORDER BY seq")]


def files(plant: Plant) -> list[str]:
    where = archive.folder(plant.path)
    return sorted(each.name for each in where.iterdir()) if where.exists() else []


def test_what_is_archived_reads_as_before(plant: Plant) -> None:
    before, last = everything(plant), journal.tail(plant.conn)[0]
    entries = list(journal.read(plant.conn))
    told = [trace.trace(plant.conn, code) for code in CODES]
    alarms = orders.alarm_history(plant.conn)
    tail = snapshots.tail(plant.conn, LINE, 0)
    walls = [row.wall_ms for row in before]
    assert move(plant) == last - 1
    assert left(plant) == [last], "the newest row stays"
    assert len(files(plant)) == 1
    for _ in range(2):
        assert everything(plant) == before
        assert list(journal.read(plant.conn)) == entries
        assert list(journal.rows(plant.conn, 7, 9)) == before[6:9]
        assert journal.newest_wall_ms(plant.conn, last, 0, walls[-1] + 1) == walls[-1]
        assert journal.newest_wall_ms(plant.conn, last, 0, walls[8]) == max(
            wall for wall in walls if wall < walls[8]
        )
        assert journal.newest_wall_ms(plant.conn, 9, walls[8] + 1, walls[-1] + 1) is None
        assert [trace.trace(plant.conn, code) for code in CODES] == told
        assert orders.alarm_history(plant.conn) == alarms
        assert snapshots.tail(plant.conn, LINE, 0) == tail
        assert snapshots.tail(plant.conn, LINE, 30) == [e for e in tail if e.seq > 30]
        report = verify(plant.conn)
        assert (report.problems, report.rows) == ([], last)
        plant.reopen()
    assert plant.put(f.AgentStarted("1")) == last + 1
    assert verify(plant.conn).ok


def test_tables_are_made_anew_from_the_archive(plant: Plant) -> None:
    move(plant)
    before = dump(plant)
    plant.writer.run_inline(rebuild)
    assert dump(plant) == before


def test_batches_are_the_same_from_the_archive(plant: Plant) -> None:
    """What the cloud has lost is sent again in the same bytes."""
    us = Identity("acme", "plant-1", "box-7")

    def batches() -> list[bytes]:
        readers = Readers(plant.path, plant.key_file, 1)
        builder, found, first = Builder(Outbox(readers, plant.writer), us, rows=7), [], 1
        while built := builder.build(first):
            found.append(built.payload)
            first = built.last + 1
        readers.close()
        return found

    before = batches()
    assert len(before) > 10
    move(plant, most=30)
    move(plant, most=30)
    assert len(files(plant)) == 2
    assert batches() == before


def test_nothing_that_is_not_acknowledged_moves(plant: Plant) -> None:
    acknowledge(plant, 20)
    assert move(plant) == 20
    assert left(plant)[0] == 21
    assert move(plant) == 0
    acknowledge(plant, 25)
    assert move(plant, least=10) == 0, "not worth a file"
    assert move(plant) == 5
    assert verify(plant.conn).ok


def test_nothing_young_moves(plant: Plant) -> None:
    before = left(plant)
    assert move(plant, days=30_000) == 0
    assert left(plant) == before
    assert files(plant) == []


def test_only_rows_in_a_sealed_archive_may_be_deleted(plant: Plant) -> None:
    acknowledge(plant, 20)
    move(plant)
    for statement in (
        "DELETE FROM journal WHERE seq = 21",
        "DELETE FROM journal",
        "DELETE FROM archive",
        "UPDATE archive SET last = 40",
        "INSERT INTO archive VALUES (21, 30, 'x', zeroblob(16), zeroblob(32), 1, 1)",
        "INSERT INTO archive SELECT 22, 30, 'x', hash, hash, 1, 1 FROM journal WHERE seq = 30",
        "INSERT INTO archive SELECT 21, seq, 'x', hash, hash, 1, 1 FROM journal "
        "ORDER BY seq DESC LIMIT 1",
    ):
        with pytest.raises(dbapi2.IntegrityError):
            plant.conn.execute(statement)
    assert verify(plant.conn).ok


def test_a_changed_or_missing_archive_is_found_and_named(plant: Plant) -> None:
    move(plant)
    (name,) = files(plant)
    path = archive.folder(plant.path) / name
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert any(name in problem for problem in verify(plant.conn).problems)
    path.unlink()
    plant.reopen()
    with pytest.raises(ConfigError, match="is missing"):
        trace.trace(plant.conn, CODES[0])
    report = verify(plant.conn)
    assert any(name in problem for problem in report.problems)
    path.write_bytes(good)
    assert verify(plant.conn).ok


def test_rows_stay_where_their_archive_is_not_sound(plant: Plant) -> None:
    """The list says that they are archived, the power went, and the file is not what it was."""
    kept = everything(plant)
    copy = plant.path.parent.parent / "before"
    plant.close()
    shutil.copytree(plant.path.parent, copy)
    plant.open()
    move(plant)
    (name,) = files(plant)
    (row,) = archive.listed(plant.conn)
    plant.close()
    shutil.copy(copy / "caselink.db", plant.path)
    plant.open()
    plant.writer.run_inline(
        lambda conn: conn.execute("INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    )
    path = archive.folder(plant.path) / name
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(ConfigError, match="not as it was sealed"):
        move(plant)
    assert len(left(plant)) == len(kept)
    path.write_bytes(good)
    assert move(plant) == 0
    assert left(plant) == [kept[-1].seq], "what was cut short is finished"
    assert everything(plant) == kept


def test_a_full_disk_costs_nothing(plant: Plant) -> None:
    before = everything(plant)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(TransientError, match="nothing is lost"):
            move(plant)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left(plant) == [row.seq for row in before]
    assert verify(plant.conn).ok
    assert move(plant) == len(before) - 1
    assert everything(plant) == before


_MOVE = """
import sys
from contextlib import nullcontext
from pathlib import Path
from agent.store import archive
from tests.store.store_help import Plant
plant = Plant(Path(sys.argv[1]))
print("go", flush=True)
for _ in range(10):
    archive.move(plant.writer.run_inline, lambda: nullcontext(plant.conn), plant.path,
                 plant.key_file, 1, least=1, most=10)
print("done", flush=True)
"""


def test_killed_at_any_time_every_row_stands_somewhere(plant: Plant) -> None:
    before, here = everything(plant), plant.path.parent
    plant.close()
    unfinished = 0
    for n in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", _MOVE, str(here)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "go\n"
        try:
            child.wait(0.005 + n * 0.004)
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
        plant.open()
        unfinished += len(left(plant)) > 1
        assert everything(plant) == before
        assert verify(plant.conn).ok
        plant.close()
    plant.open()
    assert unfinished, "no kill came before the end: this proves nothing"
    while move(plant):
        pass
    assert left(plant) == [before[-1].seq]
    assert everything(plant) == before


def test_a_backup_names_the_archives_that_it_needs(plant: Plant, tmp_path: Path) -> None:
    before = everything(plant)
    move(plant)
    sheet = backup.backup(plant.path, plant.key_file, tmp_path / "b", "agent-1")
    assert [name for name, _ in sheet.archives] == files(plant)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(plant.key_file, other / "caselink.key")
    put_back = (other / "caselink.db", other / "caselink.key", tmp_path / "b", Terms("li"))
    with pytest.raises(ConfigError, match="they are not in"):
        restore(*put_back)
    shutil.copytree(archive.folder(plant.path), other / "archive")
    restore(*put_back)
    plant.close()
    plant.path, plant.key_file = other / "caselink.db", other / "caselink.key"
    plant.open()
    assert everything(plant)[: len(before)] == before
    assert verify(plant.conn).ok
