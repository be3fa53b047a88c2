"""Batches from a journal: however they are cut, the same documents; a chain without a gap."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.facts import Fact
from agent.ports.cloud import Parked
from agent.store import journal
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from agent.store.record import record
from sync import envelope
from sync.build import Builder, Built, Stopped
from sync.envelope import Batch
from sync.uris import Identity
from tests.store.store_help import LINE, ORDER, Plant, at, shift

US = Identity("acme", "plant-1", "box-7")


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    yield plant
    plant.close()


@pytest.fixture
def port(plant: Plant) -> Iterator[Outbox]:
    plant.writer.start()
    readers = Readers(plant.path, plant.key_file, 3)
    yield Outbox(readers, plant.writer)
    readers.close()
    plant.writer.close()


def batch(built: Built) -> Batch:
    decoded = envelope.decode(built.payload)
    assert isinstance(decoded, Batch), decoded
    assert (decoded.first, decoded.last, decoded.hash) == (built.first, built.last, built.hash)
    return decoded


def everything(builder: Builder, first: int = 1) -> list[Built]:
    found = []
    while built := builder.build(first):
        found.append(built)
        first = built.last + 1
    return found


def documents(batches: list[Built]) -> list[tuple[int, int, int, bytes]]:
    return [
        (doc.seq, doc.n, doc.of, bytes(doc.doc)) for built in batches for doc in batch(built).docs
    ]


def test_the_batches_cover_the_journal_in_an_unbroken_chain(plant: Plant, port: Outbox) -> None:
    rows = {row.seq: row.hash.hex() for row in journal.rows(plant.conn)}
    built = everything(Builder(port, US, rows=7))
    assert [b.first for b in built] == [1, *(b.last + 1 for b in built[:-1])]
    assert built[-1].last == max(rows)
    before = envelope.ZERO
    for each in map(batch, built):
        assert each.prev == before
        assert each.hash == rows[each.last]
        assert each.began == 1
        before = each.hash
    assert sum(b.items for b in built) == port.backlog().items
    assert not [b.parked for b in built if b.parked]


def test_how_a_journal_is_cut_changes_no_document(port: Outbox) -> None:
    whole = documents(everything(Builder(port, US)))
    assert len(whole) > 15
    for rows in (1, 3, 50):
        assert documents(everything(Builder(port, US, rows=rows))) == whole
    assert documents(everything(Builder(port, US, bytes_=3_000))) == whole


def test_a_batch_ends_when_it_is_large_and_never_within_a_row(port: Outbox) -> None:
    built = everything(Builder(port, US, bytes_=3_000, room=12_000))
    assert len(built) > 5
    assert documents(built) == documents(everything(Builder(port, US)))
    for each in map(batch, built):
        counts = {doc.seq: doc.of for doc in each.docs}
        assert len(each.docs) == sum(counts.values())


def test_a_row_too_far_is_the_next_batchs(port: Outbox) -> None:
    """What fits is known only when the row has been translated."""
    built = everything(Builder(port, US, room=4_000))
    assert max(b.plain for b in built) <= 4_000
    assert len(built) > 5
    whole = documents(everything(Builder(port, US)))
    assert documents(built) == whole
    for each in built:  # and so is the state that is kept
        port.keep(each.last, each.hash, each.state)
        rest = documents(everything(Builder(port, US), each.last + 1))
        assert rest == [doc for doc in whole if doc[0] > each.last]


@pytest.mark.parametrize("marks", [(), (10,), (10, 25, 40)])
def test_it_goes_on_at_any_row_as_if_it_had_come_there(
    plant: Plant, port: Outbox, marks: tuple[int, ...]
) -> None:
    """After a restart, or where the consumer says."""
    whole = documents(everything(Builder(port, US)))
    for built in everything(Builder(port, US, rows=1)):
        if built.last in marks:
            port.keep(built.last, built.hash, built.state)
    last = journal.tail(plant.conn)[0]
    one = Builder(port, US, rows=5)
    for first in (last - 3, 2, 30, 17, 12):
        again = documents(everything(one, first))
        assert again == [doc for doc in whole if doc[0] >= first]


def test_a_state_of_another_version_is_not_used(port: Outbox) -> None:
    whole = documents(everything(Builder(port, US)))
    port.keep(20, "ab" * 16, b'{"seq":"of another version"}')
    assert documents(everything(Builder(port, US), 21)) == [doc for doc in whole if doc[0] > 20]


def test_a_batch_has_one_epoch(plant: Plant, port: Outbox) -> None:
    last = journal.tail(plant.conn)[0]
    plant.writer.wait(lambda conn: journal.begin_epoch(conn, "second"))
    assert everything(Builder(port, US))[-1].last == last
    put(plant, f.AgentStarted("2"), f.AgentStarted("3"))
    built = everything(Builder(port, US))
    borders = [(b.first, b.last) for b in built]
    assert borders[-1] == (last + 1, last + 2)
    assert borders[-2][1] == last
    newest = batch(built[-1])
    assert (newest.epoch, newest.began) == ("second", last + 1)
    assert newest.prev == batch(built[-2]).hash


def put(plant: Plant, *facts: Fact) -> None:
    """As Plant.put, where the writer has its thread."""
    plant.tick += 1
    plant.writer.wait(lambda conn: record(conn, LINE, facts, at(plant.tick)))


def test_the_journal_goes_on_growing(plant: Plant, port: Outbox) -> None:
    builder = Builder(port, US)
    first = everything(builder)
    assert builder.build(first[-1].last + 1) is None
    put(plant, *plant.case(60, 100, 40))
    more = builder.build(first[-1].last + 1)
    assert more is not None
    assert more.items == 4
    both = documents([*first, more])
    assert both == documents(everything(Builder(port, US)))


def test_a_row_with_more_than_a_batch_carries_does_not_stop_the_stream(port: Outbox) -> None:
    whole = documents(everything(Builder(port, US)))
    built = everything(Builder(port, US, room=1_500))
    parked = [each for b in built for each in b.parked]
    assert parked
    assert {each.reason.split(":")[0] for each in parked} == {"too_long"}
    left = {(each.seq, each.n): each.body for each in parked}
    kept = {(seq, n): body for seq, n, _, body in documents(built)}
    assert left | kept == {(seq, n): body for seq, n, _, body in whole}
    assert not left.keys() & kept.keys()


def test_a_document_that_does_not_pass_is_kept_here_and_the_rest_goes_on(plant: Plant) -> None:
    """An operator whose name nobody could put into a URI would be one; a base that is none is."""
    readers = Readers(plant.path, plant.key_file, 3)
    builder = Builder(Outbox(readers, plant.writer), Identity("a", "b", "c", base="no uri"))
    built = builder.build(1)
    readers.close()
    assert built is not None
    assert built.last == journal.tail(plant.conn)[0]
    assert built.parked
    one = built.parked[0]
    assert isinstance(one, Parked)
    assert one.side == "agent"
    assert ":" in one.reason
    assert json.loads(one.body)["type"] == "EPCISDocument"


def test_a_row_that_cannot_be_told_does_not_stop_the_stream(plant: Plant) -> None:
    """A unit whose beginning the journal does not know: only a damaged one has it."""
    plant.put(f.AgentStarted("x"))
    plant.writer.run_inline(
        lambda conn: journal.append(conn, "line-1", [f.UnitsSampled((999,), "lab", "li")], at(999))
    )
    plant.put(f.AgentStarted("y"))
    readers = Readers(plant.path, plant.key_file, 3)
    built = Builder(Outbox(readers, plant.writer), US).build(1)
    readers.close()
    assert built is not None
    last = journal.tail(plant.conn)[0]
    assert built.last == last
    assert [(each.seq, each.n) for each in built.parked] == [(last - 1, 0)]
    assert built.parked[0].reason.startswith("untranslatable: ")


def test_it_ends_when_it_is_told_to(port: Outbox) -> None:
    builder = Builder(port, US)
    builder.stop()
    with pytest.raises(Stopped):
        builder.build(1)


def test_orders_are_told(port: Outbox) -> None:
    text = b"".join(doc[3] for doc in documents(everything(Builder(port, US))))
    assert ORDER.number.encode() in text
    assert b"CAP-" not in text
