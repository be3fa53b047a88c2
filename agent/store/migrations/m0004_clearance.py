"""Line clearance: what was signed, and rolls of pre-printed codes that are used up."""

STATEMENTS = (
    """CREATE TABLE clearance (
        seq INTEGER PRIMARY KEY, number TEXT NOT NULL, line TEXT NOT NULL,
        balanced INTEGER NOT NULL, missing TEXT NOT NULL, counts TEXT NOT NULL,
        voided INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL)""",
    """CREATE TABLE roll_closed (
        pool INTEGER NOT NULL, first INTEGER NOT NULL, roll TEXT NOT NULL, count INTEGER NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (pool, first)) WITHOUT ROWID""",
)

REPLAYED = ("clearance", "roll_closed")
"""The tables that a replay builds."""
