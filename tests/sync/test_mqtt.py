"""Connections to real brokers: what goes out comes in, and every loss is told in time."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.core.errors import CaselinkError, ConfigError, TransientError
from sync import mqtt
from sync.mqtt import Backoff, Broker, Connection, Message, Will
from tests.sync import brokers, certificates
from tests.sync.brokers import BrokerProcess, Proxy, needs_mosquitto


async def opened(url: str, client: str, **more: object) -> Connection:
    connection = Connection(Broker(url, client), **more)  # type: ignore[arg-type]
    await connection.open()
    return connection


async def gone(connection: Connection, within: float) -> CaselinkError:
    """What a connection says when it is lost."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            await connection.next_message(0.2)
        except CaselinkError as error:
            return error
    raise AssertionError("the loss was not noticed")


def test_what_is_published_arrives_in_order(broker: BrokerProcess) -> None:
    async def go() -> None:
        reader = await opened(broker.url, "reader")
        await reader.subscribe("a/+/b")
        writer = await opened(broker.url, "writer")
        sent = [bytes([n]) * (1 + 40_000 * (n % 3)) for n in range(100)]
        for payload in sent:
            await writer.publish("a/x/b", payload)
        await writer.settle()
        for payload in sent:
            assert await reader.next_message(5) == Message("a/x/b", payload, False)
        assert await reader.next_message(0.1) is None
        await writer.close()
        await reader.close()

    asyncio.run(go())


def test_a_large_message_goes_through(broker: BrokerProcess) -> None:
    async def go() -> None:
        both = await opened(broker.url, "both")
        await both.subscribe("large")
        payload = bytes(range(256)) * 9_000  # 2.3 MB
        await both.publish("large", payload)
        message = await both.next_message(10)
        assert message is not None
        assert message.payload == payload
        await both.close()

    asyncio.run(go())


def test_a_message_no_broker_takes_is_refused_here(broker: BrokerProcess) -> None:
    async def go() -> None:
        connection = await opened(broker.url, "heavy")
        with pytest.raises(ConfigError, match="raise its limit"):
            await connection.publish("t", bytes(mqtt.MAX_PACKET))
        assert connection.alive
        await connection.close()

    asyncio.run(go())


def test_small_messages_go_at_once(broker: BrokerProcess) -> None:
    """A round trip with Nagle's algorithm and delayed acknowledgements takes 40 ms and more."""

    async def go() -> float:
        both = await opened(broker.url, "quick")
        await both.subscribe("quick")
        began = time.monotonic()
        for n in range(50):
            await both.publish("quick", b"%d" % n)
            assert await both.next_message(5) is not None
        took = time.monotonic() - began
        await both.close()
        return took

    assert asyncio.run(go()) < 1.5


def test_a_connection_begins_with_nothing_of_the_last(broker: BrokerProcess) -> None:
    async def go() -> None:
        old = await opened(broker.url, "same")
        await old.subscribe("mine")
        await old.close(politely=False)
        other = await opened(broker.url, "other")
        await other.publish("mine", b"while away")
        await other.settle()
        new = await opened(broker.url, "same")
        assert await new.next_message(0.3) is None
        await other.publish("mine", b"not subscribed again")
        await other.settle()
        assert await new.next_message(0.3) is None
        await new.close()
        await other.close()

    asyncio.run(go())


def test_the_will_is_told_unless_we_go_politely(broker: BrokerProcess) -> None:
    async def go() -> None:
        witness = await opened(broker.url, "witness")
        await witness.subscribe("will/+")
        for client, politely in (("kind", True), ("rude", False)):
            one = await opened(broker.url, client, will=Will(f"will/{client}", b"gone"))
            await one.close(politely=politely)
        # A broker may take its time to see that a socket has gone.
        message = await witness.next_message(10)
        assert message is not None
        assert (message.topic, message.payload) == ("will/rude", b"gone")
        assert await witness.next_message(0.3) is None
        late = await opened(broker.url, "late")
        await late.subscribe("will/rude")
        kept = await late.next_message(5)
        assert kept is not None
        assert kept.retained
        await late.close()
        await witness.close()

    asyncio.run(go())


def test_who_sends_more_than_the_broker_acknowledges_waits(broker: BrokerProcess) -> None:
    async def go() -> None:
        async with Proxy(broker.port) as proxy:
            connection = await opened(proxy.url, "flood")
            proxy.stall()
            for _ in range(mqtt.IN_FLIGHT):
                await connection.publish("t", b"x")
            began = time.monotonic()
            with pytest.raises(TransientError, match="did not acknowledge"):
                await connection.publish("t", b"one more", timeout=0.3)
            assert time.monotonic() - began < 2
            assert not connection.alive
            await connection.close()

    asyncio.run(go())


def test_a_reader_that_does_not_read_is_not_flooded(broker: BrokerProcess) -> None:
    async def go() -> None:
        reader = await opened(broker.url, "slow")
        await reader.subscribe("much")
        writer = await opened(broker.url, "quick")
        for n in range(300):
            await writer.publish("much", b"%d" % n)
        await writer.settle()
        await asyncio.sleep(0.3)  # so that more could arrive than may
        assert len(reader._messages) <= mqtt.HELD
        for n in range(300):
            message = await reader.next_message(5)
            assert message is not None
            assert message.payload == b"%d" % n
        await writer.close()
        await reader.close()

    asyncio.run(go())


def test_a_cut_connection_is_told_at_once(broker: BrokerProcess) -> None:
    async def go() -> None:
        async with Proxy(broker.port) as proxy:
            connection = await opened(proxy.url, "cut")
            await proxy.cut()
            assert isinstance(await gone(connection, 2), TransientError)
            with pytest.raises(TransientError):
                await connection.publish("t", b"x")
            await connection.close()

    asyncio.run(go())


def test_a_half_open_connection_is_noticed(broker: BrokerProcess) -> None:
    async def go() -> None:
        async with Proxy(broker.port) as proxy:
            connection = Connection(Broker(proxy.url, "half", keepalive=1))
            await connection.open()
            proxy.stall()
            assert isinstance(await gone(connection, 6), TransientError)
            await connection.close()

    asyncio.run(go())


def test_opening_has_one_deadline() -> None:
    """A listener whose kernel accepts and that never says a word."""

    async def go(url: str) -> float:
        connection = Connection(Broker(url, "dumb"))
        began = time.monotonic()
        with pytest.raises(TransientError, match="did not answer within"):
            await connection.open(0.4)
        await connection.close()
        return time.monotonic() - began

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for scheme in ("mqtt", "mqtts"):
            assert asyncio.run(go(f"{scheme}://127.0.0.1:{port}")) < 2


def test_nobody_there_is_told() -> None:
    async def go() -> None:
        connection = Connection(Broker(f"mqtt://127.0.0.1:{brokers.free_port()}", "nobody"))
        with pytest.raises(TransientError, match="cannot be reached"):
            await connection.open()
        await connection.close()

    asyncio.run(go())


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://x:y", "mqtts://h/path"])
def test_an_address_that_is_none_is_a_mistake_of_the_file(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[sync\] url"):
        Broker(url, "a").place()


def test_addresses_have_the_usual_ports() -> None:
    assert Broker("mqtt://h", "a").place() == ("h", 1883, False)
    assert Broker("mqtts://[::1]", "a").place() == ("::1", 8883, True)
    assert Broker("mqtts://h:99/", "a").place() == ("h", 99, True)


def test_waits_grow_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(0.5, 60)
    waits = [backoff.wait() for _ in range(20)]
    assert 0.25 <= waits[0] <= 0.5
    assert 30 <= waits[-1] <= 60
    assert len(set(waits[-5:])) == 5
    backoff.worked()
    assert backoff.wait() <= 0.5


def with_mosquitto(folder: Path, go: Callable[[BrokerProcess], Awaitable[None]], **more: object):
    """Run a coroutine with a mosquitto of its own."""
    with brokers.running(brokers.mosquitto(folder, **more)) as process:  # type: ignore[arg-type]
        asyncio.run(go(process))  # type: ignore[arg-type]


@needs_mosquitto
def test_what_an_access_list_denies_is_told(tmp_path: Path) -> None:
    """MQTT 3.1.1 would say nothing, and the message would be lost."""
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite ours/#\n")

    async def go(process: BrokerProcess) -> None:
        connection = await opened(process.url, "denied")
        await connection.publish("ours/x", b"fine")
        await connection.settle()
        await connection.publish("theirs/x", b"denied")
        with pytest.raises(ConfigError, match="access list"):
            await connection.settle()
        await connection.close()

    lines = ["allow_anonymous true", f"acl_file {acl}"]
    with_mosquitto(tmp_path, go, lines=lines)


@needs_mosquitto
def test_a_broker_that_does_not_know_us_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    async def go(process: BrokerProcess) -> None:
        connection = Connection(Broker(process.url, "stranger"))
        with pytest.raises(ConfigError, match="Not authorized"):
            await connection.open()
        await connection.close()

    with_mosquitto(tmp_path, go, lines=["allow_anonymous false"])


def test_a_second_client_of_our_name_puts_us_out(broker: BrokerProcess) -> None:
    async def go() -> None:
        first = await opened(broker.url, "twin")
        second = await opened(broker.url, "twin")
        assert isinstance(await gone(first, 5), TransientError)
        assert second.alive
        await first.close()
        await second.close()

    asyncio.run(go())


@needs_mosquitto
def test_a_frozen_broker_is_noticed(tmp_path: Path) -> None:
    async def go(process: BrokerProcess) -> None:
        connection = Connection(Broker(process.url, "patient", answer=1.0))
        await connection.open()
        process.freeze()
        try:
            await connection.publish("t", b"x")
            assert "acknowledges nothing" in str(await gone(connection, 5))
        finally:
            process.thaw()
        await connection.close()

    with_mosquitto(tmp_path, go)


@needs_mosquitto
def test_tls_with_certificates_of_both(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    certificates.make(ours)
    certificates.make(others)

    async def go(process: BrokerProcess) -> None:
        url = process.url.replace("mqtt:", "mqtts:")
        good = Broker(url, "tls", ours / "ca.pem", ours / "client.pem", ours / "client.key")
        connection = Connection(good)
        await connection.open()
        await connection.subscribe("large")
        payload = json.dumps(list(range(200_000))).encode()
        await connection.publish("large", payload)
        message = await connection.next_message(10)
        assert message is not None
        assert message.payload == payload
        await connection.close()
        nobody = Connection(Broker(url, "tls", ours / "ca.pem"))
        with pytest.raises(CaselinkError):
            await nobody.open(3)
        await nobody.close()
        stranger = Connection(Broker(url, "tls", others / "ca.pem"))
        with pytest.raises(ConfigError, match=r"not trusted.*\[sync\] ca"):
            await stranger.open()
        await stranger.close()
        missing = Connection(Broker(url, "tls", ours / "none.pem"))
        with pytest.raises(ConfigError, match="cannot be used"):
            await missing.open()
        await missing.close()

    listener = [
        f"cafile {ours / 'ca.pem'}",
        f"certfile {ours / 'server.pem'}",
        f"keyfile {ours / 'server.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    ]
    with_mosquitto(tmp_path, go, listener=listener)
