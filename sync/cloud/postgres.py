"""The cloud's tables in PostgreSQL (psycopg 3): any number of consumers and readers."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from psycopg import errors, sql
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format

from agent.core.errors import ConfigError, TransientError
from sync.cloud.database import Block, Duplicate, Row, Unfit
from sync.cloud.migrations import migrate
from sync.cloud.migrations.m0001_initial import COLUMNS
from sync.cloud.rows import Named

CONNECT_SECONDS = 10
GONE: dict[str, Any] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Seconds, and ms, after which a server whose machine no longer answers counts as gone; the system
would wait two hours."""
LOCK_MS = 30_000
"""How long a transaction may wait for another one's rows."""
_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        f"lock_timeout={LOCK_MS}",
        # Every question is a look-up of a few keys. Tables that grew since the last ANALYZE look
        # small to the planner, and it would read them whole: 62 ms for a trace instead of 4.
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "enable_seqscan=off",
        "max_parallel_workers_per_gather=0",
        "jit=off",
    )
)

TYPES = {
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "big": "BIGINT",
    "key": "UUID",
    "bytes": "BYTEA",
    "bare": "",
    "xid": "(pg_current_xact_id()::text::bigint)",
}
_UUID = 2950
_MIGRATE = 7_741_295
"""The advisory lock of whoever makes the tables."""

# The binary form of COPY: https://www.postgresql.org/docs/current/sql-copy.html ("Binary Format").
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_COPY = {
    table: sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    for table, columns in COLUMNS.items()
}


class _KeyDumper(Dumper):
    """16 bytes are a uuid: half an index entry smaller and quicker to compare than bytea."""

    format = Format.BINARY
    oid = _UUID

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


class _KeyLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class PostgresConnection:
    """See `database.Connection`. Bytes that are no key are given as `bytearray`."""

    def __init__(self, url: str) -> None:
        try:
            self._conn: psycopg.Connection[Row] = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                options=_OPTIONS,
                **GONE,
            )
        except psycopg.OperationalError as error:
            raise TransientError(f"PostgreSQL cannot be reached: {error}".strip()) from error
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"The database's URL is not understood: {error}".strip()) from error
        self._broken_off = False
        self._conn.adapters.register_dumper(bytes, _KeyDumper)
        self._conn.adapters.register_loader("uuid", _KeyLoader)
        self._statements: dict[str, bytes] = {}

    def _sql(self, statement: str) -> bytes:
        found = self._statements.get(statement)
        if found is None:
            if len(self._statements) > 1000:
                self._statements.clear()
            found = statement.replace("%", "%%").replace("?", "%s").encode()
            self._statements[statement] = found
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._broken_off:
            raise TransientError("PostgreSQL is asked nothing more.")
        try:
            yield
        except errors.UniqueViolation as error:
            raise Duplicate(str(error)) from error
        except psycopg.DataError as error:
            raise Unfit(str(error)) from error
        except (psycopg.OperationalError, errors.InternalError_) as error:
            raise TransientError(f"PostgreSQL did not answer: {error}".strip()) from error

    def rows(self, query: str, given: Sequence[Any] = ()) -> list[Row]:
        with self._told():
            return self._conn.execute(self._sql(query), given, binary=True).fetchall()

    def one(self, query: str, given: Sequence[Any] = ()) -> Row | None:
        with self._told():
            return self._conn.execute(self._sql(query), given, binary=True).fetchone()

    def change(self, statement: str, given: Sequence[Any] = ()) -> int:
        with self._told():
            return self._conn.execute(self._sql(statement), given).rowcount

    def change_many(self, statement: str, given: Iterable[Sequence[Any]]) -> None:
        with self._told(), self._conn.cursor() as cursor:
            cursor.executemany(self._sql(statement), given)

    def copy(self, table: str, blocks: Iterable[Block]) -> None:
        data = b"".join(_merged(blocks, _SORTED.get(table)))
        if data:
            with self._told(), self._conn.cursor() as cursor, cursor.copy(_COPY[table]) as copy:
                for part in (_BEGIN, data, _END):
                    copy.write(part)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._told(), self._conn.transaction():
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._told():
            self._conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            if not self._conn.closed:
                with self._told():
                    self._conn.execute("ROLLBACK")

    def horizon(self) -> int:
        row = self.one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        assert row is not None
        return int(row[0])

    def interrupt(self) -> None:
        # Not by a request to cancel: a server that is gone, or stands still, heeds none.
        self._broken_off = True
        try:
            with socket.socket(fileno=os.dup(self._conn.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
        except (psycopg.OperationalError, OSError):
            pass  # it has ended

    def close(self) -> None:
        self._conn.close()


class Postgres:
    """See `database.Database`."""

    several = True
    lock = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self, ingest: bool = False) -> PostgresConnection:
        return PostgresConnection(self.url)

    def pack(self, table: str, rows: Sequence[Any]) -> Block:
        return _PACK[table](rows) if rows else []

    def placed(self, events: Block, stream: int) -> Block:
        for part in events:
            part["stream"] = stream
        return events

    def migrate(self) -> None:
        conn = self.connect()
        try:
            conn.rows("SELECT pg_advisory_lock(?)::text", (_MIGRATE,))
            migrate(conn, TYPES, "The database")
        finally:
            conn.close()  # which ends the advisory lock

    def close(self) -> None:
        pass


# ------------------------------------------------------------------------- rows as COPY reads them
#
# Rows of one width are an array. All that a transaction writes is put in the order of the keys
# first: neighbours share a page of the index, which is then found, locked and logged once. With a
# million bottles in the table, 60,000 in order take the server 4 us each, 8 times 8,000 in order
# take 7, and as they come 10.

_Array = np.ndarray[Any, np.dtype[np.void]]
_SIXTEEN = b"\0\0\0\x10"


def _number(value: int) -> bytes:
    return b"\0\0\0\x08" + value.to_bytes(8, "big", signed=True)


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _head(table: str) -> bytes:
    return len(COLUMNS[table]).to_bytes(2, "big")


def _merged(blocks: Iterable[Sequence[_Array | bytes]], key: str | None) -> Iterator[bytes]:
    """Rows of several blocks as COPY reads them, those of arrays in the order of a key."""
    arrays: dict[np.dtype[np.void], list[bytes]] = {}
    for block in blocks:
        for part in block:
            if isinstance(part, bytes):
                yield part
            else:
                arrays.setdefault(part.dtype, []).append(part.tobytes())
    for kind, some in arrays.items():
        data = b"".join(some)  # np.concatenate would turn its numbers round
        if key is None:
            yield data
        else:
            rows = np.frombuffer(data, kind)
            firsts = np.ascontiguousarray(rows[key]).view(">u8")[::2]
            yield rows[np.argsort(firsts.astype("u8"))].tobytes()


def _laid(table: str, many: int, **columns: str) -> _Array:
    """So many rows of a table, their columns of these types to be filled in."""
    parts = [("head", "V2")]
    for column, kind in columns.items():
        parts += [(f"size of {column}", ">i4"), (column, kind)]
    found = np.empty(many, np.dtype(parts))
    found["head"] = np.void(_head(table))
    for column, kind in columns.items():
        found[f"size of {column}"] = np.dtype(kind).itemsize
    return found


def _fill(found: _Array, column: str, values: bytes) -> None:
    """Values that lie side by side into a column of theirs."""
    if values:
        found[column] = np.frombuffer(values, found.dtype[column])


def _fill_named(found: _Array, column: str, named: Sequence[Named]) -> None:
    """Keys and events."""
    _fill(found, column, b"".join([b"".join(each.keys) for each in named]))
    found["event"] = np.repeat([each.event for each in named], [len(each.keys) for each in named])


def _many(named: Iterable[Named]) -> int:
    return sum(len(each.keys) for each in named)


def _pairs(table: str) -> Callable[[Sequence[Named]], list[_Array]]:
    """Rows of a key and an event."""
    key = COLUMNS[table][0]

    def pack(named: Sequence[Named]) -> list[_Array]:
        found = _laid(table, _many(named), **{key: "V16"}, event=">i8")
        _fill_named(found, key, named)
        return [found]

    return pack


def _units(named: Sequence[Named]) -> list[_Array]:
    """An array for each length of text."""
    by_size: dict[int, list[tuple[Named, bytes]]] = {}
    for each in named:
        for some, text in _of_one_size(each):
            by_size.setdefault(len(text) // len(some.keys), []).append((some, text))
    found = []
    for size, parts in by_size.items():
        some_named = [each for each, _ in parts]
        rows = _laid("unit", _many(some_named), key="V16", text=f"V{size}", event=">i8")
        _fill_named(rows, "key", some_named)
        _fill(rows, "text", b"".join([text for _, text in parts]))
        found.append(rows)
    return found


def _of_one_size(named: Named) -> list[tuple[Named, bytes]]:
    """The things with their texts side by side, those together whose texts have as many bytes."""
    event, keys, texts = named
    text = "".join(texts).encode()
    sizes = set(map(len, texts))
    if len(sizes) == 1 and len(text) == len(texts) * sizes.pop():
        return [(named, text)]
    return [(Named(event, [key]), text.encode()) for key, text in zip(keys, texts, strict=True)]


def _aliases(rows: Sequence[Row]) -> list[_Array]:
    """An array for each length of text, role and pair."""
    by_sizes: dict[tuple[int, int, int], list[tuple[bytes, ...]]] = {}
    for key, unit, text, role, pair, event in rows:
        words = text.encode(), role.encode(), pair.encode()
        sizes = len(words[0]), len(words[1]), len(words[2])
        by_sizes.setdefault(sizes, []).append((key, unit, *words, event.to_bytes(8, "big")))
    found = []
    for sizes, some in by_sizes.items():
        kinds = dict(zip(("text", "role", "pair"), (f"V{size}" for size in sizes), strict=True))
        laid = _laid("alias", len(some), key="V16", unit="V16", **kinds, event="V8")
        for column, values in zip(COLUMNS["alias"], zip(*some, strict=True), strict=True):
            _fill(laid, column, b"".join(values))
        found.append(laid)
    return found


def _events(rows: Sequence[Row]) -> list[_Array]:
    """Without the stream."""
    found = _laid(
        "event",
        len(rows),
        id=">i8",
        stream=">i8",
        seq=">i8",
        n=">i4",
        part=">i4",
        uuid="V16",
        ms=">i8",
        detail="V16",
    )
    given = [column for column in COLUMNS["event"] if column != "stream"]
    for column, values in zip(given, zip(*rows, strict=True), strict=True):
        if column in ("uuid", "detail"):
            _fill(found, column, b"".join(values))
        else:
            found[column] = values
    return [found]


def _boxes(rows: Sequence[Row]) -> list[bytes]:
    head = _head("box")
    return [
        b"".join((head, _number(event), _SIXTEEN, parent, _bytes(text.encode()), _bytes(children)))
        for event, parent, text, children in rows
    ]


_PACK: dict[str, Callable[[Sequence[Any]], Sequence[_Array | bytes]]] = {
    "event": _events,
    "unit": _units,
    "alias": _aliases,
    "link": _pairs("link"),
    "movement": _pairs("movement"),
    "box": _boxes,
}
_SORTED = {"unit": "key", "alias": "key", "link": "child", "movement": "key"}
"""By which key the rows of a table are put in order."""
