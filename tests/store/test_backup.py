"""A backup is whole, of one moment and names its key; a restore begins anew where it ends."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.errors import ConfigError, DomainError, TransientError
from agent.core.life import CodeState
from agent.core.pools import allocate
from agent.store import backup, journal, pools
from agent.store.database import Database, create_key, load_key, open_reader, restore_draft
from agent.store.restore import Done, Terms, restore
from agent.store.verify import verify
from tests.store.store_help import BOTTLES, CASES, PALLETS, Plant, shift

FORCED = Terms("li", "the disk was replaced")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a busy day, and a backup of it."""
    where = tmp_path_factory.mktemp("worked")
    plant = Plant(where).load()
    for facts in shift(plant):
        plant.put(*facts)
    backup.backup(plant.path, plant.key_file, where / "evening.bak", "agent-1")
    plant.close()
    return where


@pytest.fixture
def here(worked: Path, tmp_path: Path) -> Path:
    return shutil.copytree(worked, tmp_path / "copy")


@pytest.fixture
def plant(here: Path) -> Iterator[Plant]:
    plant = Plant(here)
    yield plant
    plant.close()


def back(here: Path, terms: Terms = Terms("li"), file: str = "evening.bak") -> Done:
    return restore(here / "caselink.db", here / "caselink.key", here / file, terms)


def names(where: Path) -> set[str]:
    return {each.name for each in where.iterdir()} - {"caselink.db-wal", "caselink.db-shm"}


# ------------------------------------------------------------------------------------- backup


def test_a_backup_says_what_it_is_and_not_the_key(here: Path) -> None:
    sheet = backup.read_sheet(here / "evening.bak")
    key = load_key(here / "caselink.key")
    raw = (here / "evening.bak").read_bytes()
    assert sheet.key == backup.fingerprint(key)
    assert key.encode() not in raw
    assert bytes.fromhex(key) not in raw
    assert b"CASE-" not in raw, "codes do not stand in clear"
    assert json.loads(raw[-backup.SHEET :])["agent"] == "agent-1"
    reader = open_reader(here / "caselink.db", here / "caselink.key")
    assert (sheet.seq, sheet.hash) == (journal.tail(reader)[0], journal.tail(reader)[1].hex())
    reader.close()


def test_a_backup_overwrites_nothing(plant: Plant, here: Path) -> None:
    before = (here / "evening.bak").read_bytes()
    with pytest.raises(ConfigError, match="overwrites nothing"):
        backup.backup(plant.path, plant.key_file, here / "evening.bak", "agent-1")
    assert (here / "evening.bak").read_bytes() == before
    backup.backup(plant.path, plant.key_file, here / "second.bak", "agent-1")
    assert not (here / "second.bak.part").exists()


def test_a_database_that_is_not_sound_gives_no_backup(plant: Plant, here: Path) -> None:
    plant.conn.execute("UPDATE work_order SET state = 'running'")
    before = names(here)
    with pytest.raises(ConfigError, match="not sound"):
        backup.backup(plant.path, plant.key_file, here / "second.bak", "agent-1")
    assert names(here) == before
    backup.backup(plant.path, plant.key_file, here / "second.bak", "agent-1", replay=False)


_WORK = """
import sys
from pathlib import Path
from tests.store.store_help import Plant, LINE, at
from agent.store.record import record

plant = Plant(Path(sys.argv[1]), bottles=20_000)
(last,) = plant.conn.execute("SELECT coalesce(max(unit), 0) FROM code").fetchone()
plant.writer.start()
for unit in range(last + 1, 20_000):
    facts = (plant.bottle(unit, unit),)
    job = lambda conn: record(conn, LINE, facts, at(unit))
    print(plant.writer.submit(job).result(10), flush=True)
"""


def test_a_backup_of_a_running_agent_is_of_one_moment(tmp_path: Path) -> None:
    """Another process commits all the while; what it had been told before the copy began is in
    it, and nothing is half."""
    plant = Plant(tmp_path, bottles=20_000).load()
    plant.close()
    child = subprocess.Popen(
        [sys.executable, "-c", _WORK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        told = [int(child.stdout.readline()) for _ in range(20)][-1]
        sheet = backup.backup(plant.path, plant.key_file, tmp_path / "b", "agent-1", rest=0.02)
        later = [int(child.stdout.readline()) for _ in range(20)][-1]
    finally:
        child.kill()
        child.communicate()
    assert told <= sheet.seq < later
    (tmp_path / "other").mkdir()
    shutil.copy(plant.key_file, tmp_path / "other" / "caselink.key")
    done = restore(
        tmp_path / "other" / "caselink.db", tmp_path / "other" / "caselink.key", tmp_path / "b"
    )
    assert (done.first, done.lost, done.kept) == (sheet.seq + 1, 0, None)


# ------------------------------------------------------------------------------------ restore


def test_a_restore_begins_a_new_epoch_after_the_last_row(plant: Plant, here: Path) -> None:
    old = journal.epoch_of(plant.conn, 1)
    last = journal.tail(plant.conn)[0]
    plant.close()
    done = back(here)
    plant.open()
    assert (done.first, done.lost) == (last + 1, 0)
    (row,) = journal.read(plant.conn, last + 1)
    assert row.epoch == done.epoch != old
    assert isinstance(row.fact, f.Restored)
    assert (row.fact.epoch, row.fact.upto, row.fact.by) == (old, last, "li")
    assert {journal.epoch_of(plant.conn, seq) for seq in range(1, last + 1)} == {old}
    assert plant.put(f.AgentStarted("1")) == last + 2
    assert verify(plant.conn).ok
    assert done.kept is not None
    assert done.kept.exists()


def test_nothing_is_printed_from_a_pool_that_the_backup_could_print_from(
    plant: Plant, here: Path
) -> None:
    plant.close()
    done = back(here)
    plant.open()
    assert set(done.pools) == {"bottles", "cases", "pallets"}
    for number in (BOTTLES, CASES, PALLETS):
        pool = pools.known(plant.conn, number)
        assert pool is not None
        with pytest.raises(DomainError) as caught:
            allocate(pool, 1)
        assert caught.value.reason == "pool_in_question"
    assert f"{CodeState.ISSUED}" in {
        state.value for state in pools.pool_counts(plant.conn, BOTTLES, 1).codes
    }, "they are not moved: what is not printed may still be used"


def test_a_journal_that_has_more_is_not_replaced_without_a_reason(plant: Plant, here: Path) -> None:
    plant.put(f.AgentStarted("1"), f.AgentStarted("2"))
    plant.close()
    before = names(here), (here / "caselink.db").read_bytes()
    with pytest.raises(ConfigError, match="2 rows that the backup lacks"):
        back(here)
    assert (names(here), (here / "caselink.db").read_bytes()) == before
    done = back(here, FORCED)
    plant.open()
    (row,) = journal.read(plant.conn, done.first)
    assert isinstance(row.fact, f.Restored)
    assert (row.fact.lost, row.fact.forced) == (2, FORCED.force)


def test_another_journal_is_not_replaced_without_a_reason(
    plant: Plant, here: Path, tmp_path: Path
) -> None:
    plant.close()
    os.unlink(here / "caselink.db")
    other = Plant(here).load()
    rows = journal.tail(other.conn)[0]
    other.close()
    with pytest.raises(ConfigError, match=f"{rows} rows that the backup lacks"):
        back(here)
    back(here, FORCED)
    plant.open()


def test_a_database_that_cannot_be_read_is_replaced_with_a_reason_and_kept(here: Path) -> None:
    (here / "caselink.db").write_bytes(b"x" * 50_000)
    (here / "caselink.db-wal").write_bytes(b"its log")
    with pytest.raises(ConfigError, match="cannot be read"):
        back(here)
    done = back(here, FORCED)
    assert done.lost == -1
    assert done.kept is not None
    assert done.kept.read_bytes() == b"x" * 50_000
    assert done.kept.with_name(done.kept.name + "-wal").read_bytes() == b"its log"
    reader = open_reader(here / "caselink.db", here / "caselink.key")
    assert verify(reader).ok
    reader.close()


def test_a_restore_is_refused_while_the_agent_runs(plant: Plant, here: Path) -> None:
    with pytest.raises(ConfigError, match="another caselink is writing"):
        back(here)


def test_the_key_that_is_needed_is_named(here: Path) -> None:
    needed = backup.read_sheet(here / "evening.bak").key
    os.unlink(here / "caselink.key")
    with pytest.raises(ConfigError, match=f"fingerprint {needed}, and there is none"):
        back(here)
    create_key(here / "caselink.key")
    with pytest.raises(ConfigError, match=f"fingerprint {needed}; the one in"):
        back(here)


def test_another_agents_backup_is_refused(here: Path) -> None:
    with pytest.raises(ConfigError, match="is of agent agent-1, this one is agent-2"):
        restore(here / "caselink.db", here / "caselink.key", here / "evening.bak", agent="agent-2")


@pytest.mark.parametrize("cut", [1, backup.SHEET, backup.SHEET + 700])
def test_a_backup_that_is_cut_short_is_refused(here: Path, cut: int) -> None:
    os.truncate(here / "evening.bak", (here / "evening.bak").stat().st_size - cut)
    with pytest.raises(ConfigError, match="not a whole backup"):
        back(here)


def test_a_backup_with_a_changed_byte_is_refused(here: Path) -> None:
    raw = bytearray((here / "evening.bak").read_bytes())
    raw[len(raw) // 2] ^= 1
    (here / "evening.bak").write_bytes(raw)
    with pytest.raises(ConfigError, match="is damaged"):
        back(here)
    assert not restore_draft(here / "caselink.db").exists()


def test_an_agent_does_not_begin_anew_where_a_restore_was_cut_short(here: Path) -> None:
    (here / "caselink.db").rename(restore_draft(here / "caselink.db"))
    with pytest.raises(ConfigError, match="run caselink restore again"):
        Database.open(here / "caselink.db", here / "caselink.key")


# ---------------------------------------------------------------------------- power and disk


@contextmanager
def disk_full(size: int) -> Iterator[None]:
    """No file may grow beyond this while it lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [2_000, 60_000])
def test_a_full_disk_leaves_no_backup_and_says_what_to_do(
    plant: Plant, here: Path, size: int
) -> None:
    before = names(here)
    with disk_full(size), pytest.raises(TransientError, match="disk has room"):
        backup.backup(plant.path, plant.key_file, here / "new.bak", "agent-1")
    assert names(here) == before
    assert verify(plant.conn).ok


@pytest.mark.parametrize("size", [2_000, 60_000])
def test_a_full_disk_leaves_what_was_there(here: Path, size: int) -> None:
    before = names(here), (here / "caselink.db").read_bytes()
    with disk_full(size), pytest.raises(TransientError, match="is as it was"):
        back(here)
    assert (names(here), (here / "caselink.db").read_bytes()) == before


_BACKUP = """
import sys
from pathlib import Path
from agent.store import backup
here = Path(sys.argv[1])
print("go", flush=True)
backup.backup(here / "caselink.db", here / "caselink.key", here / "new.bak", "agent-1")
print("done", flush=True)
"""
_RESTORE = """
import sys
from pathlib import Path
from agent.store.restore import restore, Terms
here = Path(sys.argv[1])
print("go", flush=True)
restore(here / "caselink.db", here / "caselink.key", here / "evening.bak", Terms("li", "test"))
print("done", flush=True)
"""


def killed(program: str, here: Path, seconds: float) -> str:
    """Run a program and kill it so long after it began its work; what it had said."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(here)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    return child.communicate()[0]


def test_a_backup_that_is_killed_leaves_nothing_half(here: Path) -> None:
    finished = 0
    for n in range(5):
        (here / "new.bak").unlink(missing_ok=True)
        killed(_BACKUP, here, n * 0.012)
        if (here / "new.bak").exists():
            finished += 1
            sheet = backup.read_sheet(here / "new.bak")
            assert backup.sealed(here / "new.bak", sheet.bytes) == sheet.seal
    (here / "new.bak").unlink(missing_ok=True)
    assert killed(_BACKUP, here, 30) == "done\n", "what a killed one left is in nobody's way"
    assert finished < 5, "no kill came before the end: this proves nothing"


def test_a_restore_that_is_killed_leaves_the_old_or_the_new(plant: Plant, here: Path) -> None:
    plant.put(f.AgentStarted("1"))
    last, chain, _ = journal.tail(plant.conn)
    plant.close()
    seen = set()
    for n in range(8):
        killed(_RESTORE, here, n * 0.012)
        plant.open()
        now = journal.tail(plant.conn)
        restored = any(
            isinstance(e.fact, f.Restored) and e.fact.forced for e in journal.read(plant.conn)
        )
        assert restored or now[:2] == (last, chain)
        assert verify(plant.conn).ok
        seen.add(restored)
        plant.close()
        if restored:
            break
    assert killed(_RESTORE, here, 30) == "done\n"
    plant.open()
    assert False in seen, "no kill came before the end: this proves nothing"
