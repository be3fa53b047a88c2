"""Work orders, partial containers and alarms as people ask for them, and what they are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.plan import ReaderPlan
from agent.core.poolfile import Declared, rule_pool
from agent.core.poolrule import Rule
from agent.core.scheme import LevelSpec
from agent.services import pool_files
from tests.core.lines import CODER, LABEL, PACKER, VERIFY, Line, chain, order, scheme


def refused(line: Line, what: i.Input) -> str:
    """The reason why it is refused. Nothing may have happened."""
    said, state = len(line.said), repr(line.state)
    with pytest.raises(DomainError) as found:
        line.tell(what)
    assert (len(line.said), repr(line.state)) == (said, state)
    assert line.tell().facts == ()
    return found.value.reason


def test_an_order_is_created_started_paused_resumed_and_finished(tmp_path: Path) -> None:
    with Line(tmp_path) as line:
        line.tell(i.CreateOrder(line.order, "li"))
        assert (line.state.status, line.state.order) == ("idle", None)
        line.tell(i.StartOrder("WO-1", "li"))
        assert (line.state.status, line.state.order) == ("running", line.order)
        line.tell(i.PauseOrder("li", "lunch"))
        assert (line.state.status, line.state.order) == ("paused", line.order)
        line.tell(i.StartOrder("WO-1", "wang"))
        line.tell(i.FinishOrder("li"))
        assert (line.state.status, line.state.order) == ("idle", None)
        kinds = [type(fact).__name__ for group in line.said for fact in group.facts]
        assert kinds == [
            "OrderCreated",
            "OrderStarted",
            "OrderPaused",
            "OrderStarted",
            "OrderFinished",
        ]


def test_the_tally_starts_with_the_order_and_goes_on_after_a_pause(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.tell(i.PauseOrder("li"))
        line.tell(i.StartOrder("WO-1", "li"))
        assert line.state.tally.good == 1
        line.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2"), "li"))
        line.tell(i.StartOrder("WO-2", "li"))
        assert line.state.tally.good == 0


def test_what_cannot_be_started_paused_or_finished(tmp_path: Path) -> None:
    with Line(tmp_path) as line:
        assert refused(line, i.StartOrder("WO-9", "li")) == "order_unknown"
        assert refused(line, i.PauseOrder("li")) == "not_running"
        assert refused(line, i.FinishOrder("li")) == "no_order"
        for number in ("WO-1", "WO-2"):
            line.tell(i.CreateOrder(order(number), "li"))
        assert refused(line, i.CreateOrder(order("WO-1"), "li")) == "order_exists"
        line.tell(i.StartOrder("WO-1", "li"))
        assert refused(line, i.StartOrder("WO-2", "li")) == "already_running"
        assert refused(line, i.StartOrder("WO-1", "li")) == "already_running"
        line.tell(i.PauseOrder("li"))
        assert refused(line, i.PauseOrder("li")) == "not_running"
        assert refused(line, i.StartOrder("WO-2", "li")) == "other_order_paused"
        line.tell(i.FinishOrder("li"))
        assert refused(line, i.StartOrder("WO-1", "li")) == "order_finished"


# ------------------------------------------------------------------ the order must fit the line


def test_an_order_names_pools_that_can_serve_what_the_line_prints(tmp_path: Path) -> None:
    with Line(tmp_path) as line:
        other = line.add_pool(Declared("lemon", "bottle", ("body",), product="lemonade"), "L", 5)
        ready = line.add_pool(Declared("rolls", "bottle", ("body",), preprinted=True), "R", 5)
        rule = rule_pool(Declared("by-rule", "bottle", ("body",)), Rule.parse("RULE-"))
        keep = line.writer.run_inline(lambda conn: pool_files.keep(conn, rule, line.clock()))
        for number, reason in (
            (None, "order_pool_missing"),
            (99, "order_pool_missing"),
            (2, "order_pool_wrong"),  # case codes
            (ready, "order_pool_wrong"),  # they come printed
            (keep.pool, "order_pool_wrong"),  # nobody lists them: nothing to print from
            (other, "order_pool_product"),
        ):
            pools = {"case/case-outer": 2} | ({} if number is None else {"bottle/body": number})
            assert refused(line, i.CreateOrder(order(pools=pools), "li")) == reason


def test_a_scheme_has_every_level_of_the_line(tmp_path: Path) -> None:
    with Line(tmp_path) as line:
        boxes = scheme(case=LevelSpec("box", "case-outer", ("case-outer",), children=2))
        assert refused(line, i.CreateOrder(order(scheme=boxes), "li")) == "scheme_mismatch"


def test_the_primary_code_of_every_level_is_read_before_its_gate(tmp_path: Path) -> None:
    """Without it no bottle could pass and no case could be closed: say so before the shift."""
    wrong_label = replace(LABEL, readers=(ReaderPlan("eye", ("case-inner",)),))
    with Line(tmp_path, chain(CODER, VERIFY, PACKER, wrong_label)) as line:
        assert refused(line, i.CreateOrder(line.order, "li")) == "scheme_mismatch"


def test_the_primary_code_of_a_bottle_too(tmp_path: Path) -> None:
    blind = replace(VERIFY, readers=(ReaderPlan("cam", ("cap",)),))
    with Line(tmp_path, chain(CODER, blind)) as line:
        assert refused(line, i.CreateOrder(line.order, "li")) == "scheme_mismatch"


# ------------------------------------------------------------- items carry the order they came with


def test_an_item_keeps_the_order_under_which_it_came(tmp_path: Path) -> None:
    """A change of order happens at an item boundary, never by the clock."""
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2", lot="B"), "li"))
        line.tell(i.StartOrder("WO-2", "li"))
        line.code_bottle(1, 1)
        line.see_bottle(0, "B-0000")
        line.see_bottle(1, "B-0001")
        assert {each.item: each.order for each in line.facts(f.ItemPassed)} == {
            0: "WO-1",
            1: "WO-2",
        }
        assert (line.unit(1).lot, line.unit(2).lot) == ("A", "B")


# ------------------------------------------------------------------------------ partial containers


def test_a_partial_container_needs_a_packer_and_a_reason(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        assert refused(line, i.ClosePartial("verify", "end of lot", "li")) == "not_a_packer"
        assert refused(line, i.ClosePartial("packer", "", "li")) == "reason_missing"
        line.tell(i.ClosePartial("packer", "end of lot", "li"))
        assert line.facts(f.PartialAllowed) == [f.PartialAllowed("packer", "end of lot", "li")]


# ------------------------------------------------------------------------------------------ alarms


def test_a_condition_is_raised_once_and_cleared_when_it_is_over(tmp_path: Path) -> None:
    lost = i.ConditionChanged(
        "L1/cam/device_lost", True, 1, "device_lost", "cam", (("device", "cam"),)
    )
    back = replace(lost, active=False)
    with Line(tmp_path) as line:
        assert len(line.tell(lost, lost).facts) == 1
        assert line.tell(back).facts == (f.AlarmCleared("L1/cam/device_lost"),)
        assert line.tell(back).facts == ()


def test_acknowledging_ends_an_event_and_quiets_a_condition(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.tell(i.ConditionChanged("cam", True, 1, "device_lost", "cam"))
        line.tell(i.AcknowledgeAlarm("cam", "li"))
        assert line.state.alarms["cam"].acknowledged, "the camera is still lost"
        assert line.tell(i.AcknowledgeAlarm("cam", "wang")).facts == ()

        line.tell(i.GateReported("verify", 5, i.GateSaw.FAILED))
        line.tell(i.AcknowledgeAlarm("L1/verify/reject_failed", "li"))
        assert "L1/verify/reject_failed" not in line.state.alarms, "it happened, and it is seen"
        again = i.AcknowledgeAlarm("L1/verify/reject_failed", "li")
        assert refused(line, again) == "alarm_gone"
