"""Virtual time: an event loop that never waits.

When nothing is ready it jumps to the next timer, or to the moment when something happens in the
simulated world, whichever comes first. No sockets, no threads: the same inputs give the same order
of everything.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
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


class Call:
    """What the loop is asked to call, at once or later: asyncio.Handle without what only debugging
    and context variables need."""

    __slots__ = ("_args", "_callback", "_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._callback = callback
        self._args = args
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._cancelled:
            return
        try:
            self._callback(*self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as bug:  # noqa: BLE001 - it is handed on
            words = f"a callback failed: {self._callback!r}"
            loop.call_exception_handler({"message": words, "exception": bug})


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop and the clock of everything in it (agent.now.TimeSource).

    Timers of one moment go in the order in which they were set.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._soon: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._set = 0
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

    # What asyncio's tasks and futures ask of a loop. Types: they get no Handle, and need none.

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        call = Call(callback, args)
        self._soon.append(call)
        return call

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        call = Call(callback, args)
        self._set += 1
        heappush(self._timers, (when, self._set, call))
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return self.call_at(self._now + delay, callback, *args)

    def _run_once(self) -> None:
        """One turn (asyncio calls it until the loop is stopped): what is due now, and nothing that
        it asks for."""
        soon, timers = self._soon, self._timers
        if not soon:
            self._jump()
        while timers and timers[0][0] <= self._now:
            soon.append(heappop(timers)[2])
        for _ in range(len(soon)):
            soon.popleft().run(self)

    def _jump(self) -> None:
        """On to the next timer, or until the world has told somebody something."""
        world, timers, soon = self.world, self._timers, self._soon
        while not soon:
            while timers and timers[0][2].cancelled():
                heappop(timers)
            until = timers[0][0] if timers else inf
            due = world.next_time()
            if due > until:
                self._now = max(self._now, until)
                return
            if due == inf:
                raise RuntimeError("everything waits and nothing will happen")
            self._now = max(self._now, due)
            world.advance(self._now)
