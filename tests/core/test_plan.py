"""A line as data: which stations count together, and what a person must mend before it may run."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import load
from agent.core.plan import LinePlan, PathKind, ReaderPlan, Station
from agent.core.plan import Path as BeltPath
from tests.core.lines import CODER, LABEL, PACKER, VERIFY, WHOLE, WHOLE_PATHS, chain

SEQUENCE = replace(PACKER, mode="sequence", readers=())
CAP = Station("cap", 7, "verify", "bottle", readers=(ReaderPlan("eye", ("cap",)),), gate=False)


def test_a_zone_is_a_chain_of_one_level_over_paths_that_keep_the_order() -> None:
    plan = chain(*WHOLE, paths=WHOLE_PATHS)
    assert plan.zone == {"coder": "coder", "verify": "coder", "packer": "packer", "label": "packer"}
    assert [station.id for station in plan.zone_stations("coder")] == ["coder", "verify"]
    assert plan.first_of_zone("packer")
    assert not plan.first_of_zone("verify")


@pytest.mark.parametrize(
    ("path", "one_zone"), [("captive", True), ("single_file", True), ("mixed", False)]
)
def test_across_a_mixed_path_nothing_is_known_by_counting(path: str, one_zone: bool) -> None:
    plan = chain(CAP, VERIFY, paths=(path,))
    assert (plan.zone["verify"] == plan.zone["cap"]) is one_zone


def test_the_weakest_path_on_the_way_counts() -> None:
    plan = chain(*WHOLE, paths=("captive", "single_file", "captive"))
    assert plan.between("coder", "verify") is PathKind.CAPTIVE
    assert plan.between("coder", "label") is PathKind.SINGLE_FILE
    assert plan.between("packer", "packer") is PathKind.CAPTIVE
    assert plan.between("verify", "coder") is None, "belts do not run backwards"
    assert chain(*WHOLE, paths=("mixed",)).between("coder", "label") is PathKind.MIXED


def test_coder_and_label_station_are_found_in_their_zone() -> None:
    plan = chain(*WHOLE, paths=WHOLE_PATHS)
    assert plan.coder_of("verify") == CODER
    assert plan.label_station("packer") == LABEL
    assert plan.coder_of("packer") is None


def test_a_line_that_is_good_has_no_problems() -> None:
    assert chain(*WHOLE, paths=WHOLE_PATHS).problems() == []


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (
            chain(VERIFY, SEQUENCE, LABEL, paths=("mixed", "captive")),
            ("packer", "sequence", "mixed"),
        ),
        (chain(CODER, VERIFY, paths=("mixed",)), ("coder", "verify", "by item number")),
        (chain(CAP, VERIFY, paths=("mixed",)), ("cap", "verify", "by item number")),
        (chain(VERIFY, replace(PACKER, mode="sequence"), LABEL), ("packer", "reads no children")),
        (chain(VERIFY, replace(PACKER, readers=()), LABEL), ("packer", "needs a reader")),
        (chain(replace(VERIFY, readers=())), ("verify", "needs a reader")),
        (chain(VERIFY, PACKER, replace(LABEL, role="")), ("label", "role", "zpl")),
        (chain(replace(CODER, device=""), VERIFY), ("coder", "needs a printer")),
        (chain(VERIFY, replace(PACKER, id="verify")), ("same id",)),
        (chain(VERIFY, replace(PACKER, index=1)), ("same index",)),
        (LinePlan("L", (VERIFY, PACKER), ()), ("verify", "packer", "no path joins them")),
        (
            LinePlan("L", (VERIFY,), (BeltPath("verify", "moon", PathKind.MIXED),)),
            ("no station moon",),
        ),
        (
            chain(VERIFY, PACKER, replace(LABEL, readers=(*LABEL.readers, *VERIFY.readers))),
            ("label", "one reader"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_person_must_mend_is_named_with_its_station(
    plan: LinePlan, named: tuple[str, ...]
) -> None:
    problems = plan.problems()
    assert any(all(word in problem for word in named) for problem in problems), problems


def test_a_camera_over_the_open_case_makes_a_mixed_path_good() -> None:
    """Multi-read does not count on the order of the children."""
    plan = chain(VERIFY, PACKER, LABEL, paths=("mixed", "captive"))
    assert plan.problems() == []


@pytest.mark.parametrize("name", ["bottling", "liquor"])
def test_the_example_lines_are_good(name: str) -> None:
    for line in load(Path("config") / f"{name}.toml").lines:
        assert line.plan().problems() == []
