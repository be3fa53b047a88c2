"""What the way to the cloud costs an agent: per bottle in time and bytes, and how quick a drain is.

Run: python tests/bench/bench_sync.py [--bottles 48000] [--roles 5] [--drain]

cost    translate, check, encode and compress, one after the other, over a journal of cases of 24;
        µs and bytes per bottle, with one code on each bottle and with `--roles`
level   zstd levels: bytes per bottle and µs per bottle
drain   --drain: through mosquitto to a consumer that keeps the payloads in memory and acknowledges:
        bottles a second, resident memory at a tenth of the way and at the end
relay   --drain: 1,000,000 bottles in batches that were built before, by the relay (acknowledged, in
        order, kept in the store), and by a bare loop that hands the same payloads to the same
        connection; to a consumer in a process of its own that commits each payload to SQLite (FULL)
"""

import argparse
import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import zstandard

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact
from agent.core.known import Clock
from agent.core.poolfile import Declared, PoolFile, seal
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.store.database import Database
from agent.store.outbox import Outbox
from agent.store.pool_import import import_pool
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.writer import Writer
from sync import envelope
from sync.build import Builder, Built
from sync.envelope import Batch, Doc
from sync.epcis import translate
from sync.lint import event_problems
from sync.messages import Ack, write
from sync.mqtt import Broker, Connection
from sync.pending import State
from sync.status import About
from sync.uplink import Uplink
from sync.uris import Identity

CASE = 24
US = Identity("brand", "plant-1", "edge-1", base="https://id.example.cn")
ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"


class Plant:
    """A journal of full cases: 31-character random codes, `roles` on each bottle, the first in
    clear and every other secret."""

    def __init__(self, where: Path, bottles: int, roles: int) -> None:
        self.path, self.key = where / "caselink.db", where / "caselink.key"
        self.db = Database.open(self.path, self.key)
        self.writer = Writer(self.db.conn)
        rng = random.Random(1)
        names = tuple(f"role{n}" for n in range(roles))
        secret = names[1::2]
        scheme = PackingScheme(
            "bench",
            (
                LevelSpec("bottle", names[0], names, secret=secret),
                LevelSpec("case", "case-outer", ("case-outer",), children=CASE),
            ),
        )
        self.roles, self.order = names, WorkOrder("WO-1", "L1", "sku", "lot", scheme, bottles, {})
        self._pool("cases", "case", ("case-outer",), bottles // CASE, rng, ())
        self._pool("bottles", "bottle", names, bottles, rng, secret)
        self._put([f.OrderCreated(self.order, "li"), f.OrderStarted("WO-1", "li")], 0)
        for n in range(0, bottles // CASE, 8):
            for case in range(n, min(n + 8, bottles // CASE)):
                self._put(self._case(case), case)

    def _pool(
        self,
        name: str,
        level: str,
        roles: tuple[str, ...],
        count: int,
        rng: random.Random,
        secret: tuple[str, ...],
    ) -> None:
        columns = tuple(
            tuple(
                "https://q.example.cn/" + "".join(rng.choices(ALPHABET, k=10)) for _ in range(count)
            )
            for _ in roles
        )
        declared = Declared(name, level, roles, secret=secret, preprinted=True)
        sealed = seal(zip(*columns, strict=True))
        file = PoolFile(declared, roles, columns, (), tuple(None for _ in roles), (), sealed)
        self.writer.run_inline(lambda conn: import_pool(conn, file, "", Clock(0, 0, "synced")))

    def _put(self, facts: list[Fact], tick: int) -> None:
        clock = Clock(1_767_225_600_000 + 2_400 * tick, 2_400 * tick, "synced")
        self.writer.run_inline(lambda conn: record(conn, "L1", facts, clock))

    def _case(self, n: int) -> list[Fact]:
        first = n * (CASE + 1) + 1
        proven = f.PairIntegrity.PROVEN
        facts: list[Fact] = []
        for k in range(CASE):
            codes = tuple(
                Attachment(role, CodeKey(2, n * CASE + k, column), proven)
                for column, role in enumerate(self.roles)
            )
            unit = first + k
            facts.append(f.ItemPassed("verify", unit, unit, "bottle", "WO-1", codes, True))
        case = first + CASE
        label = Attachment("case-outer", CodeKey(1, n, 0), proven)
        return [
            *facts,
            f.ContainerFormed(case, "case", "WO-1", "pack", case, CASE),
            f.Packed(case, tuple(range(first, case)), (f.LinkEvidence.READ,)),
            f.LabelBound(case, (label,), f.OwnCode.CAPTIVE, "label"),
            f.ContainerClosed(case, CASE, 0, f.Integrity.PROVEN),
        ]


def cost(where: Path, bottles: int, roles: int, drain: bool) -> None:
    plant = Plant(where, bottles, roles)
    plant.writer.start()
    readers = Readers(plant.path, plant.key, 3)
    outbox = Outbox(readers, plant.writer)
    times = {"read": 0.0, "translate": 0.0, "check": 0.0, "encode": 0.0, "compress": 0.0}
    state, docs, at = State(), [], 1
    with outbox.view() as view:
        while True:
            began = perf_counter()
            rows = view.rows(at, 250)
            times["read"] += perf_counter() - began
            if not rows:
                break
            for entry in rows:
                began = perf_counter()
                found = translate(state, entry, view, US)
                translated = perf_counter()
                assert not [p for d in found for e in d.events for p in event_problems(e)]
                times["translate"] += translated - began
                times["check"] += perf_counter() - translated
                docs += [
                    Doc(entry.seq, n, len(found), msgspec.Raw(d.body)) for n, d in enumerate(found)
                ]
            at = rows[-1].seq + 1
    plain = sum(len(bytes(doc.doc)) for doc in docs)
    per = max(1, round(len(docs) / max(1, plain // 1_000_000)))
    packed: dict[int, tuple[int, float]] = {}
    for start in range(0, len(docs), per):
        some = docs[start : start + per]
        batch = Batch(
            agent=US.name,
            epoch="e",
            first=some[0].seq,
            last=some[-1].seq,
            prev=envelope.ZERO,
            hash=envelope.ZERO,
            docs=some,
        )
        began = perf_counter()
        data = msgspec.json.encode(batch)
        times["encode"] += perf_counter() - began
        for level in (1, 3, 5, 7, 9, 12, 15, 19):
            if level > 9 and start > 3 * per:
                continue
            began = perf_counter()
            size = len(zstandard.ZstdCompressor(level=level).compress(data))
            took = perf_counter() - began
            known = packed.get(level, (0, 0.0))
            packed[level] = known[0] + size, known[1] + took
            if level == 3:
                times["compress"] += took
    us = {name: 1e6 * took / bottles for name, took in times.items()}
    print(f"\n{roles} code(s) on a bottle, {bottles:,} bottles, {len(docs):,} documents")
    print("  us/bottle  " + "  ".join(f"{name} {took:.1f}" for name, took in us.items()), end="")
    print(f"  sum {sum(us.values()):.1f}")
    print(f"  B/bottle   before compression {plain / bottles:.0f}")
    share = min(1.0, 4 * per / len(docs))
    for level, (size, took) in packed.items():
        n = bottles if level <= 9 else bottles * share
        print(f"  zstd {level:2d}    {size / n:6.1f} B/bottle  {1e6 * took / n:6.2f} us/bottle")
    began = perf_counter()
    builder, built = Builder(outbox, US), list[Built]()
    while one := builder.build(built[-1].last + 1 if built else 1):
        built.append(one)
    took = perf_counter() - began
    size = sum(len(one.payload) for one in built)
    print(
        f"  Builder    {1e6 * took / bottles:.1f} us/bottle, {size / bottles:.1f} B/bottle, "
        f"{len(built)} batches"
    )
    if drain:
        if roles == 1:
            asyncio.run(prebuilt(where, outbox, built[0]))
        asyncio.run(through(where, outbox, bottles, built[-1].last))
    readers.close()
    plant.writer.close()
    plant.db.close()


def about() -> About:
    return About("1", {}, 1_767_225_600_000, "synced")


def resident() -> float:
    """MB of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6


async def through(where: Path, outbox: Outbox, bottles: int, last: int) -> None:
    from tests.sync import brokers

    with brokers.running(brokers.mosquitto(where)) as broker, consumer(broker.url):
        uplink = Uplink(US, Broker(broker.url, "edge-1"), outbox, about)
        began, tenth = perf_counter(), 0.0
        task = asyncio.create_task(uplink.run())
        while uplink.status.acked < last:
            if not tenth and uplink.status.acked > last / 10:
                tenth = resident()
            await asyncio.sleep(0.01)
        took = perf_counter() - began
        await ended(task)
    print(
        f"  drain      {bottles / took:,.0f} bottles/s from journal to acknowledgement; "
        f"resident {tenth:.0f} MB at a tenth, {resident():.0f} MB at the end"
    )


class Head(msgspec.Struct):
    """What a consumer that stores batches as they are must know of one."""

    epoch: str
    last: int
    hash: str


async def receive(url: str, sink: Path | None = None, *, bare: bool = False) -> None:
    """Acknowledge every batch, after it was committed to `sink`; `bare`: only say when the one that
    ends it has come."""
    connection = Connection(Broker(url, "consumer"))
    await connection.open()
    await connection.subscribe("cl/v1/+/+/+/evt")
    store = None if sink is None else raw_store(sink)
    try:
        print("ready", flush=True)
        while True:
            message = await connection.next_message(1.0)
            if message is None:
                continue
            if message.payload == b"end":
                print("end", flush=True)
                continue
            data = envelope.unpack(message.payload)
            assert isinstance(data, bytes)
            head = msgspec.json.decode(data, type=Head)
            if store is not None:
                store.execute("INSERT INTO batch (payload) VALUES (?)", (message.payload,))
            if not bare:
                ack = Ack(epoch=head.epoch, upto=head.last, hash=head.hash)
                await connection.publish(message.topic[:-3] + "ack", write(ack))
    finally:
        await connection.close(politely=False)
        if store is not None:
            store.close()


@contextmanager
def consumer(url: str, sink: Path | None = None, *, bare: bool = False) -> Iterator[Any]:
    """`receive` in a process of its own; its output."""
    words = [sys.executable, __file__, "--consume", url]
    words += ["--sink", str(sink)] if sink else []
    words += ["--bare"] if bare else []
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.stdout
    finally:
        process.kill()
        process.wait()


def raw_store(path: Path) -> sqlite3.Connection:
    """A table of payloads, durable at each commit."""
    conn = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    conn.execute("CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, payload BLOB)")
    return conn


class Ready(Builder):
    """Batches that were built before."""

    def __init__(self, outbox: Outbox, built: list[Built]) -> None:
        super().__init__(outbox, US)
        self._ready = {one.first: one for one in built}

    def build(self, first: int) -> Built | None:
        return self._ready.get(first)


def copies(one: Built, count: int, epoch: str) -> list[Built]:
    """The same documents again and again, under numbers of their own."""
    batch = envelope.decode(one.payload)
    assert isinstance(batch, Batch)
    found, prev, rows = [], envelope.ZERO, batch.last - batch.first + 1
    for n in range(count):
        by = 1 - batch.first + n * rows
        docs = [Doc(doc.seq + by, doc.n, doc.of, doc.doc) for doc in batch.docs]
        first, last, chain = batch.first + by, batch.last + by, f"{n + 1:032x}"
        again = msgspec.structs.replace(
            batch, first=first, last=last, prev=prev, hash=chain, docs=docs, epoch=epoch, began=1
        )
        payload = envelope.encode(again)
        found.append(one._replace(first=first, last=last, hash=chain, payload=payload, state=b""))
        prev = chain
    return found


async def prebuilt(where: Path, outbox: Outbox, one: Built) -> None:
    from tests.sync import brokers

    with outbox.view() as view:
        epoch = view.epoch_at(1).name
    built = copies(one, -(-1_000_000 // one.items), epoch)
    bottles = one.items * len(built)
    with brokers.running(brokers.mosquitto(where)) as broker:
        sums = {"bare": 0.0, "relay": 0.0}
        for _ in range(3):
            with consumer(broker.url, where / "bare.db", bare=True) as said:
                connection = Connection(Broker(broker.url, "edge-1"))
                await connection.open()
                began = perf_counter()
                for each in built:
                    await connection.publish("cl/v1/brand/plant-1/edge-1/evt", each.payload)
                await connection.publish("cl/v1/brand/plant-1/edge-1/evt", b"end")
                assert await asyncio.to_thread(said.readline) == "end\n"
                sums["bare"] += perf_counter() - began
                await connection.close()
            with consumer(broker.url, where / "relay.db"):
                ready = Ready(outbox, built)
                broker_at = Broker(broker.url, "edge-1")
                # Nothing can be sent again here: a busy machine gets longer than the usual 15 s.
                patient = {"patience": 300.0}
                uplink = Uplink(US, broker_at, outbox, about, builder=ready, relay=patient)
                began = perf_counter()
                task = asyncio.create_task(uplink.run())
                while uplink.status.acked < built[-1].last:  # noqa: ASYNC110 - a look costs nothing
                    await asyncio.sleep(0.002)
                sums["relay"] += perf_counter() - began
                await ended(task)
            await asyncio.to_thread(outbox.keep, 0, envelope.ZERO, None)
    bare, relay = (3 * bottles / sums[name] for name in ("bare", "relay"))
    print(
        f"  relay      {relay:,.0f} bottles/s of built batches, a bare loop {bare:,.0f}: "
        f"{relay / bare:.2f}"
    )


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bottles", type=int, default=48_000)
    parser.add_argument("--roles", type=int, default=5)
    parser.add_argument("--drain", action="store_true")
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--consume", help=argparse.SUPPRESS)
    parser.add_argument("--sink", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.consume:
        asyncio.run(receive(given.consume, given.sink, bare=given.bare))
        return
    for roles in dict.fromkeys((1, given.roles)):
        with tempfile.TemporaryDirectory(dir=given.dir) as where:
            cost(Path(where), given.bottles // CASE * CASE, roles, given.drain)


if __name__ == "__main__":
    main()
