"""Old acknowledged journal rows move to sealed files beside the database, and are read from there.

A file holds consecutive rows, encrypted with the database's key, with the names and epochs it
needs. It is written, made durable and verified before it is listed, and listed before a row is
deleted: whatever is cut short, each row stands somewhere, and the next run goes on. The newest row
always stays, and no row that the cloud has not acknowledged ever moves.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import NamedTuple

from sqlcipher3 import dbapi2

from agent.core.errors import ConfigError, TransientError
from agent.now import wall_ms
from agent.secret_file import sync_directory
from agent.store import journal, outbox
from agent.store.database import APPLICATION_ID, Connection, load_key
from agent.store.database import connect as connect_file
from agent.store.pool_import import Jobs, next_step

LEAST_ROWS = 50_000
"""Fewer rows are not worth a file."""
MOST_ROWS = 2_000_000
CHUNK = 2_000
"""Rows that are copied at a time."""
REST = 0.002
"""Seconds between two chunks: a line may be running."""
DAY_MS = 86_400_000

_SCHEMA = (
    "CREATE TABLE epoch (first INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL,
        clock INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL,
        body TEXT NOT NULL, hash BLOB NOT NULL)""",
)

View = Callable[[], AbstractContextManager[Connection]]
"""Gives a connection that sees one state, for a short time."""


class Archive(NamedTuple):
    """A file of rows `first` to `last`; `hash` is the chain's at `last`, `seal` the file's."""

    first: int
    last: int
    file: str
    hash: bytes
    seal: bytes
    bytes: int
    made_ms: int


def folder(database: Path) -> Path:
    """Where the archives of a database are."""
    return database.parent / "archive"


def listed(conn: Connection) -> list[Archive]:
    """The archives, oldest first."""
    rows = conn.execute(
        "SELECT first, last, file, hash, seal, bytes, made_ms FROM archive ORDER BY first"
    ).fetchall()
    return [Archive._make(row) for row in rows]


def seal_of(path: Path) -> bytes:
    """BLAKE2b-256 of a file; OSError if it cannot be read."""
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def problems(conn: Connection) -> list[str]:
    """What is wrong with the archives as files; their rows are the journal's."""
    found = []
    for each in listed(conn):
        path = None if conn.archives is None else conn.archives / each.file
        try:
            if path is None or seal_of(path) != each.seal:
                found.append(f"archive {each.file} is not as it was sealed: put its copy back")
        except OSError as error:
            found.append(f"archive {each.file} cannot be read ({error.strerror}): put it back")
    return found


def move(
    run: Jobs,
    view: View,
    database: Path,
    key_file: Path,
    days: int,
    *,
    least: int = LEAST_ROWS,
    most: int = MOST_ROWS,
    stop: Event | None = None,
) -> int:
    """Move what is acknowledged and older than `days` days; how many rows moved.

    Blocking, for a thread: the file is written beside the line's work, and rows are deleted by
    short jobs. TransientError: the disk is full or failed, or `stop` was set; nothing is lost.
    """
    stop = stop or Event()
    _delete(run, view, folder(database), stop)
    first, last = _range(view, days, most)
    if last - first + 1 < max(1, least):
        return 0
    where = folder(database)
    try:
        where.mkdir(mode=0o700, exist_ok=True)
        sync_directory(where.parent)
        made = _write(view, where, load_key(key_file), first, last, stop)
    except (OSError, dbapi2.OperationalError) as error:
        raise TransientError(
            f"Old rows were not archived ({error}): they stay in the database, and nothing is "
            f"lost. See that the disk of {where} has room."
        ) from error
    run(lambda conn: _list(conn, made))
    _delete(run, view, where, stop)
    return last - first + 1


def _range(view: View, days: int, most: int) -> tuple[int, int]:
    """The rows that may move: acknowledged, old, and not the newest."""
    with view() as conn:
        (moved,) = conn.execute("SELECT coalesce(max(last), 0) FROM archive").fetchone()
        (newest,) = conn.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
        last = min(outbox.acked(conn).seq, newest - 1, moved + most)
        young = conn.execute(
            "SELECT seq FROM journal WHERE seq BETWEEN ? AND ? AND wall_ms > ? "
            "ORDER BY seq LIMIT 1",
            (moved + 1, last, wall_ms() - days * DAY_MS),
        ).fetchone()
    return moved + 1, last if young is None else young[0] - 1


def _write(view: View, where: Path, key: str, first: int, last: int, stop: Event) -> Archive:
    """A durable, verified file of these rows, under its name."""
    draft = where / "journal.part"
    for end in ("", "-journal", "-wal", "-shm"):
        (where / (draft.name + end)).unlink(missing_ok=True)
    with view() as conn:
        (size,) = conn.execute(
            "SELECT sum(length(body)) + 64 * count(*) FROM journal WHERE seq BETWEEN ? AND ?",
            (first, last),
        ).fetchone()
        before = journal.hash_at(conn, first - 1)
        chain = journal.hash_at(conn, last)
    if shutil.disk_usage(where).free < 2 * size:
        raise OSError(f"{2 * size / 1e6:,.0f} MB are needed")
    copy = connect_file(draft, key, read_only=False)
    try:
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        copy.execute("BEGIN")
        for statement in _SCHEMA:
            copy.execute(statement)
        with view() as conn:
            for table in ("epoch", "name"):
                rows = conn.execute(f"SELECT * FROM {table}").fetchall()
                copy.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
        at = first
        while at <= last:
            with view() as conn:
                rows = conn.execute(
                    "SELECT * FROM journal WHERE seq BETWEEN ? AND ? ORDER BY seq",
                    (at, min(last, at + CHUNK - 1)),
                ).fetchall()
            copy.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            at += CHUNK
            _rest(stop)
        copy.execute("COMMIT")
    finally:
        copy.close()
    handle = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # verify what is on the disk
    finally:
        os.close(handle)
    if before is None or chain is None or not _sound(draft, key, first, last, before, chain):
        raise ConfigError(
            f"Rows {first} to {last} did not reach {draft} as they are: run caselink db verify."
        )
    name = f"journal-{first:012d}-{last:012d}-{chain.hex()[:8]}.db"
    made = Archive(first, last, name, chain, seal_of(draft), draft.stat().st_size, wall_ms())
    draft.chmod(0o400)
    draft.rename(where / name)
    sync_directory(where)
    return made


def _sound(path: Path, key: str, first: int, last: int, before: bytes, chain: bytes) -> bool:
    """Whether a file holds exactly these rows, each with the hash that the one before it asks."""
    conn = connect_file(path, key, read_only=True)
    conn.archives = None
    try:
        expected = first
        for row in journal.rows(conn, first, last + 1):
            if row.seq != expected or row.hash != row.seal(before):
                return False
            before = row.hash
            expected += 1
    finally:
        conn.close()
    return expected == last + 1 and before == chain


def _list(conn: Connection, made: Archive) -> None:
    conn.execute("INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?, ?)", made)


def _delete(run: Jobs, view: View, where: Path, stop: Event) -> None:
    """Delete the rows that stand in archives, in short steps; what an earlier run left too."""
    with view() as conn:
        archives = listed(conn)
        (oldest,) = conn.execute("SELECT coalesce(min(seq), 0) FROM journal").fetchone()
    if not archives or oldest > archives[-1].last:
        return
    for each in archives:
        if each.last < oldest:
            continue
        try:
            sound = seal_of(where / each.file) == each.seal
        except OSError:
            sound = False
        if not sound:
            raise ConfigError(
                f"The archive {where / each.file} is not as it was sealed: its rows stay in the "
                "database. Put its copy back."
            )
        number = CHUNK // 20
        while oldest <= each.last:
            upto = min(each.last, oldest + number - 1)
            began = time.perf_counter()
            run(lambda conn, upto=upto: conn.change("DELETE FROM journal WHERE seq <= ?", (upto,)))  # type: ignore[misc]
            number = next_step(number, time.perf_counter() - began)
            oldest = upto + 1
            _rest(stop)


def _rest(stop: Event) -> None:
    if stop.wait(REST):
        raise TransientError("Archiving was told to end: it goes on at the next start.")
