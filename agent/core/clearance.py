"""Line clearance 清场: after an order nothing of it is left, every code is accounted for.

What the store counted (codes, units that lie about) comes with the input; what is on the belt is in
the line's state. Clearance ends the life of codes that nobody can see any more. If it does not
balance, it says what is missing and is signed off by a leader with a reason, or not at all.
"""

from collections.abc import Iterable
from dataclasses import replace

from agent.core import facts as f
from agent.core import inputs as i
from agent.core import tracking
from agent.core.errors import DomainError
from agent.core.life import CodeState
from agent.core.outcome import Outcome
from agent.core.scheme import WorkOrder
from agent.core.state import LineState

UNSEEN_LIMIT = 0.005
"""Share of a roll or carton of pre-printed codes that may never have been seen."""
UNSEEN_FEW = 1
"""Codes of one roll that may be missing however small it is."""

WHY = "clearance"
"""Why codes become void here, and units doubtful: a key of the message catalogue."""


def clear_line(out: Outcome, what: i.ClearLine) -> None:
    """Decide whether the line is clear of the order. DomainError `not_clear` names what is missing
    when nobody signs for it."""
    if not what.by:
        raise DomainError("who_missing", "Say who clears the line (--by): the record names them.")
    order = out.state.orders.get(what.order)
    if order is None:
        raise DomainError(
            "order_unknown",
            f"Line {out.state.line} remembers no work order {what.order}: name one that it ran.",
        )
    if out.state.order is not None and out.state.order.number == order.number:
        raise DomainError(
            "order_runs", f"Work order {order.number} is not finished: finish it first."
        )
    missing = on_the_line(out, order)
    missing |= {
        f"loose_{level}": many for level, many in what.loose if many and level != _top(order)
    }
    ended = [run for run in what.runs if not _in_use(out, run.pool)]
    printed = sum(run.many for run in ended if run.state is CodeState.PRINTED)
    if printed:
        missing["printed_unseen"] = printed
    for count in what.counts:
        if count.difference:
            missing[f"codes {count.name}"] = count.difference
    rolls = [_roll(roll, missing) for roll in what.rolls]
    if missing and not what.reason:
        told = ", ".join(f"{many} {name}" for name, many in sorted(missing.items()))
        raise DomainError(
            "not_clear",
            f"Line {out.state.line} is not clear of work order {order.number}: {told}. Find them, "
            "or let a leader sign with a reason (--reason).",
        )
    lost = _lost(out, order)
    if lost:  # signed for: where they are, nobody knows
        out.facts.append(f.UnitsDoubted(lost, WHY))
    out.facts += [replace(roll, by=what.by) for roll in rolls]
    voided = _end_codes(out, ended, what.by)
    out.facts.append(
        f.LineCleared(
            order.number,
            not missing,
            tuple(sorted(missing.items())),
            tuple(count.row for count in what.counts),
            voided,
            what.reason,
            what.by,
        )
    )


def _top(order: WorkOrder) -> str:
    """Units of the highest level lie about by right: they are the goods."""
    return order.scheme.levels[-1].name


def on_the_line(out: Outcome, order: WorkOrder) -> dict[str, int]:
    """What of the order is still on the belt, by what it is."""
    state = out.state
    containers = [
        container
        for zone in state.containers.values()
        for container in zone.values()
        if container.order == order.number and not container.closed and not container.fault
    ]
    items = [item for zone in state.items.values() for item in zone.values()]
    found = {
        "items_on_belt": sum(item.order == order.number for item in items),
        "open_containers": sum(bool(box.unit or box.moved) for box in containers),
        "on_paths": sum(
            unit is not None and _is_of(out, unit, order) for unit in units_past_gates(state)
        ),
    }
    now = state.order
    if now is None:  # what the next order has on the belt is not in this account
        found["counts"] = sum(abs(d.amount) for d in tracking.differences(out.plan, state))
    return {name: many for name, many in found.items() if many}


def _lost(out: Outcome, order: WorkOrder) -> tuple[int, ...]:
    """Units of the order that the record has on the belt, on a path or in a lane."""
    items = [item for zone in out.state.items.values() for item in zone.values()]
    found = {item.unit for item in items if item.order == order.number}
    found |= {
        unit
        for unit in units_past_gates(out.state)
        if unit is not None and _is_of(out, unit, order)
    }
    return tuple(sorted(unit for unit in found if unit is not None))


def units_past_gates(state: LineState) -> list[int | None]:
    """Units in the lanes and on the paths, which no gate will reject any more."""
    lanes = (unit for lanes in state.lanes.values() for lane in lanes.values() for unit in lane)
    paths = (unit for numbers in state.on_path.values() for unit in numbers.values())
    return list(dict.fromkeys([*lanes, *paths]))


def _is_of(out: Outcome, unit: int, order: WorkOrder) -> bool:
    known = out.known.units.get(unit)
    return known is not None and known.order == order.number


def _roll(roll: i.Roll, missing: dict[str, int]) -> f.RollClosed:
    if roll.unseen > max(UNSEEN_FEW, int(roll.count * UNSEEN_LIMIT)):
        missing[f"unseen {roll.name}"] = roll.unseen
    return f.RollClosed(roll.pool, roll.name, roll.first, roll.count, roll.unseen, "")


def _in_use(out: Outcome, pool: int) -> bool:
    """The next order prints from this pool: its codes are settled when that one is cleared."""
    return out.state.order is not None and pool in out.state.order.pools.values()


def _end_codes(out: Outcome, runs: Iterable[i.PoolRun], by: str) -> int:
    """Codes that were printed or in doubt and that nobody has seen: they cannot arrive any more."""
    many = 0
    for run in runs:
        many += run.many
        moved = f.CodesMoved(run.pool, run.column, run.first, run.many, CodeState.VOID)
        out.facts.append(replace(moved, why=WHY, by=by))
    return many
