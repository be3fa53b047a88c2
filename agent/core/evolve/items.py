"""How facts of units on the belt change a line."""

from agent.core import facts as f
from agent.core.evolve.common import (
    GATE_KEPT,
    LANE_KEPT,
    Table,
    arrive,
    at_gate,
    code_left_window,
    has_gate,
    let_go,
    off_path,
    onto_path,
    pass_on,
    tally_reject,
    unseen_on_path,
)
from agent.core.plan import LinePlan, PathKind
from agent.core.state import Item, LineState, Series


def _item_seen(plan: LinePlan, state: LineState, fact: f.ItemSeen) -> None:
    station = plan.by_id[fact.station]
    zone = plan.zone[station.id]
    items = state.items.setdefault(zone, {})
    item = items.get(fact.item)
    if item is None or plan.first_of_zone(station.id):
        item = Item(fact.item, fact.order, station.id, fact.lane)
        item.test = state.trial is not None
        items[fact.item] = item
    item.at = station.id
    item.at_ms = fact.at_ms
    item.verdict = item.mixed = ""
    item.waiting = [reader.id for reader in station.readers]
    arrive(plan, state, station, fact.item)
    state.count(station.id).triggers += 1
    if station.kind == "print":
        state.unprinted.setdefault(station.id, []).append(fact.item)
    if not has_gate(station):
        onto_path(plan, state, station.id, fact.item, item.unit)


def _item_read(plan: LinePlan, state: LineState, fact: f.ItemRead) -> None:
    item = state.items[plan.zone[fact.station]][fact.item]
    for role, key in fact.reads:
        item.reads.setdefault(role, (key, fact.station, fact.reader))
        if role in item.before and item.reads[role][0] == key:
            item.before = []  # it is the same item
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
        code_left_window(state, attachment.key)
    pass_on(plan, state, fact.station, fact.unit)
    if fact.commissioned and _of_now(state, fact.order):
        state.tally.good += 1
    state.tally.rejects_in_a_row = 0


def _item_rejected(plan: LinePlan, state: LineState, fact: f.ItemRejected) -> None:
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.verdict = fact.verdict
        item.fault = item.fault or fact.verdict  # should the gate fail, the next one takes it
        item.waiting = []
        # Where two codes contradict each other, one of them is the neighbour's own.
        item.shown = [] if fact.verdict == "mismatch" else list(fact.codes)
    for key in (*fact.codes, *((fact.expected,) if fact.expected else ())):
        code_left_window(state, key)
    if _of_now(state, fact.order):
        tally_reject(state, fact.verdict)


def _of_now(state: LineState, order: str) -> bool:
    """Whether this counts for the order that the line runs, or has just finished."""
    return state.order is None or state.order.number == order


def _is_at(plan: LinePlan, state: LineState, station: str, number: int) -> bool:
    """Whether the number triggered at this station last."""
    zone = plan.zone[station]
    one = state.item(zone, number) or state.container(zone, number)
    return one is not None and one.at == station


def _gate_passed(plan: LinePlan, state: LineState, fact: f.GatePassed) -> None:
    at_gate(state, fact.station, known=True)
    state.count(fact.station).passed += 1
    unit = _leave(plan, state, fact.station, fact.item)
    onto_path(plan, state, fact.station, fact.item, unit)


def _reject_failed(plan: LinePlan, state: LineState, fact: f.RejectFailed) -> None:
    asked = _is_at(plan, state, fact.station, fact.item)
    counted = at_gate(state, fact.station, known=asked or _comes(plan, state, fact))
    unit = _leave(plan, state, fact.station, fact.item)
    if counted:
        state.count(fact.station).failed += 1
        state.count(fact.station).unasked += not asked
        onto_path(plan, state, fact.station, fact.item, unit)


def _comes(plan: LinePlan, state: LineState, fact: f.RejectConfirmed | f.RejectFailed) -> bool:
    """Whether the gate speaks of a number that its station's eye did not see, and that was on the
    way there: it is on that way no more."""
    if not unseen_on_path(plan, state, fact.station, fact.item):
        return False
    source = plan.into[fact.station].source
    if fact.item in state.on_path.get(source, {}):
        del state.on_path[source][fact.item]
        state.count(source).foreign += 1
    state.strayed.get(plan.zone[fact.station], {}).pop(fact.item, None)
    return True


def _leave(plan: LinePlan, state: LineState, station: str, number: int) -> int | None:
    """The number went on past a gate: it is out of its zone if this was the zone's last station.
    Its unit."""
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
    return unit


def _reject_confirmed(plan: LinePlan, state: LineState, fact: f.RejectConfirmed) -> None:
    asked = _is_at(plan, state, fact.station, fact.item)
    if at_gate(state, fact.station, known=asked or _comes(plan, state, fact)):
        state.count(fact.station).rejected += 1
        state.count(fact.station).unasked += not asked
    zone = plan.zone[fact.station]
    let_go(state, (fact.unit,))
    item = state.items.get(zone, {}).pop(fact.item, None)
    state.containers.get(zone, {}).pop(fact.item, None)
    if item is not None:
        for other in state.items.get(zone, {}).values():
            if other.at == fact.station and not other.verdict:
                other.beside = [*other.beside, *sorted(item.codes())][-GATE_KEPT:]
    if item is not None and item.test:
        return
    if fact.order and not _of_now(state, fact.order):
        return
    if not fact.judged or fact.passed:
        tally_reject(state, "late")
    if fact.unit is not None and plan.by_id[fact.station].kind == "verify":
        state.tally.good -= 1


def _reject_series(plan: LinePlan, state: LineState, fact: f.RejectSeries) -> None:
    if fact.count:
        state.series[fact.row] = Series(fact.count, fact.first)
    else:
        state.series.pop(fact.row, None)


def _foreign_rejected(plan: LinePlan, state: LineState, fact: f.ForeignRejected) -> None:
    path = plan.out_of.get(fact.station)
    numbered = path is not None and path.kind is not PathKind.MIXED
    # What was never on the path takes nothing off it.
    if not numbered or fact.item in state.on_path.get(fact.station, {}):
        state.count(fact.station).foreign += 1
    let_go(state, (fact.unit,))
    _off_the_belt(plan, state, fact.station, fact.item)


def _off_the_belt(plan: LinePlan, state: LineState, station: str, number: int) -> None:
    """The number left the path behind `station` and will be seen nowhere in its zone."""
    state.on_path.get(station, {}).pop(number, None)
    state.items.get(plan.zone[station], {}).pop(number, None)
    state.containers.get(plan.zone[station], {}).pop(number, None)


def _items_missed(plan: LinePlan, state: LineState, fact: f.ItemsMissed) -> None:
    state.count(fact.station).foreign += len(fact.items)
    let_go(state, fact.units)
    strayed = state.strayed.setdefault(plan.zone[fact.station], {})
    for number in fact.items:
        strayed[number] = state.on_path.get(fact.station, {}).get(number)
        _off_the_belt(plan, state, fact.station, number)
    while len(strayed) > GATE_KEPT:
        del strayed[next(iter(strayed))]


def _path_entered(plan: LinePlan, state: LineState, fact: f.PathEntered) -> None:
    state.count(fact.station).entered += 1
    unit = off_path(plan, state, plan.by_id[fact.station], fact.item)
    lane = state.lanes.setdefault(fact.station, {}).setdefault(fact.lane, [])
    lane.append(unit)
    del lane[:-LANE_KEPT]


TABLE: Table = {
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
    f.RejectSeries: _reject_series,
    f.ForeignRejected: _foreign_rejected,
    f.ItemsMissed: _items_missed,
    f.PathEntered: _path_entered,
}
