"""Rows of codes and units: find them, move them, attach codes, bind children.

Every code of a pool has a row. A unit's row is the row of its *home* code: the primary code that it
was commissioned with, or `(0, unit, 0)` for a container, which exists before its code.
`unit_at` says where a unit's home is: unit u >= first stands u - first positions after `id`, until
the next row; unit ids only rise, so rows are only ever added at its end.

Every function here raises IllegalTransition when what is asked contradicts the rows, and may have
written a part by then: the caller's transaction or savepoint is rolled back.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from agent.core.facts import Attachment, CodeKey, PairIntegrity
from agent.core.life import (
    CODE_LIFE,
    PRINTABLE_LEFT,
    UNIT_LIFE,
    CodeState,
    IllegalTransition,
    UnitState,
    move_code,
    move_unit,
)
from agent.store import names, pools
from agent.store.database import Connection
from agent.store.words import (
    CODE_NUMBER,
    CODE_STATES,
    PAIR_NUMBER,
    STEP,
    UNIT_NUMBER,
    UNIT_STATES,
    code_id,
    code_key,
)

_MAY_PACK = ",".join(
    str(UNIT_NUMBER[state]) for state, to in UNIT_LIFE.items() if UnitState.PACKED in to
)
_REJECTED = UNIT_NUMBER[UnitState.REJECTED]
_MAY_BE_FOUND = frozenset(UnitState) - {
    UnitState.SHIPPED,
    UnitState.RECEIVED,
    UnitState.SAMPLED,
    UnitState.DESTROYED,
}
"""States of a unit that may turn out to be in a container of which nobody knew."""

_MAY_ATTACH = ",".join(
    str(CODE_NUMBER[state]) for state, to in CODE_LIFE.items() if CodeState.ATTACHED in to
)
_ATTACHED = CODE_NUMBER[CodeState.ATTACHED]

# A code whose carrier was rejected keeps unit_state REJECTED without a unit: attaching overwrites.
# Neighbours in one statement: each costs a fifth of a statement of its own.
_COMMISSION = f"""UPDATE code SET state = {_ATTACHED}, integrity = ?3,
    seq = ?4 + (id - ?1) / {STEP}, unit = ?5 + (id - ?1) / {STEP},
    unit_state = {UNIT_NUMBER[UnitState.VERIFIED]}, level = ?6, ord = ?7, flags = 0,
    parent = ?5 + (id - ?1) / {STEP}, room = NULL
    WHERE id BETWEEN ?1 AND ?2 AND (id - ?1) % {STEP} = 0 AND unit IS NULL
    AND state IN ({_MAY_ATTACH})"""
_FORM = f"""INSERT INTO code (id, state, seq, unit, unit_state, level, ord, flags, parent)
    VALUES (?1, {_ATTACHED}, ?2, ?3, {UNIT_NUMBER[UnitState.COMMISSIONED]}, ?4, ?5, 0, ?3)"""
_ATTACH = f"""UPDATE code SET state = {_ATTACHED}, integrity = ?2, seq = ?3, unit = ?4,
    unit_state = NULL, room = NULL WHERE id = ?1"""
_MOVE = "UPDATE code SET state = ?2, moved = ?3, room = NULL WHERE id = ?1"
_MAY_COME = {
    to: ",".join(str(CODE_NUMBER[now]) for now, may in CODE_LIFE.items() if to in may)
    for to in CodeState
}
_MOVE_RUN = {
    to: f"""UPDATE code SET state = {CODE_NUMBER[to]}, moved = ?3, room = NULL
    WHERE id BETWEEN ?1 AND ?2 AND (id - ?1) % {STEP} = 0 AND state IN ({_MAY_COME[to]})"""
    for to in CodeState
}
_PACK = f"""UPDATE code SET unit_state = {UNIT_NUMBER[UnitState.PACKED]}, parent = ?4
    WHERE id BETWEEN ?1 AND ?2 AND (id - ?1) % {STEP} = 0 AND unit = ?3 + (id - ?1) / {STEP}
    AND parent = unit AND unit_state IN ({_MAY_PACK})"""
_PACKED = UNIT_NUMBER[UnitState.PACKED]
# One that left the stock inside its container stays what it is.
_UNPACK = f"""UPDATE code SET parent = unit,
    unit_state = iif(unit_state = {_PACKED}, {UNIT_NUMBER[UnitState.UNPACKED]}, unit_state)
    WHERE id = ? AND unit = ? AND parent = ? AND parent <> unit"""
_RUN = "SELECT first, id FROM unit_at WHERE first <= ? ORDER BY first DESC LIMIT 1"
_UNIT = "SELECT id, unit, unit_state, level, ord, flags, parent, seq FROM code WHERE id = ?"


class UnitRow(NamedTuple):
    """A unit as its row says; numbers as in `words` and `names`. `home` is the row's id (a code
    id, or a container's), `born` the seq of its first fact; `place` counts only in a parent."""

    home: int
    unit: int
    state: int
    level: int
    order: int
    flags: int
    inside: int
    born: int

    @property
    def parent(self) -> int | None:
        """The open parent; a unit in no container is stored as its own."""
        return None if self.inside == self.unit else self.inside


def home(conn: Connection, unit: int) -> int | None:
    """Id of the row where the unit should stand; None before the first unit."""
    row = conn.one(_RUN, (unit,))
    return None if row is None else int(row[1]) + (unit - int(row[0])) * STEP


def _runs(conn: Connection, units: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """The homes of units as (first unit, id of its row, how many): the rows of a run stand side by
    side. A unit named twice is in two runs; one before the first unit of all is in none."""
    first = at = last = many = 0
    for unit in sorted(units, reverse=True):
        if many and first < last == unit + 1:
            last, many = unit, many + 1
            continue
        if many:
            yield last, at + (last - first) * STEP, many
        row = conn.one(_RUN, (unit,))
        if row is None:
            return
        first, at = row
        last, many = unit, 1
    if many:
        yield last, at + (last - first) * STEP, many


def find(conn: Connection, unit: int) -> UnitRow | None:
    """The unit's row, None if there is no such unit."""
    at = home(conn, unit)
    if at is None:
        return None
    return _at(conn, unit, at)


def _at(conn: Connection, unit: int, at: int) -> UnitRow | None:
    row = conn.one(_UNIT, (at,))
    return UnitRow._make(row) if row is not None and row[1] == unit else None


def get(conn: Connection, unit: int) -> UnitRow:
    """The unit's row; IllegalTransition if there is no such unit."""
    row = find(conn, unit)
    if row is None:
        raise IllegalTransition(f"there is no unit {unit}")
    return row


def get_container(conn: Connection, unit: int) -> UnitRow:
    """The row of a unit that is a container; IllegalTransition if there is none."""
    row = _at(conn, unit, unit * STEP)
    if row is None:
        raise IllegalTransition(f"unit {unit} is not a container")
    return row


def last_unit(conn: Connection) -> tuple[int, int]:
    """The greatest unit id that was given, and the id of its row; (0, 0) before the first.

    The last run of `unit_at` has no end written down: it is found by doubling and halving, since
    the units of a run follow each other without a gap.
    """
    if conn.last_unit is None:
        row = conn.execute("SELECT first, id FROM unit_at ORDER BY first DESC LIMIT 1").fetchone()
        if row is None:
            conn.last_unit = (0, 0)
            return conn.last_unit
        first, start = int(row[0]), int(row[1])

        def exists(step: int) -> bool:
            found = conn.execute("SELECT unit FROM code WHERE id = ?", (start + step * STEP,))
            unit = found.fetchone()
            return unit is not None and unit[0] == first + step

        good, bad = 0, 1
        while exists(bad):
            good, bad = bad, bad * 2
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if exists(middle) else (good, middle)
        conn.last_unit = (first + good, start + good * STEP)
    return conn.last_unit


def _give(conn: Connection, unit: int, at: int) -> None:
    """Note that `unit` begins, with its row at id `at`."""
    last, last_at = last_unit(conn)
    if unit <= last:
        raise IllegalTransition(f"unit {unit} begins, but unit {last} has been given already")
    if unit != last + 1 or at != last_at + STEP or last == 0:
        conn.change("INSERT INTO unit_at VALUES (?, ?)", (unit, at))
    conn.last_unit = (unit, at)


def code_state(conn: Connection, key: CodeKey) -> tuple[CodeState, int | None]:
    """State of a code and the unit it is on; IllegalTransition if no pool holds it."""
    row = conn.one("SELECT state, unit FROM code WHERE id = ?", (code_id(key),))
    if row is None:
        raise IllegalTransition(f"no pool holds code {key.pool}/{key.position} {key.column}")
    return CODE_STATES[row[0]], row[1]


def _may_attach(conn: Connection, unit: int, key: CodeKey) -> bool:
    """True if the code is still to be attached, False if it is on this unit already."""
    state, on = code_state(conn, key)
    if on == unit:
        return False
    if on is not None:
        raise IllegalTransition(
            f"code {key.pool}/{key.position} is on unit {on} and cannot go to unit {unit}"
        )
    move_code(state, CodeState.ATTACHED)
    return True


class Beginning(NamedTuple):
    """`many` neighbours, each read by the journal row after that of the one before it, begin with
    their primary codes: units from `unit` on, journal rows from `seq`, code ids from `at`."""

    seq: int
    unit: int
    at: int
    level: str
    order: str
    integrity: PairIntegrity
    many: int


def commission(conn: Connection, new: Beginning) -> None:
    """Units begin, VERIFIED."""
    seq, unit, at, level, order, integrity, many = new
    _give(conn, unit, at)
    end = at + (many - 1) * STEP
    conn.last_unit = (unit + many - 1, end)
    numbers = PAIR_NUMBER[integrity], seq, unit, names.number(conn, level)
    if conn.change(_COMMISSION, (at, end, *numbers, names.number(conn, order))) != many:
        for n in range(many):  # one of them raises
            _may_attach(conn, unit + n, code_key(at + n * STEP))


def form(conn: Connection, seq: int, unit: int, level: str, order: str) -> None:
    """A container begins, COMMISSIONED, without a code."""
    at = unit * STEP
    _give(conn, unit, at)
    conn.change(_FORM, (at, seq, unit, names.number(conn, level), names.number(conn, order)))


def attach(
    conn: Connection, seq: int, unit: int, codes: Iterable[Attachment], named: CodeKey | None = None
) -> None:
    """Codes come onto a unit that exists; one that is on it already is left alone. `named` is kept
    elsewhere in the unit's rows, the others are listed in `unit_code`."""
    for code in codes:
        if not _may_attach(conn, unit, code.key):
            continue
        at = code_id(code.key)
        conn.change(_ATTACH, (at, PAIR_NUMBER[code.integrity], seq, unit))
        if code.key != named:
            conn.change("INSERT INTO unit_code VALUES (?, ?)", (unit, at))


def put(conn: Connection, row: UnitRow, container: int) -> None:
    """The unit is in this container, wherever it was recorded before."""
    if row.unit == container or UNIT_STATES[row.state] not in _MAY_BE_FOUND:
        raise IllegalTransition(
            f"unit {row.unit} is {UNIT_STATES[row.state]} and cannot be in container {container}"
        )
    packed = UNIT_NUMBER[UnitState.PACKED]
    conn.change(
        "UPDATE code SET parent = ?, unit_state = ? WHERE id = ?", (container, packed, row.home)
    )


def note(conn: Connection, unit: int, seq: int) -> None:
    """Keep that journal row `seq` is part of the unit's history."""
    conn.change("INSERT OR IGNORE INTO unit_event VALUES (?, ?)", (unit, seq))


def move(conn: Connection, row: UnitRow, to: UnitState) -> None:
    """The unit goes into state `to`, unless it is in it."""
    if row.state == UNIT_NUMBER[to]:
        return
    move_unit(UNIT_STATES[row.state], to)
    conn.change("UPDATE code SET unit_state = ? WHERE id = ?", (UNIT_NUMBER[to], row.home))


def flag(conn: Connection, seq: int, unit: int, flags: int) -> None:
    """Set flags of a unit and note it."""
    row = get(conn, unit)
    conn.change("UPDATE code SET flags = ? WHERE id = ?", (row.flags | flags, row.home))
    note(conn, unit, seq)


def unflag(conn: Connection, seq: int, unit: int, flags: int) -> None:
    """Take flags from a unit and note it, if it has them."""
    row = get(conn, unit)
    if row.flags & flags:
        conn.change("UPDATE code SET flags = ? WHERE id = ?", (row.flags & ~flags, row.home))
        note(conn, unit, seq)


def pack(conn: Connection, container: int, children: Sequence[int | None]) -> int:
    """Bind children to their parent; how many of them were unknown. Places and evidence of the
    links stay in the journal row, which the container's row names."""
    known = [child for child in children if child is not None]
    if container in known:
        raise IllegalTransition(f"container {container} cannot be in itself")
    packed = sum(
        conn.change(_PACK, (at, at + (many - 1) * STEP, first, container))
        for first, at, many in list(_runs(conn, known))
    )
    if packed != len(known):
        raise IllegalTransition(_why_not_packed(conn, container, known))
    return len(children) - len(known)


def unpack(conn: Connection, container: int, child: int) -> None:
    """A child leaves its open parent; IllegalTransition if it is not in this container."""
    if conn.change(_UNPACK, (home(conn, child), child, container)) != 1:
        raise IllegalTransition(f"unit {child} is not in container {container}")


def _why_not_packed(conn: Connection, container: int, children: Sequence[int]) -> str:
    for child in children:
        row = find(conn, child)
        if row is None:
            return f"unit {child} does not exist and cannot be packed into {container}"
        if row.inside != container:
            inside = "" if row.parent is None else f" in container {row.parent}"
            return (
                f"unit {child} is {UNIT_STATES[row.state]}{inside} and cannot be packed into "
                f"{container}"
            )
    return f"a child of container {container} is named twice, or is in it already"


def move_codes(conn: Connection, seq: int, first: CodeKey, count: int, to: CodeState) -> None:
    """`count` codes of one column change state together."""
    if count < 1:
        raise IllegalTransition(f"{count} codes cannot change state")
    start, end = code_id(first), code_id(first) + (count - 1) * STEP
    if conn.change(_MOVE_RUN[to], (start, end, seq)) == count:
        return
    stored = conn.execute(
        f"SELECT state FROM code WHERE id BETWEEN ? AND ? AND id % {STEP} = ?",
        (start, end, first.column),
    ).fetchall()
    if len(stored) != count:
        raise IllegalTransition(
            f"pool {first.pool} does not hold {count} codes from position {first.position}"
        )
    # Those that could be moved have been; what is left cannot become it, or was it before.
    for state in {CODE_STATES[number] for (number,) in stored} - {to}:
        move_code(state, to)
    move_code(to, to)


def void_codes(conn: Connection, seq: int, keys: Iterable[CodeKey]) -> None:
    """Codes seen on (or printed on) an item of a test: those that we print become VOID. One that is
    on a unit, comes printed, or was never sent is left alone."""
    for key in keys:
        state, unit = code_state(conn, key)
        if unit is not None or state is CodeState.ATTACHED or state in PRINTABLE_LEFT:
            continue
        pool = pools.describe(conn, key.pool)
        if pool is None or pool.preprinted or state is CodeState.VOID:
            continue
        conn.execute(_MOVE, (code_id(key), CODE_NUMBER[move_code(state, CodeState.VOID)], seq))


def lose_codes(
    conn: Connection, seq: int, keys: Iterable[CodeKey], *, went_on: bool = False
) -> None:
    """Codes seen on (or printed on) a thing that is rejected without having become a unit.

    Physically they are off the line: they become SUSPECT and are counted as rejected, but where the
    gate let the thing go on (`went_on`). A code that is on a unit (a duplicate, a neighbour's code)
    or void is left alone, and so is one of a pool that we print and that was never sent: whatever
    carries it is not ours, and the code will come.
    """
    for key in keys:
        state, unit = code_state(conn, key)
        if unit is not None or state in (CodeState.ATTACHED, CodeState.VOID):
            continue
        pool = pools.describe(conn, key.pool)
        if pool is not None and not pool.preprinted and state in PRINTABLE_LEFT:
            continue
        if state is not CodeState.SUSPECT:
            move_code(state, CodeState.SUSPECT)
        conn.execute(_MOVE, (code_id(key), CODE_NUMBER[CodeState.SUSPECT], seq))
        unit_state = None if went_on else _REJECTED
        conn.execute("UPDATE code SET unit_state = ? WHERE id = ?", (unit_state, code_id(key)))
