"""What the functions of several kinds of facts share."""

from collections.abc import Callable

from agent.core import facts as f
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.state import LineState

Table = dict[type[f.Fact], Callable[..., None]]
"""What each kind of fact changes: (plan, state, fact)."""


def arrive(plan: LinePlan, state: LineState, station: Station, number: int) -> None:
    """The number was seen at a station: it is no longer on the path that leads there."""
    path = plan.into.get(station.id)
    if path is not None and not plan.first_of_zone(station.id):
        state.on_path.get(path.source, {}).pop(number, None)


def has_gate(station: Station) -> bool:
    """Whether items wait at this station for the PLC to report passed or rejected."""
    return station.gate and station.kind != "print"


def onto_path(
    plan: LinePlan, state: LineState, station: str, number: int, unit: int | None
) -> None:
    """The number is on the path behind the station; on a mixed one numbers mean nothing."""
    path = plan.out_of.get(station)
    if path is not None and path.kind is not PathKind.MIXED:
        numbers = state.on_path.setdefault(station, {})
        numbers.pop(number, None)  # a container that gets another stroke comes after the others
        numbers[number] = unit


def tally_reject(state: LineState, verdict: str) -> None:
    state.tally.rejected += 1
    reason = str(verdict)  # a plain key: a Verdict is a str to people and not to every encoder
    state.tally.reasons[reason] = state.tally.reasons.get(reason, 0) + 1
    state.tally.rejects_in_a_row += 1


def code_left_window(state: LineState, key: f.CodeKey) -> None:
    for window in state.windows.values():
        if (window.pool, window.column) == (key.pool, key.column):
            window.codes.pop(key.position, None)
