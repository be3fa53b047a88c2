"""Goods between parties: what moved, whose agents are whose, what inspectors found, who scanned.

`posting`, `passage` and `sighting` are written with the event that they are of, and only added to;
`shipment` and `diversion` are what `sync.cloud.follower` has made of them, and may be made anew.
"""

STATEMENTS = (
    # Pieces that an event moved for a party, by product and lot; those of an event that was taken
    # back come again with the sign turned.
    """CREATE TABLE posting (event {big} NOT NULL, n INTEGER NOT NULL, party TEXT NOT NULL,
        kind TEXT NOT NULL, day TEXT NOT NULL, product TEXT NOT NULL, lot TEXT NOT NULL,
        pieces {big} NOT NULL, PRIMARY KEY (event, n))""",
    "CREATE INDEX posting_party ON posting (party, day)",
    # Events of one shipment: from a party, to a party, by a paper.
    """CREATE TABLE passage (shipment {key} NOT NULL, event {big} NOT NULL,
        PRIMARY KEY (shipment, event))""",
    "CREATE INDEX passage_event ON passage (event)",
    # Goods that a warehouse or an inspector saw.
    """CREATE TABLE sighting (key {key} NOT NULL, event {big} NOT NULL,
        PRIMARY KEY (key, event))""",
    "CREATE INDEX sighting_event ON sighting (event)",
    # Who is who: `agent` keeps the party's books ("" = nobody does), `parent` is whose customer it
    # is. `body` is what was sent to agents of it.
    """CREATE TABLE party (id TEXT PRIMARY KEY, agent TEXT NOT NULL DEFAULT '',
        parent TEXT NOT NULL DEFAULT '', body TEXT NOT NULL DEFAULT '',
        changed_ms {big} NOT NULL)""",
    # What inspectors found.
    """CREATE TABLE inspection (id {serial}, key {key} NOT NULL, code TEXT NOT NULL,
        party TEXT NOT NULL, territory TEXT NOT NULL, channel TEXT NOT NULL, place TEXT NOT NULL,
        inspector TEXT NOT NULL, note TEXT NOT NULL, who TEXT NOT NULL, ms {big} NOT NULL)""",
    "CREATE INDEX inspection_key ON inspection (key)",
    # How often each kind of person asked for a code.
    """CREATE TABLE scan (key {key} NOT NULL, actor TEXT NOT NULL, times {big} NOT NULL,
        first_ms {big} NOT NULL, last_ms {big} NOT NULL, place TEXT NOT NULL,
        PRIMARY KEY (key, actor))""",
    # Up to where the follower has looked; `turn` changes with every change, so that of two that
    # look at once one is refused.
    """CREATE TABLE follower (name TEXT PRIMARY KEY, xid {big} NOT NULL, arrival {big} NOT NULL,
        event {big} NOT NULL, inspection {big} NOT NULL, turn {big} NOT NULL)""",
    "INSERT INTO follower VALUES ('goods', 0, 0, 0, 0, 0)",
    # Whoever adds an inspection changes this row: so they are seen in the order of their numbers.
    "INSERT INTO follower VALUES ('inspections', 0, 0, 0, 0, 0)",
    # A shipment as it is known now; `body` is JSON. `asn` is the command that told its receiver,
    # `told` the shipping event that it told of; `waits`: something is still to be done (2: now).
    """CREATE TABLE shipment (key {key} PRIMARY KEY, number TEXT NOT NULL,
        source TEXT NOT NULL, destination TEXT NOT NULL, state TEXT NOT NULL,
        waits INTEGER NOT NULL, ms {big} NOT NULL, body TEXT NOT NULL, asn TEXT NOT NULL DEFAULT '',
        told TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX shipment_state ON shipment (state, ms)",
    "CREATE INDEX shipment_waits ON shipment (waits)",
    # A unit that was seen elsewhere than where it was sent. `root` is what was named when it was
    # seen, `body` the evidence as JSON.
    """CREATE TABLE diversion (root {key} NOT NULL, unit {key} NOT NULL, case_key {key} NOT NULL,
        ms {big} NOT NULL, weakest TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (root, unit, case_key))""",
    "CREATE INDEX diversion_of_case ON diversion (case_key, ms)",
    # All of one shipment that were seen at one place; `rightful` is to whom they were sent.
    """CREATE TABLE diversion_case (key {key} PRIMARY KEY, state TEXT NOT NULL, ms {big} NOT NULL,
        rightful TEXT NOT NULL, party TEXT NOT NULL)""",
)
