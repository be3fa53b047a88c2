"""Test mode: everything is judged and rejected, and nothing of it ever lives."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import PrintLabel, SetSlot
from agent.core.errors import DomainError
from agent.core.inputs import GateSaw
from agent.core.life import CodeState
from agent.core.plan import Limits
from agent.store.balance import balances
from agent.store.verify import verify
from tests.core.lines import (
    BOTTLES,
    CODER,
    LABEL,
    PACKER,
    VERIFY,
    WHOLE,
    WHOLE_PATHS,
    Line,
    chain,
    labelled,
    order,
    read,
    shown,
)

BEGIN = i.BeginTestMode("WO-1", "wang")
END = i.EndTestMode("li")
SEQUENCE = replace(PACKER, mode="sequence", readers=(), gate=False)


def created(line: Line) -> Line:
    """The PLC is there and the order created, not started."""
    line.tell(i.RunChanged(1, "first_start"), i.CreateOrder(line.order, "li"))
    return line


def tried(line: Line) -> Line:
    """In test mode, the coder filled."""
    created(line).tell(BEGIN)
    if "coder" in line.plan.by_id:
        line.tell(i.PrinterConnected("coder", cleared=True), i.RefillWanted("coder", 4))
    return line


def sound(line: Line) -> None:
    """Tables are what the journal says, and every code is accounted for."""
    assert verify(line.conn).problems == []
    assert all(found.difference == 0 for _, found in balances(line.conn))


def state(line: Line, *numbers: int) -> list[CodeState]:
    return [line.code(f"B-{n:04d}").state for n in numbers]


def test_a_printed_and_read_item_is_rejected_and_its_code_is_void(tmp_path: Path) -> None:
    with tried(Line(tmp_path)) as line:
        for n in (0, 1):
            line.code_bottle(n, n)
            line.see_bottle(n, f"B-{n:04d}", gate=GateSaw.REJECTED)
        line.code_bottle(2, 2)
        line.see_bottle(2, gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ItemTested)] == ["pass", "pass", "no_read"]
        assert [slot.passed for slot in line.effects(SetSlot)] == [False] * 3
        assert line.facts(f.ItemPassed) == line.facts(f.ItemRejected) == []
        assert line.state.trial is not None
        assert line.state.trial.seen == {"pass": 2, "no_read": 1}
        assert line.state.count("verify").rejected == 3
        # The unread one was printed for that item.
        assert state(line, 0, 1, 2) == [CodeState.VOID] * 3
        assert line.state.tally.rejected == line.state.tally.good == 0
        assert set(line.alarms) == {"test_mode"}
        sound(line)


def test_its_end_voids_what_nobody_read_and_keeps_what_is_in_the_coder(tmp_path: Path) -> None:
    with tried(Line(tmp_path)) as line:
        line.code_bottle(0, 0)  # printed, and taken off the belt by a hand
        line.tell(END)
        (ended,) = line.facts(f.TestModeEnded)
        assert (ended.by, ended.why, ended.seen) == ("li", "person", ())
        (moved,) = [m for m in line.facts(f.CodesMoved) if m.to == CodeState.VOID]
        assert (moved.first, moved.count, moved.why, moved.by) == (0, 1, "test_mode", "li")
        assert state(line, 0) == [CodeState.VOID]
        assert line.state.trial is None
        assert line.alarms == {}
        line.tell(i.StartOrder("WO-1", "li"))
        line.code_bottle(1, 1)
        assert line.facts(f.ItemPassed, line.see_bottle(1, "B-0001"))
        sound(line)


def test_an_order_ends_it_and_what_is_on_the_belt_stays_a_test(tmp_path: Path) -> None:
    plan = chain(VERIFY, replace(VERIFY, id="second", index=4))
    with tried(Line(tmp_path, plan, preprinted=True)) as line:
        line.tell(i.ItemTriggered("verify", 1))
        line.tell(i.StartOrder("WO-1", "li"))
        assert [e.why for e in line.facts(f.TestModeEnded)] == ["order"]
        line.tell(read("B-0001", item=1))
        assert [fact.verdict for fact in line.facts(f.ItemTested)] == ["pass"]
        # The gate fails: the next one takes it, whatever it shows there.
        line.tell(i.GateReported("verify", 1, GateSaw.PASSED), i.ItemTriggered("second", 1))
        assert "reject_failed" in line.alarms
        line.tell(read("B-0001", item=1, station="second"))
        assert line.facts(f.ItemPassed) == []
        assert [slot.passed for slot in line.effects(SetSlot)] == [False, False]
        # The same bottle comes back in the order: its code lives only now.
        assert line.facts(f.ItemPassed, line.see_bottle(2, "B-0001"))
        sound(line)


def test_an_item_of_the_order_before_stays_one_of_the_order(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2"), "li"))
        line.tell(i.BeginTestMode("WO-2", "wang"))
        (passed,) = line.facts(f.ItemPassed, line.see_bottle(0, "B-0000"))
        assert passed.order == "WO-1"
        assert state(line, 0) == [CodeState.ATTACHED]
        sound(line)


def test_codes_that_come_printed_stay_as_they_were(tmp_path: Path) -> None:
    with tried(Line(tmp_path, chain(VERIFY), preprinted=True)) as line:
        line.see_bottle(1, "B-0001", gate=GateSaw.REJECTED)
        assert state(line, 1) == [CodeState.ISSUED]
        line.tell(i.StartOrder("WO-1", "li"))
        assert line.facts(f.ItemPassed, line.see_bottle(2, "B-0001"))
        sound(line)


def test_a_code_of_another_pool_is_judged_as_usual(tmp_path: Path) -> None:
    with tried(Line(tmp_path, chain(VERIFY), preprinted=True)) as line:
        line.see_bottle(1, "X-1", gate=GateSaw.REJECTED)
        line.see_bottle(2, "B-0001", "B-0002", gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ItemTested)] == ["unknown", "mismatch"]


def test_no_container_is_formed_or_labelled(tmp_path: Path) -> None:
    with tried(Line(tmp_path, chain(*WHOLE, paths=WHOLE_PATHS))) as line:
        line.tell(i.Stroked("packer", 1, (1, 1)))
        shown(line, "B-0000", "B-0001", gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ContainerRefused)] == ["test"]
        assert line.facts(f.ContainerFormed) == line.effects(PrintLabel) == []
        assert [slot.passed for slot in line.effects(SetSlot)] == [False]
        assert "container_refused" not in line.alarms
        sound(line)


def test_a_packer_by_order_makes_none_of_what_was_left_in_its_lanes(tmp_path: Path) -> None:
    plan = chain(CODER, VERIFY, SEQUENCE, LABEL, paths=("single_file", "single_file", "captive"))
    with Line(tmp_path, plan).start() as line:
        units = [line.good_bottle(0), line.good_bottle(1)]
        line.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2"), "li"))
        line.tell(i.BeginTestMode("WO-2", "wang"), i.Stroked("packer", 1, (1, 1)))
        labelled(line, gate=GateSaw.REJECTED)
        assert line.facts(f.ContainerFormed) == line.effects(PrintLabel) == []
        assert all(line.unit(unit).doubtful and line.unit(unit).parent is None for unit in units)
        assert [fact.verdict for fact in line.facts(f.ContainerRefused)] == ["test"]
        sound(line)


def test_a_long_test_voids_its_unread_codes_as_it_goes(tmp_path: Path) -> None:
    with tried(Line(tmp_path, bottles=300)) as line:
        for n in range(270):
            # Read by nobody, and taken off the belt by hands.
            line.tell(i.ItemTriggered("coder", n), i.PrintReported("coder", n, 4))
            line.tell(i.RefillWanted("coder", 4))
        assert CodeState.SUSPECT not in state(line, *range(270))
        assert state(line, 0) == [CodeState.VOID]
        line.tell(END)
        assert set(state(line, *range(270))) == {CodeState.VOID}
        sound(line)


def test_rejects_of_a_test_stop_no_line_and_a_full_table_ends_it(tmp_path: Path) -> None:
    plan = replace(chain(VERIFY), limits=Limits(rejects_in_a_row=2))
    with tried(Line(tmp_path, plan, preprinted=True)) as line:
        for n in range(5):
            line.see_bottle(n, f"B-{n:04d}", gate=GateSaw.REJECTED)
        assert line.state.series == {}
        line.tell(i.ConditionChanged("L1/plc/reject_full", True, 1, "reject_full"))
        assert [e.why for e in line.facts(f.TestModeEnded)] == ["reject_full"]
        with pytest.raises(DomainError, match="reject_full"):
            line.tell(BEGIN)


def test_it_goes_on_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    with tried(Line(tmp_path)) as line:
        line.code_bottle(0, 0)
        line.see_bottle(0, "B-0000", gate=GateSaw.REJECTED)
        before = line.state.trial
    with Line(tmp_path, fresh=False) as line:
        assert line.state.trial == before
        line.tell(i.RunChanged(1, "agent_restart"))
        line.see_bottle(9, "B-0001", gate=GateSaw.REJECTED)
        assert line.facts(f.ItemPassed) == []
        assert len(line.facts(f.ItemTested)) == 1
        sound(line)


def test_a_live_unit_in_a_test_is_doubtful(tmp_path: Path) -> None:
    with Line(tmp_path, chain(VERIFY), preprinted=True).start() as line:
        (passed,) = line.facts(f.ItemPassed, line.see_bottle(1, "B-0001"))
        line.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2"), "li"))
        line.tell(i.BeginTestMode("WO-2", "wang"))
        line.see_bottle(2, "B-0001", gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ItemTested)] == ["duplicate"]
        assert line.unit(passed.unit).doubtful
        assert line.code("B-0001").state is CodeState.ATTACHED
        sound(line)


def test_what_is_refused(tmp_path: Path) -> None:
    def reason(line: Line, what: i.Input) -> str:
        with pytest.raises(DomainError) as refused:
            line.tell(what)
        return refused.value.reason

    with created(Line(tmp_path)) as line:
        assert reason(line, END) == "no_test_mode"
        assert reason(line, i.BeginTestMode("WO-9", "wang")) == "order_unknown"
        line.tell(BEGIN)
        assert reason(line, BEGIN) == "test_mode_on"
        assert reason(line, i.BeginBypass("wang", "why", 60)) == "no_order"
        line.tell(i.StartOrder("WO-1", "li"))
        assert reason(line, BEGIN) == "test_mode_order"
        line.tell(i.FinishOrder("li"))
        assert reason(line, BEGIN) == "order_finished"
        assert line.pool(BOTTLES).next_position == 0
