"""Codes that are told a second time: quarantined where two things claim one, and never in the way.

The first statement stands in `unit` or `alias`, further ones in `claim`; which came first depends
on the network, so answers look at all of them alike. A statement of an agent that was restored
repeats what its lost rows said: that is no duplicate.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sync.cloud.database import Connection, marks
from sync.cloud.rows import Rows, each_text

log = logging.getLogger(__name__)

TABLES = ("unit", "alias")
_AT_ONCE = 500


def add(conn: Connection, found: Rows, stream: int, now_ms: int) -> None:
    """Write the units and aliases of `found` whose keys are free, the others as claims."""
    units = sorted(each_text(found.units))
    conn.change_many("INSERT INTO unit VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING", units)
    conn.change_many(
        "INSERT INTO alias VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        sorted(found.aliases),
    )
    seqs = {event[0]: event[1] for event in found.events}
    for some in _chunks(units):
        there = dict(_there(conn, "SELECT key, event FROM unit WHERE key IN", some))
        for key, text, event in some:
            if there[key] != event:
                twice = not _restored(conn, stream, there[key])
                _claim(conn, (key, event, "unit", None, text, "", ""), twice, now_ms)
                if twice:
                    _alarm(text, seqs[event])
    for some in _chunks(found.aliases):
        stood = {
            key: (unit, event)
            for key, unit, event in _there(
                conn, "SELECT key, unit, event FROM alias WHERE key IN", some
            )
        }
        for key, unit, text, role, pair, event in some:
            stands, by = stood[key]
            if (stands, by) != (unit, event):
                twice = stands != unit and not _restored(conn, stream, by)
                _claim(conn, (key, event, "alias", unit, text, role, pair), twice, now_ms)
                if twice:
                    _alarm(text, seqs[event])


def _alarm(text: str, seq: int) -> None:
    log.warning(
        "the code %s was told as another thing (row %d): both are quarantined; find the two things "
        "and look at their codes",
        text,
        seq,
    )


def _claim(conn: Connection, row: tuple[Any, ...], duplicate: bool, now_ms: int) -> None:
    conn.change(
        f"INSERT INTO claim VALUES ({marks(9)}) ON CONFLICT (key, event, kind) DO NOTHING",
        (*row, int(duplicate), now_ms),
    )


def _restored(conn: Connection, stream: int, event: int) -> bool:
    """Whether an event is of rows that the agent of this stream lost when it was restored."""
    row = conn.one(
        "SELECT 1 FROM event e JOIN watermark o ON o.id = e.stream "
        "JOIN watermark n ON n.id = ? AND n.agent = o.agent "
        "WHERE e.id = ? AND o.id < n.id AND e.seq >= o.cut",
        (stream, event),
    )
    return row is not None


def _there(conn: Connection, query: str, some: Sequence[tuple[Any, ...]]) -> list[Any]:
    return conn.rows(f"{query} ({marks(len(some))})", [row[0] for row in some])


def _chunks(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[at : at + _AT_ONCE] for at in range(0, len(rows), _AT_ONCE)]
