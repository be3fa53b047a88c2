"""Coming down gently: what makes a line stop by itself, until a person has looked.

A controlled stop pauses the work order and says why: the infeed stops, what is on the belt is
still judged. The line goes on when its cause is over, or seen by a person, and a person starts it.
"""

from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.inputs import GateReported, GateSaw
from agent.core.outcome import EVENT_ALARMS, Outcome

AGENT = "agent"
"""Who pauses a work order when the line comes down by itself."""

SERIES = "reject_series"
GONE = "item_gone"
BLIND = "gate_blind"
UNSEEN_IN_A_ROW = 3
"""Items that a gate's sensor misses one after the other until it is the sensor, not a hand."""

STOPS = frozenset({SERIES, "reject_full", "low_air"})
"""Alarms that stop the line. While one is open the line does not start."""


def rejected(out: Outcome, station: str, number: int, *, at_gate: bool = False) -> None:
    """One more reject at a station; too many in a row stop the line. Verdicts and gates are counted
    apart, as several items are between the two: `at_gate` are those that the gate took without a
    verdict or against it. What no reader can have answered for is not counted: a stop of the belt
    is on its way already."""
    limit = out.plan.limits.rejects_in_a_row
    if not limit or out.blind:
        return
    before = out.state.series.get(_row(station, at_gate=at_gate))
    count, first = (before.count + 1, before.first) if before else (1, number)
    out.facts.append(f.RejectSeries(_row(station, at_gate=at_gate), count, first))
    if count >= limit and out.state.status == "running":
        out.alarm(SERIES, 1, station, first, count=str(count))
        stop(out, SERIES)


def unseen(out: Outcome, station: str, number: int, *, due: bool) -> None:
    """Neither sensor behind the gate saw this one. A hand took it off, as a rule; several in a row
    (of those that were to pass, or `due` to go) tell that a sensor sees nothing any more."""
    row = _unseen(station, due=due)
    before = out.state.series.get(row)
    count, first = (before.count + 1, before.first) if before else (1, number)
    out.facts.append(f.RejectSeries(row, count, first))
    if count >= UNSEEN_IN_A_ROW:
        out.alarm(BLIND, 1, station, first, count=str(count))
    else:
        out.alarm(GONE, 2, station, number)


def seen(out: Outcome, what: GateReported) -> None:
    """The belt's sensor, or the chute's, saw one: it is not blind."""
    row = _unseen(what.station, due=what.saw is GateSaw.REJECTED)
    if what.saw in (GateSaw.PASSED, GateSaw.REJECTED) and row in out.state.series:
        out.facts.append(f.RejectSeries(row, 0, 0))


def _unseen(station: str, *, due: bool) -> str:
    return f"{station}/chute" if due else f"{station}/belt"


def passed(out: Outcome, station: str, *, at_gate: bool = False) -> None:
    """One passed: the series is over."""
    row = _row(station, at_gate=at_gate)
    if row in out.state.series:
        out.facts.append(f.RejectSeries(row, 0, 0))


def _row(station: str, *, at_gate: bool) -> str:
    return f"{station}/gate" if at_gate else station


def stop(out: Outcome, why: str) -> None:
    """Pause the work order, unless the line stands already."""
    order = out.state.order
    if order is not None and out.state.status == "running":
        out.facts.append(f.OrderPaused(order.number, AGENT, why))


def may_start(out: Outcome) -> None:
    """DomainError while the cause of a controlled stop stands."""
    for alarm in out.state.alarms.values():
        if alarm.key not in STOPS:
            continue
        if alarm.key in EVENT_ALARMS:
            raise DomainError(
                "acknowledge_first",
                f"Line {out.state.line} was stopped ({alarm.key}, station {alarm.station}): mend "
                "the cause, acknowledge the alarm, then start.",
            )
        raise DomainError(
            "stop_stands",
            f"Line {out.state.line} cannot start ({alarm.key}): mend that first; its alarm goes "
            "by itself.",
        )
