"""Lot and order change at an item boundary: which order a container belongs to, and what becomes of
the last container of a lot (`mixed_lots`).

A container belongs to the order of its children, not to the one that the line runs by then. Where
lots may not be mixed, the case that a lot cannot fill any more is closed partial by itself, for the
reason `lot_change`: once for each packer and order, any other short case is a mistake.
"""

from collections import Counter
from collections.abc import Iterable

from agent.core import facts as f
from agent.core.evolve import can_close
from agent.core.outcome import Outcome
from agent.core.plan import Station
from agent.core.scheme import WorkOrder
from agent.core.state import Container

LOT_CHANGE = "lot_change"
"""Why the agent closes a container partial by itself: a key of the message catalogue."""


def order_of(
    out: Outcome, container: Container | None, children: Iterable[str]
) -> WorkOrder | None:
    """The order of a container into which children of these orders go: its own once it is formed,
    else that of most of them that the line remembers, else the one the line runs."""
    state = out.state
    if container is not None and container.unit is not None:
        return state.orders.get(container.order)
    known = Counter(number for number in children if number in state.orders)
    if known:
        return state.orders[known.most_common(1)[0][0]]
    return state.orders.get(container.order) if container is not None else state.order


def differ(one: WorkOrder, other: WorkOrder) -> bool:
    """Whether their goods may not be in one container."""
    if one.product != other.product:
        return True
    return one.lot != other.lot and one.scheme.mixed_lots != "allow"


def is_tail(out: Outcome, station: Station, order: WorkOrder, waiting: Iterable[str] = ()) -> bool:
    """Whether a short container is the last of its lot: the line runs goods that may not go into
    it, none of its own `waiting` (orders of the next children), and it is the first such one."""
    now = out.state.order
    if now is None or not differ(order, now) or out.state.tails.get(station.id) == order.number:
        return False
    own = (out.state.orders.get(number) for number in waiting)
    return all(other is None or differ(order, other) for other in own)


def left_behind(out: Outcome, station: Station, order: WorkOrder) -> list[Container]:
    """Open containers of the packer into which the goods of this order, that it packs into another
    one now, may not go: nothing more comes for them."""
    found = []
    for container in out.state.containers.get(out.plan.zone[station.id], {}).values():
        other = out.state.orders.get(container.order)
        if other is None or container.last or container.moved or not can_close(container):
            continue
        if differ(other, order) and is_tail(out, station, other):
            found.append(container)
    return found


def use_permission(out: Outcome, station: Station, number: int) -> bool:
    """A container comes short: it may if a person allowed the next one to. One, not the others."""
    allowed = out.state.partial.get(station.id)
    if allowed is None:
        return False
    out.facts.append(f.PartialAllowed(station.id, *allowed, number))
    return True


def close_by_itself(out: Outcome, station: Station, number: int) -> None:
    """Say that the agent closes this container partial."""
    out.facts.append(f.PartialAllowed(station.id, LOT_CHANGE, "", number))
