"""Decisions about codes that are printed here, so that no code is ever printed twice.

allocated -> sending (durable before the first byte) -> accepted -> printed -> attached by being
read. In doubt: suspect. Nothing leads back to allocated. The window of codes that a device may have
in hand is as small as the station's plan says.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from agent.core import facts as f
from agent.core import inputs as i
from agent.core import recovery
from agent.core.effects import PrinterReady, PrintLabel, SendCodes
from agent.core.known import NOTHING, KnownCode, KnownPool, Questions
from agent.core.life import CodeState
from agent.core.outcome import Outcome
from agent.core.plan import LinePlan, Station
from agent.core.pools import IN_DOUBT, allocate, next_free, runs, suspect
from agent.core.scheme import WorkOrder
from agent.core.state import Item, LineState, Window

INDEXED = 5
"""ports.Evidence of a device that names the record it printed."""

POOL_LOW = 2_000
"""Codes left when the panel says that the pool is low."""


def coding_questions(
    plan: LinePlan,
    state: LineState,
    what: i.RefillWanted | i.PrinterConnected | i.PrintReported,
) -> Questions:
    station = plan.by_id[what.station]
    window = state.windows.get(station.id)
    late = () if window is None else recovery.due(station, window)
    rows = (window.pool, min(late), max(late)) if window is not None and late else None
    if isinstance(what, i.PrintReported):
        return NOTHING if rows is None else Questions(rows=rows)
    order = state.coding_for
    pool = order.pool(station.level, station.role) if order else None
    return Questions(pools=() if pool is None else (pool,), rows=rows)


def coding_input(
    out: Outcome,
    what: (
        i.PrinterConnected
        | i.RefillWanted
        | i.PrintAccepted
        | i.PrintReported
        | i.PrintDoubtful
        | i.PrinterCounted
    ),
) -> None:
    station = out.plan.by_id[what.station]
    window = out.state.windows.get(station.id, Window())
    match what:
        case i.PrinterConnected():
            recovery.recover(out, station, window, what)
            session = window.session + 1
            began = (station.id, station.device, session, what.cleared)
            # A counter that moves of itself is nothing to count from.
            counter = what.counter if what.steady else -1
            out.facts.append(f.PrinterSessionBegan(*began, counter))
            out.effects.append(PrinterReady(station.id, session))
            recovery.settle(out, station, window)
        case i.PrinterCounted():
            recovery.counted(out, station, window, what)
        case i.PrintDoubtful():
            states = {CodeState.SENDING} if what.held is None else IN_DOUBT
            _suspect(out, station, window, states, what.why, what.held or ())
        case i.RefillWanted():
            recovery.settle(out, station, window)
            _refill(out, station, window, what.room)
        case i.PrintAccepted():
            taken = range(what.first, what.first + what.count) if _of(window, what) else ()
            for first, count in runs(p for p in taken if window.codes.get(p) == CodeState.SENDING):
                _move(out, station, window, first, count, CodeState.ACCEPTED)
        case i.PrintReported():
            _overtaken(out, station, window, what)
            _printed(out, station, window, what)
            recovery.settle(out, station, window)


def _of(window: Window, what: i.PrintAccepted | i.PrintReported) -> bool:
    """Whether this is about the pool column that the window is about: after a change of order the
    device still has records of the one before, and their positions mean other codes."""
    return what.pool < 0 or (what.pool, what.column) == (window.pool, window.column)


def _move(
    out: Outcome,
    station: Station,
    window: Window,
    first: int,
    count: int,
    to: CodeState,
    evidence: int = 0,
    why: str = "",
) -> None:
    out.facts.append(
        f.CodesMoved(
            window.pool,
            window.column,
            first,
            count,
            to,
            station.device,
            window.session,
            evidence,
            why,
        )
    )


def _suspect(
    out: Outcome,
    station: Station,
    window: Window,
    states: Collection[CodeState],
    why: str,
    held: Collection[f.CodeKey] = (),
) -> None:
    doubtful = {
        p: CodeState(state)
        for p, state in window.codes.items()
        if state in states and f.CodeKey(window.pool, p, window.column) not in held
    }
    if doubtful:
        out.alarm("print_unconfirmed", 3, station.id, count=str(len(doubtful)))
    out.facts += suspect(
        window.pool,
        window.column,
        doubtful,
        device=station.device,
        session=window.session,
        why=why,
    )


def _send(
    out: Outcome, station: Station, window: Window, pool: KnownPool, column: int, count: int
) -> f.CodesMoved:
    """Take the next codes of the pool and say, before the first byte leaves, that they leave."""
    taken = allocate(pool, count, column=column, device=station.device, session=window.session)
    out.facts += [taken, replace(taken, to=CodeState.SENDING)]
    out.taken[pool.pool] = taken.first + taken.count
    return taken


def _pool_for(out: Outcome, station: Station, order: WorkOrder) -> KnownPool | None:
    number = order.pool(station.level, station.role)
    pool = None if number is None else out.known.pools.get(number)
    if pool is None or pool.pool not in out.taken:
        return pool
    return replace(pool, next_position=out.taken[pool.pool])


def _refill(out: Outcome, station: Station, window: Window, room: int) -> None:
    order, trial = out.state.coding_for, out.state.trial is not None
    if order is None or (out.state.status != "running" and not trial) or out.state.bypass:
        return
    pool = _pool_for(out, station, order)
    if pool is None:
        out.alarm("pool_empty", 1, station.id)
        return
    if _in_question(out, station, pool):
        return
    column = pool.roles.index(station.role)
    in_hand = sum(state in IN_DOUBT for state in window.codes.values())
    first, together = next_free(pool)
    left = pool.count - first if together else 0
    count = min(room, station.window - in_hand, together)
    _tell_left(out, station, pool, left - max(count, 0))
    if count <= 0:
        return
    same = (window.pool, window.column) == (pool.pool, column)
    past = pool.next_position - station.unseen_after
    unseen = [p for p in window.codes if not same or p < past]
    why = "not_seen" if same else "order_changed"
    to = CodeState.SUSPECT
    if same and trial:  # what a test prints never lives
        to, why = CodeState.VOID, "test_mode"
    for first, amount in runs(unseen):
        _move(out, station, window, first, amount, to, why=why)
    sent = _send(out, station, window, pool, column, count)
    out.effects.append(
        SendCodes(station.id, sent.pool, column, sent.first, sent.count, window.session)
    )


def _in_question(out: Outcome, station: Station, pool: KnownPool) -> bool:
    """Whether nothing may be printed from a pool because a backup was restored; told as alarm."""
    if pool.in_question:
        out.alarm("pool_in_question", 1, station.id, pool=pool.name)
    else:
        out.clear("pool_in_question", station.id)
    return pool.in_question


def _tell_left(out: Outcome, station: Station, pool: KnownPool, left: int) -> None:
    if left <= 0:
        out.alarm("pool_empty", 1, station.id, pool=pool.name)
    else:
        out.clear("pool_empty", station.id)
    if 0 < left < min(POOL_LOW, pool.count // 10):
        out.alarm("pool_low", 3, station.id, pool=pool.name, left=str(left))
    else:
        out.clear("pool_low", station.id)


def _overtaken(out: Outcome, station: Station, window: Window, what: i.PrintReported) -> None:
    """The device names its records and prints them in order: of those that it was given before this
    one, a report was lost, or they did not come out."""
    codes = window.codes
    if what.evidence < INDEXED or not _of(window, what) or codes.get(what.position) not in IN_DOUBT:
        return
    earlier = []
    for position, state in codes.items():
        if position == what.position:
            break
        if state in IN_DOUBT:
            earlier.append(position)
    if earlier:
        out.alarm("print_unconfirmed", 3, station.id, count=str(len(earlier)))
    recovery.move(out, station, window, earlier, CodeState.SUSPECT, why="event_lost")


def _printed(out: Outcome, station: Station, window: Window, what: i.PrintReported) -> None:
    state = window.codes.get(what.position)
    if state in IN_DOUBT and _of(window, what):
        _move(out, station, window, what.position, 1, CodeState.PRINTED, what.evidence)
    if station.kind != "print" or window.pool < 0:
        return
    pool, column = (window.pool, window.column) if what.pool < 0 else (what.pool, what.column)
    key = f.CodeKey(pool, what.position, column)
    waiting = out.state.unprinted.get(station.id, [])
    if waiting:
        out.facts.append(f.ItemPrinted(station.id, waiting[0], key))
    else:
        out.facts.append(f.PrintUnpaired(station.id, key))


def item_at_coder(out: Outcome, station: Station, item: int) -> None:
    """An item triggered the coder: pair it with a print that was reported before its trigger, or
    say that the coder had nothing in hand for it."""
    unpaired = out.state.unpaired.get(station.id, [])
    if unpaired:
        out.facts.append(f.ItemPrinted(station.id, item, unpaired[0]))
        return
    window = out.state.windows.get(station.id, Window())
    in_hand = sum(state in IN_DOUBT for state in window.codes.values())
    if len(out.state.unprinted.get(station.id, [])) >= in_hand:
        out.facts.append(f.PrintMissed(station.id, item))


def look_at_pairing(
    out: Outcome, station: Station, item: Item, reads: Mapping[str, KnownCode]
) -> None:
    """An item that carries a code which the same coder printed for another one: either it was read
    on the neighbour, or prints and triggers are out of step. Both times nothing is known of what
    was printed on which item; this item is rejected as a mismatch."""
    coder = out.plan.coder_of(station.id)
    expected = item.expected
    if coder is None or expected is None:
        return
    window = out.state.windows.get(coder.id, Window())
    for code in reads.values():
        key = code.key
        same = (key.pool, key.column) == (expected.pool, expected.column)
        if same and key != expected and key.position in window.codes:
            out.facts.append(f.PrintPairingLost(coder.id))
            return


def take_label(
    out: Outcome,
    station: Station,
    order: WorkOrder,
    level: str,
    unit: int,
    number: int,
    count: int,
) -> f.CodeKey | None:
    """Choose the next code of the order's pool for a container's label and have it printed."""
    pool = _pool_for(out, station, order)
    first, together = (0, 0) if pool is None else next_free(pool)
    if pool is None or not together:
        out.alarm("pool_empty", 1, station.id, pool=pool.name if pool else "")
        return None
    if _in_question(out, station, pool):
        return None
    column = pool.roles.index(station.role)
    _tell_left(out, station, pool, pool.count - first - 1)
    window = out.state.windows.get(station.id, Window())
    sent = _send(out, station, window, pool, column, 1)
    key = f.CodeKey(sent.pool, sent.first, column)
    by, session = out.state.started_by, window.session
    out.effects.append(PrintLabel(station.id, unit, number, key, level, count, session, order, by))
    return key


def withdraw(out: Outcome, station: Station, why: str) -> None:
    """Codes that were printed and that nobody has read are suspect; those that the coder still has
    in hand will come out."""
    window = out.state.windows.get(station.id, Window())
    printed = (at for at, state in window.codes.items() if state == CodeState.PRINTED)
    for first, count in runs(printed):
        _move(out, station, window, first, count, CodeState.SUSPECT, why=why)


def give_up(out: Outcome, station: Station, key: f.CodeKey) -> None:
    """The label that was meant for a container left the line unread: its code is suspect."""
    window = out.state.windows.get(station.id, Window())
    if (window.pool, window.column) == (key.pool, key.column) and key.position in window.codes:
        _move(out, station, window, key.position, 1, CodeState.SUSPECT, why="label_unread")
