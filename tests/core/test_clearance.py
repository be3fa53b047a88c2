"""Line clearance: what must be gone, what must balance, and who signs."""

from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.facts import CodeKey
from agent.core.life import CodeState
from agent.services import clearance
from agent.store.balance import balance
from agent.store.clearance import clearances
from agent.store.units import code_state
from agent.store.verify import verify
from tests.core.lines import (
    BOTTLES,
    CODER,
    LABEL,
    PACKER,
    VERIFY,
    WHOLE_PATHS,
    Line,
    chain,
    filled,
    labelled,
    order,
    shown,
)


def clear(line: Line, reason: str = "", *rolls: str) -> tuple[f.Fact, ...]:
    _, what = clearance.asked(line.conn, "WO-1", "li", reason, rolls)
    return line.tell(what).facts


def refused(line: Line, *rolls: str) -> str:
    with pytest.raises(DomainError) as said:
        clear(line, "", *rolls)
    assert said.value.reason == "not_clear"
    return str(said.value)


def case(line: Line) -> None:
    filled(line, 0, 1)
    shown(line, "B-0000", "B-0001")
    labelled(line, "C-0000")


def test_a_clean_line_is_clear_and_codes_in_doubt_end(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        case(line)
        with pytest.raises(DomainError) as said:
            clear(line)
        assert said.value.reason == "order_runs"
        line.tell(i.FinishOrder("li"))
        *moved, done = clear(line)
        assert isinstance(done, f.LineCleared)
        assert (done.balanced, done.missing, done.reason) == (True, (), "")
        assert {type(fact) for fact in moved} == {f.CodesMoved}
        assert done.voided == sum(fact.count for fact in moved if isinstance(fact, f.CodesMoved))
        assert done.voided > 0, "the coder had codes in hand"
        assert not line.state.window("coder").codes
        assert balance(line.conn, BOTTLES, 0).in_process == 0
        (row,) = clearances(line.conn)
        assert (row.order, row.balanced, row.by) == ("WO-1", True, "li")
        assert verify(line.conn).problems == []


def test_what_is_left_is_named_and_signed_for(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        case(line)
        line.good_bottle(2)  # passed, and waits before the packer
        line.code_bottle(3, 3)  # printed, and never seen by the camera
        line.tell(i.FinishOrder("li"))
        told = refused(line)
        for part in ("1 items_on_belt", "1 on_paths", "1 loose_bottle", "1 printed_unseen"):
            assert part in told
        done = clear(line, "one fell, one was kept")[-1]
        assert isinstance(done, f.LineCleared)
        assert not done.balanced
        assert dict(done.missing)["loose_bottle"] == 1
        assert done.reason == "one fell, one was kept"
        assert code_state(line.conn, CodeKey(BOTTLES, 3, 0))[0] is CodeState.VOID
        assert verify(line.conn).problems == []


def test_an_open_case_is_not_clear(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0)
        line.tell(i.FinishOrder("li"))
        assert "1 open_containers" in refused(line)


def test_codes_of_the_next_order_stay(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        case(line)
        line.tell(i.CreateOrder(order("WO-2"), "li"), i.ChangeOrder("WO-2", "li"))
        window = dict(line.state.window("coder").codes)
        assert window
        (done,) = clear(line)
        assert isinstance(done, f.LineCleared)
        assert done.voided == 0
        assert line.state.window("coder").codes == window


def test_a_roll_of_preprinted_codes_is_closed_within_a_limit(tmp_path: Path) -> None:
    plan = chain(VERIFY, PACKER, LABEL, paths=WHOLE_PATHS[1:])
    made = order(pools={"case/case-outer": 2})
    with Line(tmp_path, plan, preprinted=True, made=made, bottles=6).start() as line:
        case(line)
        line.tell(i.FinishOrder("li"))
        assert "4 unseen bottles" in refused(line, "bottles")
        with pytest.raises(DomainError) as said:
            clear(line, "", "bottles/2")
        assert said.value.reason == "roll_unknown"
        closed, done = clear(line, "the roll tore", "bottles")
        assert closed == f.RollClosed(BOTTLES, "bottles", 0, 6, 4, "li")
        assert isinstance(done, f.LineCleared)
        found = balance(line.conn, BOTTLES, 0)
        assert (found.unseen, found.left, found.good, found.difference) == (4, 0, 2, 0)
        with pytest.raises(DomainError) as said:
            clear(line, "again", "bottles")
        assert said.value.reason == "roll_unknown"


def test_another_product_waits_for_the_clearance(tmp_path: Path) -> None:
    plan = chain(CODER, VERIFY, PACKER, LABEL, paths=WHOLE_PATHS)
    plan.clearance = True
    with Line(tmp_path, plan).start() as line:
        case(line)
        line.tell(i.CreateOrder(order("WO-2", product="tea"), "li"))
        line.tell(i.CreateOrder(order("WO-3", lot="B"), "li"))
        line.tell(i.CreateOrder(order("WO-4", product="tea"), "li"))

        def refusal(what: i.Input) -> str:
            with pytest.raises(DomainError) as said:
                line.tell(what)
            return said.value.reason

        assert refusal(i.ChangeOrder("WO-2", "li")) == "clearance_needed"
        line.tell(i.ChangeOrder("WO-3", "li"))  # another lot of the same product may follow
        line.tell(i.FinishOrder("li"))
        assert refusal(i.StartOrder("WO-2", "li")) == "clearance_needed"
        clear(line, "signed")
        assert refusal(i.StartOrder("WO-2", "li")) == "clearance_needed", "the other one is not"
        _, what = clearance.asked(line.conn, "WO-3", "li", "signed", ())
        line.tell(what)
        line.tell(i.StartOrder("WO-2", "li"))
        assert line.state.uncleared == []
        line.tell(i.FinishOrder("li"))
        line.tell(i.StartOrder("WO-4", "li"))  # the same product again
    plan.clearance = False
    with Line(tmp_path, plan, fresh=False) as line:
        assert line.state.uncleared == ["WO-2"]


def test_what_is_signed_for_as_missing_is_in_doubt(tmp_path: Path) -> None:
    """The last bottle of an order fell behind its gate: nothing comes that would overtake it."""
    with Line(tmp_path).start() as line:
        case(line)
        line.code_bottle(2, 2)
        (passed,) = line.facts(f.ItemPassed, line.see_bottle(2, "B-0002"))
        line.tell(i.FinishOrder("li"))
        assert "1 on_paths" in refused(line)
        assert not line.unit(passed.unit).doubtful
        clear(line, "it fell")
        assert line.unit(passed.unit).doubtful
        (told,) = line.facts(f.UnitsDoubted)
        assert (told.units, told.why) == ((passed.unit,), "clearance")


def test_what_the_next_order_has_on_the_belt_is_in_no_doubt_for_it(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        case(line)
        line.tell(i.CreateOrder(order("WO-2"), "li"), i.ChangeOrder("WO-2", "li"))
        line.code_bottle(2, 2)
        line.see_bottle(2, "B-0002")
        clear(line, "nothing is missing")
        assert not line.facts(f.UnitsDoubted)
