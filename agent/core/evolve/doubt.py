"""How facts change what is certain of the order at a packer. `TABLE` is applied before the other
tables: it looks at lanes and paths as they were."""

from agent.core import facts as f
from agent.core.evolve.common import Table, let_go
from agent.core.plan import LinePlan
from agent.core.state import Container, Gap, Kept, LineState, Packing, Suspect

KEPT = 64
"""Containers that are remembered at each packer; a slip that is found later is not mended."""
KEPT_CHILDREN = 512
"""Where a container holds few, so many are remembered that they hold this many."""
FORGOTTEN = 4096
"""Older containers of which only the name is remembered, until a reading came out as predicted."""
SUSPECTS = 16
"""Suspects that are remembered at each packer: with more the order is doubtful for good."""
GAPS = 4
"""Slips that are remembered at each packer of which it is not known where they began."""
BEHIND = 32
"""Units of each lane that are remembered with one."""
MISSED, STRANGER = "missed", "stranger"
"""Why the order is doubtful: an item was not seen to arrive and may have come all the same; an item
that nobody knows arrived, or the eye saw what is not there."""

BROKEN = "broken"
"""Why a container is doubtful: a child of it was seen elsewhere."""

RESTART = "restart"
"""Why the order is doubtful: the belt stood and started, and items may have lagged behind it: those
on the way. What stands in a lane or in an open container has no number that it could lose."""

NOWHERE = "nowhere"
"""Why units are doubtful: they passed, and by what was told since they are in no place."""


def packing_at(plan: LinePlan, state: LineState, station: str) -> Packing | None:
    """What is known of the order at a station; None where nothing is packed by order."""
    spec = plan.by_id[station]
    if spec.kind != "pack" or spec.mode != "sequence":
        return None
    return state.packing.setdefault(station, Packing())


def kept_of(state: LineState, container: int) -> tuple[str, Kept] | None:
    """The station and the remembered container of this unit id."""
    for station, packing in state.packing.items():
        for kept in reversed(packing.kept):
            if kept.unit == container:
                return station, kept
    return None


def is_fresh(plan: LinePlan, state: LineState, station: str, first: dict[int, int]) -> bool:
    """Whether a stroke takes nothing that lay on the path or in a lane at the last disturbance.
    `first[lane]` is the place in its lane's order of the first child that it takes."""
    packing = state.packing[station]
    way = plan.into.get(station)
    if way is not None and packing.pending:
        numbers = {*state.on_path.get(way.source, {})}
        numbers |= {*state.items.get(plan.zone[way.source], {})}
        if any(number in numbers for number in packing.pending):
            return False
    return all(at >= packing.marks.get(lane, 0) for lane, at in first.items())


def _path_entered(plan: LinePlan, state: LineState, fact: f.PathEntered) -> None:
    packing = packing_at(plan, state, fact.station)
    if packing is None:
        return
    held = len(state.lanes.get(fact.station, {}).get(fact.lane, ()))
    here = fact.lane, packing.taken.get(fact.lane, 0) + held
    if fact.item in packing.pending:
        packing.pending.remove(fact.item)
        packing.marks[fact.lane] = here[1] + 1
    before = packing.last
    for unit in packing.open:
        # Unseen by the eye it went where the item before it went, or where the next one goes.
        places = [here] if before is None else [(before[0], before[1] + 1), here]
        stranger = before if packing.stranger else None
        _suspect(packing, Suspect(True, unit, places, stranger), MISSED)
    packing.open.clear()
    known = fact.item in state.on_path.get(plan.into[fact.station].source, {})
    packing.last, packing.stranger = here, not known
    if not known and not packing.deep:
        _suspect(packing, Suspect(False, None, [here]), STRANGER)


def _suspect(packing: Packing, suspect: Suspect, why: str) -> None:
    packing.suspects.append(suspect)
    packing.event = True
    packing.doubt = packing.doubt or why
    for lane, place in suspect.places:
        packing.marks[lane] = max(packing.marks.get(lane, 0), place + 1)
    for kept in packing.kept:
        kept.fresh = False
    if len(packing.suspects) > SUSPECTS:
        packing.suspects.clear()


def _stroke_seen(plan: LinePlan, state: LineState, fact: f.StrokeSeen) -> None:
    packing = packing_at(plan, state, fact.station)
    if packing is not None:
        for lane, count in enumerate(fact.counts):
            packing.taken[lane] = packing.taken.get(lane, 0) + count


def _packed(plan: LinePlan, state: LineState, fact: f.Packed) -> None:
    container = state.container_of(fact.container)
    if container is None or not fact.lanes:
        return
    packing = packing_at(plan, state, container.station)
    if packing is None:
        return
    kept = next((k for k in reversed(packing.kept) if k.unit == fact.container), None)
    if kept is None:
        kept = Kept(fact.container)
        packing.kept.append(kept)
        _forget(packing, max(KEPT, KEPT_CHILDREN // max(1, container.expected)))
    kept.children += fact.children
    kept.strokes.append(list(fact.lanes))
    starts = [packing.taken.get(lane, 0) - count for lane, count in enumerate(fact.lanes)]
    kept.starts.append(starts)
    kept.disturbed = kept.disturbed or fact.disturbed
    kept.doubt = kept.doubt or fact.doubt
    kept.child = kept.child or fact.child
    first = {
        lane: packing.taken.get(lane, 0) - count for lane, count in enumerate(fact.lanes) if count
    }
    kept.fresh = kept.fresh and is_fresh(plan, state, container.station, first)
    packing.event = False


def _forget(packing: Packing, most: int) -> None:
    """Remember the last `most`; what was before the first full reading in them is known by it."""
    for kept in packing.kept[:-most]:
        if kept.whole:
            packing.forgotten.clear()
        else:
            packing.forgotten.append(kept.unit)
    del packing.kept[:-most], packing.forgotten[:-FORGOTTEN]


def _run_began(plan: LinePlan, state: LineState, fact: f.RunBegan) -> None:
    state.missed.clear()
    if state.run == -1:
        return  # a line that never ran: nothing lies in its lanes
    for station in plan.stations:
        packing = packing_at(plan, state, station.id)
        if packing is None:
            continue
        packing.doubt, packing.deep, packing.event = fact.why, True, True
        packing.taken.clear()
        packing.marks.clear()
        packing.pending.clear()
        packing.suspects.clear()
        packing.open.clear()
        packing.gaps.clear()
        packing.last = None
        for kept in packing.kept:
            kept.fresh = False
            kept.starts.clear()  # the places in the lanes are counted anew
            kept.disturbed = kept.disturbed or not kept.worth


def _path_disturbed(plan: LinePlan, state: LineState, fact: f.PathDisturbed) -> None:
    for station in fact.stations:
        _items_disturbed(plan, state, station)
        packing = packing_at(plan, state, station)
        if packing is None:
            continue
        if packing.doubt in ("", MISSED, STRANGER):
            packing.doubt = fact.why
        packing.event = True
        for kept in packing.kept:
            kept.fresh = False
        for lane, held in state.lanes.get(station, {}).items() if fact.why != RESTART else ():
            packing.marks[lane] = packing.taken.get(lane, 0) + len(held)
        source = plan.into[station].source if station in plan.into else ""
        packing.pending = list(state.on_path.get(source, {}))
        packing.pending += [
            item.number
            for item in state.items.get(plan.zone.get(source, ""), {}).values()
            if item.at == source and item.number not in packing.pending
        ]
        if packing.kept and not packing.kept[-1].worth and fact.why != RESTART:
            packing.kept[-1].disturbed = True
    for unit in fact.containers:
        container = state.container_of(unit)
        if container is not None:
            container.doubtful = True


def _items_disturbed(plan: LinePlan, state: LineState, station: str) -> None:
    """The items on the path into a station of their zone may have changed places."""
    way = plan.into.get(station)
    if way is None or plan.zone.get(way.source) != plan.zone[station]:
        return
    for item in state.items.get(plan.zone[station], {}).values():
        if item.at == way.source:
            item.before = list(item.reads)
            item.expected = None


def _places_mixed(plan: LinePlan, state: LineState, fact: f.PlacesMixed) -> None:
    zone = plan.zone[fact.station]
    for number in fact.numbers:
        one = state.item(zone, number) or state.container(zone, number)
        if one is not None:
            one.mixed = fact.why


def _items_missed(plan: LinePlan, state: LineState, fact: f.ItemsMissed) -> None:
    state.missed = [*state.missed, *fact.units][-KEPT:]
    for unit in fact.units:
        found = kept_of(state, unit)
        if found is not None:
            found[1].astray = True
    way = plan.out_of.get(fact.station)
    packing = packing_at(plan, state, way.target) if way is not None else None
    if packing is not None:
        on_path = state.on_path.get(fact.station, {})
        packing.open += [on_path.get(number) for number in fact.items]
        packing.event = True


def _label_bound(plan: LinePlan, state: LineState, fact: f.LabelBound) -> None:
    found = kept_of(state, fact.container)
    if found is not None:
        found[1].own = str(fact.own)


def _container_closed(plan: LinePlan, state: LineState, fact: f.ContainerClosed) -> None:
    found = kept_of(state, fact.container)
    if found is not None:
        found[1].worth = str(fact.integrity)


def _children_seen(plan: LinePlan, state: LineState, fact: f.ChildrenSeen) -> None:
    found = kept_of(state, fact.container)
    if found is not None:
        found[1].seen = sorted({*found[1].seen, *fact.children})


def _confirmed(plan: LinePlan, state: LineState, fact: f.ContainerConfirmed) -> None:
    packing = packing_at(plan, state, fact.station)
    if packing is None:
        return
    for kept in packing.kept:
        if kept.unit == fact.container:
            kept.whole, kept.fit, kept.doubt, kept.astray = True, True, "", False
            kept.seen = [child for child in kept.children if child is not None]
            packing.forgotten.clear()
    if fact.settles:
        packing.doubt, packing.deep = "", False
        packing.suspects.clear()


def _slip_found(plan: LinePlan, state: LineState, fact: f.SlipFound) -> None:
    packing = packing_at(plan, state, fact.station)
    if packing is None:
        return
    _open_gap(state, packing, fact)
    packing.suspects.clear()
    packing.doubt = fact.doubt
    packing.event = True
    if not fact.since:
        packing.forgotten.clear()
    if not fact.doubt:
        packing.deep = False
    for kept in packing.kept:
        if kept.unit in fact.containers:
            kept.disturbed = True
            kept.doubt = kept.doubt or ("slip" if kept.unit in fact.doubtful else "")
        if kept.unit == fact.found:
            kept.whole = fact.whole


def guessed(packing: Packing) -> set[int]:
    """The containers before one of which a part was read that showed a slip: what they hold now by
    the record is a guess, and nothing that is counted from there says more of them."""
    whole = {kept.unit for kept in packing.kept if kept.whole}
    found: set[int] = set()
    for gap in packing.gaps:
        if gap.found not in whole and gap.found in gap.containers:
            found.update(gap.containers[: gap.containers.index(gap.found) + 1])
    return found


def _open_gap(state: LineState, packing: Packing, fact: f.SlipFound) -> None:
    """Remember how it was counted, for readings that show where the slip began."""
    before = guessed(packing)  # is told by how it was counted when that slip was found
    run = [k for k in packing.kept if k.unit in fact.containers and k.unit not in before]
    if not fact.doubtful or not run or not all(kept.starts for kept in run):
        return
    for kept in run:
        kept.counted = list(kept.children)
    lanes = state.lanes.get(fact.station, {})
    behind = {lane: list(units[:BEHIND]) for lane, units in lanes.items()}
    among = [kept.unit for kept in run]
    packing.gaps.append(Gap(fact.found, among, behind, list(packing.suspects)))
    del packing.gaps[:-GAPS]


def _lane_restated(plan: LinePlan, state: LineState, fact: f.LaneRestated) -> None:
    state.lanes.setdefault(fact.station, {})[fact.lane] = list(fact.units)
    packing = packing_at(plan, state, fact.station)
    if packing is not None:
        packing.event = True  # a slip of before it does not reach what comes: no anchor spans it


def _neighbour_suspected(plan: LinePlan, state: LineState, fact: f.NeighbourSuspected) -> None:
    for unit in fact.units:
        state.suspected.pop(unit, None)
        state.suspected[unit] = fact.expected
    while len(state.suspected) > KEPT:
        del state.suspected[next(iter(state.suspected))]


def _item_passed(plan: LinePlan, state: LineState, fact: f.ItemPassed) -> None:
    """A unit that comes back was in no lane."""
    if fact.commissioned:
        return
    if fact.unit in state.missed:
        state.missed.remove(fact.unit)
    for packing in state.packing.values():
        left = [suspect for suspect in packing.suspects if suspect.unit != fact.unit]
        if len(left) < len(packing.suspects):
            packing.suspects = left
            if not left and packing.doubt == MISSED:
                packing.doubt = ""


def _units_doubted(plan: LinePlan, state: LineState, fact: f.UnitsDoubted) -> None:
    if fact.why == NOWHERE:
        let_go(state, fact.units)
    for unit in fact.units:
        found = kept_of(state, unit)
        if found is not None:
            found[1].doubt = found[1].doubt or fact.why
            found[1].astray = True


def _doubt_resolved(plan: LinePlan, state: LineState, fact: f.DoubtResolved) -> None:
    for unit in fact.units:
        state.suspected.pop(unit, None)
        found = kept_of(state, unit)
        if found is not None:
            found[1].doubt, found[1].astray = "", False


def _changed(plan: LinePlan, state: LineState, fact: f.Unpacked | f.ContainerReopened) -> None:
    found = kept_of(state, fact.container)
    if found is not None:
        found[1].changed = True


def _anchored(plan: LinePlan, state: LineState, fact: f.ContainersAnchored) -> None:
    for unit in fact.containers:
        found = kept_of(state, unit)
        if found is not None:
            found[1].worth, found[1].doubt = str(f.Integrity.ANCHORED), ""


def _broken(plan: LinePlan, state: LineState, fact: f.ContainersBroken) -> None:
    for unit in fact.containers:
        found = kept_of(state, unit)
        if found is not None:
            kept = found[1]
            kept.doubt, kept.astray, kept.disturbed = kept.doubt or BROKEN, True, True
            # Taken out by hand: no order of the lanes explains what is in it now.
            kept.changed = kept.changed or fact.why != "elsewhere"
        container = state.container_of(unit)
        if container is not None:
            container.doubtful = True


def _links_corrected(plan: LinePlan, state: LineState, fact: f.LinksCorrected) -> None:
    found = kept_of(state, fact.container)
    if found is not None:
        found[1].children = list(fact.children)
        if fact.why in ("read", "scanned"):
            found[1].whole = True
            found[1].seen = sorted({child for child in fact.children if child is not None})
        if fact.integrity is not None:
            found[1].worth = str(fact.integrity)
    container: Container | None = state.container_of(fact.container)
    if container is not None:
        container.count = len(fact.children)
        container.unknown = sum(child is None for child in fact.children)
        container.evidence = sorted({str(each) for each in fact.evidence})


TABLE: Table = {
    f.PathEntered: _path_entered,
    f.StrokeSeen: _stroke_seen,
    f.Packed: _packed,
    f.RunBegan: _run_began,
    f.PathDisturbed: _path_disturbed,
    f.PlacesMixed: _places_mixed,
    f.ItemsMissed: _items_missed,
    f.LabelBound: _label_bound,
    f.ContainerClosed: _container_closed,
    f.ChildrenSeen: _children_seen,
    f.ContainerConfirmed: _confirmed,
    f.ContainersAnchored: _anchored,
    f.LinksCorrected: _links_corrected,
    f.SlipFound: _slip_found,
    f.LaneRestated: _lane_restated,
    f.UnitsDoubted: _units_doubted,
    f.NeighbourSuspected: _neighbour_suspected,
    f.ItemPassed: _item_passed,
    f.DoubtResolved: _doubt_resolved,
    f.ContainersBroken: _broken,
    f.Unpacked: _changed,
    f.ContainerReopened: _changed,
}
