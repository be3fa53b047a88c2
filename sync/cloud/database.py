"""What the consumer needs of a database, and which one a URL names.

Two back ends keep the same tables: SQLite for one consumer on one machine, PostgreSQL for several
consumers at once. SQL is written once, with `?` for values; keys, hashes and ids of 16 bytes are
`bytes` on both.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from agent.core.errors import ConfigError

Row = tuple[Any, ...]
Block = Any
"""Rows of one table in the form that a back end writes fastest."""

ID_BLOCK = 1 << 20
"""Event ids that a consumer reserves at once; they need not be gapless."""


class Duplicate(Exception):
    """A row was written whose key exists; the transaction is over."""


class Unfit(Exception):
    """The database cannot hold a value; the transaction is over, and would be again."""


class Connection(Protocol):
    """One connection, for one thread at a time. TransientError: the database did not answer, the
    transaction is undone and may be tried again."""

    def rows(self, query: str, given: Sequence[Any] = ()) -> list[Row]:
        """All rows that a query finds."""

    def one(self, query: str, given: Sequence[Any] = ()) -> Row | None:
        """The row of a query that finds at most one."""

    def change(self, statement: str, given: Sequence[Any] = ()) -> int:
        """Carry out a statement; how many rows it changed."""

    def change_many(self, statement: str, given: Iterable[Sequence[Any]]) -> None:
        """Carry out a statement for each row of values."""

    def copy(self, table: str, blocks: Iterable[Block]) -> None:
        """Write packed rows, the fastest way there is. Duplicate: one of their keys exists."""

    def writing(self) -> AbstractContextManager[None]:
        """A transaction that writes: durable when it ends, undone when it fails."""

    def reading(self) -> AbstractContextManager[None]:
        """A transaction that sees one state of all tables."""

    def horizon(self) -> int:
        """Everything that was written by a transaction below this number can be seen, and nothing
        more will come below it."""

    def interrupt(self) -> None:
        """Break off what another thread has under way, and let it ask nothing more: both end in
        TransientError, however long the database would have taken."""

    def close(self) -> None:
        """Give it back."""


class Database(Protocol):
    """Where the tables are. `several`: whether more than one consumer may write at once; `lock`
    ends a SELECT that keeps a row for this transaction."""

    several: bool
    lock: str

    def connect(self, ingest: bool = False) -> Connection:
        """A connection of its own; `ingest`: it takes batches in, and may have more memory.
        TransientError when it cannot be had now."""

    def pack(self, table: str, rows: Sequence[Any]) -> Block:
        """Rows of a table as `sync.cloud.rows.Rows` has them, ready for `Connection.copy`; events
        have no stream yet. Pure; for any thread."""

    def placed(self, events: Block, stream: int) -> Block:
        """Packed events, of this stream."""

    def migrate(self) -> None:
        """Make the tables, or bring them up to this program. ConfigError: they are newer."""

    def close(self) -> None:
        """Nobody needs it any more."""


def open_database(url: str) -> Database:
    """The database that `sqlite:///path` or `postgresql://...` names, its tables made.

    ConfigError: it is none of ours or cannot be used; TransientError: it does not answer now.
    """
    database: Database
    if url.startswith("sqlite:///"):
        from sync.cloud.sqlite import Sqlite

        database = Sqlite(url.removeprefix("sqlite:///"))
    elif url.startswith(("postgresql://", "postgres://")):
        try:
            from sync.cloud.postgres import Postgres
        except ImportError as error:
            raise ConfigError(
                f"PostgreSQL needs a library that is not installed ({error}): run "
                "pip install 'caselink[cloud]', or name a SQLite file."
            ) from error
        database = Postgres(url)
    else:
        raise ConfigError(
            f"{url.partition(':')[0]}: is no database of ours: write sqlite:///path/to/file or "
            "postgresql://user@host/name."
        )
    try:
        database.migrate()
    except BaseException:
        database.close()
        raise
    return database


def reserve(conn: Connection, many: int = ID_BLOCK) -> int:
    """The first of `many` event ids that nobody else will use."""
    with conn.writing():
        row = conn.one(
            "UPDATE counter SET next = next + ? WHERE name = 'event' RETURNING next", (many,)
        )
    assert row is not None
    return int(row[0]) - many


def marks(many: int) -> str:
    """`?, ?, ?` for so many values."""
    return ", ".join("?" * many)
