"""Whose turn it is to be written: what a line waits for goes first, short things ride with it.

A verdict is waited for by a bottle on a belt; a PDA's scan, a pool file or what the cloud tells are
not. A short job of somebody else goes along in the transaction of what the line only reports, so
that it costs the line no sync of the disk and a verdict nothing; where no line waits it goes by
itself. Longer jobs get transactions of their own while no line waits, and in the end also when one
does.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any, NamedTuple

from agent.store.database import Connection

Job = Callable[[Connection], Any]

WAITING = 1024
"""Jobs of each turn that may wait; more means that the disk does not keep up."""
GROUP = 64
"""Jobs that may share a transaction."""
LIVELY = 0.25
"""Seconds since a line wrote within which it probably will again."""
RIDE = 0.002
"""Seconds after which no further short job goes along with a line's."""
PATIENCE = 0.5
"""Seconds after which any job has its turn although lines wait."""


class Turn(Enum):
    """How a job takes its place."""

    LINE = auto()  # a line waits for it: a verdict is made of it, or soon will be
    REPORT = auto()  # a line tells what has happened: with LINE, in their order
    SHORT = auto()  # a millisecond or two, and somebody waits for it
    ANY = auto()


class Waiter(NamedTuple):
    """A job, whom it is answered to, since when it waits, and whether short ones may go along."""

    job: Job
    future: Future[Any]
    since: float
    carries: bool


class Turns:
    """The jobs that wait for the writer, by a clock in seconds. `first`, `more` and `wrote` are for
    its thread alone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._waiting: dict[Turn, deque[Waiter]] = {turn: deque() for turn in Turn}
        self._news = threading.Condition()
        self._closed = False
        self._line_wrote = -math.inf
        # Of the transaction that is being put together:
        self._left: dict[Turn, int] = dict.fromkeys(Turn, 0)
        self._size = 0
        self._for_line = self._carries = False
        self._full_at = 0.0  # no further short job goes along then; 0: none goes along yet

    def put(self, job: Job, future: Future[Any], turn: Turn) -> bool:
        """Let a job wait; False: too many do."""
        with self._news:
            report = turn is Turn.REPORT
            queue = self._waiting[Turn.LINE if report else turn]
            if len(queue) >= WAITING:
                return False
            queue.append(Waiter(job, future, self._now(), carries=report))
            self._news.notify()
            return True

    def close(self) -> None:
        """Nothing comes any more: `first` hands out what waits, and then None."""
        with self._news:
            self._closed = True
            self._news.notify()

    def wrote(self) -> None:
        """The transaction has changed something and is durable."""
        if self._for_line:
            self._line_wrote = self._now()

    @property
    def lively(self) -> bool:
        """Whether a line wrote just now, so that it probably will again."""
        return self._now() - self._line_wrote < LIVELY

    def first(self) -> Waiter | None:
        """Wait for the first job of the next transaction; None: there is none any more."""
        with self._news:
            while True:
                now = self._now()
                if self._begin(now):
                    self._size = 0
                    self._full_at = 0.0
                    return self._next(now)
                if self._closed:
                    return None
                self._news.wait()

    def more(self) -> Waiter | None:
        """The next job of this transaction; None: that was all."""
        with self._news:
            return self._next(self._now())

    def rest(self) -> list[Waiter]:
        """Take out everything that waits."""
        with self._news:
            found = [each for queue in self._waiting.values() for each in queue]
            for queue in self._waiting.values():
                queue.clear()
            return found

    # ------------------------------------------------------------------------------- inside

    def _begin(self, now: float) -> bool:
        """Choose for whom the next transaction is; False: nobody's turn has come."""
        line, short, others = (self._waiting[turn] for turn in (Turn.LINE, Turn.SHORT, Turn.ANY))
        self._left = dict.fromkeys(Turn, 0)
        starved = bool(others) and now - others[0].since >= PATIENCE
        self._for_line = bool(line) and not starved
        if self._for_line:
            self._left[Turn.LINE] = len(line)
            self._carries = all(each.carries for each in line)
            return True
        self._left[Turn.ANY] = len(others)
        if not line:
            self._left[Turn.SHORT] = len(short)
        return any(self._left.values())

    def _next(self, now: float) -> Waiter | None:
        if self._size and not self._goes_on(now):
            return None
        for turn, left in self._left.items():
            if left:
                self._left[turn] -= 1
                self._size += 1
                return self._waiting[turn].popleft()
        return None

    def _goes_on(self, now: float) -> bool:
        """Whether this transaction takes another job, if one waits for it."""
        if self._size >= GROUP:
            return False
        if not self._for_line:
            return not self._waiting[Turn.LINE]
        if not self._left[Turn.LINE] and self._carries and self._waiting[Turn.SHORT]:
            self._full_at = self._full_at or now + RIDE
            self._left[Turn.SHORT] = 1 if now < self._full_at else 0
        return True
