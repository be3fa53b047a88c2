"""Work orders and alarms: their rows, and what people ask of them."""

from typing import NamedTuple

import msgspec

from agent.core.known import Clock
from agent.core.life import IllegalTransition
from agent.core.scheme import WorkOrder
from agent.store import journal
from agent.store.database import Connection

_decode = msgspec.json.Decoder(WorkOrder).decode
_FROM = {
    "running": ("created", "paused"),
    "paused": ("running",),
    "finished": ("created", "running", "paused"),
}
"""State of an order -> the states it may come from."""


class OrderRow(NamedTuple):
    """An order with its state (created, running, paused, finished) and journal rows."""

    order: WorkOrder
    state: str
    created: int
    started: int | None
    finished: int | None


class Alarm(NamedTuple):
    """An alarm; `raised`, `acknowledged` and `cleared` are when (wall clock and its quality),
    `seq` the journal row that raised it."""

    seq: int
    line: str
    alarm: str
    priority: int
    key: str
    station: str
    item: int | None
    args: dict[str, str]
    raised: Clock
    acknowledged: Clock | None
    acknowledged_by: str
    cleared: Clock | None


def create(conn: Connection, seq: int, order: WorkOrder) -> None:
    """A new order; IllegalTransition if its number is taken."""
    if conn.execute("SELECT 1 FROM work_order WHERE number = ?", (order.number,)).fetchone():
        raise IllegalTransition(f"work order {order.number} exists already")
    conn.execute(
        "INSERT INTO work_order VALUES (?, ?, 'created', ?, ?, NULL, NULL)",
        (order.number, order.line, msgspec.json.encode(order).decode(), seq),
    )


def move(conn: Connection, seq: int, number: str, to: str) -> None:
    """The order goes into state `to`; IllegalTransition if it cannot from where it is."""
    row = conn.execute("SELECT state FROM work_order WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise IllegalTransition(f"there is no work order {number}")
    if row[0] not in _FROM[to]:
        raise IllegalTransition(f"a work order that is {row[0]} cannot become {to} ({number})")
    conn.execute(
        "UPDATE work_order SET state = ?, started = iif(? = 'running', coalesce(started, ?), "
        "started), finished = iif(? = 'finished', ?, finished) WHERE number = ?",
        (to, to, seq, to, seq, number),
    )


def get(conn: Connection, number: str) -> WorkOrder | None:
    """The order of that number; an order never changes, so it is remembered."""
    found = conn.orders.get(number)
    if found is None:
        row = conn.execute("SELECT body FROM work_order WHERE number = ?", (number,)).fetchone()
        if row is None:
            return None
        found = conn.orders[number] = _decode(row[0])
    return found


def list_orders(conn: Connection, line: str | None = None, limit: int = 200) -> list[OrderRow]:
    """The newest orders first, of one line or of all."""
    rows = conn.execute(
        "SELECT body, state, created, started, finished FROM work_order "
        "WHERE ? IS NULL OR line = ? ORDER BY created DESC LIMIT ?",
        (line, line, limit),
    )
    return [OrderRow(_decode(body), *rest) for body, *rest in rows]


_ALARM = """SELECT raised, line, alarm, priority, key, station, item, args, acknowledged,
    acknowledged_by, cleared FROM alarm"""


def _alarms(conn: Connection, where: str, given: tuple[object, ...]) -> list[Alarm]:
    found = []
    for row in conn.execute(f"{_ALARM} {where}", given).fetchall():
        seq, line, alarm, priority, key, station, item, args, acknowledged, by, cleared = row
        found.append(
            Alarm(
                seq=seq,
                line=line,
                alarm=alarm,
                priority=priority,
                key=key,
                station=station,
                item=item,
                args=dict(msgspec.json.decode(args)),
                raised=journal.when(conn, seq),
                acknowledged=None if acknowledged is None else journal.when(conn, acknowledged),
                acknowledged_by=by,
                cleared=None if cleared is None else journal.when(conn, cleared),
            )
        )
    return found


def open_alarms(conn: Connection, line: str | None = None) -> list[Alarm]:
    """Alarms that are not cleared, the most urgent (smallest priority number) first."""
    where = "WHERE cleared IS NULL AND (? IS NULL OR line = ?) ORDER BY priority, raised"
    return _alarms(conn, where, (line, line))


def alarm_history(
    conn: Connection, limit: int = 200, before_seq: int | None = None, line: str | None = None
) -> list[Alarm]:
    """Alarms, newest first; `before_seq` pages on from the last one's seq."""
    upto = (1 << 62) if before_seq is None else before_seq
    where = "WHERE raised < ? AND (? IS NULL OR line = ?) ORDER BY raised DESC LIMIT ?"
    return _alarms(conn, where, (upto, line, line, limit))
