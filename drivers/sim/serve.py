"""Puts a simulated device's conversation on a real TCP socket or on a pty.

A conversation knows bytes and no socket: `feed(data)` takes what arrived and gives back what the
device answers. Every adapter has `async start()` (the port number, or the path of the tty),
`async stop()`, and `push(data)` for what the device says by itself.
"""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

CHUNK = 65_536
STOP_TIMEOUT = 2.0


class Conversation(Protocol):
    """One client's dialogue with the device."""

    def feed(self, data: bytes) -> bytes:
        """What the device answers to the bytes that arrived."""


@dataclass(slots=True)
class Wire:
    """What is wrong on the way to the client: so many of the next answers or events (messages that
    nobody asked for) are lost, doubled, or late by `seconds`; nothing overtakes anything."""

    answers_lost: int = 0
    answers_late: int = 0
    events_lost: int = 0
    events_doubled: int = 0
    events_late: int = 0
    seconds: float = 0.05

    def answer(self) -> tuple[int, float]:
        """How often the next answer goes out, and by how many seconds later."""
        if self.answers_lost:
            self.answers_lost -= 1
            return 0, 0.0
        if self.answers_late:
            self.answers_late -= 1
            return 1, self.seconds
        return 1, 0.0

    def event(self) -> tuple[int, float]:
        """The same for the next event."""
        if self.events_lost:
            self.events_lost -= 1
            return 0, 0.0
        if self.events_doubled:
            self.events_doubled -= 1
            return 2, 0.0
        if self.events_late:
            self.events_late -= 1
            return 1, self.seconds
        return 1, 0.0


class TcpAdapter:
    """Serves a device on `host`. Like most coders it talks to one client at a time: a new
    connection ends the older one. With `connect_to` it is the device that connects.

    `wire` is what is wrong on the way; `half_open` makes this connection one that stands and
    carries nothing any more."""

    def __init__(
        self,
        talk: Callable[[], Conversation],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        connect_to: tuple[str, int] | None = None,
    ) -> None:
        self._talk = talk
        self._host = host
        self._port = port
        self._connect_to = connect_to
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.wire = Wire()
        self._dead: asyncio.StreamWriter | None = None  # its connection carries nothing
        self._not_before = 0.0

    async def start(self) -> int:
        """Listen (or connect) and give the port."""
        if self._connect_to is not None:
            reader, writer = await asyncio.open_connection(*self._connect_to)
            self._begin(reader, writer)
            return self._connect_to[1]
        self._server = await asyncio.start_server(self._begin, self._host, self._port)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self._port

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Pull the cable: cut the connection, go on listening."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)

    def half_open(self, seconds: float | None = None) -> None:
        """Let the present connection stand and carry nothing any more, either way; after `seconds`
        it ends, as when the client's TCP gives up because nothing is acknowledged."""
        dead = self._dead = self._writer
        if dead is not None and seconds is not None:
            asyncio.get_running_loop().call_later(seconds, dead.transport.abort)

    def push(self, data: bytes) -> None:
        """Say something to the connected client; lost when there is none."""
        if self._writer is not None and not self._writer.is_closing():
            times, late = self.wire.event()
            self._say(self._writer, data * times, late)

    def _say(self, writer: asyncio.StreamWriter, data: bytes, late: float) -> None:
        """Write to this client, `late` seconds from now and after all that was said before."""
        loop = asyncio.get_running_loop()
        at = max(self._not_before, loop.time() + late)
        if late or at > loop.time():
            self._not_before = at
            loop.call_at(at, self._say_now, writer, data)
        else:
            self._say_now(writer, data)

    def _say_now(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if data and writer is not self._dead and not writer.is_closing():
            writer.write(data)

    @property
    def connected(self) -> bool:
        return self._writer is not None

    @property
    def port(self) -> int:
        """The port on which it listens; it stays the same over a restart."""
        return self._port

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = writer
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self._talk()
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK):
                    if writer is self._dead:
                        continue
                    answer = conversation.feed(data)
                    times, late = self.wire.answer() if answer else (0, 0.0)
                    self._say(writer, answer * times, late)
                    await writer.drain()
        finally:
            if self._writer is writer:
                self._writer = None
            writer.transport.abort()


class PtyAdapter:
    """Serves a device on a pseudo terminal. No baud rate is enforced there."""

    def __init__(self, talk: Callable[[], Conversation]) -> None:
        self._talk = talk
        self._master = self._slave = -1
        self._conversation: Conversation | None = None

    async def start(self) -> str:
        """Open the pty and give the path of the tty that the driver opens."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._conversation = self._talk()
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        return os.ttyname(self._slave)

    async def stop(self) -> None:
        """Hang up."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def push(self, data: bytes) -> None:
        """Say something; what the terminal's buffer does not take is lost, as on a real line."""
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except OSError:
            return
        if self._conversation is not None:
            self.push(self._conversation.feed(data))
