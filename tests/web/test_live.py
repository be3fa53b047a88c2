"""The hub and the WebSocket: the newest wins, nobody waits for a slow panel, all ends in time."""

import asyncio
import json
import socket
from collections.abc import Iterator
from statistics import median
from time import monotonic
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.core.errors import TransientError
from agent.web.live import CLIENTS, SEND_SECONDS, Client, Hub
from tests.web.site import TOKEN, ScriptedLine, Site, wait_for


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site(ScriptedLine())
    yield site
    site.stop()


@pytest.fixture
def line(site: Site) -> ScriptedLine:
    site.line.reset()
    return site.line


def listen(site: Site, line: str = "L1", origin: str | None = None) -> Any:
    return connect(
        f"ws://127.0.0.1:{site.port}/ws/live?line={line}",
        origin=origin or site.url,  # type: ignore[arg-type]
        close_timeout=2,
    )


async def message(panel: ClientConnection, seconds: float = 3.0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await asyncio.wait_for(panel.recv(), seconds))
    return found


async def until_silent(panel: ClientConnection, seconds: float = 3.0) -> None:
    """Read until the panel is closed, or nothing comes for so long (TimeoutError)."""
    while True:
        await message(panel, seconds)


def test_a_change_arrives_within_half_a_second(site: Site, line: ScriptedLine) -> None:
    async def run() -> None:
        async with listen(site) as panel:
            assert (await message(panel))["good"] == 61204
            took = []
            for good in range(61205, 61210):
                line.set(good=good)
                begun = monotonic()
                while (await message(panel))["good"] != good:
                    pass
                took.append(monotonic() - begun)
            assert median(took) < 0.5, took  # a machine may stand still once

    asyncio.run(run())


def test_a_quiet_line_is_heard_once_a_second(site: Site, line: ScriptedLine) -> None:
    async def run() -> None:
        async with listen(site) as panel:
            await message(panel)
            await message(panel)
            begun = monotonic()
            await message(panel)
            assert 0.7 < monotonic() - begun < 3  # the panel waits for 3 s

    asyncio.run(run())


def test_a_line_that_cannot_be_read_is_silent_and_comes_back(
    site: Site, line: ScriptedLine
) -> None:
    async def run() -> None:
        async with listen(site) as panel:
            await message(panel)
            line.mute = TransientError("the store is being opened")
            with pytest.raises(TimeoutError):
                await until_silent(panel, 1.5)
            line.mute = None
            assert (await message(panel, 1.0))["good"] == 61204

    asyncio.run(run())


def test_an_unknown_line_is_refused(site: Site) -> None:
    async def run() -> None:
        async with listen(site, "L9") as panel:
            with pytest.raises(ConnectionClosed) as closed:
                await message(panel)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4404

    asyncio.run(run())


def test_a_panel_that_speaks_is_closed(site: Site, line: ScriptedLine) -> None:
    async def run() -> None:
        async with listen(site) as panel:
            await message(panel)
            await panel.send("hello")
            with pytest.raises(ConnectionClosed):
                await until_silent(panel)

    asyncio.run(run())


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1"])
def test_a_foreign_page_gets_no_feed(site: Site, origin: str) -> None:
    async def run() -> None:
        with pytest.raises(InvalidStatus):
            async with listen(site, origin=origin):
                pass

    asyncio.run(run())


def test_without_origin_only_the_command_line(site: Site, line: ScriptedLine) -> None:
    address = f"ws://127.0.0.1:{site.port}/ws/live?line=L1"

    async def run() -> None:
        with pytest.raises(InvalidStatus):
            async with connect(address):
                pass
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with connect(address, additional_headers=headers) as panel:
            assert (await message(panel))["v"] == 1

    asyncio.run(run())


def test_the_newest_wins() -> None:
    async def run() -> None:
        client = Client("L1")
        for text in ("1", "2", "3"):
            client.offer(text)
        assert await client.take() == "3"
        client.offer("4")
        client.offer(None)
        assert await client.take() is None

    asyncio.run(run())


def test_one_encoding_serves_all_and_clients_are_bounded() -> None:
    async def run() -> None:
        hub = Hub(ScriptedLine(), tick=0.01)
        feeding = asyncio.create_task(hub.run())
        clients = [hub.join("L1") for _ in range(CLIENTS)]
        assert hub.join("L1") is None
        await asyncio.sleep(0.05)
        texts = [await asyncio.wait_for(client.take(), 1) for client in clients if client]
        assert len({id(text) for text in texts}) == 1
        first = clients[0]
        assert first is not None
        hub.leave(first)
        assert hub.join("L1") is not None
        hub.close()
        await asyncio.wait_for(feeding, 1)
        assert hub.join("L1") is None

    asyncio.run(run())


def test_a_stuck_panel_is_dropped_and_the_others_go_on() -> None:
    """One panel stops reading for ever; it leaves the hub, and a second one misses nothing."""
    line = ScriptedLine()
    line.set(operator="x" * 400_000)
    site = Site(line)
    try:
        stuck = socket.create_connection(("127.0.0.1", site.port))
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = (
            f"GET /ws/live?line=L1 HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        stuck.sendall(request.encode())
        wait_for(lambda: site.clients == 1, 3, "the stuck panel joined")

        async def other() -> None:
            async with connect(
                f"ws://127.0.0.1:{site.port}/ws/live?line=L1",
                origin=site.url,  # type: ignore[arg-type]
            ) as panel:
                begun = monotonic()
                for good in range(1, 60):
                    assert monotonic() - begun < SEND_SECONDS + 4
                    line.set(good=good)
                    while (await message(panel, 2))["good"] != good:
                        pass
                    if site.clients == 1:
                        return
                raise AssertionError("the stuck panel was never dropped")

        asyncio.run(other())
        stuck.close()
    finally:
        site.stop()


def test_the_server_stops_in_time_with_panels_open() -> None:
    site = Site(ScriptedLine())

    async def run() -> float:
        async with listen(site) as one, listen(site) as two:
            await message(one)
            await message(two)
            begun = monotonic()
            await asyncio.to_thread(site.stop)
            return monotonic() - begun

    assert asyncio.run(run()) < 3


def test_a_failing_feed_is_loud() -> None:
    """A bug in a snapshot ends the server instead of leaving panels grey for ever."""

    class Broken(ScriptedLine):
        def snapshot(self, line: str) -> dict[str, Any]:
            raise KeyError("bug")

    site = Site(ScriptedLine())
    site.server.hub._source = Broken()

    async def run() -> None:
        async with listen(site) as panel:
            with pytest.raises(ConnectionClosed):
                await until_silent(panel)

    asyncio.run(run())
    with pytest.raises(KeyError):
        site.stop()
