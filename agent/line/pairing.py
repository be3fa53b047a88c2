"""Which frame shows which item: frames of one camera against triggers of its station.

Both are counted by hardware: the camera numbers its exposures, the PLC its triggers. Once one frame
and one trigger are certain to belong together, the difference of the two counts is known and every
later frame finds its trigger by number, whichever of the two arrives first. A lost frame leaves its
trigger without a frame (late: a reject); a frame without a trigger is dropped. When the times of a
pair are further apart than `window`, the counts have slipped: the anchor is lost and nothing is
paired until the next certain pair. Pure: time comes in with the call.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

F = TypeVar("F")

KEPT = 64
"""Triggers or frames that may wait for each other; the oldest are given up."""


@dataclass(slots=True)
class Paired(Generic[F]):
    """A frame and the number of the item it shows; times in monotonic seconds."""

    number: int
    frame: F
    triggered: float
    received: float


@dataclass(slots=True)
class Pairing(Generic[F]):
    """State of one camera's pairing. `window` is the longest time in seconds between a trigger and
    its frame; `slips` counts how often the anchor was lost."""

    window: float
    offset: int | None = None
    slips: int = 0
    _index: int = 0
    _triggers: OrderedDict[int, tuple[int, float]] = field(default_factory=OrderedDict)
    _frames: OrderedDict[int, tuple[F, float]] = field(default_factory=OrderedDict)

    def reset(self) -> None:
        """Nothing is certain any longer: the PLC or the camera started anew."""
        self.offset = None
        self._triggers.clear()
        self._frames.clear()

    def trigger(self, number: int, at: float) -> list[Paired[F]]:
        """A trigger of this station; returns the pairs that are now certain."""
        self._index += 1
        self._triggers[self._index] = (number, at)
        while len(self._triggers) > KEPT:
            self._triggers.popitem(last=False)
        return self._match(at)

    def frame(self, counter: int, frame: F, at: float) -> list[Paired[F]]:
        """A frame of this camera; returns the pairs that are now certain."""
        if self._frames and counter <= next(reversed(self._frames)):
            self._slip()  # the camera counts anew, or sent a picture twice
        self._frames[counter] = (frame, at)
        while len(self._frames) > KEPT:
            self._frames.popitem(last=False)
        return self._match(at)

    def _match(self, now: float) -> list[Paired[F]]:
        if self.offset is None and not self._anchor(now):
            return []
        assert self.offset is not None
        pairs: list[Paired[F]] = []
        for counter in list(self._frames):
            index = counter - self.offset
            if index not in self._triggers:
                if index <= self._index:
                    del self._frames[counter]  # its trigger was given up or never ours
                continue
            number, triggered = self._triggers.pop(index)
            frame, received = self._frames.pop(counter)
            if abs(received - triggered) > self.window:
                self._slip()
                return pairs
            pairs.append(Paired(number, frame, triggered, received))
        return pairs

    def _anchor(self, now: float) -> bool:
        """One trigger and one frame alone within the window are a certain pair."""
        for waiting in (self._triggers, self._frames):
            while waiting and now - next(iter(waiting.values()))[1] > self.window:
                waiting.popitem(last=False)
        if len(self._triggers) != 1 or len(self._frames) != 1:
            return False
        self.offset = next(iter(self._frames)) - next(iter(self._triggers))
        return True

    def _slip(self) -> None:
        self.slips += 1
        self.reset()
