"""Bypass: the line runs without coding, because a leader says so, and until their time is over.

Whatever passes is counted unseen and never claimed: an unseen item is no unit, a container that
holds one is incomplete. The time is measured by the monotonic clock; a `Tick` ends it.
"""

from agent.core import coding, pack
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from agent.core.errors import DomainError
from agent.core.evolve import has_gate
from agent.core.outcome import Outcome
from agent.core.plan import Station
from agent.core.state import Bypass, Container, LineState

ALARM = "bypass"


def bypass_input(out: Outcome, what: i.BeginBypass | i.EndBypass | i.Tick) -> None:
    now = out.state.bypass
    match what:
        case i.BeginBypass():
            _begin(out, what)
        case i.EndBypass():
            if now is None:
                raise DomainError("no_bypass", f"Line {out.state.line} is not in bypass.")
            end(out, what.by, "person")
        case i.Tick():
            if now is None:
                return
            passed = out.known.now.mono_ms - now.mono_ms
            if passed < 0:  # the machine was started anew: how long ago, nobody knows
                end(out, "", "restart")
            elif passed >= now.seconds * 1000:
                end(out, "", "time")


def _begin(out: Outcome, what: i.BeginBypass) -> None:
    state, longest = out.state, out.plan.limits.bypass_seconds
    if state.order is None:
        raise DomainError(
            "no_order", f"Line {state.line} has no work order: start one, then bypass."
        )
    if state.bypass is not None:
        raise DomainError("bypass_on", f"Line {state.line} is in bypass already: end that first.")
    if not what.reason:
        raise DomainError("reason_missing", "A bypass needs a reason: say why.")
    if not 0 < what.seconds <= longest:
        raise DomainError(
            "bypass_too_long",
            f"A bypass of line {state.line} lasts at most {longest // 60} minutes "
            "(bypass_minutes in the site file): ask for less.",
        )
    now = out.known.now.mono_ms
    out.facts.append(f.BypassBegan(what.by, what.reason, what.seconds, now))
    out.alarm(ALARM, 2, "", by=what.by, reason=what.reason)


def end(out: Outcome, by: str, why: str) -> None:
    """The line codes again, if it did not."""
    now = out.state.bypass
    if now is not None:
        for station in out.plan.stations:
            if station.kind == "print":
                # What the coder printed meanwhile is on bottles that nobody has read.
                coding.withdraw(out, station, "bypass")
        out.facts.append(f.BypassEnded(by, why, tuple(sorted(now.unseen.items()))))
        out.clear(ALARM, "")


def left_seconds(bypass: Bypass, mono_ms: int) -> int:
    """How long it still lasts."""
    return max(0, bypass.seconds - (mono_ms - bypass.mono_ms) // 1000)


def excused(state: LineState, station: str, container: Container | None) -> int:
    """How many unknown children a container of this packer may have beyond its scheme's: those that
    passed unseen on their way here."""
    before = 0 if container is None else container.excused
    return before + state.unseen.get(station, 0)


def item_passes(out: Outcome, station: Station, number: int, order: str) -> None:
    """An item triggered a verifier in bypass."""
    item = out.state.item(out.plan.zone[station.id], number)
    # At the zone's first station its number was given anew.
    unit = None if item is None or out.plan.first_of_zone(station.id) else item.unit
    out.facts.append(f.ItemUnseen(station.id, number, order, unit))
    if unit is not None:
        out.facts.append(f.UnitsDoubted((unit,), "bypass"))
    out.effects.append(SetSlot(station.id, number, passed=True))


def container_passes(out: Outcome, station: Station, number: int) -> None:
    """A container triggered a packer's picture or its label's camera in bypass."""
    container = out.state.container(out.plan.zone[station.id], number)
    unit = None if container is None else container.unit
    children = 0
    if container is not None and station.kind == "pack" and container.moved:
        unit = _pack_unseen(out, station, container)
        children = min(container.blank, out.state.unseen.get(station.id, 0))
    out.facts.append(f.ContainerUnseen(station.id, number, unit, children))
    if container is not None and station.kind == "label":
        if container.label is not None:
            coding.give_up(out, station, container.label)
        if unit is not None and not container.closed:
            worth = pack.integrity(
                container.evidence, container.unknown, f.OwnCode.UNREAD, doubtful=True
            )
            out.facts.append(f.ContainerClosed(unit, container.count, container.unknown, worth))
    if has_gate(station):
        out.effects.append(SetSlot(station.id, number, passed=True))


def _pack_unseen(out: Outcome, station: Station, container: Container) -> int | None:
    """Children were moved into the container and no picture of them is looked at."""
    order = out.state.orders.get(container.order)
    if order is None:
        return container.unit
    unit = container.unit
    if unit is None:
        unit = out.known.next_unit
        spec = order.scheme.level(station.level)
        out.facts.append(
            f.ContainerFormed(
                unit, spec.name, order.number, station.id, container.number, spec.children
            )
        )
    nobody = (None,) * container.moved
    out.facts.append(f.Packed(unit, nobody, (f.LinkEvidence.ORDER,), container.count))
    return unit
