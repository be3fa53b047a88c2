"""PDAs: which there are, when each was last heard, and who logged in on it."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from agent.core.facts import DeviceEnrolled, DeviceRevoked, Fact
from agent.core.life import IllegalTransition
from agent.store.database import Connection

KEEP_LOGINS_MS = 90 * 86_400_000
"""So long a log-in that has ended still speaks for items that were scanned during it."""


class Device(NamedTuple):
    """A PDA; `enrolled` and `revoked` (None = not) are journal rows, `token` is a hash."""

    id: str
    name: str
    key: str
    token: str
    party: str
    locations: tuple[str, ...]
    operations: tuple[str, ...]
    model: str
    by: str
    enrolled: int
    revoked: int | None
    revoked_by: str
    why: str


class Seen(NamedTuple):
    """When a device was last heard (wall ms), how many items waited on it (-1 = not said), and by
    how many ms its clock is ahead of ours."""

    at_ms: int
    queue: int
    skew_ms: int


class Login(NamedTuple):
    """Somebody logged in on a device; times are wall ms, `stamp` is that of the PIN."""

    device: str
    badge: str
    stamp: str
    began_ms: int
    until_ms: int
    seen_ms: int


_ALL = (
    "SELECT id, name, key, token, party, locations, operations, model, by, enrolled, revoked, "
    "revoked_by, why FROM pda"
)


# ------------------------------------------------------------------------------ facts to tables


def enrolled(conn: Connection, seq: int, line: str, fact: DeviceEnrolled) -> None:
    """A device is there; IllegalTransition if its name is taken."""
    added = conn.change(
        "INSERT OR IGNORE INTO pda (id, name, key, token, party, locations, operations, model, by, "
        "enrolled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.device,
            fact.name,
            fact.key,
            fact.token,
            fact.party,
            json.dumps(fact.locations, ensure_ascii=False),
            json.dumps(fact.operations),
            fact.model,
            fact.by,
            seq,
        ),
    )
    if added != 1:
        raise IllegalTransition(f"device {fact.device} is enrolled already")


def revoked(conn: Connection, seq: int, line: str, fact: DeviceRevoked) -> None:
    """A device is no longer believed; IllegalTransition if it is not there or was revoked."""
    changed = conn.change(
        "UPDATE pda SET revoked = ?, revoked_by = ?, why = ? WHERE id = ? AND revoked IS NULL",
        (seq, fact.by, fact.why, fact.device),
    )
    if changed != 1:
        raise IllegalTransition(f"device {fact.device} is not enrolled, or revoked already")


CHANGES: dict[type[Fact], Callable[[Connection, int, str, Any], None]] = {
    DeviceEnrolled: enrolled,
    DeviceRevoked: revoked,
}


# ------------------------------------------------------------------------------------- questions


def _device(row: Sequence[Any]) -> Device:
    id_, name, key, token, party, locations, operations, *rest = row
    places, allowed = tuple(json.loads(locations)), tuple(json.loads(operations))
    return Device(id_, name, key, token, party, places, allowed, *rest)


def get(conn: Connection, device: str) -> Device | None:
    """A device by its name."""
    row = conn.one(f"{_ALL} WHERE id = ?", (device,))
    return None if row is None else _device(row)


def every(conn: Connection) -> list[Device]:
    """All devices, the oldest first."""
    return [_device(row) for row in conn.execute(f"{_ALL} ORDER BY enrolled").fetchall()]


def seen(conn: Connection) -> dict[str, Seen]:
    """When each device was last heard."""
    rows = conn.execute("SELECT device, at_ms, queue, skew_ms FROM pda_seen").fetchall()
    return {str(row[0]): Seen(*row[1:]) for row in rows}


def keep_seen(conn: Connection, device: str, heard: Seen) -> None:
    """Write it down, in the caller's transaction."""
    conn.change("INSERT OR REPLACE INTO pda_seen VALUES (?, ?, ?, ?)", (device, *heard))


# --------------------------------------------------------------------------------------- log-ins


def add_login(conn: Connection, token: str, login: Login) -> None:
    """Keep a log-in under the hash of its token, and forget those that speak for nothing more."""
    conn.change(
        "DELETE FROM pda_login WHERE device = ? AND until_ms < ?",
        (login.device, login.began_ms - KEEP_LOGINS_MS),
    )
    conn.change("INSERT INTO pda_login VALUES (?, ?, ?, ?, ?, ?, ?)", (token, *login))


def login(conn: Connection, token: str) -> Login | None:
    """The log-in of a token's hash."""
    row = conn.one(
        "SELECT device, badge, stamp, began_ms, until_ms, seen_ms FROM pda_login WHERE token = ?",
        (token,),
    )
    return None if row is None else Login(*row)


def last_login(conn: Connection, device: str, badge: str) -> tuple[str, Login] | None:
    """The log-in of a person on a device that lasts longest, and its token's hash."""
    row = conn.one(
        "SELECT token, device, badge, stamp, began_ms, until_ms, seen_ms FROM pda_login "
        "WHERE device = ? AND badge = ? ORDER BY until_ms DESC LIMIT 1",
        (device, badge),
    )
    return None if row is None else (row[0], Login(*row[1:]))


def touch_login(conn: Connection, token: str, at_ms: int) -> None:
    """The person did something."""
    conn.change("UPDATE pda_login SET seen_ms = ? WHERE token = ?", (at_ms, token))
