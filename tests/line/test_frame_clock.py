"""With the camera's own clock no item gets another's frame, however closely items follow.

The belt of these tests creeps, stops, starts with a ramp. Photo-eye, trigger and exposure are one
moment, which the camera stamps with a clock that is off, drifts and trembles, and which the PLC
tells a little later.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.line.frameclock import NEAR, FrameClock, Word
from agent.line.pairing import Paired, Pairing

POLL = 0.005
PITCHES = (0.03, 0.05, 0.1)
STRANGER = 1000
"""What a second trigger of an item adds to its number."""

TROUBLES = (
    "lost",
    "extra",
    "late",
    "twice",
    "missed",  # the camera was not ready: no picture, no number
    "untold",  # the PLC fires the camera and never tells
    "double",  # a second trigger, with its own number and picture
    "phantom",  # a trigger to which the camera does not listen: no picture, and nothing there
)

EACH = [
    (name, much)
    for name in TROUBLES
    for much in ((0.0, 0.5, 1.0) if name in ("extra", "late", "double", "phantom") else (0.0,))
]

Trouble = tuple[int, str, float]
"""At which item, what, and how much of it: 0 to 1."""


def evenly(count: int) -> list[float]:
    return [1.0] * count


def unevenly(count: int) -> list[float]:
    return [1.0 + 0.7 * (n * 7919 % 10) / 10 for n in range(count)]


@dataclass
class Ride:
    """When each item, `gaps` pitches apart, passes a belt whose speed is what `speeds` says:
    (seconds, share of full speed at their end), in turn, with ramps between."""

    pitch: float
    gaps: Sequence[float]
    speeds: Sequence[tuple[float, float]] = ()
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        now, place, speed, step = 5.0, 0.0, 1.0, 0.0005
        ramps = [(length, share) for length, share in self.speeds]
        left, target = ramps.pop(0) if ramps else (float("inf"), 1.0)
        due = 0.0
        for gap in self.gaps:
            while place < due:
                speed += max(-step / 0.2, min(step / 0.2, target - speed))
                place += speed * step / self.pitch
                now += step
                left -= step
                if left <= 0:
                    left, target = ramps.pop(0) if ramps else (float("inf"), 1.0)
            self.times.append(now)
            due += gap


class Line:
    """What reaches us of a ride with troubles, and the pairs that are made of it."""

    def __init__(
        self, times: Sequence[float], pitch: float, troubles: Sequence[Trouble], seed: int = 1
    ) -> None:
        self._chance = random.Random(seed)
        self._pitch = pitch
        self._told: list[tuple[float, int]] = []
        self._frames: list[tuple[float, int, int, float]] = []
        self._shots: list[tuple[float, int, frozenset[str], float]] = []
        for item, at in enumerate(times):
            befallen = {name: much for where, name, much in troubles if where == item}
            self._pass(at, item, befallen)
        self._develop()

    def _pass(self, at: float, item: int, befallen: dict[str, float]) -> None:
        names = frozenset(befallen)
        if "untold" not in names:
            self._tell(at, item)
        if "phantom" in names:
            share = 0.05 + 0.4 * befallen["phantom"]
            self._tell(at + share * self._pitch, item + STRANGER)
        if "missed" not in names:
            late = befallen.get("late", 0.0)
            self._shots.append((at, item, names & {"lost", "twice"}, late))
        if "extra" in names:
            # Nearer to this item than to the next: beyond that it would show the next one.
            share = 0.05 + 0.4 * befallen["extra"]
            self._shots.append((at + share * self._pitch, item, frozenset(), 0.0))
        if "double" in names:
            again = at + (0.2 + 0.25 * befallen["double"]) * self._pitch
            self._tell(again, item + STRANGER)
            self._shots.append((again, item + STRANGER, frozenset(), 0.0))

    def _tell(self, at: float, number: int) -> None:
        self._told.append((at + self._chance.uniform(0.001, 0.005), number))

    def _develop(self) -> None:
        drift, counter, behind = 1 + self._chance.uniform(-5e-5, 5e-5), 0, 0.0
        for at, shows, what, late in sorted(self._shots):
            counter += 1
            stamp = 700 + at * drift + self._chance.uniform(0, 0.0005)
            if "lost" in what:
                continue
            behind = max(behind + 1e-5, at + self._chance.uniform(0.004, 0.014) + 1.9 * late)
            self._frames += [(behind, counter, shows, stamp)] * (1 + ("twice" in what))

    def lived(
        self,
        *,
        clock: bool = True,
        poll: float = POLL,
        steps: Sequence[tuple[float, float]] = (),
        slow: Sequence[tuple[float, float]] = (),
    ) -> list[tuple[int, int]]:
        """Pairs (item, what its frame shows). `steps`: from when on the camera's clock is set so
        much ahead. `slow`: since when for how long the PLC does not answer."""
        pairing: Pairing[int] = Pairing(window=1.2, late=0.3)
        pairing.reset(0.0)
        events = [
            (at, 0, counter, shows, stamp + sum(by for since, by in steps if stamp - 700 >= since))
            for at, counter, shows, stamp in self._frames
        ]
        last = max((at for at, _ in self._told), default=0.0)
        asked = [n * poll for n in range(int(last / poll) + 100)]
        asked = [at for at in asked if not any(t < at < t + length for t, length in slow)]
        untold: dict[float, float] = {}
        for at, number in sorted(self._told):
            after = bisect_right(asked, at)
            untold[asked[after]] = asked[after - 1]
            events.append((asked[after], 1, number, 0, 0.0))
        found: list[Paired[int]] = []
        for at, kind, number, shows, stamp in sorted(events, key=lambda event: event[:2]):
            if pairing.due <= at:
                found += pairing.tick(pairing.due)
            if kind:
                found += pairing.trigger(number, at, untold[at])
            else:
                found += pairing.frame(number, shows, at, stamp if clock else None)
        return [(pair.number, pair.frame) for pair in found]


def wrong(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """A picture of another item. The second trigger of an item sees the item itself."""
    return [pair for pair in pairs if pair[0] % STRANGER != pair[1] % STRANGER]


STEADY: tuple[tuple[float, float], ...] = ()
STOPS = ((0.6, 1.0), (1.5, 0.0), (1.0, 1.0), (0.3, 0.0), (9.0, 1.0))
CREEPS = ((0.5, 1.0), (0.8, 0.3), (0.6, 1.0), (0.5, 0.15), (0.4, 0.7), (9.0, 1.0))
RIDES = {
    (pitch, gaps.__name__, name): Ride(pitch, gaps(70), speeds).times
    for pitch, gaps, (name, speeds) in product(
        PITCHES, (evenly, unevenly), (("steady", STEADY), ("stops", STOPS), ("creeps", CREEPS))
    )
}


@pytest.mark.parametrize("ride", RIDES, ids=str)
def test_one_trouble_at_any_item_never_gives_an_item_anothers_frame(
    ride: tuple[float, str, str],
) -> None:
    for item, (name, much) in product(range(1, 60, 2), EACH):
        pairs = Line(RIDES[ride], ride[0], [(item, name, much)], item).lived()
        assert not wrong(pairs), (item, name, much, wrong(pairs))


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(sorted(RIDES)),
    st.integers(1, 55),
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(TROUBLES), st.floats(0, 1)),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 1 << 16),
)
@example((0.1, "unevenly", "creeps"), 4, [(2, "late", 0.375), (4, "late", 0.5)], 0)
def test_nor_do_several_close_to_each_other(
    ride: tuple[float, str, str], first: int, near: list[Trouble], seed: int
) -> None:
    troubles = [(first + behind, name, much) for behind, name, much in near]
    assert not wrong(Line(RIDES[ride], ride[0], troubles, seed).lived())


def test_without_the_clock_they_do() -> None:
    """What the tests above hold is not held by the count alone."""
    times = RIDES[0.03, "evenly", "steady"]
    for name in ("extra", "missed", "untold", "phantom"):
        line = Line(times, 0.03, [(20, name, 0.5)])
        assert len(wrong(line.lived(clock=False))) > 20, name


@pytest.mark.parametrize("ride", RIDES, ids=str)
def test_without_a_trouble_every_item_has_its_frame(ride: tuple[float, str, str]) -> None:
    assert len(Line(RIDES[ride], ride[0], []).lived()) == 70


@pytest.mark.parametrize("pitch", PITCHES)
@pytest.mark.parametrize(
    ("name", "lost"), [("extra", 0), ("missed", 1), ("untold", 1), ("phantom", 0), ("lost", 1)]
)
def test_the_belt_need_not_stop_for_a_slip(pitch: float, name: str, lost: int) -> None:
    """Two frames that fit show by how much the counts have slipped; the others wait for them."""
    given = Line(RIDES[pitch, "evenly", "steady"], pitch, [(20, name, 0.3)]).lived()
    assert len({item for item, _ in given if item < STRANGER}) == 70 - lost


def test_a_frame_that_is_held_up_is_proven_by_when_it_was_taken() -> None:
    """Those behind it come with it, half a second late: the deadline is another's business."""
    given = Line(RIDES[0.05, "evenly", "steady"], 0.05, [(20, "late", 0.25)]).lived()
    assert len(given) == 70


@pytest.mark.parametrize("by", [-40.0, -0.1, -0.06, -0.05, 0.05, 0.06, 0.1, 40.0])
@pytest.mark.parametrize("pitch", PITCHES)
def test_a_clock_that_is_set_gives_no_item_anothers_frame(pitch: float, by: float) -> None:
    """Also by whole pitches; after two stops what it says now is believed."""
    gaps = [1.0 if n % 30 else 2.0 / pitch for n in range(1, 150)]
    times = Ride(pitch, gaps).times
    pairs = Line(times, pitch, []).lived(steps=[(times[40] - 0.001, by)])
    assert not wrong(pairs)
    assert {item for item, _ in pairs} >= {*range(40), *range(120, 149)}


def test_where_the_plc_is_asked_too_seldom_close_items_have_no_pair_and_others_do() -> None:
    for pitch, all_given in ((0.03, False), (0.1, True)):
        pairs = Line(RIDES[pitch, "evenly", "steady"], pitch, []).lived(poll=0.06)
        assert not wrong(pairs)
        assert (len(pairs) == 70) == all_given, pitch


@pytest.mark.parametrize("item", [0, 1, 2])
def test_an_item_that_is_told_slowly_is_proven_by_those_after_it(item: int) -> None:
    """Also the first ones, when hardly anything is known of the clock and the pitch."""
    times = RIDES[0.05, "evenly", "steady"]
    for ahead in (0.001, 0.004, 0.008):
        slow = [(times[item] - ahead, 0.015)]
        given = Line(times, 0.05, [], item).lived(slow=slow)
        assert not wrong(given)
        assert {number for number, _ in given} == set(range(70)), (item, ahead)


@pytest.mark.parametrize("pitch", [0.03, 0.05, 0.06])
def test_an_item_that_was_told_between_far_polls_waits_for_the_next(pitch: float) -> None:
    """Up to two thirds of a pitch: both neighbours' frames differ from its trigger."""
    times = Ride(pitch, evenly(70)).times
    for item, ahead in product(range(10, 60), (0.1, 0.3, 0.5)):
        slow = [(times[item] - ahead * pitch, 0.67 * pitch - 2 * POLL)]
        given = Line(times, pitch, [], item).lived(slow=slow)
        assert not wrong(given)
        assert {number for number, _ in given} == set(range(70)), (item, ahead)


@pytest.mark.parametrize("pitch", [0.03, 0.05])
def test_a_trigger_of_nothing_that_was_told_slowly_gets_no_frame(pitch: float) -> None:
    """The next item's frame could be its own, until the pair after it does not fit."""
    times = Ride(pitch, evenly(70)).times
    for item in range(10, 60):
        slow = [(times[item] + 0.6 * pitch, 0.7 * pitch)]
        assert not wrong(Line(times, pitch, [(item, "phantom", 1.0)], item).lived(slow=slow)), item


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([ride for ride in sorted(RIDES) if ride[0] < NEAR]),
    st.integers(2, 55),
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(TROUBLES), st.floats(0, 1)),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.tuples(st.integers(-1, 8), st.floats(0.005, 0.09)), min_size=1, max_size=4),
    st.integers(0, 1 << 16),
)
def test_a_plc_that_tells_slowly_gives_no_item_anothers_frame(
    ride: tuple[float, str, str],
    first: int,
    near: list[Trouble],
    slowly: list[tuple[int, float]],
    seed: int,
) -> None:
    troubles = [(first + behind, name, much) for behind, name, much in near]
    times = RIDES[ride]
    slow = [(times[first + behind], length) for behind, length in slowly]
    assert not wrong(Line(times, ride[0], troubles, seed).lived(slow=slow))


def test_it_is_silent_without_a_clock_before_the_first_pair_and_long_after_the_last() -> None:
    clock = FrameClock()
    assert clock.judge(500.0, 10.004, 9.999) is Word.SILENT
    clock.learn(1, 500.0, 10.004, 9.999, 10.01)
    assert clock.judge(500.0, 10.004, 9.999) is Word.FITS
    assert clock.judge(None, 10.004, 9.999) is Word.SILENT
    assert clock.judge(500.0 + 61, 71.004, 70.999) is Word.SILENT


def test_one_pair_is_enough_to_tell_neighbours_at_the_shortest_pitch_apart() -> None:
    clock = FrameClock()
    clock.learn(1, 500.0, 10.004, 9.999, 10.01)
    for apart in (-1, 1):
        assert clock.judge(500.03 + apart * 0.03, 10.034, 10.029) is Word.DIFFERS
    assert clock.judge(500.03, 10.034, 10.029) is Word.FITS
    assert clock.judge(500.03, 10.054, 10.014) is Word.UNSURE, "told between polls 40 ms apart"
    assert not clock.apart(500.03, 10.054, 10.014), "the next one may have been taken at it"
    assert clock.judge(500.03, 10.045, 10.025) is Word.UNSURE, "told between polls 20 ms apart"
    assert clock.apart(500.03, 10.045, 10.025)
