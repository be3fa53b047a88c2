"""A copy of the database as one file that can be carried away, verified after it was written.

The file is the database as of one moment, encrypted with the same key, and after it a sheet in
clear: 4096 bytes of JSON that say what it is, which key opens it (its fingerprint), and seal the
rest with BLAKE2b-256. It is written beside its name and appears under it when it is durable and
verified; a copy that was cut short is written anew.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec
from sqlcipher3 import dbapi2

from agent.core.errors import ConfigError, TransientError
from agent.now import wall_ms
from agent.secret_file import sync_directory
from agent.store import archive, journal
from agent.store.database import Connection, connect, load_key, open_reader
from agent.store.verify import verify

SHEET = 4096
"""Bytes of the sheet at the end of the file."""
MAGIC = "caselink backup 1"
STEP_PAGES = 512
"""Pages that are copied at a time; between two steps others get the disk."""
REST = 0.002
"""Seconds between two steps."""
CHUNK = 1 << 20
SPARE = 64 << 20
"""Bytes that must stay free beside a backup: the line may be writing to the same disk."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself. `key` is the fingerprint of the key that opens it, `bytes` the
    size of the database in it and `seal` its BLAKE2b-256, `archives` the files that hold older
    rows: (name, BLAKE2b-256), which are not in it."""

    magic: str = MAGIC
    agent: str
    key: str
    epoch: str
    seq: int
    hash: str
    made_ms: int
    bytes: int
    seal: str = ""
    archives: list[tuple[str, str]] = []


def fingerprint(key: str) -> str:
    """What names a key without telling it."""
    return blake2b(bytes.fromhex(key), digest_size=8, person=b"caselink key").hexdigest()


def step_back() -> None:
    """Let this process work only when others do not: a line comes first."""
    os.nice(10)


def backup(
    database: Path,
    key_file: Path,
    target: Path,
    agent: str,
    *,
    replay: bool = True,
    rest: float = REST,
) -> Sheet:
    """Write a backup of a database that may be in use; what its sheet says.

    `replay`: also check the tables against the journal, which takes longest. ConfigError: the
    target exists, or what was written is not sound (nothing is left then). TransientError: it could
    not be written.
    """
    if target.exists():
        raise ConfigError(f"{target} exists: a backup overwrites nothing; name a new file.")
    draft = target.with_name(target.name + ".part")
    key = load_key(key_file)
    source = open_reader(database, key_file)
    try:
        _need_room(target.parent, database)
        with _draft(draft) as handle:
            try:
                sheet = _write(source, key, draft, handle, agent, rest)
                where = archive.folder(database)
                _refuse(problems_of(draft, key, sheet, where, replay=replay))
                sheet = _sign(sheet, draft, handle)
                _publish(draft, target)
            except BaseException:
                for name in (draft, *_beside(draft)):
                    name.unlink(missing_ok=True)
                raise
    except (OSError, dbapi2.OperationalError) as error:
        raise TransientError(
            f"The backup {target} was not written ({error}): nothing is left of it, and the agent "
            "is as it was. See that the disk has room and can be written, or name another folder."
        ) from error
    finally:
        source.close()
    return sheet


def _need_room(folder: Path, database: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}: make it, or name another.")
    needed = database.stat().st_size + SHEET + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TransientError(
            f"The disk of {folder} is too full for the backup: it needs {_mb(needed)}, "
            f"{_mb(free)} are free. Remove older backups there, or name a folder on another disk. "
            "The agent is as it was."
        )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


@contextmanager
def _draft(path: Path) -> Iterator[int]:
    """The file to write, empty and ours alone; what an earlier one left is written over."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"Another backup is being written to {path}: wait for it.") from None
        os.ftruncate(handle, 0)
        for name in _beside(path):
            name.unlink(missing_ok=True)
        yield handle
    finally:
        os.close(handle)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm")]


def _write(
    source: Connection, key: str, draft: Path, handle: int, agent: str, rest: float
) -> Sheet:
    """Copy one state of the database, make it durable, and append its sheet."""
    source.execute("BEGIN")
    seq, chain, _ = journal.tail(source)
    epoch = journal.epoch_of(source, seq)
    archives = [(each.file, each.seal.hex()) for each in archive.listed(source)]
    made = wall_ms()
    copy = connect(draft, key, read_only=False)
    try:
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA cache_size = -8000")
        # The read transaction that is open holds one state: no write of the agent's starts the
        # copy anew.
        source.backup(copy, pages=STEP_PAGES, sleep=rest, progress=lambda *_: time.sleep(rest))
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
        source.execute("ROLLBACK")
    os.fsync(handle)
    # What is verified and sealed is what is on the disk, not what is still in memory.
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    return Sheet(
        agent=agent,
        key=fingerprint(key),
        epoch=epoch,
        seq=seq,
        hash=chain.hex(),
        made_ms=made,
        bytes=os.fstat(handle).st_size,
        archives=archives,
    )


def _sign(sheet: Sheet, draft: Path, handle: int) -> Sheet:
    """Append the sheet, with the seal of what stands before it."""
    sheet = msgspec.structs.replace(sheet, seal=sealed(draft, sheet.bytes))
    body = msgspec.json.encode(sheet)
    if len(body) > SHEET:
        raise ConfigError(
            f"{len(sheet.archives)} archives are more than one backup can name: keep fewer days "
            "less often, or more in the database (keep_days)."
        )
    os.pwrite(handle, body.ljust(SHEET), sheet.bytes)
    os.fsync(handle)
    if read_sheet(draft) != sheet:
        raise ConfigError(f"{draft} does not read as it was written: do not trust this disk.")
    return sheet


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError(
            "The copy is not sound and was removed; is the database itself? Run caselink db "
            "verify.\n" + "\n".join(problems[:10])
        )


def sealed(path: Path, size: int, to: Callable[[bytes], object] | None = None) -> str:
    """BLAKE2b-256 of the first `size` bytes of a file; each piece is handed to `to`."""
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        left = size
        while left and (piece := file.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
            if to is not None:
                to(piece)
    return digest.hexdigest()


def read_sheet(path: Path) -> Sheet:
    """The sheet of a backup; ConfigError if the file is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - SHEET))
            body = file.read(SHEET)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name a backup.") from error
    try:
        sheet = msgspec.json.decode(body.strip(), type=Sheet)
    except (msgspec.DecodeError, UnicodeDecodeError):
        sheet = None
    if sheet is None or sheet.magic != MAGIC or sheet.bytes + SHEET != size:
        raise ConfigError(
            f"{path} is not a whole backup of caselink: take another copy of it, or another backup."
        )
    return sheet


def problems_of(path: Path, key: str, sheet: Sheet, archives: Path, *, replay: bool) -> list[str]:
    """What is wrong with the database of a backup: its pages, its rules, its journal's chain up to
    the row that the sheet names and, with `replay`, its tables."""
    try:
        conn = connect(path, key, read_only=True)
        conn.archives = archives
        try:
            problems = [str(row) for (row,) in conn.execute("PRAGMA cipher_integrity_check")]
            if not problems:
                found = [str(row) for (row,) in conn.execute("PRAGMA integrity_check(10)")]
                problems = [] if found == ["ok"] else found
            if problems:
                return problems
            report = verify(conn, path.parent, replay=replay)
            end = report.rows, report.last_hash
            if report.ok and end != (sheet.seq, sheet.hash):
                return [f"it ends with row {report.rows}, not with row {sheet.seq}"]
            return report.problems
        finally:
            conn.close()
    except dbapi2.DatabaseError as error:
        return [f"it cannot be read: {error}"]


def _publish(draft: Path, target: Path) -> None:
    """Give it its name, which nobody else may have taken meanwhile."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise ConfigError(f"{target} exists: name a new file.") from None
    except OSError:  # a file system without links, as on many USB sticks
        if target.exists():
            raise ConfigError(f"{target} exists: name a new file.") from None
        draft.rename(target)
    else:
        draft.unlink()
    sync_directory(target.parent)


def missing_archives(sheet: Sheet, folder: Path) -> Sequence[str]:
    """The archives that a backup needs and that are not in the folder as they were."""
    return [
        name
        for name, seal in sheet.archives
        if not (folder / name).is_file()
        or sealed(folder / name, (folder / name).stat().st_size) != seal
    ]
