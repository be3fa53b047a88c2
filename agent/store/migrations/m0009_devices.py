"""Devices that scan, when they were last heard, and who is logged in on them."""

STATEMENTS = (
    # locations and operations are JSON lists; enrolled and revoked are journal rows.
    """CREATE TABLE pda (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, token TEXT NOT NULL,
        party TEXT NOT NULL, locations TEXT NOT NULL, operations TEXT NOT NULL,
        model TEXT NOT NULL, by TEXT NOT NULL, enrolled INTEGER NOT NULL,
        revoked INTEGER, revoked_by TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '')
        WITHOUT ROWID""",
    # What it said of itself: how many items wait on it, how far its clock is from ours.
    """CREATE TABLE pda_seen (
        device TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, queue INTEGER NOT NULL,
        skew_ms INTEGER NOT NULL) WITHOUT ROWID""",
    # token is a SHA-256; stamp is that of the person's PIN at the time.
    """CREATE TABLE pda_login (
        token TEXT PRIMARY KEY, device TEXT NOT NULL, badge TEXT NOT NULL, stamp TEXT NOT NULL,
        began_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL)
        WITHOUT ROWID""",
    "CREATE INDEX pda_login_of ON pda_login (device, badge)",
)

REPLAYED = ("pda",)
"""The tables that a replay builds."""
