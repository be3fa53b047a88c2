"""The door to the network: who may connect, how often, and how long what is unfinished may take.

The event loop behind it is the line's. So connections are taken one at a time, with the loop's
other work in between; each address gets so many, so many new ones a second, and few TLS handshakes
at once; a handshake, a request's head and an answer have their time. What is too much is closed
before TLS begins, which costs next to nothing. Many addresses together are what a firewall is for.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.now import monotonic
from agent.services.rates import Rate, Rates, TooMany

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that the kernel lets wait to be taken."""
HEAD_SECONDS = 10.0
"""Without a request for so long, begun or not, a connection is closed."""
ANSWER_SECONDS = 60.0
"""So long an answer to the network may take, the reading of it included."""
_REFUSED_SECONDS = 0.001
"""Between two refusals: a flood gets a twentieth of the loop."""
_TOLD_SECONDS = 60.0


class Limits(NamedTuple):
    """Of one listener: connections in all and of one address, new ones of an address, handshakes
    at once in all and of one address; seconds for a handshake and for a request's head."""

    most: int = 400
    each: int = 100
    new: Rate = Rate(30, 300)
    handshakes: int = 16
    handshakes_each: int = 4
    handshake_seconds: float = 5.0
    head_seconds: float = HEAD_SECONDS


class Door:
    """Takes the connections of one listener and hands them to protocols of `factory`."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        factory: Callable[[], "Unhurried"],
        limits: Limits,
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._factory = factory
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._new = Rates(limits.new)
        self._shaking = asyncio.Semaphore(limits.handshakes)
        self._shaking_each: dict[str, asyncio.Semaphore] = {}
        self._welcoming: set[asyncio.Task[None]] = set()
        self._told = -_TOLD_SECONDS

    async def run(self) -> None:
        """Take connections until cancelled; those that were taken stay."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(self._listener)
            except OSError as error:  # no file handle is left
                self._tell(f"a connection could not be taken ({error.strerror})")
                await asyncio.sleep(1.0)
                continue
            if not self._may_come(address[0]):
                peer.close()
                await asyncio.sleep(_REFUSED_SECONDS)
                continue
            self._open[address[0]] += 1
            task = asyncio.create_task(self._welcome(peer, address[0]))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def close(self) -> None:
        """Forget those that are still there."""
        for task in self._welcoming:
            task.cancel()
        if self._welcoming:
            await asyncio.wait(self._welcoming)

    def _may_come(self, address: str) -> bool:
        try:
            self._new.take(address)
        except TooMany:
            self._tell(f"{address} connects too often")
            return False
        if self._open[address] >= self._limits.each or self._open.total() >= self._limits.most:
            self._tell(f"{address} has {self._open[address]} of {self._open.total()} connections")
            return False
        return True

    def _tell(self, what: str) -> None:
        now = monotonic()
        if now - self._told >= _TOLD_SECONDS:
            self._told = now
            log.warning("Connections are refused: %s.", what)

    async def _welcome(self, peer: socket.socket, address: str) -> None:
        """Shake hands, and stay until the connection is gone."""
        gone = asyncio.Event()
        each = self._shaking_each.setdefault(
            address, asyncio.Semaphore(self._limits.handshakes_each)
        )
        try:
            async with each, self._shaking:
                handed = await self._shake(peer, gone)
            if handed:
                await gone.wait()
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
                self._shaking_each.pop(address, None)

    async def _shake(self, peer: socket.socket, gone: asyncio.Event) -> bool:
        """Whether there is a connection now."""

        def protocol() -> asyncio.Protocol:
            made = self._factory()
            made.gone, made.head_seconds = gone, self._limits.head_seconds
            return made

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                peer,
                ssl=self._tls,
                ssl_handshake_timeout=(
                    None if self._tls is None else self._limits.handshake_seconds
                ),
            )
        except OSError:  # the peer's own fault: ssl.SSLError, the time-out and a reset are OSErrors
            peer.close()
            return False
        return True


class Unhurried(H11Protocol):
    """HTTP for peers that may be slow, within limits; uvicorn's own waits for a head for ever."""

    gone: asyncio.Event | None = None  # set at its end; None: not from the network
    head_seconds = HEAD_SECONDS
    _look: asyncio.TimerHandle | None = None
    _before: Any = None  # the request that was the newest when we looked last
    _since: float = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = monotonic()
        self._look = self.loop.call_later(self.head_seconds, self._see)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
        if self.gone is not None:
            self.gone.set()

    def _see(self) -> None:
        """Whether it gets on."""
        if self.transport.get_protocol() is not self:
            return  # it speaks WebSocket now
        unfinished = self.cycle is not None and not self.cycle.response_complete
        answering = unfinished or self.transport.get_write_buffer_size() > 0
        if self.cycle is not self._before:
            self._before, self._since = self.cycle, monotonic()
        elif not answering or (self.gone and monotonic() - self._since >= ANSWER_SECONDS):
            self.transport.abort()
            return
        self._look = self.loop.call_later(self.head_seconds, self._see)
