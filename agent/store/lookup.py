"""Answer what `decide` asks: a few look-ups by key for each text, unit and pool.

What people ask of units (`Questions.whole`) is answered with all that these units hold.
"""

from dataclasses import replace

from agent.core.facts import CodeKey
from agent.core.known import NOTHING, Clock, Known, KnownCode, KnownPool, KnownUnit, Questions
from agent.core.life import CodeState
from agent.store import around, holds, names, orders, pools, units
from agent.store.database import Connection
from agent.store.words import BROKEN, CODE_STATES, DOUBTFUL, HELD, POOL_SHIFT, UNIT_STATES, code_key

_NONE: frozenset[tuple[str, str]] = frozenset()
_CODE = """SELECT c.id, c.state, c.unit, c.unit_state, c.level, c.ord, c.flags, c.parent, c.seq
    FROM code_index i JOIN code c ON c.id = i.id WHERE i.text = ?"""


def answer(conn: Connection, questions: Questions, clock: Clock) -> Known:
    """What the store says of the texts, units and pools asked for."""
    next_unit = units.last_unit(conn)[0] + 1
    wide = holds.wide(conn)
    held_lots = frozenset((hold.product, hold.lot) for hold in wide if hold.lot) if wide else _NONE
    if questions is NOTHING:
        return Known(clock, next_unit, held_lots=held_lots)
    found_pools: dict[int, KnownPool] = {}
    for number in questions.pools:
        pool = pools.known(conn, number)
        if pool is not None:
            found_pools[number] = pool
    codes: dict[str, KnownCode] = {}
    new: dict[int, int] = {}
    for text in questions.texts:
        if text in codes:
            continue
        code = find_code(conn, text) or _admitted(conn, text, new)
        if code is None:
            continue
        codes[text] = code
        number = code.key.pool
        if number not in found_pools:
            pool = pools.known(conn, number)
            if pool is not None:
                found_pools[number] = pool
    known = Known(
        now=clock,
        next_unit=next_unit,
        codes=codes,
        units={
            unit: found for unit in questions.units if (found := find_unit(conn, unit)) is not None
        },
        pools=found_pools,
        orders={
            number: order
            for number in questions.orders
            if (order := orders.get(conn, number)) is not None
        },
        held_lots=held_lots,
    )
    if questions.whole:
        known = replace(known, **around.whole(conn, known, questions.rows, find_unit))
    elif questions.rows is not None:
        known = replace(known, runs=around.runs(conn, *questions.rows))
    for unit in questions.besides:
        if unit not in known.units and (found := find_unit(conn, unit)) is not None:
            known.units[unit] = found
    return known


def find_code(conn: Connection, text: str) -> KnownCode | None:
    """The code with this canonical text; None if no pool lists it."""
    row = conn.one(_CODE, (text,))
    if row is None:
        return None
    at, state, *of_unit = row
    key = code_key(at)
    fact = pools.describe(conn, key.pool)
    if fact is None:
        return None
    number = of_unit[0]
    unit = None
    if number is not None:
        # The row of a unit's first code is the unit's own; any other names the unit only.
        own = of_unit[1] is not None
        unit = _known(conn, units.UnitRow(at, *of_unit)) if own else find_unit(conn, number)
    held = bool(holds.covering(conn, "", "", key))
    return KnownCode(text, key, fact.roles[key.column], CODE_STATES[state], unit, held=held)


def _admitted(conn: Connection, text: str, new: dict[int, int]) -> KnownCode | None:
    """A text that a rule admits; `new` counts how many of each pool were admitted before it."""
    pool = pools.admitting(conn, text)
    if pool is None:
        return None
    position = pool.next_position + new.get(pool.pool, 0)
    new[pool.pool] = new.get(pool.pool, 0) + 1
    key = CodeKey(pool.pool, position, 0)
    return KnownCode(text, key, pool.roles[0], CodeState.ISSUED, None, registered=False)


def find_unit(conn: Connection, unit: int) -> KnownUnit | None:
    """The unit as its row says; None if it does not exist."""
    row = units.find(conn, unit)
    return None if row is None else _known(conn, row)


def _known(conn: Connection, row: units.UnitRow) -> KnownUnit:
    number = names.text(conn, row.order)
    order = orders.get(conn, number)
    product, lot = ("", "") if order is None else (order.product, order.lot)
    box = (
        conn.one("SELECT integrity FROM container WHERE unit = ?", (row.unit,))
        if row.home >> POOL_SHIFT == 0
        else None
    )
    wide = holds.covering(conn, product, lot, code_key(row.home)) if holds.wide(conn) else ()
    return KnownUnit(
        unit=row.unit,
        level=names.text(conn, row.level),
        state=UNIT_STATES[row.state],
        order=number,
        product=product,
        lot=lot,
        parent=row.parent,
        held=bool(wide) or bool(row.flags & HELD),
        doubtful=bool(row.flags & (DOUBTFUL | BROKEN)),
        open=box is not None and box[0] is None,
    )
