"""Which reading is of which item, where the reader does not number its readings.

Each reading must stand alone with one trigger, since nothing tells several of either apart. Pure:
time comes in with the call. It has the face of `pairing.Pairing`.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agent.line.pairing import KEPT, Paired

F = TypeVar("F")

EARLY = 0.02
"""Seconds by which a reading may be known before the poll that tells of its trigger."""


@dataclass(slots=True)
class Lone(Generic[F]):
    """State of one reader's pairing. `window` is the longest time in seconds between a trigger and
    its reading."""

    window: float
    slips: int = field(default=0, init=False)
    blind: bool = field(default=False, init=False)
    due: float = field(default=math.inf, init=False)
    _owes: int = 0
    """Readings that may still come for triggers that were given up."""
    _triggers: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _readings: deque[tuple[F, float]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def reset(self, at: float) -> None:
        """Nothing is owed any longer: the PLC or the reader started anew, or we did."""
        self._owes = 0
        self._triggers.clear()
        self._readings.clear()

    def looked_away(self, until: float) -> None:
        """Nobody looked for a while: that makes no difference here."""

    def adrift(self, now: float) -> bool:
        """Never: the next item that stands alone has a pair."""
        return False

    def trigger(self, number: int, at: float, untold: float = -math.inf) -> list[Paired[F]]:
        """A trigger of this station; returns the pair that is now certain."""
        self._triggers.append((number, at))
        return self._match(at)

    def frame(
        self, counter: int, frame: F, at: float, taken: float | None = None
    ) -> list[Paired[F]]:
        """A reading; returns the pair that is now certain. Its number says nothing."""
        self._readings.append((frame, at))
        return self._match(at)

    def tick(self, now: float) -> list[Paired[F]]:
        """Time alone makes no pair."""
        return []

    def _match(self, now: float) -> list[Paired[F]]:
        """One trigger and one reading that came with or after it. Several of either are not told
        apart: all are given up, and so is what comes next while a reading is still owed."""
        while self._triggers and now - self._triggers[0][1] > self.window:
            self._triggers.popleft()
            self._owes += 1
        while self._readings and now - self._readings[0][1] > self.window:
            self._readings.popleft()
        if self._owes and self._readings:
            self._owes = 0
            self._triggers.clear()
            self._readings.clear()
        if not self._triggers or not self._readings:
            return []
        waiting, (number, triggered) = len(self._triggers), self._triggers[0]
        answers = [each for each in self._readings if each[1] >= triggered - EARLY]
        self._readings.clear()
        if not answers:
            return []
        self._triggers.clear()
        if waiting > 1 or len(answers) > 1:
            self._owes = max(0, waiting - len(answers))
            return []
        ((reading, received),) = answers
        return [Paired(number, reading, triggered, received)]
