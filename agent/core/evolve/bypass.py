"""How facts of bypass change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table, excuse, let_go
from agent.core.plan import LinePlan
from agent.core.state import Bypass, LineState


def _began(plan: LinePlan, state: LineState, fact: f.BypassBegan) -> None:
    state.bypass = Bypass(fact.by, fact.reason, fact.seconds, fact.mono_ms)


def _ended(plan: LinePlan, state: LineState, fact: f.BypassEnded) -> None:
    state.bypass = None
    # What the coder printed on which item was not followed; it is counted anew.
    state.unprinted.clear()
    state.unpaired.clear()
    for items in state.items.values():
        for item in items.values():
            item.coasting = True
    for containers in state.containers.values():
        for container in containers.values():
            container.coasting = True
    for station in plan.stations:
        if station.kind == "print":
            for item in state.items.get(plan.zone[station.id], {}).values():
                item.expected = None


def _item_unseen(plan: LinePlan, state: LineState, fact: f.ItemUnseen) -> None:
    _count(plan, state, fact.station)
    if fact.unit is not None:
        let_go(state, (fact.unit,))
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        item.verdict, item.fault, item.unit = "pass", "", None
        item.waiting = []


def _container_unseen(plan: LinePlan, state: LineState, fact: f.ContainerUnseen) -> None:
    _count(plan, state, fact.station)
    container = state.containers.get(plan.zone[fact.station], {}).get(fact.number)
    if container is not None:
        container.judged, container.fault = True, ""
        container.took.clear()
        excuse(state, container, fact.children)


def _count(plan: LinePlan, state: LineState, station: str) -> None:
    """One more passed unseen: the packer behind the zone's last station may meet an unknown."""
    if state.bypass is not None:
        state.bypass.unseen[station] = state.bypass.unseen.get(station, 0) + 1
    state.tally.unseen[station] = state.tally.unseen.get(station, 0) + 1
    zone = plan.zone_stations(plan.zone[station])
    path = plan.out_of.get(zone[-1].id)
    if station == zone[-1].id and path is not None:
        state.unseen[path.target] = state.unseen.get(path.target, 0) + 1


TABLE: Table = {
    f.BypassBegan: _began,
    f.BypassEnded: _ended,
    f.ItemUnseen: _item_unseen,
    f.ContainerUnseen: _container_unseen,
}
