"""Whatever a day brings to camera and PLC, alone or two at a time, no item gets another's frame.

The model is the belt with everything that goes wrong between the photo-eye and us; every trouble is
tried at every item, on belts that run evenly, unevenly, fast, and with stops in between.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import pytest

from agent.line.pairing import ADRIFT, Paired, Pairing

WINDOW, DEADLINE = 1.2, 0.3
POLL = 0.005
SHIFT = 5.0  # when the first item comes
FRAME = 0.011  # s that a picture takes

BELTS = {
    "even": [0.1] * 14,
    "uneven": [0.1, 0.16, 0.1, 0.13, 0.1, 0.24, 0.1, 0.1, 0.17, 0.1, 0.11, 0.2, 0.1, 0.1],
    "stops": [0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 2.5, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 3.0],
    "slow": [1.5, 0.9, 1.5, 2.5, 0.7, 1.5, 1.5, 1.5],
}

SECOND = 100
"""What a second trigger of an item adds to its number."""
LEAD_IN = [0.1] * 10
"""Items after a start to which nothing happens: from them it learns how late frames are."""

Trouble = tuple[str, float]
TROUBLES: tuple[Trouble, ...] = (
    ("lost", 0),
    ("extra", 0.03),
    ("late", 0.2),
    ("late", 0.5),
    ("late", 1.1),
    ("late", 1.9),
    ("twice", 0),
    ("missed", 0),  # the camera was not ready: no picture, no number
    ("untold", 0),  # the PLC fires the camera and never tells
    ("double", 0.04),  # a second trigger, with its own number and picture
)


class Belt:
    """What reaches us of a belt: (time, what), in order of time."""

    def __init__(self, gaps: Sequence[float], troubles: Sequence[tuple[int, Trouble]]) -> None:
        self._befall: dict[int, list[Trouble]] = {}
        for at, trouble in troubles:
            self._befall.setdefault(at, []).append(trouble)
        self._told: list[tuple[float, int]] = []  # fired at, number
        self._frames: list[tuple[float, int, int]] = []  # arrives at, counter, shows
        self._counter = 0
        self._behind = 0.0
        now = SHIFT
        for item, gap in enumerate([*LEAD_IN, *gaps], 1 - len(LEAD_IN)):
            self._item(now, item)
            now += gap
        self._end = now + 4.0

    def _item(self, now: float, item: int) -> None:
        befallen = dict(self._befall.get(item, ()))
        self._fire(now, item, befallen)
        if "double" in befallen:
            self._fire(now + befallen["double"], SECOND + item, {})

    def _fire(self, now: float, number: int, befallen: dict[str, float]) -> None:
        item = number % SECOND
        if "untold" not in befallen:
            self._told.append((now, number))
        if "missed" in befallen:
            return
        self._counter += 1
        if "lost" not in befallen:
            self._show(now, item, befallen.get("late", 0.0))
        if "twice" in befallen:
            self._show(now, item, 0.0)
        if "extra" in befallen:
            self._counter += 1
            self._show(now + befallen["extra"], item, 0.0)

    def _show(self, now: float, shows: int, late: float) -> None:
        self._behind = max(self._behind, now + FRAME + late)
        self._frames.append((self._behind, self._counter, shows))

    def lived(self) -> list[tuple[int, int]]:
        """Pairs (item, the item that its frame shows)."""
        pairing: Pairing[int] = Pairing(window=WINDOW, late=DEADLINE)
        pairing.reset(0.0)
        events: list[tuple[float, int, int, int]] = [
            (at, 0, counter, shows) for at, counter, shows in self._frames
        ]
        for fired, item in self._told:
            poll = (fired // POLL + 1) * POLL
            events.append((poll, 1, item, 0))
        found: list[Paired[int]] = []
        for at, kind, number, shows in sorted(events, key=lambda event: event[:2]):
            if pairing.due <= at:
                found += pairing.tick(pairing.due)
            if kind:
                found += pairing.trigger(number, at, at - POLL)
            else:
                found += pairing.frame(number, shows, at)
        return [(pair.number % SECOND, pair.frame) for pair in found]


def cases(gaps: Sequence[float], count: int) -> Iterator[tuple[tuple[int, Trouble], ...]]:
    """Every `count` troubles at every item but those of the lead-in."""
    yield from combinations(product(range(1, len(gaps) + 1), TROUBLES), count)


def tells_itself_apart(troubles: Sequence[tuple[int, Trouble]]) -> bool:
    """Two troubles of one item can make up for each other: a picture too many where a trigger is
    missing, or two pictures within what the PLC may be late. No count and no time tells that."""
    items = [item for item, _ in troubles]
    names = {name for _, (name, _) in troubles}
    unseen = "untold" in names or names == {"extra", "double"}
    return len(set(items)) == len(items) or not unseen


@pytest.mark.parametrize("belt", BELTS)
def test_one_trouble_never_gives_an_item_anothers_frame(belt: str) -> None:
    for troubles in cases(BELTS[belt], 1):
        wrong = [pair for pair in Belt(BELTS[belt], troubles).lived() if pair[0] != pair[1]]
        assert not wrong, f"{troubles}: {wrong}"


@pytest.mark.parametrize("belt", BELTS)
def test_nor_do_two_of_them(belt: str) -> None:
    for troubles in filter(tells_itself_apart, cases(BELTS[belt], 2)):
        wrong = [pair for pair in Belt(BELTS[belt], troubles).lived() if pair[0] != pair[1]]
        assert not wrong, f"{troubles}: {wrong}"


def paired(belt: str, *troubles: tuple[int, Trouble]) -> set[int]:
    return {item for item, _ in Belt(BELTS[belt], troubles).lived()}


def test_without_a_trouble_every_item_has_its_frame() -> None:
    for belt, gaps in BELTS.items():
        assert len(paired(belt)) == len(LEAD_IN) + len(gaps)


def test_a_late_frame_costs_those_that_are_late_with_it_and_no_stop() -> None:
    """Half a second is five items; the first after them proves that none was missed."""
    everything = paired("even")
    assert everything - paired("even", (3, ("late", 0.5))) == {3, 4, 5, 6, 7}


def test_a_frame_too_many_costs_all_until_the_next_stop() -> None:
    assert paired("even") - paired("even", (3, ("extra", 0.03))) == set(range(4, 15))
    assert paired("stops") - paired("stops", (5, ("extra", 0.03))) == {6, 7}


def test_a_missed_picture_is_noticed_at_the_next_one_while_frames_come_quickly() -> None:
    """Without a stop nothing is paired any more; the second silence after it is believed."""
    assert paired("even") - paired("even", (3, ("missed", 0))) == set(range(3, 15))
    assert paired("stops") - paired("stops", (2, ("missed", 0))) == set(range(2, 8))


def test_the_belt_is_asked_to_stop_soon_after_the_last_certain_pair() -> None:
    pairing: Pairing[int] = Pairing(window=WINDOW)
    at = SHIFT
    for item in (1, 2, 3):
        pairing.trigger(item, at, at - POLL)
        assert pairing.frame(item, item, at + FRAME)
        at += 0.1
    pairing.frame(4, 0, at - 0.08)  # nobody fired it
    asked = []
    for item in range(4, 10):
        pairing.trigger(item, at, at - POLL)
        asked.append(pairing.adrift(at))
        pairing.frame(item + 1, item, at + FRAME)
        at += 0.1
    assert asked == [False] * ADRIFT + [True] * (6 - ADRIFT)


def test_a_camera_that_becomes_slower_is_believed_after_a_few_stops() -> None:
    pairing: Pairing[int] = Pairing(window=WINDOW, late=DEADLINE)
    at, found = SHIFT, set()
    for item in range(1, 80):
        slow = 0.15 if item > 20 else 0.0
        pairing.trigger(item, at, at - POLL)
        found |= {pair.number for pair in pairing.frame(item, item, at + FRAME + slow)}
        at += 1.0 if item % 10 == 0 else 0.2
    assert set(range(1, 21)) <= found
    assert not found & set(range(21, 51)), "too late to be certain"
    assert set(range(51, 80)) <= found
