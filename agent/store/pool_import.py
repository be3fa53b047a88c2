"""Import a code pool: every text, the sorted index and the fact in one transaction, or nothing."""

from agent.core.errors import DomainError
from agent.core.facts import CodeKey, PoolImported
from agent.core.known import Clock
from agent.core.poolfile import PoolFile, PoolRefused, Problem
from agent.store import pools
from agent.store.database import Connection
from agent.store.record import record
from agent.store.words import MAX_COLUMNS, MAX_POOL, MAX_POSITION, STEP, code_id, code_key

_SHOWN = 20


def import_pool(conn: Connection, file: PoolFile, line: str, clock: Clock) -> PoolImported:
    """Write a pool's codes and its fact, all in the open transaction; nothing if refused.

    PoolRefused: a code is in another pool already. DomainError: more columns than the store has.
    """
    if len(file.roles) >= MAX_COLUMNS:
        raise DomainError(
            "pool_too_large",
            f"Pool {file.declared.name} has {len(file.roles)} columns of codes; at most "
            f"{MAX_COLUMNS - 1} can be kept. Split it into several pools.",
        )
    (last,) = conn.execute("SELECT max(id) FROM pool").fetchone()
    pool = (last or 0) + 1
    if pool >= MAX_POOL or file.count > MAX_POSITION:
        raise DomainError("pool_too_large", f"Pool {file.declared.name} is too large to be kept.")
    for column in range(len(file.columns)):
        _refuse_known(conn, file, column)
    columns = (*file.columns, file.parents) if file.parents else file.columns
    conn.executemany(
        "INSERT INTO pool_code VALUES (?, ?)",
        (
            (code_id(CodeKey(pool, position, column)), text)
            for position, row in enumerate(zip(*columns, strict=True))
            for column, text in enumerate(row)
        ),
    )
    for column, texts in enumerate(file.columns):
        start = code_id(CodeKey(pool, 0, column))
        spelled = file.spelled[column]
        if spelled is not None:
            conn.executemany(
                "INSERT INTO pool_spelling VALUES (?, ?)",
                (
                    (start + at * STEP, spelling)
                    for at, (spelling, text) in enumerate(zip(spelled, texts, strict=True))
                    if spelling != text
                ),
            )
        # Sorted: neighbours share a page, so the index is walked through once.
        order = sorted(range(len(texts)), key=texts.__getitem__)
        conn.executemany(
            "INSERT INTO code_index VALUES (?, ?)",
            ((texts[at], start + at * STEP) for at in order),
        )
    fact = file.fact(pool)
    record(conn, line, (fact,), clock)
    return fact


def _refuse_known(conn: Connection, file: PoolFile, column: int) -> None:
    """PoolRefused, naming rows and the other pool, if texts of this column are known already."""
    if conn.execute("SELECT 1 FROM code_index LIMIT 1").fetchone() is None:
        return
    problems: list[Problem] = []
    more = 0
    texts = file.columns[column]
    for position in sorted(range(len(texts)), key=texts.__getitem__):
        row = conn.execute(
            "SELECT id FROM code_index WHERE text = ?", (texts[position],)
        ).fetchone()
        if row is None:
            continue
        if len(problems) >= _SHOWN:
            more += 1
            continue
        there = code_key(row[0])
        other = pools.known(conn, there.pool)
        name = "this pool" if other is None else f"pool {there.pool} ({other.name})"
        problems.append(
            Problem(
                0,
                file.roles[column],
                "pool_duplicate",
                f"the code of row {position + 1}, {file.roles[column]}, is in {name} already, "
                f"row {there.position + 1}",
            )
        )
    if problems:
        raise PoolRefused(file.declared.name, tuple(problems), more)
