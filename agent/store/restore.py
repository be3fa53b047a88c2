"""Put a backup in the place of the database: verified, in a new epoch, its pools in question.

Everything is prepared in a file beside the database, which then takes its name in one step: a
power cut leaves the one or the other. What was there is kept under another name. Codes that were
printed after the backup was made must never be printed again, so every pool from which the backup
could print is in question until `settle` is told what the cloud has seen.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlcipher3 import dbapi2

from agent import clockwatch
from agent.core.errors import ConfigError, TransientError
from agent.core.facts import Restored
from agent.secret_file import sync_directory
from agent.store import archive, backup, journal, pools
from agent.store.backup import Sheet, fingerprint
from agent.store.database import Connection, connect, load_key, lock_file, restore_draft
from agent.store.migrations import migrate
from agent.store.record import record


class Done(NamedTuple):
    """What a restore did: the sheet of the backup, the new epoch and its first row, the pools in
    question by name, rows of the replaced journal that the backup lacks (-1 = not known), and
    where the replaced database is now (None = there was none)."""

    sheet: Sheet
    epoch: str
    first: int
    pools: tuple[str, ...]
    lost: int
    kept: Path | None


class Terms(NamedTuple):
    """What a person says of a restore: who, why the present journal may be replaced though it has
    more (empty: it may not), when the lines stopped for good (wall ms, 0 = not said)."""

    by: str = ""
    force: str = ""
    stopped_ms: int = 0


def restore(
    database: Path,
    key_file: Path,
    source: Path,
    terms: Terms = Terms(),
    *,
    agent: str = "",
    replay: bool = True,
) -> Done:
    """Restore a backup; the agent must not run.

    ConfigError: not a whole backup, another key or another agent's, archives are missing, the
    agent runs, or the present journal has what the backup lacks. TransientError: the disk is full
    or failed. In either case the present database is as it was.
    """
    sheet = backup.read_sheet(source)
    key = _key(key_file, sheet)
    if agent and sheet.agent != agent and not terms.force:
        raise ConfigError(
            f"{source} is of agent {sheet.agent}, this one is {agent}: take the right backup, or "
            "say with --force why this one."
        )
    database.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_file(database)
    draft = restore_draft(database)
    try:
        _have_archives(sheet, archive.folder(database), source)
        try:
            _copy(source, sheet, draft)
            found = backup.problems_of(draft, key, sheet, archive.folder(database), replay=replay)
            if found:
                raise ConfigError(
                    f"{source} is not sound, take another backup:\n" + "\n".join(found[:10])
                )
            lost = _compare(database, key, draft, terms)
            done = _begin(draft, key, sheet, terms, lost)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return done._replace(kept=_swap(draft, database, done.epoch))
    except (OSError, dbapi2.OperationalError) as error:
        raise TransientError(
            f"The backup was not restored ({error}): see that the disk of {database.parent} has "
            f"room for {sheet.bytes / 1e6:,.0f} MB more, and is healthy. What was there is as it "
            "was."
        ) from error
    finally:
        os.close(lock)


def _key(key_file: Path, sheet: Sheet) -> str:
    if not key_file.exists():
        raise ConfigError(
            f"The backup needs the key with the fingerprint {sheet.key}, and there is none at "
            f"{key_file}: put it there (mode 600), or, if it is sealed to this machine, restore by "
            "`caselink-here` (docs/install.md)."
        )
    key = load_key(key_file)
    if fingerprint(key) != sheet.key:
        raise ConfigError(
            f"The backup needs the key with the fingerprint {sheet.key}; the one in {key_file} has "
            f"{fingerprint(key)}. Put the right key there."
        )
    return key


def _have_archives(sheet: Sheet, folder: Path, source: Path) -> None:
    missing = backup.missing_archives(sheet, folder)
    if missing:
        raise ConfigError(
            f"The backup {source} goes on where these archives end, and they are not in {folder} "
            f"as they were: {', '.join(missing[:5])}. Put their copies there first."
        )


def _copy(source: Path, sheet: Sheet, draft: Path) -> None:
    """The database of a backup as a file of its own, its seal checked on the way."""
    _remove(draft)
    free = shutil.disk_usage(draft.parent).free
    if free < sheet.bytes + backup.SPARE:
        raise OSError(f"{free / 1e6:,.0f} MB are free")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        seal = backup.sealed(source, sheet.bytes, file.write)
        file.flush()
        os.fsync(file.fileno())
    if seal != sheet.seal:
        raise ConfigError(f"{source} is damaged: take another copy of it, or another backup.")


def _remove(path: Path) -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


# ------------------------------------------------------------------------- what is there already


def _compare(database: Path, key: str, draft: Path, terms: Terms) -> int:
    """How many rows the present journal has that the backup lacks, -1 if it cannot be read;
    ConfigError if that is not 0 and nobody said why it may be replaced."""
    if not database.exists() or database.stat().st_size == 0:
        return 0
    try:
        # Only reading: a file that cannot be read keeps its log.
        with _opened(database, key) as now, _opened(draft, key) as then:
            last, _, _ = journal.tail(now)
            lost = last - _common(now, then)
        with _opened(database, key, read_only=False) as now:
            if now.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise TransientError(f"Somebody reads {database}: close it, and try again.")
        what = f"has {lost:,} rows that the backup lacks (row {last - lost + 1:,} and after)"
    except (dbapi2.DatabaseError, ConfigError, KeyError, TypeError) as error:
        if isinstance(error, dbapi2.OperationalError) and "locked" in str(error):
            raise
        lost, what = -1, f"cannot be read ({error}), so nobody knows what the backup lacks"
    if lost and not terms.force:
        raise ConfigError(
            f"The present journal {database} {what}: restoring would lose that here. If it must "
            "be, say why with --force REASON; the present database is then kept beside the new "
            "one."
        )
    return lost


@contextmanager
def _opened(path: Path, key: str, *, read_only: bool = True) -> Iterator[Connection]:
    conn = connect(path, key, read_only=read_only)
    try:
        yield conn
    finally:
        conn.close()


def _common(now: Connection, then: Connection) -> int:
    """The last row that two journals share: where a hash is the same, so is all before it."""
    low, high = 0, min(journal.tail(now)[0], journal.tail(then)[0])
    while low < high:
        middle = (low + high + 1) // 2
        if journal.hash_at(now, middle) == journal.hash_at(then, middle):
            low = middle
        else:
            high = middle - 1
    return low


# ------------------------------------------------------------------------------- the new epoch


def _begin(draft: Path, key: str, sheet: Sheet, terms: Terms, lost: int) -> Done:
    """Begin a new epoch in the prepared file, with the fact that says so."""
    conn = connect(draft, key, read_only=False)
    conn.archives = archive.folder(draft)
    try:
        conn.execute("PRAGMA synchronous = FULL")
        migrate(conn, str(draft))
        asked = [
            pool
            for pool in pools.list_pools(conn)
            if pool.membership == "list" and not pool.preprinted and pool.next_position < pool.count
        ]
        epoch = os.urandom(8).hex()
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("DELETE FROM epoch WHERE first > ?", (sheet.seq,))
        conn.tail = None
        journal.begin_epoch(conn, epoch)
        fact = Restored(
            sheet.epoch,
            sheet.seq,
            sheet.made_ms,
            tuple(pool.pool for pool in asked),
            terms.stopped_ms,
            lost,
            terms.force,
            terms.by,
        )
        first = record(conn, "", [fact], clockwatch.clock())
        conn.execute("COMMIT")
    finally:
        conn.close()
    names = tuple(pool.name for pool in asked)
    return Done(sheet, epoch, first, names, lost, None)


def _swap(draft: Path, database: Path, epoch: str) -> Path | None:
    """The prepared file takes the database's name, which keeps another one."""
    owner = database.parent.stat()
    if os.geteuid() == 0:  # the agent is somebody else, and must be able to open it
        os.chown(draft, owner.st_uid, owner.st_gid)
    kept = None
    log = database.with_name(database.name + "-wal")
    if database.exists():
        kept = database.with_name(f"{database.name}.before-{epoch}")
        os.link(database, kept)
        if log.exists():  # of a database that could not be read: it belongs to it
            os.link(log, kept.with_name(kept.name + "-wal"))
        sync_directory(database.parent)
    # A log that stayed would be taken for the new file's.
    log.unlink(missing_ok=True)
    database.with_name(database.name + "-shm").unlink(missing_ok=True)
    sync_directory(database.parent)
    draft.rename(database)
    sync_directory(database.parent)
    return kept
