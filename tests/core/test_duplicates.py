"""A code that is seen twice: a bottle that comes back, a copy, a neighbour in view."""

from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.inputs import GateSaw
from agent.core.life import UnitState
from tests.core.lines import Line, filled, labelled, read, shown
from tests.core.test_doubt import by_order, case, cases, doubtful


def test_a_rejected_bottle_that_is_fed_again_is_the_same_unit(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.see_bottle(1, "B-0001", gate=GateSaw.REJECTED)
        (passed,) = line.facts(f.ItemPassed)
        assert line.unit(passed.unit).state is UnitState.REJECTED
        done = line.see_bottle(2, "B-0001")
        (again,) = line.facts(f.ItemPassed, done)
        assert (again.unit, again.commissioned, again.codes) == (passed.unit, False, ())
        assert line.unit(passed.unit).state is UnitState.VERIFIED
        assert line.alarms == {}


def test_a_copy_of_a_bottle_that_is_on_the_line_is_none(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.see_bottle(1, "B-0001")
        done = line.see_bottle(2, "B-0001", gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ItemRejected, done)] == ["duplicate"]
        assert "duplicate_code" in line.alarms


def test_a_bottle_that_was_missed_and_comes_back_was_in_no_lane(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0)
        line.see_bottle(20, "B-0020")  # a hand takes it off
        cases(line, 1, 2)
        assert doubtful(line) == [False, True, True]
        assert "order_doubtful" in line.alarms
        line.see_bottle(21, "B-0020")
        assert doubtful(line) == [False, False, False]
        assert "order_doubtful" not in line.alarms


def test_a_bottle_of_a_case_that_is_seen_at_the_verifier_puts_its_case_in_doubt(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0)
        line.see_bottle(9, "B-0001", gate=GateSaw.REJECTED)
        assert doubtful(line) == [True]
        case(line, 1, 2, 3)
        assert doubtful(line) == [True, False]


def test_two_codes_in_view_say_nothing_against_the_neighbour(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.see_bottle(1, "B-0001")
        done = line.see_bottle(2, "B-0002", "B-0001", gate=GateSaw.REJECTED)
        assert [fact.verdict for fact in line.facts(f.ItemRejected, done)] == ["duplicate"]
        assert line.facts(f.UnitsDoubted) == []
        (passed,) = line.facts(f.ItemPassed)
        assert not line.unit(passed.unit).doubtful


def test_a_neighbour_that_was_read_is_cleared_when_the_other_shows_its_own_code(
    tmp_path: Path,
) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.code_bottle(1, 1)
        done = line.see_bottle(0, "B-0000")
        (unit,) = [fact.unit for fact in line.facts(f.ItemPassed, done)]
        line.see_bottle(1, "B-0000", gate=GateSaw.REJECTED)  # the camera saw the one before it
        assert line.unit(unit).doubtful
        line.see_bottle(7, "B-0001")  # fed again behind the coder
        assert not line.unit(unit).doubtful


def refused(line: Line, item: int, *texts: str) -> str:
    """The verdict that an item with these texts gets ("" = it passed). The gate waits."""
    done = line.see_bottle(item, *texts, gate=None)
    return "".join(fact.verdict for fact in line.facts(f.ItemRejected, done))


@pytest.mark.parametrize("off", [False, True], ids=["stands there", "taken after the trigger"])
@pytest.mark.parametrize("rejected", [False, True], ids=["passed", "rejected"])
def test_the_code_of_one_that_the_gate_takes_passes_on_no_neighbour(
    tmp_path: Path, rejected: bool, off: bool
) -> None:
    with by_order(tmp_path) as line:
        fault = ("no-such-code",) if rejected else ()
        assert refused(line, 1, "B-0001", *fault) == ("unknown" if rejected else "")
        line.tell(i.ItemTriggered("verify", 2))
        if off:
            line.tell(i.GateReported("verify", 1, GateSaw.REJECTED))
        done = line.tell(read("B-0001", item=2))  # its own code is turned away
        assert [fact.verdict for fact in line.facts(f.ItemRejected, done)] == ["duplicate"]
        if not off:
            line.tell(i.GateReported("verify", 1, GateSaw.REJECTED))
        line.tell(i.GateReported("verify", 2, GateSaw.REJECTED))
        assert refused(line, 3, "B-0001") == ""  # fed again


def test_two_codes_on_a_rejected_item_say_nothing_against_the_next_one(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        assert refused(line, 1, "B-0002", "B-0001") == "mismatch"
        assert refused(line, 2, "B-0002") == ""


def test_a_code_that_was_not_printed_on_the_one_before_is_the_next_ones(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.code_bottle(1, 1)
        assert refused(line, 0, "B-0001") == "mismatch"
        assert refused(line, 1, "B-0001") == ""


def test_what_is_read_in_its_case_is_there(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        units = [line.good_bottle(n) for n in (0, 1)]
        line.code_bottle(2, 2)
        line.tell(i.ItemTriggered("verify", 2), read("B-0000", item=2))
        assert line.unit(units[0]).doubtful
        line.tell(i.Stroked("packer", 1, (1, 1)))
        shown(line, "B-0000", "B-0001")
        assert not line.unit(units[0]).doubtful
        labelled(line, "C-0000")


def test_a_bottle_that_was_taken_out_of_its_case_comes_back_as_the_same_unit(
    tmp_path: Path,
) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        (packed,) = line.facts(f.Packed)
        line.tell(i.Unpack(text="C-0000", children=("B-0000",), reason="torn", by="li"))
        line.tell(i.ItemTriggered("coder", 9))
        (passed,) = line.facts(f.ItemPassed, line.see_bottle(9, "B-0000"))
        assert (passed.unit, passed.commissioned) == (packed.children[0], False)
        assert line.unit(passed.unit).state is UnitState.VERIFIED
        assert line.unit(passed.unit).parent is None
