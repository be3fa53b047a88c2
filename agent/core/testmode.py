"""Test mode 试机: a line without a work order runs to be tried, and its codes never live.

It is a matter of the item, as an order is: an item that came to its first station in test mode is a
test until it has left, whatever the line does by then. It is read and judged as any other, becomes
no unit and is rejected at its gate.
"""

from agent.core import coding
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from agent.core.errors import DomainError
from agent.core.evolve import has_gate, open_container
from agent.core.life import CodeState
from agent.core.outcome import Outcome
from agent.core.plan import Station
from agent.core.pools import runs
from agent.core.state import Container, Item, LineState, Window
from agent.core.verdict import Judgement, Verdict

ALARM = "test_mode"
"""The alarm, and why codes become void: a key of the message catalogue."""


def begin(out: Outcome, what: i.BeginTestMode) -> None:
    """Whether the order fits the line has been looked at (core.orders)."""
    for station in out.plan.stations:
        if station.device:
            # Printed before, and read by nobody: those are not of the test.
            coding.withdraw(out, station, ALARM)
    out.facts.append(f.TestModeBegan(what.order, what.by))
    out.alarm(ALARM, 2, "", by=what.by, order=what.order)


def may_begin(state: LineState) -> None:
    """DomainError unless the line is free for a test."""
    if state.trial is not None:
        raise DomainError(
            "test_mode_on", f"Line {state.line} is in test mode already: end that first."
        )
    if state.order is not None:
        raise DomainError(
            "test_mode_order",
            f"Line {state.line} has work order {state.order.number}: finish it, then test.",
        )


def end_asked(out: Outcome, what: i.EndTestMode) -> None:
    if out.state.trial is None:
        raise DomainError("no_test_mode", f"Line {out.state.line} is not in test mode.")
    end(out, what.by, "person")


def end(out: Outcome, by: str, why: str) -> None:
    """What comes from now on is no test, if it was. What was printed and not read yet is void; what
    the coder still has in hand was not printed in the test."""
    trial = out.state.trial
    if trial is None:
        return
    for station in out.plan.stations:
        window = out.state.windows.get(station.id, Window())
        if station.device:
            printed = (at for at, state in window.codes.items() if state == CodeState.PRINTED)
            for first, many in runs(printed):
                out.facts.append(
                    f.CodesMoved(
                        window.pool,
                        window.column,
                        first,
                        many,
                        CodeState.VOID,
                        station.device,
                        window.session,
                        why=ALARM,
                        by=by,
                    )
                )
    out.facts.append(f.TestModeEnded(by, why, tuple(sorted(trial.seen.items()))))
    out.clear(ALARM, "")


def item_tested(
    out: Outcome, station: Station, item: Item, verdict: Verdict, judgement: Judgement
) -> None:
    """The verdict on an item of a test: it leaves the line, whatever it is."""
    codes = {key for key, _, _ in item.reads.values()}
    codes |= {code.key for code in judgement.reads.values()}
    in_step = not any(isinstance(fact, f.PrintPairingLost) for fact in out.facts)
    if item.expected is not None and in_step:
        codes.add(item.expected)
    out.facts.append(
        f.ItemTested(station.id, item.number, verdict, item.order, tuple(sorted(codes)))
    )
    out.effects.append(SetSlot(station.id, item.number, passed=False))


def makes_none(out: Outcome, station: Station, number: int) -> bool:
    """Whether a stroke makes no container because of a test. One that was formed before goes on."""
    if out.state.trial is None:
        return False
    container = open_container(out.plan, out.state, station, number)
    return container is None or container.unit is None


def container_seen(out: Outcome, station: Station, container: Container) -> bool:
    """A camera sees a container that was not formed before the test: none is, it leaves the line.
    Gives whether that is so."""
    if out.state.trial is None or container.unit is not None:
        return False
    out.facts.append(
        f.ContainerRefused(station.id, container.number, Verdict.TEST, container.order, None, ())
    )
    if has_gate(station):
        out.effects.append(SetSlot(station.id, container.number, passed=False))
    return True
