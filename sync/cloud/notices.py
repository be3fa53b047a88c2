"""What a person must look at: dead letters, forks, payloads that were none of ours. And agents.

Everything here is bounded: what repeats (an agent goes on sending) is counted, not kept again.
"""

import logging
from hashlib import blake2b

import msgspec

from agent.core.errors import DomainError
from sync.cloud.database import Connection
from sync.cloud.rows import Letter
from sync.envelope import Batch, Doc, Refused
from sync.messages import State, write

log = logging.getLogger(__name__)

HEAD = 4_096
"""Bytes that are kept of a payload that was refused."""
MOST_REFUSED = 10_000
"""Refused payloads that are kept; the oldest go."""
MAX_WHY = 500


def fork(conn: Connection, batch: Batch, kind: str, upto: int, text: str, now_ms: int) -> str:
    """Note that a batch is not of the chain that was received; `text`, which is the answer."""
    if kind != "restored":
        log.warning("fork of %s: %s", batch.agent, text)
    conn.change(
        "INSERT INTO fork (agent, epoch, kind, first, last, upto, text, first_ms, last_ms, times) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (agent, epoch, kind, first) DO UPDATE "
        "SET last_ms = excluded.last_ms, times = fork.times + 1",
        (batch.agent, batch.epoch, kind, batch.first, batch.last, upto, text, now_ms, now_ms),
    )
    return text


def refuse(conn: Connection, agent: str, payload: bytes, why: Refused, now_ms: int) -> None:
    """Keep that a payload was refused, in a transaction of its own."""
    log.warning("a payload on the topic of %s was refused (%s): %s", agent, why.reason, why.text)
    digest = blake2b(payload, digest_size=16).digest()
    with conn.writing():
        conn.change(
            "INSERT INTO refused (agent, digest, reason, text, size, head, first_ms, last_ms, "
            "times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (agent, digest) DO UPDATE "
            "SET last_ms = excluded.last_ms, times = refused.times + 1",
            (
                agent,
                digest,
                why.reason,
                why.text,
                len(payload),
                bytearray(payload[:HEAD]),
                now_ms,
                now_ms,
            ),
        )
        conn.change(
            "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", (MOST_REFUSED,)
        )


def park(conn: Connection, stream: int, letter: Letter, now_ms: int) -> None:
    """Keep a document that was not applied."""
    log.warning("row %d, document %d is parked: %s", letter.seq, letter.n, letter.reason)
    conn.change(
        "INSERT INTO dead_letter (stream, seq, n, parts, reason, doc, ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            stream,
            letter.seq,
            letter.n,
            letter.of,
            letter.reason,
            bytearray(letter.doc),
            now_ms,
        ),
    )


def open_letter(conn: Connection, letter: int, lock: str = "") -> tuple[int, Doc]:
    """Stream and document of an open dead letter, locked. DomainError: there is none."""
    row = conn.one(
        "SELECT state, stream, seq, n, parts, doc FROM dead_letter WHERE id = ?" + lock, (letter,)
    )
    if row is None:
        raise DomainError(
            "unknown_letter", f"There is no dead letter {letter}: see GET /dead-letters."
        )
    if row[0] != "open":
        raise DomainError(
            "letter_closed", f"Dead letter {letter} is {row[0]} already: nothing is left to do."
        )
    return int(row[1]), Doc(row[2], row[3], row[4], msgspec.Raw(bytes(row[5])))


def still_wrong(conn: Connection, letter: int, reason: str) -> None:
    """A letter was tried again in vain."""
    conn.change("UPDATE dead_letter SET reason = ? WHERE id = ?", (reason, letter))


def close_letter(
    conn: Connection, letter: int, state: str, why: str, who: str, now_ms: int
) -> None:
    """A letter is applied or discarded."""
    conn.change(
        "UPDATE dead_letter SET state = ?, why = ?, who = ?, closed_ms = ? WHERE id = ?",
        (state, why, who, now_ms, letter),
    )


def discard(conn: Connection, letter: int, why: str, who: str, now_ms: int, lock: str = "") -> None:
    """Never apply a dead letter; it stays readable. DomainError: no reason, or not open."""
    why = why.strip()
    if not why or len(why) > MAX_WHY:
        raise DomainError(
            "reason_needed",
            f"A dead letter is discarded with a reason of 1 to {MAX_WHY} characters: say why.",
        )
    with conn.writing():
        open_letter(conn, letter, lock)
        close_letter(conn, letter, "discarded", why, who, now_ms)


def heard(conn: Connection, states: dict[str, State], now_ms: int) -> None:
    """What agents say of themselves, in a transaction of its own."""
    with conn.writing():
        for name in sorted(states):
            state = states[name]
            if state.fork:
                _agent_says(conn, name, state, now_ms)
            conn.change(
                "INSERT INTO agent (name, online, state, state_ms) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET online = excluded.online, "
                "state_ms = excluded.state_ms, "
                "state = CASE WHEN excluded.online = 1 THEN excluded.state ELSE agent.state END",
                (name, int(state.online), write(state).decode(), now_ms),
            )


def _agent_says(conn: Connection, name: str, state: State, now_ms: int) -> None:
    """An agent found that what was acknowledged is not in its journal: an old copy of it was
    started without a restore, its end was cut off, or another machine uses its identity."""
    log.warning("fork of %s, as it says: %s", name, state.fork)
    conn.change(
        "INSERT INTO fork (agent, epoch, kind, first, last, upto, text, first_ms, last_ms, times) "
        "VALUES (?, ?, 'agent', ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (agent, epoch, kind, first) "
        "DO UPDATE SET last_ms = excluded.last_ms, times = fork.times + 1",
        (
            name,
            state.epoch,
            state.acked + 1,
            state.last,
            state.acked,
            state.fork,
            now_ms,
            now_ms,
        ),
    )
