"""How facts of printers change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table
from agent.core.life import CodeState
from agent.core.plan import LinePlan
from agent.core.pools import IN_DOUBT
from agent.core.state import LineState, Window

PRINTER_LOST = "printer_lost"
MAY_COME = frozenset(
    {
        PRINTER_LOST,
        "printer_session",
        "inputs_lost",
        "unprintable",
        "event_lost",
        "counter_differs",
        "not_seen",
    }
)
"""Why a code is suspect that the reader behind the printer settles: seen it is attached, and when
enough later ones were read it cannot arrive any more. Others stay suspect until the line is
cleared."""


def _printer_session(plan: LinePlan, state: LineState, fact: f.PrinterSessionBegan) -> None:
    window = state.window(fact.station)
    window.session = fact.session
    _counts_from(window, fact.counter)
    # Nobody will report these prints any more.
    state.unpaired.pop(fact.station, None)
    state.unprinted.pop(fact.station, None)


def _printer_counted(plan: LinePlan, state: LineState, fact: f.PrinterCounted) -> None:
    _counts_from(state.window(fact.station), -1 if fact.missing else fact.counter)


def _counts_from(window: Window, counter: int) -> None:
    window.counter, window.proven, window.before, window.behind = counter, 0, 0, 0


def _codes_moved(plan: LinePlan, state: LineState, fact: f.CodesMoved) -> None:
    if fact.to == CodeState.VOID:  # a person said so, whoever has it in hand
        for window in state.windows.values():
            if (window.pool, window.column) == (fact.pool, fact.column):
                for position in range(fact.first, fact.first + fact.count):
                    window.codes.pop(position, None)
                    window.doubted.pop(position, None)
        return
    station = next((s for s in plan.stations if s.device and s.device == fact.device), None)
    if station is None:
        return
    window = state.window(station.id)
    if fact.to == CodeState.SENDING and (window.pool, window.column) != (fact.pool, fact.column):
        window.pool, window.column, window.codes, window.doubted = fact.pool, fact.column, {}, {}
    if (window.pool, window.column) != (fact.pool, fact.column):
        return
    for position in range(fact.first, fact.first + fact.count):
        was = window.codes.get(position)
        if fact.to in (CodeState.SENDING, CodeState.ACCEPTED, CodeState.PRINTED):
            window.codes[position] = fact.to
            window.proven += fact.to == CodeState.PRINTED and was in IN_DOUBT
        else:
            window.codes.pop(position, None)
            if was in IN_DOUBT and fact.why == PRINTER_LOST:
                window.behind += 1  # it was being handed over, or not yet
            elif was in IN_DOUBT:
                window.before += 1
            if fact.to == CodeState.SUSPECT and fact.why in MAY_COME:
                window.doubted[position] = window.seen


TABLE: Table = {
    f.PrinterSessionBegan: _printer_session,
    f.PrinterCounted: _printer_counted,
    f.CodesMoved: _codes_moved,
}
