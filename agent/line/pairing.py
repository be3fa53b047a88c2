"""Which frame shows which item: frames of one camera against triggers of its station.

Both are counted by hardware: the camera numbers its exposures, the PLC its triggers. Once one frame
and one trigger are certain to belong together, the difference of the two counts is known and every
later frame finds its trigger by number, whichever of the two arrives first. A lost frame leaves its
trigger without a frame (late: a reject); a frame without a trigger is dropped. When the times of a
pair are further apart than `window`, the counts have slipped: the anchor is lost and nothing is
paired until the next certain pair. Pure: time comes in with the call.

Certain are the first trigger and the first frame after a silence of both (the first item after a
stop), provided that the camera's counter shows that no frame was lost before it, and a trigger and
a frame that stand alone within the window.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

F = TypeVar("F")

QUIET = 0.3
"""Seconds without an item that make the next one the first after a silence."""
REPEAT = 1.0
"""Seconds within which the same counter is the same picture; no camera restarts so quickly."""
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
    _counter: int | None = None
    _trigger_at: float = -math.inf
    _frame_at: float = -math.inf
    _lead_trigger: int | None = None
    _lead_frame: int | None = None
    _triggers: OrderedDict[int, tuple[int, float]] = field(default_factory=OrderedDict)
    _frames: OrderedDict[int, tuple[F, float]] = field(default_factory=OrderedDict)

    def reset(self) -> None:
        """Nothing is certain any longer: the PLC or the camera started anew."""
        self.offset = None
        self._lead_trigger = self._lead_frame = None
        self._triggers.clear()
        self._frames.clear()

    def trigger(self, number: int, at: float) -> list[Paired[F]]:
        """A trigger of this station; returns the pairs that are now certain."""
        self._index += 1
        if at - self._trigger_at >= QUIET:
            self._lead_trigger = self._index
        self._trigger_at = at
        self._triggers[self._index] = (number, at)
        while len(self._triggers) > KEPT:
            self._triggers.popitem(last=False)
        return self._match(at)

    def frame(self, counter: int, frame: F, at: float) -> list[Paired[F]]:
        """A frame of this camera; returns the pairs that are now certain."""
        before = self._counter
        if counter == before and at - self._frame_at < REPEAT:
            return []  # the same picture sent twice
        if before is not None and counter <= before:
            self._slip()  # the camera counts anew
        if at - self._frame_at >= QUIET:
            whole = before is None or counter in (1, before + 1)
            self._lead_frame = counter if whole else None
        self._counter, self._frame_at = counter, at
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
        """Find a certain pair."""
        lead_trigger = self._triggers.get(self._lead_trigger or 0)
        lead_frame = self._frames.get(self._lead_frame or 0)
        if lead_trigger is not None and lead_frame is not None:
            assert self._lead_trigger is not None
            assert self._lead_frame is not None
            if abs(lead_frame[1] - lead_trigger[1]) <= self.window:
                self.offset = self._lead_frame - self._lead_trigger
                return True
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
