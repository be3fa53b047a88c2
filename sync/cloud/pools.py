"""The cloud's own copy of the code pools that it sent: which code a place is that events name in
place of a secret one."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from agent.core.codes import canonical
from agent.core.errors import DomainError
from agent.core.poolfile import PoolFile
from sync.cloud.database import Connection, marks
from sync.cloud.keys import key, uri_of
from sync.uris import BASE, Identity

_AT_ONCE = 500
_SHOWN = 5


class Place(NamedTuple):
    """Where a code stands: pool, role, position; `secret`: events name it so."""

    pool: str
    role: str
    position: int
    secret: bool

    def uri(self, base: str = BASE) -> str:
        """The name of a secret code in events."""
        return Identity("", "", "", base=base).secret(self.pool, self.role, self.position)


def add(conn: Connection, file: PoolFile, sum_: str, command: int, now_ms: int) -> None:
    """Keep a pool that is sent with a command, in the caller's transaction. DomainError: its name
    is taken, or some of its codes are in another pool that was sent."""
    said = file.declared
    _free(conn, said.name)
    _refuse_known(conn, file)
    conn.change(
        "INSERT INTO pool (name, command, level, roles, secret, count, sum, made_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            said.name,
            command,
            said.level,
            msgspec.json.encode(file.roles).decode(),
            msgspec.json.encode([role for role in file.roles if role in said.secret]).decode(),
            file.count,
            sum_,
            now_ms,
        ),
    )
    row = conn.one("SELECT id FROM pool WHERE name = ?", (said.name,))
    assert row is not None
    conn.change_many("INSERT INTO pool_code VALUES (?, ?, ?, ?, ?)", _codes(int(row[0]), file))


def _codes(pool: int, file: PoolFile) -> Iterator[tuple[int, int, int, bytes, str]]:
    for role, texts in enumerate(file.columns):
        for position, text in enumerate(texts):
            yield pool, role, position, key(text), text


def _free(conn: Connection, name: str) -> None:
    """Make the name free if all that was sent under it was refused."""
    row = conn.one(
        "SELECT p.id, c.agent, c.ok FROM pool p JOIN command c ON c.id = p.command "
        "WHERE p.name = ?",
        (name,),
    )
    if row is None:
        return
    if row[2] != 0:
        raise DomainError(
            "pool_exists",
            f"Pool {name} was sent to {row[1]} already: codes are named by their pool, so give "
            "this one another name.",
        )
    conn.change("DELETE FROM pool_code WHERE pool = ?", (row[0],))
    conn.change("DELETE FROM pool WHERE id = ?", (row[0],))


def _refuse_known(conn: Connection, file: PoolFile) -> None:
    """A code lives once: it must not be issued twice."""
    known: list[str] = []
    for role, texts in zip(file.roles, file.columns, strict=True):
        for first, some in _chunks(texts):
            keys = [key(text) for text in some]
            rows = conn.rows(
                "SELECT c.key, p.name, c.position FROM pool_code c JOIN pool p ON p.id = c.pool "
                f"WHERE c.key IN ({marks(len(keys))})",
                keys,
            )
            at = {each: first + n for n, each in enumerate(keys)}
            known += [
                f"row {at[bytes(each)] + 1}, {role}, is in pool {name}, row {position + 1}"
                for each, name, position in rows
            ]
    if known:
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise DomainError(
            "pool_duplicate",
            f"Pool {file.declared.name} was not sent, codes of it were sent before: "
            f"{'; '.join(known[:_SHOWN])}{more}. Ask who made the file.",
        )


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    rest, first = iter(texts), 0
    while some := list(islice(rest, _AT_ONCE)):
        yield first, some
        first += len(some)


def place(conn: Connection, text: str) -> Place | None:
    """Where a code stands that a person scanned or typed; None: in no pool that was sent.
    DomainError: no code reads so."""
    row = conn.one(
        "SELECT p.name, p.roles, p.secret, c.role, c.position FROM pool_code c "
        "JOIN pool p ON p.id = c.pool WHERE c.key = ?",
        (key(canonical(text).text),),
    )
    if row is None:
        return None
    role = msgspec.json.decode(row[1])[row[3]]
    return Place(row[0], role, int(row[4]), role in msgspec.json.decode(row[2]))


def named(conn: Connection, text: str, base: str = BASE) -> str:
    """The URI under which agents name what a person scanned or typed: of a secret code its place,
    which only the sent pools say. DomainError: no code reads so."""
    uri = uri_of(text, base)
    if text.startswith(base + "/"):
        return uri
    found = place(conn, text)
    return found.uri(base) if found is not None and found.secret else uri


def text_at(conn: Connection, pool: str, role: str, position: int) -> str | None:
    """The code at a place; None: no such place was sent."""
    row = conn.one("SELECT id, roles FROM pool WHERE name = ?", (pool,))
    roles: list[str] = [] if row is None else msgspec.json.decode(row[1])
    if row is None or role not in roles:
        return None
    found = conn.one(
        "SELECT text FROM pool_code WHERE pool = ? AND role = ? AND position = ?",
        (row[0], roles.index(role), position),
    )
    return None if found is None else str(found[0])


def names(conn: Connection) -> Iterable[str]:
    """The pools that were sent."""
    return [str(name) for (name,) in conn.rows("SELECT name FROM pool ORDER BY name")]
