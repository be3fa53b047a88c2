"""How often somebody may do something: a bucket of tokens for each name, bounded in number."""

import math
from threading import Lock
from typing import NamedTuple

from agent.core.errors import DomainError
from agent.now import monotonic

MOST_NAMES = 4096
"""Names that are remembered; the one that was asked longest ago is forgotten first."""


class TooMany(DomainError):
    """Refused for now; `after` seconds it may be tried again."""

    def __init__(self, after: float) -> None:
        self.after = max(1, math.ceil(after))
        super().__init__("too_many", f"Too many at once: try again in {self.after} s.")


class Rate(NamedTuple):
    """So many a second on average, and so many at once."""

    per_second: float
    burst: int


class Rates:
    """Who has how many left of one rate."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        # Name -> tokens left, and when that was (monotonic seconds).
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, name: str, n: int = 1) -> None:
        """Use `n` up, or nothing and raise TooMany. More than a burst may be asked of a full
        bucket only, and is paid for afterwards."""
        rate, now = self._rate, monotonic()
        with self._lock:
            left, at = self._left.pop(name, (float(rate.burst), now))
            left = min(rate.burst, left + (now - at) * rate.per_second)
            needed = min(n, rate.burst)
            enough = left >= needed
            self._left[name] = (left - n if enough else left, now)
            while len(self._left) > MOST_NAMES:
                del self._left[next(iter(self._left))]
        if not enough:
            raise TooMany((needed - left) / rate.per_second)

    def wait(self, name: str) -> None:
        """TooMany if nothing is left; takes nothing."""
        rate, now = self._rate, monotonic()
        with self._lock:
            left, at = self._left.get(name, (float(rate.burst), now))
        left = min(rate.burst, left + (now - at) * rate.per_second)
        if left < 1:
            raise TooMany((1 - left) / rate.per_second)
