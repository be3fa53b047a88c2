"""What inspectors find in shops: a journal of the cloud's own, only ever added to."""

from typing import Any

from agent.core.errors import DomainError
from sync.cloud.answers import iso
from sync.cloud.database import Connection
from sync.cloud.keys import key
from sync.cloud.pools import named
from sync.uris import BASE

MOST = 200
"""Characters of a place; of a note ten times as many."""


def inspect(
    conn: Connection,
    code: str,
    now_ms: int,
    who: str,
    base: str = BASE,
    *,
    inspector: str,
    party: str = "",
    territory: str = "",
    channel: str = "",
    place: str = "",
    note: str = "",
) -> int:
    """Keep that a code was found with a party, in a territory or a channel; the number of the
    finding. `who` has the token, `inspector` was there. DomainError: no code reads so, or it does
    not say where."""
    if not (party or territory or channel):
        raise DomainError(
            "nowhere_found", "Say where it was found: a party, a territory or a channel."
        )
    uri = named(conn, code, base)
    with conn.writing():
        # Those who add take turns, so that they are seen in the order of their numbers.
        conn.change("UPDATE follower SET turn = turn + 1 WHERE name = 'inspections'")
        row = conn.one(
            "INSERT INTO inspection (key, code, party, territory, channel, place, inspector, note, "
            "who, ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (key(uri), uri, party, territory, channel, place, inspector, note, who, now_ms),
        )
    assert row is not None
    return int(row[0])


def listed(conn: Connection, limit: int, after: int) -> dict[str, Any]:
    """The findings in the order of their numbers."""
    names = ("id", "code", "party", "territory", "channel", "place", "inspector", "note", "who")
    rows = conn.rows(
        f"SELECT {', '.join(names)}, ms FROM inspection WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )
    found = [dict(zip(names, row[:-1], strict=True)) | {"time": iso(row[-1])} for row in rows]
    return {"inspections": found, "next": rows[-1][0] if len(rows) == limit else None}
