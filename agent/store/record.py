"""Write facts: journal rows and table rows together, in the transaction of the caller."""

from collections.abc import Iterable

from agent.core.facts import Fact
from agent.core.known import Clock
from agent.store import follow, journal
from agent.store.database import Connection
from agent.store.project import apply


def record(conn: Connection, line: str, facts: Iterable[Fact], clock: Clock) -> int:
    """Keep the durable ones of `facts`, in order; the journal's last seq after them.

    `line` is "" for facts of the whole agent. IllegalTransition: a fact contradicts the tables;
    the caller must not commit (Writer rolls a job that raises back).
    """
    durable = [fact for fact in facts if fact.durable]
    if durable:
        apply(conn, line, journal.append(conn, line, durable, clock))
        for more in follow.after(conn, durable, clock):
            apply(conn, line, journal.append(conn, line, [more], clock))
    return journal.tail(conn)[0]
