"""A drain from end to end: the relay, mosquitto, and `caselink cloud run` in a process of its own.

    python tests/bench/bench_drain.py --bottles 1000000 [--db postgresql] [--codes 5]

Batches are built before (cases of 24, every code another) and lie in files, so that the memory of
the relay is its own. Printed at each tenth of the way: bottles a second from the first batch on,
and what both processes keep in memory; at the end how much more that is than at the half. The
relay with a consumer that stores raw batches against a bare loop: `bench_sync.py --drain`.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.store.database import Database
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from agent.store.writer import Writer
from sync.build import Builder, Built
from sync.envelope import encode
from sync.mqtt import Broker
from sync.uplink import Uplink
from tests.bench.bench_cloud import batches
from tests.bench.bench_sync import US, about, ended
from tests.sync import brokers
from tests.sync.cloud import postgres
from tests.sync.cloud.conftest import fresh_postgres

ROOT = Path(__file__).resolve().parents[2]
MARKS = tuple(n / 10 for n in range(1, 11))


class Filed(Builder):
    """Batches that were built before and lie in `folder`."""

    def __init__(self, outbox: Outbox, folder: Path, bottles: int, codes: int) -> None:
        super().__init__(outbox, US)
        self.folder = folder
        self.size = 0
        self._heads: dict[int, Built] = {}
        with outbox.view() as view:
            epoch = view.epoch_at(1).name
        for batch in batches(bottles, codes):
            payload = encode(msgspec.structs.replace(batch, epoch=epoch))
            self.size += len(payload)
            (folder / f"{batch.first}").write_bytes(payload)
            self._heads[batch.first] = Built(
                batch.first, batch.last, batch.hash, b"", b"", 0, len(batch.docs), 0, (), True
            )
        self.last = max(each.last for each in self._heads.values())

    def build(self, first: int) -> Built | None:
        head = self._heads.get(first)
        if head is None:
            return None
        return head._replace(payload=(self.folder / f"{first}").read_bytes())


@contextmanager
def consumer(db: str, broker: str) -> Iterator[int]:
    """`caselink cloud run`, ready; its pid."""
    words = [sys.executable, "-m", "agent.cli", "cloud", "run", "--http", ""]
    process = subprocess.Popen(
        [*words, "--db", db, "--broker", broker], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert "ready" in process.stdout.readline()
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)


def resident(pid: int | str) -> float:
    """MB of a process that are its own: not those of files that it has mapped."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * 4096 / 1e6


async def drain(outbox: Outbox, filed: Filed, broker: str, pid: int, bottles: int) -> None:
    """Send all of it."""
    # What was sent is not in this journal, so it cannot be sent again: on a busy machine a receipt
    # takes longer than the usual 15 s.
    patient = {"patience": 300.0}
    uplink = Uplink(US, Broker(broker, "edge-1"), outbox, about, builder=filed, relay=patient)
    began, marks = perf_counter(), list(MARKS)
    kept: list[tuple[float, float]] = []
    task = asyncio.create_task(uplink.run())
    while marks:
        assert not task.done(), task
        assert not uplink.status.fork, uplink.status.fork
        if uplink.status.acked >= marks[0] * filed.last:
            share = marks.pop(0)
            rate = share * bottles / (perf_counter() - began)
            kept.append((resident("self"), resident(pid)))
            print(
                f"  {share:4.0%}  {rate:10,.0f} bottles/s   relay {kept[-1][0]:5.0f} MB"
                f"   consumer {kept[-1][1]:5.0f} MB",
                flush=True,
            )
        await asyncio.sleep(0.01)
    relay, consumer = (after - before for before, after in zip(kept[4], kept[-1], strict=True))
    print(f"  from the half to the end: relay {relay:+.0f} MB, consumer {consumer:+.0f} MB")
    await ended(task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bottles", type=int, default=100_000)
    parser.add_argument("--codes", type=int, default=1, help="codes on a bottle")
    parser.add_argument("--db", choices=["sqlite", "postgresql"], action="append")
    given = parser.parse_args()
    for kind in given.db or ("sqlite", "postgresql"):
        with ExitStack() as stack:
            where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caselink-")))
            database = Database.open(where / "agent.db", where / "agent.key")
            stack.callback(database.close)
            writer = Writer(database.conn)
            writer.start()
            stack.callback(writer.close)
            readers = Readers(where / "agent.db", where / "agent.key", 3)
            stack.callback(readers.close)
            (where / "batches").mkdir()
            outbox = Outbox(readers, writer)
            filed = Filed(outbox, where / "batches", given.bottles, given.codes)
            broker = stack.enter_context(brokers.running(brokers.mosquitto(where)))
            if kind == "sqlite":
                db = f"sqlite:///{where / 'cloud.db'}"
            else:
                db = fresh_postgres(stack.enter_context(postgres.server(durable=True)))
            pid = stack.enter_context(consumer(db, broker.url))
            print(
                f"{kind}: {given.bottles:,} bottles with {given.codes} code(s), "
                f"{filed.size / given.bottles:.1f} B a bottle on the wire"
            )
            asyncio.run(drain(outbox, filed, broker.url, pid, given.bottles))


if __name__ == "__main__":
    main()
