"""How facts of work orders and of the PLC's run change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table
from agent.core.plan import LinePlan
from agent.core.state import LineState, Tally

ORDERS_KEPT = 16
"""Finished work orders a line remembers for items that are still on the belt."""


def _order_created(plan: LinePlan, state: LineState, fact: f.OrderCreated) -> None:
    state.orders[fact.order.number] = fact.order


def _order_started(plan: LinePlan, state: LineState, fact: f.OrderStarted) -> None:
    if state.order is None or state.order.number != fact.number:
        state.order = state.orders[fact.number]
        state.tally = Tally()
        state.unseen.clear()
    state.status = "running"
    state.started_by = fact.by
    state.paused_by = state.paused_why = ""
    state.series.clear()


def _order_paused(plan: LinePlan, state: LineState, fact: f.OrderPaused) -> None:
    state.status = "paused"
    state.paused_by, state.paused_why = fact.by, fact.why


def _order_finished(plan: LinePlan, state: LineState, fact: f.OrderFinished) -> None:
    state.status = "idle"
    state.order = None
    state.finished.append(fact.number)
    state.uncleared.append(fact.number)
    while len(state.finished) > ORDERS_KEPT:
        old = state.finished.pop(0)
        state.orders.pop(old, None)
        if old in state.uncleared:
            state.uncleared.remove(old)


def _line_cleared(plan: LinePlan, state: LineState, fact: f.LineCleared) -> None:
    if fact.order in state.uncleared:
        state.uncleared.remove(fact.order)


def _run_began(plan: LinePlan, state: LineState, fact: f.RunBegan) -> None:
    if state.run != fact.run:
        state.containers.clear()  # their numbers are given anew
    state.run = fact.run
    state.items.clear()
    state.on_path.clear()
    state.strayed.clear()
    state.lanes.clear()
    state.counts.clear()
    state.loose.clear()
    stations = [station.id for station in plan.stations]
    state.settling = {"gate": stations, "path": list(stations)}
    state.unprinted.clear()
    state.unpaired.clear()
    state.series.clear()
    for zone in state.containers.values():
        for container in zone.values():
            # What has no unit yet is read after this, and a replay does not know it at all.
            container.doubtful = container.doubtful or container.unit is not None
            container.moved = 0
            container.at, container.judged = "", False
            # That its last stroke was seen is forgotten by a restart; what came after it is not.
            container.last = container.last or bool(
                container.full or container.label or container.own
            )


TABLE: Table = {
    f.OrderCreated: _order_created,
    f.OrderStarted: _order_started,
    f.OrderPaused: _order_paused,
    f.OrderFinished: _order_finished,
    f.LineCleared: _line_cleared,
    f.RunBegan: _run_began,
}
