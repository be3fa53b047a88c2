"""What the record says around a clearance that the audit must know: who is in doubt only because a
person signed for it, whether hands were told to have been at the belts, and what gates let through.
"""

from agent.core import facts
from agent.store import balance, journal, trace
from agent.store.database import Connection

HANDS = frozenset({"jam", "guard_open"})
"""Disturbances of a path in which hands may reach it."""


def doubted(conn: Connection, level: str) -> frozenset[str]:
    """The codes of the units of a level that are in doubt now."""
    return frozenset(unit.code for unit in balance.recorded_units(conn, level) if unit.doubtful)


def hands_told(conn: Connection) -> bool:
    """Whether the record says that hands may have changed what lay on the belts."""
    return any(
        isinstance(entry.fact, facts.PathDisturbed) and entry.fact.why in HANDS
        for entry in journal.read_kinds(conn, facts.PathDisturbed)
    )


def let_through(conn: Connection) -> frozenset[str]:
    """The codes that were read on things which a gate was to take and did not."""
    return frozenset(
        trace.shown(conn, key)
        for entry in journal.read_kinds(conn, facts.RejectFailed)
        if isinstance(entry.fact, facts.RejectFailed)
        for key in entry.fact.codes
    )
