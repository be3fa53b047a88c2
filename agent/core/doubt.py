"""What may be wrong after something happened to a path, and nothing else: path doubt.

After a guard was opened, an emergency stop, a jam, a count that does not fit, what lies on a path
may have changed unseen. Numbers name items again once those that lay there are gone; lanes have no
numbers, so their order stays doubtful until a full reading comes out as predicted (`anchors`).
"""

from collections.abc import Iterable

from agent.core import facts as f
from agent.core import inputs as i
from agent.core import stopping, tracking
from agent.core.effects import SetSlot
from agent.core.evolve import (
    MISSED,
    NOWHERE,
    RESTART,
    STRANGER,
    has_gate,
    is_fresh,
    unseen_on_path,
)
from agent.core.facts import CodeKey
from agent.core.outcome import Outcome
from agent.core.plan import PathKind, Station
from agent.core.state import Container, Item, Kept
from agent.core.verdict import Verdict

COUNT = "count"
"""More came out of a lane than was seen to go in."""
REJECT_FAILED = "reject_failed"
"""The gate did not take what it was to take."""
CHILD = "child"
"""A child is in doubt itself."""


def path_disturbed(out: Outcome, what: i.PathDisturbed) -> None:
    """Something happened after which the content of paths may have changed."""
    plan, state = out.plan, out.state
    stations = [
        station.id
        for station in plan.stations
        if what.station in ("", station.id)
        if station.kind == "pack"
        or (station.id in plan.into and plan.into[station.id].kind is not PathKind.MIXED)
    ]
    if what.why == RESTART:
        stations = [station for station in stations if _on_the_way(out, station)]
        if not stations:
            return
    zones = {plan.zone[station] for station in stations}
    containers = tuple(
        container.unit
        for zone in zones
        for container in state.containers.get(zone, {}).values()
        if container.unit is not None and not container.closed and not container.doubtful
        if what.why != RESTART or container.last or container.full
    )
    out.facts.append(f.PathDisturbed(tuple(stations), what.why, tuple(sorted(containers))))
    _recall(out, what.station, what.why)
    for station in stations:
        if plan.by_id[station].kind == "pack" and plan.by_id[station].mode == "sequence":
            out.alarm("order_doubtful", 3, station, why=what.why)


def _on_the_way(out: Outcome, station: str) -> bool:
    """Whether anything stands between the eye before this station and its own."""
    way = out.plan.into.get(station)
    if way is None:
        return False
    source = out.plan.by_id[way.source]
    if out.state.on_path.get(source.id):
        return True
    if has_gate(source) and tracking.in_flight(out.plan, out.state, source):
        return True
    boxes = out.state.containers.get(out.plan.zone[source.id], {}) if source.kind == "pack" else {}
    return any((box.last or box.full) and box.at in ("", source.id) for box in boxes.values())


def _recall(out: Outcome, where: str, why: str) -> None:
    """What stands between its picture and the gate may have changed places. While all of it is
    good, whatever comes to the gate is good: it passes, and what hands may have taken out or
    exchanged is in doubt. Once one of it is to go, the gate cannot tell which: nothing passes."""
    for station in out.plan.stations:
        if where not in ("", station.id) or not has_gate(station):
            continue
        numbers = tracking.in_flight(out.plan, out.state, station)
        if not all(_may_pass(out, station, number) for number in numbers):
            _send_off(out, station, numbers, why)
            continue
        found = [(number, _in_flight(out, station, number)) for number in numbers]
        anew = {n: one for n, one in found if one is not None and one.mixed in ("", RESTART)}
        mixed = [number for number, one in anew.items() if one.mixed != why]
        if mixed:
            out.facts.append(f.PlacesMixed(station.id, tuple(mixed), why))
        _hands(out, [one for one in anew.values() if isinstance(one, Item)], why)


def _in_flight(out: Outcome, station: Station, number: int) -> Item | Container | None:
    zone = out.plan.zone[station.id]
    return out.state.item(zone, number) or out.state.container(zone, number)


def _may_pass(out: Outcome, station: Station, number: int) -> bool:
    """Whether what triggered here is good, or its picture is being looked at. A container before
    its label's camera has nothing but its number: in another place it would get another's label."""
    one = _in_flight(out, station, number)
    if isinstance(one, Item):
        return not one.fault and one.verdict in ("", Verdict.PASS)
    return one is not None and station.kind == "label" and not one.fault


def _send_off(out: Outcome, station: Station, numbers: Iterable[int], why: str) -> None:
    """None of these may pass, whether it got a PASS that has not been obeyed yet or waits for its
    verdict, and what the gate takes for one of these units may be another."""
    units: set[int] = set()
    for number in numbers:
        one = _in_flight(out, station, number)
        item = one if isinstance(one, Item) else None
        if item is not None:
            out.facts.append(f.ItemRead(station.id, "", number, (), Verdict.LATE))
        if item is None or item.verdict:
            out.effects.append(SetSlot(station.id, number, passed=False))
        if item is not None and item.unit is not None:
            units.add(item.unit)
    if units:
        out.facts.append(f.UnitsDoubted(tuple(sorted(units)), why))


def _hands(out: Outcome, items: Iterable[Item], why: str) -> None:
    """Hands may have taken these, or put others in their places; a belt that starts does not."""
    units = tuple(sorted(item.unit for item in items if item.unit is not None))
    if units and why != RESTART:
        out.facts.append(f.UnitsDoubted(units, why))


def passes_mixed(out: Outcome, item: Item, unit: int) -> None:
    """An item that may have changed places is good."""
    if item.mixed not in ("", RESTART):
        out.facts.append(f.UnitsDoubted((unit,), item.mixed))


def goes_mixed(out: Outcome, station: Station, one: Item | Container) -> None:
    """This one is to go, and may have changed places with others before the same gate."""
    if not one.mixed:
        return
    rest = []
    for number in tracking.in_flight(out.plan, out.state, station):
        other = _in_flight(out, station, number)
        if other is not None and other is not one and other.mixed:
            rest.append(number)
    _send_off(out, station, rest, one.mixed)


def let_through(
    out: Outcome, what: i.GateReported, one: Item | Container | None, *, due: bool
) -> None:
    """The gate was to take this number (`one`, where it is known) and did not: what was to leave
    the line is on it, and so are the codes that were read on it. Or it was seen nowhere, whether
    it was `due` to go or to pass."""
    codes: tuple[CodeKey, ...] = ()
    if one is not None and one.fault:
        codes = tuple(dict.fromkeys(one.shown))
        if one.unit is not None:
            out.facts.append(f.UnitsDoubted((one.unit,), REJECT_FAILED))
    unseen = what.saw is i.GateSaw.NOTHING
    out.facts.append(f.RejectFailed(what.station, what.item, codes, unseen))
    if unseen:
        stopping.unseen(out, what.station, what.item, due=due)
    else:
        out.alarm(REJECT_FAILED, 1, what.station, what.item)


def lanes_cleared(out: Outcome, what: i.LanesCleared) -> None:
    """Nothing is in the lanes: what lay there was taken out, and nobody knows where it is now."""
    lanes = out.state.lanes.get(what.station, {})
    held = {unit for lane in lanes.values() for unit in lane if unit is not None}
    out.facts += [f.LaneRestated(what.station, lane, ()) for lane in sorted(lanes)]
    if held:
        out.facts.append(f.UnitsDoubted(tuple(sorted(held)), "lanes_cleared"))


def short_lanes(out: Outcome, station: Station, counts: tuple[int, ...]) -> bool:
    """Whether the stroke takes more from a lane than is known to be there."""
    lanes = out.state.lanes.get(station.id, {})
    return station.id in out.plan.into and any(
        count > len(lanes.get(lane, ())) for lane, count in enumerate(counts)
    )


def too_many(out: Outcome, station: Station) -> None:
    """More came out of a lane than went in: where the stranger got in, nobody knows. Lanes that are
    not known since a restart tell so every time, and are in doubt already."""
    packing = out.state.packing.get(station.id)
    if station.mode == "sequence" and not (packing is not None and packing.deep):
        out.facts.append(f.PathDisturbed((station.id,), COUNT))
        out.alarm("order_doubtful", 3, station.id, why=COUNT)


def at_infeed(out: Outcome, station: Station, number: int) -> None:
    """An item arrives at a packer by order: one before it was missed, or nobody knows this one.
    Where that puts it and the others in the lanes is in doubt (evolve.doubt, suspects)."""
    packing = out.state.packing.get(station.id)
    if station.mode != "sequence" or (packing is not None and packing.deep):
        return
    on_path = out.state.on_path.get(out.plan.into[station.id].source, {})
    missed = any(isinstance(fact, f.ItemsMissed) for fact in out.facts)
    if missed or number not in on_path:
        why = MISSED if missed else STRANGER
        out.alarm("order_doubtful", 3, station.id, number, why=why)
    if packing is not None and packing.last is not None and number not in on_path:
        # Two that touched may have passed as one: which of them is the one whose code was read?
        holds = next((kept for kept in packing.kept if _took(kept, *packing.last)), None)
        if holds is not None and not holds.whole and not holds.doubt:
            out.facts.append(f.UnitsDoubted((holds.unit,), STRANGER))


def _took(kept: Kept, lane: int, place: int) -> bool:
    """Whether a stroke moved what stood at this place of a lane's order into the container."""
    return any(
        lane < len(counts) and start[lane] <= place < start[lane] + counts[lane]
        for start, counts in zip(kept.starts, kept.strokes, strict=False)
    )


def of_stroke(
    out: Outcome, station: Station, counts: tuple[int, ...], units: tuple[int | None, ...]
) -> tuple[str, bool, bool]:
    """Why the order of what a stroke takes is doubtful ("" = it is not), whether something
    unexplained happened to it, and whether a child is in doubt itself."""
    packing = out.state.packing.get(station.id)
    short = short_lanes(out, station, counts)
    doubt, disturbed = "", False
    if packing is not None:
        doubt = packing.doubt
        first = {lane: packing.taken.get(lane, 0) for lane, count in enumerate(counts) if count}
        disturbed = packing.event or not is_fresh(out.plan, out.state, station.id, first)
    if short and not doubt:
        doubt, disturbed = COUNT, True
    known = out.known.units
    child = any(unit in known and known[unit].doubtful for unit in units if unit is not None)
    if child:
        doubt, disturbed = doubt or CHILD, True
    return doubt, disturbed, child


def unasked(out: Outcome, station: str, number: int) -> None:
    """The gate took what never triggered at its station: the photo-eye did not see it. Before the
    first trigger after a restart it may be older than the counting, unless it is known to have set
    out for there."""
    settling = station in out.state.settling.get("gate", [])
    if not settling or unseen_on_path(out.plan, out.state, station, number):
        out.alarm("trigger_missed", 2, station, number)


def strayed(out: Outcome, station: str, number: int) -> int | None:
    """The unit that this number is, of which the eye before the gate saw nothing."""
    return out.state.strayed.get(out.plan.zone[station], {}).get(number)


def nowhere(out: Outcome, station: Station, container: Container, shown: tuple[int, ...]) -> None:
    """A picture of the content tells what is in this container. What passed on its way to this
    packer and is neither `shown` there, nor in another container, in a lane or on a path, may be
    anywhere: a hand took it out of the open container, or the gate took it for its neighbour."""
    state, way = out.state, out.plan.into.get(station.id)
    if station.mode == "sequence" or way is None or way.kind is PathKind.MIXED:
        return
    zone = out.plan.zone_stations(out.plan.zone[way.source])
    passed = {unit for each in zone for unit in state.loose.get(each.id, ())}
    placed = {child for fact in out.facts if isinstance(fact, f.Packed) for child in fact.children}
    lost = passed.difference(placed, shown, tracking.units_on_line(state))
    lost -= {
        unit
        for containers in state.containers.values()
        for other in containers.values()
        if other is not container
        for unit in (other.unit, *other.took)
    }
    if lost:
        out.facts.append(f.UnitsDoubted(tuple(sorted(lost)), NOWHERE))
