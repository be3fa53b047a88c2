"""Counts that must balance, and what is on the way.

Per station with a gate: triggers = passed + rejected + failed + in flight. Between stations:
out(k) = in(k+1) + on the path + foreign rejects. A difference is an alarm that names the first item
it can concern.
"""

from dataclasses import dataclass

from agent.core.evolve import has_gate
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.state import LineState


@dataclass(frozen=True, slots=True)
class Difference:
    """A count that does not balance. `amount` > 0: more went in than is accounted for."""

    station: str
    formula: str  # "station" | "path"
    amount: int
    first_item: int | None


def in_flight(plan: LinePlan, state: LineState, station: Station) -> list[int]:
    """Numbers that triggered at this station and of which the gate has not reported."""
    zone = plan.zone[station.id]
    at = [
        item.number
        for item in state.items.get(zone, {}).values()
        if item.at == station.id and item.number not in state.on_path.get(station.id, {})
    ]
    at += [
        container.number
        for container in state.containers.get(zone, {}).values()
        if container.at == station.id and container.number not in state.on_path.get(station.id, {})
    ]
    return at


def units_on_line(state: LineState) -> set[int]:
    """Units that are at stations, on paths and in lanes by the record."""
    found = {item.unit for zone in state.items.values() for item in zone.values()}
    found |= {unit for path in state.on_path.values() for unit in path.values()}
    found |= {unit for lanes in state.lanes.values() for lane in lanes.values() for unit in lane}
    return {unit for unit in found if unit is not None}


def differences(plan: LinePlan, state: LineState) -> list[Difference]:
    """Every count that does not balance at this moment."""
    found = []
    for station in plan.stations:
        counts = state.counts.get(station.id)
        if counts is None:
            continue
        if has_gate(station):
            waiting = in_flight(plan, state, station)
            gone = counts.passed + counts.rejected + counts.failed
            amount = counts.triggers + counts.unasked - gone - len(waiting)
            if amount:
                found.append(Difference(station.id, "station", amount, min(waiting, default=None)))
        found += _path_difference(plan, state, station)
    return found


def _path_difference(plan: LinePlan, state: LineState, station: Station) -> list[Difference]:
    path = plan.out_of.get(station.id)
    counts = state.counts.get(station.id)
    if path is None or counts is None or path.kind is PathKind.MIXED:
        return []
    target = plan.by_id[path.target]
    if station.kind == "pack" and not has_gate(station):
        return []  # a container triggers here once per stroke
    after = state.counts.get(target.id)
    came = 0
    if after is not None:
        came = after.entered if target.kind == "pack" else after.triggers
        came -= after.earlier + after.added
    went = counts.passed + counts.failed if has_gate(station) else counts.triggers
    on_path = state.on_path.get(station.id, {})
    amount = went - came - len(on_path) - counts.foreign
    if not amount:
        return []
    return [Difference(station.id, "path", amount, next(iter(on_path), None))]


def overtaken(plan: LinePlan, state: LineState, station: str, number: int) -> list[int]:
    """Numbers on the path into `station` that left before `number` and have not arrived. On a path
    where nothing overtakes they are gone. Empty when `number` itself was not on the path."""
    path = plan.into.get(station)
    if path is None or path.kind is PathKind.MIXED:
        return []
    before: list[int] = []
    for other in state.on_path.get(path.source, {}):
        if other == number:
            return before
        before.append(other)
    return []


def came_in(plan: LinePlan, state: LineState, station: str, number: int) -> bool:
    """Whether the number arrives at a station and was never seen to leave for it: something was put
    onto the path, or an eye saw one thing twice."""
    path = plan.into.get(station)
    return (
        path is not None
        and path.kind is not PathKind.MIXED
        and number not in state.on_path.get(path.source, {})
        and station not in state.settling.get("path", [])
    )
