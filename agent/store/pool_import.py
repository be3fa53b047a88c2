"""Import a code pool, whole or not at all, in steps so short that a line goes on meanwhile.

The rows are written under the number of a pool that does not exist yet, so no look-up finds its
codes; the last step writes the fact and with it the pool: then all of it is there. What was written
of a pool that is refused, or that a power cut interrupted, is taken out in short steps too: at
once, or by `clean` after the next start.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Protocol, TypeVar

import msgspec
from sqlcipher3 import dbapi2

from agent.core.errors import DomainError, TransientError
from agent.core.facts import Fact, PoolImported
from agent.core.known import Clock
from agent.core.poolfile import PoolFile, PoolRefused, Problem
from agent.store import pools
from agent.store.database import Connection
from agent.store.record import record
from agent.store.words import (
    MAX_COLUMNS,
    MAX_POOL,
    MAX_POSITION,
    STEP,
    code_key,
    pool_range,
)

T = TypeVar("T")
Row = TypeVar("Row")

STEP_SECONDS = 0.004
"""What a step should take, its commit included."""
LEAST, MOST = 50, 5000
"""Rows of a step."""
_SHOWN = 20

# `?2` codes stand side by side in the text of each row, the first `?4` of them are the pool's own.
_TEXTS = f"""INSERT INTO pool_code
    SELECT ?1 + key / ?2 * {STEP} + key % ?2, value FROM json_each(?3)"""
_CODES = f"""INSERT INTO code (id, state, room)
    SELECT ?1 + key / ?2 * {STEP} + key % ?2, 0, zeroblob(20) FROM json_each(?3)
    WHERE key % ?2 < ?4"""
_KNOWN = """SELECT t.key, i.id FROM json_each(?1) t JOIN code_index i ON i.text = t.value
    WHERE i.id NOT BETWEEN ?2 AND ?3"""


class Jobs(Protocol):
    """Runs a job of the writer and waits until it is durable: `Writer.wait`, or
    `Writer.run_inline` where it has no thread."""

    def __call__(self, job: Callable[[Connection], T]) -> T: ...


def import_pool(conn: Connection, file: PoolFile, line: str, clock: Clock) -> PoolImported:
    """`import_in_steps` in the open transaction: for a store where no line runs."""
    return import_in_steps(lambda job: job(conn), file, line, clock)


def import_in_steps(
    run: Jobs,
    file: PoolFile,
    line: str,
    clock: Clock,
    also: Callable[[PoolImported], Iterable[Fact]] = lambda fact: (),
) -> PoolImported:
    """Write a pool's codes and its fact; nothing of it stays if it is refused. `also` are facts
    that are true if the pool is there, and written with it.

    Waits for many jobs: not to be called where nothing may wait. PoolRefused: a code is in another
    pool already. DomainError: its name is taken, another import runs, or it is too large.
    """
    if len(file.roles) >= MAX_COLUMNS:
        raise DomainError(
            "pool_too_large",
            f"Pool {file.declared.name} has {len(file.roles)} columns of codes; at most "
            f"{MAX_COLUMNS - 1} can be kept. Split it into several pools.",
        )
    run(lambda conn: pools.refuse_used(conn, file.fact(1)))
    clean(run)
    pool = run(partial(_begin, file=file))
    try:
        _refuse_known(run, file, pool)
        _write_rows(run, file, pool)
        _write_index(run, file, pool)
        fact = file.fact(pool)
        if not run(partial(_finish, facts=(fact, *also(fact)), line=line, clock=clock)):
            _refuse_known(run, file, pool)
            raise RuntimeError("a spoiled pool has no code that is known")
    except dbapi2.IntegrityError:
        _undo(run, pool)
        _refuse_known(run, file, pool)
        raise
    except BaseException:
        _undo(run, pool)
        raise
    return fact


def clean(run: Jobs) -> None:
    """Take out what is left of imports that were interrupted."""
    while (pool := run(_remains)) is not None:
        _remove(run, pool)


# --------------------------------------------------------------------------------------- steps


def _in_steps(
    run: Jobs, rows: Iterable[Row], write: Callable[[Connection, list[Row]], None]
) -> None:
    """Write rows, some at a time: as many as take STEP_SECONDS, waiting for others included, so
    that a slow disk and a busy line make the steps short."""
    rest = iter(rows)
    number = LEAST
    while some := list(islice(rest, number)):
        began = time.perf_counter()
        run(lambda conn, some=some: write(conn, some))  # type: ignore[misc]
        number = next_step(number, time.perf_counter() - began)


def next_step(number: int, took: float) -> int:
    """How many rows the next step has, after one of `number` that took so many seconds."""
    slower = min(max(took / STEP_SECONDS, 0.7), 4.0)
    return max(LEAST, min(MOST, int(number / slower)))


def _begin(conn: Connection, file: PoolFile) -> int:
    """The pool's number, from now on marked as being imported."""
    name = file.declared.name
    if conn.importing is not None and _staged(conn, conn.importing):
        raise DomainError(
            "import_runs",
            f"Another pool is being imported: import {name} again when that is done.",
        )
    if any(pool.name == name for pool in pools.list_pools(conn)):
        raise DomainError(
            "pool_exists", f"There is a pool {name} already: give this one another name."
        )
    (last,) = conn.one("SELECT max(id) FROM pool")
    pool = (last or 0) + 1
    if pool >= MAX_POOL or file.count > MAX_POSITION:
        raise DomainError("pool_too_large", f"Pool {name} is too large to be kept.")
    conn.change("INSERT INTO staging (pool) VALUES (?)", (pool,))
    conn.importing = pool
    return pool


def _staged(conn: Connection, pool: int) -> bool:
    return conn.one("SELECT 1 FROM staging WHERE pool = ?", (pool,)) is not None


def _refuse_known(run: Jobs, file: PoolFile, pool: int) -> None:
    """PoolRefused, naming rows and the other pool, if texts are in another pool already."""
    problems: list[Problem] = []
    more = 0

    def look(conn: Connection, given: list[int], column: int) -> None:
        nonlocal more
        texts = file.columns[column]
        asked = msgspec.json.encode([texts[position] for position in given]).decode()
        for at, there in conn.execute(_KNOWN, (asked, *pool_range(pool))).fetchall():
            if len(problems) >= _SHOWN:
                more += 1
                continue
            problems.append(_problem(conn, given[at], file.roles[column], there))

    for column in range(len(file.columns)):
        _in_steps(run, _sorted(file, column), partial(look, column=column))
    if problems:
        raise PoolRefused(file.declared.name, tuple(problems), more)


def _problem(conn: Connection, position: int, role: str, there: int) -> Problem:
    key = code_key(there)
    other = pools.describe(conn, key.pool)
    name = f"pool {key.pool}" + ("" if other is None else f" ({other.name})")
    return Problem(
        0,
        role,
        "pool_duplicate",
        f"the code of row {position + 1}, {role}, is in {name} already, row {key.position + 1}",
    )


def _sorted(file: PoolFile, column: int) -> list[int]:
    """Positions by text: neighbours share a page of the index, so it is walked through once."""
    texts = file.columns[column]
    return sorted(range(len(texts)), key=texts.__getitem__)


def _write_rows(run: Jobs, file: PoolFile, pool: int) -> None:
    """Texts by position, codes, and what must be printed where that is not the text."""
    columns = (*file.columns, file.parents) if file.parents else file.columns
    own, _ = pool_range(pool)

    def write(conn: Connection, given: list[tuple[int, tuple[str, ...]]]) -> None:
        first = given[0][0]
        start = own + first * STEP
        texts = msgspec.json.encode(list(chain.from_iterable(row for _, row in given))).decode()
        conn.change(_TEXTS, (start, len(columns), texts))
        conn.change(_CODES, (start, len(columns), texts, len(file.columns)))
        for column, spelled in enumerate(file.spelled):
            if spelled is not None:
                conn.change_many(
                    "INSERT INTO pool_spelling VALUES (?, ?)",
                    [
                        (own + at * STEP + column, spelled[at])
                        for at, row in given
                        if spelled[at] != row[column]
                    ],
                )

    _in_steps(run, enumerate(zip(*columns, strict=True)), write)


def _write_index(run: Jobs, file: PoolFile, pool: int) -> None:
    """The codes by text. IntegrityError: a rule has admitted one of them meanwhile."""
    own, _ = pool_range(pool)

    def write(conn: Connection, given: list[int], column: int) -> None:
        texts = file.columns[column]
        conn.change_many(
            "INSERT INTO code_index VALUES (?, ?)",
            [(texts[at], own + at * STEP + column) for at in given],
        )

    for column in range(len(file.columns)):
        _in_steps(run, _sorted(file, column), partial(write, column=column))


def _finish(conn: Connection, facts: tuple[Fact, ...], line: str, clock: Clock) -> bool:
    """The pool is there; False if a rule has admitted one of its codes meanwhile."""
    pool = conn.importing
    if conn.one("SELECT 1 FROM staging WHERE pool = ? AND NOT spoiled", (pool,)) is None:
        return False
    record(conn, line, facts, clock)
    conn.importing = None
    return True


# ------------------------------------------------------------------------------------- removal


def _undo(run: Jobs, pool: int) -> None:
    """Take out what this import has written; if the store does not answer, that is left to the
    next start."""

    def give_up(conn: Connection) -> None:
        if conn.importing == pool:
            conn.importing = None

    with suppress(TransientError):
        run(give_up)
        _remove(run, pool)


def _remains(conn: Connection) -> int | None:
    """A pool that an interrupted import left."""
    row = conn.one("SELECT pool FROM staging WHERE pool IS NOT ? LIMIT 1", (conn.importing,))
    return None if row is None else int(row[0])


def _remove(run: Jobs, pool: int) -> None:
    """Take a pool out that is not being imported any more."""
    number = LEAST
    while True:
        began = time.perf_counter()
        if not run(partial(_remove_some, pool=pool, number=number)):
            return
        number = next_step(number, time.perf_counter() - began)


def _remove_some(conn: Connection, pool: int, number: int) -> bool:
    """Take `number` rows out; False when nothing is left, or not ours to take."""
    if conn.importing == pool or not _staged(conn, pool):
        return False
    rows = conn.execute(
        "SELECT text, id FROM pool_code WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (*pool_range(pool), number),
    ).fetchall()
    if not rows:
        conn.change("DELETE FROM staging WHERE pool = ?", (pool,))
        return False
    conn.change_many("DELETE FROM code_index WHERE text = ? AND id = ?", rows)
    for table in ("code", "pool_code", "pool_spelling"):
        conn.change(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (rows[0][1], rows[-1][1]))
    return True
