"""The live feed: one snapshot per tick, encoded once, sent to every open panel. Of a warehouse only
a number goes out, which changes when something there has: its pages then ask.

There is nothing to replay: a snapshot is whole, and a client that cannot keep up gets the newest
one only (docs/live-feed.md).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from agent.core.errors import CaselinkError

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at a line while it changes."""

QUIET = 1.0
"""Seconds between two messages while nothing changes: the panel greys after 2 s without one."""

SEND_SECONDS = 2.0
"""A client that takes longer to accept one snapshot is dropped: by then it shows old data anyway,
and it reconnects by itself."""

CLIENTS = 64
"""Panels at a time; more are told to try again later."""

_TRY_LATER = 1013
_GOING_AWAY = 1001
_POLICY = 1008
_UNKNOWN_LINE = 4404


class LineSource(Protocol):
    """Where snapshots come from."""

    def lines(self) -> Sequence[str]:
        """The ids of the lines there are, in the order in which people expect them."""

    def snapshot(self, line: str) -> Mapping[str, Any]:
        """The line as the panel shows it; CaselinkError while there is none."""


class Watched:
    """Lines, and warehouses beside them: `changes` gives each party's number."""

    def __init__(self, lines: LineSource, changes: Mapping[str, Callable[[], int]]) -> None:
        self._lines = lines
        self._changes = {_warehouse(party): number for party, number in changes.items()}

    def lines(self) -> Sequence[str]:
        return [*self._lines.lines(), *self._changes]

    def snapshot(self, line: str) -> Mapping[str, Any]:
        changes = self._changes.get(line)
        return self._lines.snapshot(line) if changes is None else {"changes": changes()}


def _warehouse(party: str) -> str:
    """Under which name a party's warehouse is watched; no line has a blank in its id."""
    return f"warehouse {party}"


class Client:
    """One open panel. Holds at most one snapshot that has not been sent yet: the newest."""

    def __init__(self, line: str) -> None:
        self.line = line
        self._next: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)

    def offer(self, snapshot: str | None) -> None:
        """Replace what has not been sent yet. None ends the client."""
        if self._next.full():
            self._next.get_nowait()
        self._next.put_nowait(snapshot)

    async def take(self) -> str | None:
        """The newest snapshot, as soon as there is one; None when the hub has closed. The hub
        offers something at least once a second while it runs, and None when it ends."""
        return await self._next.get()


class _Line:
    """What was last sent of a line, and to whom nothing was sent yet."""

    def __init__(self) -> None:
        self.content = b""
        self.sent_at = 0.0
        self.lost = False
        self.clients: set[Client] = set()
        self.newcomers = False


class Hub:
    """Takes a snapshot of each watched line per tick and offers it to the line's clients."""

    def __init__(self, source: LineSource, *, tick: float = TICK, quiet: float = QUIET) -> None:
        self._source = source
        self._tick = tick
        self._quiet = quiet
        self._lines: dict[str, _Line] = {}
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def clients(self) -> int:
        return sum(len(line.clients) for line in self._lines.values())

    def join(self, line: str) -> Client | None:
        """A new client of a line; its first snapshot comes at once. None when there are too
        many, or when the feed has ended."""
        if self.clients >= CLIENTS or self._closed:
            return None
        client = Client(line)
        watched = self._lines.setdefault(line, _Line())
        watched.clients.add(client)
        watched.newcomers = True
        self._wake.set()
        return client

    def leave(self, client: Client) -> None:
        watched = self._lines.get(client.line)
        if watched is not None:
            watched.clients.discard(client)
            if not watched.clients:
                del self._lines[client.line]

    def close(self) -> None:
        """End the feed and every client."""
        self._closed = True
        self._wake.set()
        for watched in self._lines.values():
            for client in watched.clients:
                client.offer(None)

    async def run(self) -> None:
        """Feed until close(); one look at each watched line per tick."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            self._wake.clear()
            for name, watched in self._lines.items():
                self._look(name, watched, loop.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick):
                    await self._wake.wait()

    def _look(self, name: str, watched: _Line, now: float) -> None:
        """Send a line's snapshot if it changed, if it is time, or if someone is new."""
        try:
            snapshot = self._source.snapshot(name)
        except CaselinkError as error:
            # No message: the panels grey by themselves, which is what they should do.
            if not watched.lost:
                log.warning("line %s: no live feed: %s", name, error)
            watched.lost = True
            return
        if watched.lost:
            log.info("line %s: live feed is back", name)
        watched.lost = False
        content = orjson.dumps({key: part for key, part in snapshot.items() if key != "at"})
        quiet = content == watched.content and now - watched.sent_at < self._quiet
        if quiet and not watched.newcomers:
            return
        watched.content, watched.sent_at, watched.newcomers = content, now, False
        text = orjson.dumps(snapshot).decode()
        for client in watched.clients:
            client.offer(text)


def live_router(hub: Hub, source: LineSource) -> APIRouter:
    """`/ws/live?line=L1`, `/ws/live?warehouse=F01`."""
    router = APIRouter()

    @router.websocket("/ws/live")
    async def live(socket: WebSocket, line: str = "", warehouse: str = "") -> None:
        await socket.accept()
        name = _warehouse(warehouse) if warehouse else line
        if name not in source.lines():
            await socket.close(_UNKNOWN_LINE, "unknown line")
            return
        client = hub.join(name)
        if client is None:
            await socket.close(_TRY_LATER, "too many panels")
            return
        # The feed goes one way; listening is how we learn that the panel has gone.
        listening = asyncio.create_task(_until_gone(socket, client))
        try:
            await _feed(socket, client)
        finally:
            hub.leave(client)
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    return router


async def _feed(socket: WebSocket, client: Client) -> None:
    try:
        while (text := await client.take()) is not None:
            async with asyncio.timeout(SEND_SECONDS):
                await socket.send_text(text)
        async with asyncio.timeout(SEND_SECONDS):
            await socket.close(_GOING_AWAY, "the agent is stopping")
    except (TimeoutError, WebSocketDisconnect, RuntimeError) as error:
        # RuntimeError: uvicorn had closed the socket already (no pong in time).
        log.debug("a panel of line %s has gone: %r", client.line, error)


async def _until_gone(socket: WebSocket, client: Client) -> None:
    """Ends the client when its panel goes, or says anything: it has nothing to say."""
    message = await socket.receive()
    if message["type"] == "websocket.receive":
        log.debug("a panel of line %s spoke on the one-way feed; closed", client.line)
    client.offer(None)
