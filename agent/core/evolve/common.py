"""What the functions of several kinds of facts share."""

from collections.abc import Callable, Collection, Iterable

from agent.core import facts as f
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.pools import IN_DOUBT
from agent.core.state import Container, LineState

Table = dict[type[f.Fact], Callable[..., None]]
"""What each kind of fact changes: (plan, state, fact)."""


LANE_KEPT = 1024
"""Units that a lane, or the way to a packer, may hold: a packer that never strokes must not fill
the memory."""
GATE_KEPT = 16
"""Units that may be between their verdict and the gate: as many as the PLC has slots."""


def arrive(plan: LinePlan, state: LineState, station: Station, number: int) -> None:
    """The number was seen at a station: it is no longer on the path that leads there."""
    _found(plan, state, station.id, number)
    if not plan.first_of_zone(station.id):
        off_path(plan, state, station, number)


def _found(plan: LinePlan, state: LineState, station: str, number: int) -> None:
    """The number was missed and is here, or was given anew."""
    strayed = state.strayed.get(plan.zone[station])
    if strayed:
        strayed.pop(number, None)


def off_path(plan: LinePlan, state: LineState, station: Station, number: int) -> int | None:
    """Take a number that arrived at a station off the path that leads there; its unit. The first
    one that was seen to leave ends the time in which others are from before the counting."""
    path = plan.into.get(station.id)
    if path is None or path.kind is PathKind.MIXED:
        return None
    on_path = state.on_path.get(path.source, {})
    settling = state.settling.get("path", [])
    if number in on_path:
        if station.id in settling:
            settling.remove(station.id)
        return on_path.pop(number)
    if station.id in settling:
        state.count(station.id).earlier += 1
    else:
        state.count(station.id).added += 1
    return None


def unseen_on_path(plan: LinePlan, state: LineState, station: str, number: int) -> bool:
    """Whether the number set out for this station since the counting began and was not seen at it:
    it is on the path that leads there, or was missed on it."""
    if plan.first_of_zone(station):
        return False
    path = plan.into.get(station)
    if path is None or path.kind is PathKind.MIXED:
        return False
    strayed = state.strayed.get(plan.zone[station], {})
    return number in state.on_path.get(path.source, {}) or number in strayed


def at_gate(state: LineState, station: str, *, known: bool) -> bool:
    """Whether a gate's report counts: not while it is about items that triggered before the
    counting began."""
    settling = state.settling.get("gate", [])
    if known and station in settling:
        settling.remove(station)
    return station not in settling


def let_go(state: LineState, units: Collection[int | None]) -> None:
    """Where these units are is known by another fact now, or is said to be doubtful."""
    for loose in state.loose.values():
        for unit in units:
            if unit is not None:
                loose.pop(unit, None)
    for strayed in state.strayed.values():
        for number, unit in strayed.items():
            if unit in units:
                strayed[number] = None


def pass_on(plan: LinePlan, state: LineState, station: str, unit: int) -> None:
    """The unit got a PASS at the station: it is between there and a packer, or off the line."""
    let_go(state, (unit,))
    loose = state.loose.setdefault(station, {})
    loose[unit] = None
    packed = any(
        each.kind == "pack" and each.id != station and plan.between(station, each.id)
        for each in plan.stations
    )
    while len(loose) > (LANE_KEPT if packed else GATE_KEPT):
        del loose[next(iter(loose))]


def excuse(state: LineState, container: Container, unknown: int) -> None:
    """So many unknown children of the container passed in bypass, as far as that many did."""
    unseen = min(unknown, state.unseen.get(container.station, 0))
    if unseen:
        container.excused += unseen
        state.unseen[container.station] -= unseen


def has_gate(station: Station) -> bool:
    """Whether items wait at this station for the PLC to report passed or rejected."""
    return station.gate and station.kind != "print"


def onto_path(
    plan: LinePlan, state: LineState, station: str, number: int, unit: int | None
) -> None:
    """The number is on the path behind the station; on a mixed one numbers mean nothing."""
    _found(plan, state, station, number)
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


def off_the_line(state: LineState, units: Iterable[int | None], fault: str) -> None:
    """A person has these units in their hands: what is in flight under their name is not known,
    and may not pass should it come."""
    gone = {unit for unit in units if unit is not None}
    let_go(state, gone)
    for items in state.items.values():
        for item in items.values():
            if item.unit in gone:
                item.unit, item.fault = None, item.fault or fault
    for numbers in state.on_path.values():
        for number, unit in numbers.items():
            if unit in gone:
                numbers[number] = None
    for lanes in state.lanes.values():
        for lane in lanes.values():
            lane[:] = [None if unit in gone else unit for unit in lane]
    for containers in state.containers.values():
        for container in containers.values():
            if container.unit in gone:
                container.fault = container.fault or fault


def code_left_window(state: LineState, key: f.CodeKey) -> None:
    """A reader saw the code, or it went with what left the line."""
    for window in state.windows.values():
        if (window.pool, window.column) == (key.pool, key.column):
            was = window.codes.pop(key.position, None)
            window.seen += was is not None
            window.proven += was in IN_DOUBT  # seen before the device reported it
            window.doubted.pop(key.position, None)
