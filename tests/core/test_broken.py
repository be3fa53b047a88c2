"""A container is broken when a child of it is seen elsewhere: it claims less from then on, says so,
and is whole again when all that it holds was scanned, or when nothing is in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.plan import ReaderPlan, Station
from agent.core.poolfile import Declared
from agent.core.scheme import LevelSpec, PackingScheme
from agent.store import trace
from agent.store.verify import verify
from tests.core.lines import (
    LABEL,
    PACKER,
    VERIFY,
    Line,
    chain,
    labelled,
    order,
    scheme,
    shown,
)
from tests.core.lines import filled as stroke
from tests.core.test_rework import BOTTLE, CASE, PALLET, WHO, Desk, desk, filled

__all__ = ["desk", "filled"]

FOUR = LevelSpec("case", "case-outer", ("case-outer",), children=4)


def record(desk: Desk, unit: int) -> tuple[str, bool, bool]:
    code = {5: CASE[0], 10: CASE[1], 11: PALLET[0]}[unit]
    found = next(each for each in trace.containers(desk.conn) if each["code"] == code)
    return found["integrity"], found["doubtful"], found["broken"]


def test_a_bottle_scanned_in_another_case_breaks_its_own(desk: Desk) -> None:
    assert record(desk, 10) == ("proven", False, False)
    done = desk.do(i.HandScanned((CASE[0], BOTTLE[0], BOTTLE[4]), False, "li"))
    assert f.ContainersBroken((10,), 6, "scanned") in done
    assert record(desk, 10) == ("inferred", True, True)
    assert record(desk, 5)[2] is False
    assert desk.trace(CASE[1])["broken"] is True
    assert verify(desk.conn).problems == []


def test_a_full_scan_makes_it_whole_again(desk: Desk) -> None:
    desk.do(i.HandScanned((CASE[0], BOTTLE[0], BOTTLE[4]), False, "li"))
    desk.do(i.HandScanned((CASE[1], *BOTTLE[5:8]), True, "li"))
    assert record(desk, 10) == ("proven", False, False)
    assert desk.trace(CASE[1])["children"] == list(BOTTLE[5:8])
    assert verify(desk.conn).problems == []


def test_what_was_taken_out_whole_is_not_broken(desk: Desk) -> None:
    desk.do(i.HandScanned((CASE[0], BOTTLE[0], BOTTLE[4]), False, "li"))
    desk.do(i.Unpack(**WHO, text=CASE[1]))
    assert desk.trace(CASE[1])["broken"] is False
    assert verify(desk.conn).problems == []


def test_a_full_scan_that_takes_a_child_from_another_breaks_that_one(desk: Desk) -> None:
    done = desk.do(i.HandScanned((CASE[0], *BOTTLE[:3], BOTTLE[4]), True, "li"))
    assert f.ContainersBroken((10,), 1, "elsewhere") in done
    assert record(desk, 10) == ("incomplete", True, True)
    assert record(desk, 5) == ("proven", False, False)


def test_a_case_whose_content_is_in_doubt_stays_so_where_it_is_found(desk: Desk) -> None:
    """A scan of the pallet says where the case is, not what is in it."""
    before = desk.trace(PALLET[0])["children"]
    desk.do(i.HandScanned((CASE[0], BOTTLE[0], BOTTLE[4]), False, "li"))
    assert record(desk, 5)[1] is True
    desk.do(i.Unpack(**WHO, text=PALLET[0], children=(CASE[0],)))
    desk.do(i.HandScanned((PALLET[0], *before), True, "li"))
    assert sorted(desk.trace(PALLET[0])["children"]) == sorted(before)
    assert record(desk, 5)[1] is True
    desk.do(i.HandScanned((CASE[0], *BOTTLE[:4]), True, "li"))
    assert record(desk, 5)[1] is False, "it was opened"


def four(tmp_path: Path) -> Line:
    plan = chain(VERIFY, PACKER, LABEL, paths=("single_file", "captive"))
    made = order(scheme=scheme(case=FOUR), pools={"case/case-outer": 2})
    line = Line(tmp_path, plan, preprinted=True, made=made).start()
    stroke(line, 0, 1, 2, 3)
    shown(line, "B-0000", "B-0001", "B-0002", "B-0003")
    labelled(line, "C-0000")
    return line


def worth(line: Line) -> tuple[str, bool]:
    first = next(iter(trace.containers(line.conn)))
    return first["integrity"], first["broken"]


@pytest.mark.parametrize(
    ("picture", "broken"),
    [
        (("B-0004", "B-0005", "B-0006", "B-0000"), True),
        (("B-0000", "B-0001", "B-0002", "B-0003"), False),  # the picture before again
        (("B-0004", "B-0005", "B-0001", "B-0000"), False),  # both in view
        (("B-0004", "B-0005", "B-0006", "B-0007"), False),
    ],
)
def test_a_child_in_the_picture_of_another_case_breaks_its_own(
    tmp_path: Path, picture: tuple[str, ...], broken: bool
) -> None:
    with four(tmp_path) as line:
        stroke(line, 4, 5, 6, 7, number=2)
        gate = i.GateSaw.PASSED if picture[3] == "B-0007" else i.GateSaw.REJECTED
        shown(line, *picture, number=2, gate=gate)
        assert worth(line) == ("inferred" if broken else "proven", broken)
        assert ("container_broken" in line.alarms) is broken
        assert verify(line.conn).problems == []


PALLETISER = Station(
    "stacker", 4, "pack", "pallet", readers=(ReaderPlan("layer", ("case-outer",)),), gate=False
)
SSCC = Station("pallet", 5, "label", "pallet", readers=(ReaderPlan("side", ("pallet",)),))


@pytest.mark.parametrize("mode", ["multi_read", "sequence"])
def test_a_case_of_a_pallet_that_comes_past_its_label_camera_again_breaks_it(
    tmp_path: Path, mode: str
) -> None:
    """What is missing on it then says nothing of the order in which cases came."""
    by_order = replace(PALLETISER, mode="sequence", readers=())
    plan = chain(
        VERIFY,
        PACKER,
        LABEL,
        PALLETISER if mode == "multi_read" else by_order,
        SSCC,
        paths=("single_file", "captive", "single_file", "captive"),
    )
    levels = (*scheme().levels, LevelSpec("pallet", "pallet", ("pallet",), children=2))
    made = order(scheme=PackingScheme("three", levels), pools={"case/case-outer": 2})
    with Line(tmp_path, plan, preprinted=True, made=made) as line:
        line.add_pool(Declared("pallets", "pallet", ("pallet",), preprinted=True), "P", 3)
        line.start()
        for n in (0, 1):
            stroke(line, 2 * n, 2 * n + 1, number=n)
            shown(line, f"B-{2 * n:04d}", f"B-{2 * n + 1:04d}", number=n)
            labelled(line, f"C-{n:04d}", number=n)
            line.tell(i.ItemEntered("stacker", 0, n))
        line.tell(i.Stroked("stacker", 0, (2,), True))
        if mode == "multi_read":
            line.tell(i.ItemTriggered("stacker", 0))
            line.tell(i.ItemReadings("stacker", 0, "layer", ("C-0000", "C-0001")))
        line.tell(i.ItemTriggered("pallet", 0))
        line.tell(i.ItemReadings("pallet", 0, "side", ("P-0000",)))
        line.tell(i.GateReported("pallet", 0, i.GateSaw.PASSED))
        pallet = list(trace.containers(line.conn))[-1]
        worth = "proven" if mode == "multi_read" else "inferred"
        assert (pallet["code"], pallet["integrity"]) == ("P-0000", worth)
        labelled(line, "C-0000", number=2, gate=i.GateSaw.REJECTED)
        pallet = next(each for each in trace.containers(line.conn) if each["code"] == "P-0000")
        assert (pallet["integrity"], pallet["broken"]) == ("inferred", True)
        assert "container_broken" in line.alarms
        line.tell(i.HandScanned(("P-0000", "C-0001"), True, "li"))
        pallet = next(each for each in trace.containers(line.conn) if each["code"] == "P-0000")
        assert (pallet["children"], pallet["broken"]) == (["C-0001"], False)
        assert (pallet["integrity"], pallet["doubtful"]) == ("proven", False)
        assert line.facts(f.SlipFound) == []
        assert verify(line.conn).problems == []
