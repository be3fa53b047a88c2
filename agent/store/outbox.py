"""The journal as the queue to the cloud (`ports.Outbox`): how far it is acknowledged, states
of the translator to go on from, and documents that were refused.

Reads on the readers' connections, writes by the one writer; nothing here is in the event loop.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agent.core.errors import DomainError
from agent.now import wall_ms
from agent.ports.cloud import Acked, Backlog, Entry, Epoch, Parked
from agent.store import journal, names, pools
from agent.store.database import Connection
from agent.store.look import Journalled
from agent.store.readers import Readers
from agent.store.writer import Writer

WRITE_SECONDS = 30.0
MARKS = 2_000
"""Rows between two states that are kept; older ones are kept ever further apart."""


# ------------------------------------------------------------------------------- on a connection


def acked(conn: Connection) -> Acked:
    """How far the cloud has acknowledged, as it was kept last."""
    row = conn.execute("SELECT seq, hash, at_ms FROM sync_acked").fetchone()
    return Acked() if row is None else Acked(int(row[0]), bytes(row[1]).hex(), int(row[2]))


def keep(conn: Connection, seq: int, chain: str, mark: bytes | None) -> None:
    """Write it down, in the caller's transaction."""
    conn.execute(
        "INSERT OR REPLACE INTO sync_acked VALUES (1, ?, ?, ?)",
        (seq, bytes.fromhex(chain), wall_ms()),
    )
    if mark is not None:
        conn.execute("INSERT OR REPLACE INTO sync_mark VALUES (?, ?)", (seq, mark))
        _thin(conn)


def _thin(conn: Connection) -> None:
    """Leave a few states for every doubling of the distance: a few dozen for any journal. Those
    of one slot become one, and two slots one when they are twice as far away."""
    seqs = [int(seq) for (seq,) in conn.execute("SELECT seq FROM sync_mark ORDER BY seq DESC")]
    slots = set()
    for seq in seqs:
        doubled = max(0, ((seqs[0] - seq) // MARKS).bit_length() - 2)
        slot = doubled, seq // (MARKS << doubled)
        if slot in slots:
            conn.execute("DELETE FROM sync_mark WHERE seq = ?", (seq,))
        slots.add(slot)


def mark(conn: Connection, seq: int) -> tuple[int, bytes]:
    """The newest state at or before a row; 0 and b"" if there is none."""
    row = conn.execute(
        "SELECT seq, state FROM sync_mark WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (seq,)
    ).fetchone()
    return (0, b"") if row is None else (int(row[0]), bytes(row[1]))


def park(conn: Connection, refused: Sequence[Parked]) -> None:
    """Keep refused documents, once each, in the caller's transaction."""
    at = wall_ms()
    conn.change_many(
        "INSERT OR IGNORE INTO sync_parked (seq, n, side, reason, body, at_ms) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(*each, at) for each in refused],
    )


def settle(conn: Connection, seq: int, by: str, why: str) -> int:
    """A person has seen to the refused documents of a row: they stay listed and raise no alarm any
    more. How many; DomainError if there is none."""
    done = conn.change(
        "UPDATE sync_parked SET settled = ? WHERE seq = ? AND settled = ''", (f"{by}: {why}", seq)
    )
    if not done:
        raise DomainError(
            "nothing_parked",
            f"No document of row {seq} is waiting to be settled: caselink sync parked lists them.",
        )
    return done


def parked(conn: Connection, most: int = 1000) -> list[dict[str, object]]:
    """The refused documents, newest first."""
    found = conn.execute(
        "SELECT seq, n, side, reason, at_ms, CAST(body AS TEXT), settled FROM sync_parked "
        "ORDER BY seq DESC, n DESC LIMIT ?",
        (most,),
    )
    keys = ("seq", "n", "side", "reason", "at", "document", "settled")
    return [dict(zip(keys, row, strict=True)) for row in found]


def count_parked(conn: Connection) -> int:
    """How many refused documents nobody has settled."""
    found = conn.execute("SELECT count(*) FROM sync_parked WHERE settled = ''").fetchone()
    return int(found[0])


def epoch_at(conn: Connection, seq: int) -> Epoch:
    """The epoch of a row, or that in which it would be written."""
    name, first = conn.execute(
        "SELECT name, first FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1", (seq,)
    ).fetchone()
    row = conn.execute("SELECT min(first) FROM epoch WHERE first > ?", (first,)).fetchone()
    return Epoch(str(name), int(first), None if row[0] is None else int(row[0]) - 1)


def hash_at(conn: Connection, seq: int) -> str | None:
    """The chain's hash at a row; None if it is not in the journal."""
    found = journal.hash_at(conn, seq)
    if found is not None:
        return found.hex()
    known = acked(conn)
    return known.hash if known.seq == seq else None


def count_items(conn: Connection, first: int, last: int) -> int:
    """How many units began at a first station in these rows."""
    kind = names.known_number(conn, "ItemPassed")
    if kind is None or last < first:
        return 0
    row = conn.execute(
        "SELECT count(*) FROM journal WHERE seq BETWEEN ? AND ? AND kind = ? AND body ->> 6",
        (first, last, kind),
    ).fetchone()
    return int(row[0])


def backlog(conn: Connection) -> Backlog:
    """What waits, counted from the beginning."""
    at, last = acked(conn).seq, journal.tail(conn)[0]
    return Backlog(max(0, last - at), count_items(conn, at + 1, last), _oldest(conn, at), last)


def _oldest(conn: Connection, after: int) -> int | None:
    row = conn.execute(
        "SELECT wall_ms FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", (after,)
    ).fetchone()
    return None if row is None else int(row[0])


# ---------------------------------------------------------------------------------- the port


class View(Journalled):
    """`ports.JournalView` over a connection."""

    def rows(self, first: int, most: int) -> list[Entry]:
        """Up to `most` rows from `first` on."""
        return list(journal.read(self._conn, first, first + most - 1))

    def hash_at(self, seq: int) -> str | None:
        """The chain's hash at a row."""
        return hash_at(self._conn, seq)

    def epoch_at(self, seq: int) -> Epoch:
        """The epoch of a row."""
        return epoch_at(self._conn, seq)

    def asks(self) -> bool:
        """Whether pools are in question."""
        return bool(pools.in_question(self._conn))


class Outbox:
    """The port over the store of a running agent."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers = readers
        self._writer = writer
        self._counted: tuple[int, int, int] | None = None
        self._door = threading.Lock()

    @contextmanager
    def view(self) -> Iterator[View]:
        """One state of the journal."""
        with self._readers.connection() as conn:
            conn.tail = None  # what another view saw may not be the end any more
            yield View(conn)

    def acked(self) -> Acked:
        """What was kept last."""
        with self._readers.connection() as conn:
            return acked(conn)

    def keep(self, seq: int, chain: str, mark: bytes | None) -> None:
        """Remember durably what is acknowledged, and the translator's state there."""
        self._writer.wait(lambda conn: keep(conn, seq, chain, mark), WRITE_SECONDS)

    def mark(self, seq: int) -> tuple[int, bytes]:
        """The newest state kept at or before a row."""
        with self._readers.connection() as conn:
            return mark(conn, seq)

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep refused documents."""
        self._writer.wait(lambda conn: park(conn, parked), WRITE_SECONDS)

    def parked(self) -> int:
        """How many refused documents nobody has settled."""
        with self._readers.connection() as conn:
            return count_parked(conn)

    def backlog(self) -> Backlog:
        """What waits; only rows that are new since the last question are counted."""
        with self._door, self._readers.connection() as conn:
            conn.tail = None
            at, last = acked(conn).seq, journal.tail(conn)[0]
            since, upto, items = self._counted or (at, at, 0)
            items += count_items(conn, upto + 1, last)
            items -= count_items(conn, since + 1, at)
            items += count_items(conn, at + 1, since)
            self._counted = (at, last, items)
            return Backlog(max(0, last - at), max(0, items), _oldest(conn, at), last)
