"""The way from the journal to a consumer over real brokers, and everything that happens to it."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.store import journal, outbox
from agent.store.outbox import Outbox
from agent.store.record import record
from sync.build import Builder
from sync.messages import DeviceState, State, read
from sync.mqtt import Backoff, Broker, Connection
from sync.status import About
from sync.uplink import Uplink
from sync.uris import Identity
from tests.store.store_help import LINE, Plant, at
from tests.sync import brokers
from tests.sync.brokers import BrokerProcess, Proxy, needs_mosquitto
from tests.sync.test_build import documents, everything
from tests.sync.tiny import Tiny

US = Identity("acme", "plant-1", "box-7")
PRINTER = DeviceState(kind="printer", state="fault", faults=2, warnings=["ribbon_low"])
ABOUT = About("1", {"L1": "execute"}, 1_700_000_500_000, "synced", {"coder": PRINTER})


def put(plant: Plant, *facts: f.Fact) -> None:
    """As Plant.put, where the writer has its thread."""
    plant.tick += 1
    plant.writer.wait(lambda conn: record(conn, LINE, facts, at(plant.tick)))


def last(plant: Plant) -> int:
    plant.conn.tail = None
    return journal.tail(plant.conn)[0]


async def until(done: Callable[[], bool], within: float = 20.0, look: float = 0.02) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(look)


Told = list[tuple[str, bool, Mapping[str, str]]]


@asynccontextmanager
async def running(
    port: Outbox, url: str, told: Told | None = None, **more: object
) -> AsyncIterator[Uplink]:
    """An agent's uplink that does not wait long for anything."""

    def condition(key: str, on: bool, args: Mapping[str, str]) -> None:
        if told is not None:
            told.append((key, on, args))

    options: dict[str, object] = {
        "backoff": Backoff(0.05, 0.2),
        "relay": {"patience": 1.0, "fork_retry": 1.0},
        "builder": Builder(port, US, rows=7),
        "linger": 0.05,
        "look": 0.2,
        **more,
    }
    broker = Broker(url, "acme.plant-1.box-7", keepalive=1, answer=2.0)
    uplink = Uplink(US, broker, port, lambda: ABOUT, condition=condition, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def consuming(consumer: Tiny) -> AsyncIterator[None]:
    task = asyncio.create_task(consumer.serve())
    try:
        yield
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def everything_arrived(port: Outbox, consumer: Tiny) -> None:
    """Each document once, as it is; each row once and in order."""
    want = {(seq, n): body for seq, n, _, body in documents(everything(Builder(port, US)))}
    (stream,) = consumer.streams.values()
    assert stream.docs == want


def in_order(taken: list[tuple[int, int]], upto: int) -> None:
    at_ = 0
    for first, last_ in taken:
        assert first == at_ + 1
        at_ = last_
    assert at_ == upto


def test_every_row_arrives_once_and_in_order(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    consumer = Tiny(broker.url)

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: uplink.status.acked == last(plant))
            await asyncio.to_thread(put, plant, *plant.case(60, 100, 40))
            await until(lambda: uplink.status.acked == last(plant))
            assert uplink.status.connected
            await until(lambda: uplink.status.backlog.rows == 0)
            await until(lambda: uplink.status.items_per_s > 0)

    asyncio.run(go())
    everything_arrived(port, consumer)
    in_order(consumer.taken, last(plant))
    assert port.acked().seq == last(plant)


def test_what_it_keeps_belongs_together_whenever_it_ends(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    """Row and hash: those of two rows would look like a fork at the next start."""
    consumer = Tiny(broker.url)

    async def go() -> None:
        async with asyncio.timeout(60), consuming(consumer):
            while not consumer.taken or consumer.taken[-1][1] < last(plant):
                before = list(consumer.taken)
                async with running(port, broker.url):
                    await until(lambda before=before: consumer.taken != before, look=0)
                    for _ in before:
                        await asyncio.sleep(0.0005)  # the acknowledgement is on its way
                kept = port.acked()
                with port.view() as view:
                    assert kept.hash == view.hash_at(kept.seq)

    asyncio.run(go())


def test_nobody_acknowledges_and_nothing_is_believed(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    """The broker takes every batch and says so: that is no receipt."""
    consumer = Tiny(broker.url, mute=True)

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: len(consumer.seen) >= 2)
            assert uplink.status.acked == 0
            assert port.acked().seq == 0
            consumer.mute = False
            await until(lambda: uplink.status.acked == last(plant))

    asyncio.run(go())
    everything_arrived(port, consumer)


def test_it_goes_on_where_it_was(broker: BrokerProcess, plant: Plant, port: Outbox) -> None:
    consumer = Tiny(broker.url)

    async def go() -> None:
        async with consuming(consumer):
            async with running(port, broker.url) as uplink:
                await until(lambda: uplink.status.acked >= 21)
            kept = port.acked()
            assert kept.seq >= 21
            with port.view() as view:
                assert kept.hash == view.hash_at(kept.seq)
            consumer.seen.clear()
            async with running(port, broker.url) as uplink:
                await until(lambda: uplink.status.acked == last(plant))
            assert consumer.seen[0].first > kept.seq

    asyncio.run(go())
    everything_arrived(port, consumer)
    in_order(consumer.taken, last(plant))


def test_a_consumer_that_lost_its_memory_gets_it_again(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    consumer = Tiny(broker.url)

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: uplink.status.acked == last(plant))
            with port.view() as view:
                consumer.forget(30, view.hash_at(30) or "")
            await asyncio.to_thread(put, plant, *plant.case(60, 100, 40))
            await until(lambda: uplink.status.acked == last(plant))

    asyncio.run(go())
    everything_arrived(port, consumer)


def test_cuts_and_half_open_links_cost_nothing(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    consumer = Tiny(broker.url)
    chance = random.Random(3)

    async def go() -> None:
        async with (
            Proxy(broker.port) as proxy,
            consuming(consumer),
            running(port, proxy.url, builder=Builder(port, US, rows=2)) as uplink,
        ):
            for n in range(6):
                await until(lambda n=n: uplink.status.acked >= min(4 * n, last(plant) - 5))
                if n % 3 == 2:
                    proxy.stall()
                    await until(lambda: not uplink.status.connected)
                    proxy.flow()
                await asyncio.sleep(chance.random() / 20)
                await proxy.cut()
                await asyncio.to_thread(put, plant, f.AgentStarted(str(n)))
            await until(lambda: uplink.status.acked == last(plant))

    asyncio.run(go())
    everything_arrived(port, consumer)
    in_order(consumer.taken, last(plant))


@pytest.mark.parametrize("kind", ["mosquitto", "iotcore"])
def test_a_broker_that_dies_and_forgets_everything_loses_nothing(
    kind: str, tmp_path: Path, plant: Plant, port: Outbox
) -> None:
    if kind == "mosquitto" and brokers.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: tests/install_needed does it")
    process = brokers.mosquitto(tmp_path) if kind == "mosquitto" else brokers.iotcore(tmp_path)
    consumer = Tiny(process.url)

    async def go() -> None:
        async with (
            consuming(consumer),
            running(port, process.url, builder=Builder(port, US, rows=2)) as uplink,
        ):
            for n in range(3):
                await until(lambda n=n: uplink.status.acked >= 10 * n)
                await asyncio.to_thread(process.stop, signal.SIGKILL)
                await asyncio.to_thread(put, plant, f.AgentStarted(str(n)))
                await asyncio.to_thread(process.start)
            await until(lambda: uplink.status.acked == last(plant), 30)

    with brokers.running(process):
        asyncio.run(go())
    everything_arrived(port, consumer)
    in_order(consumer.taken, last(plant))


def test_a_fork_is_told_and_nothing_is_sent(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    consumer = Tiny(broker.url)
    told: Told = []

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url, told) as uplink:
            await until(lambda: uplink.status.acked >= 14)
            consumer.lie = "ab" * 16
            await asyncio.to_thread(put, plant, f.AgentStarted("1"))
            await until(lambda: bool(uplink.status.fork))
            at_ = uplink.status.acked
            assert "is not row" in uplink.status.fork
            assert uplink.state().fork
            assert uplink.status.acked == at_
            consumer.lie = ""
            await until(lambda: uplink.status.acked == last(plant))
            assert not uplink.status.fork

    asyncio.run(go())
    forks = [on for key, on, _ in told if key == "sync_fork"]
    assert forks == [True, False]
    everything_arrived(port, consumer)


def test_a_refused_document_is_seen_here_and_the_rest_goes_on(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    whole = documents(everything(Builder(port, US)))
    seq, n, _, body = whole[3]
    consumer = Tiny(broker.url, refuse={seq})
    told: Told = []

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url, told) as uplink:
            await until(lambda: uplink.status.acked == last(plant))
            await until(lambda: uplink.status.parked > 0)

    asyncio.run(go())
    with port.view() as view:
        parked = outbox.parked(view._conn)
    assert {
        "seq": seq,
        "n": n,
        "side": "cloud",
        "reason": "no",
        "document": body.decode(),
    }.items() <= (parked[-1].items())
    assert ("sync_parked", True) in [(key, on) for key, on, _ in told]


def test_a_restored_backup_goes_on_in_its_own_epoch(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    """The cloud has more of the old epoch than the backup: that stays there."""
    consumer = Tiny(broker.url)
    cut = last(plant)

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: uplink.status.acked == cut)
        (stream,) = consumer.streams.values()
        stream.upto, stream.hash = cut + 50, "ab" * 16  # what the lost disk had sent
        plant.writer.wait(lambda conn: outbox.keep(conn, 0, "00" * 16, None))
        plant.writer.wait(lambda conn: journal.begin_epoch(conn, "second"))
        await asyncio.to_thread(put, plant, *plant.case(60, 100, 40))
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: uplink.status.acked == last(plant))
            assert not uplink.status.fork

    asyncio.run(go())
    second = consumer.streams[US.name, "second"]
    assert second.upto == last(plant)
    assert min(seq for seq, _ in second.docs) > cut


def test_a_consumer_that_lost_everything_gets_every_epoch_again(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    cut = last(plant)
    plant.writer.wait(lambda conn: journal.begin_epoch(conn, "second"))
    put(plant, *plant.case(60, 100, 40))
    with port.view() as view:
        chain = view.hash_at(last(plant)) or ""
    port.keep(last(plant), chain, None)
    put(plant, f.AgentStarted("1"))
    consumer = Tiny(broker.url)

    async def go() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: 0 < uplink.status.acked < cut)
            await until(lambda: uplink.status.acked == last(plant))

    asyncio.run(go())
    uptos = {epoch: stream.upto for (_, epoch), stream in consumer.streams.items()}
    assert sorted(uptos.values()) == [cut, last(plant)]
    in_order(consumer.taken, last(plant))


async def states(broker: BrokerProcess, done: Callable[[State], bool]) -> State:
    """The first retained or live state that satisfies."""
    connection = Connection(Broker(broker.url, "watcher"))
    await connection.open()
    await connection.subscribe("cl/v1/acme/plant-1/box-7/state")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        message = await connection.next_message(1.0)
        if message is not None:
            state = read(State, message.payload)
            assert isinstance(state, State), state
            if done(state):
                await connection.close()
                return state
    raise AssertionError("no such state")


def test_the_state_topic_says_how_it_stands(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    async def go() -> None:
        async with running(port, broker.url):
            state = await states(broker, lambda state: state.online and state.backlog > 0)
            assert state.backlog == last(plant)
            assert state.lines == {"L1": "execute"}
            assert state.devices == {"coder": PRINTER}
            assert state.oldest_ms > 0
            assert state.epoch
        await states(broker, lambda state: not state.online)
        async with Proxy(broker.port) as proxy, running(port, proxy.url):
            await states(broker, lambda state: state.online)
            proxy.refusing = True
            await proxy.cut()
            await states(broker, lambda state: not state.online)  # its last will

    asyncio.run(go())


def test_commands_are_answered(broker: BrokerProcess, port: Outbox) -> None:
    class Echo:
        async def take(self, payload: bytes) -> bytes | None:
            return b"did " + payload if payload != b"quiet" else None

    async def go() -> None:
        cloud = Connection(Broker(broker.url, "cloud"))
        await cloud.open()
        await cloud.subscribe("cl/v1/acme/plant-1/box-7/rsp")
        async with running(port, broker.url, commands=Echo()) as uplink:
            await until(lambda: uplink.status.connected)
            for payload in (b"quiet", b"this"):
                await cloud.publish("cl/v1/acme/plant-1/box-7/cmd", payload)
            message = await cloud.next_message(5)
            assert message is not None
            assert message.payload == b"did this"
        await cloud.close()

    asyncio.run(go())


@needs_mosquitto
def test_a_broker_that_does_not_let_us_in_is_told(tmp_path: Path, port: Outbox) -> None:
    told: Told = []

    async def go(url: str) -> None:
        async with running(port, url, told) as uplink:
            await until(lambda: "Not authorized" in uplink.status.error)
            assert not uplink.status.connected

    with brokers.running(brokers.mosquitto(tmp_path, lines=["allow_anonymous false"])) as process:
        asyncio.run(go(process.url))
    assert ("sync_refused", True) in [(key, on) for key, on, _ in told]


def test_without_a_broker_the_backlog_is_still_seen(plant: Plant, port: Outbox) -> None:
    async def go() -> None:
        async with running(port, f"mqtt://127.0.0.1:{brokers.free_port()}") as uplink:
            await until(lambda: uplink.status.backlog.rows == last(plant))
            await until(lambda: "cannot be reached" in uplink.status.error)
            data = uplink.status.data(ABOUT.wall_ms)
            assert data["age_ms"] > 0
            assert data["items"] > 10

    asyncio.run(go())
