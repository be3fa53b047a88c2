"""The database file: its key, its pragmas, its one write connection and read-only connections."""

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from sqlcipher3 import dbapi2

from agent.core.errors import ConfigError, TransientError
from agent.core.facts import Fact
from agent.core.known import KnownPool
from agent.core.scheme import WorkOrder
from agent.secret_file import create_secret, sync_directory
from agent.store.migrations import migrate

APPLICATION_ID = 0x63736C6B  # "cslk"
PAGE_SIZE = 1024
"""Bytes; small pages decide how much one bottle costs (docs/adr/0002-store.md)."""

BUSY_SECONDS = 5.0
LEAST_ROOM = 2_000_000
"""Bytes of free disk below which it is called full when the database cannot be opened."""
_ARCHIVES_OPEN = 4
_KEY = re.compile(r"[0-9a-f]{64}")


class Connection(dbapi2.Connection):  # type: ignore[misc]  # sqlcipher3 has no types
    """A connection with what it remembers of rows that never change once committed, and, where it
    is the one that writes (`writes`), of rows that only it changes."""

    writes = False
    importing: int | None = None
    """The pool that is being imported by this connection's process."""
    archives: Path | None = None
    """The folder of the archives of the journal; None where there can be none."""
    key = ""
    offset_ms = 8 * 3_600_000
    """How far the site's clocks are from UTC: a day in the warehouse begins by them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursor = self.cursor()
        self._opened: dict[str, Connection] = {}
        self.touched: set[str] = set()
        """Parties whose warehouse was changed and is not told to be yet; "" = all of them."""
        self.forget()

    def archive(self, file: str) -> "Connection":
        """The archive of that name, open for reading as long as this connection is."""
        assert self.archives is not None
        found = self._opened.pop(file, None) or _archive(self.archives / file, self.key)
        self._opened[file] = found
        if len(self._opened) > _ARCHIVES_OPEN:
            self._opened.pop(next(iter(self._opened))).close()
        return found

    def close(self) -> None:
        """Close, and every archive that is open."""
        for conn in self._opened.values():
            conn.close()
        self._opened.clear()
        super().close()

    # A cursor of its own for each statement costs as much as a short statement.

    def one(self, query: str, given: Sequence[Any] = ()) -> Any:
        """The row of a query that finds at most one; None if it finds none."""
        return self._cursor.execute(query, given).fetchone()

    def change(self, statement: str, given: Sequence[Any] = ()) -> int:
        """Carry out a statement; how many rows it changed."""
        return int(self._cursor.execute(statement, given).rowcount)

    def change_many(self, statement: str, given: Iterable[Sequence[Any]]) -> int:
        """Carry out a statement for each row of values; how many rows were changed in all."""
        return int(self._cursor.executemany(statement, given).rowcount)

    def forget(self) -> None:
        """Drop what is remembered: a roll-back may have undone it."""
        self.number_of: dict[str, int] = {}
        self.text_of: dict[int, str] = {}
        self.kinds: dict[type[Fact], tuple[int, bytes, Callable[[Fact], Any]]] = {}
        self.orders: dict[str, WorkOrder] = {}
        self.pools: dict[int, Any] = {}
        self.known_pools: dict[int, KnownPool] = {}
        self.holds: tuple[Any, ...] | None = None
        self.tail: tuple[int, bytes, str] | None = None
        self.epochs: list[tuple[int, str]] = []
        self.last_unit: tuple[int, int] | None = None


def create_key(path: Path) -> None:
    """Write 32 random bytes as hex into a new file of mode 0600; FileExistsError if it is there."""
    create_secret(path, os.urandom(32).hex())


def load_key(path: Path) -> str:
    """The key (64 hex digits) from its file; ConfigError if it is missing, open to others or not
    a key."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise ConfigError(
            f"the key file {path} is missing: put it back from where it is kept; without it the "
            "database cannot be read. If it is sealed to this machine, run the command by "
            "`caselink-here` (docs/install.md)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"the key file {path} is open to others: run chmod 600 {path}")
    if not _KEY.fullmatch(text):
        raise ConfigError(f"the key file {path} must hold 64 hexadecimal digits and nothing else")
    return text


def _connection(uri: str) -> Connection:
    conn: Connection = dbapi2.connect(
        uri,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )
    return conn


def in_memory(epoch: str) -> Connection:
    """A new database that ends with its connection, for simulations. `epoch` names its journal's
    first epoch, which a file's chance would."""
    conn = _connection("file::memory:")
    conn.writes = True
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(conn, "memory")
    conn.execute("INSERT INTO epoch VALUES (1, ?)", (epoch,))
    return conn


def _unopened(path: Path, error: Exception) -> TransientError:
    """With what to do: SQLite calls a full disk an I/O error."""
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else LEAST_ROOM
    remedy = "look with `dmesg` whether the disk is failing, and whether this user may write there"
    if free < LEAST_ROOM:
        remedy = f"its disk is full ({free / 1e6:.1f} MB free): make room on it"
    return TransientError(f"the database {path} cannot be opened: {error}; {remedy}")


def connect(path: Path, key: str, *, read_only: bool) -> Connection:
    """An open connection; a wrong key shows at the first read, not here."""
    uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rwc")
    try:
        conn = _connection(uri)
    except dbapi2.OperationalError as error:
        raise _unopened(path, error) from error
    conn.execute(f"PRAGMA key = \"x'{key}'\"")
    conn.execute(f"PRAGMA cipher_page_size = {PAGE_SIZE}")
    if read_only:
        conn.execute("PRAGMA query_only = ON")
    conn.writes = not read_only
    conn.archives, conn.key = path.absolute().parent / "archive", key
    return conn


def _archive(path: Path, key: str) -> Connection:
    if not path.exists():
        raise ConfigError(
            f"the archive {path} is missing, and the journal rows in it with it: put its copy back"
        )
    conn = connect(path, key, read_only=True)
    conn.archives = None
    return conn


def _check(conn: Connection, path: Path, key_file: Path) -> None:
    """ConfigError unless the file is a caselink database that this key opens."""
    try:
        (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = conn.execute("PRAGMA application_id").fetchone()
    except dbapi2.OperationalError as error:
        raise TransientError(f"the database {path} cannot be read: {error}") from error
    except dbapi2.DatabaseError as error:
        raise ConfigError(
            f"{path} is not a database that the key in {key_file} opens: name the key file that "
            "belongs to it, or another database"
        ) from error
    if tables and application != APPLICATION_ID:
        raise ConfigError(f"{path} is a database of another program: name another file")


def require(path: Path) -> None:
    """ConfigError unless the database is there."""
    if not path.exists():
        raise ConfigError(
            f"there is no database {path}: start the agent once, or name its site file by --config"
        )


def open_reader(path: Path, key_file: Path) -> Connection:
    """A read-only connection of its own. ConfigError: no such database, or not this key's."""
    require(path)
    conn = connect(path, load_key(key_file), read_only=True)
    try:
        _check(conn, path, key_file)
    except BaseException:
        conn.close()
        raise
    return conn


class Database:
    """The open database: `conn` is the only connection that writes, in this and any process."""

    def __init__(self, path: Path, key_file: Path, conn: Connection, lock: int) -> None:
        self.path = path
        self.key_file = key_file
        self.conn = conn
        self._lock = lock

    @classmethod
    def open(cls, path: Path, key_file: Path) -> Self:
        """Open for writing; create file and key at the first start, migrate an older database.

        ConfigError: wrong or missing key, foreign file, newer version, or another writer.
        TransientError: the disk did not answer.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        key_file.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_file(path)
        try:
            fresh = not path.exists() or path.stat().st_size == 0
            draft = restore_draft(path)
            if fresh and draft.exists():
                raise ConfigError(
                    f"{path} is missing and a restore was not finished ({draft}): run caselink "
                    "restore again"
                )
            if fresh and not key_file.exists():
                create_key(key_file)
            conn = connect(path, load_key(key_file), read_only=False)
            try:
                _check(conn, path, key_file)
                conn.execute("PRAGMA journal_mode = WAL")
                conn.execute("PRAGMA synchronous = FULL")
                conn.execute("PRAGMA wal_autocheckpoint = 1000")
                conn.execute("PRAGMA journal_size_limit = 4194304")
                conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                migrate(conn, str(path))
                if conn.execute("SELECT 1 FROM epoch").fetchone() is None:
                    conn.execute("INSERT INTO epoch VALUES (1, ?)", (os.urandom(8).hex(),))
                sync_directory(path.parent)
            except BaseException:
                conn.close()
                raise
        except dbapi2.OperationalError as error:
            os.close(lock)
            raise _unopened(path, error) from error
        except BaseException:
            os.close(lock)
            raise
        return cls(path, key_file, conn, lock)

    def reader(self) -> Connection:
        """A read-only connection of its own; the caller closes it."""
        return open_reader(self.path, self.key_file)

    def close(self) -> None:
        """Move the log into the file and close."""
        self.conn.close()
        os.close(self._lock)


def restore_draft(path: Path) -> Path:
    """The file that a restore prepares before it takes the database's place."""
    return path.with_name(path.name + ".restore")


def lock_file(path: Path) -> int:
    """Take the writer's lock; ConfigError if another process holds it."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"another caselink is writing {path} (an agent that just starts or stops, or another "
            "command): try again in some seconds; if it stays, stop that one first, or name "
            "another database in [agent] data"
        ) from None
    return handle
