"""Frames and triggers find each other by counting, whatever comes first, late or never.

The model of these tests is the belt: every item fires trigger and camera at the same moment; the
PLC is polled, the picture travels, pictures are lost on the way, the camera restarts. A pair must
be the item that the picture really shows, or no pair at all. The model keeps what pairing builds
on: each trigger exposes one picture while the camera is up, and a camera that was never heard
before and counts from 1 has lost none.
"""

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.line.pairing import AHEAD, KEPT, QUIET, REPEAT, Paired, Pairing

WINDOW = 1.0


class Watching:
    """A pairing that begins at time 0, and the pairs it found: (item, what its frame shows)."""

    def __init__(self) -> None:
        self.pairing: Pairing[int] = Pairing(window=WINDOW)
        self.pairing.reset(0.0)
        self.pairs: list[tuple[int, int]] = []

    def trigger(self, item: int, at: float, untold: float = -math.inf) -> "Watching":
        return self._note(self.pairing.trigger(item, at, untold))

    def frame(self, counter: int, shows: int, at: float) -> "Watching":
        return self._note(self.pairing.frame(counter, shows, at))

    def tick(self, at: float) -> "Watching":
        """As the line's shell does: look again when time alone makes a pair certain."""
        if self.pairing.due <= at:
            self._note(self.pairing.tick(self.pairing.due))
        return self

    def _note(self, found: list[Paired[int]]) -> "Watching":
        self.pairs += [(pair.number, pair.frame) for pair in found]
        return self


# ------------------------------------------------------------------------------------- examples


def test_after_a_silence_trigger_and_frame_belong_together_whichever_comes_first() -> None:
    assert Watching().trigger(501, 1.0).frame(1, 501, 1.02).pairs == [(501, 501)]
    assert Watching().frame(1, 501, 1.0).trigger(501, 1.02).pairs == [(501, 501)]


def test_a_first_picture_of_which_nobody_knows_whether_it_is_the_first_must_stand_alone() -> None:
    """The agent came up beside a camera that counts already, and the first picture was lost."""
    watching = Watching().trigger(1, 1.0).trigger(2, 1.1).frame(10, 2, 1.11)
    for item in (3, 4, 5):
        watching.trigger(item, 1 + item / 10).frame(8 + item, item, 1.01 + item / 10)
    assert watching.pairs == []
    assert watching.pairing.due <= 1.5
    watching.trigger(6, 2.0).frame(14, 6, 2.01).trigger(7, 2.1).frame(15, 7, 2.11)
    assert watching.pairs == [(6, 6), (7, 7)], "after a stop its own counter shows it"


def test_alone_for_long_enough_it_is_certain_before_its_deadline() -> None:
    watching = Watching().trigger(1, 1.0).frame(10, 1, 1.01)
    assert watching.pairs == []
    due = watching.pairing.due
    assert due == 1.01 + AHEAD
    watching._note(watching.pairing.tick(due))
    assert watching.pairs == [(1, 1)]
    assert watching.pairing.due == math.inf


def test_once_anchored_counting_goes_on_at_any_pace() -> None:
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    for item in (2, 3, 4):
        watching.frame(item, item, 1.0 + item / 100)  # three pictures before one poll
    for item in (2, 3, 4):
        watching.trigger(item, 1.05)
    assert watching.pairs == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_it_is_blind_until_a_silence_has_shown_trigger_and_frame_together() -> None:
    watching = Watching()
    assert watching.pairing.blind
    watching.trigger(1, 0.1)  # too soon after the beginning: no silence
    assert watching.pairing.blind
    watching.trigger(2, 1.0)
    assert not watching.pairing.blind, "from here on a frame that does not come is missing"
    watching.frame(1, 2, 1.02)
    assert watching.pairs == [(2, 2)]
    assert not watching.pairing.blind


def test_a_camera_that_was_there_before_us_is_in_step_only_after_a_pause_of_the_belt() -> None:
    """Until then nothing can be paired, and that is no fault of the camera."""
    watching = Watching().trigger(1, 1.0).frame(9, 1, 1.02).trigger(2, 1.1).frame(10, 2, 1.12)
    assert watching.pairs == []
    assert watching.pairing.blind


def test_after_a_break_of_the_link_it_is_blind_although_no_trigger_came_for_long() -> None:
    """The triggers of the break come all at once, long after their frames."""
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    for item in range(2, 20):
        watching.frame(item, item, 1.0 + item / 20)
    for item in range(2, 20):
        watching.trigger(item, 2.5)
    assert watching.pairing.blind
    watching.trigger(20, 3.5)
    assert not watching.pairing.blind
    watching.frame(20, 20, 3.52)
    assert watching.tick(9.0).pairs[-1] == (20, 20)


def test_a_lost_frame_leaves_its_item_without_a_picture_and_nobody_else() -> None:
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    watching.trigger(2, 1.03).trigger(3, 1.06).frame(3, 3, 1.07)
    assert watching.pairs == [(1, 1), (3, 3)]


def test_a_camera_that_fires_by_itself_between_two_items_shifts_nothing() -> None:
    watching = Watching().trigger(1, 1.0, 0.99).frame(1, 1, 1.01)
    watching.frame(2, 0, 1.03)  # nobody fired it
    for item in (2, 3, 4):  # the PLC is asked every 5 ms and told of nothing in between
        at = 1 + (item - 1) / 10
        watching.trigger(item, at, at - 0.005).frame(item + 1, item, at + 0.01)
    assert watching.pairs == [(1, 1)], "until the next stop nothing is certain"
    watching.trigger(5, 3.0, 2.995).frame(6, 5, 3.01)
    assert watching.pairs == [(1, 1), (5, 5)]


def test_a_frame_may_be_known_before_the_poll_that_tells_of_its_trigger() -> None:
    watching = Watching().trigger(1, 1.0, 0.99).frame(1, 1, 1.01)
    watching.frame(2, 2, 1.11).trigger(2, 1.24, 1.1)  # the poll took long
    assert watching.pairs == [(1, 1), (2, 2)]


def test_the_silence_of_one_item_is_not_the_silence_of_another() -> None:
    """After a camera's restart: its second picture is lost, and the poll is late for item 5."""
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    watching.trigger(2, 3.0).frame(1, 2, 3.0)  # counts anew
    watching.trigger(3, 3.1)  # lost on the way
    watching.trigger(4, 4.0).frame(3, 4, 4.0)
    watching.frame(4, 5, 4.5).trigger(5, 4.51)
    assert watching.pairs == [(1, 1), (5, 5)]


def test_while_nobody_looked_there_was_no_silence() -> None:
    """The machine is busy for a while: the picture of item 4 came before, its trigger after."""
    watching = Watching()
    for item in (1, 2, 3):
        watching.trigger(item, item / 10).frame(item, item, item / 10)
    watching.frame(4, 4, 0.34)
    watching.pairing.looked_away(1.0)
    watching.trigger(4, 1.0).trigger(5, 1.0)
    watching.frame(5, 5, 1.01).frame(6, 6, 1.02).trigger(6, 1.03)
    assert watching.pairs == []
    assert watching.trigger(7, 2.0).frame(7, 7, 2.01).pairs == [(7, 7)]


def test_a_picture_that_is_sent_twice_is_one_picture() -> None:
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0).frame(1, 1, 1.01)
    assert watching.trigger(2, 1.03).frame(2, 2, 1.04).pairs == [(1, 1), (2, 2)]
    assert watching.pairing.slips == 0


def test_in_the_middle_of_running_items_nothing_is_certain() -> None:
    """The agent came up while the belt runs: the first picture may be of the item before."""
    watching = Watching()
    for item in range(1, 20):
        watching.trigger(item, item * 0.05).frame(item, item - 1, item * 0.05)
    assert watching.pairs == []


def test_after_a_stop_the_anchor_is_found_again() -> None:
    watching = Watching()
    for item in range(1, 5):
        watching.trigger(item, item * 0.05).frame(item, item, item * 0.05)
    assert watching.pairs == []
    again = 0.2 + QUIET
    assert watching.trigger(5, again).frame(5, 5, again).pairs == [(5, 5)]


def test_a_lost_picture_at_the_first_item_after_a_stop_is_noticed_by_the_cameras_own_counter() -> (
    None
):
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    watching.pairing.reset(1.1)  # the PLC restarted
    watching.trigger(1, 2.0).trigger(2, 2.03).frame(3, 2, 2.04)
    assert watching.pairs == [(1, 1)]


def test_a_camera_that_restarts_loses_the_anchor_until_the_next_stop() -> None:
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    watching.trigger(2, 3.0).trigger(3, 3.05).frame(1, 3, 3.06)
    assert watching.pairs == [(1, 1)]
    assert watching.pairing.slips == 1
    assert watching.trigger(4, 4.0).frame(2, 4, 4.02).pairs == [(1, 1), (4, 4)]


def test_times_that_cannot_be_of_one_moment_lose_the_anchor() -> None:
    """One exposure too few: from here on every picture would be given to the item before. The
    silence before item 3 shows it, and is a new anchor."""
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0).trigger(2, 2.0)
    watching.trigger(3, 2.0 + 2 * WINDOW).frame(2, 3, 2.0 + 2 * WINDOW)
    assert watching.tick(9.0).pairs == [(1, 1), (3, 3)]
    assert watching.pairing.slips == 1


def test_what_waits_is_bounded() -> None:
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    for n in range(3 * KEPT):
        watching.trigger(2 + n, 1.5)
    assert len(watching.pairing._triggers) == KEPT
    watching.pairing.reset(2.0)
    for n in range(3 * KEPT):
        watching.frame(2 + n, 0, 2.01)
    assert len(watching.pairing._frames) == KEPT


# ---------------------------------------------------------------------------------------- any day


@dataclass
class Day:
    """What arrives at the agent, in order of arrival: ("t", item) or ("f", counter, item)."""

    arrivals: list[tuple[float, int, tuple[int, ...]]] = field(default_factory=list)
    delivered: set[int] = field(default_factory=set)


@st.composite
def days(
    draw: st.DrawFn, *, losses: bool = True, restarts: bool = True, longest: float = 2.0
) -> Day:
    """Items at any pace; polls and pictures take their time and stay in order. `longest` is the
    longest break in s."""
    day, now = Day(), 1.0
    counter = draw(st.integers(0, 70_000)) if losses else 0
    polled = arrived = 0.0
    for item in range(draw(st.integers(1, 15))):
        now += draw(st.sampled_from([0.03, 0.03, 0.1, QUIET + 0.2, longest]))
        polled = max(polled, now + draw(st.floats(0, 0.02)))
        day.arrivals.append((polled, len(day.arrivals), (item,)))
        if restarts and draw(st.integers(0, 11)) == 0:
            counter = 0
            now += REPEAT + 0.3
            continue  # the camera was dark for this item
        counter += 1
        if losses and draw(st.integers(0, 5)) == 0:
            continue
        arrived = max(arrived, now + draw(st.floats(0, 0.1)))
        day.arrivals.append((arrived, len(day.arrivals), (counter, item)))
        day.delivered.add(item)
    day.arrivals.sort()
    return day


def lived(day: Day) -> Watching:
    watching = Watching()
    for at, _, what in day.arrivals:
        watching.tick(at)
        if len(what) == 1:
            watching.trigger(what[0], at)
        else:
            watching.frame(what[0], what[1], at)
    return watching.tick(math.inf)


@settings(max_examples=120, deadline=None)
@given(days())
def test_a_pair_is_never_of_two_different_items(day: Day) -> None:
    assert all(item == shown for item, shown in lived(day).pairs)


def test_a_long_break_costs_nothing_once_the_camera_has_counted_a_few() -> None:
    watching = Watching()
    for item in range(1, 5):
        watching.trigger(item, item * 0.05 + 1).frame(item, item, item * 0.05 + 1)
    for item in range(5, 9):
        watching.trigger(item, item * 0.05 + 60).frame(item, item, item * 0.05 + 60)
    assert watching.pairs == [(item, item) for item in range(1, 9)]


def test_a_count_that_seems_to_go_on_after_a_break_may_be_a_new_one() -> None:
    """The camera was away for items 2 and 3, counted from 1 for item 4, whose picture was lost."""
    watching = Watching().trigger(1, 1.0).frame(1, 1, 1.0)
    watching.trigger(2, 3.0).trigger(3, 5.0).trigger(4, 7.0).trigger(5, 7.03).frame(2, 5, 7.03)
    assert watching.tick(9.0).pairs == [(1, 1)]
    assert watching.trigger(6, 9.0).frame(3, 6, 9.02).tick(9.9).pairs[-1] == (6, 6)


@settings(max_examples=50, deadline=None)
@given(days(losses=False, restarts=False, longest=0.2))
def test_while_nothing_is_lost_every_item_gets_its_picture(day: Day) -> None:
    assert sorted(lived(day).pairs) == [(item, item) for item in sorted(day.delivered)]


@settings(max_examples=50, deadline=None)
@given(days(restarts=False, longest=0.2))
def test_lost_pictures_cost_their_own_items_once_the_anchor_is_there(day: Day) -> None:
    found = {item for item, _ in lived(day).pairs}
    anchored_from = min(found, default=len(day.delivered) + 99)
    assert {item for item in day.delivered if item >= anchored_from} == found
