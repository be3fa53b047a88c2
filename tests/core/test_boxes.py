"""Boxes for one bottle each, packed by order: nothing later reads the bottle in its box, so what
the gripper leaves behind shows only when a person opens a box. What may be wrong by then is marked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import anchors
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.evolve.doubt import KEPT_CHILDREN
from agent.core.scheme import LevelSpec
from agent.store.verify import verify
from tests.core.lines import LABEL, VERIFY, Line, chain, labelled, order, scheme
from tests.core.test_doubt import SEQUENCE
from tests.core.test_slips import Hall, halve

BOXER = replace(SEQUENCE, lanes=1)
PLAN = chain(VERIFY, BOXER, LABEL, paths=("single_file", "captive"))
ONE = LevelSpec("case", "case-outer", ("case-outer",), children=1)


class Boxer(Hall):
    """One lane, one bottle a box."""

    def boxes(self, count: int) -> None:
        for _ in range(count):
            bottle = self.bottle()
            self.lanes[0].append(bottle)
            self.line.tell(i.ItemEntered("packer", 0, bottle))
            self.stroke(self.lanes[0].pop(0))

    def short(self) -> None:
        """The gripper leaves the bottle in the lane; the box goes, empty."""
        bottle = self.bottle()
        self.lanes[0].append(bottle)
        self.line.tell(i.ItemEntered("packer", 0, bottle))
        self.stroke()

    def stroke(self, *bottles: int) -> None:
        number = len(self.inside)
        self.inside.append(list(bottles))
        self.line.tell(i.Stroked("packer", number, (1,)))
        labelled(self.line, f"C-{number:04d}", number=number)


@contextmanager
def boxer(where: Path, many: int = 80, every: int = 0) -> Iterator[Boxer]:
    plan = replace(PLAN, stations=(VERIFY, replace(BOXER, anchor_every=every), LABEL))
    made = order(scheme=scheme(case=ONE))
    with Line(where, plan, bottles=many, cases=many, preprinted=True, made=made).start() as line:
        yield Boxer(line)
        assert verify(line.conn).problems == []


def test_what_the_gripper_left_behind_is_found_at_the_next_open_box(tmp_path: Path) -> None:
    with boxer(tmp_path) as here:
        here.boxes(3)
        here.scan(2)
        here.boxes(4)
        here.short()
        here.boxes(4)
        assert here.wrong() == [7, 8, 9, 10, 11]
        here.scan(11)
        assert here.wrong() == [7, 8, 9, 10], "nobody knows where it began"
        assert here.doubtful() == [3, 4, 5, 6, 7, 8, 9, 10]
        here.boxes(4)
        assert here.wrong() == [7, 8, 9, 10], "what comes is right again"
        here.scan(15)
        assert here.wrong() == [7, 8, 9, 10]
        assert set(here.doubtful()) == {3, 4, 5, 6, 7, 8, 9, 10, 12}, "12 got what 11 had not"


@pytest.mark.parametrize("place", range(8))
def test_each_box_that_is_opened_in_the_middle_of_the_run_settles_half_of_it(
    tmp_path: Path, place: int
) -> None:
    with boxer(tmp_path) as here:
        here.boxes(1)
        here.scan(0)
        here.boxes(place)
        here.short()
        here.boxes(8 - place)
        here.scan(9)
        scans = 0
        while run := [n for n in here.doubtful() if here.inside[n] and n < 9]:
            here.scan(run[len(run) // 2])
            scans += 1
            assert set(here.wrong()) <= set(here.doubtful())
        assert scans <= 4
        assert here.doubtful() == [place + 1], "the empty one"
        here.boxes(3)
        here.scan(12)
        here.boxes(2)
        assert here.wrong() == [place + 1], "what comes is not moved by what is scanned behind it"


def test_an_empty_box_says_that_the_order_slipped_and_not_where_the_others_belong(
    tmp_path: Path,
) -> None:
    with boxer(tmp_path, every=40) as here:
        here.boxes(3)
        here.scan(2)
        here.boxes(4)
        here.short()
        here.boxes(2)
        here.scan(7)
        assert here.worth(7) == ["proven"]
        assert here.wrong() == [8, 9]
        assert here.doubtful() == [3, 4, 5, 6, 8, 9], "the run is listed"
        assert {"slip_found", "slip_unconfirmed"} <= here.line.alarms.keys()
        here.boxes(2)
        here.scan(11)
        assert set(here.wrong()) <= set(here.doubtful())
        halve(here)
        assert here.wrong() == []


def test_a_box_that_was_opened_keeps_what_was_read_in_it(tmp_path: Path) -> None:
    with boxer(tmp_path) as here:
        here.boxes(3)
        here.short()
        here.boxes(4)
        here.scan(7)
        here.scan(6)
        assert here.worth(6, 7) == ["proven", "proven"]
        assert set(here.wrong()) <= set(here.doubtful()) <= {0, 1, 2, 3, 4, 5}
        here.boxes(2)
        assert set(here.wrong()) <= set(here.doubtful()), "the lane is not taken for another one"


def test_boxes_of_which_only_the_name_is_remembered_are_in_doubt_too(tmp_path: Path) -> None:
    many = KEPT_CHILDREN + 20
    with boxer(tmp_path, many) as here:
        here.boxes(4)
        here.short()
        here.boxes(many - 6)
        here.scan(many - 2)
        assert here.doubtful() == list(range(many - 2))


def test_an_old_box_that_holds_another_bottle_puts_those_around_it_in_doubt(tmp_path: Path) -> None:
    many = KEPT_CHILDREN + 30
    with boxer(tmp_path, many, every=480) as here:
        here.boxes(4)
        here.short()
        here.boxes(many - 6)
        forgotten = len(here.line.state.packing["packer"].forgotten)
        assert forgotten > 8
        here.scan(2)
        assert here.doubtful() == [], "it holds what the record says"
        here.scan(6)
        assert here.doubtful() == [n for n in range(forgotten) if n != 6]
        assert {"slip_found", "anchor_wanted"} <= here.line.alarms.keys()


def test_what_may_never_have_been_there_explains_no_slip_alone(tmp_path: Path) -> None:
    """A window in which the eye saw one bottle twice goes on alone, and is missed at the infeed;
    a stroke that takes none looks as if something had come for it."""
    with boxer(tmp_path) as here:
        here.boxes(3)
        here.scan(2)
        here.line.see_bottle(900, gate=i.GateSaw.FAILED)
        here.boxes(4)
        here.short()
        here.boxes(4)
        here.scan(11)
        assert here.wrong() == [7, 8, 9, 10]
        assert set(here.wrong()) <= set(here.doubtful()), "nobody knows where it began"
        here.scan(8)
        here.scan(6)
        assert (here.wrong(), here.doubtful()) == ([7], [7]), "the box that went empty"


def test_what_was_missed_long_ago_explains_no_slip_alone(tmp_path: Path) -> None:
    """A hand takes a bottle before its lane: it is missed, and was never in a box. Forty boxes on a
    stroke takes none, which looks as if the missed one had come unseen."""
    with boxer(tmp_path) as here:
        here.boxes(3)
        here.scan(2)
        here.bottle()
        here.boxes(40)
        here.short()
        here.boxes(4)
        here.scan(47)
        assert here.wrong() == [43, 44, 45, 46]
        assert set(here.wrong()) <= set(here.doubtful()), "nobody knows where it began"
        assert 43 in halve(here), "the box that went empty"
        assert here.wrong() == here.doubtful() == []


def test_a_box_that_cannot_be_opened_hides_no_other_slip(tmp_path: Path) -> None:
    with boxer(tmp_path) as here:
        for more in (2, 4):
            here.boxes(3)
            here.scan(len(here.inside) - 1)
            here.boxes(more)
            here.short()
            here.boxes(more)
            here.scan(len(here.inside) - 1)
        packing = here.line.state.packing["packer"]
        units = [kept.unit for kept in packing.kept]
        wanted = [units.index(unit) for unit in anchors.halving(packing)]
        assert {*here.doubtful()} == {*wanted, 8}, "8 got what 7 had not"
        assert min(wanted) < 7 < wanted[0], "of both, and the longer run first"


def test_a_box_stays_in_doubt_when_one_came_close_behind_its_bottle(tmp_path: Path) -> None:
    with boxer(tmp_path) as here:
        here.boxes(2)
        here.scan(1)
        here.boxes(1)
        # Two came as one through the verifier; the box of the first is gone when the second comes.
        here.lanes[0].append(900)
        here.line.tell(i.ItemEntered("packer", 0, 900))
        assert here.doubtful() == [2], "either may be the one whose code was read"
        here.stroke(here.lanes[0].pop(0))
        here.boxes(2)
        here.scan(5)
        assert here.doubtful() == [2, 3], "what is in another box does not tell; 3 was to go"
        here.scan(2)
        assert here.doubtful() == [3]


def test_lanes_that_were_emptied_end_a_slip_and_no_anchor_spans_it(tmp_path: Path) -> None:
    with boxer(tmp_path) as here:
        here.boxes(2)
        here.scan(1)
        here.short()
        here.boxes(2)
        here.lanes[0].clear()
        here.line.tell(i.LanesCleared("packer"))
        here.boxes(2)
        here.scan(6)
        assert here.wrong() == [2, 3, 4]
        assert here.worth(2, 3, 4) == ["inferred"] * 3, "no certainty is claimed for them"
        here.boxes(1)
        here.scan(7)
        here.scan(5)
        assert here.worth(2, 3, 4, 5) == ["inferred", "inferred", "inferred", "proven"]


def test_a_packer_may_have_its_own_number_and_the_last_box_is_asked_for(tmp_path: Path) -> None:
    with boxer(tmp_path, every=5) as here:
        here.boxes(4)
        assert "anchor_wanted" not in here.line.alarms
        here.boxes(1)
        assert here.line.alarms["anchor_wanted"] is not None
        here.scan(4)
        here.boxes(2)
        assert "anchor_wanted" not in here.line.alarms
        here.line.tell(i.FinishOrder("li"))
        assert "anchor_wanted" in here.line.alarms
        here.scan(6)
        assert "anchor_wanted" not in here.line.alarms
        assert here.worth(5) == ["anchored"]
        assert [fact.containers for fact in here.line.facts(f.ContainersAnchored)][-1:] != []


def test_nothing_is_asked_for_when_the_last_box_was_opened(tmp_path: Path) -> None:
    with boxer(tmp_path, every=5) as here:
        here.boxes(2)
        here.scan(1)
        here.line.tell(i.FinishOrder("li"))
        assert "anchor_wanted" not in here.line.alarms
