"""How facts of what people do with units change a line on which the unit may be."""

from agent.core import facts as f
from agent.core.evolve.common import Table, code_left_window, off_the_line
from agent.core.plan import LinePlan
from agent.core.state import LineState


def _unpacked(plan: LinePlan, state: LineState, fact: f.Unpacked) -> None:
    container = state.container_of(fact.container)
    if container is None:
        return
    container.count -= len(fact.children) + fact.unknown
    container.unknown -= fact.unknown
    if not container.closed and not container.partial:
        container.full = False  # should it still come, it must not pass as full


def _left_stock(plan: LinePlan, state: LineState, fact: f.UnitsSampled | f.UnitsDestroyed) -> None:
    off_the_line(state, fact.units, "void")


def _relabelled(plan: LinePlan, state: LineState, fact: f.Relabelled) -> None:
    container = state.container_of(fact.unit)
    if container is not None:
        container.codes[fact.role] = fact.new
    code_left_window(state, fact.new)


TABLE: Table = {
    f.Relabelled: _relabelled,
    f.Unpacked: _unpacked,
    f.UnitsSampled: _left_stock,
    f.UnitsDestroyed: _left_stock,
}
