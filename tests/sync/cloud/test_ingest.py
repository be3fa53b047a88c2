"""The consumer's rule, on both databases: applied once, in order, or answered with why not."""

import msgspec
import pytest

from agent.core.errors import DomainError
from sync.cloud import notices
from sync.cloud.ingest import Prepared
from sync.envelope import ZERO, encode
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case


def test_a_batch_is_applied_once_however_often_it_comes(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(24))
    first = cloud.take(agent.cut())
    again = cloud.take(agent.cut())
    assert (first.upto, first.hash, first.rewind, first.fork) == (1, agent.chains[1], False, "")
    assert again == first
    assert [cloud.count(table) for table in ("unit", "link", "box", "batch")] == [25, 24, 1, 1]


def test_a_batch_that_waits_keeps_no_documents(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(24))
    agent.row(b'"no document"')
    batch = agent.cut()
    prepared = cloud.ingest.prepare(agent.name, encode(batch))
    assert isinstance(prepared, Prepared)
    assert (prepared.batch.first, prepared.batch.last, prepared.batch.docs) == (1, 2, [])
    (ack,) = cloud.ingest.apply([prepared], NOW)
    assert [each.seq for each in ack.reject] == [2]
    letter = cloud.conn.one("SELECT doc FROM dead_letter")
    assert letter is not None
    assert bytes(letter[0]) == b'"no document"'
    kept = cloud.conn.one("SELECT payload FROM batch")
    assert kept is not None
    assert bytes(kept[0]) == encode(batch)


def test_rows_without_documents_move_the_watermark(cloud: Cloud) -> None:
    agent = Teller()
    for _ in range(5):
        agent.row()
    assert cloud.take(agent.cut()).upto == 5
    assert cloud.count("event") == 0


def test_a_gap_is_answered_with_where_to_go_on(cloud: Cloud) -> None:
    agent = Teller()
    for n in range(4):
        agent.case(case(n), bottles(2, str(n)))
    assert cloud.take(agent.cut(1, 1)).upto == 1
    ack = cloud.take(agent.cut(3, 4))
    assert (ack.upto, ack.hash, ack.rewind, ack.fork) == (1, agent.chains[1], True, "")
    assert cloud.count("unit") == 3


def test_an_overlap_is_never_half_applied(cloud: Cloud) -> None:
    agent = Teller()
    for n in range(4):
        agent.case(case(n), bottles(2, str(n)))
    cloud.take(agent.cut(1, 2))
    ack = cloud.take(agent.cut(2, 4))
    assert (ack.upto, ack.rewind) == (2, True)
    assert cloud.count("unit") == 6
    assert cloud.take(agent.cut(3, 4)).upto == 4
    assert cloud.count("unit") == 12


def test_the_first_batch_of_an_unknown_agent_must_begin_at_row_1(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    agent.row()
    ack = cloud.take(agent.cut(2, 2))
    assert (ack.upto, ack.hash, ack.rewind) == (0, ZERO, True)


def test_two_machines_with_one_identity_are_a_fork(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    cloud.take(agent.cut())
    other = agent.restored(1, agent.epoch)
    agent.case(case(1), bottles(2))
    other.case(case(2), bottles(2, "x"))
    other.case(case(3), bottles(2, "y"))
    cloud.take(agent.cut(2, 2))
    ack = cloud.take(other.cut(3, 3))
    assert "two machines" in ack.fork
    assert (ack.upto, ack.hash, ack.rewind) == (2, agent.chains[2], False)
    rewritten = cloud.take(other.cut(2, 2))
    assert "read otherwise" in rewritten.fork
    assert cloud.count("unit") == 3
    assert cloud.conn.rows("SELECT kind, first, times FROM fork ORDER BY kind") == [
        ("chain", 3, 1),
        ("rewritten", 2, 1),
    ]
    cloud.take(other.cut(3, 3))
    assert cloud.conn.rows("SELECT times FROM fork WHERE kind = 'chain'") == [(2,)]


def test_a_restored_agent_begins_a_new_epoch_and_the_old_one_has_ended(cloud: Cloud) -> None:
    agent = Teller()
    for n in range(3):
        agent.case(case(n), bottles(2, str(n)))
    cloud.take(agent.cut())
    back = agent.restored(1, "e2")
    back.case(case(7), bottles(2, "7"))
    ack = cloud.take(back.cut(2, 2))
    assert (ack.epoch, ack.upto, ack.fork) == ("e2", 2, "")
    assert cloud.conn.rows("SELECT epoch, upto, cut FROM watermark ORDER BY id") == [
        ("e1", 3, 2),
        ("e2", 2, None),
    ]
    assert cloud.conn.rows("SELECT kind, epoch, first FROM fork") == [("restored", "e2", 2)]
    agent.row()
    assert "must be stopped" in cloud.take(agent.cut(4, 4)).fork
    assert cloud.take(agent.cut(2, 3)).upto == 3  # known: acknowledged again
    assert cloud.count("unit") == 12


def test_a_new_epoch_may_not_leave_a_gap_nor_have_another_past(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    agent.row()
    cloud.take(agent.cut())
    agent.row()
    late = agent.restored(3, "e2")
    late.row()
    ack = cloud.take(late.cut(4, 4))
    assert (ack.upto, ack.hash, ack.rewind) == (2, agent.chains[2], True)
    other = Teller(epoch="e3")
    for _ in range(3):
        other.row()
    ack = cloud.take(other.cut(3, 3))
    assert "another past" in ack.fork
    assert cloud.count("watermark") == 1


def test_a_document_with_a_fault_is_parked_and_the_rest_flows_on(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2, "1"))
    agent.case(case(2), bottles(2, "2"))
    agent.case(case(3), bottles(2, "3"))
    (body,) = agent.bodies[2]
    agent.bodies[2] = [body.replace(b'"2.0"', b'"9.0"')]
    ack = cloud.take(agent.cut())
    assert [(each.seq, each.n) for each in ack.reject] == [(2, 0)]
    assert ack.reject[0].reason.startswith("schema_version")
    assert ack.upto == 3
    assert cloud.count("unit") == 6
    rows = cloud.conn.rows("SELECT id, seq, state, doc FROM dead_letter")
    assert [(seq, state, bytes(doc)) for _, seq, state, doc in rows] == [
        (2, "open", agent.bodies[2][0])
    ]
    (letter,) = [row[0] for row in rows]
    assert cloud.ingest.retry(letter, "who", NOW)[0].startswith("schema_version")
    with pytest.raises(DomainError, match="reason"):
        notices.discard(cloud.conn, letter, " ", "who", NOW)
    cloud.conn.change("UPDATE dead_letter SET doc = ?", (bytearray(body),))  # the lint was wrong
    assert cloud.ingest.retry(letter, "who", NOW) == []
    assert cloud.count("unit") == 9
    with pytest.raises(DomainError, match="applied already"):
        cloud.ingest.retry(letter, "who", NOW)


def test_a_discarded_letter_stays_readable(cloud: Cloud) -> None:
    agent = Teller()
    agent.row(b'"no document"')
    cloud.take(agent.cut())
    ((letter, reason),) = cloud.conn.rows("SELECT id, reason FROM dead_letter")
    assert reason.startswith("not_a_document")
    notices.discard(cloud.conn, letter, "a test", "who", NOW)
    assert cloud.conn.rows("SELECT state, why, who FROM dead_letter") == [
        ("discarded", "a test", "who")
    ]
    with pytest.raises(DomainError, match="discarded already"):
        notices.discard(cloud.conn, letter, "again", "who", NOW)
    with pytest.raises(DomainError, match="no dead letter"):
        notices.discard(cloud.conn, 99, "again", "who", NOW)


def test_a_code_on_two_things_is_quarantined_and_the_stream_goes_on(cloud: Cloud) -> None:
    one, two = Teller(), Teller("brand/plant-1/edge-2")
    one.case(case(1), bottles(3))
    two.case(case(2), [*bottles(2, "x"), bottles(3)[1]])
    two.case(case(3), bottles(3, "y"))
    cloud.take(one.cut())
    ack = cloud.take(two.cut())
    assert (ack.upto, ack.reject) == (2, [])
    assert cloud.count("unit") == 3 + 1 + 2 + 1 + 3 + 1
    assert cloud.conn.rows("SELECT kind, text, duplicate FROM claim") == [
        ("unit", bottles(3)[1], 1)
    ]
    assert cloud.count("link") == 9


def test_a_code_twice_in_one_batch_is_quarantined_too(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(3))
    agent.case(case(2), bottles(3))
    assert cloud.take(agent.cut()).upto == 2
    assert cloud.count("claim") == 3


def test_what_a_restored_agent_tells_again_is_no_duplicate(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    agent.case(case(1), bottles(3))
    agent.bear(bottles(3)[0], ["https://q.example.cn/cap"])
    cloud.take(agent.cut())
    back = agent.restored(1, "e2")
    back.case(case(1), bottles(3))
    back.bear(bottles(3)[0], ["https://q.example.cn/cap"])
    cloud.take(back.cut(2, 3))
    assert cloud.conn.rows("SELECT DISTINCT duplicate FROM claim") == [(0,)]
    assert cloud.count("claim") == 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"agent": "brand/plant-1/edge-2"}, "forged_identity"),
        ({"first": 2}, "malformed"),
    ],
)
def test_a_payload_that_lies_is_refused(
    cloud: Cloud, change: dict[str, object], reason: str
) -> None:
    from sync.envelope import encode

    agent = Teller()
    agent.row()
    payload = encode(msgspec.structs.replace(agent.cut(), **change))
    refused = cloud.ingest.prepare(agent.name, payload)
    assert getattr(refused, "reason", None) == reason
    notices.refuse(cloud.conn, agent.name, payload, refused, NOW)  # type: ignore[arg-type]
    notices.refuse(cloud.conn, agent.name, payload, refused, NOW + 5)  # type: ignore[arg-type]
    assert cloud.conn.rows("SELECT reason, times, last_ms FROM refused") == [(reason, 2, NOW + 5)]
    assert cloud.count("agent") == 0
