"""The consumer ends soon after it is told to, whatever the database and the broker do, and nothing
that it had in hand is lost or half written."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from agent.core.errors import TransientError
from sync.cloud.consumer import Consumer
from sync.cloud.courier import Courier
from sync.cloud.database import Database, open_database
from sync.cloud.follower import Follower
from sync.cloud.ingest import Ingest
from sync.cloud.web import Pool
from sync.envelope import encode
from sync.mqtt import Backoff, Broker
from tests.sync.brokers import BrokerProcess
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.test_consumer import agent, until
from tests.sync.cloud.test_defences import until_blocked
from tests.sync.cloud.told import NOW, Teller, bottles, case

SECONDS = 10.0
FINISH = 0.3
ENDLESS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def frozen(server: str, name: str) -> Iterator[None]:
    """The processes that serve a database stand still: they keep connections and say nothing."""
    with psycopg.connect(server + "postgres", autocommit=True) as conn:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        pids = [pid for (pid,) in conn.execute(query, (name,)).fetchall()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def within(thread: threading.Thread) -> bool:
    """Whether it ends soon."""
    thread.join(SECONDS)
    return not thread.is_alive()


def test_what_is_under_way_is_broken_off(url: str) -> None:
    database = open_database(url)
    conn = database.connect()
    told: list[Exception] = []

    def ask() -> None:
        try:
            with conn.writing():
                conn.change("INSERT INTO token VALUES ('a', 'b', 0, 1, NULL)")
                conn.rows(ENDLESS)
        except TransientError as error:
            told.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(0.2)
    assert asking.is_alive()
    conn.interrupt()
    assert within(asking)
    assert len(told) == 1
    with pytest.raises(TransientError, match="nothing more"):
        conn.rows("SELECT 1")
    conn.close()
    conn.interrupt()  # that it has ended already is no fault
    other = database.connect()
    assert other.rows("SELECT name FROM token") == []
    other.close()
    database.close()


def test_a_database_that_stands_still_keeps_nobody(
    postgres_server: str, broker: BrokerProcess
) -> None:
    """The consumer has a batch in hand, the courier and the follower ask, and nothing answers."""
    url = fresh_postgres(postgres_server)
    database = open_database(url)
    teller = Teller()
    teller.case(case(1), bottles(24))

    async def main() -> None:
        courier = Courier(database, lambda: NOW, look=0.05)
        consumer = Consumer(
            database, Broker(broker.url, "cloud"), courier=courier, look=0.1, finish=FINISH
        )
        follower = Follower(database, lambda: NOW)
        follower.start()
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.counts.beat and follower.steps and courier._conn)
        async with agent(broker, teller) as box:
            with frozen(postgres_server, url.rpartition("/")[2]):
                await box.send(encode(teller.cut()))
                await box.connection.settle()
                await until(lambda: time.monotonic() - consumer.counts.beat > 0.5)
                task.cancel()
                async with asyncio.timeout(SECONDS):
                    await asyncio.to_thread(follower.close)
                    await asyncio.wait({task})
        assert task.cancelled()
        assert not follower._thread.is_alive()

    asyncio.run(main())
    conn = database.connect()
    assert conn.one("SELECT count(*) FROM unit") == (0,)
    conn.close()
    ingest = Ingest(database)
    (ack,) = ingest.apply([ingest.ready(teller.cut(), encode(teller.cut()))], NOW)
    assert ack.upto == 1
    ingest.close()
    database.close()


def test_a_look_of_the_follower_is_broken_off(postgres_server: str) -> None:
    url = fresh_postgres(postgres_server)
    database = open_database(url)
    follower = Follower(database, lambda: NOW)
    with psycopg.connect(url) as conn:
        conn.execute("LOCK TABLE follower")
        follower.start()
        until_blocked(postgres_server, url.rpartition("/")[2])
        began = time.monotonic()
        follower.close()
        assert time.monotonic() - began < SECONDS
        assert not follower._thread.is_alive()
        assert follower.ended.result(SECONDS) is None
    database.close()


def test_what_is_being_written_comes_to_its_end(broker: BrokerProcess, tmp_path: Path) -> None:
    """A transaction that is quick enough is not broken off."""
    database = open_database(f"sqlite:///{tmp_path / 'cloud.db'}")
    teller = Teller()
    teller.case(case(1), bottles(24))
    hold = threading.Event()

    async def main() -> None:
        consumer = Consumer(database, Broker(broker.url, "cloud"), look=60.0, finish=SECONDS)
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.counts.connected)
        batch = consumer._ingest.ready(teller.cut(), encode(teller.cut()))
        consumer._applying.submit(hold.wait, SECONDS)
        consumer._applying.submit(consumer._ingest.apply, [batch], NOW)
        task.cancel()
        asyncio.get_running_loop().call_later(0.1, hold.set)
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({task})

    asyncio.run(main())
    conn = database.connect()
    assert conn.one("SELECT count(*) FROM unit") == (25,)
    conn.close()
    database.close()


def test_an_order_to_end_that_meets_a_loss_is_heeded(broker: BrokerProcess, tmp_path: Path) -> None:
    """At whatever moment after the broker died it comes."""
    database = open_database(f"sqlite:///{tmp_path / 'cloud.db'}")

    async def main(turns: int) -> None:
        backoff = Backoff(30.0, 30.0)
        consumer = Consumer(database, Broker(broker.url, "cloud"), backoff=backoff)
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.counts.connected)
        broker.stop()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=3.0)
        ended = task.done()
        task.cancel()
        await asyncio.wait({task})
        broker.start()
        assert ended, f"{turns} turns of the loop after the loss"

    for turns in range(10):
        asyncio.run(main(turns))
    database.close()


def test_questions_are_broken_off_when_the_pool_is_closed(url: str) -> None:
    database: Database = open_database(url)
    pool = Pool(database)
    asked = threading.Event()
    told: list[Exception] = []

    def ask() -> None:
        try:
            with pool.connection() as conn:
                asked.set()
                conn.rows(ENDLESS)
        except TransientError as error:
            told.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    assert asked.wait(SECONDS)
    asking.join(0.1)
    pool.close()
    assert within(asking)
    assert len(told) == 1
    pool.close()
    database.close()


STUCK = """
import asyncio, time
from agent.cli.cloud import serve
from sync.cloud.service import Service, Settings

class Stuck(Service):
    async def run(self):
        self.ready.set()
        await asyncio.to_thread(time.sleep, 60)

asyncio.run(serve(Stuck(Settings("", "")), 0.5))
"""


def test_what_cannot_be_broken_off_ends_at_the_deadline() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "Timeout" in said
