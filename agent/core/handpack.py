"""Decisions about containers that people fill, reopen and label by hand: scan packing, linked sets,
the partial pallet that is topped up, another label."""

from collections import Counter
from collections.abc import Iterable

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.known import KnownCode, KnownContainer, KnownLink, KnownUnit, Questions
from agent.core.life import UnitState
from agent.core.outcome import Outcome
from agent.core.pack import integrity
from agent.core.pools import runs
from agent.core.rework import code_of, may_go_in, name, shown, unit_of
from agent.core.scheme import LevelSpec, WorkOrder
from agent.core.verdict import Verdict, judge_code

MOST_CHILDREN = 512


def hand_questions(what: i.Pack | i.Reopen | i.Relabel) -> Questions:
    """The codes that were scanned, with everything around their units."""
    match what:
        case i.Pack():
            return Questions((what.container, *what.children, *what.preset), whole=True)
        case i.Reopen():
            return Questions((what.container,), whole=True)
        case i.Relabel():
            return Questions((what.text, what.new), whole=True)


def hand_input(out: Outcome, what: i.Pack | i.Reopen | i.Relabel) -> None:
    match what:
        case i.Pack():
            _pack(out, what)
        case i.Reopen():
            _reopen(out, what)
        case i.Relabel():
            _relabel(out, what)


# ---------------------------------------------------------------------------------------- packing


def _pack(out: Outcome, what: i.Pack) -> None:
    """Children that a person scanned (or that a linked set names) go into a container."""
    texts = list(dict.fromkeys((*what.children, *what.preset)))
    if not texts and what.reason:
        _close_short(out, what)
        return
    if not texts or len(texts) > MOST_CHILDREN:
        raise DomainError("nothing_named", f"Scan between 1 and {MOST_CHILDREN} children.")
    _sampled(out, what)
    own = code_of(out, what.container)
    children = {text: unit_of(out, text) for text in texts}
    if len({unit.unit for unit in children.values()}) < len(texts):
        raise DomainError("scanned_twice", "Two of these codes are on one unit: scan each once.")
    box = _box(out, own, children.values(), what)
    for text, unit in children.items():
        may_go_in(out, text, unit, box)
    held = out.known.containers.get(box.unit)
    before = held.links if held is not None else ()
    spec = out.known.orders[box.order].scheme.level(box.level)
    count = len(before) + len(texts)
    if count > spec.children:
        raise DomainError(
            "too_many",
            f"{box.level} {shown(out, own)} holds {spec.children}, this would make {count}: take "
            "some out.",
        )
    first = _layer(out, what, spec, before, len(texts)) if what.layer else 0
    stays_open = bool(what.layer) and count < spec.children and not what.reason
    if count < spec.children and not what.reason and not stays_open:
        raise DomainError(
            "partial_reason",
            f"{count} of {spec.children}: scan the others, or say why it stays partial (--reason).",
        )
    evidence = {
        unit.unit: f.LinkEvidence.SCANNED if text in what.children else f.LinkEvidence.PRESET
        for text, unit in children.items()
    }
    _begin(out, box, own, held, spec)
    _put_in(out, box.unit, before, evidence, first)
    kept = f.OwnCode.SCANNED if held is None or held.own is None else held.own
    if held is None or own.unit is None or not held.codes:
        role = (f.Attachment(own.role, own.key, f.PairIntegrity.PROVEN),)
        out.facts.append(f.LabelBound(box.unit, role, f.OwnCode.SCANNED, ""))
        kept = f.OwnCode.SCANNED
    elif box.state is UnitState.REJECTED:  # its own code was read again, with what it holds
        out.facts.append(f.LabelBound(box.unit, (), f.OwnCode.SCANNED, ""))
        kept = f.OwnCode.SCANNED
    if stays_open:
        return
    unknown = sum(link.child is None for link in before)
    all_evidence = [*(link.evidence for link in before), *evidence.values()]
    worth = integrity(all_evidence, unknown, kept, doubtful=box.doubtful)
    reason = what.reason if count < spec.children else ""
    out.facts.append(f.ContainerClosed(box.unit, count, unknown, worth, reason, what.by))


def _layer(
    out: Outcome, what: i.Pack, spec: LevelSpec, before: tuple[KnownLink, ...], many: int
) -> int:
    """The first place of the layer that was scanned. DomainError unless it is a whole one, or the
    last, and nothing lies there yet."""
    if not 1 <= what.layer <= spec.layers:
        raise DomainError(
            "layer_unknown",
            f"A {spec.name} of this packing scheme has no layer {what.layer} (it has "
            f"{spec.layers}): name another, or set `layer` in the site file.",
        )
    first = (what.layer - 1) * spec.layer
    size = min(spec.layer, spec.children - first)
    if any(first <= link.place < first + size for link in before):
        raise DomainError(
            "layer_taken",
            f"Layer {what.layer} of {what.container} is bound already: name the layer that you "
            "scanned, or take the wrong one out first.",
        )
    if many > size or (many < size and not what.reason):
        raise DomainError(
            "layer_count",
            f"Layer {what.layer} of a {spec.name} has {size} places and {many} codes were scanned: "
            "scan all of it, or say why it is short (--reason).",
        )
    return first


def _close_short(out: Outcome, what: i.Pack) -> None:
    """An open container is closed with what is in it."""
    unit = unit_of(out, what.container)
    held = out.known.containers.get(unit.unit)
    if held is None or held.integrity is not None or not held.links or held.own is None:
        raise DomainError(
            "nothing_to_close",
            f"{name(out, unit.unit)} is no open container with something in it and a label: scan "
            "what goes into it.",
        )
    unknown = sum(link.child is None for link in held.links)
    evidence = [link.evidence for link in held.links if link.child is not None]
    worth = integrity(evidence, unknown, held.own, doubtful=unit.doubtful)
    out.facts.append(
        f.ContainerClosed(unit.unit, len(held.links), unknown, worth, what.reason, what.by)
    )


def _sampled(out: Outcome, what: i.Pack) -> None:
    """A linked set is believed when a person has scanned some of it and all of these were in it."""
    if not what.preset:
        return
    if not what.children:
        raise DomainError(
            "preset_unsampled", "Scan at least one child, so that the linked set is checked."
        )
    for text in what.children:
        if text not in what.preset:
            raise DomainError(
                "preset_differs",
                f"{shown(out, code_of(out, text))} is not in the linked set of this container: "
                "scan all children, and tell whoever made the set.",
            )


def _box(out: Outcome, own: KnownCode, children: Iterable[KnownUnit], what: i.Pack) -> KnownUnit:
    """The container: the open one that has this code, or a new one."""
    if own.unit is not None:
        unit = out.known.units[own.unit.unit]
        held = out.known.containers.get(unit.unit)
        if held is None:
            raise DomainError(
                "not_a_container", f"{shown(out, own)} is on a {unit.level}: scan a container."
            )
        if unit.held:
            raise DomainError("held", f"Quality holds {shown(out, own)}: ask for its release.")
        if held.integrity is not None:
            raise DomainError(
                "container_closed",
                f"{unit.level} {shown(out, own)} is closed: reopen it first (caselink reopen).",
            )
        return unit
    known = Counter(unit.order for unit in children if unit.order in out.known.orders)
    if not known:
        raise DomainError("order_unknown", "The work order of these children is not known here.")
    order = out.known.orders[known.most_common(1)[0][0]]
    level = out.known.pools[own.key.pool].level
    _own_code(out, own, order, level)
    first = next(unit for unit in children if unit.order == order.number)
    return KnownUnit(
        out.known.next_unit, level, first.state, order.number, order.product, order.lot
    )


def _own_code(out: Outcome, own: KnownCode, order: WorkOrder, level: str) -> LevelSpec:
    """DomainError unless the code may become the own code of a container of this level."""
    try:
        spec = order.scheme.level(level)
    except KeyError:
        spec = None
    if spec is None or not spec.children or own.role not in spec.roles:
        raise DomainError(
            "not_a_label",
            f"{shown(out, own)} is no code for a container of packing scheme {order.scheme.name}: "
            "scan the container's own code.",
        )
    verdict = judge_code(own, order, out.known, None)
    if verdict is not Verdict.PASS:
        raise DomainError(
            "label_refused",
            f"{shown(out, own)} may not be used here ({verdict}): take another label.",
        )
    if not own.registered:
        out.facts.append(f.CodeRegistered(own.key, own.text))
    return spec


def _begin(
    out: Outcome, box: KnownUnit, own: KnownCode, held: KnownContainer | None, spec: LevelSpec
) -> None:
    if held is None:
        if own.role != spec.primary:
            raise DomainError(
                "not_a_label", f"Scan the {spec.primary} code of the {spec.name}, its primary one."
            )
        out.facts.append(f.ContainerFormed(box.unit, spec.name, box.order, "", 0, spec.children))


def _put_in(
    out: Outcome,
    container: int,
    before: tuple[KnownLink, ...],
    evidence: dict[int, f.LinkEvidence],
    lowest: int = 0,
) -> None:
    """Bind children to the lowest free places, from place `lowest` on."""
    taken = {link.place for link in before}
    most = lowest + len(taken) + len(evidence) + max(taken, default=0)
    free = [place for place in range(lowest, most + 1) if place not in taken]
    units = list(evidence)
    at = 0
    for first, count in runs(free[: len(units)]):
        some = units[at : at + count]
        why = tuple(evidence[unit] for unit in some)
        out.facts.append(f.Packed(container, tuple(some), why, first))
        at += count


def _reopen(out: Outcome, what: i.Reopen) -> None:
    unit = unit_of(out, what.container)
    held = out.known.containers.get(unit.unit)
    if held is None:
        raise DomainError("not_a_container", f"{name(out, unit.unit)} holds nothing.")
    if held.integrity is None:
        raise DomainError("container_is_open", f"{name(out, unit.unit)} is open: fill it.")
    if unit.held:
        raise DomainError("held", f"Quality holds {name(out, unit.unit)}: ask for its release.")
    if unit.parent is not None:
        raise DomainError(
            "reopen_inside",
            f"{name(out, unit.unit)} is in {name(out, unit.parent)}: take it out first.",
        )
    out.facts.append(f.ContainerReopened(unit.unit, what.reason, what.by))


# ----------------------------------------------------------------------------------------- labels


def _relabel(out: Outcome, what: i.Relabel) -> None:
    """Another code for a container; the one that it replaces never lives again."""
    new = code_of(out, what.new)
    level = out.known.pools[new.key.pool].level
    unit = unit_of(out, what.text)
    if unit.level != level and unit.parent is not None:
        unit = out.known.units[unit.parent]  # a child was scanned: its container has no label
    held = out.known.containers.get(unit.unit)
    if held is None or unit.level != level:
        raise DomainError(
            "not_a_container",
            f"{name(out, unit.unit)} is a {unit.level}; the new code is for a {level}. Only "
            "containers get another label: scan one, or a child of it.",
        )
    order = out.known.orders.get(unit.order)
    if order is None:
        raise DomainError("order_unknown", f"Work order {unit.order} is not known here.")
    if new.unit is not None:
        raise DomainError("label_refused", f"{shown(out, new)} is on a unit: take another label.")
    spec = _own_code(out, new, order, level)
    old = held.codes.get(new.role)
    proven = f.PairIntegrity.PROVEN
    if old is not None or new.role != spec.primary:
        out.facts.append(
            f.Relabelled(unit.unit, new.role, old, new.key, proven, what.reason, what.by)
        )
        return
    role = (f.Attachment(new.role, new.key, proven),)
    out.facts.append(f.LabelBound(unit.unit, role, f.OwnCode.SCANNED, ""))
    if held.links and held.integrity is None:
        unknown = sum(link.child is None for link in held.links)
        evidence = [link.evidence for link in held.links if link.child is not None]
        worth = integrity(evidence, unknown, f.OwnCode.SCANNED, doubtful=unit.doubtful)
        reason = what.reason if len(held.links) < held.expected else ""
        out.facts.append(
            f.ContainerClosed(unit.unit, len(held.links), unknown, worth, reason, what.by)
        )
