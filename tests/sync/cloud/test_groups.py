"""What the consumer does with the batches in its hands: together where it can, alone where one is
bad, and again later when the database went away."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from sync.cloud.consumer import Consumer
from sync.cloud.database import Database, open_database
from sync.cloud.ingest import Prepared
from sync.envelope import Batch, Refused, encode
from sync.messages import Ack
from sync.mqtt import Broker
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.told import Teller, bottles, case

Group = list[tuple[str, bytes, Prepared | Refused]]


class Held:
    """A consumer that is given batches by hand."""

    def __init__(self, url: str) -> None:
        self.database: Database = open_database(url)
        self.consumer = Consumer(self.database, Broker("mqtt://nowhere", "test"))
        self.look = self.database.connect()

    def group(self, *batches: Batch) -> Group:
        payloads = [encode(batch) for batch in batches]
        return [
            (batch.agent, payload, self.consumer._ingest.prepare(batch.agent, payload))
            for batch, payload in zip(batches, payloads, strict=True)
        ]

    def carry_out(self, group: Group) -> list[tuple[str, Ack]]:
        return self.consumer._carry_out(group)

    def close(self) -> None:
        self.look.close()
        self.consumer._ingest.close()
        self.database.close()


@pytest.fixture
def held(url: str) -> Iterator[Held]:
    made = Held(url)
    yield made
    made.close()


def two() -> tuple[Teller, Teller]:
    one, other = Teller("brand/plant/b"), Teller("brand/plant/a")
    for n in range(3):
        one.case(case(n), bottles(3, f"1{n}"))
        other.case(case(10 + n), bottles(3, f"2{n}"))
    return one, other


def test_batches_of_several_agents_in_one_transaction(held: Held) -> None:
    one, other = two()
    came = [one.cut(1, 1), other.cut(1, 2), one.cut(2, 2), one.cut(2, 2), other.cut(3, 3)]
    said = held.carry_out(held.group(*came))
    assert [(agent[-1], ack.upto) for agent, ack in said] == [
        ("a", 2),
        ("a", 3),
        ("b", 1),
        ("b", 2),
        ("b", 2),
    ]
    assert held.look.rows("SELECT count(*) FROM unit") == [(5 * 4,)]


def test_a_gap_within_a_group_rewinds_only_its_agent(held: Held) -> None:
    one, other = two()
    said = held.carry_out(held.group(one.cut(2, 3), other.cut(1, 3)))
    assert [(agent[-1], ack.upto, ack.rewind) for agent, ack in said] == [
        ("a", 3, False),
        ("b", 0, True),
    ]


def test_what_is_written_together_is_each_batchs_own(held: Held) -> None:
    """One COPY takes the rows of all: each event keeps its stream, its agent and its arrival."""
    one, other = two()
    held.carry_out(held.group(one.cut(1, 2), other.cut(1, 1), one.cut(3, 3), other.cut(2, 3)))
    told = held.look.rows(
        "SELECT a.name, e.seq, u.text FROM unit u JOIN event e ON e.id = u.event "
        "JOIN watermark w ON w.id = e.stream JOIN agent a ON a.id = w.agent ORDER BY u.text"
    )
    names = {one.name: ("1", 0), other.name: ("2", 10)}
    assert sorted(told) == sorted(
        (agent, n + 1, text)
        for agent, (of, first) in names.items()
        for n in range(3)
        for text in (*bottles(3, f"{of}{n}"), case(first + n))
    )
    arrivals = held.look.rows("SELECT first, last FROM arrival ORDER BY id")
    spans = held.look.rows("SELECT min(id), max(id), count(*) FROM event GROUP BY stream")
    assert len(arrivals) == 4
    assert sum(last - first + 1 for first, last in arrivals) == sum(row[2] for row in spans)


def test_codes_that_two_batches_of_a_group_claim_are_quarantined(held: Held) -> None:
    one, other = two()
    one.case(case(20), bottles(2, "10"))  # it told them itself before
    other.case(case(21), bottles(2, "11"))
    said = held.carry_out(held.group(one.cut(1, 3), other.cut(1, 2), other.cut(3, 4), one.cut(4)))
    assert [(ack.upto, ack.rewind, ack.fork) for _, ack in said[1::2]] == [(4, False, "")] * 2
    claims = held.look.rows("SELECT text, duplicate FROM claim ORDER BY text")
    assert claims == sorted((text, 1) for text in (*bottles(2, "10"), *bottles(2, "11")))
    assert held.look.one("SELECT count(*) FROM unit") == (6 * 4 + 2,)


def test_a_batch_that_the_database_cannot_hold_is_refused_alone(postgres_server: str) -> None:
    held = Held(fresh_postgres(postgres_server))
    one, other = two()
    group = held.group(one.cut(), other.cut())
    bad = group[0][2]
    assert isinstance(bad, Prepared)
    bad.blocks["unit"][0]["text"][0] = np.void(b"http\xff")
    try:
        said = held.carry_out(group)
        assert [(name, ack.upto) for name, ack in said] == [(other.name, 3)]
        assert held.look.rows("SELECT agent, reason FROM refused") == [(one.name, "unfit")]
        assert held.look.rows("SELECT count(*) FROM watermark") == [(1,)]
        assert [ack.upto for _, ack in held.carry_out(held.group(one.cut()))] == [3]
    finally:
        held.close()


def test_a_database_that_went_away_costs_a_repetition(
    postgres_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = fresh_postgres(postgres_server)
    held = Held(url)
    one, other = two()
    try:
        held.carry_out(held.group(one.cut(1, 1)))
        held.look.close()
        with psycopg.connect(postgres_server + "postgres", autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (url.rpartition("/")[2],),
            )
        assert held.carry_out(held.group(one.cut(2, 3), other.cut())) == []
        assert held.consumer.counts.dropped == 2
        assert "will be sent again" in caplog.text
        said = held.carry_out(held.group(one.cut(2, 3), other.cut()))
        assert [ack.upto for _, ack in said] == [3, 3]
        held.look = held.database.connect()
        assert held.look.rows("SELECT count(*) FROM unit") == [(6 * 4,)]
    finally:
        held.close()
