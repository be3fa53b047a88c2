"""After a restore: find out for each pool in question what may have been printed since the backup,
void that, and let the rest be printed again.

What may have been printed is every row that the cloud knows to be taken, and as many more as the
lines could print from when the newest row that the cloud knows was written until now, or until they
stopped as a person says. No answer, no release: a person can void the rest.
"""

from functools import partial
from math import ceil
from typing import NamedTuple

from agent.clockwatch import clock
from agent.core.errors import ConfigError, DomainError
from agent.core.facts import (
    CodeKey,
    CodesMoved,
    Fact,
    PoolImported,
    PoolSettled,
    PoolsUsed,
    Restored,
)
from agent.core.life import PRINTABLE_LEFT, CodeState
from agent.core.pools import reach, runs
from agent.store import journal, orders, pools
from agent.store.archive import View
from agent.store.database import Connection
from agent.store.pool_import import Jobs
from agent.store.record import record
from agent.store.words import CODE_STATES, STEP, code_id, code_key
from sync.restored import Restored as Told

STEP_ROWS = 500
"""Rows that one transaction voids: a line may be running."""
ITEMS_PER_S, CONTAINERS_PER_S = 50.0, 5.0
"""What no line surpasses."""
WHY = "restored"
ALL = "*"
"""All pools in question, and those that are not here any more (pools.ELSEWHERE)."""


class Settled(NamedTuple):
    """What became of a pool: rows before `reach` are used or void, `voided` codes just now, `left`
    rows may be printed."""

    pool: str
    reach: int
    voided: int
    left: int


class Question(NamedTuple):
    """A pool in question: the journal row of the restore, and its fact."""

    pool: int
    name: str
    seq: int
    restored: Restored


def questions(conn: Connection) -> list[Question]:
    """The pools in question."""
    found = []
    for pool, seq in pools.in_question(conn):
        fact = pools.describe(conn, pool)
        (entry,) = journal.read(conn, seq, seq)
        assert isinstance(entry.fact, Restored)
        found.append(Question(pool, ALL if fact is None else fact.name, seq, entry.fact))
    return found


def by_cloud(run: Jobs, view: View, told: Told) -> list[Settled]:
    """Settle every pool in question by what the cloud knows. Blocking, for a thread. ConfigError:
    it is about another restore, or does not tell all."""
    with view() as conn:
        asked = questions(conn)
        for each in asked:
            (row,) = journal.rows(conn, each.seq, each.seq)
            if (told.epoch, told.after) != (row.epoch, each.restored.upto):
                raise ConfigError(
                    f"This is about epoch {told.epoch} after row {told.after}; pool {each.name} "
                    f"waits to hear of epoch {row.epoch} after row {each.restored.upto}: send "
                    "what is known of that one.",
                )
    if asked and not told.whole:
        raise ConfigError(
            "The cloud cannot tell which codes were used after the backup: void the rest of the "
            "pools with caselink pool settle NAME --void-rest, and import new ones.",
        )
    done = []
    for each in asked:
        gap = _gap(each.restored, told)
        if each.pool == pools.ELSEWHERE:
            more = ceil(gap * ITEMS_PER_S / 1000)
            used = PoolsUsed(tuple((seal, at + more) for seal, at in sorted(told.used.items())))
            _record(run, used, PoolSettled(pools.ELSEWHERE, 0, "cloud"))
            continue
        with view() as conn:
            known = pools.known(conn, each.pool)
            fact = pools.describe(conn, each.pool)
            assert known is not None
            assert fact is not None
            pace = CONTAINERS_PER_S if _is_container(conn, fact.level) else ITEMS_PER_S
        upto = reach(known, told.used.get(fact.sha256, 0), gap, pace)
        done.append(_settle(run, view, fact, upto, "cloud"))
    return done


def _gap(restored: Restored, told: Told) -> int:
    """For how many ms nothing is known of what the lost machine printed."""
    until = told.now_ms
    if restored.stopped_ms:
        until = min(until, restored.stopped_ms)
    return max(0, until - max(told.known_ms, restored.made_ms))


def by_person(run: Jobs, view: View, name: str, by: str, why: str) -> list[Settled]:
    """Void all that is left of a pool in question, or of ALL. Who settles the last one answers for
    pools that were imported after the backup too. DomainError: it is not in question, or nobody
    says why."""
    with view() as conn:
        asked = questions(conn)
        facts = [pools.describe(conn, each.pool) for each in asked if name in (each.name, ALL)]
    if not facts:
        known = ", ".join(each.name for each in asked) or "none"
        raise DomainError(
            "pool_not_in_question", f"Pool {name} is not in question (these are: {known})."
        )
    if not by.strip() or not why.strip():
        raise DomainError("reason_missing", "Say who settles the pool (--by) and why (--reason).")
    done = [
        _settle(run, view, fact, fact.count, "person", why, by)
        for fact in facts
        if fact is not None
    ]
    with view() as conn:
        left = [pool for pool, _ in pools.in_question(conn)]
    if left == [pools.ELSEWHERE]:
        _record(run, PoolSettled(pools.ELSEWHERE, 0, "person", why, by))
    return done


def _record(run: Jobs, *facts: Fact) -> None:
    run(lambda conn: record(conn, "", facts, clock()))


def _is_container(conn: Connection, level: str) -> bool:
    """Whether any work order packs into this level; where that is not known, it is none."""
    for row in orders.list_orders(conn):
        for each in row.order.scheme.levels:
            if each.name == level:
                return each.children > 0
    return False


def _settle(
    run: Jobs, view: View, fact: PoolImported, upto: int, how: str, why: str = "", by: str = ""
) -> Settled:
    """Void what is unused before `upto`, in short transactions, then say that it is settled."""
    with view() as conn:
        known = pools.known(conn, fact.pool)
    assert known is not None
    voided = 0
    for first in range(known.next_position, upto, STEP_ROWS):
        last = min(upto, first + STEP_ROWS)
        voided += run(partial(_void, fact=fact, first=first, last=last, why=why or WHY, by=by))
    _record(run, PoolSettled(fact.pool, upto, how, why, by))
    return Settled(fact.name, upto, voided, fact.count - upto)


def _void(conn: Connection, fact: PoolImported, first: int, last: int, why: str, by: str) -> int:
    """Void what was never given to a printer of the rows from `first` until before `last`."""
    facts = []
    for column in range(len(fact.roles)):
        start, end = (code_id(CodeKey(fact.pool, at, column)) for at in (first, last))
        unused = (
            code_key(at).position
            for at, state in conn.execute(
                f"SELECT id, state FROM code WHERE id >= ? AND id < ? AND id % {STEP} = ?",
                (start, end, column),
            )
            if CODE_STATES[state] in PRINTABLE_LEFT
        )
        facts += [
            CodesMoved(fact.pool, column, at, many, CodeState.VOID, why=why, by=by)
            for at, many in runs(unused)
        ]
    record(conn, "", facts, clock())
    return sum(fact.count for fact in facts)
