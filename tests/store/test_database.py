"""The file: key, mode, foreign files, migrations, read-only connections."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from agent.core.errors import ConfigError, TransientError
from agent.store import migrations
from agent.store.database import (
    APPLICATION_ID,
    Database,
    connect,
    create_key,
    load_key,
    open_reader,
)
from agent.store.readers import Readers
from agent.store.verify import verify
from tests.store.store_help import ORDER, Plant, shift


def test_first_start_makes_a_key_for_the_owner_alone(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.close()
    assert stat.S_IMODE(plant.key_file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(plant.key_file.read_text())) == 32
    assert b"SQLite" not in plant.path.read_bytes()[:100]


def test_two_databases_have_different_keys_and_epochs(tmp_path: Path) -> None:
    plants = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plants.append(Plant(tmp_path / name))
    keys = {plant.key_file.read_text() for plant in plants}
    epochs = {plant.conn.execute("SELECT name FROM epoch").fetchone()[0] for plant in plants}
    for plant in plants:
        plant.close()
    assert len(keys) == len(epochs) == 2


def test_a_wrong_key_names_the_key_file(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    plant.close()
    other = tmp_path / "other.key"
    create_key(other)
    with pytest.raises(ConfigError, match=r"other\.key"):
        Database.open(plant.path, other)
    with pytest.raises(ConfigError, match=r"other\.key"):
        open_reader(plant.path, other)
    plant.open()
    plant.close()


def test_a_missing_key_is_never_replaced_by_a_new_one(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.close()
    plant.key_file.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="missing"):
        Database.open(plant.path, plant.key_file)
    assert not plant.key_file.exists()


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.close()
    plant.key_file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Database.open(plant.path, plant.key_file)


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "ab" * 32 + "\nmore", "é" * 64])
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="key"):
        load_key(path)


@pytest.mark.parametrize("content", [b"hello, this is a text file\n" * 100, b"\0" * 4096])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path, key = tmp_path / "db", tmp_path / "key"
    create_key(key)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a database"):
        Database.open(path, key)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path, key = tmp_path / "db", tmp_path / "key"
    create_key(key)
    conn = connect(path, load_key(key), read_only=False)
    conn.execute("CREATE TABLE theirs (a)")
    conn.close()
    with pytest.raises(ConfigError, match="another program"):
        Database.open(path, key)


def test_a_second_writer_is_refused_also_from_another_process(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    code = (
        "import sys; from pathlib import Path; from agent.store.database import Database;"
        "Database.open(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(plant.path), str(plant.key_file)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "another caselink is writing" in done.stderr
    plant.reopen()
    plant.close()


def test_a_reader_cannot_write_and_sees_what_was_committed(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    reader = plant.db.reader()
    with pytest.raises(dbapi2.OperationalError, match="readonly"):
        reader.execute("DELETE FROM code")
    reader.execute("PRAGMA query_only = OFF")
    with pytest.raises(dbapi2.OperationalError, match="readonly"):
        reader.execute("DELETE FROM code")
    reader.execute("BEGIN")
    query = "SELECT count(*) FROM code WHERE unit IS NOT NULL"
    assert reader.execute(query).fetchone() == (0,)
    plant.put(plant.bottle(1, 0))
    assert reader.execute(query).fetchone() == (0,)  # one state throughout
    reader.execute("ROLLBACK")
    assert reader.execute(query).fetchone() == (1,)
    reader.close()
    plant.close()


def test_readers_are_few_and_come_back(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    readers = Readers(plant.path, plant.key_file, size=1)
    with (
        readers.connection() as conn,
        pytest.raises(TransientError, match="busy"),
        readers.connection(timeout=0.01),
    ):
        pass
    with pytest.raises(dbapi2.OperationalError), readers.connection() as conn:
        conn.execute("SELECT nonsense FROM nowhere")
    plant.put(plant.bottle(1, 0))
    with readers.connection() as conn:
        assert conn.execute("SELECT max(seq) FROM code").fetchone()[0] is not None
    readers.close()
    plant.close()


def test_closing_leaves_no_log_behind(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    wal = tmp_path / "caselink.db-wal"
    assert wal.stat().st_size > 0
    plant.close()
    assert not wal.exists() or wal.stat().st_size == 0


@pytest.mark.parametrize("version", range(migrations.VERSION + 1))
def test_a_database_of_every_version_opens(tmp_path: Path, version: int) -> None:
    path, key = tmp_path / "db", tmp_path / "key"
    create_key(key)
    conn = connect(path, load_key(key), read_only=False)
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrations.migrate(conn, "test", version)
    conn.close()
    database = Database.open(path, key)
    assert database.conn.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
    assert verify(database.conn).ok
    database.close()


def test_a_newer_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.conn.execute(f"PRAGMA user_version = {migrations.VERSION + 1}")
    plant.close()
    with pytest.raises(ConfigError, match="newer caselink"):
        plant.open()


def test_a_migration_is_all_or_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    create_key(key)
    conn = connect(tmp_path / "db", load_key(key), read_only=False)
    conn.execute("CREATE TABLE alarm (in_the_way)")  # among the last that version 1 creates
    with pytest.raises(dbapi2.OperationalError):
        migrations.migrate(conn, "test")
    assert conn.execute("PRAGMA user_version").fetchone() == (0,)
    assert conn.execute("SELECT name FROM sqlite_master").fetchall() == [("alarm",)]
    conn.execute("DROP TABLE alarm")
    migrations.migrate(conn, "test")
    assert conn.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
    conn.close()


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    before = verify(plant.conn)
    plant.reopen()
    after = verify(plant.conn)
    assert before.ok
    assert after == before
    assert plant.put(plant.bottle(21, 100)) == before.rows + 1
    assert plant.conn.execute("SELECT state FROM work_order").fetchone() == ("finished",)
    assert ORDER.number == "WO-1"
    plant.close()
