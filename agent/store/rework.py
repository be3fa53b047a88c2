"""Tables after what people do with units (facts.rework). See `project`."""

from collections.abc import Callable
from typing import Any

from agent.core import facts as f
from agent.core.life import CodeState, IllegalTransition, UnitState
from agent.store import clearance, holds, units
from agent.store.database import Connection
from agent.store.words import BROKEN, CODE_NUMBER, code_id


def _unpacked(conn: Connection, seq: int, line: str, fact: f.Unpacked) -> None:
    container = fact.container
    if len(fact.since) != len(fact.children):
        raise IllegalTransition(f"container {container}: each child that leaves names its link")
    for child, since in zip(fact.children, fact.since, strict=True):
        units.unpack(conn, container, child)
        conn.change("INSERT INTO membership VALUES (?, ?, ?, ?)", (child, seq, container, since))
    left = len(fact.children) + fact.unknown
    changed = conn.change(
        "UPDATE container SET count = count - ?1, unknown = unknown - ?2, "
        "reason = iif(reason = '' AND closed IS NOT NULL, ?3, reason) "
        "WHERE unit = ?4 AND count >= ?1 AND unknown >= ?2",
        (left, fact.unknown, fact.reason, container),
    )
    if changed != 1:
        raise IllegalTransition(f"container {container} does not hold {left} children to take out")
    if conn.one("SELECT count FROM container WHERE unit = ?", (container,)) == (0,):
        units.unflag(conn, seq, container, BROKEN)  # there is nothing in it to be wrong about
    units.note(conn, container, seq)


def _reopened(conn: Connection, seq: int, line: str, fact: f.ContainerReopened) -> None:
    row = conn.one("SELECT closed FROM container WHERE unit = ?", (fact.container,))
    if row is None or row[0] is None:
        raise IllegalTransition(f"container {fact.container} is not closed and cannot reopen")
    units.note(conn, fact.container, row[0])
    units.note(conn, fact.container, seq)
    conn.change(
        "UPDATE container SET closed = NULL, integrity = NULL, reason = '', closed_by = '' "
        "WHERE unit = ?",
        (fact.container,),
    )


def _relabelled(conn: Connection, seq: int, line: str, fact: f.Relabelled) -> None:
    units.get(conn, fact.unit)
    named = conn.one("SELECT code FROM container WHERE unit = ?", (fact.unit,))
    new = code_id(fact.new)
    primary = False
    if fact.old is not None:
        old = code_id(fact.old)
        row = conn.one("SELECT unit, seq, unit_state FROM code WHERE id = ?", (old,))
        if row is None or row[0] != fact.unit or row[2] is not None:
            raise IllegalTransition(f"code {old} is not a code that unit {fact.unit} can change")
        conn.change(
            "UPDATE code SET state = ?, unit = NULL, moved = ? WHERE id = ?",
            (CODE_NUMBER[CodeState.VOID], seq, old),
        )
        conn.change("DELETE FROM unit_code WHERE unit = ? AND id = ?", (fact.unit, old))
        conn.change("INSERT INTO former_code VALUES (?, ?, ?, ?)", (old, fact.unit, row[1], seq))
        primary = named is not None and named[0] == old
    # A container's own code is kept in its row, as `bound` keeps where it was read.
    units.attach(
        conn,
        seq,
        fact.unit,
        (f.Attachment(fact.role, fact.new, fact.pair),),
        fact.new if primary else None,
    )
    if primary:
        conn.change("UPDATE container SET code = ? WHERE unit = ?", (new, fact.unit))
    units.note(conn, fact.unit, seq)


def _gone(to: UnitState) -> Callable[..., None]:
    def change(
        conn: Connection, seq: int, line: str, fact: f.UnitsSampled | f.UnitsDestroyed
    ) -> None:
        for unit in fact.units:
            row = units.get(conn, unit)
            units.move(conn, row, to)
            units.note(conn, unit, seq)

    return change


def _hold_placed(conn: Connection, seq: int, line: str, fact: f.HoldPlaced) -> None:
    holds.place(conn, seq, fact)


def _hold_released(conn: Connection, seq: int, line: str, fact: f.HoldReleased) -> None:
    holds.release(conn, seq, fact)


def _scanned(conn: Connection, seq: int, line: str, fact: f.ContainerScanned) -> None:
    units.get_container(conn, fact.container)
    units.note(conn, fact.container, seq)
    if fact.complete:
        units.unflag(conn, seq, fact.container, BROKEN)


CHANGES: dict[type[f.Fact], Callable[[Connection, int, str, Any], None]] = {
    f.Unpacked: _unpacked,
    f.ContainerReopened: _reopened,
    f.Relabelled: _relabelled,
    f.UnitsSampled: _gone(UnitState.SAMPLED),
    f.UnitsDestroyed: _gone(UnitState.DESTROYED),
    f.HoldPlaced: _hold_placed,
    f.HoldReleased: _hold_released,
    f.ContainerScanned: _scanned,
    f.RollClosed: clearance.roll_closed,
    f.LineCleared: clearance.cleared,
}
