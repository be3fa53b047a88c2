"""Commands over real brokers: two consumers at once, an agent that comes and goes, lost answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sync import messages
from sync.cloud import commands
from sync.cloud.consumer import Consumer, now_ms
from sync.cloud.courier import Courier
from sync.cloud.database import Connection as Tables
from sync.cloud.database import Database, open_database
from sync.kinds import Pool
from sync.messages import Answer, Command, State, topics
from sync.mqtt import Backoff, Broker, Connection
from sync.sealed import BoxKey
from tests.services.desk_help import Box, pool_file
from tests.sync.brokers import BrokerProcess
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.test_consumer import until

ME = "acme/plant-1/box"
TOPICS = topics(*ME.split("/"))


@asynccontextmanager
async def consuming(
    broker: BrokerProcess, database: Database, name: str
) -> AsyncIterator[Consumer]:
    courier = Courier(database, now_ms, patience=0.5, pause=0.2, look=0.1)
    backoff = Backoff(0.05, 0.2)
    consumer = Consumer(
        database, Broker(broker.url, name), backoff=backoff, courier=courier, look=0.1
    )
    task = asyncio.create_task(consumer.run())
    try:
        await until(lambda: consumer.counts.connected or task.done())
        assert not task.done(), task
        yield consumer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def box_online(
    broker: BrokerProcess, box: Box, lose: int = 0
) -> AsyncIterator[list[Command]]:
    """The agent's end, with its real inbox; `lose`: every so many-th answer goes nowhere."""
    connection = Connection(Broker(broker.url, "box"))
    came: list[Command] = []

    async def serve() -> None:
        while True:
            message = await connection.next_message(1.0)
            if message is None:
                continue
            command = messages.read(Command, message.payload)
            assert isinstance(command, Command)
            came.append(command)
            said = await box.inbox.take(message.payload)
            if said is not None and not (lose and len(came) % lose == 0):
                await connection.publish(TOPICS.rsp, said)

    await connection.open()
    await connection.subscribe(TOPICS.cmd)
    state = messages.write(State(online=True, key=box.key.public))
    await connection.publish(TOPICS.state, state, retain=True)
    task = asyncio.create_task(serve())
    try:
        yield came
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait({task})
        gone = messages.write(State(online=False))
        await connection.publish(TOPICS.state, gone, retain=True)
        await connection.close()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each broker with one of the databases: they do not know of each other."""
    if request.node.callspec.params["broker"] == "mosquitto":
        return fresh_postgres(request.getfixturevalue("postgres_server"))
    return f"sqlite:///{tmp_path / 'cloud.db'}"


@pytest.fixture
def tables(url: str) -> tuple[Database, Tables]:
    database = open_database(url)
    return database, database.connect()


def ask_pool(conn: Tables, box: Box, rows: int, name: str = "sent") -> str:
    head = Pool(name=name, level="bottle", roles=["body"])
    file = pool_file(rows, f"https://q.example.cn/{name}/")
    return commands.send_pool(conn, ME, head, file, "li", now_ms())


def heard(conn: Tables) -> bool:
    return bool(conn.rows("SELECT 1 FROM agent WHERE name = ? AND online = 1", (ME,)))


@pytest.mark.parametrize("lose", [0, 3])
def test_two_consumers_send_each_command_once_and_in_order(
    broker: BrokerProcess, tables: tuple[Database, Tables], tmp_path: Path, lose: int
) -> None:
    database, conn = tables
    box = Box(tmp_path / "box")

    async def main() -> list[Command]:
        async with (
            consuming(broker, database, "cloud-1"),
            consuming(broker, database, "cloud-2"),
            box_online(broker, box, lose) as came,
        ):
            await until(lambda: heard(conn))
            asked = [
                ask_pool(conn, box, 12_000),
                *(
                    commands.send(conn, ME, "revoke", b'{"device":"D-%d"}' % n, "li", now_ms())
                    for n in range(5)
                ),
            ]
            await until(lambda: all(commands.one(conn, uid)["state"] == "done" for uid in asked))
            order = list(dict.fromkeys(command.id for command in came))
            assert order == asked, "one after the other"
            return came

    came = asyncio.run(main())
    if not lose:
        assert len(came) <= came[0].of + 5 + 2, "hardly anything is sent twice"
    assert len(box.answers()) == 6
    assert conn.rows("SELECT count(*) FROM command_part") == [(0,)]
    box.close()
    conn.close()


def test_what_is_asked_for_while_the_agent_is_away_comes_later(
    broker: BrokerProcess, tables: tuple[Database, Tables], tmp_path: Path
) -> None:
    database, conn = tables
    box = Box(tmp_path / "box")

    async def main() -> None:
        async with consuming(broker, database, "cloud-1"):
            async with box_online(broker, box):
                await until(lambda: heard(conn))
            await until(lambda: not heard(conn))
            asked = ask_pool(conn, box, 12_000)
            # The broker goes, the agent is there for one part, is gone, and comes again.
            broker.stop()
            broker.start()
            async with box_online(broker, box) as came:
                await until(lambda: bool(came))
            assert commands.one(conn, asked)["sent"]
            async with box_online(broker, box):
                await until(lambda: commands.one(conn, asked)["state"] == "done")

    asyncio.run(main())
    assert len(box.answers()) == 1
    box.close()
    conn.close()


def test_an_answer_of_a_stranger_is_not_believed(
    broker: BrokerProcess, tables: tuple[Database, Tables], tmp_path: Path
) -> None:
    database, conn = tables
    box = Box(tmp_path / "box")

    async def main() -> None:
        async with consuming(broker, database, "cloud-1"):
            async with box_online(broker, box):
                await until(lambda: heard(conn))
            asked = commands.send(conn, ME, "revoke", b'{"device":"D"}', "li", now_ms())
            stranger = Connection(Broker(broker.url, "stranger"))
            await stranger.open()
            lie = messages.write(Answer(id=asked, ok=True))
            await stranger.publish(topics("acme", "plant-1", "other").rsp, lie)
            await stranger.publish(TOPICS.rsp, b"junk")
            await stranger.settle()
            await stranger.close()
            async with box_online(broker, box):
                await until(lambda: commands.one(conn, asked)["state"] == "done")
            assert commands.one(conn, asked)["text"].startswith("Device D is revoked")

    asyncio.run(main())
    box.close()
    conn.close()


def test_a_pool_for_a_key_that_is_not_the_agents_is_answered_with_what_to_do(
    broker: BrokerProcess, tables: tuple[Database, Tables], tmp_path: Path
) -> None:
    database, conn = tables
    box = Box(tmp_path / "box")
    wrong = BoxKey.new().public

    async def main() -> None:
        async with consuming(broker, database, "cloud-1"), box_online(broker, box):
            await until(lambda: heard(conn))
            head = Pool(name="sent", level="bottle", roles=["body"])
            file = pool_file(10)
            asked = commands.send_pool(conn, ME, head, file, "li", now_ms(), wrong)
            await until(lambda: commands.one(conn, asked)["state"] == "refused")
            found = commands.one(conn, asked)
            assert found["reason"] == "not_for_us"
            right = box.key.public
            asked = commands.send_pool(conn, ME, head, file, "li", now_ms(), right)
            await until(lambda: commands.one(conn, asked)["state"] == "done")

    asyncio.run(main())
    box.close()
    conn.close()
