"""Frames and triggers while items follow each other closely: nothing is paired by chance."""

from collections.abc import Callable

from agent.line.lone import Lone
from agent.line.pairing import Pairing

PITCH = 0.03  # 120,000 an hour
TRIGGER, FRAME = 0.003, 0.012  # seconds after the exposure


def play(
    pairing: Pairing[int],
    items: range,
    *,
    counter: Callable[[int], int] = lambda item: item,
    reset_before_frame_of: int = 0,
    start: float = 10.0,
) -> list[tuple[int, int]]:
    """Pairs (item that the trigger named, item that the picture shows) of a belt that runs."""
    events = [(start + n * PITCH + TRIGGER, "trigger", n) for n in items]
    events += [(start + n * PITCH + FRAME, "frame", n) for n in items]
    found: list[tuple[int, int]] = []
    for at, kind, item in sorted(events):
        if kind == "trigger":
            pairs = pairing.trigger(item, at)
        else:
            if item == reset_before_frame_of:
                pairing.reset(at)
            pairs = pairing.frame(counter(item), item, at)
        found += [(pair.number, pair.frame) for pair in pairs]
    return found


def test_a_belt_that_starts_from_rest_is_paired_from_its_first_item() -> None:
    assert play(Pairing(1.0), range(1, 101)) == [(n, n) for n in range(1, 101)]


def test_a_camera_that_counts_anew_while_the_belt_runs_is_not_paired_with_the_next_item() -> None:
    pairing: Pairing[int] = Pairing(1.0)
    pairs = play(pairing, range(1, 201), counter=lambda n: n if n < 50 else n - 49)
    assert pairs == [(n, n) for n in range(1, 50)]
    assert pairing.slips == 1


def test_a_reset_between_trigger_and_frame_pairs_nothing_until_a_silence() -> None:
    pairing: Pairing[int] = Pairing(1.0)
    assert play(pairing, range(1, 101), reset_before_frame_of=50) == [(n, n) for n in range(1, 50)]
    assert pairing.adrift(13.1)
    assert not pairing.adrift(13.7)
    assert play(pairing, range(101, 111), start=20.0) == [(n, n) for n in range(101, 111)]


def test_a_belt_that_runs_already_when_the_agent_starts_is_not_paired_by_chance() -> None:
    pairing: Pairing[int] = Pairing(1.0)
    pairing.reset(10.0)  # now the agent begins to listen; item 1 came before
    assert play(pairing, range(2, 101), reset_before_frame_of=10) == []


def uncounted() -> Lone[str]:
    return Lone(window=0.3)


def test_a_reader_without_numbers_pairs_what_stands_alone() -> None:
    pairing = uncounted()
    assert pairing.trigger(1, 10.000) == []
    assert [p.number for p in pairing.frame(1, "a", 10.020)] == [1]
    # The reading may be known before the poll that tells of its trigger.
    assert pairing.frame(2, "b", 10.099) == []
    assert [p.frame for p in pairing.trigger(2, 10.105)] == ["b"]


def test_a_lost_reading_costs_its_neighbours_and_shifts_nothing() -> None:
    pairing = uncounted()
    pairing.trigger(1, 10.0)  # its reading is lost
    pairing.trigger(2, 10.1)
    assert pairing.frame(1, "of 2", 10.12) == []
    pairing.trigger(3, 10.2)
    assert pairing.frame(2, "of 3", 10.22) == []  # it might have been owed
    pairing.trigger(4, 10.3)
    assert [(p.number, p.frame) for p in pairing.frame(3, "of 4", 10.32)] == [(4, "of 4")]


def test_a_late_reading_is_never_taken_for_the_next_items() -> None:
    pairing = uncounted()
    pairing.trigger(1, 10.0)
    pairing.trigger(2, 10.1)
    assert pairing.frame(1, "of 1", 10.11) == []
    assert pairing.frame(2, "of 2", 10.12) == []
    assert pairing.trigger(3, 10.2) == []
    assert [(p.number, p.frame) for p in pairing.frame(3, "of 3", 10.22)] == [(3, "of 3")]


def test_a_trigger_that_was_lost_without_a_trace_is_found_at_the_next_silence() -> None:
    pairing: Pairing[str] = Pairing(window=1.0)
    pairing.reset(0.0)
    pairing.trigger(1, 10.0)
    assert [p.number for p in pairing.frame(1, "of 1", 10.01)] == [1]
    pairing.frame(2, "of 2", 10.11)  # the PLC lost this one's trigger
    pairing.trigger(4, 11.0)
    assert [(p.number, p.frame) for p in pairing.frame(3, "of 4", 11.01)] == [(4, "of 4")]
    assert pairing.slips == 1
