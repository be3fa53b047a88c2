"""A mailbox in virtual time: what a device says by itself, for the one who waits for it."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from agent.core.errors import TransientError

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Things that come by themselves, for one who waits for them. `lose` ends the session and every
    new one until `mend`."""

    def __init__(self) -> None:
        self._things: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.lost = ""

    def open(self) -> None:
        """A new session. TransientError while it is lost."""
        self.check()
        self._things.clear()

    def mend(self) -> None:
        """Sessions can be opened again."""
        self.lost = ""

    def put(self, thing: T) -> None:
        self._things.append(thing)
        self._wake()

    def lose(self, why: str) -> None:
        """Whoever waits, now or later, gets a TransientError."""
        self.lost = why
        self._wake()

    def check(self) -> None:
        """TransientError when the session is lost."""
        if self.lost:
            raise TransientError(self.lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self, timeout: float) -> T | None:
        """The next thing; None when none came in time."""
        self.check()
        if not self._things:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            alarm = loop.call_later(timeout, self._wake)
            try:
                await waiter
            finally:
                alarm.cancel()
                self._waiter = None
            self.check()
        return self._things.popleft() if self._things else None
