"""How facts of printers change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table
from agent.core.life import CodeState
from agent.core.plan import LinePlan
from agent.core.state import LineState


def _printer_session(plan: LinePlan, state: LineState, fact: f.PrinterSessionBegan) -> None:
    state.window(fact.station).session = fact.session
    # Nobody will report these prints any more.
    state.unpaired.pop(fact.station, None)
    state.unprinted.pop(fact.station, None)


def _codes_moved(plan: LinePlan, state: LineState, fact: f.CodesMoved) -> None:
    if fact.to == CodeState.VOID:  # a person said so, whoever has it in hand
        for window in state.windows.values():
            if (window.pool, window.column) == (fact.pool, fact.column):
                for position in range(fact.first, fact.first + fact.count):
                    window.codes.pop(position, None)
        return
    station = next((s for s in plan.stations if s.device and s.device == fact.device), None)
    if station is None:
        return
    window = state.window(station.id)
    if fact.to == CodeState.SENDING and (window.pool, window.column) != (fact.pool, fact.column):
        window.pool, window.column, window.codes = fact.pool, fact.column, {}
    if (window.pool, window.column) != (fact.pool, fact.column):
        return
    for position in range(fact.first, fact.first + fact.count):
        if fact.to in (CodeState.SENDING, CodeState.ACCEPTED, CodeState.PRINTED):
            window.codes[position] = fact.to
        else:
            window.codes.pop(position, None)


TABLE: Table = {
    f.PrinterSessionBegan: _printer_session,
    f.CodesMoved: _codes_moved,
}
