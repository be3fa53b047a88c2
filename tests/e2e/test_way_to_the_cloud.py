"""The agent's side and the consumer's over a real broker, each killed at any moment: every document
arrives once, as it is."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from sync import envelope
from sync.build import Builder
from sync.envelope import Batch
from tests.store.store_help import Plant, shift
from tests.sync import brokers
from tests.sync.brokers import BrokerProcess
from tests.sync.test_build import US, documents, everything
from tests.sync.test_uplink import last, put, running, until

ROUNDS = 4


class Cloud:
    """`caselink cloud run` on SQLite."""

    def __init__(self, folder: Path, url: str) -> None:
        self.db = folder / "cloud.db"
        self._log = folder / "cloud.log"
        words = ["cloud", "run", "--db", f"sqlite:///{self.db}", "--broker", url, "--http", ""]
        self._command = [sys.executable, "-m", "agent.cli", *words]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def received(self) -> list[tuple[tuple[int, int], bytes]]:
        """Each document that it keeps, by its row and number."""
        conn = sqlite3.connect(self.db)
        found = []
        for (payload,) in conn.execute("SELECT payload FROM batch ORDER BY first"):
            batch = envelope.decode(bytes(payload))
            assert isinstance(batch, Batch)
            found += [((doc.seq, doc.n), bytes(doc.doc)) for doc in batch.docs]
        conn.close()
        return found


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    plant.writer.start()
    yield plant
    plant.writer.close()
    plant.close()


@pytest.mark.parametrize("kind", ["mosquitto", "iotcore"])
def test_whatever_is_killed_every_document_arrives_once(
    kind: str, tmp_path: Path, plant: Plant
) -> None:
    if kind == "mosquitto" and brokers.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: tests/install_needed does it")
    broker = brokers.mosquitto(tmp_path) if kind == "mosquitto" else brokers.iotcore(tmp_path)
    readers = Readers(plant.path, plant.key_file, 3)
    port = Outbox(readers, plant.writer)
    cloud = Cloud(tmp_path, broker.url)
    try:
        with brokers.running(broker):
            asyncio.run(carry(plant, port, broker, cloud))
    finally:
        cloud.kill()
    want = {(seq, n): body for seq, n, _, body in documents(everything(Builder(port, US)))}
    readers.close()
    got = cloud.received()
    assert len(got) == len(want)
    assert dict(got) == want


async def carry(plant: Plant, port: Outbox, broker: BrokerProcess, cloud: Cloud) -> None:
    """Until all is acknowledged; broker and consumer die on the way, after some progress each."""
    chance = random.Random(7)
    await asyncio.to_thread(cloud.start)
    for n in range(ROUNDS):
        # The uplink too is new each time: its agent was killed.
        async with running(port, broker.url, builder=Builder(port, US, rows=2)) as uplink:
            await until(lambda: uplink.status.acked > 0, 30)
            before = uplink.status.acked
            await asyncio.to_thread(put, plant, *plant.case(60 + 5 * n, 100 + 4 * n, 40 + n))
            wanted = min(before + 8, last(plant) - 3)
            await until(lambda wanted=wanted: uplink.status.acked >= wanted, 30)
            await asyncio.sleep(chance.random() / 50)
            if n % 2:
                await asyncio.to_thread(broker.stop, signal.SIGKILL)
                await asyncio.to_thread(broker.start)
            else:
                await asyncio.to_thread(cloud.kill)
                await asyncio.to_thread(cloud.start)
            await asyncio.to_thread(put, plant, f.AgentStarted(str(n)))
    async with running(port, broker.url) as uplink:
        await until(lambda: uplink.status.acked == last(plant), 60)
        assert not uplink.status.fork
        assert uplink.status.parked == 0
