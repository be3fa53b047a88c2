"""The cloud's tables in one SQLite file: one consumer, any number of readers."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
from sqlcipher3 import dbapi2

from agent.core.errors import ConfigError, TransientError
from sync.cloud.database import Block, Duplicate, Row
from sync.cloud.migrations import migrate
from sync.cloud.migrations.m0001_initial import COLUMNS
from sync.cloud.rows import Named, each_key, each_text

BUSY_SECONDS = 10.0
CACHE_KB = 8_192
INGEST_CACHE_KB = 65_536
"""Of a connection, and of the one that takes batches in. With four times as much a drain takes as
long: the system has the file."""
CHECKPOINT_PAGES = 16_384
"""64 MB: random keys touch many pages, and each is then written to the file once, not often."""

APPLICATION_ID = 0x63736C63  # "cslc"
TYPES = {
    "serial": "INTEGER PRIMARY KEY",
    "big": "INTEGER",
    "key": "BLOB",
    "bytes": "BLOB",
    "bare": "WITHOUT ROWID",
    "xid": "0",
}


class SqliteConnection:
    """See `database.Connection`."""

    def __init__(self, path: Path, cache_kb: int = CACHE_KB) -> None:
        self._path = path
        self._broken_off = False
        try:
            self._conn = dbapi2.connect(
                str(path),
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except dbapi2.OperationalError as error:
            raise TransientError(f"The database {path} cannot be opened: {error}.") from error
        self.change(f"PRAGMA cache_size = -{cache_kb}")
        self.change("PRAGMA synchronous = FULL")
        self.change(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.change("PRAGMA journal_size_limit = 134217728")

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._broken_off:
            raise TransientError(f"The database {self._path} is asked nothing more.")
        try:
            yield
        except dbapi2.IntegrityError as error:
            raise Duplicate(str(error)) from error
        except dbapi2.OperationalError as error:
            raise TransientError(f"The database {self._path} did not answer: {error}.") from error
        except dbapi2.ProgrammingError:
            raise  # a mistake of ours
        except dbapi2.DatabaseError as error:
            raise ConfigError(
                f"{self._path} is not the cloud's database, or it is damaged ({error}): name "
                "another file, or restore a backup."
            ) from error

    def rows(self, query: str, given: Sequence[Any] = ()) -> list[Row]:
        with self._told():
            return list(self._conn.execute(query, given).fetchall())

    def one(self, query: str, given: Sequence[Any] = ()) -> Row | None:
        with self._told():
            cursor = self._conn.execute(query, given)
            row: Row | None = cursor.fetchone()
            cursor.close()
            return row

    def change(self, statement: str, given: Sequence[Any] = ()) -> int:
        with self._told():
            return int(self._conn.execute(statement, given).rowcount)

    def change_many(self, statement: str, given: Iterable[Sequence[Any]]) -> None:
        with self._told():
            self._conn.executemany(statement, given)

    def copy(self, table: str, blocks: Iterable[Block]) -> None:
        for block in blocks:
            for statement, given in block:
                self.change(statement, given)

    @contextmanager
    def writing(self) -> Iterator[None]:
        self.change("BEGIN IMMEDIATE")
        try:
            yield
            self.change("COMMIT")
        except BaseException:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.change("BEGIN")
        try:
            yield
        finally:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")

    def horizon(self) -> int:
        return 1  # one writer: what can be seen is all there is

    def interrupt(self) -> None:
        self._broken_off = True
        with suppress(dbapi2.ProgrammingError):  # it is closed
            self._conn.interrupt()

    def close(self) -> None:
        self._conn.close()


class Sqlite:
    """See `database.Database`."""

    several = False
    lock = ""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def connect(self, ingest: bool = False) -> SqliteConnection:
        return SqliteConnection(self.path, INGEST_CACHE_KB if ingest else CACHE_KB)

    def pack(self, table: str, rows: Sequence[Any]) -> Block:
        return _PACK[table](rows)

    def placed(self, events: Block, stream: int) -> Block:
        return [(statement, (*given, stream)) for statement, given in events]

    def migrate(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The folder {self.path.parent} cannot be made ({error.strerror}): make it, or "
                "name another file."
            ) from error
        conn = self.connect()
        try:
            application = conn.one("PRAGMA application_id")
            tables = conn.one("SELECT count(*) FROM sqlite_master")
            if tables != (0,) and application != (APPLICATION_ID,):
                raise ConfigError(
                    f"{self.path} is a database of another program: name another file."
                )
            conn.rows("PRAGMA journal_mode = WAL")
            conn.change(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(conn, TYPES, str(self.path))
        finally:
            conn.close()
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)  # else the new file may be gone after a power cut
        finally:
            os.close(handle)

    def close(self) -> None:
        pass


@contextmanager
def only_consumer(path: Path) -> Iterator[None]:
    """Nobody else consumes into this file meanwhile; ConfigError if somebody does."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(
            f"Another consumer writes {path}: stop it first. Several at once need PostgreSQL."
        ) from None
    finally:
        os.close(handle)


# --------------------------------------------------------------------- many rows in one statement
#
# A statement for each row costs twice as much, and gives up the interpreter's lock and waits for it
# each time. One statement reads its rows from an array of JSON and from keys that lie side by side:
# https://sqlite.org/json1.html#jeach. In the order of their keys, neighbours share a page.

_Statements = list[tuple[str, tuple[Any, ...]]]
_FIRST = itemgetter(0)
_KEY = "substr(?2, 1 + 16 * key, 16)"


def _numbers(events: Iterable[int]) -> bytes:
    """Numbers side by side, each of 20 digits: all that SQLite has."""
    return b"".join([b"%020d" % event for event in events])


def _pairs(table: str) -> Callable[[Sequence[Named]], _Statements]:
    """Rows of a key and an event."""
    statement = f"INSERT INTO {table} SELECT {_KEY}, value FROM json_each(?1)"

    def pack(named: Sequence[Named]) -> _Statements:
        rows = sorted(each_key(named))
        if not rows:
            return []
        keys, events = zip(*rows, strict=True)
        return [(statement, (orjson.dumps(events).decode(), b"".join(keys)))]

    return pack


def _units(named: Sequence[Named]) -> _Statements:
    rows = sorted(each_text(named), key=_FIRST)
    if not rows:
        return []
    keys, texts, events = zip(*rows, strict=True)
    return [
        (
            f"INSERT INTO unit SELECT {_KEY}, value, "
            "CAST(substr(?3, 1 + 20 * key, 20) AS INTEGER) FROM json_each(?1)",
            (orjson.dumps(texts).decode(), b"".join(keys), _numbers(events)),
        )
    ]


def _aliases(rows: Sequence[Row]) -> _Statements:
    """One statement for all that have a role and a pair in common: there are few of these."""
    common = itemgetter(3, 4)
    found = []
    for (role, pair), some in groupby(sorted(rows, key=itemgetter(3, 4, 0)), common):
        keys, units, texts, _, _, events = zip(*some, strict=True)
        found.append(
            (
                f"INSERT INTO alias SELECT {_KEY}, substr(?3, 1 + 16 * key, 16), value, ?5, ?6, "
                "CAST(substr(?4, 1 + 20 * key, 20) AS INTEGER) FROM json_each(?1)",
                (
                    orjson.dumps(texts).decode(),
                    b"".join(keys),
                    b"".join(units),
                    _numbers(events),
                    role,
                    pair,
                ),
            )
        )
    return found


def _each(table: str, keys: set[str]) -> Callable[[Sequence[Row]], _Statements]:
    """Rows of any columns; `keys` are those of bytes, a stream comes later. For the few of a case,
    not of a bottle."""
    given = iter(range(len(COLUMNS[table])))
    values = [
        "?2"
        if column == "stream"
        else f"unhex(value ->> {next(given)})"
        if column in keys
        else f"value ->> {next(given)}"
        for column in COLUMNS[table]
    ]
    statement = f"INSERT INTO {table} SELECT {', '.join(values)} FROM json_each(?1)"

    def pack(rows: Sequence[Row]) -> _Statements:
        return [(statement, (orjson.dumps(rows, default=bytes.hex).decode(),))] if rows else []

    return pack


_PACK: dict[str, Callable[[Sequence[Any]], _Statements]] = {
    "event": _each("event", {"uuid", "detail"}),
    "unit": _units,
    "alias": _aliases,
    "link": _pairs("link"),
    "movement": _pairs("movement"),
    "box": _each("box", {"parent", "children"}),
}
