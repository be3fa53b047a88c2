"""How good the wall clock is: "synced", "unsynced", or "jumped".

Order is the journal's sequence and waiting goes by the monotonic clock, so a wall clock that is
years off harms nothing; but who reads a time must know what it is worth. A jump is seen as wall
time and monotonic time drifting apart at once; one that happened while the agent was off, as a
wall clock that is behind the newest row or implausibly far ahead of it.
"""

import logging

from agent import now
from agent.core.known import Clock

log = logging.getLogger(__name__)

JUMP_MS = 1_000
"""Milliseconds by which the wall clock may be off since the last look without having jumped: time
synchronisation that slews moves it by less than 1 ms in a second."""
JUMPED_MS = 60_000
"""For so long after a jump nobody trusts the clock, whatever the kernel says of it."""
OFF_MS = 400 * 86_400_000
"""An agent is not switched off for longer than this: what looks like it is a wrong clock."""
LOOK_MS = 5_000
"""Milliseconds between two questions to the kernel."""


class ClockWatch:
    """Looks at the clock whenever somebody asks for its quality."""

    def __init__(self) -> None:
        self.source = now.source()
        self._offset: int | None = None
        self._jumped_at: int | None = None
        self._looked_at = -LOOK_MS
        self._synced = False

    def began_after(self, wall_ms: int) -> None:
        """The newest row of the journal was written at this time, by another process."""
        gone = now.wall_ms() - wall_ms
        if gone < -JUMP_MS or gone > OFF_MS:
            self._jumped(gone, "since the agent ran last")

    def read(self) -> Clock:
        """Now, and what the wall clock is worth."""
        wall, mono = self.source.wall_ns() // 1_000_000, int(self.source.monotonic() * 1000)
        return Clock(wall, mono, self._quality(wall, mono))

    def quality(self) -> str:
        """Of the wall clock, now."""
        return self.read().quality

    def _quality(self, wall: int, mono: int) -> str:
        offset = wall - mono
        if self._offset is not None and abs(offset - self._offset) > JUMP_MS:
            self._jumped(offset - self._offset, "at once")
        self._offset = offset
        if self._jumped_at is not None and mono - self._jumped_at < JUMPED_MS:
            return "jumped"
        if mono - self._looked_at >= LOOK_MS:
            self._looked_at, self._synced = mono, now.synced()
        if self._synced:
            self._jumped_at = None
        if self._jumped_at is not None:
            return "jumped"
        return "synced" if self._synced else "unsynced"

    def _jumped(self, by_ms: int, when: str) -> None:
        self._jumped_at = int(now.monotonic() * 1000)
        log.warning(
            "The wall clock went %+.0f s %s. Nothing is lost: the order of the record is that of "
            "its rows. Set the clock, or mend time synchronisation, so that times can be trusted.",
            by_ms / 1000,
            when,
        )


_watch = ClockWatch()


def watch() -> ClockWatch:
    """The watch over this process' clock."""
    global _watch
    if _watch.source is not now.source():
        _watch = ClockWatch()
    return _watch


def clock() -> Clock:
    """Now, and what the wall clock is worth."""
    return watch().read()
