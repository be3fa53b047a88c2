"""How facts of containers change a line."""

from agent.core import facts as f
from agent.core.evolve.common import (
    LANE_KEPT,
    Table,
    arrive,
    code_left_window,
    excuse,
    has_gate,
    let_go,
    off_the_line,
    onto_path,
    pass_on,
)
from agent.core.plan import LinePlan, Station
from agent.core.state import Container, LineState


def _stroke_seen(plan: LinePlan, state: LineState, fact: f.StrokeSeen) -> None:
    station = plan.by_id[fact.station]
    lanes = state.lanes.setdefault(fact.station, {})
    for lane, count in enumerate(fact.counts):
        del lanes.get(lane, [])[:count]
    if open_container(plan, state, station, fact.number) is None:
        state.containers.get(plan.zone[station.id], {}).pop(fact.number, None)
    container = _container(plan, state, station, fact.number)
    container.moved += sum(fact.counts)
    container.blank += sum(unit is None for unit in fact.units)
    if station.mode != "sequence":
        container.took += (unit for unit in fact.units if unit is not None)
        del container.took[:-LANE_KEPT]
    container.last = container.last or fact.last
    if fact.last and station.mode == "sequence" and not has_gate(station):
        # No trigger of its own says that it moves on: its last stroke does.
        onto_path(plan, state, station.id, fact.number, container.unit)


def open_container(
    plan: LinePlan, state: LineState, station: Station, number: int
) -> Container | None:
    """The container that a stroke goes into, None for a new one: after its last stroke a container
    gets no other, so the number was given anew (numbers wrap, and a restart does not know which
    containers left the line)."""
    container = state.container(plan.zone[station.id], number)
    return None if container is None or container.last else container


def _container(plan: LinePlan, state: LineState, station: Station, number: int) -> Container:
    zone = state.containers.setdefault(plan.zone[station.id], {})
    container = zone.get(number)
    if container is None:
        order = state.order
        expected = order.scheme.level(station.level).children if order else 0
        container = Container(
            number, station.level, station.id, order.number if order else "", expected
        )
        zone[number] = container
    return container


def _container_seen(plan: LinePlan, state: LineState, fact: f.ContainerSeen) -> None:
    station = plan.by_id[fact.station]
    container = _container(plan, state, station, fact.number)
    container.at = station.id
    container.judged = False
    container.mixed = ""
    container.layer = fact.layer
    arrive(plan, state, station, fact.number)
    state.count(station.id).triggers += 1
    if not has_gate(station):
        onto_path(plan, state, station.id, fact.number, container.unit)


def _container_judged(plan: LinePlan, state: LineState, fact: f.ContainerJudged) -> None:
    let_go(state, fact.shown)
    container = state.containers.get(plan.zone[fact.station], {}).get(fact.number)
    if container is not None:
        container.judged = True
        container.shown = list(fact.codes)
        container.took.clear()


def _container_formed(plan: LinePlan, state: LineState, fact: f.ContainerFormed) -> None:
    if fact.station not in plan.by_id:
        return  # by hand, or at another line
    station = plan.by_id[fact.station]
    old = state.container(plan.zone[station.id], fact.number)
    if old is not None and old.unit is not None:  # in a replay, which sees no strokes
        del state.containers[plan.zone[station.id]][fact.number]
    container = _container(plan, state, station, fact.number)
    container.unit = fact.unit
    if fact.number in state.on_path.get(station.id, {}):  # by its first and last stroke
        state.on_path[station.id][fact.number] = fact.unit
    container.order = fact.order
    container.expected = fact.expected


def _packed(plan: LinePlan, state: LineState, fact: f.Packed) -> None:
    let_go(state, fact.children)
    if f.LinkEvidence.SCANNED in fact.evidence:
        off_the_line(state, fact.children, "child")
    container = state.container_of(fact.container)
    if container is None:
        return
    container.count += len(fact.children)
    unknown = sum(child is None for child in fact.children)
    container.unknown += unknown
    container.blank = 0
    if state.bypass is None or plan.by_id[container.station].mode == "sequence":
        excuse(state, container, unknown)  # else ContainerUnseen says how many
    container.evidence = sorted({*container.evidence, *fact.evidence})
    container.moved = max(0, container.moved - len(fact.children))
    container.doubtful = container.doubtful or bool(fact.doubt)
    if container.count >= container.expected or (container.last and container.partial):
        container.full = True


def _container_refused(plan: LinePlan, state: LineState, fact: f.ContainerRefused) -> None:
    station = plan.by_id[plan.zone[fact.station]]
    container = state.containers.get(station.id, {}).get(fact.number)
    if container is None and station.kind == "pack":
        # A replay sees no strokes: what was refused stays refused, whatever else goes in.
        container = _container(plan, state, station, fact.number)
        container.order = fact.order
    if container is not None:
        container.fault = container.fault or fact.verdict
        container.moved = 0
    for key in fact.seen:
        code_left_window(state, key)


def _label_assigned(plan: LinePlan, state: LineState, fact: f.LabelAssigned) -> None:
    container = state.container_of(fact.container)
    if container is not None:
        container.label = fact.key


def _label_bound(plan: LinePlan, state: LineState, fact: f.LabelBound) -> None:
    container = state.container_of(fact.container)
    if container is not None:
        container.own = fact.own
        container.codes |= {attachment.role: attachment.key for attachment in fact.codes}
    for attachment in fact.codes:
        code_left_window(state, attachment.key)


def _container_closed(plan: LinePlan, state: LineState, fact: f.ContainerClosed) -> None:
    container = state.container_of(fact.container)
    if container is not None:
        container.full = True
        pass_on(plan, state, container.at or container.station, fact.container)
        if not container.closed:  # a person may close it anew, with a child that was replaced
            level = container.level
            state.tally.closed[level] = state.tally.closed.get(level, 0) + 1
        container.closed = True


def _container_rejected(plan: LinePlan, state: LineState, fact: f.ContainerRejected) -> None:
    let_go(state, (fact.container,))
    container = state.container_of(fact.container)
    if container is not None:
        container.fault = container.fault or fact.verdict


def _partial_allowed(plan: LinePlan, state: LineState, fact: f.PartialAllowed) -> None:
    if fact.number >= 0:
        one = state.container(plan.zone[fact.station], fact.number)
        if one is not None:
            one.partial, one.partial_by, one.full = fact.reason, fact.by, True
        if fact.by:  # a person's permission is used up
            state.partial.pop(fact.station, None)
        elif one is not None:
            state.tails[fact.station] = one.order
        return
    open_now = [
        container
        for container in state.containers.get(plan.zone[fact.station], {}).values()
        if can_close(container)
    ]
    for container in open_now:
        container.partial, container.partial_by = fact.reason, fact.by
        container.full = True
    if not open_now:
        state.partial[fact.station] = (fact.reason, fact.by)


def can_close(container: Container) -> bool:
    """Whether a person may close the container as it is: it holds something and is not full."""
    return (
        container.unit is not None
        and container.count > 0
        and not container.full
        and not container.closed
    )


TABLE: Table = {
    f.StrokeSeen: _stroke_seen,
    f.ContainerSeen: _container_seen,
    f.ContainerJudged: _container_judged,
    f.ContainerFormed: _container_formed,
    f.Packed: _packed,
    f.ContainerRefused: _container_refused,
    f.LabelAssigned: _label_assigned,
    f.LabelBound: _label_bound,
    f.ContainerClosed: _container_closed,
    f.ContainerRejected: _container_rejected,
    f.PartialAllowed: _partial_allowed,
}
