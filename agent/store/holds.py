"""Quality's holds: of units, of a lot, of a range of a pool's codes.

A unit that is held by name has a flag in its row; what holds lots and ranges is a short list that
the write connection remembers.
"""

from typing import NamedTuple

from agent.core.facts import CodeKey, HoldPlaced, HoldReleased
from agent.core.life import IllegalTransition
from agent.store import units
from agent.store.database import Connection
from agent.store.words import HELD


class Hold(NamedTuple):
    """A row of the hold table; `placed` and `released` are journal rows."""

    hold: int
    product: str
    lot: str
    pool: int
    first: int
    last: int
    reason: str
    by: str
    placed: int
    released: int | None


_ALL = "SELECT id, product, lot, pool, first, last, reason, by, placed, released FROM hold"


def place(conn: Connection, seq: int, fact: HoldPlaced) -> None:
    """A hold begins; IllegalTransition if its number is taken or a unit does not exist."""
    if conn.one("SELECT 1 FROM hold WHERE id = ?", (fact.hold,)):
        raise IllegalTransition(f"hold {fact.hold} exists already")
    conn.change(
        "INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            fact.hold,
            fact.product,
            fact.lot,
            fact.pool,
            fact.first,
            fact.last,
            fact.reason,
            fact.by,
            seq,
        ),
    )
    for unit in fact.units:
        row = units.get(conn, unit)
        conn.change("INSERT INTO hold_unit VALUES (?, ?, NULL)", (fact.hold, unit))
        conn.change("UPDATE code SET flags = ? WHERE id = ?", (row.flags | HELD, row.home))
        units.note(conn, unit, seq)
    conn.holds = None


def release(conn: Connection, seq: int, fact: HoldReleased) -> None:
    """A hold ends, for some of its units or whole; IllegalTransition if it had ended already."""
    if not conn.one("SELECT 1 FROM hold WHERE id = ? AND released IS NULL", (fact.hold,)):
        raise IllegalTransition(f"hold {fact.hold} is not open")
    held = [
        int(unit)
        for (unit,) in conn.execute(
            "SELECT unit FROM hold_unit WHERE hold = ? AND released IS NULL", (fact.hold,)
        ).fetchall()
    ]
    freed = list(fact.units) or held
    for unit in freed:
        if unit not in held:
            raise IllegalTransition(f"unit {unit} is not held by hold {fact.hold}")
        conn.change(
            "UPDATE hold_unit SET released = ? WHERE hold = ? AND unit = ?", (seq, fact.hold, unit)
        )
        if not numbers_of(conn, unit):
            row = units.get(conn, unit)
            conn.change("UPDATE code SET flags = ? WHERE id = ?", (row.flags & ~HELD, row.home))
        units.note(conn, unit, seq)
    if len(freed) == len(held):
        conn.change("UPDATE hold SET released = ? WHERE id = ?", (seq, fact.hold))
    conn.holds = None


def numbers_of(conn: Connection, unit: int) -> tuple[int, ...]:
    """The open holds that name this unit."""
    found = conn.execute(
        "SELECT hold FROM hold_unit WHERE unit = ? AND released IS NULL ORDER BY hold", (unit,)
    )
    return tuple(int(hold) for (hold,) in found.fetchall())


def wide(conn: Connection) -> tuple[Hold, ...]:
    """The open holds of lots and ranges."""
    if conn.holds is not None:
        return conn.holds
    found = tuple(
        Hold._make(row)
        for row in conn.execute(f"{_ALL} WHERE released IS NULL AND (lot <> '' OR pool >= 0)")
    )
    if conn.writes:  # no other connection changes them
        conn.holds = found
    return found


def covering(conn: Connection, product: str, lot: str, key: CodeKey | None) -> tuple[int, ...]:
    """The open holds of the lot, and of ranges in which the code stands."""
    return tuple(
        hold.hold
        for hold in wide(conn)
        if (hold.lot and (hold.product, hold.lot) == (product, lot))
        or (key is not None and hold.pool == key.pool and hold.first <= key.position <= hold.last)
    )


def list_holds(conn: Connection, *, closed: bool = False, limit: int = 1000) -> list[Hold]:
    """The newest holds first: the open ones, or all."""
    where = "" if closed else "WHERE released IS NULL"
    return [Hold._make(r) for r in conn.execute(f"{_ALL} {where} ORDER BY id DESC LIMIT {limit}")]


def units_of(conn: Connection, hold: int) -> list[int]:
    """The units that this hold names and that it still holds."""
    found = conn.execute("SELECT unit FROM hold_unit WHERE hold = ? AND released IS NULL", (hold,))
    return [int(unit) for (unit,) in found.fetchall()]


def next_number(conn: Connection) -> int:
    """The number of the next hold."""
    (last,) = conn.execute("SELECT max(id) FROM hold").fetchone()
    return 1 if last is None else int(last) + 1
