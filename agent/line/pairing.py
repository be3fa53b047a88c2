"""Which frame shows which item: frames of one camera against triggers of its station.

Both are counted by hardware: the camera numbers its exposures, the PLC its triggers. Once one frame
and one trigger are certain to belong together, the difference of the two counts is known and every
later frame finds its trigger by number, whichever of the two arrives first. A lost frame leaves its
trigger without a frame (late: a reject); a frame without a trigger is dropped. Pure: time comes in
with the call.

Certain are only the first trigger and the first frame after a silence of both (the first item after
a stop), provided that the camera's counter shows that no frame was lost before it, and that none is
owed: the last trigger before the silence was answered, or its frame may come now. Where the counter
cannot show it (we just came, or the camera counts anew), they must stand alone: no second trigger
may have come by the time at which that one's frame could have been known. What came before `reset`,
or while nobody looked, is not known, so the silence begins there: while items follow each other
closely, a frame whose trigger came before would otherwise be taken for the next item's.

A frame that comes later than `late` was either held up, with all behind it, or shows a later item,
because the camera missed some triggers. It and what follows are held back until a frame comes
before the trigger after its own was fired: had triggers been missed, it would show that one. A
frame that comes before its own trigger was fired proves that one too many was taken or a trigger
lost: the counts have slipped, and only the next silence helps.

Items closer than `frameclock.NEAR` are not told apart by when frames come. A camera that stamps its
frames proves each pair by its own clock (see there): what does not fit is a slip at once, what it
cannot prove there has no pair, and two frames one after the other that fit one trigger each, and no
other, show the offset without a silence. What it cannot prove yet (the first pairs say little of
it, or the PLC took long to tell) waits for a pair that it can: that one narrows down what it says,
and shows that the counts run on.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from agent.line.frameclock import SHORTEST, FrameClock, Word

F = TypeVar("F")

QUIET = 0.3
"""Seconds without an item that make the next one the first after a silence."""
REPEAT = 1.0
"""Seconds within which the same counter is the same picture; no camera restarts so quickly."""
AHEAD = 0.25
"""Seconds by which a frame may be known before the poll that tells of its trigger; below QUIET, so
that a frame without a trigger is never taken for the first item after a silence."""
LAG = 0.05
"""Seconds by which the PLC may tell of a trigger later than it fires the camera."""
ADRIFT = 4
"""Triggers since the last certain pair after which only a stop of the belt helps."""
USUAL = 8
"""Frames that came before the next trigger, one after the other, to say that they usually do."""
SLOWER = 3
"""Silences, one after the other, at which a frame is later than usual, to say that all are now."""
LATE_POLLS = 2
"""Triggers that may be told after the frames that they fired."""
LOOKED = 4, 16
"""Newest frames and triggers among which the camera's clock looks for pairs."""
REFUSED = 3
"""Silences, one after the other, that speak against the camera's clock, to give it up."""
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
class _Unsure(Generic[F]):
    """A pair that the camera's clock could not prove when it came."""

    pair: Paired[F]
    taken: float | None
    untold: float


@dataclass(slots=True)
class Pairing(Generic[F]):
    """State of one camera's pairing. `window` is the longest time in seconds between a trigger and
    its frame, `late` that after which the frame is of no use any more; `slips` counts how often the
    anchor was in doubt."""

    window: float
    late: float = 0.25
    offset: int | None = None
    slips: int = 0
    _held: int | None = None  # the offset that late frames have put in doubt
    _claimed: int | None = None  # what a silence showed, and a late frame may have
    _delays: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL))
    _slower: int = 0  # silences since then at which a frame was later than they are
    _unusual: int = 0  # frames since one came before the next trigger
    _before: tuple[int, float, float] = (-1, 0.0, 0.0)  # last pair: index, delay, received
    _lost_at: int = 0  # what `_index` was when the last pair was certain
    _index: int = 0
    _index_before: int = 0  # what `_index` was when the last frame came
    _counter: int | None = None
    _since: float = -math.inf
    _trigger_at: float = -math.inf
    _frame_at: float = -math.inf
    _lead_trigger: int | None = None
    _lead_frame: int | None = None
    _unproven: bool = False
    _misled: bool = False  # what looked like a silence of the triggers was none
    _quiet_trigger: float = -math.inf
    _quiet_frame: float = -math.inf
    _fired: float = -math.inf  # the last trigger was not fired before
    _owing: float = -math.inf  # nor was the last one before the silence
    _answered: float = -math.inf  # the last frame before the silence
    _clock: FrameClock = field(default_factory=FrameClock)
    _taken: float = -math.inf  # camera time of the last frame
    _refused: int = 0  # silences since a pair that fit the clock at which it did not
    # Oldest first, all by this offset.
    _unsure: deque[_Unsure[F]] = field(default_factory=lambda: deque(maxlen=KEPT))
    # Item, when it was told, since when a frame may be its own, and when it was not told yet.
    _triggers: OrderedDict[int, tuple[int, float, float, float]] = field(
        default_factory=OrderedDict
    )
    # What was sent, when it came, and when the camera's clock says that it was taken.
    _frames: OrderedDict[int, tuple[F, float, float | None]] = field(default_factory=OrderedDict)

    def reset(self, at: float) -> None:
        """Nothing is certain any longer: the PLC or the camera started anew, or we did."""
        self._doubt()
        self._forget_clock()
        self._since = at
        self._fired = -math.inf
        self._lead_trigger = self._lead_frame = None
        self._triggers.clear()
        self._frames.clear()

    def looked_away(self, until: float) -> None:
        """Nobody looked for a while: what seems a silence before `until` is none."""
        self._since = max(self._since, until)
        self._lead_trigger = self._lead_frame = None

    def adrift(self, now: float) -> bool:
        """Items follow each other closely and none of them can be paired."""
        close = now - self._trigger_at < 2 * QUIET
        unpaired = self._index - self._lost_at
        return self.offset is None and unpaired >= ADRIFT and close

    @property
    def blind(self) -> bool:
        """No pair is certain, and none can be before the next silence."""
        led = (self._lead_trigger or 0) in self._triggers
        unsure = self._misled or self._unproven
        return self.offset is None and (unsure or not led)

    def trigger(self, number: int, at: float, untold: float = -math.inf) -> list[Paired[F]]:
        """A trigger of this station; returns the pairs that are now certain. The PLC had been asked
        at `untold` for the last time before, and did not know of it: a frame that had come long
        before then is of no trigger (a camera that fired by itself)."""
        self._index += 1
        since = max(self._trigger_at, self._since)
        if at - since >= QUIET:
            self._lead_trigger, self._quiet_trigger = self._index, since
            self._owing = self._fired
            self._misled = False
        self._trigger_at = at
        self._fired = untold - LAG
        self._triggers[self._index] = (number, at, max(at - AHEAD, self._fired), untold)
        self._get_used()
        while len(self._triggers) > KEPT:
            self._triggers.popitem(last=False)
        return self._match(at)

    def frame(
        self, counter: int, frame: F, at: float, taken: float | None = None
    ) -> list[Paired[F]]:
        """A frame of this camera, `taken` by its own clock; returns the pairs that are now
        certain."""
        before = self._counter
        if counter == before and at - self._frame_at < REPEAT:
            return []  # the same picture sent twice
        if before is not None and counter <= before:
            self._slip(at)  # the camera counts anew
        away = before is not None and self._may_count_anew(counter, at, taken)
        if away and self.offset is not None:
            self.slips += 1
        if away:
            self._doubt()
            if not self._clock.runs_on(taken, at):
                self._forget_clock()
        if taken is not None and taken < self._taken - SHORTEST:
            self.slips += 1
            self._doubt()  # its clock was set
            self._forget_clock()
        self._taken = self._taken if taken is None else taken
        self._index_before = self._index
        since = max(self._frame_at, self._since)
        if at - since >= QUIET:
            first = counter == 1 if before is None else counter == before + 1
            # A camera that counts anew may have been away when the trigger came.
            self._unproven = away or (not first and (before is None or counter <= before))
            whole = first or self._unproven
            self._lead_frame, self._quiet_frame = counter if whole else None, since
            anew = before is not None and counter <= before  # what it owed is gone
            self._answered = math.inf if anew else self._frame_at
            self._get_slower(at)
        self._counter, self._frame_at = counter, at
        self._frames[counter] = (frame, at, taken)
        while len(self._frames) > KEPT:
            self._frames.popitem(last=False)
        return self._match(at)

    def _may_count_anew(self, counter: int, at: float, taken: float | None) -> bool:
        """Whether the camera may have started anew since its last frame although its count seems to
        go on: there was time, there were triggers enough to count so far once more, and its clock
        does not say that it took this frame when a trigger was fired."""
        fired = self._index - self._index_before + LATE_POLLS
        if at - self._frame_at < REPEAT or counter > fired:
            return False
        return not any(
            self._clock.judge(taken, told, untold) is Word.FITS
            for _, told, _, untold in self._triggers.values()
        )

    def _shown(self) -> int | None:
        """The offset at which the first trigger and the first frame after a silence are a pair."""
        trigger = self._triggers.get(self._lead_trigger or 0)
        frame = self._frames.get(self._lead_frame or 0)
        if trigger is None or frame is None or abs(frame[1] - trigger[1]) > self.window:
            return None
        assert self._lead_trigger is not None
        assert self._lead_frame is not None
        return self._lead_frame - self._lead_trigger

    @property
    def _owed(self) -> bool:
        """The last frame before the silence came before the last trigger: that one's frame was
        missed, or is the first after the silence."""
        return self._answered < self._owing

    def _match(self, now: float) -> list[Paired[F]]:
        self._hear()
        found = self.offset is not None or self._anchor(now) or self._resume() or self._by_clock()
        if not found:
            return []
        assert self.offset is not None
        pairs: list[Paired[F]] = []
        for counter in list(self._frames):
            index = counter - self.offset
            if index not in self._triggers:
                if index <= self._index:
                    del self._frames[counter]  # its trigger was given up or never ours
                continue
            number, triggered, earliest, untold = self._triggers[index]
            frame, received, taken = self._frames[counter]
            word = self._clock.judge(taken, triggered, untold)
            if received < earliest or word is Word.DIFFERS:
                # Its own trigger was lost without a trace, or nobody fired it, or some were missed.
                # The next silence tells them apart, or the camera's clock.
                if word is not Word.DIFFERS:
                    del self._frames[counter]
                self.slips += 1
                self._doubt()
                self._misled = True
                return pairs
            if received - triggered > self._limit and word is not Word.FITS:
                self.slips += 1
                self._doubt(held=self.offset)
                return pairs
            del self._triggers[index], self._frames[counter]
            self._before = index, received - triggered, received
            self._clock.learn(counter, taken, triggered, untold, received)
            pair = Paired(number, frame, triggered, received)
            if word is Word.FITS:
                self._refused = 0
                pairs += self._proven(now)
            if word is not Word.UNSURE or not self._clock.near:
                pairs.append(pair)
            else:
                self._unsure.append(_Unsure(pair, taken, untold))
        return pairs

    def _proven(self, now: float) -> list[Paired[F]]:
        """Pairs that the clock can prove now that a later one fits; what it speaks against, or is
        late, is none."""
        pairs: list[Paired[F]] = []
        waiting = list(self._unsure)
        self._unsure.clear()
        for each in waiting:
            word = self._clock.judge(each.taken, each.pair.triggered, each.untold)
            unsure = word is Word.UNSURE
            if unsure and self._clock.apart(each.taken, each.pair.triggered, each.untold):
                word = Word.FITS
            if word is Word.FITS:
                pairs.append(each.pair)
            elif unsure and now - each.pair.triggered <= self.late:
                self._unsure.append(each)
        return pairs

    def _hear(self) -> None:
        """Bring what is taken for certain up to what the silence shows."""
        shown, word = self._shown(), self._silence_word
        known = self._held if self.offset is None else self.offset
        if shown is not None and word is Word.DIFFERS:
            self._refused += 1
            if self._refused < REFUSED:
                # The frame is a late one of before, or nobody fired it.
                self._lead_trigger = self._lead_frame = None
                return
            self._forget_clock()
        if shown is None or known is None or shown == known:
            return
        if shown > known or shown == self._claimed or word is Word.FITS:
            if self.offset is not None:
                self.slips += 1
            self._doubt()
            return
        # An exposure was lost without a trace, or this frame is late. In the first case the next
        # silence shows the same again.
        self._claimed = shown
        self._lead_trigger = self._lead_frame = None
        if self.offset is not None:
            self.slips += 1
            self._doubt(held=self.offset)

    @property
    def _silence_word(self) -> Word:
        """What the camera's clock says of the first trigger and frame after a silence."""
        trigger = self._triggers.get(self._lead_trigger or 0)
        frame = self._frames.get(self._lead_frame or 0)
        if trigger is None or frame is None:
            return Word.SILENT
        return self._clock.judge(frame[2], trigger[1], trigger[3])

    def _forget_clock(self) -> None:
        self._clock.forget()
        self._unsure.clear()
        self._taken = -math.inf
        self._refused = 0

    def _shown_by_clock(self, counter: int) -> int | None:
        """The offset at which this frame fits one trigger, if it fits no other."""
        _, received, taken = self._frames[counter]
        if not self._clock.prompt(taken, received):
            return None
        words = [
            (index, self._clock.judge(taken, told, untold))
            for index, (_, told, _, untold) in islice(reversed(self._triggers.items()), LOOKED[1])
        ]
        close = [(index, word) for index, word in words if word is not Word.DIFFERS]
        if len(close) != 1 or close[0][1] is not Word.FITS:
            return None
        return counter - close[0][0]

    def _by_clock(self) -> bool:
        """Find the offset by the camera's clock alone."""
        later: tuple[int, int | None] = (0, None)
        for counter in list(islice(reversed(self._frames), LOOKED[0])):
            shown = self._shown_by_clock(counter)
            if shown is not None and later == (counter + 1, shown):
                break
            later = counter, shown
        else:
            return False
        self.offset, self._held, self._claimed = shown, None, None
        for old in [old for old in self._frames if old < counter]:
            trigger = self._triggers.get(old - shown)
            _, _, taken = self._frames[old]
            if trigger and self._clock.judge(taken, trigger[1], trigger[3]) is not Word.FITS:
                del self._frames[old]
        return True

    @property
    def _limit(self) -> float:
        """Seconds after its trigger's telling at which a frame is later than they are."""
        usual = max(self._delays) + LAG if len(self._delays) == USUAL else math.inf
        return min(self.late, usual)

    def _get_used(self) -> None:
        """Learn how late frames are while each of them comes before the next trigger."""
        index, delay, received = self._before
        if index != self._index - 1:
            return
        if received < self._fired:
            self._delays.append(delay)
            self._slower = self._unusual = 0
            return
        self._unusual += 1
        if self._unusual == USUAL:
            self._delays.clear()

    def _get_slower(self, at: float) -> None:
        """Forget how late frames used to be when the first ones after silences are all later."""
        trigger = self._triggers.get(self._lead_trigger or 0)
        if trigger is not None and self.offset is None and at - trigger[1] > self._limit:
            self._slower += 1
            if self._slower == SLOWER:
                self._delays.clear()

    def _doubt(self, held: int | None = None) -> None:
        """No pair is certain until the next silence, or until the offset `held` is proven."""
        self.offset, self._held = None, held
        self._lost_at = self._index
        self._unsure.clear()

    def _resume(self) -> bool:
        """Whether the offset that late frames had put in doubt is proven: the frame of the trigger
        before the last one came in time and before the last one was fired, and none came before
        its own."""
        held, newest = self._held, None
        if held is None:
            return False
        for counter, (_, received, _) in self._frames.items():
            trigger = self._triggers.get(counter - held)
            if trigger is not None and received < trigger[2]:
                self._doubt()
                self._misled = True
                return False
            in_time = trigger is not None and received - trigger[1] <= self._limit
            if in_time and counter - held == self._index - 1 and received < self._fired:
                newest = counter
        if newest is None:
            return False
        self.offset, self._held, self._claimed = held, None, None
        # What came before it is in doubt: some may have been missed, and as many taken by chance.
        while next(iter(self._frames)) < newest:
            self._frames.popitem(last=False)
        return True

    @property
    def due(self) -> float:
        """When time alone makes a pair certain: call `tick` then. Never: inf."""
        lead = self._frames.get(self._lead_frame or 0)
        waits = self._unproven and self.offset is None and lead is not None
        return lead[1] + AHEAD if waits and lead is not None else math.inf

    def tick(self, now: float) -> list[Paired[F]]:
        """Nothing came for a while; returns the pairs that are now certain."""
        return self._match(now) if self.due <= now else []

    def _anchor(self, now: float) -> bool:
        """Find a certain pair."""
        shown = self._shown()
        if shown is None or (self._owed and self._silence_word is not Word.FITS):
            return False
        assert self._lead_trigger is not None
        assert self._lead_frame is not None
        trigger, frame = self._triggers[self._lead_trigger], self._frames[self._lead_frame]
        # It must be one silence of both: a late poll may show the frame after the next one.
        began = max(self._quiet_trigger, self._quiet_frame)
        if min(frame[1], trigger[1]) - began < QUIET / 2:
            return False
        if self._unproven:
            second = self._triggers.get(self._lead_trigger + 1)
            if now < frame[1] + AHEAD or (second is not None and second[1] < frame[1] + AHEAD):
                return False
        self.offset, self._held, self._claimed = shown, None, None
        # What came before the silence is not certain, and late by now.
        while next(iter(self._triggers)) != self._lead_trigger:
            self._triggers.popitem(last=False)
        while next(iter(self._frames)) != self._lead_frame:
            self._frames.popitem(last=False)
        return True

    def _slip(self, at: float) -> None:
        self.slips += 1
        self.reset(at)
