"""One command on its way: whatever is lost, all of it arrives, with few parts sent twice."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sync import parts
from sync.cloud.delivery import WINDOW, Delivery
from sync.messages import Answer


def incomplete(count: int, have: set[int]) -> Answer:
    missing = [list(each) for each in parts.missing(count, have)]
    return Answer(id="c", ok=False, reason="incomplete", body={"missing": missing})


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 10_000), st.sampled_from([0, 0.2]))
def test_all_parts_arrive_whatever_is_lost(count: int, before: int, seed: int, loss: float) -> None:
    rng = random.Random(seed)
    have = set(rng.sample(range(count), min(before, count)))
    delivery = Delivery(count)
    now, sent, words = 0.0, 0, list[Answer]()
    for _ in range(10_000):
        batch = delivery.wanted(now)
        assert len(batch) <= WINDOW
        sent += len(batch)
        for n in batch:
            assert 0 <= n < count
            if rng.random() < loss:
                continue
            have.add(n)
            if len(have) == count:
                words.append(Answer(id="c", ok=True))
            elif rng.random() >= loss:
                words.append(incomplete(count, have))
        if words:
            if delivery.heard(words.pop(0), now):
                break
        else:
            now += 1.0
    else:
        raise AssertionError("it never arrived")
    assert len(have) == count
    if not loss:
        assert now == 0.0
        assert sent <= count + 1


def test_what_is_there_already_is_not_sent_again() -> None:
    delivery = Delivery(100)
    assert delivery.wanted(0.0) == [0]
    assert delivery.wanted(1.0) == []
    assert not delivery.heard(incomplete(100, set(range(95))), 1.0)
    assert delivery.wanted(1.0) == [95, 96, 97, 98, 99]
    delivery.lost()
    assert len(delivery.wanted(1.0)) == 1


def test_silence_is_met_by_one_part_less_and_less_often() -> None:
    delivery = Delivery(10, patience=5.0)
    at, times = 0.0, list[float]()
    while at < 400:
        if delivery.wanted(at):
            times.append(at)
        at += 1
    assert times[:5] == [0, 5, 15, 35, 75]
    assert times[-1] - times[-2] == 60


def test_an_agent_that_cannot_yet_gets_a_pause() -> None:
    delivery = Delivery(1, pause=2.0)
    later = Answer(id="c", ok=False, reason="try_later")
    assert delivery.wanted(0.0) == [0]
    assert not delivery.heard(later, 0.0)
    assert delivery.wanted(1.0) == []
    assert delivery.wanted(2.0) == [0]
    assert not delivery.heard(later, 2.0)
    assert delivery.wanted(5.0) == []
    assert delivery.wanted(6.0) == [0]
    assert delivery.heard(Answer(id="c", ok=False, reason="pool_exists"), 6.0)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=8))
def test_an_answer_that_makes_no_sense_does_no_harm(body: object) -> None:
    delivery = Delivery(5)
    assert delivery.wanted(0.0) == [0]
    word = Answer(id="c", ok=False, reason="incomplete", body={"missing": body})
    assert not delivery.heard(word, 0.0)
    assert all(0 <= n < 5 for n in delivery.wanted(0.0))
