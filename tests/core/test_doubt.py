"""What may be wrong is marked, what cannot be wrong is not; and full readings make it certain.

Two bottles go into a case by order; the camera over the label sees the bottles too, where it can.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from agent.core.facts import Integrity, PairIntegrity
from agent.core.inputs import GateSaw
from agent.core.plan import LinePlan, ReaderPlan, Station
from agent.core.poolfile import Declared
from agent.core.scheme import LevelSpec
from agent.store.verify import verify
from tests.core.lines import (
    LABEL,
    PACKER,
    VERIFY,
    Line,
    chain,
    filled,
    labelled,
    order,
    read,
    scheme,
    shown,
)
from tests.core.test_containers import record

SEQUENCE = replace(PACKER, mode="sequence", readers=(), gate=False)
EYE = replace(LABEL, readers=(ReaderPlan("eye", ("case-outer", "body")),))
ANCHORS = chain(VERIFY, SEQUENCE, EYE, paths=("single_file", "captive"))


@contextmanager
def by_order(where: Path, plan: LinePlan = ANCHORS) -> Iterator[Line]:
    """A running line; at the end its tables are what its journal says."""
    with Line(where, plan, preprinted=True).start() as line:
        yield line
        assert verify(line.conn).problems == []


def case(line: Line, number: int, *bottles: int, seen: tuple[int, ...] = ()) -> None:
    """Two bottles go into case `number` by order; `seen` show beside its label."""
    for lane, bottle in enumerate(bottles):
        line.see_bottle(bottle, f"B-{bottle:04d}")
        line.tell(i.ItemEntered("packer", lane, bottle))
    line.tell(i.Stroked("packer", number, (1, 1)))
    texts = [f"B-{bottle:04d}" for bottle in seen]
    labelled(line, f"C-{number:04d}", *texts, number=number)


def cases(line: Line, first: int, last: int, *seen: int) -> None:
    """Cases `first` to `last`, of which `seen` are read in full."""
    for n in range(first, last + 1):
        pair = (2 * n, 2 * n + 1)
        case(line, n, *pair, seen=pair if n in seen else ())


def worth(line: Line) -> list[str | None]:
    return [each["integrity"] for each in record(line)]


def doubtful(line: Line) -> list[bool]:
    return [each["doubtful"] for each in record(line)]


# ------------------------------------------------------------------------------------- anchored


def test_cases_between_two_full_readings_that_came_out_are_anchored(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 4, 1, 4)
        assert worth(line) == ["inferred", "proven", "anchored", "anchored", "proven"]
        (fact,) = line.facts(f.ContainersAnchored)
        assert (fact.station, len(fact.containers)) == ("packer", 2)


def test_a_part_of_the_content_is_no_full_reading(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 1, 0)
        case(line, 2, 4, 5, seen=(4,))
        assert worth(line) == ["proven", "inferred", "inferred"]


@pytest.mark.parametrize("what", ["jam", "restart", "missed"])
def test_nothing_is_anchored_over_something_that_nobody_can_explain(
    tmp_path: Path, what: str
) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 1, 0)
        if what == "missed":  # two are overtaken: they are gone, who knows where to
            for bottle in (20, 21, 22, 23):
                line.see_bottle(bottle, f"B-{bottle:04d}")
            line.tell(i.ItemEntered("packer", 0, 22), i.ItemEntered("packer", 1, 23))
            line.tell(i.Stroked("packer", 2, (1, 1)))
            labelled(line, "C-0002", number=2)
        else:
            happened = {"jam": i.PathDisturbed("jam"), "restart": i.RunChanged(1, "ring_overrun")}
            line.tell(happened[what])
            cases(line, 2, 2)
        cases(line, 3, 6, 3, 4, 6)
        wanted = ["proven", "inferred", "inferred", "proven", "proven", "anchored", "proven"]
        assert worth(line) == wanted


def test_a_case_that_was_missed_stays_doubtful_between_two_full_readings(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 2, 0)
        (missed,) = [fact.container for fact in line.facts(f.ContainerClosed)][1:2]
        line.tell(
            i.ItemTriggered("label", 1), read("C-0001", item=1, station="label", reader="eye")
        )
        assert line.unit(missed).doubtful, "a second thing shows its code"
        cases(line, 3, 4, 4)
        assert worth(line)[:3] == ["proven", "inferred", "anchored"]
        assert line.unit(missed).doubtful


def test_a_person_is_asked_for_a_full_reading_when_too_many_cases_have_none(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path, replace(ANCHORS, anchor_every=3)) as line:
        cases(line, 0, 1)
        assert "anchor_wanted" not in line.alarms
        cases(line, 2, 3)
        assert line.alarms["anchor_wanted"] == 2
        cases(line, 4, 4, 4)
        assert "anchor_wanted" not in line.alarms


# ----------------------------------------------------------------------------------- path doubt


def test_what_lay_in_lanes_that_a_person_emptied_is_nowhere_that_anybody_knows(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0)
        for lane, bottle in enumerate((2, 3)):
            line.see_bottle(bottle, f"B-{bottle:04d}")
            line.tell(i.ItemEntered("packer", lane, bottle))
        held = {unit for lane in line.state.lanes["packer"].values() for unit in lane}
        line.tell(i.LanesCleared("packer"))
        (doubted,) = line.facts(f.UnitsDoubted)
        assert set(doubted.units) == held
        assert not any(line.state.lanes["packer"].values())
        line.tell(i.LanesCleared("packer"))
        assert len(line.facts(f.UnitsDoubted)) == 1


def test_after_a_jam_the_order_is_doubtful_until_a_case_of_what_came_after_it_fits(
    tmp_path: Path,
) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0)
        for lane, bottle in enumerate((2, 3)):  # they are in the lanes when it happens
            line.see_bottle(bottle, f"B-{bottle:04d}")
            line.tell(i.ItemEntered("packer", lane, bottle))
        line.see_bottle(4, "B-0004")  # and this one is on the path
        line.tell(i.PathDisturbed("jam"))
        assert line.alarms["order_doubtful"] is None
        line.tell(i.Stroked("packer", 1, (1, 1)))
        labelled(line, "C-0001", "B-0002", "B-0003", number=1)
        assert "order_doubtful" in line.alarms, "it says nothing of what lay behind it"
        line.see_bottle(5, "B-0005")
        line.tell(i.ItemEntered("packer", 0, 4), i.ItemEntered("packer", 1, 5))
        line.tell(i.Stroked("packer", 2, (1, 1)))
        labelled(line, "C-0002", "B-0004", "B-0005", number=2)
        assert "order_doubtful" in line.alarms, "a bottle of it was on the path"
        cases(line, 3, 3)
        assert doubtful(line) == [False, False, False, True]
        cases(line, 4, 5, 4)
        assert "order_doubtful" not in line.alarms
        assert doubtful(line) == [False] * 6
        assert worth(line)[3:] == ["anchored", "proven", "inferred"]


def test_only_what_was_not_closed_is_doubtful_after_a_guard_was_opened(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1, number=0)
        shown(line, "B-0000", "B-0001", number=0)
        labelled(line, "C-0000", number=0)
        filled(line, 2, 3, number=1)
        shown(line, "B-0002", "B-0003", number=1)
        line.tell(i.PathDisturbed("guard_open"))
        labelled(line, "C-0001", number=1)
        filled(line, 4, 5, number=2)
        shown(line, "B-0004", "B-0005", number=2)
        labelled(line, "C-0002", number=2)
        assert worth(line) == ["proven", "inferred", "proven"]
        assert doubtful(line) == [False, True, False]


def test_roles_that_were_read_on_both_sides_of_a_disturbance_may_be_of_two_items(
    tmp_path: Path,
) -> None:
    front = replace(VERIFY, id="front", index=5, gate=False, readers=(ReaderPlan("f", ("cap",)),))
    plan = chain(front, VERIFY, SEQUENCE, LABEL, paths=("captive", "single_file", "captive"))
    assert plan.zone["front"] == plan.zone["verify"]
    with Line(tmp_path, plan, preprinted=True) as line:
        line.add_pool(Declared("caps", "bottle", ("cap",), preprinted=True), "K", 9)
        bottle = LevelSpec("bottle", "body", ("body", "cap"))
        line.order = order(scheme=scheme(bottle=bottle))
        line.start()
        for item in (1, 2):
            line.tell(i.ItemTriggered("front", item))
            line.tell(read(f"K-{item:04d}", item=item, station="front", reader="f"))
            if item == 2:
                line.tell(i.PathDisturbed("guard_open"))
            line.see_bottle(item, f"B-{item:04d}")
        pairs = [
            code.integrity
            for fact in line.facts(f.ItemPassed)
            for code in fact.codes
            if code.role == "cap"
        ]
        assert pairs == [PairIntegrity.PROVEN, PairIntegrity.UNKNOWN]


def test_what_stood_in_the_lanes_before_a_restart_is_packed_first(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 0)
        line.see_bottle(2, "B-0002")
        line.tell(i.ItemEntered("packer", 0, 2))
        line.tell(i.RunChanged(1, "agent_restart"))
        for lane, bottle in ((1, 3), (0, 4), (1, 5)):
            line.see_bottle(bottle, f"B-{bottle:04d}")
            line.tell(i.ItemEntered("packer", lane, bottle))
        line.tell(i.Stroked("packer", 1, (2, 1)))
        packed = line.facts(f.Packed)[-1]
        units = [fact.unit for fact in line.facts(f.ItemPassed)]
        assert packed.children == (None, units[3], units[4]), "the unknown one is the older"
        assert packed.doubt == "agent_restart"


def test_more_out_of_a_lane_than_went_in_makes_the_order_doubtful(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.see_bottle(0, "B-0000")
        line.tell(i.ItemEntered("packer", 0, 0), i.Stroked("packer", 0, (1, 1)))
        assert {"count_difference", "order_doubtful"} <= set(line.alarms)
        labelled(line, "C-0000", number=0, gate=GateSaw.REJECTED)
        cases(line, 1, 2)
        assert line.facts(f.Packed)[-1].doubt == "count"
        assert worth(line)[1:] == [Integrity.INFERRED, Integrity.INFERRED]
        assert doubtful(line)[1:] == [True, True]


def test_of_two_that_came_as_one_nobody_knows_which_was_packed_first(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        cases(line, 0, 1)
        line.tell(i.ItemEntered("packer", 0, 99))  # close behind the last one: one edge for two
        assert doubtful(line) == [False, True]
        line.tell(i.ItemEntered("packer", 1, 98))
        assert len(line.facts(f.UnitsDoubted)) == 1, "said once"


# ------------------------------------------------------------------------- not in the picture


def nowhere(line: Line) -> list[bool]:
    """Of the first bottles: whether nobody knows where they are."""
    units = [fact.unit for fact in line.facts(f.ItemPassed)]
    return [line.unit(unit).doubtful for unit in units]


def test_what_a_stroke_moved_and_the_picture_does_not_show_may_be_anywhere(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        filled(line, 2, 3, number=2)
        line.good_bottle(4)
        shown(line, "B-0000", gate=GateSaw.REJECTED)
        assert nowhere(line) == [False, True, False, False, False]
        shown(line, "B-0002", "B-0003", number=2)
        assert nowhere(line) == [False, True, False, False, False], "said once"
        assert verify(line.conn).problems == []


def test_without_a_picture_nobody_knows_what_is_in_the_case(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, late=True, gate=GateSaw.REJECTED)
        assert nowhere(line) == [True, True]


def test_a_bottle_that_the_gate_took_for_its_neighbour_is_missed_in_the_picture(
    tmp_path: Path,
) -> None:
    """The belt crept: the blast that was meant for 2 took 1, and 2 went on as 1."""
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.good_bottle(1)
        line.code_bottle(2, 2)
        line.see_bottle(2, gate=GateSaw.REJECTED)
        line.tell(i.Stroked("packer", 1, (1, 1)))
        shown(line, "B-0000", "B-0002", gate=GateSaw.REJECTED)
        assert nowhere(line) == [False, True]


def test_a_bottle_that_shows_in_the_next_case_is_where_it_is_seen(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1, number=1)
        filled(line, 2, 3, number=2)
        shown(line, "B-0000", "B-0003", number=1)
        assert nowhere(line) == [False, True, False, False]
        shown(line, "B-0001", "B-0002", number=2)
        assert nowhere(line) == [False] * 4
        assert verify(line.conn).problems == []


def slots(line: Line) -> list[tuple[int, bool]]:
    return [(slot.number, slot.passed) for slot in line.effects(SetSlot)]


def test_what_is_good_passes_in_doubt_when_hands_were_before_the_gate(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.tell(i.ItemTriggered("verify", 0), read("B-0000", item=0))
        line.tell(i.ItemTriggered("verify", 1))
        line.tell(i.PathDisturbed("guard_open"))
        assert line.unit(1).doubtful, "a hand may have taken it"
        line.tell(read("B-0001", item=1))
        assert slots(line) == [(0, True), (1, True)], "whatever comes to the gate is good"
        assert line.unit(2).doubtful
        for lane in (0, 1):
            line.tell(i.GateReported("verify", lane, GateSaw.PASSED))
            line.tell(i.ItemEntered("packer", lane, lane))
        line.tell(i.Stroked("packer", 0, (1, 1)))
        labelled(line, "C-0000", number=0)
        assert doubtful(line) == [True], "in another order, or others"


def test_a_belt_that_starts_takes_no_bottle_out(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.tell(i.ItemTriggered("verify", 0), read("B-0000", item=0))
        line.tell(i.ItemTriggered("verify", 1))
        line.tell(i.PathDisturbed("restart"), read("B-0001", item=1))
        assert slots(line) == [(0, True), (1, True)]
        assert not any(line.unit(number).doubtful for number in (1, 2))
        line.tell(i.PathDisturbed("jam"))
        assert all(line.unit(number).doubtful for number in (1, 2)), "hands were there since"


def test_nothing_passes_where_one_that_is_to_go_may_stand_in_its_place(tmp_path: Path) -> None:
    with by_order(tmp_path) as line:
        line.tell(i.ItemTriggered("verify", 0), read("B-0000", item=0))
        line.tell(i.ItemTriggered("verify", 1), read(item=1))
        line.tell(i.ItemTriggered("verify", 2))
        line.tell(i.PathDisturbed("guard_open"))
        line.tell(read("B-0002", item=2))
        assert slots(line) == [(0, True), (1, False), (0, False), (1, False), (2, False)]
        assert line.unit(1).doubtful, "the gate may take another one for it"
        verdicts = [fact.verdict for fact in line.facts(f.ItemRejected)]
        assert verdicts == ["no_read", "late"]


@pytest.mark.parametrize("why", ["guard_open", "restart"])
def test_one_that_is_found_bad_takes_those_with_it_that_it_may_be(tmp_path: Path, why: str) -> None:
    with by_order(tmp_path) as line:
        line.tell(i.ItemTriggered("verify", 0), read("B-0000", item=0))
        line.tell(i.GateReported("verify", 0, GateSaw.PASSED))
        line.tell(i.ItemTriggered("verify", 1), read("B-0001", item=1))
        line.tell(i.ItemTriggered("verify", 2))
        line.tell(i.PathDisturbed(why))
        line.tell(i.ItemTriggered("verify", 3), read("B-0003", item=3))
        line.tell(read(item=2))
        assert slots(line) == [(0, True), (1, True), (3, True), (2, False), (1, False)]
        assert [line.unit(number).doubtful for number in (1, 2, 3)] == [False, True, False]


def test_what_has_passed_the_gate_is_mixed_with_nothing_before_the_next(tmp_path: Path) -> None:
    second = replace(VERIFY, id="second", index=7)
    with by_order(tmp_path, chain(VERIFY, second, paths=("single_file",))) as line:
        for n in (0, 1):
            line.tell(i.ItemTriggered("verify", n), read(f"B-{n:04d}", item=n))
        line.tell(i.PathDisturbed("restart"))
        for n, text in enumerate(("B-0000", "X")):
            line.tell(i.GateReported("verify", n, GateSaw.PASSED))
            line.tell(i.ItemTriggered("second", n), read(text, item=n, station="second"))
        assert slots(line)[-2:] == [(0, True), (1, False)], "they were mixed before another gate"


def test_a_case_that_its_label_names_passes_and_one_without_goes(tmp_path: Path) -> None:
    packer = replace(PACKER, gate=True)
    with by_order(tmp_path, chain(VERIFY, packer, LABEL, paths=("single_file", "captive"))) as line:
        filled(line, 0, 1, number=1)
        shown(line, "B-0000", "B-0001", number=1, gate=GateSaw.PASSED)
        filled(line, 2, 3, number=2)
        shown(line, "B-0002", "B-0003", number=2, gate=None)
        line.tell(
            i.ItemTriggered("label", 1), read("C-0001", item=1, station="label", reader="eye")
        )
        line.tell(i.PathDisturbed("guard_open"))
        asked = [(slot.station, slot.number, slot.passed) for slot in line.effects(SetSlot)[-2:]]
        assert asked == [("label", 1, True), ("packer", 2, False)]


def test_who_sees_a_case_on_its_pallet_does_not_see_what_is_in_it(tmp_path: Path) -> None:
    stacker = Station(
        "stacker", 6, "pack", "pallet", (ReaderPlan("top", ("case-outer",)),), gate=False, lanes=2
    )
    plan = chain(VERIFY, SEQUENCE, LABEL, stacker, paths=("single_file", "captive"))
    levels = (*scheme().levels, LevelSpec("pallet", "pallet", ("pallet",), children=2))
    made = order(scheme=replace(scheme(), levels=levels))
    with Line(tmp_path, plan, preprinted=True, made=made).start() as line:
        cases(line, 0, 0)
        line.tell(i.ItemEntered("packer", 0, 99))  # which of two is in the case?
        line.tell(i.ItemEntered("stacker", 0, 0))
        line.tell(i.Stroked("stacker", 5, (1, 0), False), i.ItemTriggered("stacker", 5))
        line.tell(read("C-0000", item=5, station="stacker", reader="top"))
        assert line.facts(f.Packed)[-1].evidence == (f.LinkEvidence.READ,)
        assert doubtful(line)[0]
