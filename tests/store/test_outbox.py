"""The journal as the queue to the cloud: what is kept, what is counted, what it says of a row."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.ports.cloud import Acked, Parked
from agent.store import journal, outbox
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from tests.store.store_help import Plant


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path).load()
    yield plant
    plant.close()


@pytest.fixture
def port(plant: Plant) -> Iterator[Outbox]:
    plant.writer.start()
    readers = Readers(plant.path, plant.key_file, 2)
    yield Outbox(readers, plant.writer)
    readers.close()
    plant.writer.close()


def test_what_is_kept_is_there_after_a_restart(plant: Plant, port: Outbox) -> None:
    assert port.acked() == Acked()
    port.keep(3, "ab" * 16, b"state")
    port.park([Parked(2, 0, "agent", "why", b"{}"), Parked(2, 0, "cloud", "no")])
    port.park([Parked(2, 0, "agent", "again", b"")])
    kept = port.acked()
    assert (kept.seq, kept.hash) == (3, "ab" * 16)
    assert kept.at_ms > 0
    assert port.mark(2) == (0, b"")
    assert port.mark(3) == port.mark(99) == (3, b"state")
    assert port.parked() == 2
    with port.view() as view:
        listed = outbox.parked(view._conn)
    assert [(each["side"], each["reason"]) for each in listed] == [
        ("cloud", "no"),
        ("agent", "why"),
    ]


def test_it_may_go_back(port: Outbox) -> None:
    port.keep(7, "ab" * 16, None)
    port.keep(2, "cd" * 16, None)
    assert port.acked().seq == 2


def test_states_are_kept_ever_further_apart(port: Outbox) -> None:
    for n in range(1, 401):
        port.keep(1_000 * n, "ab" * 16, b"s")
    distances = [400_000 - port.mark(seq)[0] for seq in range(1_000, 400_001, 1_000)]
    kept = sorted(set(distances))
    assert kept[0] == 0
    assert len(kept) < 50
    for seq in range(1_000, 400_001, 1_000):
        behind = seq - port.mark(seq)[0]
        assert behind <= max(4 * outbox.MARKS, 400_000 - seq), seq


def test_the_chain_is_known_at_every_row(plant: Plant, port: Outbox) -> None:
    rows = list(journal.rows(plant.conn))
    with port.view() as view:
        assert view.hash_at(0) == "0" * 32
        for row in rows:
            assert view.hash_at(row.seq) == row.hash.hex()
        assert view.hash_at(rows[-1].seq + 1) is None
        assert [entry.seq for entry in view.rows(2, 3)] == [2, 3, 4]
        assert view.rows(rows[-1].seq + 1, 3) == []


def test_the_chain_is_known_where_it_was_acknowledged_though_the_row_is_elsewhere(
    port: Outbox,
) -> None:
    port.keep(70_000, "ab" * 16, None)
    with port.view() as view:
        assert view.hash_at(70_000) == "ab" * 16
        assert view.hash_at(69_999) is None


def test_epochs_have_their_rows(plant: Plant) -> None:
    last = journal.tail(plant.conn)[0]
    first = outbox.epoch_at(plant.conn, 1)
    assert (first.first, first.last) == (1, None)
    assert outbox.epoch_at(plant.conn, last + 1) == first
    plant.writer.run_inline(lambda conn: journal.begin_epoch(conn, "second"))
    assert outbox.epoch_at(plant.conn, last) == first._replace(last=last)
    assert outbox.epoch_at(plant.conn, last + 1) == ("second", last + 1, None)


def test_the_backlog_is_counted_as_it_changes(plant: Plant) -> None:
    readers = Readers(plant.path, plant.key_file, 1)
    port = Outbox(readers, plant.writer)

    def check() -> None:
        assert port.backlog() == outbox.backlog(plant.conn)

    check()
    before = port.backlog()
    plant.put(*plant.case(1, 0, 0))
    check()
    after = port.backlog()
    assert after.items - before.items == 4
    assert after.rows > before.rows
    assert after.oldest_ms == next(iter(journal.rows(plant.conn))).wall_ms
    for seq in (after.last - 2, 3, after.last, after.last - 1):
        plant.writer.run_inline(lambda conn, seq=seq: outbox.keep(conn, seq, "ab" * 16, None))
        check()
        assert port.backlog().rows == after.last - seq
    plant.writer.run_inline(lambda conn: outbox.keep(conn, after.last, "ab" * 16, None))
    assert port.backlog() == (0, 0, None, after.last)
    readers.close()
