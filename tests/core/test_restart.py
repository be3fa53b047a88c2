"""The belt stood and starts: what is on the way may have lost its place, what stands in a lane or
in the packer has none that it could lose."""

from pathlib import Path

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from tests.core.lines import LABEL, VERIFY, Line, chain, labelled, read
from tests.core.test_containers import record
from tests.core.test_doubt import SEQUENCE, by_order, case, cases

RESTART = i.PathDisturbed("restart")
PLAIN = chain(VERIFY, SEQUENCE, LABEL, paths=("single_file", "captive"))


def disturbed(line: Line) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    return [(fact.stations, fact.containers) for fact in line.facts(f.PathDisturbed)]


def test_a_belt_with_nothing_on_the_way_starts_without_doubt(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 1, 0)
        for lane in (0, 1):  # they stand in their lanes
            line.see_bottle(4 + lane, f"B-{4 + lane:04d}")
            line.tell(i.ItemEntered("packer", lane, 4 + lane))
        assert line.tell(RESTART).facts == ()
        line.tell(i.Stroked("packer", 2, (1, 1)))
        labelled(line, "C-0002", number=2)
        case(line, 3, 6, 7, seen=(6, 7))
        assert [each["integrity"] for each in record(line)] == [
            "proven",
            "anchored",
            "anchored",
            "proven",
        ]


def test_what_is_to_go_takes_those_with_it_that_may_have_lagged_into_its_place(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path) as line:
        line.tell(i.ItemTriggered("verify", 1), read(item=1))
        line.tell(i.ItemTriggered("verify", 2), read("B-0002", item=2))
        done = line.tell(RESTART)
        assert SetSlot("verify", 2, passed=False) in done.effects
        assert disturbed(line) == [(("packer",), ())]


def test_bottles_on_the_way_make_the_next_cases_doubtful_until_a_full_reading(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0, 0)
        line.see_bottle(2, "B-0002")
        line.tell(RESTART)
        assert disturbed(line) == [(("packer",), ())]
        line.tell(i.ItemEntered("packer", 0, 2))
        line.see_bottle(3, "B-0003")
        line.tell(i.ItemEntered("packer", 1, 3))
        line.tell(i.Stroked("packer", 1, (1, 1)))
        labelled(line, "C-0001", number=1)
        assert [each["doubtful"] for each in record(line)] == [False, True]
        assert "order_doubtful" in line.alarms
        cases(line, 2, 2, 2)
        assert "order_doubtful" not in line.alarms
        case(line, 3, 6, 7)
        assert [each["doubtful"] for each in record(line)] == [False, True, False, False]


def test_a_case_on_its_way_to_the_label_is_doubtful(tmp_path: Path) -> None:
    """It lagged, came under another number, and its record claimed that it stood still."""
    with by_order(tmp_path, PLAIN) as line:
        for lane in (0, 1):
            line.see_bottle(lane, f"B-{lane:04d}")
            line.tell(i.ItemEntered("packer", lane, lane))
        line.tell(i.Stroked("packer", 0, (1, 1)))
        (formed,) = line.facts(f.ContainerFormed)
        line.tell(RESTART)
        assert disturbed(line) == [(("label",), (formed.unit,))]
        (found,) = record(line)
        assert found["doubtful"] is True
