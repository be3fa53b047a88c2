"""What stands around the units that a person names: their content at any depth, the containers that
hold them, their orders, names and holds (`Questions.whole`)."""

from collections.abc import Callable
from typing import Any

from agent.core.known import CodeRun, Known, KnownContainer, KnownHold, KnownLink, KnownUnit
from agent.core.scheme import WorkOrder
from agent.store import content, holds, orders, pools, trace
from agent.store.database import Connection
from agent.store.words import (
    CODE_STATES,
    INTEGRITY,
    OWN,
    STEP,
    code_key,
    pool_range,
)

Find = Callable[[Connection, int], KnownUnit | None]


def whole(
    conn: Connection, known: Known, rows: tuple[int, int, int] | None, find: Find
) -> dict[str, Any]:
    """The fields of `Known` that only these questions fill."""
    found: dict[int, KnownUnit] = dict(known.units)
    boxes: dict[int, KnownContainer] = {}
    named = [code.unit.unit for code in known.codes.values() if code.unit is not None]
    todo = [*named, *known.units]
    while todo:
        unit = todo.pop()
        if unit in boxes or not _bring(conn, unit, found, find):
            continue
        box = container(conn, unit)
        if box is not None:
            boxes[unit] = box
            todo += [link.child for link in box.links if link.child is not None]
    for unit in list(found):
        above = found[unit].parent
        while above is not None and above not in boxes and _bring(conn, above, found, find):
            box = container(conn, above)
            if box is None:
                break
            boxes[above] = box
            above = found[above].parent
    served: dict[str, WorkOrder] = {}
    for each in found.values():
        order = orders.get(conn, each.order)
        if order is not None:
            served[each.order] = order
    return {
        "units": found,
        "containers": boxes,
        "orders": served,
        "names": {unit: name for unit in found if (name := trace.name_of(conn, unit))},
        "holds": _holds(conn),
        "next_hold": holds.next_number(conn),
        "runs": () if rows is None else runs(conn, *rows),
    }


def _bring(conn: Connection, unit: int, found: dict[int, KnownUnit], find: Find) -> bool:
    if unit not in found:
        row = find(conn, unit)
        if row is None:
            return False
        found[unit] = row
    return True


def container(conn: Connection, unit: int) -> KnownContainer | None:
    """The container with what it holds; None if the unit is none."""
    row = trace.find_container(conn, unit)
    if row is None:
        return None
    codes = {}
    keys = [] if row.code is None else [row.code]
    keys += [
        at for (at,) in conn.execute("SELECT id FROM unit_code WHERE unit = ?", (unit,)).fetchall()
    ]
    for at in keys:
        key = code_key(at)
        pool = pools.describe(conn, key.pool)
        if pool is not None:
            codes[pool.roles[key.column]] = key
    return KnownContainer(
        unit,
        row.expected,
        tuple(
            KnownLink(place, link.child, link.evidence, link.since)
            for place, link in content.links(conn, unit).items()
        ),
        None if row.integrity is None else INTEGRITY[row.integrity],
        None if row.own is None else OWN[row.own],
        codes,
    )


def _holds(conn: Connection) -> tuple[KnownHold, ...]:
    return tuple(
        KnownHold(
            hold.hold,
            frozenset(holds.units_of(conn, hold.hold)),
            hold.product,
            hold.lot,
            hold.pool,
            hold.first,
            hold.last,
        )
        for hold in holds.list_holds(conn)
    )


def runs(conn: Connection, pool: int, first: int, last: int) -> tuple[CodeRun, ...]:
    """Neighbouring codes of a range in the same state, column by column."""
    fact = pools.describe(conn, pool)
    start, end = pool_range(pool)
    lower, upper = start + first * STEP, min(end, start + last * STEP + STEP - 1)
    found: list[CodeRun] = []
    for column in range(0 if fact is None else len(fact.roles)):
        run: CodeRun | None = None
        for at, number in conn.execute(
            f"SELECT id, state FROM code WHERE id BETWEEN ? AND ? AND id % {STEP} = ? ORDER BY id",
            (lower, upper, column),
        ):
            position, state = code_key(at).position, CODE_STATES[number]
            if run is not None and run.state is state and position == run.first + run.many:
                run = run._replace(many=run.many + 1)
                continue
            if run is not None:
                found.append(run)
            run = CodeRun(column, position, 1, state)
        if run is not None:
            found.append(run)
    return tuple(found)
