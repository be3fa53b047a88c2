"""`decide(plan, state, input, known) -> (facts, effects)`: the only place where it is said what an
input means. It changes nothing; `questions` says beforehand what must be looked up.

Inputs of items on the belt are decided here, of containers in `containers`, of printers in
`coding`, of people in `orders`.
"""

from agent.core import (
    bypass,
    clearance,
    coding,
    containers,
    doubt,
    duplicates,
    handpack,
    orders,
    rework,
    scan,
    slips,
    stopping,
    testmode,
)
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import Effect, SetSlot
from agent.core.evolve import has_gate
from agent.core.known import NOTHING, Known, Questions
from agent.core.outcome import Outcome
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.scheme import LevelSpec, WorkOrder
from agent.core.state import Item, LineState
from agent.core.tracking import came_in, overtaken, units_on_line
from agent.core.verdict import Judgement, Verdict, judge, missing, worst

TOLD_TOGETHER = 50
"""Milliseconds between trigger and gate below which both came with one poll: no belt is so fast."""

Decision = tuple[list[f.Fact], list[Effect]]


def questions(plan: LinePlan, state: LineState, what: i.Input) -> Questions:
    """What the store must be asked before `decide` can be called with this input."""
    match what:
        case i.ItemReadings():
            return Questions(
                what.texts,
                pools=containers.label_pools(plan, state, what.station),
                besides=containers.in_view(plan, state, what.station),
            )
        case i.ItemTriggered() | i.GateReported() | i.ItemEntered():
            return NOTHING
        case i.PrintAccepted():
            return NOTHING
        case i.RefillWanted() | i.PrinterConnected() | i.PrintReported():
            return coding.coding_questions(plan, state, what)
        case i.Stroked():
            return containers.stroke_questions(plan, state, what)
        case i.StartOrder() | i.ChangeOrder() | i.BeginTestMode():
            number = what.order if isinstance(what, i.BeginTestMode) else what.number
            order = state.orders.get(number)
            return Questions(pools=tuple(order.pools.values()) if order else ())
        case i.ClosePartial():
            return Questions(pools=containers.label_pools(plan, state, what.station))
        case i.Pack() | i.Reopen() | i.Relabel():
            return handpack.hand_questions(what)
        case i.Rework():
            return rework.rework_questions(what)
        case i.HandScanned():
            units = slips.units_at(state, state.packing)
            return Questions(what.texts, whole=True, besides=units)
        case i.ClearLine():
            there = clearance.units_past_gates(state)
            return Questions(units=tuple(unit for unit in there if unit is not None))
        case i.CreateOrder():
            return Questions(pools=tuple(what.order.pools.values()), orders=(what.order.number,))
    return NOTHING


def decide(plan: LinePlan, state: LineState, what: i.Input, known: Known) -> Decision:
    """Facts to append and effects to carry out once they are durable.

    Raises DomainError when a person asked for something that is not allowed; nothing happens then.
    """
    out = Outcome(plan, state, known)
    match what:
        case i.ItemTriggered():
            _triggered(out, what)
        case i.ItemReadings():
            station = plan.by_id[what.station]
            out.blind = what.blind
            if station.kind == "verify":
                _readings(out, station, what)
            else:
                containers.readings(out, station, what)
        case (
            i.PrinterConnected()
            | i.RefillWanted()
            | i.PrintAccepted()
            | i.PrintReported()
            | i.PrintDoubtful()
            | i.PrinterCounted()
        ):
            coding.coding_input(out, what)
        case i.GateReported():
            _gate(out, what)
        case i.ItemEntered():
            _entered(out, what)
        case i.ForeignReject():
            _foreign(out, what)
        case i.Stroked():
            containers.stroked(out, what)
        case i.PathDisturbed():
            doubt.path_disturbed(out, what)
        case i.LanesCleared():
            doubt.lanes_cleared(out, what)
        case i.RunChanged():
            _run_changed(out, what)
        case i.AcknowledgeAlarm() | i.ConditionChanged():
            orders.alarm_input(out, what)
        case (
            i.CreateOrder()
            | i.StartOrder()
            | i.ChangeOrder()
            | i.PauseOrder()
            | i.FinishOrder()
            | i.ClosePartial()
            | i.BeginTestMode()
        ):
            orders.order_input(out, what)
        case i.BeginBypass() | i.EndBypass() | i.Tick():
            bypass.bypass_input(out, what)
        case i.EndTestMode():
            testmode.end_asked(out, what)
        case i.HandScanned():
            scan.hand_scanned(out, what)
        case i.Rework():
            rework.named(what)
            if isinstance(what, i.Pack | i.Reopen | i.Relabel):
                handpack.hand_input(out, what)
            else:
                rework.rework_input(out, what)
        case i.ClearLine():
            clearance.clear_line(out, what)
    return out.facts, out.effects


# ----------------------------------------------------------------------------- items on the belt


def _triggered(out: Outcome, what: i.ItemTriggered) -> None:
    plan, state = out.plan, out.state
    station = plan.by_id[what.station]
    if station.kind in ("pack", "label"):
        if not plan.first_of_zone(station.id):
            _arrives(out, station, what.item)
        out.facts.append(f.ContainerSeen(station.id, what.item, what.layer))
        if state.bypass is not None and (station.kind == "label" or station.readers):
            bypass.container_passes(out, station, what.item)
        return
    # A paused line coasts: what still comes belongs to its work order.
    now = state.coding_for
    order = now.number if now else ""
    if not plan.first_of_zone(station.id):
        _arrives(out, station, what.item)
    out.facts.append(
        f.ItemSeen(station.id, what.item, what.lane, what.encoder, order, out.known.now.wall_ms)
    )
    if station.kind == "print":
        coding.item_at_coder(out, station, what.item)
    elif state.bypass is not None and has_gate(station):
        bypass.item_passes(out, station, what.item, order)


def _arrives(out: Outcome, station: Station, number: int) -> None:
    """What never left for this station came in on the way, and what should have come before this
    one is gone from the path. A container that was seen at its packer and gets more strokes there
    is not on the path yet."""
    if came_in(out.plan, out.state, station.id, number):
        out.alarm("came_in", 2, station.id, number)
    before = overtaken(out.plan, out.state, station.id, number)
    if not before:
        return
    source = out.plan.into[station.id].source
    zone = out.state.containers.get(out.plan.zone[source], {})
    gone = [other for other in before if other not in zone or zone[other].last]
    if not gone:
        return
    on_path = out.state.on_path[source]
    units = tuple(unit for unit in (on_path[n] for n in gone) if unit is not None)
    out.facts.append(f.ItemsMissed(source, tuple(gone), units))
    out.alarm("count_difference", 2, station.id, gone[0], count=str(len(gone)))


def _readings(out: Outcome, station: Station, what: i.ItemReadings) -> None:
    item = out.state.item(out.plan.zone[station.id], what.item)
    if item is None or item.at != station.id or item.verdict or what.reader not in item.waiting:
        return  # answers nobody waits for: the gate has rejected already, or the pairing was wrong
    reader = next(reader for reader in station.readers if reader.id == what.reader)
    order = out.state.orders.get(item.order)
    if order is None:
        _reject(out, station, item, Verdict.UNKNOWN, None)
        return
    spec = order.scheme.level(station.level)
    back = duplicates.returning(out, station, item, what, spec)
    judgement = judge(
        spec.name,
        reader.roles,
        order,
        what,
        out.known,
        earlier={role: key for role, (key, _, _) in item.reads.items()},
        own_unit=item.unit if item.unit is not None else back,
        expected=item.expected,
    )
    fault = judgement.verdict
    coding.look_at_pairing(out, station, item, judgement.reads)
    for other in () if judgement.crowded else _others_with(out, station, item, judgement):
        if not other.verdict:
            # Which of the two has the code, nobody can say: the next gate takes the other one too.
            out.facts.append(f.ItemRead(other.at, "", other.number, (), Verdict.DUPLICATE))
        fault = worst([fault, Verdict.DUPLICATE])
    if any(code.key in item.beside for code in judgement.reads.values()):
        fault = worst([fault, Verdict.DUPLICATE])
    if what.late and fault is Verdict.PASS and not judgement.reads:
        fault = missing(spec, reader.roles, item.reads, late=True)
    for code in judgement.reads.values():
        if not code.registered:
            out.facts.append(f.CodeRegistered(code.key, code.text))
    if judgement.others:
        duplicates.doubt(out, judgement.others, item.expected)
        out.alarm("duplicate_code", 2, station.id, item.number)
    faults = [Verdict(item.fault)] if item.fault else []
    if fault is not Verdict.PASS and fault is not Verdict.LATE:
        faults.append(fault)
    if len(item.waiting) > 1 or not has_gate(station):
        if len(item.waiting) == 1:
            faults.append(_missing(out.plan, station, spec, item, judgement, late=what.late))
        carried = worst(faults)
        out.facts.append(
            f.ItemRead(
                station.id,
                reader.id,
                item.number,
                tuple((role, code.key) for role, code in judgement.reads.items()),
                "" if carried is Verdict.PASS else carried,
            )
        )
        return
    faults.append(_missing(out.plan, station, spec, item, judgement, late=what.late))
    verdict = worst(faults)
    if item.test:
        testmode.item_tested(out, station, item, verdict, judgement)
    elif verdict is Verdict.PASS:
        _pass(out, station, spec, item, order, judgement, reader.id, back)
    else:
        _reject(out, station, item, verdict, judgement)


def _others_with(
    out: Outcome, station: Station, item: Item, judgement: Judgement
) -> tuple[Item, ...]:
    """Other items of the zone, not yet units, that showed one of these codes."""
    keys = {code.key for code in judgement.reads.values()}
    return tuple(
        other
        for other in out.state.items.get(out.plan.zone[station.id], {}).values()
        if other is not item and other.unit is None
        if not keys.isdisjoint(other.codes())
    )


def _missing(
    plan: LinePlan,
    station: Station,
    spec: LevelSpec,
    item: Item,
    judgement: Judgement,
    *,
    late: bool,
) -> Verdict:
    """A role that the readers from the zone's first station to here read between them and none of
    them did: an answer of an earlier station may have come too late, or been lost in a restart."""
    zone = plan.zone_stations(plan.zone[station.id])
    wanted = tuple(
        role
        for each in zone[: zone.index(station) + 1]
        for reader in each.readers
        for role in reader.roles
    )
    return missing(spec, wanted, {*item.reads, *judgement.reads}, late)


def _pass(
    out: Outcome,
    station: Station,
    spec: LevelSpec,
    item: Item,
    order: WorkOrder,
    judgement: Judgement,
    reader: str,
    back: int | None,
) -> None:
    reads = dict(item.reads)
    for role, code in judgement.reads.items():
        reads.setdefault(role, (code.key, station.id, reader))
    if item.unit is None and spec.primary not in reads:
        _reject(out, station, item, Verdict.NO_READ, judgement)
        return
    new = {
        role: read for role, read in reads.items() if item.unit is None or role not in item.reads
    }
    # A code that is read again behind a disturbed path shows that it is the same item.
    again = any(role in item.before for role in judgement.reads)
    before = () if again else tuple(item.before)
    codes = tuple(
        f.Attachment(role, read[0], _pair_integrity(out.plan, reads, spec.primary, role, before))
        for role, read in new.items()
    )
    commissioned = item.unit is None and back is None
    unit = item.unit if item.unit is not None else back
    if unit is None:
        unit = out.known.next_unit
    on_it = {code.key for code in judgement.reads.values() if code.unit is not None}
    codes = tuple(code for code in codes if back is None or code.key not in on_it)
    out.facts.append(
        f.ItemPassed(station.id, item.number, unit, spec.name, order.number, codes, commissioned)
    )
    duplicates.resolve(out, unit, back, tuple(read[0] for read in reads.values()))
    doubt.passes_mixed(out, item, unit)
    out.effects.append(SetSlot(station.id, item.number, passed=True))
    stopping.passed(out, station.id)


def _pair_integrity(
    plan: LinePlan,
    reads: dict[str, tuple[f.CodeKey, str, str]],
    primary: str,
    role: str,
    before: tuple[str, ...],
) -> f.PairIntegrity:
    """How well it is known that this role's code is on the unit that the primary code names.
    `before` are the roles that were read before its path was disturbed."""
    if role == primary:
        return f.PairIntegrity.PROVEN
    key, at, reader = reads[role]
    main_key, main_at, main_reader = reads[primary]
    supplied = key.pool == main_key.pool and key.position == main_key.position
    # Neither code may have been read before it was on its unit.
    loose = any(
        r.loose
        for station, name in ((at, reader), (main_at, main_reader))
        for r in plan.by_id[station].readers
        if r.id == name
    )
    if (at, reader) == (main_at, main_reader) and not loose:
        return f.PairIntegrity.PROVEN
    way = plan.between(at, main_at) or plan.between(main_at, at)
    if (role in before) != (primary in before):
        # Its path was disturbed between the two readings: the number may name another item.
        return f.PairIntegrity.SUPPLIED if supplied else f.PairIntegrity.UNKNOWN
    if way is PathKind.CAPTIVE and not loose:
        return f.PairIntegrity.PROVEN
    if supplied:
        return f.PairIntegrity.SUPPLIED
    if way in (PathKind.CAPTIVE, PathKind.SINGLE_FILE):
        return f.PairIntegrity.INFERRED
    return f.PairIntegrity.UNKNOWN


def _reject(
    out: Outcome, station: Station, item: Item, verdict: Verdict, judgement: Judgement | None
) -> None:
    read = {key for key, _, _ in item.reads.values()}
    if judgement is not None:
        read |= {code.key for code in judgement.reads.values()}
    in_step = not any(isinstance(fact, f.PrintPairingLost) for fact in out.facts)
    out.facts.append(
        f.ItemRejected(
            station.id,
            item.number,
            verdict,
            item.order,
            item.unit,
            tuple(sorted(read)),
            item.expected if in_step else None,
        )
    )
    out.effects.append(SetSlot(station.id, item.number, passed=False))
    doubt.goes_mixed(out, station, item)
    if verdict is Verdict.VOID:
        out.alarm("void_code_on_product", 2, station.id, item.number)
    if not item.coasting:
        stopping.rejected(out, station.id, item.number)


def _gate(out: Outcome, what: i.GateReported) -> None:
    station = out.plan.by_id[what.station]
    if station.kind in ("pack", "label"):
        containers.gate(out, what)
        return
    item = out.state.item(out.plan.zone[station.id], what.item)
    if item is None and what.saw is i.GateSaw.PASSED:
        return  # it passed by a verdict of before the restart: there is nothing to add
    stopping.seen(out, what)
    here = item is not None and item.at == station.id
    if not here and what.saw is i.GateSaw.REJECTED:
        doubt.unasked(out, station.id, what.item)
    passed = here and item is not None and item.verdict == Verdict.PASS
    if what.saw is i.GateSaw.PASSED and passed:
        out.facts.append(f.GatePassed(station.id, what.item))
        stopping.passed(out, station.id, at_gate=True)
    elif what.saw is i.GateSaw.REJECTED:
        unit = item.unit if item is not None and here else None
        if item is None:
            unit = doubt.strayed(out, station.id, what.item)
        judged = item is not None and here and bool(item.verdict)
        order = item.order if item is not None else ""
        out.facts.append(f.RejectConfirmed(station.id, what.item, unit, judged, passed, order))
        counts = here and item is not None and not item.test and (passed or not judged)
        # A PASS that was taken back is nobody's fault.
        if counts and item is not None and not item.fault and _was_due(out, item):
            stopping.rejected(out, station.id, what.item, at_gate=True)
    else:
        # The gate failed, or it let an item pass that had no PASS.
        doubt.let_through(out, what, item if here else None, due=not passed)


def _was_due(out: Outcome, item: Item) -> bool:
    """Whether there was time for a verdict: after a break of the link an item's trigger and what
    became of it are told at once."""
    return out.known.now.wall_ms - item.at_ms >= TOLD_TOGETHER


def _entered(out: Outcome, what: i.ItemEntered) -> None:
    station = out.plan.by_id[what.station]
    _arrives(out, station, what.item)
    doubt.at_infeed(out, station, what.item)
    out.facts.append(f.PathEntered(station.id, what.lane, what.item))


def _foreign(out: Outcome, what: i.ForeignReject) -> None:
    unit = out.state.on_path.get(what.station, {}).get(what.item)
    out.facts.append(f.ForeignRejected(what.station, what.item, unit))


def _run_changed(out: Outcome, what: i.RunChanged) -> None:
    state = out.state
    if state.run == what.run and what.why == "plc_restart":
        return
    units = units_on_line(state)
    units |= {unit for loose in state.loose.values() for unit in loose}
    for zone in state.containers.values():
        for container in zone.values():
            if container.unit is not None:
                units.add(container.unit)
            label = out.plan.label_station(container.station)
            if state.run != what.run and label is not None and container.label is not None:
                coding.give_up(out, label, container.label)
    out.facts.append(f.RunBegan(what.run, what.why, tuple(sorted(units))))
    # Of a state that was lost inside (state_lost) the shell tells in its own words.
    if what.why == "ring_overrun":
        out.alarm("ring_overrun", 2, "", count=str(len(units)))
    elif what.why == "inputs_lost":
        out.alarm("record_gap", 2, "", count=str(len(units)))
    elif units and what.why in ("agent_restart", "plc_restart", "plc_link"):
        out.alarm("restart_doubt", 3, "", count=str(len(units)))
