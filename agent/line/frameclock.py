"""Whether a frame was taken when its item's trigger was fired, by the camera's own clock.

Camera and PLC see one moment: the trigger. The camera stamps it with its clock, the PLC tells of it
between two polls. The difference of the two is the clocks' own plus what the PLC needs to tell,
which is always nearly the same: so each pair bounds it, and the next pair must lie within. A pair
that is one item apart is a whole pitch beside it. Pure; all times in seconds.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

SHORTEST = 0.03
"""Seconds between two items at the least: 120,000 an hour. Closer ones are not told apart."""
LONGEST = 0.2
"""A pitch above which no more tolerance is needed."""
NEAR = 0.07
"""Seconds between items below which the times of arrival alone prove no pair."""
SEEN = 64
"""Pitches in which the shortest is sought."""
DRIFT = 1e-4
"""Seconds by which two clocks may part in each second."""
VALID = 60.0
"""Seconds after which what was learned of the clock is forgotten."""

HELD_UP = 5.0
"""Seconds by which a frame may be late; beyond that the camera's clock was set."""


class Word(Enum):
    """What the clock says of a pair."""

    SILENT = auto()  # there is no clock, or nothing is known of it
    FITS = auto()  # no neighbour's trigger could have taken this frame
    UNSURE = auto()  # nothing speaks against it, nor against a neighbour's
    DIFFERS = auto()  # this trigger did not take this frame


@dataclass(slots=True)
class FrameClock:
    """What pairs so far have shown of one camera's clock."""

    _last: float | None = None  # camera time of the newest pair
    _high: float = -math.inf  # the most of `untold - taken`: telling takes at least this at times
    _low: float = math.inf  # the least of `told - taken`: and at most this at others
    _quick: float = math.inf  # the least of `received - taken`
    _counter: int = 0
    _pitches: deque[float] = field(default_factory=lambda: deque(maxlen=SEEN))
    _pitch: float = SHORTEST

    def forget(self) -> None:
        """The camera's clock may have been set."""
        self._last = None
        self._high, self._low, self._quick = -math.inf, math.inf, math.inf

    @property
    def near(self) -> bool:
        """Items follow each other so closely that only this clock can prove a pair."""
        return bool(self._pitches) and self._pitch < NEAR

    def judge(self, taken: float | None, told: float, untold: float) -> Word:
        """A frame of camera time `taken` with a trigger that the PLC told at `told` and did not
        know of yet at `untold`."""
        if taken is None or self._last is None or abs(taken - self._last) > VALID:
            return Word.SILENT
        room = self._pitch / 4 + DRIFT * abs(taken - self._last)
        if untold - taken >= self._low + room or told - taken <= self._high - room:
            return Word.DIFFERS
        loose = told - untold + max(0.0, self._low - self._high)
        return Word.FITS if loose <= self._pitch / 2 else Word.UNSURE

    def apart(self, taken: float | None, told: float, untold: float) -> bool:
        """The frames before and behind this one, each a pitch from it at the least, were not taken
        at this trigger. One fired between two items is not excluded: a pair behind it shows that.
        """
        if taken is None:
            return False
        neighbours = taken - self._pitch, taken + self._pitch
        return all(self.judge(each, told, untold) is Word.DIFFERS for each in neighbours)

    def prompt(self, taken: float | None, received: float) -> bool:
        """The frame came as quickly as they do: neither was it held up nor the clock set."""
        return taken is not None and abs(received - taken - self._quick) <= self._pitch / 2

    def runs_on(self, taken: float | None, received: float) -> bool:
        """The camera's clock was not set since the newest pair: this frame was perhaps held up, and
        no camera that starts anew goes on where its clock was."""
        if taken is None or self._last is None or not 0 < taken - self._last <= VALID:
            return False
        return -self._pitch / 2 <= received - taken - self._quick <= HELD_UP

    def learn(
        self, counter: int, taken: float | None, told: float, untold: float, received: float
    ) -> None:
        """They are a pair."""
        if taken is None:
            return
        if self._last is None or abs(taken - self._last) > VALID:
            self.forget()
            self._last = taken
        passed = taken - self._last
        if counter == self._counter + 1 and passed > 0:
            self._pitches.append(passed)
            self._pitch = min(LONGEST, max(SHORTEST, min(self._pitches)))
        leak = DRIFT * abs(passed)
        high, low = self._high - leak, self._low + leak
        # One odd pair must not shut out all that follow.
        room = self._pitch / 8
        self._high = max(high, min(untold - taken, low + room))
        self._low = min(low, max(told - taken, high - room))
        self._quick = min(self._quick + leak, received - taken)
        self._last, self._counter = max(taken, self._last), counter
