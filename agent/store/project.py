"""Journal to tables: one function for each kind of durable fact.

`apply` raises IllegalTransition when a fact contradicts the tables; the job that wrote it is then
rolled back whole. Kinds that change no table are named in `_NO_TABLE`, so that a new kind of fact
cannot be forgotten here.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from agent.core import facts
from agent.core.facts import Attachment, CodeKey, Fact, PairIntegrity
from agent.core.life import CodeState, IllegalTransition, UnitState
from agent.core.scheme import WorkOrder
from agent.store import commands, devices, doubt, names, orders, pools, postings, rework, units
from agent.store.content import check_evidence
from agent.store.database import Connection
from agent.store.words import (
    DOUBTFUL,
    INTEGRITY_NUMBER,
    OWN_NUMBER,
    STEP,
    code_id,
)


def apply(conn: Connection, line: str, rows: Iterable[tuple[int, Fact]]) -> None:
    """Bring the tables up to these journal rows; IllegalTransition if they contradict a fact."""
    begin: list[tuple[int, facts.ItemPassed]] = []  # neighbours share their statements
    for seq, fact in rows:
        if isinstance(fact, facts.ItemPassed) and fact.commissioned:
            begin.append((seq, fact))
            continue
        if begin:
            _items_begin(conn, begin)
            begin = []
        change = _CHANGES.get(type(fact))
        if change is not None:
            change(conn, seq, line, fact)
            if type(fact) in postings.CHANGES:
                conn.touched.add(getattr(fact, "party", ""))
        elif type(fact) not in _NO_TABLE:
            raise NotImplementedError(f"the store does not know what {type(fact).__name__} changes")
    if begin:
        _items_begin(conn, begin)


def primary_role(conn: Connection, order: str, level: str) -> str | None:
    """The primary role of a level in the scheme of a work order; None where neither is known."""
    found: WorkOrder | None = orders.get(conn, order)
    if found is None:
        return None
    try:
        return found.scheme.level(level).primary
    except KeyError:
        return None


def _primary(conn: Connection, order: str, level: str, codes: tuple[Attachment, ...]) -> Attachment:
    role = primary_role(conn, order, level)
    primary = next((code for code in codes if code.role == role), codes[0] if codes else None)
    if primary is None:
        raise IllegalTransition(f"a {level} of work order {order} passed without a code")
    return primary


# -------------------------------------------------------------------------------------- pools


def _pool_imported(conn: Connection, seq: int, line: str, fact: facts.PoolImported) -> None:
    pools.add(conn, seq, fact)


def _code_registered(conn: Connection, seq: int, line: str, fact: facts.CodeRegistered) -> None:
    pools.register(conn, fact.key, fact.text)


def _codes_moved(conn: Connection, seq: int, line: str, fact: facts.CodesMoved) -> None:
    to = CodeState(fact.to)
    if to is CodeState.ATTACHED:
        raise IllegalTransition("codes are attached by being read on a unit, not by moving")
    first = CodeKey(fact.pool, fact.first, fact.column)
    units.move_codes(conn, seq, first, fact.count, to)
    pools.advance(conn, fact.pool, fact.first, fact.count, to)


def _restored(conn: Connection, seq: int, line: str, fact: facts.Restored) -> None:
    for pool in (pools.ELSEWHERE, *fact.pools):
        pools.question(conn, seq, pool)


def _pools_used(conn: Connection, seq: int, line: str, fact: facts.PoolsUsed) -> None:
    for seal, upto in fact.used:
        pools.used_before(conn, seal, upto)


def _pool_settled(conn: Connection, seq: int, line: str, fact: facts.PoolSettled) -> None:
    pools.settled(conn, fact.pool)


# ------------------------------------------------------------------------------- work orders


def _order_created(conn: Connection, seq: int, line: str, fact: facts.OrderCreated) -> None:
    orders.create(conn, seq, fact.order)


def _order_started(conn: Connection, seq: int, line: str, fact: facts.OrderStarted) -> None:
    orders.move(conn, seq, fact.number, "running")


def _order_paused(conn: Connection, seq: int, line: str, fact: facts.OrderPaused) -> None:
    orders.move(conn, seq, fact.number, "paused")


def _order_finished(conn: Connection, seq: int, line: str, fact: facts.OrderFinished) -> None:
    orders.move(conn, seq, fact.number, "finished")


# ------------------------------------------------------------------------- items on the belt


def _doubt(conn: Connection, seq: int, doubtful: tuple[int, ...]) -> None:
    for unit in doubtful:
        units.flag(conn, seq, unit, DOUBTFUL)


def _run_began(conn: Connection, seq: int, line: str, fact: facts.RunBegan) -> None:
    _doubt(conn, seq, fact.doubtful)


def _units_doubted(conn: Connection, seq: int, line: str, fact: facts.UnitsDoubted) -> None:
    _doubt(conn, seq, fact.units)


def _items_missed(conn: Connection, seq: int, line: str, fact: facts.ItemsMissed) -> None:
    _doubt(conn, seq, fact.units)


def _bypass_unseen(
    conn: Connection, seq: int, line: str, fact: facts.ItemUnseen | facts.ContainerUnseen
) -> None:
    if fact.unit is not None:
        units.note(conn, fact.unit, seq)


def _item_passed(conn: Connection, seq: int, line: str, fact: facts.ItemPassed) -> None:
    """An item that is a unit already; one that becomes a unit: `_items_begin`."""
    units.move(conn, units.get(conn, fact.unit), UnitState.VERIFIED)
    units.note(conn, fact.unit, seq)
    units.attach(conn, seq, fact.unit, fact.codes)


def _items_begin(conn: Connection, passed: list[tuple[int, facts.ItemPassed]]) -> None:
    more: list[tuple[int, facts.ItemPassed, Attachment]] = []
    seq = unit = at = count = 0
    level = order = ""
    worth = PairIntegrity.UNKNOWN
    for row, fact in passed:
        codes = fact.codes
        if len(codes) == 1:
            primary = codes[0]
        else:
            primary = _primary(conn, fact.order, fact.level, codes)
            more.append((row, fact, primary))
        home = code_id(primary.key)
        if (
            count
            and home == at + count * STEP
            and fact.unit == unit + count
            and row == seq + count
            and primary.integrity is worth
            and fact.level == level
            and fact.order == order
        ):
            count += 1
            continue
        if count:
            units.commission(conn, units.Beginning(seq, unit, at, level, order, worth, count))
        seq, unit, at, level, order, count = row, fact.unit, home, fact.level, fact.order, 1
        worth = primary.integrity
    units.commission(conn, units.Beginning(seq, unit, at, level, order, worth, count))
    for row, fact, primary in more:
        units.attach(conn, row, fact.unit, [code for code in fact.codes if code is not primary])


def _item_rejected(conn: Connection, seq: int, line: str, fact: facts.ItemRejected) -> None:
    if fact.unit is not None:
        units.note(conn, fact.unit, seq)
    lost = fact.codes if fact.expected is None else (*fact.codes, fact.expected)
    units.lose_codes(conn, seq, lost)


def _item_tested(conn: Connection, seq: int, line: str, fact: facts.ItemTested) -> None:
    units.void_codes(conn, seq, fact.codes)


def _reject(conn: Connection, seq: int, unit: int | None) -> None:
    """The unit is off the line. Hearing again that a rejected unit is off the line is no
    contradiction (its container's verdict came before the chute sensor)."""
    if unit is None:
        return
    units.move(conn, units.get(conn, unit), UnitState.REJECTED)
    units.note(conn, unit, seq)


def _reject_confirmed(conn: Connection, seq: int, line: str, fact: facts.RejectConfirmed) -> None:
    _reject(conn, seq, fact.unit)


def _foreign_rejected(conn: Connection, seq: int, line: str, fact: facts.ForeignRejected) -> None:
    _reject(conn, seq, fact.unit)


# -------------------------------------------------------------------------------- containers


def _keep_event(conn: Connection, unit: int, column: str, also: str = "NULL") -> Any:
    """Before a seq in `column` of a container is overwritten, move it to the unit's events; what
    stands in the column `also`. IllegalTransition: the unit is not a container."""
    row = conn.one(f"SELECT {column}, {also} FROM container WHERE unit = ?", (unit,))
    if row is None:
        raise IllegalTransition(f"unit {unit} is not a container")
    if row[0] is not None:
        units.note(conn, unit, row[0])
    return row[1]


def _container_formed(conn: Connection, seq: int, line: str, fact: facts.ContainerFormed) -> None:
    units.form(conn, seq, fact.unit, fact.level, fact.order)
    conn.change(
        "INSERT INTO container (unit, expected, station, number, count, unknown, reason, "
        "closed_by, verdict) VALUES (?, ?, ?, ?, 0, 0, '', '', '')",
        (fact.unit, fact.expected, names.number(conn, fact.station), fact.number),
    )


def _packed(conn: Connection, seq: int, line: str, fact: facts.Packed) -> None:
    _keep_event(conn, fact.container, "packed")
    check_evidence(fact)
    unknown = units.pack(conn, fact.container, fact.children)
    if fact.doubt:
        units.flag(conn, seq, fact.container, DOUBTFUL)
    conn.change(
        "UPDATE container SET count = count + ?, unknown = unknown + ?, packed = ? WHERE unit = ?",
        (len(fact.children), unknown, seq, fact.container),
    )


def _container_refused(conn: Connection, seq: int, line: str, fact: facts.ContainerRefused) -> None:
    units.lose_codes(conn, seq, fact.seen)
    if fact.unit is not None:
        _container_rejected(
            conn, seq, line, facts.ContainerRejected(fact.unit, fact.station, fact.verdict)
        )


def _reject_failed(conn: Connection, seq: int, line: str, fact: facts.RejectFailed) -> None:
    units.lose_codes(conn, seq, fact.codes, went_on=True)


def _label_assigned(conn: Connection, seq: int, line: str, fact: facts.LabelAssigned) -> None:
    _keep_event(conn, fact.container, "assigned")
    conn.change(
        "UPDATE container SET label = ?, assigned = ? WHERE unit = ?",
        (code_id(fact.key), seq, fact.container),
    )


def _label_bound(conn: Connection, seq: int, line: str, fact: facts.LabelBound) -> None:
    at = _keep_event(conn, fact.container, "bound", "code")
    row = units.get_container(conn, fact.container)
    units.move(conn, row, UnitState.VERIFIED)
    level, order = names.text(conn, row.level), names.text(conn, row.order)
    role = primary_role(conn, order, level)
    own = (code.key for code in fact.codes if role is None or code.role == role)
    named = next(own, None) if at is None else None
    units.attach(conn, seq, fact.container, fact.codes, named)
    conn.change(
        "UPDATE container SET code = ?, own = ?, bound = ? WHERE unit = ?",
        (at if named is None else code_id(named), OWN_NUMBER[fact.own], seq, fact.container),
    )


def _container_closed(conn: Connection, seq: int, line: str, fact: facts.ContainerClosed) -> None:
    _keep_event(conn, fact.container, "closed")
    changed = conn.change(
        "UPDATE container SET integrity = ?, closed = ?, reason = ?, closed_by = ? "
        "WHERE unit = ? AND count = ? AND unknown = ?",
        (
            INTEGRITY_NUMBER[fact.integrity],
            seq,
            fact.reason,
            fact.by,
            fact.container,
            fact.count,
            fact.unknown,
        ),
    )
    if changed != 1:
        raise IllegalTransition(
            f"container {fact.container} is closed with {fact.count} children, {fact.unknown} of "
            "them unknown; its links say otherwise"
        )


def _container_rejected(
    conn: Connection, seq: int, line: str, fact: facts.ContainerRejected
) -> None:
    given = fact.verdict, fact.container
    if conn.change("UPDATE container SET verdict = ? WHERE unit = ?", given) != 1:
        raise IllegalTransition(f"unit {fact.container} is not a container")
    _reject(conn, seq, fact.container)


# ------------------------------------------------------------------------------------ alarms


def _alarm_raised(conn: Connection, seq: int, line: str, fact: facts.AlarmRaised) -> None:
    if _alarm_open(conn, line, fact.alarm):
        raise IllegalTransition(f"alarm {fact.alarm} is open already")
    conn.execute(
        "INSERT INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, '', NULL)",
        (
            seq,
            line,
            fact.alarm,
            fact.priority,
            fact.key,
            fact.station,
            fact.item,
            msgspec.json.encode(fact.args).decode(),
        ),
    )


def _alarm_open(conn: Connection, line: str, alarm: str) -> bool:
    row = conn.execute(
        "SELECT 1 FROM alarm WHERE line = ? AND alarm = ? AND cleared IS NULL", (line, alarm)
    ).fetchone()
    return row is not None


def _alarm_cleared(conn: Connection, seq: int, line: str, fact: facts.AlarmCleared) -> None:
    changed = conn.execute(
        "UPDATE alarm SET cleared = ? WHERE line = ? AND alarm = ? AND cleared IS NULL",
        (seq, line, fact.alarm),
    )
    if changed.rowcount != 1:
        raise IllegalTransition(f"alarm {fact.alarm} is not open and cannot be cleared")


def _alarm_acknowledged(
    conn: Connection, seq: int, line: str, fact: facts.AlarmAcknowledged
) -> None:
    changed = conn.execute(
        "UPDATE alarm SET acknowledged = coalesce(acknowledged, ?), acknowledged_by = "
        "iif(acknowledged_by = '', ?, acknowledged_by) "
        "WHERE line = ? AND alarm = ? AND cleared IS NULL",
        (seq, fact.by, line, fact.alarm),
    )
    if changed.rowcount != 1:
        raise IllegalTransition(f"alarm {fact.alarm} is not open and cannot be acknowledged")


_CHANGES: dict[type[Fact], Callable[[Connection, int, str, Any], None]] = {
    facts.PoolImported: _pool_imported,
    facts.CodeRegistered: _code_registered,
    facts.CodesMoved: _codes_moved,
    facts.Restored: _restored,
    facts.PoolSettled: _pool_settled,
    facts.PoolsUsed: _pools_used,
    facts.OrderCreated: _order_created,
    facts.OrderStarted: _order_started,
    facts.OrderPaused: _order_paused,
    facts.OrderFinished: _order_finished,
    facts.RunBegan: _run_began,
    facts.ItemUnseen: _bypass_unseen,
    facts.ContainerUnseen: _bypass_unseen,
    facts.UnitsDoubted: _units_doubted,
    facts.ItemsMissed: _items_missed,
    facts.ItemPassed: _item_passed,
    facts.ItemRejected: _item_rejected,
    facts.ItemTested: _item_tested,
    facts.RejectConfirmed: _reject_confirmed,
    facts.ForeignRejected: _foreign_rejected,
    facts.ContainerFormed: _container_formed,
    facts.Packed: _packed,
    facts.ContainerRefused: _container_refused,
    facts.RejectFailed: _reject_failed,
    facts.LabelAssigned: _label_assigned,
    facts.LabelBound: _label_bound,
    facts.ContainerClosed: _container_closed,
    facts.ContainerRejected: _container_rejected,
    facts.AlarmRaised: _alarm_raised,
    facts.AlarmCleared: _alarm_cleared,
    facts.AlarmAcknowledged: _alarm_acknowledged,
    facts.CommandDone: commands.done,
    facts.ReferenceChanged: commands.changed,
    **devices.CHANGES,
    **postings.CHANGES,
    **doubt.CHANGES,
    **rework.CHANGES,
}

_NO_TABLE: frozenset[type[Fact]] = frozenset(
    {
        facts.AgentStarted,
        facts.PrinterSessionBegan,
        facts.PrinterCounted,
        facts.PartialAllowed,
        facts.BypassBegan,
        facts.BypassEnded,
        facts.TestModeBegan,
        facts.TestModeEnded,
    }
)

HANDLED: frozenset[type[Fact]] = frozenset(_CHANGES) | _NO_TABLE
"""Every kind of durable fact; a test compares it with the vocabulary."""
