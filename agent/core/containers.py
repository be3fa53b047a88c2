"""Decisions about containers: strokes, pictures of the content, labels, and what they are worth.

Full container -> label printed -> label read on the container -> bound -> closed -> next level. A
label is bound when it is read on the container, never when it is printed: whatever code is read is
bound, and a label that is not the one meant for this container is told.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from agent.core import (
    anchors,
    broken,
    bypass,
    change,
    coding,
    doubt,
    duplicates,
    slips,
    stopping,
    testmode,
)
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from agent.core.errors import DomainError
from agent.core.evolve import can_close, has_gate, open_container
from agent.core.facts import CodeKey
from agent.core.known import KnownCode, Questions
from agent.core.life import UnitState
from agent.core.outcome import Outcome
from agent.core.pack import integrity, judge_content
from agent.core.plan import LinePlan, PathKind, Station
from agent.core.restate import Read
from agent.core.scheme import LevelSpec, WorkOrder
from agent.core.state import Container, LineState
from agent.core.verdict import Verdict, judge, missing, worst


def stroke_questions(plan: LinePlan, state: LineState, what: i.Stroked) -> Questions:
    """The units that the stroke takes out of the lanes, and the pools a label may come from."""
    units = tuple(unit for unit in (*_taken(state, what), *_next(state, what)) if unit is not None)
    return Questions(units=units, pools=label_pools(plan, state, what.station))


def label_pools(plan: LinePlan, state: LineState, pack: str) -> tuple[int, ...]:
    """The pools that a label for a container of this pack station may come from: of the line's work
    order, and of the older ones whose children may still come."""
    station = plan.by_id.get(pack)
    label = plan.label_station(pack) if station is not None and station.kind == "pack" else None
    if station is None or label is None or not label.device:
        return ()
    pools = {order.pool(station.level, label.role) for order in state.orders.values()}
    return tuple(pool for pool in pools if pool is not None)


def _taken(state: LineState, what: i.Stroked) -> tuple[int | None, ...]:
    """Row by row across the lanes; a lane that has fewer than the stroke took gives unknowns: last,
    or first where the lanes may hold older children than those we know of."""
    lanes = state.lanes.get(what.station, {})
    packing = state.packing.get(what.station)
    if packing is not None and packing.deep:
        lanes = {
            lane: [*[None] * (count - len(lanes.get(lane, ()))), *lanes.get(lane, ())]
            for lane, count in enumerate(what.counts)
        }
    taken: list[int | None] = []
    for row in range(max(what.counts, default=0)):
        for lane, count in enumerate(what.counts):
            if row < count:
                queue = lanes.get(lane, [])
                taken.append(queue[row] if row < len(queue) else None)
    return tuple(taken)


def _next(state: LineState, what: i.Stroked) -> tuple[int | None, ...]:
    """What is first in each lane after the stroke."""
    lanes = state.lanes.get(what.station, {})
    queues = ((lanes.get(lane, []), count) for lane, count in enumerate(what.counts))
    return tuple(queue[count] for queue, count in queues if len(queue) > count)


def _orders_of(out: Outcome, units: Iterable[int | None]) -> list[str]:
    """The work orders of those of the units that are known."""
    known = (out.known.units.get(unit) for unit in units if unit is not None)
    return [unit.order for unit in known if unit is not None]


def stroked(out: Outcome, what: i.Stroked) -> None:
    """The packer moved children into a container."""
    plan, state = out.plan, out.state
    station = plan.by_id[what.station]
    units = _taken(state, what)
    if doubt.short_lanes(out, station, what.counts):
        out.alarm("count_difference", 2, station.id, what.number, count=str(sum(what.counts)))
        doubt.too_many(out, station)
    tests = testmode.makes_none(out, station, what.number)
    if not tests:
        _leave_behind(out, station, what, units)
    out.facts.append(f.StrokeSeen(station.id, what.number, units, what.counts, what.last))
    if tests:
        gone = tuple(unit for unit in units if unit is not None)
        if gone and station.mode == "sequence":  # of an order before: nobody reads where they are
            out.facts.append(f.UnitsDoubted(gone, testmode.ALARM))
        return
    if station.mode == "sequence":
        _pack_by_order(out, station, what, units)


def _pack_by_order(
    out: Outcome, station: Station, what: i.Stroked, units: tuple[int | None, ...]
) -> None:
    container = open_container(out.plan, out.state, station, what.number)
    order = change.order_of(out, container, _orders_of(out, units))
    if order is None:
        out.alarm("container_refused", 2, station.id, what.number, verdict="no_order")
        return
    spec = order.scheme.level(station.level)
    children = tuple(_still_free(out, unit, order) for unit in units)
    unit = container.unit if container else None
    if unit is None:
        unit = out.known.next_unit
        out.facts.append(
            f.ContainerFormed(unit, spec.name, order.number, station.id, what.number, spec.children)
        )
    before = container.count if container else 0
    why, disturbed, child = doubt.of_stroke(out, station, what.counts, units)
    out.facts.append(
        f.Packed(
            unit, children, (f.LinkEvidence.ORDER,), before, what.counts, why, disturbed, child
        )
    )
    count = before + len(children)
    unknown = (container.unknown if container else 0) + sum(child is None for child in children)
    short = what.last and count < spec.children and not (container and container.partial)
    allowed = spec.unknown + bypass.excused(out.state, station.id, container)
    if short and unknown <= allowed:
        waiting = _orders_of(out, _next(out.state, what))
        if change.use_permission(out, station, what.number):
            short = False
        elif change.is_tail(out, station, order, waiting):
            change.close_by_itself(out, station, what.number)
            short = False
    if unknown > allowed:
        others = [out.state.orders.get(number) for number in _orders_of(out, units)]
        mixed = any(other is not None and change.differ(order, other) for other in others)
        verdict = Verdict.WRONG_LOT if mixed else Verdict.NO_READ
        out.facts.append(f.ContainerRejected(unit, station.id, verdict))
        out.alarm("container_refused", 2, station.id, what.number, verdict=verdict)
        stopping.rejected(out, station.id, what.number)
    elif short or count > spec.children:
        out.facts.append(f.ContainerRejected(unit, station.id, Verdict.COUNT))
        out.alarm("container_refused", 2, station.id, what.number, verdict=Verdict.COUNT)
        stopping.rejected(out, station.id, what.number)
    if what.last or count >= spec.children:
        # A faulty container gets its label too: the applicator would give it the next one.
        _request_label(out, station, order, unit, what.number, count)


def _leave_behind(
    out: Outcome, station: Station, what: i.Stroked, units: tuple[int | None, ...]
) -> None:
    """Goods of another lot go into a new container: the open one of the lot before is closed."""
    if open_container(out.plan, out.state, station, what.number) is not None:
        return
    coming = change.order_of(out, None, _orders_of(out, units))
    if coming is None:
        return
    for container in change.left_behind(out, station, coming):
        order = out.state.orders[container.order]
        change.close_by_itself(out, station, container.number)
        if container.unit is not None:
            number, count = container.number, container.count
            _request_label(out, station, order, container.unit, number, count)


def close_partial(out: Outcome, what: i.ClosePartial) -> None:
    """A person closes the containers that are open at a pack station, or allows the next short
    one. Raises DomainError for a station that makes no containers, or without a reason."""
    station = out.plan.by_id.get(what.station)
    if station is None or station.kind != "pack":
        raise DomainError(
            "not_a_packer", f"Station {what.station} makes no containers: name a pack station."
        )
    if not what.reason:
        raise DomainError("reason_missing", "A partial container needs a reason: choose one.")
    out.facts.append(f.PartialAllowed(station.id, what.reason, what.by))
    for container in out.state.containers.get(out.plan.zone[station.id], {}).values():
        order = out.state.orders.get(container.order)
        if can_close(container) and container.unit is not None and order is not None:
            unit, count = container.unit, container.count
            _request_label(out, station, order, unit, container.number, count)


def _still_free(out: Outcome, unit: int | None, order: WorkOrder) -> int | None:
    """The unit, if it may be packed now; what may not is an unknown child."""
    known = out.known.units.get(unit) if unit is not None else None
    if known is None or known.parent is not None or known.held or known.open:
        return None
    if known.state not in (UnitState.VERIFIED, UnitState.UNPACKED):
        return None
    if known.product != order.product:
        return None
    if known.lot != order.lot and order.scheme.mixed_lots != "allow":
        return None
    return unit


def _request_label(
    out: Outcome, station: Station, order: WorkOrder, unit: int, number: int, count: int
) -> None:
    label = out.plan.label_station(station.id)
    if label is None or not label.device or out.state.bypass is not None:
        return
    key = coding.take_label(out, label, order, station.level, unit, number, count)
    if key is not None:
        out.facts.append(f.LabelAssigned(unit, key, label.device))


def readings(out: Outcome, station: Station, what: i.ItemReadings) -> None:
    """A camera or reader saw a container: its content (pack station) or its label."""
    container = out.state.container(out.plan.zone[station.id], what.item)
    if container is None or container.at != station.id or container.judged:
        return
    seen = {
        code.unit.unit for text in what.texts if (code := out.known.codes.get(text)) and code.unit
    }
    shown = tuple(unit for unit in container.took if unit in seen and station.kind == "pack")
    own = _own_codes(out, station, what)
    out.facts.append(f.ContainerJudged(station.id, what.item, shown, own))
    for text in what.texts:
        code = out.known.codes.get(text)
        if code is not None and not code.registered:
            out.facts.append(f.CodeRegistered(code.key, code.text))
    if testmode.container_seen(out, station, container):
        return
    units = (code.unit for text in what.texts if (code := out.known.codes.get(text)) is not None)
    children = [unit.order for unit in units if unit is not None and unit.level != station.level]
    order = change.order_of(out, container, children)
    if order is None:
        _refuse(out, station, container, Verdict.UNKNOWN, ())
    elif station.kind == "pack":
        _content(out, station, container, order, what)
    else:
        _label(out, station, container, order, what)
    if station.kind == "pack":
        doubt.nowhere(out, station, container, shown)


def _own_codes(out: Outcome, station: Station, what: i.ItemReadings) -> tuple[CodeKey, ...]:
    """Codes of containers among what a reader saw that reads these."""
    roles = next(reader.roles for reader in station.readers if reader.id == what.reader)
    codes = (code for text in what.texts if (code := out.known.codes.get(text)) is not None)
    return tuple(
        code.key
        for code in codes
        if code.role in roles and out.known.pools[code.key.pool].level == station.level
    )


def _content(
    out: Outcome,
    station: Station,
    container: Container,
    order: WorkOrder,
    what: i.ItemReadings,
) -> None:
    spec = order.scheme.level(station.level)
    below = order.scheme.below(station.level)
    if below is None:
        return
    roles = next(reader.roles for reader in station.readers if reader.id == what.reader)
    excused = bypass.excused(out.state, station.id, container)
    spec = replace(spec, unknown=min(spec.unknown + excused, spec.children))
    permitted = container.last and not container.partial and station.id in out.state.partial
    tail = container.last and not container.partial
    tail = tail and (permitted or change.is_tail(out, station, order))
    content = judge_content(spec, below, order, container, what, out.known, roles, tail=tail)
    _doubt(out, station, container, content.others)
    broken.in_picture(out, station.id, container, content)
    own = content.own.get(spec.primary)
    count = container.count + len(content.children)
    tail = tail and count < spec.children
    full = count >= spec.children or tail or (container.last and bool(container.partial))
    read_here = out.plan.label_station(station.id) is None
    fault = Verdict(container.fault) if container.fault else content.verdict
    if fault is Verdict.PASS and full and read_here and own is None and not container.own:
        fault = Verdict.NO_READ  # nobody else reads the container's own code
    if fault is not Verdict.PASS:
        _refuse(out, station, container, fault, content.seen)
        return
    unit = container.unit
    if unit is None:
        unit = out.known.next_unit
        out.facts.append(
            f.ContainerFormed(
                unit, spec.name, order.number, station.id, container.number, spec.children
            )
        )
    first = layer_place(spec, container.layer, len(content.children), container.count)
    out.facts.append(f.Packed(unit, content.children, (f.LinkEvidence.READ,), first))
    duplicates.seen(
        out,
        [
            code.unit.unit
            for code in content.seen
            if code.unit is not None and code.unit.doubtful and code.unit.unit in content.children
            if order.scheme.below(below.name) is None
            or duplicates.of_place(out.state, code.unit.unit)
        ],
    )
    if tail and not (permitted and change.use_permission(out, station, container.number)):
        change.close_by_itself(out, station, container.number)
    if own is not None and own.unit is None:
        attachment = f.Attachment(spec.primary, own.key, f.PairIntegrity.PROVEN)
        out.facts.append(f.LabelBound(unit, (attachment,), f.OwnCode.SAME_FRAME, station.id))
    if full and read_here:
        evidence = {*map(f.LinkEvidence, container.evidence), f.LinkEvidence.READ}
        unknown = container.unknown + sum(child is None for child in content.children)
        _close(out, container, unit, count, unknown, evidence, f.OwnCode.SAME_FRAME)
    elif full and own is None and not container.own:
        _request_label(out, station, order, unit, container.number, count)
    if has_gate(station):
        out.effects.append(SetSlot(station.id, container.number, passed=True))


def _label(
    out: Outcome,
    station: Station,
    container: Container,
    order: WorkOrder,
    what: i.ItemReadings,
) -> None:
    spec = order.scheme.level(station.level)
    reader = next(reader for reader in station.readers if reader.id == what.reader)
    judgement = judge(
        spec.name,
        reader.roles,
        order,
        what,
        out.known,
        earlier=container.codes,
        own_unit=container.unit,
    )
    _doubt(out, station, container, judgement.others)
    # The zone's earlier fault comes first: the container leaves the line for that reason.
    faults = [Verdict(container.fault)] if container.fault else []
    if not faults:
        faults = [
            judgement.verdict,
            missing(spec, reader.roles, judgement.reads, what.late),
        ]
        if container.unit is None or not container.full:
            faults.append(Verdict.COUNT)
    verdict = worst(faults)
    seen = tuple(judgement.reads.values())
    if verdict is not Verdict.PASS or container.unit is None:
        _refuse(out, station, container, verdict, seen)
        return
    # Where it was read first counts: a code in the picture of the content is with its children.
    own = f.OwnCode(container.own) if container.own else _own_code(out.plan, container, station)
    codes = tuple(
        f.Attachment(role, code.key, f.PairIntegrity.PROVEN)
        for role, code in judgement.reads.items()
        if code.unit is None
    )
    out.facts.append(f.LabelBound(container.unit, codes, own, station.id))
    read = judgement.reads[spec.primary]
    if container.label is not None and read.key != container.label:
        out.alarm("label_mismatch", 2, station.id, container.number)
    evidence = {f.LinkEvidence(kind) for kind in container.evidence}
    unit, count, unknown = container.unit, container.count, container.unknown
    _close(out, container, unit, count, unknown, evidence, own)
    _content_in_view(out, container, order, what, reader.roles)
    if has_gate(station):
        out.effects.append(SetSlot(station.id, container.number, passed=True))


def layer_place(spec: LevelSpec, layer: int, many: int, count: int) -> int:
    """The first place of a layer. Layers may come in any order: each is at its own places, where
    the scheme says how large one is; else at the next free ones (`count`)."""
    first = spec.layer * layer
    return first if spec.layer and first + many <= spec.children else count


def in_view(plan: LinePlan, state: LineState, station: str) -> tuple[int, ...]:
    """The units that a slip may move, should the label's camera see one: only where it can."""
    spec = plan.by_id.get(station)
    if spec is None or spec.kind != "label":
        return ()
    pack = plan.by_id[plan.zone[station]]
    level = state.order.scheme.level(spec.level) if state.order is not None else None
    if pack.kind != "pack" or pack.mode != "sequence" or level is None:
        return ()
    if all(role in level.roles for reader in spec.readers for role in reader.roles):
        return ()
    return slips.units_at(state, (pack.id,))


def _content_in_view(
    out: Outcome,
    container: Container,
    order: WorkOrder,
    what: i.ItemReadings,
    roles: tuple[str, ...],
) -> None:
    """The label's camera may see children too: they show whether the order was right."""
    below = order.scheme.below(container.level)
    if container.unit is None or below is None:
        return
    seen = {
        code.unit.unit: None
        for text in what.texts
        if (code := out.known.codes.get(text)) is not None
        and code.unit is not None
        and code.role in roles
        and code.unit.level == below.name
    }
    whole = len(seen) == container.count
    how = Read(f.LinkEvidence.READ, f.OwnCode.SAME_FRAME, "read")
    slips.content_seen(out, container.unit, tuple(seen), how, whole=whole)


def _doubt(out: Outcome, station: Station, container: Container, others: tuple[int, ...]) -> None:
    """Containers that have a code which was read on this one too."""
    if others:
        out.facts.append(f.UnitsDoubted(others, "duplicate"))
        out.alarm("duplicate_code", 2, station.id, container.number)
        units = (code.unit for code in out.known.codes.values() if code.unit is not None)
        again = {unit.unit: unit for unit in units if unit.unit in others}
        broken.seen_elsewhere(out, station.id, again.values(), "read")


def _close(
    out: Outcome,
    container: Container,
    unit: int,
    count: int,
    unknown: int,
    evidence: Collection[f.LinkEvidence],
    own: f.OwnCode,
) -> None:
    """Its own code was read on it and nothing more goes in."""
    worth = integrity(evidence, unknown, own, doubtful=container.doubtful)
    short = count < container.expected
    partial = container.partial, container.partial_by
    for fact in out.facts:
        if isinstance(fact, f.PartialAllowed) and fact.number == container.number:
            partial, short = (fact.reason, fact.by), True
    reason, by = partial if short else ("", "")
    out.facts.append(f.ContainerClosed(unit, count, unknown, worth, reason, by))
    for station in dict.fromkeys((container.station, container.at)):
        stopping.passed(out, station)
    anchors.ask(out, container.station, container.number)


def _own_code(plan: LinePlan, container: Container, station: Station) -> f.OwnCode:
    """Seen from its content, where the container's own code was read."""
    if plan.between(container.station, station.id) is PathKind.CAPTIVE:
        return f.OwnCode.CAPTIVE
    return f.OwnCode.SINGLE_FILE


def _refuse(
    out: Outcome,
    station: Station,
    container: Container,
    verdict: Verdict,
    seen: tuple[KnownCode, ...],
) -> None:
    """The container leaves the line here, or at the next gate of its zone."""
    if container.unit is not None:
        if not container.fault:
            out.facts.append(f.ContainerRejected(container.unit, station.id, verdict))
    else:
        out.facts.append(
            f.ContainerRefused(
                station.id,
                container.number,
                verdict,
                container.order,
                None,
                tuple(code.key for code in seen),
            )
        )
    label = out.plan.label_station(container.station)
    unread = all(code.key != container.label for code in seen)
    if container.label is not None and label is not None and unread:
        coding.give_up(out, label, container.label)
    out.alarm("container_refused", 2, station.id, container.number, verdict=verdict)
    if not container.fault and not container.coasting:  # a fault was counted where it was found
        stopping.rejected(out, station.id, container.number)
    if has_gate(station):
        out.effects.append(SetSlot(station.id, container.number, passed=False))
        doubt.goes_mixed(out, station, container)


def gate(out: Outcome, what: i.GateReported) -> None:
    """The PLC reports what became of a container at a gate."""
    station = out.plan.by_id[what.station]
    container = out.state.container(out.plan.zone[station.id], what.item)
    if container is None and what.saw is i.GateSaw.PASSED:
        return  # it passed by a verdict of before the restart: there is nothing to add
    stopping.seen(out, what)
    here = container is not None and container.at == station.id
    if not here and what.saw is i.GateSaw.REJECTED:
        doubt.unasked(out, station.id, what.item)
    good = here and container is not None and container.judged and not container.fault
    if what.saw is i.GateSaw.PASSED and good:
        out.facts.append(f.GatePassed(station.id, what.item))
    elif what.saw is i.GateSaw.REJECTED:
        judged = container is not None and here and container.judged
        # A fault was recorded with the verdict; a container that had passed is rejected now.
        unit = container.unit if container is not None and not container.fault else None
        if container is None:
            unit = doubt.strayed(out, station.id, what.item)
        out.facts.append(f.RejectConfirmed(station.id, what.item, unit, judged, good))
    else:
        doubt.let_through(out, what, container if here else None, due=not good)
