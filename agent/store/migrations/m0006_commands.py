"""Commands of the cloud: those that are not whole yet, those that are done, what they brought."""

STATEMENTS = (
    # A command whose parts are coming; `sum` is the SHA-256 of the whole.
    """CREATE TABLE inbox (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        parts INTEGER NOT NULL, size INTEGER NOT NULL, sum TEXT NOT NULL)""",
    """CREATE TABLE inbox_part (
        number INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (number, n))""",
    # ---- tables that a replay of the journal builds
    """CREATE TABLE command (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, ok INTEGER NOT NULL, reason TEXT NOT NULL,
        text TEXT NOT NULL, body TEXT NOT NULL, sum TEXT NOT NULL,
        seq INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE reference (
        kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (kind, key)) WITHOUT ROWID""",
)

REPLAYED = ("command", "reference")
"""The tables that a replay builds."""
