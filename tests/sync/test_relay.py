"""The relay's rules one by one, and against a consumer over a link that loses, doubles, swaps."""

import random
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.envelope import ZERO
from sync.messages import Ack
from sync.relay import FORK_RETRY, LONGEST_PATIENCE, PATIENCE, WINDOW, Heard, Relay, Sent

T = TypeVar("T")


def chain(seq: int, name: str = "a") -> str:
    """The hash at a row of a journal of that name."""
    return f"{name}{seq:x}".rjust(32, "0") if seq else ZERO


def ack(
    upto: int, *, rewind: bool = False, epoch: str = "e", name: str = "a", fork: str = ""
) -> Ack:
    return Ack(epoch=epoch, upto=upto, hash=chain(upto, name), rewind=rewind, fork=fork)


def relay(acked: int = 0, last: int | None = None, window: int = WINDOW) -> Relay:
    return Relay("e", last, acked, window=window)


def send(one: Relay, size: int = 10, now: float = 0.0) -> Sent | None:
    first = one.wanted(now)
    if first is None:
        return None
    last = first + size - 1 if one.last is None else min(first + size - 1, one.last)
    batch = Sent(first, last, chain(last))
    one.sent(batch, now)
    return batch


def fill(one: Relay, now: float = 0.0) -> int:
    """Send as many batches as may be sent."""
    count = 0
    while send(one, now=now):
        count += 1
    return count


def opened(window: int = WINDOW) -> Relay:
    """A relay with a wide open window and 10 batches acknowledged."""
    one = relay(window=window)
    for n in range(10):
        send(one)
        one.heard(ack(10 * n + 10), chain(10 * n + 10), 0)
    return one


def test_before_the_consumer_has_spoken_one_batch_is_sent() -> None:
    one = relay(50)
    assert send(one) == Sent(51, 60, chain(60))
    assert one.wanted(0) is None
    assert one.heard(ack(60), chain(60), 0) is Heard.MOVED
    assert fill(one) == 2


def test_the_window_opens_with_each_acknowledgement_and_is_bounded() -> None:
    assert fill(opened()) == WINDOW
    assert fill(opened(window=4)) == 4


def test_only_the_consumer_moves_it() -> None:
    one = opened()
    fill(one)
    assert one.acked == 100
    one.heard(ack(130), chain(130), 0)
    assert one.acked == 130
    assert [sent.first for sent in one.flight] == list(range(131, 181, 10))


def test_an_acknowledgement_within_a_batch_moves_to_its_row() -> None:
    """The cuts of an earlier connection were others."""
    one = relay(0)
    send(one, size=100)
    assert one.heard(ack(37, rewind=True), chain(37), 0) is Heard.REWOUND
    assert one.acked == 37
    assert one.wanted(0) == 38


def test_what_was_acknowledged_before_is_skipped() -> None:
    """The acknowledgement was lost: the consumer says it again."""
    one = relay(0)
    send(one, size=10)
    assert one.heard(ack(500), chain(500), 0) is Heard.MOVED
    assert one.wanted(0) == 501


def test_another_epoch_is_ignored() -> None:
    one = opened()
    fill(one)
    assert one.heard(ack(130, epoch="f"), chain(130), 0) is Heard.OTHER_EPOCH
    assert one.heard(ack(130, epoch="f", fork="x"), chain(130), 0) is Heard.OTHER_EPOCH
    assert one.acked == 100
    assert not one.fork


def test_a_late_acknowledgement_changes_nothing() -> None:
    one = opened()
    count = fill(one)
    assert one.heard(ack(40), chain(40), 0) is Heard.NOTHING_NEW
    assert (one.acked, len(one.flight)) == (100, count)


def test_a_consumer_that_forgot_gets_it_again() -> None:
    one = opened()
    fill(one)
    assert one.heard(ack(30, rewind=True), chain(30), 0) is Heard.REWOUND
    assert one.acked == 30
    assert one.wanted(0) == 31


def test_the_echoes_of_one_lost_batch_rewind_once() -> None:
    one = opened()
    count = fill(one)
    assert one.heard(ack(100, rewind=True), chain(100), 0) is Heard.REWOUND
    again = fill(one)
    assert again == WINDOW // 2
    for _ in range(count - 2):
        assert one.heard(ack(100, rewind=True), chain(100), 0) is Heard.NOTHING_NEW
        assert len(one.flight) == again
    assert one.heard(ack(110), chain(110), 0) is Heard.MOVED
    assert one.heard(ack(110, rewind=True), chain(110), 0) is Heard.REWOUND


def test_silence_sends_everything_again_ever_more_slowly() -> None:
    one = opened()
    fill(one, now=5)
    assert not one.tick(5 + PATIENCE - 0.1)
    assert one.tick(5 + PATIENCE)
    assert one.acked == 100
    now, waits = 5 + PATIENCE, []
    for _ in range(4):
        assert fill(one, now=now) == 1
        began = now
        while not one.tick(now):
            now += 0.5
        waits.append(now - began)
    assert waits == [2 * PATIENCE, LONGEST_PATIENCE, LONGEST_PATIENCE, LONGEST_PATIENCE]
    send(one, now=now)
    one.heard(ack(110), chain(110), now)
    send(one, now=now)
    assert one.tick(now + PATIENCE)


def test_nothing_in_flight_is_no_silence() -> None:
    assert not opened().tick(1e9)


def test_a_lost_connection_forgets_what_was_in_flight() -> None:
    one = opened()
    fill(one)
    one.lost()
    assert one.wanted(0) == 101
    assert fill(one) == 1


@pytest.mark.parametrize(
    ("say", "ours", "why"),
    [
        (ack(130, fork="another chain"), chain(130), "another chain"),
        (ack(130, name="b"), chain(130), "is not row 130 of our journal"),
        (ack(90, name="b"), chain(90), "is not row 90"),
        (ack(100, name="b", rewind=True), chain(100), "is not row 100"),
        (ack(9_999), None, "does not have"),
        (ack(30, rewind=True), None, "any more"),
    ],
)
def test_a_chain_that_is_not_ours_stops_it(say: Ack, ours: str | None, why: str) -> None:
    one = opened()
    fill(one)
    assert one.heard(say, ours, 7) is Heard.FORK
    assert why in one.fork
    assert one.acked == 100
    assert one.wanted(7 + FORK_RETRY - 1) is None
    assert not one.tick(7 + FORK_RETRY - 1)
    assert fill(one, now=7 + FORK_RETRY) == 1
    assert one.heard(ack(110), chain(110), 8 + FORK_RETRY) is Heard.MOVED
    assert not one.fork


def test_an_epoch_ends_at_its_last_row() -> None:
    one = relay(0, last=25)
    while send(one):
        one.heard(ack(one.flight[-1].last), chain(one.flight[-1].last), 0)
    assert one.acked == 25
    assert one.finished
    one.enter("f", None)
    assert one.wanted(0) == 26
    assert fill(one) == 1
    assert one.heard(ack(30, epoch="e"), chain(30), 0) is Heard.OTHER_EPOCH


def test_after_a_restore_the_cloud_may_have_more_of_the_old_epoch() -> None:
    """The rows that the backup lacks are in the cloud alone; the new epoch goes on without."""
    one = relay(0, last=25)
    send(one)
    assert one.heard(ack(70), None, 0) is Heard.MOVED
    assert one.finished
    assert one.acked == 25


def test_a_batch_that_was_not_wanted_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not wanted"):
        relay(0).sent(Sent(2, 3, chain(3)), 0)


class Consumer:
    """The consumer's rule, over one agent and epoch."""

    def __init__(self) -> None:
        self.upto = 0
        self.rows: list[int] = []

    def take(self, batch: Sent) -> Ack:
        if batch.last <= self.upto:
            return ack(self.upto)
        if batch.first != self.upto + 1:
            return ack(self.upto, rewind=True)
        self.rows += range(batch.first, batch.last + 1)
        self.upto = batch.last
        return ack(self.upto)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.3]), st.booleans())
def test_whatever_the_link_does_every_row_arrives_once_in_order(
    seed: int, trouble: float, amnesia: bool
) -> None:
    chance = random.Random(seed)
    rows = 400
    one, consumer = relay(0), Consumer()
    now = 0.0
    up: list[Sent] = []
    down: list[Ack] = []

    def carry(link: list[T]) -> Iterator[T]:
        """What comes out of the link: something is lost, doubled, or overtaken."""
        while link:
            what = link.pop(1 if len(link) > 1 and chance.random() < trouble else 0)
            if chance.random() < trouble:
                continue
            if chance.random() < trouble:
                link.append(what)
            yield what

    for _ in range(20_000):
        now += 1
        if one.acked == rows:
            break
        if chance.random() < trouble / 5:
            one.lost()
            up.clear()
        if amnesia and chance.random() < 0.002:  # the cloud was restored from a backup
            consumer.upto = max(0, consumer.upto - 30)
            del consumer.rows[consumer.upto :]
        while (first := one.wanted(now)) is not None and first <= rows:
            last = min(first + chance.randint(0, 20), rows)
            batch = Sent(first, last, chain(last))
            one.sent(batch, now)
            up.append(batch)
        down += [consumer.take(batch) for batch in carry(up)]
        for said in carry(down):
            one.heard(said, chain(said.upto), now)
        one.tick(now)
        assert not one.fork
    assert one.acked == rows
    assert consumer.rows == list(range(1, rows + 1))
