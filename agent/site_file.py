"""A site file that the cloud sent: beside the state, in effect from a start on.

The file that `--config` names may be where the agent cannot write, so it stays as it is. One that
was sent waits in the state directory (`NEXT`); the next start puts it into effect there (`PRESENT`,
its first line names what it replaces by its SHA-256). Whoever edits the file of `--config`
afterwards puts that into effect again: a person at the machine has the last word.
"""

import hashlib
import logging
import os
import re
import tomllib
from pathlib import Path

from agent.core.errors import TransientError
from agent.secret_file import sync_directory

log = logging.getLogger(__name__)

NEXT = "site.next.toml"
"""Waits for the next start."""
PRESENT = "site.present.toml"
"""Is in effect, while the file that it replaces is unchanged."""
_HEAD = re.compile(rb"# replaces ([0-9a-f]{64})\n")


def in_effect(path: Path) -> Path:
    """The file to read where `path` is named: itself, or what took its place."""
    base = _state_of(path)
    if base is None:
        return path
    state, digest = base
    present = state / PRESENT
    try:
        with present.open("rb") as file:
            head = _HEAD.fullmatch(file.readline(200))
    except OSError:
        return path
    if head is None or head[1].decode() != digest:
        log.warning("%s was changed since %s took its place: it is in effect.", path, present)
        return path
    return present


def keep(state: Path, draft: Path) -> Path:
    """Let a checked draft in the state directory wait for the next start."""
    waiting = state / NEXT
    draft.rename(waiting)
    sync_directory(state)
    return waiting


def begin(path: Path) -> None:
    """At a start: put the file that waits into effect. TransientError: it cannot be written."""
    base = _state_of(path)
    if base is None:
        return
    state, digest = base
    waiting = state / NEXT
    try:
        data = waiting.read_bytes()
    except OSError:
        return
    try:
        write(state / (PRESENT + ".draft"), b"# replaces %b\n" % digest.encode() + data)
        (state / (PRESENT + ".draft")).rename(state / PRESENT)
        waiting.unlink()
        sync_directory(state)
    except OSError as error:
        raise TransientError(f"{state / PRESENT} cannot be written: {error}.") from error
    log.warning("The site file that was sent is in effect now: %s.", state / PRESENT)


def write(path: Path, data: bytes) -> None:
    """A file of our own, durable, in place of any that is there."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _state_of(path: Path) -> tuple[Path, str] | None:
    """The state directory that a site file names, and the file's SHA-256; None where it cannot be
    read, which whoever reads it properly will say."""
    try:
        data = path.read_bytes()
        agent = tomllib.loads(data.decode()).get("agent")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    state = agent.get("data", "var") if isinstance(agent, dict) else "var"
    if not isinstance(state, str):
        return None
    return path.resolve().parent / state, hashlib.sha256(data).hexdigest()
