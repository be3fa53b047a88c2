"""What time it is, for everything in an agent that goes by the clock.

The one place to ask, so that a simulation can let a shift pass in its own time: it calls `follow`
in its process, before anything else runs there.
"""

import ctypes
import time
from pathlib import Path
from typing import Protocol


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), as far as it is read: the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


_UNSYNC, _ERROR = 0x0040, 5
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")


class TimeSource(Protocol):
    """A clock. `monotonic` in seconds, never going back; `wall_ns` since 1970 as the wall says;
    `synced`: time synchronisation holds the wall clock."""

    def monotonic(self) -> float: ...

    def wall_ns(self) -> int: ...

    def synced(self) -> bool: ...


class RealTime:
    """This machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ns(self) -> int:
        return time.time_ns()

    def synced(self) -> bool:
        """What adjtimex(2) or systemd-timesyncd says."""
        if _TIMESYNCD.exists():
            return True
        state = _Timex()
        try:
            answer = ctypes.CDLL(None).adjtimex(ctypes.byref(state))
        except (AttributeError, OSError):
            return False
        return answer not in (-1, _ERROR) and not state.status & _UNSYNC


_source: TimeSource = RealTime()


def follow(source: TimeSource) -> None:
    """From now on, this process' time is that of `source`."""
    global _source
    _source = source


def source() -> TimeSource:
    """Whose time this process goes by."""
    return _source


def monotonic() -> float:
    """Seconds of the monotonic clock; that of the running event loop too."""
    return _source.monotonic()


def wall_ns() -> int:
    """Nanoseconds since 1970 as the wall clock says, right or wrong."""
    return _source.wall_ns()


def wall_ms() -> int:
    """Milliseconds since 1970 as the wall clock says, right or wrong."""
    return _source.wall_ns() // 1_000_000


def synced() -> bool:
    """Whether time synchronisation holds the wall clock."""
    return _source.synced()
