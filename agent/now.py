"""What time it is, for everything in an agent that goes by the clock.

The one place to ask, so that a simulation can let a shift pass in its own time: it calls `follow`
in its process, before anything else runs there.
"""

import time
from typing import Protocol


class TimeSource(Protocol):
    """A clock. `monotonic` in seconds, never going back; `wall_ns` since 1970 as the wall says."""

    def monotonic(self) -> float: ...

    def wall_ns(self) -> int: ...


class RealTime:
    """This machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ns(self) -> int:
        return time.time_ns()


_source: TimeSource = RealTime()


def follow(source: TimeSource) -> None:
    """From now on, this process' time is that of `source`."""
    global _source
    _source = source


def monotonic() -> float:
    """Seconds of the monotonic clock; that of the running event loop too."""
    return _source.monotonic()


def wall_ns() -> int:
    """Nanoseconds since 1970 as the wall clock says, right or wrong."""
    return _source.wall_ns()


def wall_ms() -> int:
    """Milliseconds since 1970 as the wall clock says, right or wrong."""
    return _source.wall_ns() // 1_000_000
