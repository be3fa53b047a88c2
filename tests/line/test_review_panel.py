"""The panel's snapshot is built on the event loop from a copy: the state changes in the store's
thread meanwhile, and an agent whose panel tripped over that would stop the line."""

from dataclasses import fields

from agent.core.state import LineState, OpenAlarm, Tally
from agent.line.panel import excerpt


def test_an_excerpt_does_not_change_with_the_state() -> None:
    state = LineState("L1", status="running", finished=["WO-0"])
    state.lanes = {"packer": {0: [1, None]}}
    state.alarms = {"a": OpenAlarm(1, "pool_empty", "coder", None, {}, 0)}
    state.tally = Tally(good=2, reasons={"no_read": 1}, closed={"case": 1})
    copy = excerpt(state)
    before = {field.name: repr(getattr(copy, field.name)) for field in fields(copy)}
    state.lanes["packer"][0].append(3)
    state.lanes["packer"][1] = [4]
    state.alarms["a"].acknowledged = True
    state.alarms["b"] = OpenAlarm(2, "pool_low", "coder", None, {}, 0)
    state.tally.good += 1
    state.tally.reasons["late"] = 1
    state.tally.closed["case"] += 1
    state.finished.append("WO-1")
    state.orders["WO-2"] = None  # type: ignore[assignment]
    assert {field.name: repr(getattr(copy, field.name)) for field in fields(copy)} == before
    assert (copy.line, copy.status, copy.tally.good) == ("L1", "running", 2)
    assert copy.lanes == {"packer": {0: [1, None]}}
