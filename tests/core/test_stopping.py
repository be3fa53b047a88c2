"""The line comes down by itself: what counts as a row of rejects, and who may start it again."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.inputs import GateSaw
from agent.core.plan import Limits, LinePlan
from agent.core.stopping import AGENT
from agent.store.database import Connection
from tests.core.lines import (
    LINE,
    VERIFY,
    WHOLE,
    WHOLE_PATHS,
    Line,
    chain,
    filled,
    labelled,
    order,
    read,
    shown,
)

LIMIT = 3


def limited(plan: LinePlan) -> LinePlan:
    return replace(plan, limits=Limits(rejects_in_a_row=LIMIT))


def verifier(folder: Path, **more: bool) -> Line:
    """A camera alone, before which bottles come with their codes."""
    made = order(pools={})
    return Line(folder, limited(chain(VERIFY)), preprinted=True, made=made, **more)


def bad(line: Line, item: int, *, blind: bool = False) -> None:
    line.tell(i.ItemTriggered("verify", item), read(item=item, late=True, blind=blind))
    line.tell(i.GateReported("verify", item, GateSaw.REJECTED))


def test_so_many_rejects_in_a_row_pause_the_order_and_name_the_first(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        bad(line, 1)
        bad(line, 2)
        line.see_bottle(3, "B-0003")
        for item in (4, 5):
            bad(line, item)
            assert line.state.status == "running"
        bad(line, 6)
        assert (line.state.status, line.state.paused_by) == ("paused", AGENT)
        assert line.state.paused_why == "reject_series"
        assert line.alarms == {"reject_series": 4}
        # What is still on the belt is judged, and says nothing new.
        line.see_bottle(7, "B-0007")
        bad(line, 8)
        assert len(line.facts(f.ItemPassed)) == 2
        assert len(line.facts(f.OrderPaused)) == 1


def test_what_the_gate_says_of_earlier_items_does_not_end_the_row(tmp_path: Path) -> None:
    """The gate is some items behind the camera."""
    with verifier(tmp_path).start() as line:
        for item in range(LIMIT - 1):
            line.see_bottle(item, f"B-{item:04d}", gate=None)
        for item in range(10, 10 + LIMIT):
            line.tell(i.ItemTriggered("verify", item), read(item=item))
            if item - 10 < LIMIT - 1:
                line.tell(i.GateReported("verify", item - 10, GateSaw.PASSED))
        assert line.alarms == {"reject_series": 10}


def test_the_line_starts_again_by_a_person_who_has_acknowledged(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        for item in range(LIMIT):
            bad(line, item)
        with pytest.raises(DomainError) as refused:
            line.tell(i.StartOrder("WO-1", "li"))
        assert refused.value.reason == "acknowledge_first"
        (name,) = line.state.alarms
        line.tell(i.AcknowledgeAlarm(name, "li"))
        assert line.state.status == "paused", "an acknowledgement starts nothing"
        line.tell(i.StartOrder("WO-1", "li"))
        assert (line.state.paused_by, line.state.paused_why, line.alarms) == ("", "", {})
        # The row begins anew.
        for item in range(10, 10 + LIMIT - 1):
            bad(line, item)
        assert line.state.status == "running"


def test_why_the_line_stands_is_known_after_a_restart(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        for item in range(LIMIT):
            bad(line, item)
    with verifier(tmp_path, fresh=False) as line:
        assert (line.state.status, line.state.paused_by) == ("paused", AGENT)
        assert line.alarms == {"reject_series": 0}


def test_an_item_that_no_reader_can_answer_for_is_not_counted(tmp_path: Path) -> None:
    """The pictures are out of step: the belt stops by itself until they are in step."""
    with verifier(tmp_path).start() as line:
        for item in range(3 * LIMIT):
            bad(line, item, blind=True)
        assert line.state.status == "running"
        assert line.facts(f.ItemRejected)[-1].verdict == "late"


def test_what_the_gate_takes_after_a_restart_is_not_counted(tmp_path: Path) -> None:
    """Items that were on the belt before: nobody judged them, and nothing is wrong."""
    with verifier(tmp_path).start() as line:
        line.tell(i.RunChanged(1, "agent_restart"))
        for item in range(40, 40 + 2 * LIMIT):
            line.tell(i.GateReported("verify", item, GateSaw.REJECTED))
        assert line.state.status == "running"


def test_what_is_told_at_once_after_a_break_of_the_link_is_not_counted(tmp_path: Path) -> None:
    """Trigger and reject come with one poll: the gate took what nobody could answer for."""
    with verifier(tmp_path).start() as line:
        for item in range(2 * LIMIT):
            clock = line.clock()
            together = [
                (i.ItemTriggered("verify", item), clock),
                (i.GateReported("verify", item, GateSaw.REJECTED), clock),
            ]
            line.writer.run_inline(partial(line.gate.decide, line=LINE, inputs=together))
        assert line.writer.run_inline(_status(line)) == "running"


def _status(line: Line) -> Callable[[Connection], str]:
    return lambda conn: line.gate.look(conn, LINE, lambda state: state.status)


def test_a_restart_begins_the_row_anew(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        for item in range(LIMIT - 1):
            bad(line, item)
        line.tell(i.RunChanged(1, "agent_restart"))
        bad(line, 50)
        assert line.state.status == "running"


def test_verdicts_that_come_too_late_for_the_gate_stop_the_line(tmp_path: Path) -> None:
    """Nothing is wrong with the bottles: the agent is too slow, or the gate too near."""
    with verifier(tmp_path).start() as line:
        for item in range(LIMIT):
            line.see_bottle(item, f"B-{item:04d}", gate=GateSaw.REJECTED)
        assert line.alarms == {"reject_series": 0}
    other = tmp_path / "other"
    other.mkdir()
    with verifier(other).start() as line:
        for item in range(LIMIT):
            line.tell(i.ItemTriggered("verify", item))
            line.tell(i.GateReported("verify", item, GateSaw.REJECTED))
        assert line.alarms == {"reject_series": 0}


def test_a_coder_that_repeats_the_old_code_stops_the_line(tmp_path: Path) -> None:
    """It believes that it printed the new code; every bottle carries the first one."""
    with Line(tmp_path, limited(chain(*WHOLE, paths=WHOLE_PATHS))).start() as line:
        line.good_bottle(0)
        for item in range(1, 1 + LIMIT):
            line.code_bottle(item, item)
            line.see_bottle(item, "B-0000", gate=GateSaw.REJECTED)
        assert line.state.status == "paused"
        assert line.alarms["reject_series"] == 1
        assert {fact.verdict for fact in line.facts(f.ItemRejected)} == {"duplicate"}


def test_containers_are_counted_at_the_station_that_refuses_them(tmp_path: Path) -> None:
    with Line(tmp_path, limited(chain(*WHOLE, paths=WHOLE_PATHS))).start() as line:
        bottle = 0
        for number in range(LIMIT):
            filled(line, bottle, bottle + 1, number=number)
            shown(line, f"B-{bottle:04d}", f"B-{bottle + 1:04d}", number=number)
            labelled(line, number=number, gate=GateSaw.REJECTED)
            bottle += 2
        assert line.state.paused_why == "reject_series"
        assert line.alarms["reject_series"] == 0
        (alarm,) = [a for a in line.state.alarms.values() if a.key == "reject_series"]
        assert alarm.station == "label"


def test_a_good_container_ends_the_row_of_its_packer_and_its_label(tmp_path: Path) -> None:
    with Line(tmp_path, limited(chain(*WHOLE, paths=WHOLE_PATHS))).start() as line:
        bottle = 0
        for number in range(2 * LIMIT):
            filled(line, bottle, bottle + 1, number=number)
            texts = [f"B-{bottle:04d}", f"B-{bottle + 1:04d}"]
            good = number % LIMIT == LIMIT - 1
            shown(line, *texts[: 2 if good else 1], number=number)
            label = f"C-{len(line.facts(f.LabelAssigned)) - 1:04d}"
            labelled(line, *([label] if good else []), number=number)
            bottle += 2
        assert len(line.facts(f.ContainerClosed)) == 2
        assert line.state.status == "running"


@pytest.mark.parametrize("flag", ["reject_full", "low_air"])
def test_a_cause_that_stands_lets_nobody_start(tmp_path: Path, flag: str) -> None:
    name = f"L1/plc/{flag}"
    with verifier(tmp_path).start() as line:
        line.tell(i.ConditionChanged(name, True, 1, flag))
        assert (line.state.status, line.state.paused_why) == ("paused", flag)
        line.tell(i.AcknowledgeAlarm(name, "li"))
        assert flag in line.alarms, "it is over when the PLC says so"
        with pytest.raises(DomainError) as refused:
            line.tell(i.StartOrder("WO-1", "li"))
        assert refused.value.reason == "stop_stands"
        line.tell(i.ConditionChanged(name, False, 1, flag))
        line.tell(i.StartOrder("WO-1", "li"))
        assert line.state.status == "running"


def test_a_line_that_stands_is_not_paused_again(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        line.tell(i.PauseOrder("li", "lunch"))
        line.tell(i.ConditionChanged("L1/plc/low_air", True, 1, "low_air"))
        assert (line.state.paused_by, line.state.paused_why) == ("li", "lunch")
        assert "low_air" in line.alarms


def test_another_condition_stops_nothing(tmp_path: Path) -> None:
    with verifier(tmp_path).start() as line:
        line.tell(i.ConditionChanged("L1/cam/device_lost", True, 1, "device_lost", "cam"))
        assert line.state.status == "running"


# ------------------------------------------------------- what neither sensor behind a gate saw


def gone(line: Line, item: int, *, good: bool) -> None:
    """A hand takes it between picture and gate: its window goes by empty."""
    line.see_bottle(item, *([f"B-{item:04d}"] if good else []), gate=GateSaw.NOTHING)


@pytest.mark.parametrize("good", [True, False])
def test_what_a_hand_takes_before_the_gate_is_no_failure_of_the_gate(
    tmp_path: Path, good: bool
) -> None:
    with verifier(tmp_path).start() as line:
        gone(line, 1, good=good)
        (told,) = line.facts(f.RejectFailed)
        assert (told.item, told.unseen) == (1, True)
        assert line.alarms == {"item_gone": 1}
        assert line.state.counts["verify"].failed == 1, "the count of the station closes"
        line.tell(i.GateReported("verify", 2, GateSaw.FAILED))
        assert line.facts(f.RejectFailed)[-1].unseen is False
        assert line.alarms == {"item_gone": 1, "reject_failed": 2}
        line.tell(i.AcknowledgeAlarm("L1/verify/item_gone", "li"))
        assert line.alarms == {"reject_failed": 2}


@pytest.mark.parametrize("good", [True, False])
def test_a_sensor_that_sees_nothing_any_more_is_told(tmp_path: Path, good: bool) -> None:
    """The belt's where good ones vanish, the chute's where rejects do; what the other sensor saw in
    between says nothing of it."""
    with verifier(tmp_path).start() as line:
        for item in (1, 2):
            gone(line, item, good=good)
        line.see_bottle(3, "B-0003", gate=GateSaw.PASSED)
        if not good:
            assert line.alarms == {"item_gone": 1}
            gone(line, 4, good=False)
            assert line.alarms == {"item_gone": 1, "gate_blind": 1}
            return
        for item in (4, 5):
            gone(line, item, good=True)
            bad(line, 10 + item)
        assert line.alarms == {"item_gone": 1}, "one was seen after two"
        gone(line, 6, good=True)
        assert line.alarms == {"item_gone": 1, "gate_blind": 4}
