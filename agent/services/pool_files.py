"""Import of code pool files, whole or not at all."""

from pathlib import Path

from agent.core.errors import DomainError
from agent.core.facts import PoolImported
from agent.core.known import Clock
from agent.core.poolfile import Declared, PoolFile, rule_pool
from agent.core.poolread import MAX_BYTES, read_pool
from agent.core.poolrule import Rule
from agent.store import pools
from agent.store.database import Connection
from agent.store.pool_import import import_pool


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
    name = file.declared.name
    if any(pool.name == name for pool in pools.list_pools(conn)):
        raise DomainError(
            "pool_exists", f"There is a pool {name} already: give this one another name."
        )
    return import_pool(conn, file, "", clock)
