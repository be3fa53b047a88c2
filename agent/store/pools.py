"""Code pools: the texts of their rows, which pool holds or admits a code, the balance.

Texts stand in `pool_code` by position and once more in `code_index`, sorted and unique over all
pools; both are written when the pool is imported (`pool_import`), so a bottle never touches them.
A pool by rule gets its texts one by one, as they are first seen.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import msgspec

from agent.core.errors import DomainError
from agent.core.facts import CodeKey, PoolImported
from agent.core.known import KnownPool
from agent.core.life import CODE_LIFE, CodeState, IllegalTransition, UnitState
from agent.core.poolrule import Rule
from agent.store.database import Connection
from agent.store.words import (
    CODE_STATES,
    STEP,
    UNIT_STATES,
    code_id,
    code_key,
    pool_range,
)

NEW = "INSERT INTO code (id, state, room) VALUES (?, 0, zeroblob(20))"
"""A code that is issued; 20 bytes are what its row may grow by (see the migration)."""


ELSEWHERE = 0
"""Stands for pools that were imported after the backup was made that is restored here."""


class _Pool(NamedTuple):
    """What never changes of a pool."""

    fact: PoolImported
    rule: Rule | None


class PoolCounts(NamedTuple):
    """Where the codes of one pool column are: the arguments of `core.pools.balance_of`.

    `total` codes; `codes` counts all of them by their own state, `units` those that are attached by
    the state of their unit. `rejected` of the suspect ones went off the line on a thing that was
    rejected without having become a unit."""

    total: int
    codes: dict[CodeState, int]
    units: dict[UnitState, int]
    rejected: int


def _pool(conn: Connection, pool: int) -> _Pool | None:
    found: _Pool | None = conn.pools.get(pool)
    if found is None:
        row = conn.execute(
            "SELECT id, name, level, roles, secret, product, scope, membership, rule, count, "
            "sha256, campaign, lot, preprinted, parent_column, rolls FROM pool WHERE id = ?",
            (pool,),
        ).fetchone()
        if row is None:
            return None
        values = list(row)
        for at in (3, 4, 15):
            values[at] = msgspec.json.decode(values[at])
        values[13] = bool(values[13])
        # The columns stand in the order of PoolImported's fields.
        fact = msgspec.convert(
            dict(zip(PoolImported.__match_args__, values, strict=True)), PoolImported
        )
        rule = Rule.parse(fact.rule) if fact.membership == "rule" else None
        found = conn.pools[pool] = _Pool(fact, rule)
    return found


def describe(conn: Connection, pool: int) -> PoolImported | None:
    """The fact that brought the pool, None if there is no such pool."""
    found = _pool(conn, pool)
    return None if found is None else found.fact


def known(conn: Connection, pool: int) -> KnownPool | None:
    """The pool as `decide` sees it."""
    remembered = conn.known_pools.get(pool)
    if remembered is not None:
        return remembered
    found = _pool(conn, pool)
    if found is None:
        return None
    fact = found.fact
    answer = KnownPool(
        pool=pool,
        name=fact.name,
        level=fact.level,
        roles=fact.roles,
        secret=fact.secret,
        product=fact.product,
        campaign=fact.campaign,
        lot=fact.lot,
        membership=fact.membership,
        preprinted=fact.preprinted,
        count=fact.count,
        next_position=_next_position(conn, fact),
    )
    holes = conn.execute(
        "SELECT first, count FROM pool_hole WHERE pool = ? AND first + count > ? "
        "ORDER BY first LIMIT 64",
        (pool, answer.next_position),
    ).fetchall()
    if conn.one("SELECT 1 FROM in_question WHERE pool = ?", (pool,)):
        answer = replace(answer, in_question=True)
    if holes:
        answer = replace(answer, holes=tuple((int(at), int(many)) for at, many in holes))
    if conn.writes:  # no other connection moves `next_position`
        conn.known_pools[pool] = answer
    return answer


def list_pools(conn: Connection) -> list[KnownPool]:
    """All pools, oldest first."""
    ids = [int(pool) for (pool,) in conn.execute("SELECT id FROM pool ORDER BY id").fetchall()]
    return [pool for pool in (known(conn, number) for number in ids) if pool is not None]


def _next_position(conn: Connection, fact: PoolImported) -> int:
    if fact.membership == "rule":
        (last,) = conn.execute(
            "SELECT max(id) FROM pool_code WHERE id BETWEEN ? AND ?", pool_range(fact.pool)
        ).fetchone()
        return 0 if last is None else code_key(last).position + 1
    (position,) = conn.execute(
        "SELECT next_position FROM pool WHERE id = ?", (fact.pool,)
    ).fetchone()
    return int(position)


def admitting(conn: Connection, text: str) -> KnownPool | None:
    """The pool whose rule admits the text, the longest rule first; None if there is none."""
    best: _Pool | None = None
    for (pool,) in conn.execute("SELECT id FROM pool WHERE membership = 'rule'").fetchall():
        found = _pool(conn, pool)
        if found is None or found.rule is None or not found.rule.admits(text):
            continue
        if best is None or len(found.fact.rule) > len(best.fact.rule):
            best = found
    return None if best is None else known(conn, best.fact.pool)


# ------------------------------------------------------------------------------------- writing


def add(conn: Connection, seq: int, fact: PoolImported) -> None:
    """The pool's row and one for each code it lists; IllegalTransition if its number is taken."""
    if _pool(conn, fact.pool) is not None:
        raise IllegalTransition(f"pool {fact.pool} exists already")
    conn.execute(
        f"INSERT INTO pool VALUES ({', '.join('?' * 18)})",
        (
            fact.pool,
            fact.name,
            fact.level,
            msgspec.json.encode(fact.roles).decode(),
            msgspec.json.encode(fact.secret).decode(),
            fact.product,
            fact.scope,
            fact.membership,
            fact.rule,
            fact.count,
            fact.sha256,
            fact.campaign,
            fact.lot,
            fact.preprinted,
            fact.parent_column,
            msgspec.json.encode(fact.rolls).decode(),
            0,
            seq,
        ),
    )
    # An import has written the codes already; a replay has not.
    staged = conn.change("DELETE FROM staging WHERE pool = ?", (fact.pool,))
    if fact.membership == "list" and not staged:
        columns = range(len(fact.roles))
        conn.executemany(
            NEW,
            (
                (code_id(CodeKey(fact.pool, position, column)),)
                for position in range(fact.count)
                for column in columns
            ),
        )


def register(conn: Connection, key: CodeKey, text: str) -> None:
    """A text that a rule admits gets its place; IllegalTransition if either is taken."""
    found = _pool(conn, key.pool)
    if found is None or found.rule is None:
        raise IllegalTransition(f"pool {key.pool} is not a pool by rule")
    if key.column != 0 or key.position < _next_position(conn, found.fact):
        raise IllegalTransition(f"place {key.pool}/{key.position} has been given already")
    place = place_of(conn, text)
    if place is not None:
        # A pool that is being imported has no codes yet: it will be refused for this one.
        if not conn.change("UPDATE staging SET spoiled = 1 WHERE pool = ?", (place.pool,)):
            raise IllegalTransition(f"the code for {key.pool}/{key.position} has a place already")
        conn.change("DELETE FROM code_index WHERE text = ?", (text,))
    conn.known_pools.pop(key.pool, None)
    conn.execute(NEW, (code_id(key),))
    conn.execute("INSERT INTO pool_code VALUES (?, ?)", (code_id(key), text))
    conn.execute("INSERT INTO code_index VALUES (?, ?)", (text, code_id(key)))


def advance(conn: Connection, pool: int, first: int, count: int, to: CodeState) -> None:
    """Codes changed state: if they left ISSUED, the first position that was never allocated may
    have moved on."""
    if to not in CODE_LIFE[CodeState.ISSUED]:
        return
    if to is CodeState.ALLOCATED:
        conn.change(
            "UPDATE pool SET next_position = ?2 WHERE id = ?1 AND next_position < ?2",
            (pool, first + count),
        )
        remembered = conn.known_pools.get(pool)
        if remembered is not None and not remembered.holes:
            after = max(remembered.next_position, first + count)
            conn.known_pools[pool] = replace(remembered, next_position=after)
            return
    else:
        # Codes voided before they were allocated are passed over when their turn comes.
        conn.change(
            "INSERT OR IGNORE INTO pool_hole SELECT id, ?1, ?2 FROM pool "
            "WHERE id = ?3 AND next_position < ?1 + ?2",
            (first, count, pool),
        )
    conn.known_pools.pop(pool, None)
    while True:
        (at,) = conn.one("SELECT next_position FROM pool WHERE id = ?", (pool,))
        row = conn.one(
            "SELECT max(first + count) FROM pool_hole "
            "WHERE pool = ? AND first <= ? AND first + count > ?",
            (pool, at, at),
        )
        if row[0] is None:
            return
        conn.change("UPDATE pool SET next_position = ? WHERE id = ?", (row[0], pool))


def question(conn: Connection, seq: int, pool: int) -> None:
    """From journal row `seq` on nobody can say which of the pool's codes were printed."""
    conn.execute("INSERT OR REPLACE INTO in_question VALUES (?, ?)", (pool, seq))
    conn.known_pools.pop(pool, None)


def settled(conn: Connection, pool: int) -> None:
    """It can be said again; IllegalTransition if it was not in question."""
    if not conn.change("DELETE FROM in_question WHERE pool = ?", (pool,)):
        raise IllegalTransition(f"pool {pool} is not in question")
    conn.known_pools.pop(pool, None)


def used_before(conn: Connection, seal: str, upto: int) -> None:
    """Rows before `upto` of the pool with this seal may have been printed before a restore."""
    conn.execute(
        "INSERT INTO used_before VALUES (?1, ?2) ON CONFLICT (seal) DO UPDATE "
        "SET upto = max(upto, ?2)",
        (seal, upto),
    )


def refuse_used(conn: Connection, fact: PoolImported) -> None:
    """DomainError if codes of a pool that is to be printed here may have been printed before."""
    if fact.preprinted or fact.membership != "list":
        return
    if conn.one("SELECT 1 FROM in_question WHERE pool = ?", (ELSEWHERE,)):
        raise DomainError(
            "restore_unsettled",
            f"A backup was restored, and pool {fact.name} may have been imported and printed "
            "since it was made. Wait until the cloud has answered; without a cloud, and if nothing "
            "of it was ever printed, run `caselink pool settle '*' --void-rest` first.",
        )
    row = conn.one("SELECT upto FROM used_before WHERE seal = ?", (fact.sha256,))
    if row is not None:
        raise DomainError(
            "pool_used_before",
            f"Pool {fact.name} was imported here before a backup was restored, and its first "
            f"{row[0]:,} rows may have been printed: import a file with the rows after those.",
        )


def in_question(conn: Connection) -> list[tuple[int, int]]:
    """The pools in question, each with the journal row of the restore."""
    found = conn.execute("SELECT pool, seq FROM in_question ORDER BY pool").fetchall()
    return [(int(pool), int(seq)) for pool, seq in found]


# ------------------------------------------------------------------------------------- reading


def place_of(conn: Connection, text: str) -> CodeKey | None:
    """Where a canonical text stands, be it in a pool that is still being imported; None if no pool
    lists it."""
    row = conn.one("SELECT id FROM code_index WHERE text = ?", (text,))
    return None if row is None else code_key(row[0])


def text_of(conn: Connection, key: CodeKey) -> str | None:
    """The canonical text at a place."""
    row = conn.one("SELECT text FROM pool_code WHERE id = ?", (code_id(key),))
    return None if row is None else str(row[0])


def texts(conn: Connection, pool: int, column: int, first: int, count: int) -> list[str]:
    """What the symbols of `count` rows from position `first` must carry, as the pool spells it.
    KeyError if the pool does not hold them all."""
    start = code_id(CodeKey(pool, first, column))
    rows = conn.execute(
        "SELECT coalesce(s.text, p.text) FROM pool_code p LEFT JOIN pool_spelling s USING (id) "
        f"WHERE id BETWEEN ? AND ? AND id % {STEP} = ? ORDER BY id",
        (start, start + (count - 1) * STEP, column),
    ).fetchall()
    if len(rows) != count:
        raise KeyError(f"pool {pool} does not hold {count} rows from position {first}")
    return [str(text) for (text,) in rows]


def rows(conn: Connection, fact: PoolImported) -> Iterator[tuple[str, ...]]:
    """A pool's texts by position as they were sealed: one per role, then the parent's."""
    columns = len(fact.roles) + (fact.parent_column >= 0)
    row: list[str] = []
    for (text,) in conn.execute(
        "SELECT text FROM pool_code WHERE id BETWEEN ? AND ? ORDER BY id", pool_range(fact.pool)
    ):
        row.append(str(text))
        if len(row) == columns:
            yield tuple(row)
            row = []
    if row:
        yield tuple(row)


def children_of(conn: Connection, parent: str) -> tuple[str, ...]:
    """The texts (of each pool's first role) whose rows name this parent: a linked set. Reads whole
    pools, which takes a second for a million codes: not for the writer's thread."""
    found: list[str] = []
    for pool in list_pools(conn):
        fact = describe(conn, pool.pool)
        if fact is None or fact.parent_column < 0:
            continue
        for (at,) in conn.execute(
            f"SELECT id FROM pool_code WHERE id BETWEEN ? AND ? AND id % {STEP} = ? AND text = ?",
            (*pool_range(pool.pool), fact.parent_column, parent),
        ).fetchall():
            text = text_of(conn, code_key(at)._replace(column=0))
            if text is not None:
                found.append(text)
    return tuple(found)


def pool_counts(conn: Connection, pool: int, column: int) -> PoolCounts:
    """Where the codes of a pool column are now; KeyError if there is no such pool."""
    fact = describe(conn, pool)
    if fact is None:
        raise KeyError(f"there is no pool {pool}")
    codes: Counter[CodeState] = Counter()
    on: Counter[UnitState] = Counter()
    rejected = 0
    # A code that is not its unit's home row says nothing of the unit: that one is looked up.
    found = conn.execute(
        f"""SELECT state, unit IS NULL, unit_state, count(*) FROM code
        WHERE id BETWEEN ? AND ? AND id % {STEP} = ? AND (unit IS NULL OR unit_state IS NOT NULL)
        GROUP BY 1, 2, 3""",
        (*pool_range(pool), column),
    ).fetchall()
    found += conn.execute(
        f"""SELECT c.state, 0, h.unit_state, count(*) FROM code c JOIN code h ON h.id = (
            SELECT id + (c.unit - first) * {STEP} FROM unit_at WHERE first <= c.unit
            ORDER BY first DESC LIMIT 1)
        WHERE c.id BETWEEN ? AND ? AND c.id % {STEP} = ?
            AND c.unit IS NOT NULL AND c.unit_state IS NULL GROUP BY 1, 2, 3""",
        (*pool_range(pool), column),
    ).fetchall()
    for state, loose, unit_state, number in found:
        codes[CODE_STATES[state]] += number
        if not loose:
            on[UNIT_STATES[unit_state]] += number
        elif unit_state is not None:
            rejected += number
    return PoolCounts(codes.total(), dict(codes), dict(on), rejected)
