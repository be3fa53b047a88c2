"""Who may ask the consumer: tokens, of which only hashes are kept."""

import hashlib
import re
import secrets

from agent.core.errors import DomainError
from sync.cloud.database import Connection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_TOKEN = 256


def make(conn: Connection, name: str, manage: bool, now_ms: int) -> str:
    """A new token for a consumer of answers; it is shown once. `manage`: it may also close dead
    letters. DomainError: no name, or the name has one."""
    if not _NAME.fullmatch(name):
        raise DomainError(
            "bad_name", f"{name[:80]!r} is no name: use letters, digits, dot, dash and underscore."
        )
    token = secrets.token_urlsafe(32)
    with conn.writing():
        if conn.one("SELECT 1 FROM token WHERE name = ?", (name,)) is not None:
            raise DomainError(
                "token_exists", f"{name} has a token: revoke it first, or choose another name."
            )
        conn.change(
            "INSERT INTO token VALUES (?, ?, ?, ?, NULL)",
            (name, hashed(token), int(manage), now_ms),
        )
    return token


def revoke(conn: Connection, name: str) -> None:
    """A token ends at once. DomainError: nobody of that name has one."""
    with conn.writing():
        if not conn.change("DELETE FROM token WHERE name = ?", (name,)):
            raise DomainError("unknown_token", f"Nobody named {name} has a token.")


def listed(conn: Connection) -> list[tuple[str, bool, int]]:
    """Name, whether it may manage, and when each token was made (ms)."""
    rows = conn.rows("SELECT name, manage, made_ms FROM token ORDER BY name")
    return [(name, bool(manage), made) for name, manage, made in rows]


def who(conn: Connection, token: str) -> tuple[str, bool] | None:
    """Whose token this is and whether it may manage; None: nobody's."""
    if not token or len(token) > MAX_TOKEN:
        return None
    row = conn.one("SELECT name, manage FROM token WHERE hash = ?", (hashed(token),))
    return None if row is None else (str(row[0]), bool(row[1]))


def hashed(token: str) -> str:
    """What is kept of a token. It is 256 random bits, so a plain hash cannot be guessed from."""
    return hashlib.sha256(token.encode()).hexdigest()
