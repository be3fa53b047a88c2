"""The first layout (docs/adr/0002-store.md says why it looks like this)."""

STATEMENTS = (
    # ---- source data: never rebuilt
    "CREATE TABLE epoch (first INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL,
        clock INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL,
        body TEXT NOT NULL, hash BLOB NOT NULL)""",
    """CREATE TRIGGER journal_is_append_only_1 BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER journal_is_append_only_2 BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    "CREATE TABLE pool_code (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    # Only where the text to print is not the canonical one.
    "CREATE TABLE pool_spelling (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "CREATE TABLE code_index (text TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID",
    # ---- a line's state: derived by the core, not by the tables
    """CREATE TABLE line_state (
        line INTEGER PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL)""",
    # ---- tables that a replay of the journal builds
    """CREATE TABLE pool (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, level TEXT NOT NULL, roles TEXT NOT NULL,
        secret TEXT NOT NULL, product TEXT NOT NULL, scope TEXT NOT NULL, membership TEXT NOT NULL,
        rule TEXT NOT NULL, count INTEGER NOT NULL, sha256 TEXT NOT NULL, campaign TEXT NOT NULL,
        lot TEXT NOT NULL, preprinted INTEGER NOT NULL, parent_column INTEGER NOT NULL,
        rolls TEXT NOT NULL, next_position INTEGER NOT NULL, seq INTEGER NOT NULL)""",
    # One row for each code of each pool, written at import; the row of a unit's home code is the
    # unit's row too. `room` is ballast that goes when the row is first used, and `parent` is the
    # unit itself while it is in no container: a row never grows, so no page is ever split.
    """CREATE TABLE code (
        id INTEGER PRIMARY KEY,
        state INTEGER NOT NULL, integrity INTEGER, moved INTEGER, seq INTEGER,
        unit INTEGER, unit_state INTEGER, level INTEGER, ord INTEGER, flags INTEGER,
        parent INTEGER, room BLOB)""",
    "CREATE TABLE unit_at (first INTEGER PRIMARY KEY, id INTEGER NOT NULL)",
    "CREATE TABLE unit_code (unit INTEGER, id INTEGER, PRIMARY KEY (unit, id)) WITHOUT ROWID",
    "CREATE TABLE unit_event (unit INTEGER, seq INTEGER, PRIMARY KEY (unit, seq)) WITHOUT ROWID",
    """CREATE TABLE container (
        unit INTEGER PRIMARY KEY, expected INTEGER NOT NULL, station INTEGER NOT NULL,
        number INTEGER NOT NULL, count INTEGER NOT NULL, unknown INTEGER NOT NULL,
        integrity INTEGER, own INTEGER, code INTEGER, label INTEGER,
        packed INTEGER, assigned INTEGER, bound INTEGER, closed INTEGER,
        reason TEXT NOT NULL, closed_by TEXT NOT NULL, verdict TEXT NOT NULL)""",
    """CREATE TABLE work_order (
        number TEXT PRIMARY KEY, line TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
        created INTEGER NOT NULL, started INTEGER, finished INTEGER) WITHOUT ROWID""",
    """CREATE TABLE alarm (
        raised INTEGER PRIMARY KEY, line TEXT NOT NULL, alarm TEXT NOT NULL,
        priority INTEGER NOT NULL, key TEXT NOT NULL, station TEXT NOT NULL, item INTEGER,
        args TEXT NOT NULL, acknowledged INTEGER, acknowledged_by TEXT NOT NULL,
        cleared INTEGER)""",
    "CREATE UNIQUE INDEX alarm_open ON alarm (line, alarm) WHERE cleared IS NULL",
)

REPLAYED = (
    "pool",
    "code",
    "unit_at",
    "unit_code",
    "unit_event",
    "container",
    "work_order",
    "alarm",
)
"""The tables that a replay builds."""
