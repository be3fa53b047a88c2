"""The way to the cloud: how far it is, where it can go on, and what did not get through."""

STATEMENTS = (
    # One row: the cloud has the journal up to here.
    """CREATE TABLE sync_acked (
        one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL,
        at_ms INTEGER NOT NULL)""",
    # What the translator of rows remembers, after some of them.
    "CREATE TABLE sync_mark (seq INTEGER PRIMARY KEY, state BLOB NOT NULL)",
    # Documents that were refused: here before they left, or by the cloud.
    """CREATE TABLE sync_parked (
        seq INTEGER NOT NULL, n INTEGER NOT NULL, side TEXT NOT NULL, reason TEXT NOT NULL,
        body BLOB NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (seq, n, side)) WITHOUT ROWID""",
)
