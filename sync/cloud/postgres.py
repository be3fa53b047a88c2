"""The cloud's tables in PostgreSQL (psycopg 3): any number of consumers and readers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format

from agent.core.errors import ConfigError, TransientError
from sync.cloud.database import Block, Duplicate, Row, Unfit
from sync.cloud.migrations import migrate
from sync.cloud.migrations.m0001_initial import COLUMNS

CONNECT_SECONDS = 10
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
            )
        except psycopg.OperationalError as error:
            raise TransientError(f"PostgreSQL cannot be reached: {error}".strip()) from error
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"The database's URL is not understood: {error}".strip()) from error
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

    def copy(self, table: str, block: Block) -> None:
        if block:
            with self._told(), self._conn.cursor() as cursor, cursor.copy(_COPY[table]) as copy:
                copy.write(block)

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

    def pack(self, table: str, rows: Iterable[Row]) -> Block:
        parts = _PACK[table](rows)
        return b"".join((_BEGIN, *parts, _END)) if parts else b""

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

_LENGTHS = [many.to_bytes(4, "big") for many in range(4096)]
_EIGHT, _SIXTEEN = b"\0\0\0\x08", b"\0\0\0\x10"


def _number(value: int) -> bytes:
    return _EIGHT + value.to_bytes(8, "big", signed=True)


def _small(value: int) -> bytes:
    return b"\0\0\0\x04" + value.to_bytes(4, "big", signed=True)


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _head(table: str) -> bytes:
    return len(COLUMNS[table]).to_bytes(2, "big")


def _pairs(table: str) -> Callable[[Iterable[Row]], list[bytes]]:
    """Rows of a key and an event."""
    head = _head(table) + _SIXTEEN

    def pack(rows: Iterable[Row]) -> list[bytes]:
        return [head + key + _EIGHT + event.to_bytes(8, "big") for key, event in rows]

    return pack


def _units(rows: Iterable[Row]) -> list[bytes]:
    head = _head("unit") + _SIXTEEN
    found = []
    for key, text, event in rows:
        data = text.encode()
        size = len(data)
        found.append(
            b"%b%b%b%b%b%b" % (head, key, _LENGTHS[size], data, _EIGHT, event.to_bytes(8, "big"))
        )
    return found


def _aliases(rows: Iterable[Row]) -> list[bytes]:
    head = _head("alias") + _SIXTEEN
    return [
        b"".join(
            (
                head,
                key,
                _SIXTEEN,
                unit,
                _bytes(text.encode()),
                _bytes(role.encode()),
                _bytes(pair.encode()),
                _number(event),
            )
        )
        for key, unit, text, role, pair, event in rows
    ]


def _events(rows: Iterable[Row]) -> list[bytes]:
    head = _head("event")
    return [
        b"".join(
            (
                head,
                _number(at),
                _number(stream),
                _number(seq),
                _small(n),
                _small(part),
                _SIXTEEN,
                uuid,
                _number(ms),
                _SIXTEEN,
                detail,
            )
        )
        for at, stream, seq, n, part, uuid, ms, detail in rows
    ]


def _boxes(rows: Iterable[Row]) -> list[bytes]:
    head = _head("box")
    return [
        b"".join((head, _number(event), _SIXTEEN, parent, _bytes(text.encode()), _bytes(children)))
        for event, parent, text, children in rows
    ]


_PACK: dict[str, Callable[[Iterable[Row]], list[bytes]]] = {
    "event": _events,
    "unit": _units,
    "alias": _aliases,
    "link": _pairs("link"),
    "movement": _pairs("movement"),
    "box": _boxes,
}
