"""Counts that must balance (rule 4), and who is on the way.

Per station: triggers = passed + rejected + failed + in flight. Between stations: out(k) = in(k+1) +
on the path + foreign rejects. Each difference names the first item that it can concern.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.evolve import evolve
from agent.core.life import UnitState
from agent.core.plan import LinePlan, ReaderPlan, Station
from agent.core.state import LineState
from agent.core.tracking import Difference, differences, in_flight, overtaken
from tests.core.lines import CODER, LABEL, LINE, VERIFY, Line, chain, filled, labelled
from tests.core.test_doubt import SEQUENCE

BY_ORDER = chain(CODER, VERIFY, SEQUENCE, LABEL, paths=("single_file", "single_file", "captive"))
SECOND = Station("second", 5, "verify", "bottle", readers=(ReaderPlan("cam2", ("body",)),))
EYE = Station("eye", 6, "verify", "bottle", readers=(ReaderPlan("cam3", ("body",)),), gate=False)


class Belt:
    """The counts of a plan, moved by facts alone."""

    def __init__(self, *stations: Station, paths: tuple[str, ...] = ()) -> None:
        self.plan = chain(*stations, paths=paths)
        self.state = LineState(LINE)

    def hear(self, *facts: f.Fact) -> "Belt":
        for fact in facts:
            self.state = evolve(self.plan, self.state, fact)
        return self

    def trigger(self, station: str, *items: int) -> "Belt":
        return self.hear(*(f.ItemSeen(station, item, 0, 0, "WO-1", 0) for item in items))

    def passed(self, station: str, *items: int) -> "Belt":
        return self.hear(*(f.GatePassed(station, item) for item in items))

    @property
    def differences(self) -> list[Difference]:
        return differences(self.plan, self.state)


def test_items_in_flight_balance() -> None:
    belt = Belt(VERIFY, SECOND).trigger("verify", 1, 2, 3).passed("verify", 1)
    belt.hear(f.RejectConfirmed("verify", 2))
    assert in_flight(belt.plan, belt.state, VERIFY) == [3]
    assert list(belt.state.on_path["verify"]) == [1]
    assert belt.differences == []


def test_a_gate_that_rejects_what_never_triggered_is_counted_as_that() -> None:
    belt = Belt(VERIFY).trigger("verify", 7, 8).hear(f.RejectConfirmed("verify", 6))
    assert (belt.state.counts["verify"].rejected, belt.state.counts["verify"].unasked) == (1, 1)
    assert belt.differences == []


def test_a_bottle_that_the_photo_eye_missed_is_told(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.tell(i.GateReported("verify", 1, i.GateSaw.REJECTED))
        assert line.alarms == {"trigger_missed": 1}
        assert differences(line.plan, line.state) == []


def test_a_gate_that_lets_pass_more_than_it_saw_is_a_difference_of_its_station() -> None:
    belt = Belt(VERIFY).trigger("verify", 7, 8).hear(f.GatePassed("verify", 6))
    assert belt.differences == [Difference("verify", "station", -1, 7)]


def test_an_item_that_vanished_from_a_station_is_a_difference_of_it() -> None:
    """The PLC used a number twice: the first item of that number is accounted for nowhere."""
    belt = Belt(VERIFY).trigger("verify", 7, 8, 7)
    assert belt.differences == [Difference("verify", "station", 1, 7)]


def test_an_arrival_that_nobody_sent_is_a_difference_of_the_path() -> None:
    """A bottle put in by hand."""
    belt = Belt(VERIFY, SECOND).trigger("verify", 1, 2).passed("verify", 1, 2)
    belt.trigger("second", 99)
    assert belt.state.counts["second"].added == 1
    assert belt.differences == []


def test_foreign_and_missed_items_are_accounted_for() -> None:
    belt = Belt(VERIFY, SECOND).trigger("verify", 1, 2, 3, 4).passed("verify", 1, 2, 3, 4)
    belt.hear(f.ForeignRejected("verify", 1), f.ItemsMissed("verify", (2,), ()))
    belt.trigger("second", 3)
    assert list(belt.state.on_path["verify"]) == [4]
    assert belt.differences == []


def test_an_item_that_a_gate_let_pass_wrongly_is_on_the_path_all_the_same() -> None:
    belt = Belt(VERIFY, SECOND).trigger("verify", 1).hear(f.RejectFailed("verify", 1))
    assert list(belt.state.on_path["verify"]) == [1]
    assert belt.trigger("second", 1).differences == []


def test_a_station_without_a_gate_hands_on_what_triggers_it() -> None:
    belt = Belt(EYE, VERIFY).trigger("eye", 1, 2)
    assert list(belt.state.on_path["eye"]) == [1, 2]
    assert belt.trigger("verify", 1).differences == []
    assert list(belt.state.on_path["eye"]) == [2]


def test_over_a_mixed_path_nothing_is_counted() -> None:
    belt = Belt(VERIFY, SECOND, paths=("mixed",)).trigger("verify", 1).passed("verify", 1)
    belt.trigger("second", 55, 56)
    assert belt.differences == []


# ----------------------------------------------------------------- on the way when counting began


def test_what_was_before_a_gate_when_the_counting_began_is_not_counted() -> None:
    belt = Belt(VERIFY, SECOND).hear(f.RunBegan(1, "agent_restart")).trigger("verify", 9)
    belt.hear(f.RejectConfirmed("verify", 7, None, judged=False), f.RejectFailed("verify", 8))
    assert belt.differences == []
    belt.passed("verify", 9)
    assert belt.differences == []
    assert list(belt.state.on_path["verify"]) == [9]
    # From the first known item on, an unknown one counts again.
    belt.hear(f.RejectConfirmed("verify", 8, None, judged=False))
    assert (belt.state.counts["verify"].rejected, belt.state.counts["verify"].unasked) == (1, 1)


def test_what_was_on_a_path_when_the_counting_began_is_not_counted() -> None:
    belt = Belt(VERIFY, SECOND).hear(f.RunBegan(1, "agent_restart"))
    belt.trigger("verify", 9).passed("verify", 9)
    belt.hear(f.ForeignRejected("verify", 6))
    belt.trigger("second", 7, 8)
    assert belt.differences == []
    belt.trigger("second", 9)
    assert belt.differences == []
    assert belt.state.counts["second"].added == 0
    belt.trigger("second", 77)
    assert belt.state.counts["second"].added == 1


# ------------------------------------------------------------------------------------- overtaking


@pytest.mark.parametrize(
    ("arrives", "gone"),
    [(1, []), (2, [1]), (3, [1, 2]), (99, [])],  # 99 was never on the path
)
def test_who_is_overtaken_on_a_path_where_nothing_overtakes_is_gone(
    arrives: int, gone: list[int]
) -> None:
    belt = Belt(VERIFY, SECOND).trigger("verify", 1, 2, 3).passed("verify", 1, 2, 3)
    assert overtaken(belt.plan, belt.state, "second", arrives) == gone


def test_on_a_mixed_path_everyone_may_overtake() -> None:
    belt = Belt(VERIFY, SECOND, paths=("mixed",)).trigger("verify", 1, 2).passed("verify", 1, 2)
    assert overtaken(belt.plan, belt.state, "second", 2) == []


def test_a_bottle_taken_off_the_belt_is_told_with_its_number(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        for item in (0, 1, 2):
            line.code_bottle(item, item)
            line.see_bottle(item, f"B-{item:04d}")
        line.tell(i.ItemEntered("packer", 0, 0), i.ItemEntered("packer", 0, 2))
        assert line.facts(f.ItemsMissed) == [f.ItemsMissed("verify", (1,), (2,))]
        assert line.alarms == {"count_difference": 1}
        assert line.unit(2).doubtful, "nobody knows where it is"
        assert line.state.lanes["packer"][0] == [1, 3]
        assert differences(line.plan, line.state) == []


def test_a_bottle_put_in_by_hand_is_unknown_in_its_lane(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.tell(i.ItemEntered("packer", 0, 77))
        assert line.state.lanes["packer"][0] == [1, None]
        assert line.alarms == {"came_in": 77}
        assert differences(line.plan, line.state) == []


# --------------------------------------------------------------------------------------- any day

Event = tuple[str, Any]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["good", "reject", "foreign", "stay", "arrive"]), max_size=40))
def test_a_belt_on_which_nothing_is_lost_always_balances(day: list[str]) -> None:
    """Whatever becomes of each item, both formulas hold after every single fact."""
    belt = Belt(VERIFY, SECOND)
    for item, fate in enumerate(day):
        facts: list[f.Fact] = [f.ItemSeen("verify", item, 0, 0, "WO-1", 0)]
        if fate == "reject":
            facts.append(f.RejectConfirmed("verify", item))
        elif fate != "stay":
            facts.append(f.GatePassed("verify", item))
        if fate == "foreign":
            facts.append(f.ForeignRejected("verify", item))
        if fate == "arrive":
            facts.append(f.ItemSeen("second", item, 0, 0, "WO-1", 0))
        for fact in facts:
            belt.hear(fact)
            assert belt.differences == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.data())
def test_one_event_too_few_or_too_many_never_stays_hidden(items: int, data: st.DataObject) -> None:
    belt = Belt(VERIFY, SECOND).trigger("verify", *range(items)).passed("verify", *range(items))
    belt.trigger("second", *range(items))
    assert belt.differences == []
    station = data.draw(st.sampled_from(["verify", "second"]))
    wrong = data.draw(
        st.sampled_from(
            [
                f.RejectConfirmed(station, 999),
                f.GatePassed(station, 999),
                f.RejectFailed(station, 999),
            ]
        )
    )
    belt.hear(wrong)
    assert belt.differences or belt.state.counts[station].unasked == 1, wrong


def test_the_plan_of_these_tests_is_good() -> None:
    plan: LinePlan = Belt(EYE, VERIFY, SECOND).plan
    assert plan.problems() == []


# ------------------------------------------------------------------ from a packer to its label


def by_order(line: Line, *numbers: int) -> list[int]:
    """Cases of two bottles each are packed by order; their units."""
    for number in numbers:
        filled(line, 2 * number, 2 * number + 1, number=number)
    return [fact.unit for fact in line.facts(f.ContainerFormed)]


def test_a_case_that_a_hand_took_before_its_label_is_missed(tmp_path: Path) -> None:
    """No trigger of its own says that it left the packer: its last stroke does."""
    with Line(tmp_path, BY_ORDER).start() as line:
        gone, _ = by_order(line, 1, 2)
        assert list(line.state.on_path["packer"]) == [1, 2]
        labelled(line, "C-0001", number=2)
        (missed,) = line.facts(f.ItemsMissed)
        assert (missed.items, missed.units) == ((1,), (gone,))
        assert line.alarms["count_difference"] == 1
        assert line.unit(gone).doubtful
        assert differences(line.plan, line.state) == []


def test_a_case_that_nobody_packed_came_in_before_its_label(tmp_path: Path) -> None:
    with Line(tmp_path, BY_ORDER).start() as line:
        by_order(line, 1)
        labelled(line, "C-0000", number=1)
        labelled(line, "C-0000", number=7)
        assert line.alarms["came_in"] == 7


@pytest.mark.parametrize("behind", [(), (2,)], ids=["the last one", "one comes behind it"])
def test_what_its_eye_did_not_see_and_the_gate_took_is_known_and_counted(
    tmp_path: Path, behind: tuple[int, ...]
) -> None:
    """Also where it is the first one of all: it set out when the counting had begun."""
    with Line(tmp_path, BY_ORDER).start() as line:
        unseen, *_ = by_order(line, 1, *behind)
        for number in behind:
            labelled(line, "C-0001", number=number)
        line.tell(i.GateReported("label", 1, i.GateSaw.REJECTED))
        (confirmed,) = line.facts(f.RejectConfirmed)
        assert confirmed.unit == unseen
        assert line.unit(unseen).state is UnitState.REJECTED
        counts = line.state.counts["label"]
        assert (counts.rejected, counts.unasked) == (1, 1)
        assert line.alarms["trigger_missed"] == 1
        assert not line.state.on_path["packer"]
        assert not any(line.state.strayed.values())
        assert differences(line.plan, line.state) == []


def test_a_number_that_is_given_anew_is_not_the_one_that_was_missed(tmp_path: Path) -> None:
    with Line(tmp_path, BY_ORDER).start() as line:
        gone, _ = by_order(line, 1, 2)
        labelled(line, "C-0001", number=2)
        assert line.state.strayed["packer"] == {1: gone}
        filled(line, 6, 7, number=1)
        assert not line.state.strayed["packer"]
