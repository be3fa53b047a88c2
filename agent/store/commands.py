"""Commands of the cloud in the store: parts of those that are not whole yet, what became of those
that are done, and the reference data that some of them brought."""

from collections.abc import Sequence
from typing import NamedTuple

from agent.core import facts as f
from agent.core.life import IllegalTransition
from agent.ports.cloud import Announced, Done, Gathered
from agent.store.database import Connection

MOST_OPEN = 4
"""Commands that may be incomplete at once; the oldest gives way and is asked for anew."""
PARTS_AT_ONCE = 4
"""Parts that one job removes."""


class Reference(NamedTuple):
    """What the cloud said last of a thing; `body` is JSON, `seq` the journal row."""

    kind: str
    key: str
    body: str
    seq: int


# ------------------------------------------------------------------------------ facts to tables


def done(conn: Connection, seq: int, line: str, fact: f.CommandDone) -> None:
    """A command is answered; IllegalTransition if it was answered before."""
    added = conn.change(
        "INSERT OR IGNORE INTO command VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (fact.id, fact.kind, fact.ok, fact.reason, fact.text, fact.body, fact.sum, seq),
    )
    if added != 1:
        raise IllegalTransition(f"command {fact.id} was carried out before")


def changed(conn: Connection, seq: int, line: str, fact: f.ReferenceChanged) -> None:
    """What is said of a thing replaces what was said before."""
    conn.change(
        "INSERT OR REPLACE INTO reference VALUES (?, ?, ?, ?)",
        (fact.kind, fact.key, fact.body, seq),
    )


# ------------------------------------------------------------------------------------- questions


def answer(conn: Connection, id_: str) -> Done | None:
    """What became of a command; None if it was not carried out yet."""
    row = conn.one("SELECT id, kind, ok, reason, text, body, sum FROM command WHERE id = ?", (id_,))
    return None if row is None else Done(row[0], row[1], bool(row[2]), *row[3:])


def answers(conn: Connection, most: int = 1000) -> list[Done]:
    """The newest commands that are done, newest first."""
    rows = conn.execute(
        "SELECT id, kind, ok, reason, text, body, sum FROM command ORDER BY seq DESC LIMIT ?",
        (most,),
    )
    return [Done(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]


def reference(conn: Connection, kind: str, key: str) -> Reference | None:
    """What is known of a thing."""
    row = conn.one("SELECT * FROM reference WHERE kind = ? AND key = ?", (kind, key))
    return None if row is None else Reference(*row)


def references(conn: Connection, kind: str) -> list[Reference]:
    """All things of a kind, by their keys."""
    rows = conn.execute("SELECT * FROM reference WHERE kind = ? ORDER BY key", (kind,))
    return [Reference(*row) for row in rows]


# ---------------------------------------------------------------------------------------- parts


def _number(conn: Connection, id_: str) -> int | None:
    row = conn.one("SELECT number FROM inbox WHERE id = ?", (id_,))
    return None if row is None else int(row[0])


def gathered(conn: Connection, id_: str) -> Gathered | None:
    """What is here of a command that is not whole yet, or not carried out."""
    row = conn.one("SELECT kind, parts, size, sum, number FROM inbox WHERE id = ?", (id_,))
    if row is None:
        return None
    have = conn.execute("SELECT n FROM inbox_part WHERE number = ?", (row[4],)).fetchall()
    return Gathered(Announced(*row[:4]), frozenset(int(n) for (n,) in have))


def gather(conn: Connection, id_: str, what: Announced, n: int, data: bytes) -> Gathered:
    """Keep a part, in the caller's transaction; what is here now."""
    number = _number(conn, id_)
    if number is None:
        conn.change(
            "INSERT INTO inbox (id, kind, parts, size, sum) VALUES (?, ?, ?, ?, ?)", (id_, *what)
        )
        number = _number(conn, id_)
    conn.change("INSERT OR IGNORE INTO inbox_part VALUES (?, ?, ?)", (number, n, data))
    found = gathered(conn, id_)
    assert found is not None
    return found


def content(conn: Connection, id_: str) -> bytes:
    """All parts of a command, in order."""
    rows: Sequence[tuple[bytes]] = conn.execute(
        "SELECT data FROM inbox_part WHERE number = ? ORDER BY n", (_number(conn, id_),)
    ).fetchall()
    return b"".join(data for (data,) in rows)


def surplus(conn: Connection) -> list[str]:
    """Commands whose parts are not needed: they are done, or too many are incomplete."""
    over = conn.execute(
        "SELECT id FROM inbox WHERE id IN (SELECT id FROM command) "
        "UNION SELECT id FROM (SELECT id FROM inbox ORDER BY number DESC LIMIT -1 OFFSET ?)",
        (MOST_OPEN,),
    )
    return [str(id_) for (id_,) in over.fetchall()]


def remove_some(conn: Connection, id_: str) -> bool:
    """Take some parts of a command out; False when nothing is left."""
    number = _number(conn, id_)
    if number is None:
        return False
    removed = conn.change(
        "DELETE FROM inbox_part WHERE rowid IN "
        "(SELECT rowid FROM inbox_part WHERE number = ? LIMIT ?)",
        (number, PARTS_AT_ONCE),
    )
    if removed < PARTS_AT_ONCE:
        conn.change("DELETE FROM inbox WHERE number = ?", (number,))
        return False
    return True
