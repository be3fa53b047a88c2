"""Who the parties are at the cloud: whose books which agent keeps, and who is whose customer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.core.errors import DomainError
from sync.cloud.database import Connection
from sync.kinds import Party

DEEPEST = 8
"""Parties above one another that are followed."""

NOW = 2
"""What a shipment's `waits` says that is to be looked at though nothing has come."""

Belongs = Callable[[str, str], bool]
"""Whether the first party is the second, or somewhere below it."""


def serve(conn: Connection, party: str, agent: str, now_ms: int) -> None:
    """The agent (tenant/site/agent) that keeps a party's books from now on, "" = none does: what
    is shipped to the party is told to it. DomainError: no such agent was ever heard of."""
    if not party or len(party) > 64 or "/" in party or not party.isprintable():
        raise DomainError("bad_party", f"{party[:80]!r} is no party: write its number.")
    with conn.writing():
        if agent and conn.one("SELECT 1 FROM agent WHERE name = ?", (agent,)) is None:
            raise DomainError(
                "unknown_agent",
                f"No agent {agent[:200]} was ever heard of: write tenant/site/agent as GET /agents "
                "lists it; a new one must have been online once.",
            )
        conn.change(
            "INSERT INTO party (id, agent, changed_ms) VALUES (?, ?, ?) ON CONFLICT (id) "
            "DO UPDATE SET agent = excluded.agent, changed_ms = excluded.changed_ms",
            (party, agent, now_ms),
        )
        # What is on its way to the party and was not told to anybody.
        conn.change(
            "UPDATE shipment SET waits = 2 WHERE destination = ? AND told = '' "
            "AND state IN ('open', 'different')",
            (party,),
        )


def learned(conn: Connection, party: Party, now_ms: int) -> None:
    """What is sent to an agent of a party is kept, in the caller's transaction."""
    conn.change(
        "INSERT INTO party (id, parent, body, changed_ms) VALUES (?, ?, ?, ?) ON CONFLICT (id) "
        "DO UPDATE SET parent = excluded.parent, body = excluded.body, "
        "changed_ms = excluded.changed_ms",
        (party.id, party.parent, msgspec.json.encode(party).decode(), now_ms),
    )


def agent_of(conn: Connection, party: str) -> str:
    """The agent that keeps a party's books, "" = none does."""
    row = conn.one("SELECT agent FROM party WHERE id = ?", (party,))
    return "" if row is None else str(row[0])


def listed(conn: Connection, limit: int, after: str = "") -> list[dict[str, Any]]:
    """The parties in the order of their numbers."""
    rows = conn.rows(
        "SELECT id, agent, parent, body FROM party WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return [
        {
            "party": row[0],
            "agent": row[1] or None,
            "parent": row[2] or None,
            "told": msgspec.json.decode(row[3]) if row[3] else None,
        }
        for row in rows
    ]


def names(conn: Connection, party: str) -> dict[str, str]:
    """What a party is called, by language; {} where nobody said."""
    row = conn.one("SELECT body FROM party WHERE id = ?", (party,))
    if row is None or not row[0]:
        return {}
    told = msgspec.json.decode(row[0], type=Party).names
    return {str(language): name for language, name in told.items()}


def belonging(conn: Connection) -> Belongs:
    """Who is below whom, as it is now."""
    rows = conn.rows("SELECT id, parent FROM party WHERE parent <> ''")
    return below(dict(rows))


def below(parents: Mapping[str, str]) -> Belongs:
    """The same from a mapping of each party to the one above it. Pure."""

    def belongs(party: str, other: str) -> bool:
        at = party
        for _ in range(DEEPEST):
            if at == other:
                return True
            at = parents.get(at, "")
            if not at:
                return False
        return False

    return belongs
