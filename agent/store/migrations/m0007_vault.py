"""Restored backups and archived rows: pools in question, and which rows moved to which file."""

STATEMENTS = (
    # Since this row (Restored) nobody can say which codes of the pool were printed; pool 0 stands
    # for those that are not here.
    "CREATE TABLE in_question (pool INTEGER PRIMARY KEY, seq INTEGER NOT NULL)",
    # Pools that a machine used whose restored copy this is, and may not have itself.
    """CREATE TABLE used_before (seal TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID""",
    # Journal rows that stand in a file of their own: `hash` is the chain's at `last`, `seal` the
    # BLAKE2b-256 of the file, `bytes` its size.
    """CREATE TABLE archive (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL UNIQUE, file TEXT NOT NULL UNIQUE,
        hash BLOB NOT NULL, seal BLOB NOT NULL, bytes INTEGER NOT NULL,
        made_ms INTEGER NOT NULL)""",
    """CREATE TRIGGER archive_is_append_only_1 BEFORE UPDATE ON archive
        BEGIN SELECT RAISE(ABORT, 'the list of archives is append-only'); END""",
    """CREATE TRIGGER archive_is_append_only_2 BEFORE DELETE ON archive
        BEGIN SELECT RAISE(ABORT, 'the list of archives is append-only'); END""",
    # They follow one another, each sealed by the hash of its last row; the newest row stays.
    """CREATE TRIGGER archive_follows BEFORE INSERT ON archive
        WHEN new.first <> (SELECT coalesce(max(last), 0) + 1 FROM archive)
            OR new.last >= (SELECT max(seq) FROM journal)
            OR new.hash IS NOT (SELECT hash FROM journal WHERE seq = new.last)
        BEGIN SELECT RAISE(ABORT, 'an archive must hold the oldest rows'); END""",
    "DROP TRIGGER journal_is_append_only_2",
    """CREATE TRIGGER journal_is_append_only_2 BEFORE DELETE ON journal
        WHEN old.seq > (SELECT coalesce(max(last), 0) FROM archive)
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
)

REPLAYED = ("in_question", "used_before")
"""The tables that a replay builds."""
