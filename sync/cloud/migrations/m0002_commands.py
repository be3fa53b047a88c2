"""Commands to agents, and the code pools that went with some of them."""

STATEMENTS = (
    # `uid` is its identity everywhere; `about` says in a word what it is of; `sum` and `size` are
    # of its content, which is in `command_part` until it is answered. `ok` is NULL until then.
    """CREATE TABLE command (id {serial}, uid TEXT NOT NULL UNIQUE, agent TEXT NOT NULL,
        kind TEXT NOT NULL, about TEXT NOT NULL, parts INTEGER NOT NULL, size {big} NOT NULL,
        sum TEXT NOT NULL, who TEXT NOT NULL, made_ms {big} NOT NULL, sent_ms {big}, ok INTEGER,
        reason TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '', body TEXT,
        answered_ms {big})""",
    "CREATE INDEX command_open ON command (agent, id) WHERE answered_ms IS NULL",
    "CREATE INDEX command_agent ON command (agent, id)",
    """CREATE TABLE command_part (command {big} NOT NULL, n INTEGER NOT NULL, data {bytes} NOT NULL,
        PRIMARY KEY (command, n))""",
    # Which consumer sends an agent its commands, until when.
    """CREATE TABLE command_turn (agent TEXT PRIMARY KEY, holder TEXT NOT NULL,
        until_ms {big} NOT NULL)""",
    # What is sealed for an agent: the key that was first seen, or that a person named.
    "CREATE TABLE agent_key (agent TEXT PRIMARY KEY, key TEXT NOT NULL, since_ms {big} NOT NULL)",
    # The pools that were sent, by the name that is in their codes' URIs. `roles` and `secret` are
    # JSON lists, `sum` is the SHA-256 of the file.
    """CREATE TABLE pool (id {serial}, name TEXT NOT NULL UNIQUE, command {big} NOT NULL,
        level TEXT NOT NULL, roles TEXT NOT NULL, secret TEXT NOT NULL, count {big} NOT NULL,
        sum TEXT NOT NULL, made_ms {big} NOT NULL)""",
    """CREATE TABLE pool_code (pool {big} NOT NULL, role INTEGER NOT NULL, position {big} NOT NULL,
        key {key} NOT NULL, text TEXT NOT NULL, PRIMARY KEY (pool, role, position)) {bare}""",
    "CREATE INDEX pool_code_key ON pool_code (key)",
)
