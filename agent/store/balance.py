"""Do the numbers add up: the code balance of every pool, and how many units live."""

from collections.abc import Iterator

from agent.core.life import UnitState
from agent.core.pools import OUT, Balance, balance_of
from agent.store import names, pools
from agent.store.database import Connection
from agent.store.words import DOUBTFUL, UNIT_NUMBER, UNIT_STATES


def balances(conn: Connection) -> Iterator[tuple[str, Balance]]:
    """The balance of each column of each pool that lists its codes, as ("pool/role", balance)."""
    for pool in pools.list_pools(conn):
        if pool.membership != "list":
            continue
        for column, role in enumerate(pool.roles):
            counts = pools.pool_counts(conn, pool.pool, column)
            found = balance_of(counts.total, counts.codes, counts.units)
            yield f"{pool.name}/{role}", found


def living_units(conn: Connection, level: str) -> int:
    """Units of a level that were commissioned and have not gone out of the stock."""
    found = conn.execute(
        "SELECT unit_state, count(*) FROM code WHERE level = ? AND unit_state IS NOT NULL "
        "GROUP BY 1",
        (names.known_number(conn, level),),
    ).fetchall()
    return sum(number for state, number in found if UNIT_STATES[state] not in OUT)


def doubted_units(conn: Connection, level: str) -> int:
    """Units of a level that are verified, in no container, and doubtful: whether they are still on
    the line is not known."""
    (number,) = conn.execute(
        "SELECT count(*) FROM code WHERE level = ? AND unit_state = ? AND parent = unit "
        "AND flags & ?",
        (names.known_number(conn, level), UNIT_NUMBER[UnitState.VERIFIED], DOUBTFUL),
    ).fetchone()
    return int(number)
