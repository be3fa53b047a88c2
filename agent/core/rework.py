"""Decisions about what people do with units: unpack, replace, sample, destroy, void, hold, release.

They concern the whole agent and are decided without a line. Each is refused with a DomainError that
says what to do, and each is taken back by an event of its own: what was unpacked is packed again,
what was replaced is replaced again, a hold is released. Only void, sample and destroy are final.
"""

from collections.abc import Iterable
from dataclasses import replace

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError, unknown_code
from agent.core.known import KnownCode, KnownContainer, KnownHold, KnownUnit, Questions
from agent.core.life import CodeState, UnitState
from agent.core.outcome import Outcome
from agent.core.pack import integrity
from agent.core.pools import runs
from agent.core.verdict import Verdict, may_be_packed

MOST_VOID = 50_000
"""Rows of a pool that one command may make void."""

_GONE = (UnitState.SAMPLED, UnitState.DESTROYED)


def rework_questions(what: i.Rework) -> Questions:
    """The codes that were scanned, with everything around their units."""
    match what:
        case i.Unpack():
            return Questions((what.text, *what.children), whole=True)
        case i.Replace():
            texts = (what.new, what.old, what.container)
            return Questions(tuple(text for text in texts if text), whole=True)
        case i.Void() | i.Hold() if what.pool >= 0:
            rows = (what.pool, what.first, what.last) if isinstance(what, i.Void) else None
            return Questions(what.texts, pools=(what.pool,), whole=True, rows=rows)
        case i.Sample() | i.Destroy() | i.Void() | i.Hold() | i.Release():
            return Questions(what.texts, whole=True)
    return Questions()


def named(what: i.Rework) -> None:
    """DomainError unless it says who does it and why; a full container needs no reason."""
    if not what.by:
        raise DomainError("who_missing", "Say who does it (--by): the record names the person.")
    if not what.reason and not isinstance(what, i.Pack):
        raise DomainError("reason_missing", "A reason is missing: say why (--reason).")


def rework_input(out: Outcome, what: i.Rework) -> None:
    match what:
        case i.Unpack():
            _unpack(out, what)
        case i.Replace():
            _replace(out, what)
        case i.Sample() | i.Destroy():
            _leave_stock(out, what)
        case i.Void():
            _void(out, what)
        case i.Hold():
            _hold(out, what)
        case i.Release():
            _release(out, what)


# ------------------------------------------------------------------------------ what was scanned


def code_of(out: Outcome, text: str) -> KnownCode:
    """The code; DomainError `unknown_code` if no pool knows it."""
    code = out.known.codes.get(text)
    if code is None:
        raise unknown_code(text)
    return code


def unit_of(out: Outcome, text: str) -> KnownUnit:
    """The unit that carries the code; DomainError if none does."""
    code = code_of(out, text)
    if code.unit is None:
        raise DomainError(
            "not_a_unit",
            f"Code {shown(out, code)} is {code.state}: no unit carries it. Scan a code that was "
            "verified, or make this one void.",
        )
    return out.known.units.get(code.unit.unit, code.unit)


def shown(out: Outcome, code: KnownCode) -> str:
    """A code as people may read it."""
    pool = out.known.pools[code.key.pool]
    return f"{pool.name}/{code.key.position}" if code.role in pool.secret else code.text


def name(out: Outcome, unit: int) -> str:
    """A unit as people may read it."""
    return out.known.names.get(unit) or f"unit {unit}"


def content(out: Outcome, unit: int) -> list[int]:
    """The unit and all known units in it, at any depth."""
    found, todo = [], [unit]
    while todo:
        at = todo.pop()
        found.append(at)
        held = out.known.containers.get(at)
        todo += [link.child for link in held.links if link.child is not None] if held else []
    return found


def _one_each(units: Iterable[KnownUnit]) -> list[KnownUnit]:
    return list({unit.unit: unit for unit in units}.values())


def settled(out: Outcome, unit: KnownUnit, held: KnownContainer) -> None:
    """DomainError `container_open` for a container that is being packed."""
    if held.integrity is None and unit.state in (UnitState.COMMISSIONED, UnitState.VERIFIED):
        raise DomainError(
            "container_open",
            f"{unit.level} {name(out, unit.unit)} is still being packed: close it first, or take "
            "it off the line and unpack it whole.",
        )


# ------------------------------------------------------------------------------ unpack, replace


def _unpack(out: Outcome, what: i.Unpack) -> None:
    unit = unit_of(out, what.text)
    held = out.known.containers.get(unit.unit)
    if what.children:
        if held is None:
            raise DomainError(
                "not_a_container",
                f"{name(out, unit.unit)} is a {unit.level} and holds nothing: scan the container.",
            )
        children = _one_each(unit_of(out, text) for text in what.children)
        for child in children:
            if child.parent != unit.unit:
                raise DomainError(
                    "not_inside",
                    f"{name(out, child.unit)} is not in {name(out, unit.unit)} by the record: "
                    f"{_where(out, child)}",
                )
        settled(out, unit, held)
        take_out(out, held, [child.unit for child in children], what)
    elif held is not None:
        if not held.links:
            raise DomainError(
                "container_empty", f"{unit.level} {name(out, unit.unit)} holds nothing."
            )
        if unit.parent is not None:
            take_out(out, out.known.containers[unit.parent], [unit.unit], what)
        known = [link.child for link in held.links if link.child is not None]
        take_out(out, held, known, what, unknown=len(held.links) - len(known))
    else:
        parent = _parent(out, unit)
        settled(out, out.known.units[parent.unit], parent)
        take_out(out, parent, [unit.unit], what)


def _where(out: Outcome, unit: KnownUnit) -> str:
    if unit.parent is None:
        return f"it is loose and {unit.state}."
    return f"it is in {name(out, unit.parent)}. Scan that one."


def _parent(out: Outcome, unit: KnownUnit) -> KnownContainer:
    if unit.parent is None:
        raise DomainError(
            "not_packed", f"{name(out, unit.unit)} is in no container: it is {unit.state}."
        )
    return out.known.containers[unit.parent]


def take_out(
    out: Outcome,
    held: KnownContainer,
    children: list[int],
    what: i.Rework,
    *,
    unknown: int = 0,
) -> None:
    """Children leave a container; one that is empty then is open again."""
    since = {link.child: link.since for link in held.links}
    rows = tuple(since[child] for child in children)
    out.facts.append(f.Unpacked(held.unit, tuple(children), rows, unknown, what.reason, what.by))
    if held.integrity is not None and len(children) + unknown == len(held.links):
        out.facts.append(f.ContainerReopened(held.unit, what.reason, what.by))


def may_go_in(out: Outcome, text: str, unit: KnownUnit, container: KnownUnit) -> None:
    """DomainError unless the unit that was scanned may be put into this container."""
    order = out.known.orders.get(container.order)
    below = order.scheme.below(container.level) if order else None
    if order is None or below is None:
        raise DomainError(
            "order_unknown",
            f"Work order {container.order} of {name(out, container.unit)} is not known here.",
        )
    mixed = order.scheme.mixed_lots == "allow"
    verdict = may_be_packed(out.known.codes[text], below.name, order, mixed)
    if verdict is Verdict.PASS:
        return
    why = {
        Verdict.HELD: "quality holds it; release it first",
        Verdict.WRONG_PRODUCT: f"it is product {unit.product}, the container {container.product}",
        Verdict.WRONG_LOT: f"it is of lot {unit.lot}, the container of {container.lot}",
    }.get(verdict, f"it is a {unit.level} that is {unit.state}")
    inside = f" in {name(out, unit.parent)}" if unit.parent is not None else ""
    raise DomainError(
        f"child_{verdict}",
        f"{name(out, unit.unit)} may not go into {name(out, container.unit)}: {why}{inside}. "
        f"Take a verified {below.name} that is in no container.",
    )


def _replace(out: Outcome, what: i.Replace) -> None:
    new = unit_of(out, what.new)
    if what.old:
        old = unit_of(out, what.old)
        held = _parent(out, old)
        place = next(link.place for link in held.links if link.child == old.unit)
        gone, unknown = [old.unit], 0
    else:
        held, place = _unknown_place(out, what)
        gone, unknown = [], 1
    container = out.known.units[held.unit]
    if what.container and unit_of(out, what.container).unit != held.unit:
        raise DomainError(
            "not_inside",
            f"{name(out, gone[0])} is not in the container that was scanned: by the record it is "
            f"in {name(out, held.unit)}. Scan that one.",
        )
    settled(out, container, held)
    if container.held:
        raise _held(out, container)
    may_go_in(out, what.new, new, container)
    since = tuple(link.since for link in held.links if link.child in gone)
    out.facts += [
        f.Unpacked(held.unit, tuple(gone), since, unknown, what.reason, what.by),
        f.Packed(held.unit, (new.unit,), (f.LinkEvidence.SCANNED,), place),
    ]
    if unknown and held.integrity is not None:
        _close_again(out, held, what.by)


def _unknown_place(out: Outcome, what: i.Replace) -> tuple[KnownContainer, int]:
    if not what.container:
        raise DomainError("child_missing", "Scan the child that goes out, or its container.")
    held = out.known.containers.get(unit_of(out, what.container).unit)
    place = next((link.place for link in held.links if link.child is None), None) if held else None
    if held is None or place is None:
        raise DomainError(
            "no_unknown_child",
            "Every child of this container is known: scan the one that goes out.",
        )
    return held, place


def _close_again(out: Outcome, held: KnownContainer, by: str) -> None:
    """An unknown child has become a known one: the record may be worth more than it was."""
    evidence = [link.evidence for link in held.links if link.child is not None]
    unknown = len(held.links) - len(evidence) - 1
    doubtful = out.known.units[held.unit].doubtful
    own = held.own or f.OwnCode.UNREAD
    worth = integrity([*evidence, f.LinkEvidence.SCANNED], unknown, own, doubtful=doubtful)
    reason = "" if len(held.links) >= held.expected else "partial"
    out.facts.append(f.ContainerClosed(held.unit, len(held.links), unknown, worth, reason, by))


def _held(out: Outcome, unit: KnownUnit) -> DomainError:
    return DomainError("held", f"Quality holds {name(out, unit.unit)}: ask for its release first.")


# ------------------------------------------------------------------------------ out of the stock


def _leave_stock(out: Outcome, what: i.Sample | i.Destroy) -> None:
    named = _one_each(unit_of(out, text) for text in what.texts)
    going: list[int] = []
    for unit in named:
        if unit.state is UnitState.DESTROYED or (
            unit.state is UnitState.SAMPLED and isinstance(what, i.Sample)
        ):
            raise DomainError("gone_already", f"{name(out, unit.unit)} is {unit.state} already.")
        going += [each for each in content(out, unit.unit) if each not in going]
    _out_of_parents(out, named, going, what)
    final = (UnitState.DESTROYED,) if isinstance(what, i.Destroy) else _GONE
    left = tuple(each for each in going if out.known.units[each].state not in final)
    kind = f.UnitsDestroyed if isinstance(what, i.Destroy) else f.UnitsSampled
    out.facts.append(kind(left, what.reason, what.by))


def _out_of_parents(out: Outcome, named: list[KnownUnit], going: list[int], what: i.Rework) -> None:
    """What goes leaves the containers that stay."""
    leaving: dict[int, list[int]] = {}
    for unit in named:
        if unit.parent is not None and unit.parent not in going:
            leaving.setdefault(unit.parent, []).append(unit.unit)
    for parent, children in leaving.items():
        held = out.known.containers[parent]
        settled(out, out.known.units[parent], held)
        take_out(out, held, children, what)


def _void(out: Outcome, what: i.Void) -> None:
    keys: set[f.CodeKey] = set()
    for text in what.texts:
        code = code_of(out, text)
        if code.unit is not None or code.state is CodeState.ATTACHED:
            raise _attached(shown(out, code))
        if code.state is CodeState.VOID:
            raise DomainError("void_already", f"Code {shown(out, code)} is void already.")
        if not code.registered and code.key not in keys:
            out.facts.append(f.CodeRegistered(code.key, code.text))
        keys.add(code.key)
    if what.pool >= 0:
        _void_rows(out, what)
    elif not keys:
        raise DomainError("nothing_named", "Name codes, or a pool with --from and --to.")
    for pool, column in sorted({(key.pool, key.column) for key in keys}):
        positions = (k.position for k in keys if (k.pool, k.column) == (pool, column))
        out.facts += [
            f.CodesMoved(pool, column, first, count, CodeState.VOID, why=what.reason, by=what.by)
            for first, count in runs(positions)
        ]


def _attached(code: str) -> DomainError:
    return DomainError(
        "code_attached",
        f"Code {code} is on a unit, so it lives: sample or destroy the unit, or relabel it.",
    )


def _void_rows(out: Outcome, what: i.Void) -> None:
    """The codes of a range that are not void yet."""
    range_of(out, what)
    pool = out.known.pools[what.pool]
    before = len(out.facts)
    for run in out.known.runs:
        if run.state is CodeState.ATTACHED:
            raise _attached(f"{pool.name}/{run.first}")
        if run.state is not CodeState.VOID:
            moved = f.CodesMoved(what.pool, run.column, run.first, run.many, CodeState.VOID)
            out.facts.append(replace(moved, why=what.reason, by=what.by))
    if len(out.facts) == before:
        raise DomainError("void_already", f"These codes of pool {pool.name} are void already.")


def range_of(out: Outcome, what: i.Void | i.Hold) -> None:
    """DomainError unless the pool has these positions."""
    pool = out.known.pools.get(what.pool)
    if pool is None:
        raise DomainError("pool_unknown", f"There is no pool {what.pool}: name one that exists.")
    last = (pool.count if pool.membership == "list" else pool.next_position) - 1
    if not 0 <= what.first <= what.last <= last:
        raise DomainError(
            "range_wrong",
            f"Pool {pool.name} has positions 0 to {last}: name a range within them "
            f"({what.first} to {what.last} is not).",
        )
    if isinstance(what, i.Void) and what.last - what.first >= MOST_VOID:
        raise DomainError(
            "range_wrong", f"At most {MOST_VOID:,} rows at a time: name a smaller range."
        )


# ------------------------------------------------------------------------------------------ hold


def _hold(out: Outcome, what: i.Hold) -> None:
    ways = (bool(what.texts), bool(what.lot), what.pool >= 0)
    if sum(ways) != 1:
        raise DomainError(
            "nothing_named", "Hold units by their codes, or a lot, or a range of a pool: one."
        )
    units: list[int] = []
    if what.texts:
        named = _one_each(unit_of(out, text) for text in what.texts)
        for unit in named:
            units += [each for each in content(out, unit.unit) if each not in units]
        for unit in named:
            if unit.parent is not None and unit.parent not in units:
                raise DomainError(
                    "hold_inside",
                    f"{name(out, unit.unit)} is in {name(out, unit.parent)}, which would go on "
                    "with it: hold that one, or take this one out first.",
                )
    elif what.lot and not what.product:
        raise DomainError("product_missing", "A lot is held by product and lot: name the product.")
    elif what.pool >= 0:
        range_of(out, what)
    out.facts.append(
        f.HoldPlaced(
            out.known.next_hold,
            tuple(units),
            what.product if what.lot else "",
            what.lot,
            what.pool,
            what.first if what.pool >= 0 else 0,
            what.last if what.pool >= 0 else -1,
            what.reason,
            what.by,
        )
    )


def _release(out: Outcome, what: i.Release) -> None:
    if what.hold:
        if all(hold.hold != what.hold for hold in out.known.holds):
            raise DomainError(
                "hold_unknown",
                f"There is no open hold {what.hold}: see `caselink holds`.",
            )
        out.facts.append(f.HoldReleased(what.hold, (), what.reason, what.by))
        return
    named = _one_each(unit_of(out, text) for text in what.texts)
    if not named:
        raise DomainError("nothing_named", "Name the hold, or the codes of units.")
    free = {each for unit in named for each in content(out, unit.unit)}
    for hold in out.known.holds:
        if hold.units & free:
            some = tuple(sorted(hold.units & free))
            out.facts.append(f.HoldReleased(hold.hold, some, what.reason, what.by))
    for unit in named:
        wide = [hold.hold for hold in out.known.holds if _covers(out, hold, unit)]
        if wide:
            raise DomainError(
                "held_wide",
                f"{name(out, unit.unit)} is held with its lot or range by hold {wide[0]}: release "
                "that one.",
            )
    if not out.facts:
        raise DomainError("not_held", f"Nobody holds {name(out, named[0].unit)}.")


def _covers(out: Outcome, hold: KnownHold, unit: KnownUnit) -> bool:
    """Whether the hold of a lot or range holds this unit, by a code that was scanned."""
    if hold.lot:
        return (hold.product, hold.lot) == (unit.product, unit.lot)
    return any(
        code.unit is not None
        and code.unit.unit == unit.unit
        and code.key.pool == hold.pool
        and hold.first <= code.key.position <= hold.last
        for code in out.known.codes.values()
    )
