"""A container's way: strokes fill it, a picture shows its content, a label is printed, read on it
and only then bound, and what its record is worth. Two bottles go into a case."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import PrintLabel, SetSlot
from agent.core.evolve import evolve
from agent.core.facts import CodeKey, Integrity, LinkEvidence, OwnCode
from agent.core.inputs import GateSaw
from agent.core.life import CodeState, UnitState
from agent.core.plan import ReaderPlan
from agent.core.scheme import LevelSpec
from agent.core.state import LineState
from agent.core.tracking import differences
from agent.services import reports
from agent.store.pools import pool_counts
from agent.store.verify import verify
from tests.core.lines import (
    CASES,
    CODER,
    LABEL,
    PACKER,
    VERIFY,
    WHOLE,
    Line,
    chain,
    filled,
    labelled,
    order,
    read,
    scheme,
    shown,
)
from tests.core.sites import SITES

SEQUENCE = replace(PACKER, mode="sequence", readers=(), gate=False)
BY_ORDER = chain(CODER, VERIFY, SEQUENCE, LABEL, paths=("single_file", "single_file", "captive"))


def record(line: Line) -> list[dict[str, Any]]:
    """What `caselink export containers` says."""
    return list(reports.containers(line.conn))


# ----------------------------------------------------------------------------------- multi-read


def test_full_case_label_read_bound_closed(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        done = shown(line, "B-0000", "B-0001")
        label = line.code("C-0000").key
        assert done.effects == (
            PrintLabel("label", 3, 1, label, "case", 2),
            SetSlot("packer", 1, passed=True),
        )
        assert line.code("C-0000").state is CodeState.SENDING
        assert line.unit(3).state is UnitState.COMMISSIONED, "printed is not bound"

        done = labelled(line, "C-0000")
        (bound,) = line.facts(f.LabelBound, done)
        assert (bound.container, bound.own) == (3, OwnCode.CAPTIVE)
        assert line.facts(f.ContainerClosed, done) == [f.ContainerClosed(3, 2, 0, Integrity.PROVEN)]
        assert line.code("C-0000").unit == line.unit(3)
        assert [line.unit(n).parent for n in (1, 2)] == [3, 3]
        assert line.alarms == {}
        assert differences(line.plan, line.state) == []
        (case,) = record(line)
        assert case["code"] == "C-0000"
        assert sorted(case["children"]) == ["B-0000", "B-0001"]
        assert case["integrity"] == "proven"


def test_a_label_that_is_read_behind_a_single_file_path_makes_it_inferred(tmp_path: Path) -> None:
    with Line(tmp_path, chain(*WHOLE)).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert closed.integrity is Integrity.INFERRED


BOTH = replace(PACKER, readers=(ReaderPlan("content", ("body", "case-outer")),))
"""A camera that sees the open case from the side: its bottles and its own code."""


def printed_cases(tmp_path: Path, *, label: bool) -> Line:
    """Cases come with their code; a station behind the packer reads it again, or none does."""
    stations = [CODER, VERIFY, BOTH, *([replace(LABEL, device="", role="")] if label else [])]
    made = order(pools={"bottle/body": 1})
    return Line(tmp_path, chain(*stations), made=made, printed_cases=True).start()


def test_the_own_code_in_the_same_frame_is_bound_at_once(tmp_path: Path) -> None:
    with printed_cases(tmp_path, label=True) as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", "C-0005")
        assert line.effects(PrintLabel) == []
        assert [bound.own for bound in line.facts(f.LabelBound)] == [OwnCode.SAME_FRAME]
        labelled(line, "C-0005")  # behind a single-file path: it adds nothing and takes nothing
        (case,) = record(line)
        assert (case["code"], case["integrity"]) == ("C-0005", "proven")


def test_a_second_code_on_a_case_is_a_mismatch(tmp_path: Path) -> None:
    with printed_cases(tmp_path, label=True) as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", "C-0005")
        labelled(line, "C-0006", gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRejected)] == ["mismatch"]
        assert line.code("C-0006").unit is None


def test_a_case_whose_only_reader_is_the_packers_camera_is_closed_there(tmp_path: Path) -> None:
    with printed_cases(tmp_path, label=False) as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", "C-0005")
        (case,) = record(line)
        assert (case["code"], case["integrity"]) == ("C-0005", "proven")
        assert case["closed_at"] is not None
        # Without its own code nobody could ever name it.
        filled(line, 2, 3, number=2)
        shown(line, "B-0002", "B-0003", number=2, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused)] == ["no_read"]


def test_a_code_of_a_closed_case_in_the_picture_puts_both_in_doubt(tmp_path: Path) -> None:
    with printed_cases(tmp_path, label=False) as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", "C-0005")
        filled(line, 2, 3, number=2)
        shown(line, "B-0002", "B-0003", "C-0005", number=2, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused)] == ["duplicate"]
        assert line.unit(3).doubtful


def test_codes_of_roles_that_the_camera_does_not_read_say_nothing(tmp_path: Path) -> None:
    """A case code that the camera over the open case happens to see, e.g. of the neighbour."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", "C-0005")
        assert line.facts(f.LabelBound) == []
        assert len(line.facts(f.LabelAssigned)) == 1


def test_unknown_children_are_in_the_record_as_unknown(tmp_path: Path) -> None:
    lenient = LevelSpec("case", "case-outer", ("case-outer",), children=2, unknown=1)
    with Line(tmp_path, made=order(scheme=scheme(case=lenient))).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0001")
        labelled(line, "C-0000")
        (case,) = record(line)
        assert sorted(case["children"], key=str) == ["B-0001", None]
        assert case["integrity"] == "incomplete"


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (("B-0000",), "no_read"),
        (("B-0000", "B-0001", "B-0002"), "count"),
        (("B-0000", "x"), "unknown"),
    ],
)
def test_a_container_is_refused_before_it_holds_a_link(
    tmp_path: Path, texts: tuple[str, ...], verdict: str
) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(2)
        filled(line, 0, 1)
        done = shown(line, *texts, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused, done)] == [verdict]
        assert done.effects == (SetSlot("packer", 1, passed=False),)
        assert line.facts(f.Packed) == []
        assert line.unit(1).parent is None, "its bottles may be packed again"
        assert line.alarms["container_refused"] == 1
        assert record(line) == []


def test_a_child_is_never_in_two_containers(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        filled(line, 2, 3, number=2)
        shown(line, "B-0000", "B-0002", number=2, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused)] == ["child"]
        assert line.unit(1).parent == 3


# ---------------------------------------------------------------------------------------- labels


def test_a_label_of_another_case_is_bound_where_it_is_read_and_a_person_is_told(
    tmp_path: Path,
) -> None:
    """Labels shifted by one: what is on the case counts, not what was meant for it."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        filled(line, 2, 3, number=2)
        shown(line, "B-0002", "B-0003", number=2)
        labelled(line, "C-0001")
        assert line.alarms == {"label_mismatch": 1}
        labelled(line, "C-0000", number=2)
        found = {case["code"]: sorted(case["children"]) for case in record(line)}
        assert found == {"C-0001": ["B-0000", "B-0001"], "C-0000": ["B-0002", "B-0003"]}


@pytest.mark.parametrize(
    ("texts", "verdict"), [((), "no_read"), (("x",), "unknown"), (("C-0005",), "unknown")]
)
def test_a_case_whose_label_cannot_be_trusted_leaves_with_its_content(
    tmp_path: Path, texts: tuple[str, ...], verdict: str
) -> None:
    """C-0005 was never sent to the printer: a label that looks like ours."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        labelled(line, *texts, gate=GateSaw.REJECTED)
        assert line.facts(f.ContainerRejected) == [f.ContainerRejected(3, "label", verdict)]
        assert line.unit(3).state is UnitState.REJECTED
        assert [line.unit(n).parent for n in (1, 2)] == [3, 3], "the history stays"
        assert line.code("C-0000").state is CodeState.SUSPECT
        assert line.facts(f.ContainerClosed) == []


def test_a_label_that_is_on_another_case_already_is_a_duplicate(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        filled(line, 2, 3, number=2)
        shown(line, "B-0002", "B-0003", number=2)
        labelled(line, "C-0000", number=2, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRejected)] == ["duplicate"]
        assert line.unit(3).doubtful, "which of the two is the real one?"
        assert line.alarms["duplicate_code"] == 2


def test_the_printer_ran_out_of_codes(tmp_path: Path) -> None:
    with Line(tmp_path, cases=1).start() as line:
        for number in (1, 2):
            first = 2 * (number - 1)
            filled(line, first, first + 1, number=number)
            shown(line, f"B-{first:04d}", f"B-{first + 1:04d}", number=number)
        assert len(line.effects(PrintLabel)) == 1
        assert "pool_empty" in line.alarms


# --------------------------------------------------------------------- strokes, partial, sequence


def test_a_pallet_is_filled_by_several_strokes(tmp_path: Path) -> None:
    """Each stroke gets its picture; the label is printed with the last."""
    four = LevelSpec("case", "case-outer", ("case-outer",), children=4)
    layers = replace(PACKER, gate=False)
    plan = chain(CODER, VERIFY, layers, LABEL, paths=("single_file", "single_file", "captive"))
    with Line(tmp_path, plan, made=order(scheme=scheme(case=four))).start() as line:
        filled(line, 0, 1, last=False)
        done = shown(line, "B-0000", "B-0001", gate=None)
        assert line.facts(f.LabelAssigned) == []
        assert line.facts(f.Packed, done)[0].first_place == 0
        filled(line, 2, 3)
        done = shown(line, "B-0002", "B-0003", gate=None)
        assert line.facts(f.Packed, done)[0].first_place == 2
        assert len(line.facts(f.ContainerFormed)) == 1
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.count, closed.integrity) == (4, Integrity.PROVEN)
        assert differences(line.plan, line.state) == []


def test_a_short_case_is_refused_and_a_partial_case_has_a_reason(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0)
        shown(line, "B-0000", gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused)] == ["count"]

        line.tell(i.ClosePartial("packer", "end of lot", "li"))
        filled(line, 2, number=2)
        shown(line, "B-0002", number=2)
        labelled(line, "C-0000", number=2)
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.count, closed.reason, closed.by) == (1, "end of lot", "li")

        # The word was for one container.
        filled(line, 4, number=3)
        shown(line, "B-0004", number=3, gate=GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ContainerRefused)] == ["count", "count"]


def test_packing_by_order_takes_row_by_row_across_the_lanes(tmp_path: Path) -> None:
    four = LevelSpec("case", "case-outer", ("case-outer",), children=4)
    with Line(tmp_path, BY_ORDER, made=order(scheme=scheme(case=four))).start() as line:
        units = [line.good_bottle(n) for n in (0, 2, 1, 3)]  # lanes 0, 0, 1, 1
        assert units == [1, 2, 3, 4]
        line.tell(i.Stroked("packer", 1, (2, 2)))
        (packed,) = line.facts(f.Packed)
        assert packed.children == (1, 3, 2, 4)
        assert packed.evidence == (LinkEvidence.ORDER,)
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert closed.integrity is Integrity.INFERRED, "by order is never proven"


def test_by_order_a_bottle_that_is_not_there_makes_the_case_faulty(tmp_path: Path) -> None:
    with Line(tmp_path, BY_ORDER).start() as line:
        line.good_bottle(0)
        done = line.tell(i.Stroked("packer", 1, (1, 1)))
        (packed,) = line.facts(f.Packed)
        assert packed.children == (1, None), "never an invented code"
        assert "count_difference" in line.alarms
        assert [each.verdict for each in line.facts(f.ContainerRejected, done)] == ["no_read"]
        # It gets its label all the same, or the applicator would give it to the next case.
        assert len(line.facts(f.LabelAssigned)) == 1
        labelled(line, "C-0000", gate=GateSaw.REJECTED)
        assert line.effects(SetSlot)[-1] == SetSlot("label", 1, passed=False)
        assert line.facts(f.ContainerClosed) == []


def test_by_order_a_unit_that_may_not_be_packed_is_unknown(tmp_path: Path) -> None:
    lenient = LevelSpec("case", "case-outer", ("case-outer",), children=2, unknown=1)
    made = order(scheme=scheme(case=lenient))
    with Line(tmp_path, BY_ORDER, made=made).start() as line:
        line.good_bottle(0)
        line.tell(i.ItemEntered("packer", 1, 77))  # put in by hand: nobody read it
        line.tell(i.Stroked("packer", 1, (1, 1)))
        labelled(line, "C-0000")
        (case,) = record(line)
        assert (case["children"], case["integrity"]) == (["B-0000", None], "incomplete")


def test_after_lost_events_an_open_case_is_doubtful_and_not_proven(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        line.tell(i.RunChanged(1, "ring_overrun"))
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert closed.integrity is Integrity.INFERRED


def test_what_is_read_after_lost_events_is_as_certain_as_after_a_restart(tmp_path: Path) -> None:
    """The strokes were before, all evidence is from after: a replay would not know of them."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        line.tell(i.RunChanged(1, "ring_overrun"))
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert closed.integrity is Integrity.PROVEN


# -------------------------------------------------------------------------------------- the gate


def test_a_gate_that_does_not_do_its_work_is_an_alarm(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", gate=GateSaw.PASSED)  # refused, and let pass
        assert line.alarms["reject_failed"] == 1


def test_a_refused_case_that_the_gate_let_through_is_told_with_its_code(tmp_path: Path) -> None:
    """Its content was refused, or nobody knows it; its label is on a case that went on."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        seen = i.ItemTriggered("label", 7), read("C-0000", item=7, station="label", reader="eye")
        line.tell(*seen)
        counts = pool_counts(line.conn, CASES, 0)
        assert (counts.codes[CodeState.SUSPECT], counts.rejected) == (1, 1)
        line.tell(i.GateReported("label", 7, GateSaw.FAILED))
        (failed,) = line.facts(f.RejectFailed)
        assert (failed.item, failed.codes) == (7, (CodeKey(CASES, 0, 0),))
        counts = pool_counts(line.conn, CASES, 0)
        assert (counts.codes[CodeState.SUSPECT], counts.rejected) == (1, 0), "it is not off"
        assert verify(line.conn).problems == []


def test_a_rejected_case_that_the_gate_let_through_is_in_doubt(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        line.tell(i.ItemTriggered("label", 1), read(item=1, station="label", reader="eye"))
        assert not line.unit(3).doubtful
        line.tell(i.GateReported("label", 1, GateSaw.FAILED))
        assert line.unit(3).state is UnitState.REJECTED
        assert line.unit(3).doubtful, "the record says that it is off the line, and it is not"
        line.code_bottle(2, 2)
        good = line.see_bottle(2, "B-0002", gate=GateSaw.FAILED)  # nothing came in its window
        (passed,) = line.facts(f.ItemPassed, good)
        assert not line.unit(passed.unit).doubtful, "it is missed where it does not arrive"


def test_a_good_case_that_the_gate_took_off_is_rejected(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001", gate=GateSaw.REJECTED)
        (confirmed,) = line.facts(f.RejectConfirmed)
        assert (confirmed.unit, confirmed.passed) == (3, True)
        assert line.unit(3).state is UnitState.REJECTED


def test_what_was_refused_stays_refused_after_a_restart() -> None:
    """Strokes are not kept: a replay hears of the container for the first time by its refusal."""
    plan, state = SITES["coded"].plan, LineState("L1")
    evolve(plan, state, f.ContainerRefused("stacker", 1, "child", "WO-1", None, ()))
    evolve(plan, state, f.ContainerFormed(7, "pallet", "WO-1", "stacker", 1, 2))
    container = state.container_of(7)
    assert container is not None
    assert container.fault == "child"
