"""A slip is found at the next reading, mended when one explanation is left, and told otherwise.

Two lanes, two bottles of each in a case; a person scans cases by hand.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core import anchors
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.plan import LinePlan
from agent.core.scheme import LevelSpec
from agent.store.verify import verify
from tests.core.lines import LABEL, VERIFY, Line, chain, labelled, order, scheme
from tests.core.test_containers import record
from tests.core.test_doubt import SEQUENCE

PLAN = chain(VERIFY, SEQUENCE, LABEL, paths=("single_file", "captive"))
FOUR = LevelSpec("case", "case-outer", ("case-outer",), children=4, unknown=1)


class Hall:
    """A line with bottles on it. `lanes` is what really stands in the lanes, `inside` what really
    is in each case; the agent hears of some of it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.lanes: list[list[int]] = [[], []]
        self.inside: list[list[int]] = []
        self.next = 0
        self.turn = 0

    def bottle(self) -> int:
        """A good bottle is on its way to the packer."""
        self.next += 1
        self.line.see_bottle(self.next, f"B-{self.next:04d}")
        return self.next

    def arrive(self, bottle: int, *, seen: bool = True, lane: int | None = None) -> None:
        """It comes into the lane where the divider stands, which moves on when the eye sees it."""
        self.lanes[self.turn if lane is None else lane].append(bottle)
        if seen:
            self.line.tell(i.ItemEntered("packer", self.turn, bottle))
            self.turn = 1 - self.turn

    def cases(self, count: int) -> None:
        """Bottles come, and cases are packed, labelled and closed."""
        for _ in range(count):
            for _ in range(4):
                self.arrive(self.bottle())
            self.pack()

    def pack(self) -> None:
        taken = [[lane.pop(0) for _ in range(min(2, len(lane)))] for lane in self.lanes]
        self.inside.append([t[row] for row in (0, 1) for t in taken if row < len(t)])
        number = len(self.inside) - 1
        self.line.tell(i.Stroked("packer", number, (2, 2)))
        labelled(self.line, f"C-{number:04d}", number=number)

    def scan(self, number: int, *places: int, own: bool = True) -> None:
        """A person scans a case: all of it, or these places."""
        held = self.inside[number]
        bottles = [held[place] for place in places] or held
        texts = [f"C-{number:04d}"] * own + [f"B-{bottle:04d}" for bottle in bottles]
        self.line.tell(i.HandScanned(tuple(texts), not places, "li", empty=not held))

    @property
    def record(self) -> list[dict[str, Any]]:
        return record(self.line)

    def wrong(self) -> list[int]:
        """The cases whose record is not what is inside."""
        return [
            n
            for n, (case, held) in enumerate(zip(self.record, self.inside, strict=True))
            if sorted(map(str, case["children"])) != sorted(f"B-{bottle:04d}" for bottle in held)
        ]

    def doubtful(self) -> list[int]:
        return [n for n, case in enumerate(self.record) if case["doubtful"]]

    def worth(self, *numbers: int) -> list[str]:
        return [self.record[number]["integrity"] for number in numbers]


@contextmanager
def hall(where: Path, plan: LinePlan = PLAN) -> Iterator[Hall]:
    """A line in order; at the end the tables are what the journal says."""
    made = order(scheme=scheme(case=FOUR))
    with Line(where, plan, bottles=80, cases=20, preprinted=True, made=made).start() as line:
        yield Hall(line)
        report = verify(line.conn)
        assert report.problems == []


def shifts(line: Line) -> Sequence[tuple[tuple[int, int, int, int], ...]]:
    return [fact.shifts for fact in line.facts(f.SlipFound)]


# ------------------------------------------------------------------------- as it was predicted


def test_cases_between_two_hand_scans_are_anchored(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(4)
        here.scan(0)
        here.scan(3)
        assert here.worth(0, 1, 2, 3) == ["proven", "anchored", "anchored", "proven"]
        assert shifts(here.line) == []


def test_a_part_that_was_scanned_anchors_nothing(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(3)
        here.scan(0)
        here.scan(2, 0, 1)
        assert here.worth(0, 1, 2) == ["proven", "inferred", "inferred"]


# ----------------------------------------------------------------- what was noticed at the infeed


def test_a_bottle_that_the_eye_missed_is_found_in_its_lane_and_every_case_after_it_is_mended(
    tmp_path: Path,
) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)
        here.cases(4)
        assert here.line.alarms["order_doubtful"] is not None
        assert here.wrong() == [2, 3, 4, 5]
        assert here.doubtful() == [2, 3, 4, 5], "what may be wrong is marked"
        here.scan(5)
        assert here.wrong() == []
        assert here.doubtful() == []
        assert here.worth(2, 3, 4, 5) == ["inferred", "inferred", "inferred", "proven"]
        assert "order_doubtful" not in here.line.alarms
        here.cases(2)
        here.scan(7)
        assert here.wrong() == []
        assert here.worth(6, 7) == ["inferred", "proven"], "the first reading was not as predicted"
        here.cases(2)
        here.scan(9)
        assert here.worth(8, 9) == ["anchored", "proven"]


def test_a_bottle_that_went_with_the_one_before_it_is_found_too(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False, lane=0)
        here.cases(4)
        here.scan(4)
        assert here.wrong() == []
        assert here.doubtful() == []
        (found,) = shifts(here.line)
        assert [(lane, gone, more) for lane, _, gone, more in found] == [(0, 0, 1)]


def test_a_bottle_that_is_gone_leaves_the_record_as_it_is(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.bottle()  # a hand takes it off
        here.cases(3)
        assert here.wrong() == []
        assert here.doubtful() == [2, 3, 4], "it may be in a lane"
        here.scan(4)
        assert here.doubtful() == []
        assert here.worth(2, 3, 4) == ["inferred", "inferred", "proven"]


def test_a_case_whose_code_came_again_stays_doubtful_when_its_content_is_known(
    tmp_path: Path,
) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.bottle()  # a hand takes it off: the order is doubtful for it
        here.cases(2)
        labelled(here.line, "C-0002", number=90)  # something else shows the code of case 2
        here.cases(1)
        here.scan(4)
        assert here.doubtful() == [2], "the order says what is in it, not where it is"


def test_an_edge_without_a_bottle_is_found_out(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        for _ in range(4):  # bottles wait in the lanes: what comes behind the void moves up
            here.arrive(here.bottle())
        here.line.tell(i.ItemEntered("packer", here.turn, 900))
        here.turn = 1 - here.turn
        here.arrive(here.bottle(), lane=1)
        here.cases(3)
        assert here.wrong() == [2, 3]
        here.scan(3)
        assert here.wrong() == []
        assert here.doubtful() == []


# ------------------------------------------------------------------------ what nobody noticed


def test_a_slip_of_which_nobody_knows_where_it_began_is_mended_from_the_reading_on(
    tmp_path: Path,
) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.cases(1)
        here.arrive(here.bottle())
        here.arrive(here.bottle())
        here.lanes[0].pop()  # a hand takes it out of the lane
        here.arrive(here.bottle())
        here.arrive(here.bottle())
        here.arrive(here.bottle())
        here.arrive(here.bottle())
        here.cases(4)
        assert here.wrong() == [3, 4, 5, 6]
        here.scan(6)
        wrong, doubtful = here.wrong(), here.doubtful()
        assert set(wrong) <= set(doubtful) <= {2, 3, 4, 5}
        assert here.line.alarms["slip_found"] is None
        here.cases(3)
        assert here.wrong() == wrong, "what comes is right again"
        assert here.doubtful() == doubtful
        for number in doubtful:
            here.scan(number)
        assert here.wrong() == []


def test_of_two_explanations_none_is_taken(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        here.bottle()  # two are missed one after the other: one of them is in a lane
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)
        here.bottle()
        here.cases(3)
        here.scan(3, 0)
        assert set(here.wrong()) <= set(here.doubtful())


def test_a_reading_that_nothing_explains_lists_the_run(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(0)
        here.cases(3)
        here.inside[3], here.inside[4] = (
            here.inside[4][:2] + here.inside[3][2:],
            [
                *here.inside[3][:2],
                *here.inside[4][2:],
            ],
        )
        here.scan(3)
        assert here.doubtful() == [1, 2, 4]
        assert here.wrong() == [4]
        here.scan(4)
        assert here.wrong() == []


def test_what_nothing_explains_is_right_again_from_the_reading_on(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        for lane in (0, 1):  # hands in both lanes, twice
            here.cases(1)
            for _ in range(4):
                here.arrive(here.bottle())
            here.lanes[lane].pop(0)
            here.arrive(here.bottle())
            here.arrive(here.bottle(), lane=lane)
            here.pack()
            here.lanes[lane].pop()
            here.arrive(here.bottle())
            here.arrive(here.bottle())
        here.cases(2)
        wrong = here.wrong()
        here.scan(len(here.inside) - 1)
        assert set(here.wrong()) <= set(here.doubtful())
        before = here.wrong()
        here.cases(3)
        assert here.wrong() == before, "what comes is right again"
        last = len(here.inside)
        assert here.doubtful()[-3:] == [last - 3, last - 2, last - 1], "nobody has confirmed it"
        here.scan(last - 1)
        here.cases(1)
        assert here.doubtful()[-1] < last - 3
        assert wrong


def test_two_that_the_eye_missed_one_behind_the_other_keep_their_order(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        here.arrive(here.bottle())
        here.arrive(here.bottle())
        for _ in range(2):
            here.arrive(here.bottle(), seen=False)
        here.cases(4)
        here.scan(4)
        assert here.wrong() == []
        (found,) = here.line.facts(f.SlipFound)
        assert len(found.shifts) == 2
        lane = here.line.state.lanes["packer"][found.shifts[0][0]]
        assert lane == sorted(lane, key=lambda unit: unit or 0), "as they came"


def test_a_full_reading_that_finds_a_slip_ends_the_wish_for_one(tmp_path: Path) -> None:
    plan = replace(PLAN, anchor_every=3)
    with hall(tmp_path, plan) as here:
        here.cases(2)
        here.arrive(here.bottle(), lane=1)
        for _ in range(3):
            here.arrive(here.bottle())
        here.pack()
        here.cases(4)
        assert "anchor_wanted" in here.line.alarms
        here.scan(1)
        assert "anchor_wanted" in here.line.alarms, "five behind it are not read"
        here.scan(6)
        assert shifts(here.line) != []
        assert "anchor_wanted" not in here.line.alarms, "another one says nothing new"


def test_a_person_is_sent_to_what_tells_most(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.arrive(here.bottle(), lane=1)
        for _ in range(3):
            here.arrive(here.bottle())
        here.pack()
        here.cases(6)
        packing = here.line.state.packing["packer"]

        def best(*, asked: bool) -> list[int]:
            units = [kept.unit for kept in packing.kept]
            return [units.index(unit) for unit in anchors.best(packing, asked=asked)]

        assert best(asked=False) == [], "nothing is known to have slipped"
        assert best(asked=True) == [8, 7, 6, 5, 4, 3, 2], "behind the last full reading"
        here.scan(8)
        packing = here.line.state.packing["packer"]
        middle = best(asked=False)
        assert middle[0] == 5, "the middle one of those that are doubtful"
        assert best(asked=True) == middle, "one before a full reading says nothing of what comes"
        here.cases(1)
        packing = here.line.state.packing["packer"]
        assert best(asked=True)[:2] == [9, 5]


def test_a_slip_that_was_set_right_asks_for_one_more_case_to_confirm_it(tmp_path: Path) -> None:
    with hall(tmp_path, replace(PLAN, anchor_every=20)) as here:
        here.cases(2)
        here.scan(1)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)
        here.cases(3)
        here.scan(4)
        assert here.wrong() == []
        assert "slip_unconfirmed" in here.line.alarms
        here.scan(3)
        assert "slip_unconfirmed" in here.line.alarms, "it says nothing of what came since"
        here.cases(2)
        here.scan(6)
        assert "slip_unconfirmed" not in here.line.alarms
        here.cases(2)
        here.scan(8)
        assert here.worth(7) == ["anchored"]


def test_a_packed_bottle_that_shows_itself_elsewhere_asks_for_a_case_at_once(
    tmp_path: Path,
) -> None:
    """It was taken out of the lane, or it is a copy: one case tells."""
    with hall(tmp_path, replace(PLAN, anchor_every=20)) as here:
        here.cases(2)
        here.scan(1)
        here.line.see_bottle(90, "B-0002", gate=i.GateSaw.REJECTED)
        assert "anchor_wanted" not in here.line.alarms, "nobody has packed anything since"
        here.cases(2)
        here.line.see_bottle(91, "B-0010", gate=i.GateSaw.REJECTED)
        assert "anchor_wanted" in here.line.alarms
        here.scan(3)
        assert "anchor_wanted" not in here.line.alarms


def halve(here: Hall) -> list[int]:
    """Scan what the agent wants to be scanned, until it wants nothing."""
    scanned: list[int] = []
    while len(scanned) < 20:
        packing = here.line.state.packing["packer"]
        wanted = anchors.halving(packing)
        if not wanted:
            break
        scanned.append([kept.unit for kept in packing.kept].index(wanted[0]))
        here.scan(scanned[-1])
    return scanned


@pytest.mark.parametrize("place", range(3))
def test_what_a_part_of_a_case_lets_guess_is_doubtful_until_it_is_opened(
    tmp_path: Path, place: int
) -> None:
    """Two slips; of the first only one bottle of a case was seen. (The last one of that case came
    out as predicted: one slip of two bottles behind it explains all, and is believed.)"""
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        here.cases(2)
        for number in (0, 1):
            here.arrive(here.bottle(), lane=1 - here.turn)  # a divider that miscounts
            for _ in range(3):
                here.arrive(here.bottle())
            here.pack()
            here.cases(2)
            if number == 0:
                here.scan(len(here.inside) - 1, place)
            assert set(here.wrong()) <= set(here.doubtful()) or not shifts(here.line)
        here.cases(1)
        here.scan(len(here.inside) - 1)
        assert set(here.wrong()) <= set(here.doubtful())
        for number in (5, 8, 7, 6, 3, 4):
            here.scan(number)
            assert set(here.wrong()) <= set(here.doubtful()), number


def test_where_a_divider_miscounted_is_found_by_halves_and_every_case_is_mended(
    tmp_path: Path,
) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(1)
        here.cases(3)
        here.arrive(here.bottle(), lane=1)  # counted into lane 0
        for _ in range(3):
            here.arrive(here.bottle())
        here.pack()
        assert len(here.inside[5]) == 3
        here.cases(8)
        assert here.wrong() == [5, 6, 7, 8, 9, 10, 11, 12, 13]
        here.scan(13)
        assert set(here.wrong()) <= set(here.doubtful())
        assert len(here.doubtful()) >= 8, "nobody knows where it began"
        assert len(halve(here)) <= 5
        assert here.wrong() == here.doubtful() == []
        assert here.worth(1, 13) == ["proven", "proven"]
        assert "anchored" not in here.worth(*range(14)), "something happened between"
        here.cases(2)
        assert here.wrong() == []
        assert here.doubtful() == [14], "it holds the one that stayed behind"


@pytest.mark.parametrize("second", [False, True])
def test_which_of_two_missed_bottles_came_unseen_is_found_by_halves(
    tmp_path: Path, second: bool
) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        here.cases(1)
        for comes in (not second, second):
            bottle = here.bottle()
            if comes:
                here.arrive(bottle, seen=False)
            here.cases(7)
        assert len(here.line.state.missed) == 2
        here.scan(15)
        assert set(here.wrong()) <= set(here.doubtful())
        scans = halve(here)
        assert len(scans) == 1, scans
        assert here.wrong() == here.doubtful() == []


def test_two_slips_among_the_same_cases_are_both_found(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        for lane in (1, 0):
            here.cases(3)
            if lane == 0:
                here.arrive(here.bottle())
            here.arrive(here.bottle(), lane=lane)
            for _ in range(2 + lane):
                here.arrive(here.bottle())
            here.pack()
        here.cases(4)
        here.scan(len(here.inside) - 1)
        assert set(here.wrong()) <= set(here.doubtful())
        halve(here)
        assert here.wrong() == []
        assert here.doubtful() == []
        assert "anchored" not in here.worth(*range(len(here.inside)))


def test_a_bottle_that_a_hand_took_from_a_lane_is_missed_from_its_own_case_alone(
    tmp_path: Path,
) -> None:
    with hall(tmp_path) as here:
        here.cases(2)
        here.scan(0)
        here.cases(2)
        for _ in range(3):
            here.arrive(here.bottle())
        here.lanes[0].pop()  # the second one of lane 0
        here.arrive(here.bottle())
        here.pack()  # takes what is there: one fewer
        here.cases(4)
        assert here.wrong() == [4], "the next cases are as counted"
        here.scan(4)
        here.scan(8)
        halve(here)
        assert here.wrong() == []


def test_a_case_of_before_a_restart_is_scanned_while_a_bottle_is_missed(tmp_path: Path) -> None:
    """The lanes are counted anew since: the reading settles this case and no other."""
    with hall(tmp_path) as here:
        here.cases(2)
        here.line.tell(i.RunChanged(1, "agent_restart"))
        here.cases(3)
        here.scan(3)
        here.scan(4)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)
        here.arrive(here.bottle())
        assert here.doubtful() == [0, 1, 2]
        here.scan(0)
        assert here.doubtful() == [1, 2]
        assert here.worth(0) == ["proven"]


def test_a_case_with_a_child_in_doubt_stays_doubtful_when_its_order_is_certain(
    tmp_path: Path,
) -> None:
    """A bottle shows the code of one that is on its way: which of the two it is, nobody knows. That
    the order was right says nothing of it."""
    with hall(tmp_path) as here:
        here.cases(1)
        here.scan(0)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)  # so that the order is in doubt
        copied = here.bottle()
        here.line.see_bottle(60, f"B-{copied:04d}", gate=i.GateSaw.REJECTED)
        here.arrive(copied)
        here.cases(3)
        assert 1 in here.doubtful()
        here.scan(3)
        assert here.doubtful() == [1]
        here.scan(1)
        assert here.doubtful() == []
