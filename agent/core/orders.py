"""Decisions that people ask for: work orders, partial containers, alarms. A refusal is a
DomainError with a reason a person can act on."""

from agent.core import anchors, bypass, containers, stopping, testmode
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.evolve import has_gate
from agent.core.outcome import EVENT_ALARMS, Outcome
from agent.core.plan import LinePlan, Station
from agent.core.pools import refuse_in_question
from agent.core.scheme import WorkOrder


def order_input(
    out: Outcome,
    what: (
        i.CreateOrder
        | i.StartOrder
        | i.ChangeOrder
        | i.PauseOrder
        | i.FinishOrder
        | i.ClosePartial
        | i.BeginTestMode
    ),
) -> None:
    match what:
        case i.CreateOrder():
            _create(out, what)
        case i.StartOrder():
            _start(out, what.number, what.by)
        case i.ChangeOrder():
            _start(out, what.number, what.by, after=_active(out))
        case i.PauseOrder():
            order = _running(out, "pause")
            out.facts.append(f.OrderPaused(order.number, what.by, what.why))
        case i.FinishOrder():
            active = _active(out)
            bypass.end(out, what.by, "order")
            out.facts.append(f.OrderFinished(active.number, what.by))
            anchors.ask_last(out)
        case i.ClosePartial():
            containers.close_partial(out, what)
        case i.BeginTestMode():
            testmode.may_begin(out.state)
            _check(out, _startable(out, what.order))
            _printable(out, _startable(out, what.order))
            stopping.may_start(out)
            testmode.begin(out, what)


def _active(out: Outcome) -> WorkOrder:
    if out.state.order is None:
        raise DomainError("no_order", f"Line {out.state.line} has no work order to finish.")
    return out.state.order


def _running(out: Outcome, verb: str) -> WorkOrder:
    if out.state.order is None or out.state.status != "running":
        raise DomainError(
            "not_running", f"Line {out.state.line} runs no work order: nothing to {verb}."
        )
    return out.state.order


def _create(out: Outcome, what: i.CreateOrder) -> None:
    order = what.order
    if order.number in out.state.orders:
        raise DomainError(
            "order_exists",
            f"Work order {order.number} exists already on line {out.state.line}: "
            "take another number.",
        )
    other = out.known.orders.get(order.number)
    if other is not None:
        raise DomainError(
            "order_exists",
            f"Work order {order.number} exists already (line {other.line}, lot {other.lot}): take "
            "another number.",
        )
    _check(out, order)
    out.facts.append(f.OrderCreated(order, what.by))


def _check(out: Outcome, order: WorkOrder) -> None:
    """The order fits the line: levels, printed roles and their pools."""
    names = {level.name for level in order.scheme.levels}
    for station in out.plan.stations:
        if station.level not in names:
            raise DomainError(
                "scheme_mismatch",
                f"Station {station.id} handles level {station.level}, which packing scheme "
                f"{order.scheme.name} does not have: choose another scheme or line.",
            )
        _check_primary(out.plan, station, order)
        if not station.device:
            continue
        number = order.pool(station.level, station.role)
        pool = None if number is None else out.known.pools.get(number)
        if pool is None:
            raise DomainError(
                "order_pool_missing",
                f"Work order {order.number} names no known pool for {station.level}/{station.role}"
                f", which station {station.id} prints: name one with --pool "
                f"{station.level}/{station.role}=NAME.",
            )
        if station.role not in pool.roles or pool.membership != "list" or pool.preprinted:
            raise DomainError(
                "order_pool_wrong",
                f"Pool {pool.name} cannot serve {station.level}/{station.role}: its roles are "
                f"{', '.join(pool.roles)}; its codes are known by {pool.membership}"
                f"{' and come printed' if pool.preprinted else ''}. Name a pool to print from.",
            )
        if pool.product and pool.product != order.product:
            raise DomainError(
                "order_pool_product",
                f"Pool {pool.name} is for product {pool.product}, the work order makes "
                f"{order.product}: choose another pool.",
            )


def _printable(out: Outcome, order: WorkOrder) -> None:
    """DomainError if a pool that the line prints from is in question."""
    for station in out.plan.stations:
        number = order.pool(station.level, station.role) if station.device else None
        if number is not None:
            refuse_in_question(out.known.pools[number])


def _check_primary(plan: LinePlan, station: Station, order: WorkOrder) -> None:
    """A verdict that lets something pass needs its primary code: on a bottle from here or from
    earlier in its zone, on a container from here."""
    if station.kind != "label" and not (station.kind == "verify" and has_gate(station)):
        return
    zone = plan.zone_stations(plan.zone[station.id])
    upto = (station,) if station.kind == "label" else zone[: zone.index(station) + 1]
    primary = order.scheme.level(station.level).primary
    if all(primary not in reader.roles for each in upto for reader in each.readers):
        raise DomainError(
            "scheme_mismatch",
            f"No reader at station {station.id} reads {primary}, the primary code of a "
            f"{station.level} in packing scheme {order.scheme.name}: choose another scheme, or add "
            "the role to a reader in the site file.",
        )


def _start(out: Outcome, number: str, by: str, after: WorkOrder | None = None) -> None:
    """Start an order; `after`: at once after the one that the line has, which is finished."""
    state = out.state
    order = _startable(out, number)
    if after is not None and after.number == number:
        raise DomainError("already_running", f"Line {state.line} has work order {number} already.")
    if state.status == "running" and after is None:
        active = state.order.number if state.order else ""
        raise DomainError(
            "already_running",
            f"Line {state.line} runs work order {active}: finish it first, or change over.",
        )
    if state.order is not None and state.order.number != number and after is None:
        raise DomainError(
            "other_order_paused",
            f"Line {state.line} has work order {state.order.number} on pause: finish it first.",
        )
    if (order.product, order.lot) in out.known.held_lots:
        raise DomainError(
            "lot_held", f"Quality holds lot {order.lot} of {order.product}: have it released first."
        )
    _cleared(out, order, after)
    _check(out, order)
    _printable(out, order)
    stopping.may_start(out)
    if after is not None:
        bypass.end(out, by, "order")
        out.facts.append(f.OrderFinished(after.number, by))
    testmode.end(out, by, "order")
    out.facts.append(f.OrderStarted(order.number, by))


def _cleared(out: Outcome, order: WorkOrder, after: WorkOrder | None) -> None:
    """DomainError when something of another product may be left on the line."""
    before = [out.state.orders.get(number) for number in out.state.uncleared]
    for old in (*before, after) if out.plan.clearance else ():
        if old is not None and old.product != order.product:
            raise DomainError(
                "clearance_needed",
                f"Work order {order.number} makes {order.product}, and nobody has cleared line "
                f"{out.state.line} of work order {old.number} ({old.product}): finish it and run "
                f"`caselink clearance {old.number}` first.",
            )


def _startable(out: Outcome, number: str) -> WorkOrder:
    """The order of this number, unless there is none or it is finished."""
    order = out.state.orders.get(number)
    if order is None:
        raise DomainError(
            "order_unknown",
            f"Work order {number} does not exist on line {out.state.line}: create it first.",
        )
    if number in out.state.finished:
        raise DomainError(
            "order_finished",
            f"Work order {number} is finished and stays so: create a new one.",
        )
    return order


def alarm_input(out: Outcome, what: i.AcknowledgeAlarm | i.ConditionChanged) -> None:
    if isinstance(what, i.ConditionChanged):
        if what.active and what.alarm not in out.state.alarms:
            out.facts.append(
                f.AlarmRaised(
                    what.alarm,
                    what.priority,
                    what.key,
                    what.station,
                    None,
                    what.args,
                    out.known.now.wall_ms,
                )
            )
            if what.key in stopping.STOPS:
                stopping.stop(out, what.key)
                testmode.end(out, "", what.key)
        elif not what.active and what.alarm in out.state.alarms:
            out.facts.append(f.AlarmCleared(what.alarm))
        return
    alarm = out.state.alarms.get(what.alarm)
    if alarm is None:
        raise DomainError(
            "alarm_gone", f"Alarm {what.alarm} is not open any more: nothing to acknowledge."
        )
    if not alarm.acknowledged:
        out.facts.append(f.AlarmAcknowledged(what.alarm, what.by))
    if alarm.key in EVENT_ALARMS:
        out.facts.append(f.AlarmCleared(what.alarm))
