"""One command on its way to one agent: which parts to send now, and what an answer means.

Pure; `now` is any clock in seconds that does not go back. The first part asks what is missing; then
a few parts at a time are on their way until the agent has said something that is the last word.
"""

from typing import Any

from sync.inbox import INTERIM, LATER
from sync.messages import Answer

WINDOW = 8
"""Parts on their way at most."""
PATIENCE, LONGEST = 5.0, 60.0
"""Seconds without a word after which the first missing part is sent again: at first, at most."""
PAUSE = 2.0
"""Seconds after which an agent that could not yet is asked again, the first time."""


class Delivery:
    """A command of so many parts."""

    def __init__(self, parts: int, patience: float = PATIENCE, pause: float = PAUSE) -> None:
        self._parts = parts
        self._first = self._patience = patience
        self._first_pause = self._pause = pause
        self._missing: list[int] | None = None
        """What the agent said last; None: it must be asked."""
        self._ask = 0
        self._flight: set[int] = set()
        self._since = 0.0
        self._until = 0.0

    def wanted(self, now: float) -> list[int]:
        """The parts to send now; they count as sent."""
        if now < self._until:
            return []
        if self._flight and now - self._since >= self._patience:
            self._patience = min(2 * self._patience, LONGEST)
            self._ask = min(self._missing) if self._missing else min(self._flight)
            self._flight.clear()
            self._missing = None
        if self._missing is None:
            found = [] if self._flight else [self._ask]
        else:
            room = WINDOW - len(self._flight)
            found = [n for n in self._missing if n not in self._flight][: max(0, room)]
        if found and not self._flight:
            self._since = now
        self._flight.update(found)
        return found

    def lost(self) -> None:
        """The connection is gone: ask at once what is missing."""
        self._flight.clear()
        self._missing = None
        self._patience, self._until = self._first, 0.0

    def heard(self, answer: Answer, now: float) -> bool:
        """Whether this is the last word."""
        if answer.ok or answer.reason not in INTERIM:
            return True
        self._since = now
        self._patience = self._first
        if answer.reason == LATER:
            self._flight.clear()
            self._missing, self._ask = None, 0
            self._until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST)
            return False
        self._pause = self._first_pause
        self._missing = _ranges(answer.body, self._parts)
        self._flight &= set(self._missing)
        return False


def _ranges(body: Any, parts: int) -> list[int]:
    """The parts that an answer calls missing; of what makes no sense, nothing."""
    found: set[int] = set()
    ranges = body.get("missing") if isinstance(body, dict) else None
    for each in ranges if isinstance(ranges, list) else ():
        match each:
            case [int(first), int(last)] if 0 <= first <= last < parts:
                found.update(range(first, last + 1))
    return sorted(found) or [0]
