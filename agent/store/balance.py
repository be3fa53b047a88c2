"""Do the numbers add up: the code balance of every pool, and what became of each unit."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.core.facts import CodeKey
from agent.core.life import CodeState
from agent.core.pools import Balance, balance_of
from agent.store import names, pools
from agent.store.database import Connection
from agent.store.words import (
    CODE_NUMBER,
    CODE_STATES,
    DOUBTFUL,
    PAIRS,
    STEP,
    UNIT_STATES,
    code_id,
    code_key,
)


def balances(conn: Connection) -> Iterator[tuple[str, Balance]]:
    """The balance of each column of each pool that lists its codes, as ("pool/role", balance)."""
    for pool in pools.list_pools(conn):
        if pool.membership != "list":
            continue
        for column, role in enumerate(pool.roles):
            yield f"{pool.name}/{role}", balance(conn, pool.pool, column)


def balance(conn: Connection, pool: int, column: int) -> Balance:
    """The balance of one column; unseen are the codes of closed rolls that are still issued."""
    counts = pools.pool_counts(conn, pool, column)
    unseen = 0
    for first, count in conn.execute(
        "SELECT first, count FROM roll_closed WHERE pool = ?", (pool,)
    ).fetchall():
        start = code_id(CodeKey(pool, first, column))
        (many,) = conn.execute(
            f"SELECT count(*) FROM code WHERE id BETWEEN ? AND ? AND id % {STEP} = ? AND state = 0",
            (start, start + (count - 1) * STEP, column),
        ).fetchone()
        unseen += many
    return balance_of(counts.total, counts.codes, counts.units, unseen=unseen)


def unprinted(conn: Connection) -> dict[str, str]:
    """Every code that was not printed yet as far as anyone knows, and its CodeState value. Secret
    codes are in clear: for an audit that shows none of them."""
    last = CODE_NUMBER[CodeState.ACCEPTED]
    found = conn.execute(
        "SELECT p.text, c.state FROM code c JOIN pool_code p ON p.id = c.id WHERE c.state <= ?",
        (last,),
    )
    return {text: CODE_STATES[state].value for text, state in found}


class Recorded(NamedTuple):
    """A unit as the record has it: its primary code, UnitState value, whether it is doubtful, and
    whether it is in a container; `others` are its other codes: (role, text, PairIntegrity)."""

    code: str
    state: str
    doubtful: bool
    inside: bool
    others: tuple[tuple[str, str, str], ...] = ()


def recorded_units(conn: Connection, level: str) -> Iterator[Recorded]:
    """Every unit of a level that has a code of its own from the first (no container). Secret codes
    are in clear: for an audit that shows none of them."""
    roles = {pool.pool: pool.roles for pool in pools.list_pools(conn)}
    others: dict[int, list[tuple[str, str, str]]] = {}
    for at, unit, text, integrity in conn.execute(
        "SELECT c.id, c.unit, p.text, c.integrity FROM code c JOIN pool_code p ON p.id = c.id "
        "WHERE c.unit IS NOT NULL AND c.unit_state IS NULL ORDER BY c.id"
    ):
        key = code_key(at)
        role = roles[key.pool][key.column]
        others.setdefault(unit, []).append((role, text, PAIRS[integrity]))
    for unit, text, state, flags, inside in conn.execute(
        "SELECT c.unit, p.text, c.unit_state, c.flags, c.parent <> c.unit FROM code c "
        "JOIN pool_code p ON p.id = c.id "
        "WHERE c.level = ? AND c.unit IS NOT NULL AND c.unit_state IS NOT NULL ORDER BY c.unit",
        (names.known_number(conn, level),),
    ):
        yield Recorded(
            text,
            UNIT_STATES[state],
            bool(flags & DOUBTFUL),
            bool(inside),
            tuple(others.get(unit, ())),
        )
