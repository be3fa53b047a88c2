"""Virtual time: an event loop that never waits.

When nothing is ready it jumps to the next timer, or to the moment when something happens in the
simulated world, whichever comes first. No sockets, no threads: the same inputs give the same order
of everything.
"""

import asyncio
from collections import deque
from math import inf
from typing import Any, Protocol

WALL_ZERO = 1_767_225_600_000_000_000
"""ns since 1970 at which every simulated shift begins: 2026-01-01 00:00 UTC."""


class World(Protocol):
    """What happens by itself, and when."""

    def next_time(self) -> float:
        """When something happens next; inf: never."""

    def advance(self, now: float) -> None:
        """Let everything happen until `now`."""


class Nothing:
    """A world in which nothing happens."""

    def next_time(self) -> float:
        return inf

    def advance(self, now: float) -> None: ...


class _Jump:
    """Stands where an event loop asks the system to wait."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> tuple[()]:
        if timeout is None or timeout > 0:
            self._loop.jump(timeout)
        return ()

    def close(self) -> None: ...


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop and the clock of everything in it (agent.now.TimeSource)."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector: Any = _Jump(self)
        self.world: World = Nothing()
        self.wall_offset_ns = WALL_ZERO

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def wall_ns(self) -> int:
        return self.wall_offset_ns + int(self._now * 1e9)

    def synced(self) -> bool:
        return True

    def jump(self, timeout: float | None) -> None:
        """On to the next timer, or until the world has told somebody something."""
        until = inf if timeout is None else self._now + timeout
        world, timers, ready = self.world, self._scheduled, self._ready
        before = len(timers)
        while (due := world.next_time()) <= until:
            if due == inf:
                raise RuntimeError("everything waits and nothing will happen")
            self._now = max(self._now, due)
            world.advance(self._now)
            if ready or len(timers) != before:
                return
        self._now = until

    def _process_events(self, events: Any) -> None:
        """There are none: nothing here waits for the system."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""
