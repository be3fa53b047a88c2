"""What the record says: of one code, and of every container."""

from collections.abc import Iterator
from typing import Any

from agent.core.codes import canonical
from agent.core.errors import unknown_code
from agent.store import trace as store
from agent.store.database import Connection


def trace(conn: Connection, code: str) -> dict[str, Any]:
    """Everything the record knows of a code. DomainError `unknown_code` if nothing."""
    text = canonical(code).text
    found = store.trace(conn, text)
    if found is None:
        raise unknown_code(text)
    return found


def containers(conn: Connection) -> Iterator[dict[str, Any]]:
    """One object per container: level, code, children (None = unknown), evidence, integrity, state,
    doubtful, broken, closed_at."""
    return store.containers(conn)
