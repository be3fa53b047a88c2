"""The warehouse: units that stand in one or are expected, documents, what was scanned for them,
what they moved, stock by place and by day."""

STATEMENTS = (
    # `unit`: one that this agent made (its content is in `code`), else told by others. Only an
    # outermost unit (parent 0) has a place; `content` is JSON [[product, lot, pieces]] of one that
    # we made and that holds several lots. `doc` is the document that moved it last (0: none, or
    # something else changed it since).
    """CREATE TABLE goods (
        id INTEGER PRIMARY KEY, ref TEXT NOT NULL UNIQUE, unit INTEGER, level TEXT NOT NULL,
        product TEXT NOT NULL, lot TEXT NOT NULL, expires TEXT NOT NULL, made_ms INTEGER NOT NULL,
        parent INTEGER NOT NULL, pieces INTEGER NOT NULL, content TEXT NOT NULL,
        integrity TEXT NOT NULL, state TEXT NOT NULL, party TEXT NOT NULL, location TEXT NOT NULL,
        since_ms INTEGER NOT NULL, sent_by TEXT NOT NULL, sent_to TEXT NOT NULL,
        sent_ms INTEGER NOT NULL, territory TEXT NOT NULL, channel TEXT NOT NULL,
        condition TEXT NOT NULL, doc INTEGER NOT NULL)""",
    "CREATE INDEX goods_inside ON goods (parent) WHERE parent > 0",
    "CREATE INDEX goods_own ON goods (unit) WHERE unit IS NOT NULL",
    "CREATE INDEX goods_here ON goods (party, location) WHERE parent = 0 AND state = 'stock'",
    """CREATE TABLE goods_code (
        text TEXT PRIMARY KEY, goods INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX goods_code_of ON goods_code (goods)",
    """CREATE TABLE lot_date (
        product TEXT, lot TEXT, date TEXT NOT NULL, PRIMARY KEY (product, lot)) WITHOUT ROWID""",
    """CREATE TABLE level_size (
        product TEXT, level TEXT, pieces INTEGER NOT NULL,
        PRIMARY KEY (product, level)) WITHOUT ROWID""",
    # `lines` is JSON; `rank` the journal row that opened it.
    """CREATE TABLE document (
        id INTEGER PRIMARY KEY, party TEXT NOT NULL, number TEXT NOT NULL, kind TEXT NOT NULL,
        status TEXT NOT NULL, location TEXT NOT NULL, other TEXT NOT NULL, dest TEXT NOT NULL,
        territory TEXT NOT NULL, channel TEXT NOT NULL, lines TEXT NOT NULL, paper TEXT NOT NULL,
        blind INTEGER NOT NULL, source TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
        condition TEXT NOT NULL, device TEXT NOT NULL, round INTEGER NOT NULL,
        opened_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL, ending TEXT NOT NULL,
        rank INTEGER NOT NULL, posted INTEGER NOT NULL, UNIQUE (party, number))""",
    "CREATE INDEX document_status ON document (party, status, id)",
    "CREATE INDEX document_paper ON document (party, paper) WHERE paper <> ''",
    # Outermost units that a document expects; `done` by which document.
    """CREATE TABLE document_goods (
        document INTEGER, goods INTEGER, done INTEGER NOT NULL,
        PRIMARY KEY (document, goods)) WITHOUT ROWID""",
    "CREATE INDEX document_goods_of ON document_goods (goods)",
    # `held_at` is the location whose stock it reserves ("" = none); `content` JSON.
    """CREATE TABLE claim (
        ref TEXT, document INTEGER, party TEXT NOT NULL, level TEXT NOT NULL,
        content TEXT NOT NULL, held_at TEXT, device TEXT NOT NULL, seq INTEGER NOT NULL,
        by TEXT NOT NULL, at_ms INTEGER NOT NULL, answer TEXT NOT NULL, reason TEXT NOT NULL,
        condition TEXT NOT NULL, above TEXT NOT NULL, PRIMARY KEY (ref, document)) WITHOUT ROWID""",
    "CREATE INDEX claim_of ON claim (document, at_ms)",
    """CREATE TABLE claim_above (
        above TEXT, document INTEGER, ref TEXT,
        PRIMARY KEY (above, document, ref)) WITHOUT ROWID""",
    """CREATE TABLE claimed (
        document INTEGER, product TEXT, lot TEXT, pieces INTEGER NOT NULL,
        PRIMARY KEY (document, product, lot)) WITHOUT ROWID""",
    """CREATE TABLE item_done (
        device TEXT, seq INTEGER, party TEXT NOT NULL, do TEXT NOT NULL, document TEXT NOT NULL,
        ref TEXT NOT NULL, code TEXT NOT NULL, verdict TEXT NOT NULL, args TEXT NOT NULL,
        item TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL, device_ms INTEGER NOT NULL,
        open INTEGER, rank INTEGER NOT NULL, PRIMARY KEY (device, seq)) WITHOUT ROWID""",
    "CREATE INDEX item_open ON item_done (party, document, code) WHERE open IS NOT NULL",
    # What a posting moved: the place before it (JSON), the sums that it changed (JSON).
    """CREATE TABLE posted (
        document INTEGER, goods INTEGER, before TEXT NOT NULL, sums TEXT NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (document, goods)) WITHOUT ROWID""",
    "CREATE INDEX posted_of ON posted (goods)",
    """CREATE TABLE stock (
        party TEXT, product TEXT, lot TEXT, location TEXT, pieces INTEGER NOT NULL,
        claimed INTEGER NOT NULL, PRIMARY KEY (party, product, lot, location)) WITHOUT ROWID""",
    # Pieces by which the stock changed.
    """CREATE TABLE ledger (
        party TEXT, day TEXT, product TEXT, lot TEXT, location TEXT, kind TEXT,
        pieces INTEGER NOT NULL,
        PRIMARY KEY (party, day, product, lot, location, kind)) WITHOUT ROWID""",
)

REPLAYED = (
    "goods",
    "goods_code",
    "lot_date",
    "level_size",
    "document",
    "document_goods",
    "claim",
    "claim_above",
    "claimed",
    "item_done",
    "posted",
    "stock",
    "ledger",
)
"""The tables that a replay builds."""
