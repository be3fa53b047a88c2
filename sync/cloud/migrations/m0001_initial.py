"""The first tables of the cloud.

What agents say is only ever added, so the order in which their streams arrive cannot matter: what
is true now is folded from the rows of the things concerned (`sync.cloud.fold`).
"""

STATEMENTS = (
    # The agents, and what each says of itself (its State message as JSON).
    """CREATE TABLE agent (id {serial}, name TEXT NOT NULL UNIQUE, online INTEGER,
        state TEXT, state_ms {big})""",
    # What is applied of each stream, an agent's epoch: rows `first` to `upto`; `hash` is the
    # journal's chain at `upto`. From `cut` on a later epoch has rows of its own (a restore).
    """CREATE TABLE watermark (id {serial}, agent {big} NOT NULL REFERENCES agent (id),
        epoch TEXT NOT NULL, first {big} NOT NULL, upto {big} NOT NULL, hash {key} NOT NULL,
        cut {big}, event_ms {big}, heard_ms {big} NOT NULL, UNIQUE (agent, epoch))""",
    # Every batch as it was received.
    """CREATE TABLE batch (stream {big} NOT NULL, first {big} NOT NULL, last {big} NOT NULL,
        hash {key} NOT NULL, payload {bytes} NOT NULL, arrived_ms {big} NOT NULL,
        PRIMARY KEY (stream, last)) {bare}""",
    # Which events (ids from `first` to `last`) one transaction added: what a reader that comes
    # again has not seen.
    """CREATE TABLE arrival (id {serial}, xid {big} NOT NULL DEFAULT {xid}, first {big} NOT NULL,
        last {big} NOT NULL, ms {big} NOT NULL)""",
    "CREATE INDEX arrival_xid ON arrival (xid, id)",
    # One event of a document; (stream, seq, n, part) is its identity, `uuid` its eventID, `detail`
    # what many events have in common.
    """CREATE TABLE event (id {big} PRIMARY KEY, stream {big} NOT NULL, seq {big} NOT NULL,
        n INTEGER NOT NULL, part INTEGER NOT NULL, uuid {key} NOT NULL, ms {big} NOT NULL,
        detail {key} NOT NULL)""",
    "CREATE TABLE detail (key {key} PRIMARY KEY, body TEXT NOT NULL) {bare}",
    # A commissioned code; a second one with the same key is a row of `claim`.
    "CREATE TABLE unit (key {key} PRIMARY KEY, text TEXT NOT NULL, event {big} NOT NULL) {bare}",
    # A further code of a unit; the same.
    """CREATE TABLE alias (key {key} PRIMARY KEY, unit {key} NOT NULL, text TEXT NOT NULL,
        role TEXT NOT NULL, pair TEXT NOT NULL, event {big} NOT NULL) {bare}""",
    "CREATE INDEX alias_unit ON alias (unit)",
    # Who is named in an aggregation, and in an event about things themselves.
    """CREATE TABLE link (child {key} NOT NULL, event {big} NOT NULL,
        PRIMARY KEY (child, event)) {bare}""",
    """CREATE TABLE movement (key {key} NOT NULL, event {big} NOT NULL,
        PRIMARY KEY (key, event)) {bare}""",
    "CREATE INDEX movement_event ON movement (event)",
    # A statement about a container; `children` are their keys in a row.
    """CREATE TABLE box (event {big} PRIMARY KEY, parent {key} NOT NULL, text TEXT NOT NULL,
        children {bytes} NOT NULL) {bare}""",
    "CREATE INDEX box_parent ON box (parent, event)",
    # Further statements of what a code is (kind: unit or alias). `duplicate`: two things claim it.
    """CREATE TABLE claim (key {key} NOT NULL, event {big} NOT NULL, kind TEXT NOT NULL,
        unit {key}, text TEXT NOT NULL, role TEXT NOT NULL, pair TEXT NOT NULL,
        duplicate INTEGER NOT NULL, ms {big} NOT NULL, PRIMARY KEY (key, event, kind)) {bare}""",
    "CREATE INDEX claim_unit ON claim (unit)",
    # Documents that were not applied. state: open, applied, discarded.
    """CREATE TABLE dead_letter (id {serial}, stream {big} NOT NULL, seq {big} NOT NULL,
        n INTEGER NOT NULL, parts INTEGER NOT NULL, reason TEXT NOT NULL, doc {bytes} NOT NULL,
        ms {big} NOT NULL, state TEXT NOT NULL DEFAULT 'open', why TEXT NOT NULL DEFAULT '',
        who TEXT NOT NULL DEFAULT '', closed_ms {big}, UNIQUE (stream, seq, n))""",
    "CREATE INDEX dead_letter_open ON dead_letter (state, id)",
    # Payloads that were no batch of ours; the beginning of each is kept.
    """CREATE TABLE refused (id {serial}, agent TEXT NOT NULL, digest {key} NOT NULL,
        reason TEXT NOT NULL, text TEXT NOT NULL, size {big} NOT NULL, head {bytes} NOT NULL,
        first_ms {big} NOT NULL, last_ms {big} NOT NULL, times {big} NOT NULL,
        UNIQUE (agent, digest))""",
    # Batches that belong to another chain than the one that was acknowledged, and restores.
    """CREATE TABLE fork (id {serial}, agent TEXT NOT NULL, epoch TEXT NOT NULL,
        kind TEXT NOT NULL, first {big} NOT NULL, last {big} NOT NULL, upto {big} NOT NULL,
        text TEXT NOT NULL, first_ms {big} NOT NULL, last_ms {big} NOT NULL, times {big} NOT NULL,
        UNIQUE (agent, epoch, kind, first))""",
    # Who may ask; `hash` is SHA-256 of the token in hex.
    """CREATE TABLE token (name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE,
        manage INTEGER NOT NULL, made_ms {big} NOT NULL, revoked_ms {big})""",
    "CREATE TABLE counter (name TEXT PRIMARY KEY, next {big} NOT NULL)",
    "INSERT INTO counter VALUES ('event', 1)",
)

COLUMNS = {
    "event": ("id", "stream", "seq", "n", "part", "uuid", "ms", "detail"),
    "unit": ("key", "text", "event"),
    "alias": ("key", "unit", "text", "role", "pair", "event"),
    "link": ("child", "event"),
    "movement": ("key", "event"),
    "box": ("event", "parent", "text", "children"),
}
"""The tables that are written in bulk, in the order of their columns."""
