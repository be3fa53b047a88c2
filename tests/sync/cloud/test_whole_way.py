"""The agent's end and the cloud's end together, over real brokers: the journal arrives once."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.pools import next_free
from agent.services import settle
from agent.store import backup, journal, pools
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from agent.store.restore import Terms, restore
from sync.build import Builder
from sync.cloud.consumer import Consumer
from sync.cloud.database import Database, open_database
from sync.envelope import Batch, decode
from sync.mqtt import Backoff, Broker
from tests.store.store_help import BODY, BOTTLES, Plant, shift
from tests.sync.brokers import BrokerProcess
from tests.sync.cloud.delivery import doubled
from tests.sync.test_build import documents, everything
from tests.sync.test_uplink import US, last, put, running, until


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path / "agent").load()
    for facts in shift(plant):
        plant.put(*facts)
    yield plant
    plant.close()


@asynccontextmanager
async def consuming(broker: BrokerProcess, database: Database) -> AsyncIterator[Consumer]:
    consumer = Consumer(database, Broker(broker.url, "cloud"), backoff=Backoff(0.05, 0.2))
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def received(database: Database) -> dict[tuple[str, int, int], bytes]:
    """Every document that was applied, by epoch, row and number."""
    conn = database.connect()
    assert doubled(conn) == []
    assert conn.rows("SELECT count(*) FROM dead_letter") == [(0,)]
    found = {}
    for (payload,) in conn.rows("SELECT payload FROM batch ORDER BY stream, last"):
        batch = decode(bytes(payload))
        assert isinstance(batch, Batch)
        for doc in batch.docs:
            at = (batch.epoch, doc.seq, doc.n)
            assert at not in found
            found[at] = bytes(doc.doc)
    conn.close()
    return found


@asynccontextmanager
async def writing(plant: Plant) -> AsyncIterator[Outbox]:
    plant.writer.start()
    readers = Readers(plant.path, plant.key_file, 3)
    try:
        yield Outbox(readers, plant.writer)
    finally:
        readers.close()
        plant.writer.close()


def test_consumers_come_and_go_and_everything_arrives_once(
    broker: BrokerProcess, plant: Plant, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'cloud.db'}")
    want = {}

    async def go() -> None:
        async with writing(plant) as port, running(port, broker.url) as uplink:
            for upto in (10, 25):
                async with consuming(broker, database):
                    await until(lambda upto=upto: uplink.status.acked >= upto)
            async with consuming(broker, database):
                await asyncio.to_thread(put, plant, *plant.case(60, 100, 40))
                await until(lambda: uplink.status.acked == last(plant))
            for seq, n, _, body in documents(everything(Builder(port, US))):
                want[seq, n] = body

    asyncio.run(go())
    assert {at[1:]: body for at, body in received(database).items()} == want


def test_a_backup_goes_on_and_what_it_lost_stays_known(
    broker: BrokerProcess, plant: Plant, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'cloud.db'}")
    kept = last(plant)
    shutil.copytree(plant.path.parent, tmp_path / "backup")

    async def go(plant: Plant) -> None:
        async with (
            writing(plant) as port,
            consuming(broker, database),
            running(port, broker.url) as uplink,
        ):
            await asyncio.to_thread(put, plant, *plant.case(60, 100, 40))
            await until(lambda: uplink.status.acked == last(plant))
            assert not uplink.status.fork

    asyncio.run(go(plant))
    before = received(database)
    back = Plant(tmp_path / "backup")
    journal.begin_epoch(back.conn, "second")
    asyncio.run(go(back))
    conn = database.connect()
    streams = conn.rows("SELECT epoch, first, upto, cut FROM watermark ORDER BY id")
    conn.close()
    assert [row[1:] for row in streams] == [
        (1, last(plant), kept + 1),
        (kept + 1, last(back), None),
    ]
    after = received(database)
    assert before.items() <= after.items()
    assert {epoch for epoch, _, _ in after} == {streams[0][0], "second"}
    back.close()


def test_a_restored_agent_is_told_what_was_used_and_goes_on(
    broker: BrokerProcess, plant: Plant, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'cloud.db'}")
    where = plant.path.parent
    backup.backup(plant.path, plant.key_file, tmp_path / "evening.bak", US.agent)

    def printed() -> None:
        for to in ("allocated", "sending"):
            put(plant, f.CodesMoved(BOTTLES, BODY, 120, 30, to, "coder", 1))

    async def before() -> None:
        async with (
            writing(plant) as port,
            consuming(broker, database),
            running(port, broker.url) as uplink,
        ):
            await asyncio.to_thread(printed)
            await until(lambda: uplink.status.acked == last(plant))

    asyncio.run(before())
    plant.close()
    stopped = Terms("li", "the disk broke", backup.read_sheet(tmp_path / "evening.bak").made_ms)
    restore(plant.path, plant.key_file, tmp_path / "evening.bak", stopped)
    plant.open()
    assert where == plant.path.parent

    async def after() -> None:
        readers = Readers(plant.path, plant.key_file, 1)
        try:
            async with (
                writing(plant) as port,
                consuming(broker, database),
                running(
                    port,
                    broker.url,
                    restored=lambda told: settle.by_cloud(
                        plant.writer.wait, readers.connection, told
                    ),
                ) as uplink,
            ):
                await until(lambda: not asked(port))
                await until(lambda: uplink.status.acked == last(plant))
                assert not uplink.status.fork
        finally:
            readers.close()

    asyncio.run(after())
    pool = pools.known(plant.conn, BOTTLES)
    assert pool is not None
    assert next_free(pool)[0] == 150, "what was printed after the backup is not printed again"
    received(database)


def asked(port: Outbox) -> bool:
    with port.view() as view:
        return view.asks()
