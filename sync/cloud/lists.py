"""Pages of what a person must look at: dead letters, forks, refused payloads, quarantine. And
everything that was told, for whoever holds it against something else."""

from collections.abc import Iterator
from typing import Any

from sync.cloud.answers import iso
from sync.cloud.database import Connection
from sync.cloud.keys import start_of
from sync.envelope import Batch, Doc, decode

ROWS = 1_000
"""Rows that are read at a time."""

DOC_BYTES = 20_000
"""As much of a dead letter is shown; a document is no longer."""


def letters(conn: Connection, state: str, limit: int, after: int) -> dict[str, Any]:
    """Dead letters in the order in which they came."""
    rows = conn.rows(
        "SELECT d.id, a.name, w.epoch, d.seq, d.n, d.parts, d.reason, d.doc, d.ms, d.state, d.why, "
        "d.who, d.closed_ms FROM dead_letter d JOIN watermark w ON w.id = d.stream "
        "JOIN agent a ON a.id = w.agent WHERE d.state = ? AND d.id > ? ORDER BY d.id LIMIT ?",
        (state, after, limit),
    )
    found = [
        {
            "id": row[0],
            "agent": row[1],
            "epoch": row[2],
            "seq": row[3],
            "n": row[4],
            "of": row[5],
            "reason": row[6],
            "document": bytes(row[7])[:DOC_BYTES].decode(errors="replace"),
            "came": iso(row[8]),
            "state": row[9],
            "why": row[10],
            "who": row[11],
            "closed": iso(row[12]),
        }
        for row in rows
    ]
    return {"dead_letters": found, "next": rows[-1][0] if len(rows) == limit else None}


def forks(conn: Connection, limit: int, after: int) -> dict[str, Any]:
    """Forks and restores in the order in which they were noticed."""
    names = ("id", "agent", "epoch", "kind", "first", "last", "upto", "text", "times")
    rows = conn.rows(
        f"SELECT {', '.join(names)}, first_ms, last_ms FROM fork WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )
    found = [
        dict(zip(names, row[:-2], strict=True)) | {"since": iso(row[-2]), "until": iso(row[-1])}
        for row in rows
    ]
    return {"forks": found, "next": rows[-1][0] if len(rows) == limit else None}


def refused(conn: Connection, limit: int, after: int) -> dict[str, Any]:
    """Refused payloads in the order in which they came first."""
    names = ("id", "agent", "reason", "text", "size", "times")
    rows = conn.rows(
        f"SELECT {', '.join(names)}, first_ms, last_ms FROM refused WHERE id > ? ORDER BY id "
        "LIMIT ?",
        (after, limit),
    )
    found = [
        dict(zip(names, row[:-2], strict=True)) | {"since": iso(row[-2]), "until": iso(row[-1])}
        for row in rows
    ]
    return {"refused": found, "next": rows[-1][0] if len(rows) == limit else None}


def quarantine(conn: Connection, limit: int, after: str) -> dict[str, Any]:
    """Codes that two things claim, in the order of their keys (`after` is one in hex)."""
    rows = conn.rows(
        "SELECT key, max(text), min(ms) FROM claim WHERE duplicate = 1 AND key > ? GROUP BY key "
        "ORDER BY key LIMIT ?",
        (start_of(after), limit),
    )
    found = [{"code": text, "since": iso(ms)} for _, text, ms in rows]
    return {
        "quarantined": found,
        "next": bytes(rows[-1][0]).hex() if len(rows) == limit else None,
    }


def containers(conn: Connection) -> Iterator[str]:
    """The name under which each container was told first, in no order."""
    seen: set[str] = set()
    for query in (
        "SELECT event, text FROM box WHERE event > ? ORDER BY event LIMIT ?",
        # Of one of which no child is known: an event about it itself says what it holds.
        "SELECT m.event, u.text FROM movement m JOIN event e ON e.id = m.event "
        "JOIN detail d ON d.key = e.detail JOIN unit u ON u.key = m.key "
        "WHERE m.event > ? AND d.body LIKE '%\"x:expectedQuantity\"%' ORDER BY m.event LIMIT ?",
    ):
        after = 0
        while rows := conn.rows(query, (after, ROWS)):
            after = rows[-1][0]
            yield from (text for _, text in rows if text not in seen)
            seen.update(text for _, text in rows)


def documents(conn: Connection) -> Iterator[tuple[str, str, Doc]]:
    """Every document as it was received, with its agent and epoch, stream by stream in order."""
    streams = conn.rows(
        "SELECT w.id, a.name, w.epoch FROM watermark w JOIN agent a ON a.id = w.agent ORDER BY w.id"
    )
    for stream, agent, epoch in streams:
        last = 0
        while row := conn.one(
            "SELECT last, payload FROM batch WHERE stream = ? AND last > ? ORDER BY last LIMIT 1",
            (stream, last),
        ):
            last = row[0]
            batch = decode(bytes(row[1]))
            assert isinstance(batch, Batch)  # it was when it was applied
            for each in batch.docs:
                yield agent, epoch, each
