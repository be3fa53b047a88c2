"""`evolve(plan, state, fact) -> state`: how each fact changes what we know of a line.

One small function per kind of fact, in a table. Nothing is decided or refused here: a fact has
happened. Facts that are not about a line (pools, the agent) change nothing.
"""

from collections.abc import Callable

from agent.core import facts as f
from agent.core.life import CodeState
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.state import Container, Item, LineState, OpenAlarm, Tally

ORDERS_KEPT = 16
"""Finished work orders a line remembers for items that are still on the belt."""

LANE_KEPT = 1024
"""Units that a lane may hold; a packer that never strokes must not fill the memory."""


def _order_created(plan: LinePlan, state: LineState, fact: f.OrderCreated) -> None:
    state.orders[fact.order.number] = fact.order


def _order_started(plan: LinePlan, state: LineState, fact: f.OrderStarted) -> None:
    if state.order is None or state.order.number != fact.number:
        state.order = state.orders[fact.number]
        state.tally = Tally()
    state.status = "running"


def _order_paused(plan: LinePlan, state: LineState, fact: f.OrderPaused) -> None:
    state.status = "paused"


def _order_finished(plan: LinePlan, state: LineState, fact: f.OrderFinished) -> None:
    state.status = "idle"
    state.order = None
    state.finished.append(fact.number)
    while len(state.finished) > ORDERS_KEPT:
        state.orders.pop(state.finished.pop(0), None)


def _run_began(plan: LinePlan, state: LineState, fact: f.RunBegan) -> None:
    if state.run != fact.run:
        state.containers.clear()  # their numbers are given anew
    state.run = fact.run
    state.items.clear()
    state.on_path.clear()
    state.lanes.clear()
    state.counts.clear()
    state.unprinted.clear()
    state.unpaired.clear()
    for zone in state.containers.values():
        for container in zone.values():
            container.doubtful = True
            container.moved = 0
            container.at, container.judged = "", False
            # That its last stroke was seen is forgotten by a restart; what came after it is not.
            container.last = container.last or bool(
                container.full or container.label or container.own
            )


# ----------------------------------------------------------------------------- items on the belt


def _arrive(plan: LinePlan, state: LineState, station: Station, number: int) -> None:
    """The number was seen at a station: it is no longer on the path that leads there."""
    path = plan.into.get(station.id)
    if path is not None and not plan.first_of_zone(station.id):
        state.on_path.get(path.source, {}).pop(number, None)


def _item_seen(plan: LinePlan, state: LineState, fact: f.ItemSeen) -> None:
    station = plan.by_id[fact.station]
    zone = plan.zone[station.id]
    items = state.items.setdefault(zone, {})
    item = items.get(fact.item)
    if item is None or plan.first_of_zone(station.id):
        item = Item(fact.item, fact.order, station.id, fact.lane)
        items[fact.item] = item
    item.at = station.id
    item.verdict = ""
    item.waiting = [reader.id for reader in station.readers]
    _arrive(plan, state, station, fact.item)
    state.count(station.id).triggers += 1
    if station.kind == "print":
        state.unprinted.setdefault(station.id, []).append(fact.item)
    if not has_gate(station):
        _onto_path(plan, state, station.id, fact.item, item.unit)


def has_gate(station: Station) -> bool:
    """Whether items wait at this station for the PLC to report passed or rejected."""
    return station.gate and station.kind != "print"


def _item_read(plan: LinePlan, state: LineState, fact: f.ItemRead) -> None:
    item = state.items[plan.zone[fact.station]][fact.item]
    for role, key in fact.reads:
        item.reads.setdefault(role, (key, fact.station, fact.reader))
    item.waiting = [reader for reader in item.waiting if reader != fact.reader]
    item.fault = item.fault or fact.fault


def _item_printed(plan: LinePlan, state: LineState, fact: f.ItemPrinted) -> None:
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.expected = fact.key
    unprinted = state.unprinted.get(fact.station, [])
    if fact.item in unprinted:
        unprinted.remove(fact.item)
    unpaired = state.unpaired.get(fact.station, [])
    if fact.key in unpaired:
        unpaired.remove(fact.key)


def _print_unpaired(plan: LinePlan, state: LineState, fact: f.PrintUnpaired) -> None:
    waiting = state.unpaired.setdefault(fact.station, [])
    waiting.append(fact.key)
    del waiting[:-64]


def _print_pairing_lost(plan: LinePlan, state: LineState, fact: f.PrintPairingLost) -> None:
    state.unprinted.pop(fact.station, None)
    state.unpaired.pop(fact.station, None)
    for item in state.items.get(plan.zone[fact.station], {}).values():
        item.expected = None


def _print_missed(plan: LinePlan, state: LineState, fact: f.PrintMissed) -> None:
    unprinted = state.unprinted.get(fact.station, [])
    if fact.item in unprinted:
        unprinted.remove(fact.item)
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.fault = item.fault or "no_read"


def _item_passed(plan: LinePlan, state: LineState, fact: f.ItemPassed) -> None:
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.verdict = "pass"
        item.waiting = []
        item.unit = fact.unit
        for role, key, _ in fact.codes:
            item.reads.setdefault(role, (key, fact.station, ""))
    for attachment in fact.codes:
        _code_left_window(state, attachment.key)
    if fact.commissioned:
        state.tally.good += 1
    state.tally.rejects_in_a_row = 0


def _item_rejected(plan: LinePlan, state: LineState, fact: f.ItemRejected) -> None:
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.verdict = fact.verdict
        item.fault = item.fault or fact.verdict  # should the gate fail, the next one takes it
        item.waiting = []
    for key in (*fact.codes, *((fact.expected,) if fact.expected else ())):
        _code_left_window(state, key)
    _tally_reject(state, fact.verdict)


def _tally_reject(state: LineState, verdict: str) -> None:
    state.tally.rejected += 1
    reason = str(verdict)  # a plain key: a Verdict is a str to people and not to every encoder
    state.tally.reasons[reason] = state.tally.reasons.get(reason, 0) + 1
    state.tally.rejects_in_a_row += 1


def _gate_passed(plan: LinePlan, state: LineState, fact: f.GatePassed) -> None:
    state.count(fact.station).passed += 1
    _leave(plan, state, fact.station, fact.item)


def _reject_failed(plan: LinePlan, state: LineState, fact: f.RejectFailed) -> None:
    state.count(fact.station).failed += 1
    _leave(plan, state, fact.station, fact.item)


def _leave(plan: LinePlan, state: LineState, station: str, number: int) -> None:
    """The number went on past a gate: it is on the path behind it, and out of its zone if this
    was the zone's last station."""
    zone = plan.zone[station]
    last = plan.zone_stations(zone)[-1].id == station
    unit: int | None = None
    item = state.items.get(zone, {}).get(number)
    if item is not None:
        unit = item.unit
        if last:
            del state.items[zone][number]
    container = state.containers.get(zone, {}).get(number)
    if container is not None:
        unit = container.unit
        if last:
            del state.containers[zone][number]
    _onto_path(plan, state, station, number, unit)


def _onto_path(
    plan: LinePlan, state: LineState, station: str, number: int, unit: int | None
) -> None:
    """The number is on the path behind the station; on a mixed one numbers mean nothing."""
    path = plan.out_of.get(station)
    if path is not None and path.kind is not PathKind.MIXED:
        numbers = state.on_path.setdefault(station, {})
        numbers.pop(number, None)  # a container that gets another stroke comes after the others
        numbers[number] = unit


def _reject_confirmed(plan: LinePlan, state: LineState, fact: f.RejectConfirmed) -> None:
    state.count(fact.station).rejected += 1
    zone = plan.zone[fact.station]
    state.items.get(zone, {}).pop(fact.item, None)
    state.containers.get(zone, {}).pop(fact.item, None)
    if not fact.judged or fact.passed:
        _tally_reject(state, "late")
    if fact.unit is not None and plan.by_id[fact.station].kind == "verify":
        state.tally.good -= 1


def _foreign_rejected(plan: LinePlan, state: LineState, fact: f.ForeignRejected) -> None:
    state.count(fact.station).foreign += 1
    _off_the_belt(plan, state, fact.station, fact.item)


def _off_the_belt(plan: LinePlan, state: LineState, station: str, number: int) -> None:
    """The number left the path behind `station` and will be seen nowhere in its zone."""
    state.on_path.get(station, {}).pop(number, None)
    state.items.get(plan.zone[station], {}).pop(number, None)
    state.containers.get(plan.zone[station], {}).pop(number, None)


def _items_missed(plan: LinePlan, state: LineState, fact: f.ItemsMissed) -> None:
    state.count(fact.station).foreign += len(fact.items)
    for number in fact.items:
        _off_the_belt(plan, state, fact.station, number)


def _path_entered(plan: LinePlan, state: LineState, fact: f.PathEntered) -> None:
    state.count(fact.station).entered += 1
    source = plan.into[fact.station].source
    unit = state.on_path.get(source, {}).pop(fact.item, None)
    lane = state.lanes.setdefault(fact.station, {}).setdefault(fact.lane, [])
    lane.append(unit)
    del lane[:-LANE_KEPT]


# ------------------------------------------------------------------------------------ containers


def _stroke_seen(plan: LinePlan, state: LineState, fact: f.StrokeSeen) -> None:
    station = plan.by_id[fact.station]
    lanes = state.lanes.setdefault(fact.station, {})
    for lane, count in enumerate(fact.counts):
        del lanes.get(lane, [])[:count]
    if open_container(plan, state, station, fact.number) is None:
        state.containers.get(plan.zone[station.id], {}).pop(fact.number, None)
    container = _container(plan, state, station, fact.number)
    container.moved += sum(fact.counts)
    container.last = container.last or fact.last


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
        if station.id in state.partial:
            container.partial, container.partial_by = state.partial[station.id]
        zone[number] = container
    return container


def _container_seen(plan: LinePlan, state: LineState, fact: f.ContainerSeen) -> None:
    station = plan.by_id[fact.station]
    container = _container(plan, state, station, fact.number)
    container.at = station.id
    container.judged = False
    _arrive(plan, state, station, fact.number)
    state.count(station.id).triggers += 1
    if not has_gate(station):
        _onto_path(plan, state, station.id, fact.number, container.unit)


def _container_judged(plan: LinePlan, state: LineState, fact: f.ContainerJudged) -> None:
    container = state.containers.get(plan.zone[fact.station], {}).get(fact.number)
    if container is not None:
        container.judged = True


def _container_formed(plan: LinePlan, state: LineState, fact: f.ContainerFormed) -> None:
    station = plan.by_id[fact.station]
    old = state.container(plan.zone[station.id], fact.number)
    if old is not None and old.unit is not None:  # in a replay, which sees no strokes
        del state.containers[plan.zone[station.id]][fact.number]
    container = _container(plan, state, station, fact.number)
    container.unit = fact.unit
    container.expected = fact.expected


def _packed(plan: LinePlan, state: LineState, fact: f.Packed) -> None:
    container = state.container_of(fact.container)
    if container is None:
        return
    container.count += len(fact.children)
    container.unknown += sum(child is None for child in fact.children)
    container.evidence = sorted({*container.evidence, *fact.evidence})
    container.moved = max(0, container.moved - len(fact.children))
    if container.count >= container.expected or (container.last and container.partial):
        container.full = True


def _container_refused(plan: LinePlan, state: LineState, fact: f.ContainerRefused) -> None:
    container = state.containers.get(plan.zone[fact.station], {}).get(fact.number)
    if container is not None:
        container.fault = container.fault or fact.verdict
        container.moved = 0
    for key in fact.seen:
        _code_left_window(state, key)


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
        _code_left_window(state, attachment.key)


def _container_closed(plan: LinePlan, state: LineState, fact: f.ContainerClosed) -> None:
    container = state.container_of(fact.container)
    if container is not None:
        container.full = True
        level = container.level
        state.tally.closed[level] = state.tally.closed.get(level, 0) + 1
        if fact.reason:  # a full one leaves the permission to the next that comes short
            state.partial.pop(container.station, None)


def _container_rejected(plan: LinePlan, state: LineState, fact: f.ContainerRejected) -> None:
    container = state.container_of(fact.container)
    if container is not None:
        container.fault = container.fault or fact.verdict


def _partial_allowed(plan: LinePlan, state: LineState, fact: f.PartialAllowed) -> None:
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
    return container.unit is not None and container.count > 0 and not container.full


# -------------------------------------------------------------------------------------- printing


def _printer_session(plan: LinePlan, state: LineState, fact: f.PrinterSessionBegan) -> None:
    state.window(fact.station).session = fact.session
    # Nobody will report these prints any more.
    state.unpaired.pop(fact.station, None)
    state.unprinted.pop(fact.station, None)


def _codes_moved(plan: LinePlan, state: LineState, fact: f.CodesMoved) -> None:
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


def _code_left_window(state: LineState, key: f.CodeKey) -> None:
    for window in state.windows.values():
        if (window.pool, window.column) == (key.pool, key.column):
            window.codes.pop(key.position, None)


# ---------------------------------------------------------------------------------------- alarms


def _alarm_raised(plan: LinePlan, state: LineState, fact: f.AlarmRaised) -> None:
    state.alarms[fact.alarm] = OpenAlarm(
        fact.priority, fact.key, fact.station, fact.item, dict(fact.args), fact.at_ms
    )


def _alarm_cleared(plan: LinePlan, state: LineState, fact: f.AlarmCleared) -> None:
    state.alarms.pop(fact.alarm, None)


def _alarm_acknowledged(plan: LinePlan, state: LineState, fact: f.AlarmAcknowledged) -> None:
    alarm = state.alarms.get(fact.alarm)
    if alarm is not None:
        alarm.acknowledged = True


_TABLE: dict[type[f.Fact], Callable[..., None]] = {
    f.OrderCreated: _order_created,
    f.OrderStarted: _order_started,
    f.OrderPaused: _order_paused,
    f.OrderFinished: _order_finished,
    f.RunBegan: _run_began,
    f.ItemSeen: _item_seen,
    f.ItemRead: _item_read,
    f.ItemPrinted: _item_printed,
    f.PrintUnpaired: _print_unpaired,
    f.PrintMissed: _print_missed,
    f.PrintPairingLost: _print_pairing_lost,
    f.ItemPassed: _item_passed,
    f.ItemRejected: _item_rejected,
    f.GatePassed: _gate_passed,
    f.RejectFailed: _reject_failed,
    f.RejectConfirmed: _reject_confirmed,
    f.ForeignRejected: _foreign_rejected,
    f.ItemsMissed: _items_missed,
    f.PathEntered: _path_entered,
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
    f.PrinterSessionBegan: _printer_session,
    f.CodesMoved: _codes_moved,
    f.AlarmRaised: _alarm_raised,
    f.AlarmCleared: _alarm_cleared,
    f.AlarmAcknowledged: _alarm_acknowledged,
}


HANDLED: frozenset[type[f.Fact]] = frozenset(_TABLE) | {
    f.AgentStarted,
    f.PoolImported,
    f.CodeRegistered,
    f.UnitsDoubted,
}
"""Every kind of fact, those that change nothing of a line too; a test compares it with the
vocabulary."""


def evolve(plan: LinePlan, state: LineState, fact: f.Fact) -> LineState:
    """The state after `fact`. The given state is consumed."""
    change = _TABLE.get(type(fact))
    if change is not None:
        change(plan, state, fact)
    return state
