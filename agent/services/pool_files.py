"""Import of code pool files, whole or not at all."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from agent.core.errors import DomainError, TransientError
from agent.core.facts import Fact, PoolImported
from agent.core.known import Clock
from agent.core.poolfile import Declared, PoolFile, rule_pool
from agent.core.poolread import MAX_BYTES, read_pool
from agent.core.poolrule import Rule
from agent.store import pool_import
from agent.store.database import Connection
from agent.store.pool_import import Jobs, import_in_steps, import_pool


def read_file(path: Path, declared: Declared) -> PoolFile:
    """A pool file as it is to be stored. PoolRefused lists what is wrong with it, by line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DomainError(
                "pool_too_large", f"{path} is larger than {MAX_BYTES:,} bytes: split it."
            )
        data = path.read_bytes()
    except OSError as error:
        raise DomainError(
            "pool_unreadable", f"{path} cannot be read: {error.strerror}. Name another file."
        ) from None
    return read_pool(data, declared)


def of_rule(declared: Declared, rule: str) -> PoolFile:
    """A pool whose codes are known by a rule, written CHECK:PREFIX or PREFIX."""
    return rule_pool(declared, Rule.parse(rule))


def keep(conn: Connection, file: PoolFile, clock: Clock) -> PoolImported:
    """Write the pool, in the caller's transaction. DomainError when its name is taken."""
    return import_pool(conn, file, "", clock)


def keep_in_steps(
    run: Jobs,
    file: PoolFile,
    clock: Clock,
    also: Callable[[PoolImported], Iterable[Fact]] = lambda fact: (),
) -> PoolImported:
    """Write the pool in many short jobs of the writer, waiting for each: the lines go on meanwhile.
    DomainError when it is refused; nothing of it is kept then. `also` are facts that are written
    with the pool or not at all."""
    return import_in_steps(run, file, "", clock, also)


def clean(run: Jobs) -> None:
    """Take out what a power cut left of an import, in short jobs of the writer; if the agent ends
    first, its next start goes on with it."""
    with suppress(TransientError):
        pool_import.clean(run)
