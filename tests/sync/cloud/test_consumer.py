"""The consumer at a real broker, on SQLite: receipts after the commit, losses healed by sending
again."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from sync.cloud.consumer import Consumer
from sync.cloud.database import Database, open_database
from sync.cloud.shards import ALL, Shard
from sync.envelope import encode
from sync.messages import Ack, State, read, topics, write
from sync.mqtt import Backoff, Broker, Connection
from tests.sync.brokers import BrokerProcess
from tests.sync.cloud.told import Teller, bottles, case

SECONDS = 20.0
LOOK = 0.25
"""Seconds between two looks of the consumers here."""


class Agent:
    """The agent's end of the line: sends payloads, reads receipts."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.topics = topics(*name.split("/"))

    async def send(self, payload: bytes) -> None:
        await self.connection.publish(self.topics.evt, payload)

    async def ack(self, seconds: float = SECONDS) -> Ack | None:
        message = await self.connection.next_message(seconds)
        if message is None:
            return None
        ack = read(Ack, message.payload)
        assert isinstance(ack, Ack), ack
        return ack


@asynccontextmanager
async def agent(broker: BrokerProcess, teller: Teller) -> AsyncIterator[Agent]:
    connection = Connection(Broker(broker.url, teller.name.replace("/", "-")))
    await connection.open()
    try:
        made = Agent(connection, teller.name)
        await connection.subscribe(made.topics.ack)
        yield made
    finally:
        await connection.close()


@asynccontextmanager
async def consuming(
    broker: BrokerProcess, database: Database, name: str = "cloud-1", shard: Shard = ALL
) -> AsyncIterator[Consumer]:
    backoff = Backoff(0.05, 0.2)
    consumer = Consumer(database, Broker(broker.url, name), backoff=backoff, look=LOOK, shard=shard)
    task = asyncio.create_task(consumer.run())
    try:
        await until(lambda: consumer.counts.connected or task.done())
        assert not task.done(), task
        yield consumer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; fail after a while."""
    for _ in range(int(SECONDS / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'cloud.db'}")


def test_what_is_sent_is_applied_and_acknowledged(
    broker: BrokerProcess, database: Database
) -> None:
    teller = Teller()
    for n in range(5):
        teller.case(case(n), bottles(24, str(n)))

    async def main() -> None:
        async with consuming(broker, database) as consumer, agent(broker, teller) as box:
            for n in range(1, 6):
                await box.send(encode(teller.cut(n, n)))
            acks = [await box.ack() for _ in range(5)]
            assert [ack.upto for ack in acks if ack] == [1, 2, 3, 4, 5]
            await box.send(encode(teller.cut(2, 3)))
            again = await box.ack()
            assert again is not None
            assert (again.upto, again.hash) == (5, teller.chains[5])
            assert consumer.counts.batches == 6

    asyncio.run(main())
    conn = database.connect()
    assert conn.rows("SELECT count(*) FROM unit") == [(5 * 25,)]
    conn.close()


def test_a_broker_that_dies_costs_nothing(
    broker: BrokerProcess, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    teller = Teller("brand/plant-1/edge-7")
    teller.case(case(1), bottles(24, "1"))
    teller.case(case(2), bottles(24, "2"))

    async def main() -> None:
        async with consuming(broker, database, "cloud-2") as consumer:
            async with agent(broker, teller) as box:
                await box.send(encode(teller.cut(1, 1)))
                assert await box.ack()
            broker.stop()
            await until(lambda: not consumer.counts.connected)
            broker.start()
            await until(lambda: consumer.counts.connected)
            async with agent(broker, teller) as box:
                ack = None
                while ack is None or ack.upto < 2:
                    await box.send(encode(teller.cut(2, 2)))
                    ack = await box.ack(2.0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    conn = database.connect()
    assert conn.rows("SELECT count(*) FROM unit") == [(50,)]
    conn.close()


def test_junk_is_kept_with_a_reason_and_stops_nobody(
    broker: BrokerProcess, database: Database
) -> None:
    teller = Teller("brand/plant-1/edge-9")
    teller.case(case(1), bottles(3))
    forger = Teller("brand/plant-1/edge-8")
    forger.case(case(2), bottles(3, "f"))

    async def main() -> None:
        async with consuming(broker, database, "cloud-3"), agent(broker, teller) as box:
            await box.send(b"junk")
            await box.send(encode(forger.cut()))
            await box.send(encode(teller.cut()))
            ack = await box.ack()
            assert ack is not None
            assert ack.upto == 1

    asyncio.run(main())
    conn = database.connect()
    assert conn.rows("SELECT agent, reason FROM refused ORDER BY reason") == [
        ("brand/plant-1/edge-9", "badly_compressed"),
        ("brand/plant-1/edge-9", "forged_identity"),
    ]
    conn.close()


def test_what_an_agent_says_of_itself_is_kept(broker: BrokerProcess, database: Database) -> None:
    teller = Teller("brand/plant-1/edge-5")

    async def main() -> None:
        async with agent(broker, teller) as box:
            state = State(online=True, version="1", backlog=7)
            await box.connection.publish(box.topics.state, write(state), retain=True)
            await box.connection.settle()
            async with consuming(broker, database, "cloud-4"):
                await until(kept)
                await box.connection.publish(box.topics.state, write(State(online=False)))
                await until(lambda: kept()[0][0] == 0)
        ((_, state_text),) = kept()
        assert '"backlog":7' in state_text, "its last words replace nothing but online"

    conn = database.connect()

    def kept() -> list[tuple[object, ...]]:
        return conn.rows("SELECT online, state FROM agent WHERE name = ?", (teller.name,))

    asyncio.run(main())
    conn.close()


@pytest.mark.parametrize("name", ["_preparing", "_applying"])
def test_a_thread_that_hangs_is_no_sign_of_life(
    broker: BrokerProcess, database: Database, name: str
) -> None:
    hold = threading.Event()

    async def main() -> None:
        async with consuming(broker, database) as consumer:

            def age() -> float:
                return time.monotonic() - consumer.counts.beat

            await until(lambda: age() < LOOK)
            getattr(consumer, name).submit(hold.wait, 3 * SECONDS)
            try:
                await until(lambda: age() > 4 * LOOK)
            finally:
                hold.set()
            await until(lambda: age() < LOOK)

    asyncio.run(main())


def test_each_agent_stays_with_the_consumers_of_its_shard(
    broker: BrokerProcess, database: Database
) -> None:
    tellers = [Teller(f"brand/plant-1/shared-{n}") for n in range(6)]
    for n, teller in enumerate(tellers):
        for k in range(3):
            teller.case(case(10 * n + k), bottles(3, f"{n}{k}"))
    shards = Shard(1, 2), Shard(2, 2)
    own = [sum(shard.serves(teller.name) for teller in tellers) for shard in shards]
    assert min(own) > 0, "names that one shard has alone show nothing"

    async def main() -> None:
        async with (
            consuming(broker, database, "cloud-1", shards[0]) as one,
            consuming(broker, database, "cloud-2", shards[1]) as two,
        ):
            for teller in tellers:
                async with agent(broker, teller) as box:
                    for row in (1, 2, 3):
                        await box.send(encode(teller.cut(row, row)))
                        ack = await box.ack()
                        assert ack is not None
                        assert (ack.upto, ack.rewind) == (row, False)
            assert [one.counts.batches, two.counts.batches] == [3 * many for many in own]

    asyncio.run(main())


def test_a_shard_is_one_of_so_many() -> None:
    names = [f"brand/plant/{n}" for n in range(400)]
    shards = [Shard.parse(f"{n}/4") for n in (1, 2, 3, 4)]
    assert all(sum(shard.serves(name) for shard in shards) == 1 for name in names)
    assert all(sum(map(shard.serves, names)) > 60 for shard in shards)
    assert len({shard.group("cloud") for shard in shards}) == 4
    assert all(map(Shard.parse("1/1").serves, names))
    for wrong in ("", "2", "0/2", "3/2", "a/b", "1/257", "-1/2", "1/2/3", "²/3"):
        with pytest.raises(ConfigError, match="write which one of how many"):
            Shard.parse(wrong)
