"""What people do with units: memberships and attachments that ended, holds, and void rows."""

STATEMENTS = (
    # A child that left a container: `since` and `until` are the journal rows of Packed, Unpacked.
    """CREATE TABLE membership (
        child INTEGER NOT NULL, until INTEGER NOT NULL, container INTEGER NOT NULL,
        since INTEGER NOT NULL, PRIMARY KEY (child, until)) WITHOUT ROWID""",
    # A code that was on a unit until the unit was relabelled.
    """CREATE TABLE former_code (
        id INTEGER PRIMARY KEY, unit INTEGER NOT NULL, since INTEGER, until INTEGER NOT NULL)""",
    "CREATE INDEX former_code_of ON former_code (unit)",
    # Of a lot (product, lot) or a range of codes (pool >= 0), or of the units in hold_unit.
    """CREATE TABLE hold (
        id INTEGER PRIMARY KEY, product TEXT NOT NULL, lot TEXT NOT NULL, pool INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL,
        placed INTEGER NOT NULL, released INTEGER)""",
    """CREATE TABLE hold_unit (
        hold INTEGER NOT NULL, unit INTEGER NOT NULL, released INTEGER,
        PRIMARY KEY (hold, unit)) WITHOUT ROWID""",
    # Rows of a pool that were made void before their turn came: they are passed over.
    """CREATE TABLE pool_hole (
        pool INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (pool, first, count)) WITHOUT ROWID""",
    "CREATE INDEX hold_unit_of ON hold_unit (unit)",
)

REPLAYED = ("membership", "former_code", "hold", "hold_unit", "pool_hole")
"""The tables that a replay builds."""
