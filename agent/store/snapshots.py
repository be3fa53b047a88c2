"""A line's state as of a journal row, so that a start reads the snapshot and a short tail.

The blob is the shell's own; the tables do not depend on it. Save every line when any line is saved
(with each closed container is enough): a tail is read from the journal's rows after the snapshot,
those of other lines included.
"""

from typing import NamedTuple

from agent.ports.cloud import Entry
from agent.store import journal, names
from agent.store.database import Connection


class Snapshot(NamedTuple):
    """`seq` is the last journal row that `body` contains (0 and b"" = nothing was ever saved)."""

    seq: int
    body: bytes


def save(conn: Connection, line: str, body: bytes) -> None:
    """Keep the state of a line as of the newest journal row; in the caller's transaction."""
    conn.execute(
        "INSERT OR REPLACE INTO line_state VALUES (?, ?, ?)",
        (names.number(conn, line), journal.tail(conn)[0], body),
    )


def load(conn: Connection, line: str) -> Snapshot:
    """The newest saved state of a line."""
    row = conn.execute(
        "SELECT seq, body FROM line_state WHERE line = ?", (names.known_number(conn, line),)
    ).fetchone()
    return Snapshot(0, b"") if row is None else Snapshot(int(row[0]), bytes(row[1]))


def tail(conn: Connection, line: str, after: int) -> list[Entry]:
    """The journal rows after `after` that concern the line, in order: its own, and those of the
    whole agent. Without a snapshot this reads them all."""
    numbers = names.known_number(conn, line), names.known_number(conn, "")
    query, given = (
        "SELECT seq FROM journal WHERE seq > ? AND line IN (?, ?) ORDER BY seq",
        (after, *numbers),
    )
    return journal.read_some(conn, journal.find(conn, query, given, after))
