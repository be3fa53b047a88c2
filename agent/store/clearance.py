"""Line clearance: what the store counts for it, and what was signed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.life import CodeState, IllegalTransition, UnitState
from agent.core.scheme import WorkOrder
from agent.store import names, pools
from agent.store.balance import balance
from agent.store.database import Connection
from agent.store.words import CODE_NUMBER, CODE_STATES, STEP, UNIT_NUMBER, code_key, pool_range

_OPEN = (CodeState.SENDING, CodeState.ACCEPTED, CodeState.PRINTED, CodeState.SUSPECT)
_LOOSE = (UnitState.COMMISSIONED, UnitState.VERIFIED, UnitState.UNPACKED)


class Cleared(NamedTuple):
    """A clearance that was signed; `seq` is its journal row."""

    seq: int
    order: str
    line: str
    balanced: bool
    missing: dict[str, int]
    counts: list[list[Any]]
    voided: int
    reason: str
    by: str


def cleared(conn: Connection, seq: int, line: str, fact: f.LineCleared) -> None:
    """Keep a signed clearance."""
    given = msgspec.json.encode(fact.missing).decode(), msgspec.json.encode(fact.counts).decode()
    conn.change(
        "INSERT INTO clearance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (seq, fact.order, line, fact.balanced, *given, fact.voided, fact.reason, fact.by),
    )


def roll_closed(conn: Connection, seq: int, line: str, fact: f.RollClosed) -> None:
    """Keep that a roll is used up; IllegalTransition if it is already."""
    given = (fact.pool, fact.first, fact.roll, fact.count, seq)
    if conn.change("INSERT OR IGNORE INTO roll_closed VALUES (?, ?, ?, ?, ?)", given) != 1:
        raise IllegalTransition(f"roll {fact.roll} of pool {fact.pool} is closed already")


def clearances(conn: Connection, limit: int = 100) -> list[Cleared]:
    """The newest first."""
    found = []
    for row in conn.execute(f"SELECT * FROM clearance ORDER BY seq DESC LIMIT {limit}").fetchall():
        seq, order, line, balanced, missing, counts, voided, reason, by = row
        told = dict(msgspec.json.decode(missing))
        rows = msgspec.json.decode(counts)
        found.append(Cleared(seq, order, line, bool(balanced), told, rows, voided, reason, by))
    return found


# ---------------------------------------------------------------------------------- what is there


def counted(conn: Connection, order: WorkOrder, rolls: tuple[str, ...]) -> dict[str, Any]:
    """The fields of inputs.ClearLine that the store counts. KeyError: there is no roll (or pool
    without rolls) of that name, or it is closed."""
    serving = _pools_of(conn, order)
    return {
        "counts": tuple(_counts(conn, serving)),
        "runs": tuple(run for pool in serving for run in _runs(conn, pool)),
        "loose": tuple(_loose(conn, order)),
        "rolls": tuple(_roll(conn, name) for name in rolls),
    }


def _pools_of(conn: Connection, order: WorkOrder) -> list[int]:
    """The pools that the order prints from, and those pre-printed ones that its codes may be of."""
    found = set(order.pools.values())
    for pool in pools.list_pools(conn):
        if pool.preprinted and pool.product in ("", order.product) and pool.membership == "list":
            found.add(pool.pool)
    return sorted(found)


def _counts(conn: Connection, serving: list[int]) -> Iterator[i.CodeCount]:
    for number in serving:
        pool = pools.known(conn, number)
        if pool is None or pool.membership != "list":
            continue
        for column, role in enumerate(pool.roles):
            b = balance(conn, number, column)
            name = f"{pool.name}/{role}"
            gone = b.rejected, b.sampled, b.destroyed, b.void, b.suspect
            row = (name, b.issued, b.good, *gone, b.in_process, b.left, b.unseen)
            yield i.CodeCount(name, row, b.difference)


def _runs(conn: Connection, pool: int) -> Iterator[i.PoolRun]:
    numbers = ",".join(str(CODE_NUMBER[state]) for state in _OPEN)
    runs: dict[int, i.PoolRun] = {}
    for at, number in conn.execute(
        f"SELECT id, state FROM code WHERE id BETWEEN ? AND ? AND state IN ({numbers}) ORDER BY id",
        pool_range(pool),
    ):
        key, state = code_key(at), CODE_STATES[number]
        run = runs.get(key.column)
        if run is not None and run.state is state and run.first + run.many == key.position:
            runs[key.column] = i.PoolRun(pool, key.column, run.first, run.many + 1, state)
            continue
        if run is not None:
            yield run
        runs[key.column] = i.PoolRun(pool, key.column, key.position, 1, state)
    yield from runs.values()


def _loose(conn: Connection, order: WorkOrder) -> Iterator[tuple[str, int]]:
    """Units of the order, by level, that live and are in no container."""
    states = ",".join(str(UNIT_NUMBER[state]) for state in _LOOSE)
    number = names.known_number(conn, order.number)
    for level, many in conn.execute(
        f"SELECT level, count(*) FROM code WHERE ord = ? AND unit_state IN ({states}) "
        "AND unit IS NOT NULL AND parent = unit GROUP BY level",
        (number,),
    ).fetchall():
        yield names.text(conn, level), int(many)


def _roll(conn: Connection, name: str) -> i.Roll:
    """A roll written POOL/ROLL, or a whole pool."""
    wanted, _, roll = name.partition("/")
    for known in pools.list_pools(conn):
        fact = pools.describe(conn, known.pool)
        if fact is None or known.name != wanted or not known.preprinted:
            continue
        parts = [each for each in fact.rolls if each[0] == roll]
        if not roll:
            parts = [("", 0, fact.count)]
        if parts:
            _, first, count = parts[0]
            closed = conn.one(
                "SELECT 1 FROM roll_closed WHERE pool = ? AND first = ?", (known.pool, first)
            )
            if closed is None:
                unseen = _unseen(conn, known.pool, first, count)
                return i.Roll(known.pool, name, first, count, unseen)
    raise KeyError(name)


def _unseen(conn: Connection, pool: int, first: int, count: int) -> int:
    start = pool_range(pool)[0] + first * STEP
    (many,) = conn.execute(
        f"SELECT count(*) FROM code WHERE id BETWEEN ? AND ? AND id % {STEP} = 0 AND state = 0",
        (start, start + count * STEP - 1),
    ).fetchone()
    return int(many)
