"""Commands to agents: a durable queue for each, and what became of them.

A command is checked before it is queued, sent while its agent is online (sync.cloud.courier), one
after the other in the order in which they were asked for, and again until it is answered. Its
content goes when it is answered; the answer stays.
"""

import hashlib
import os
from typing import Any, NamedTuple

import msgspec

from agent.core.errors import DomainError
from agent.core.poolfile import Declared, PoolFile, rule_pool
from agent.core.poolread import read_pool
from agent.core.poolrule import Rule
from agent.ports.cloud import Announced
from sync import kinds, parts
from sync.cloud import parties, pools
from sync.cloud.database import Connection
from sync.kinds import Pool
from sync.messages import Answer, State
from sync.sealed import seal

MOST_OPEN = 10_000
"""Commands that may wait for one agent."""
WITHDRAWN = "withdrawn"
"""The reason of a command that was taken back; an answer that comes all the same replaces it."""
_ABOUT = ("number", "sku", "id", "device", "first")
"""Fields that say in a word what a command is about."""


class Waiting(NamedTuple):
    """The next command of an agent."""

    id: int
    uid: str
    agent: str
    what: Announced


# ---------------------------------------------------------------------------------- asking for


def send(
    conn: Connection, agent: str, kind: str, content: bytes, who: str, now_ms: int, uid: str = ""
) -> str:
    """Queue a command whose content is JSON; its id. DomainError: it is not what its kind is, the
    agent is not known, or it is asked for already under this `uid`."""
    with conn.writing():
        return queue(conn, agent, kind, content, who, now_ms, uid)


def queue(
    conn: Connection, agent: str, kind: str, content: bytes, who: str, now_ms: int, uid: str = ""
) -> str:
    """The same as `send`, in the caller's transaction."""
    asked = kinds.parse(kind, content)
    about = next((str(getattr(asked, name)) for name in _ABOUT if hasattr(asked, name)), "")
    exact = kinds.pack(kind, msgspec.json.encode(asked))
    _known(conn, agent)
    if isinstance(asked, kinds.Party):
        parties.learned(conn, asked, now_ms)
    return _queue(conn, agent, kind, about, exact, who, now_ms, uid)[1]


def send_pool(
    conn: Connection,
    agent: str,
    head: Pool,
    file: bytes,
    who: str,
    now_ms: int,
    key: str = "",
    uid: str = "",
) -> str:
    """Check a pool file, keep its texts, and queue it sealed to the agent's key; the command's id.
    `key`: the agent's key as `caselink sync key` says there; without it the one that was seen
    first. DomainError: the file is wrong (PoolRefused says where), its name or codes were sent
    before, or no key is known."""
    digest = hashlib.sha256(file).hexdigest()
    declared = head.declared()
    read = _read(head, declared, file)
    if not head.rule:
        head = msgspec.structs.replace(head, count=read.count, sha256=digest)
    packed = kinds.pack_pool(head, file)
    uid = uid or _uid(agent)
    with conn.writing():
        public = _key(conn, agent, key, now_ms)
        sealed = seal(public, packed, kinds.about(agent, uid))
        number, uid = _queue(conn, agent, "pool", head.name, sealed, who, now_ms, uid)
        pools.add(conn, read, digest, number, now_ms)
    return uid


def _read(head: Pool, declared: Declared, file: bytes) -> PoolFile:
    if head.rule:
        return rule_pool(declared, Rule.parse(head.rule))
    return read_pool(file, declared)


def _uid(agent: str) -> str:
    return f"{agent.rpartition('/')[2][:32]}-{os.urandom(10).hex()}"


def _queue(
    conn: Connection,
    agent: str,
    kind: str,
    about: str,
    content: bytes,
    who: str,
    now_ms: int,
    uid: str,
) -> tuple[int, str]:
    _known(conn, agent)
    uid = uid or _uid(agent)
    row = conn.one("SELECT count(*) FROM command WHERE agent = ? AND answered_ms IS NULL", (agent,))
    if row is not None and row[0] >= MOST_OPEN:
        raise DomainError(
            "too_many_commands",
            f"{row[0]} commands wait for {agent}: see that it comes online first.",
        )
    if conn.one("SELECT 1 FROM command WHERE uid = ?", (uid,)) is not None:
        raise DomainError("id_taken", f"There is a command {uid} already: look at its answer.")
    shares = parts.cut(content)
    found = conn.one(
        "INSERT INTO command (uid, agent, kind, about, parts, size, sum, who, made_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            uid,
            agent,
            kind,
            about[:200],
            len(shares),
            len(content),
            parts.digest(content),
            who[:64],
            now_ms,
        ),
    )
    assert found is not None
    number = int(found[0])
    conn.change_many(
        "INSERT INTO command_part VALUES (?, ?, ?)",
        [(number, n, bytearray(share)) for n, share in enumerate(shares)],
    )
    return number, uid


def _known(conn: Connection, agent: str) -> str:
    """What the agent said of itself last. DomainError: it was never heard of."""
    row = conn.one("SELECT state FROM agent WHERE name = ?", (agent,))
    if row is None:
        raise DomainError(
            "unknown_agent",
            f"No agent {agent[:200]} was ever heard of: write tenant/site/agent as GET /agents "
            "lists it; a new one must have been online once.",
        )
    return str(row[0] or "")


def _key(conn: Connection, agent: str, given: str, now_ms: int) -> str:
    """What to seal with. A key that changes by itself is not believed."""
    state = _known(conn, agent)
    said = msgspec.json.decode(state, type=State).key if state else ""
    row = conn.one("SELECT key FROM agent_key WHERE agent = ?", (agent,))
    kept = "" if row is None else str(row[0])
    key = given.strip().lower() or kept or said
    if not key:
        raise DomainError(
            "key_unknown",
            f"{agent} has not said its key yet: wait until it was online, or name what caselink "
            "sync key prints there with --key.",
        )
    if not given and said and said != key:
        raise DomainError(
            "key_changed",
            f"{agent} says that its key is {said} now, it was {key}: run caselink sync key there; "
            "if it is right, send with --key and this key, else find out who speaks for it.",
        )
    seal(key, b"", "")  # refuses what is no key
    conn.change(
        "INSERT INTO agent_key VALUES (?, ?, ?) ON CONFLICT (agent) DO UPDATE SET "
        "key = excluded.key, since_ms = excluded.since_ms",
        (agent, key, now_ms),
    )
    return key


# ------------------------------------------------------------------------------------- sending


def waiting(conn: Connection, most: int) -> list[Waiting]:
    """The next command of each agent that is online and has one."""
    rows = conn.rows(
        "SELECT c.id, c.uid, c.agent, c.kind, c.parts, c.size, c.sum FROM command c WHERE c.id IN "
        "(SELECT min(o.id) FROM command o JOIN agent a ON a.name = o.agent "
        "WHERE o.answered_ms IS NULL AND a.online = 1 GROUP BY o.agent) ORDER BY c.id LIMIT ?",
        (most,),
    )
    return [Waiting(int(row[0]), row[1], row[2], Announced(*row[3:])) for row in rows]


def take_turn(conn: Connection, agent: str, holder: str, now_ms: int, until_ms: int) -> bool:
    """Whether this consumer is the one that sends to an agent, until then."""
    with conn.writing():
        changed = conn.change(
            "INSERT INTO command_turn VALUES (?, ?, ?) ON CONFLICT (agent) DO UPDATE SET "
            "holder = excluded.holder, until_ms = excluded.until_ms "
            "WHERE command_turn.holder = excluded.holder OR command_turn.until_ms < ?",
            (agent, holder, until_ms, now_ms),
        )
    return changed == 1


def part(conn: Connection, command: int, n: int) -> bytes | None:
    """A part of a command's content; None: it was answered meanwhile."""
    row = conn.one("SELECT data FROM command_part WHERE command = ? AND n = ?", (command, n))
    return None if row is None else bytes(row[0])


def sent(conn: Connection, command: int, now_ms: int) -> None:
    """The first part is on its way for the first time."""
    with conn.writing():
        conn.change(
            "UPDATE command SET sent_ms = ? WHERE id = ? AND sent_ms IS NULL", (now_ms, command)
        )


def answered(conn: Connection, agent: str, answer: Answer, now_ms: int) -> bool:
    """Keep the last word on a command of this agent; False: it had one, or is not of this agent."""
    body = None if answer.body is None else msgspec.json.encode(answer.body).decode()[:20_000]
    with conn.writing():
        row = conn.one(
            "UPDATE command SET ok = ?, reason = ?, text = ?, body = ?, answered_ms = ? "
            "WHERE uid = ? AND agent = ? AND (answered_ms IS NULL OR reason = ?) RETURNING id",
            (int(answer.ok), answer.reason, answer.text, body, now_ms, answer.id, agent, WITHDRAWN),
        )
        if row is not None:
            conn.change("DELETE FROM command_part WHERE command = ?", (row[0],))
    return row is not None


def withdraw(conn: Connection, uid: str, who: str, now_ms: int) -> None:
    """Do not send a command any more. DomainError: there is none, it is answered, or it is a pool
    of which something was sent: its codes might be issued twice."""
    with conn.writing():
        row = conn.one("SELECT id, kind, sent_ms, answered_ms FROM command WHERE uid = ?", (uid,))
        if row is None:
            raise _unknown(uid)
        if row[3] is not None:
            raise DomainError(
                "command_closed", f"Command {uid} is answered: nothing is left to do."
            )
        if row[1] == "pool" and row[2] is not None:
            raise DomainError(
                "command_sent",
                f"Parts of pool command {uid} were sent, so the agent may have the codes: wait for "
                "its answer.",
            )
        _take_back(conn, row[0], row[2] is not None, who, now_ms)


def take_back(conn: Connection, uid: str, who: str, now_ms: int) -> None:
    """Take back a command of which nothing was sent, in the caller's transaction."""
    row = conn.one("SELECT id FROM command WHERE uid = ? AND sent_ms IS NULL", (uid,))
    if row is not None:
        _take_back(conn, row[0], False, who, now_ms)


def _take_back(conn: Connection, number: int, sent_: bool, who: str, now_ms: int) -> None:
    text = f"Withdrawn by {who}" + (
        " after it was sent: the agent may have done it." if sent_ else ", never sent."
    )
    conn.change(
        "UPDATE command SET ok = 0, reason = ?, text = ?, answered_ms = ? WHERE id = ?",
        (WITHDRAWN, text, now_ms, number),
    )
    conn.change("DELETE FROM command_part WHERE command = ?", (number,))


def _unknown(uid: str) -> DomainError:
    return DomainError(
        "unknown_command", f"There is no command {uid[:200]}: see caselink cloud commands."
    )


# ------------------------------------------------------------------------------------- looking


def listed(
    conn: Connection, agent: str = "", limit: int = 100, before: int = 0
) -> list[dict[str, Any]]:
    """Commands with their answers, newest first; of one agent, below number `before`."""
    rows = conn.rows(
        "SELECT id, uid, agent, kind, about, parts, size, who, made_ms, sent_ms, ok, reason, text, "
        "body, answered_ms FROM command WHERE (? = '' OR agent = ?) AND (? = 0 OR id < ?) "
        "ORDER BY id DESC LIMIT ?",
        (agent, agent, before, before, limit),
    )
    return [_shown(row) for row in rows]


def one(conn: Connection, uid: str) -> dict[str, Any]:
    """A command with its answer. DomainError: there is none of that id."""
    row = conn.one(
        "SELECT id, uid, agent, kind, about, parts, size, who, made_ms, sent_ms, ok, reason, text, "
        "body, answered_ms FROM command WHERE uid = ?",
        (uid,),
    )
    if row is None:
        raise _unknown(uid)
    return _shown(row)


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    from sync.cloud.answers import iso

    ok = row[10]
    return {
        "number": row[0],
        "id": row[1],
        "agent": row[2],
        "kind": row[3],
        "about": row[4],
        "parts": row[5],
        "bytes": row[6],
        "by": row[7],
        "asked": iso(row[8]),
        "sent": None if row[9] is None else iso(row[9]),
        "state": "waits" if ok is None else "done" if ok else "refused",
        "reason": row[11],
        "text": row[12],
        "answer": None if row[13] is None else msgspec.json.decode(row[13]),
        "answered": None if row[14] is None else iso(row[14]),
    }
