"""One camera or code reader of a station: its sessions, its pairing with triggers, its decoding,
and the deadline by which every trigger has an answer."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.core import inputs as i
from agent.core.codes import Refused, canonical
from agent.core.plan import ReaderPlan, Station
from agent.health import Health
from agent.line.lone import Lone
from agent.line.pairing import Paired, Pairing
from agent.line.repeats import Repeats
from agent.now import monotonic, wall_ms
from agent.ports.reading import (
    CodeReader,
    Decoded,
    Frame,
    FrameDecoder,
    FrameSource,
    PictureSink,
    QualityFollower,
    Reading,
)

log = logging.getLogger(__name__)

WAIT = 1.0
"""Seconds between looks at the clock while nothing comes."""
DECODING = 16
"""Frames of one camera that may be in decoding at a time; a later one is answered late."""


@dataclass(slots=True)
class Trace:
    """When one answer came about; monotonic seconds."""

    triggered: float
    received: float
    decoded: float


Answer = Callable[[i.ItemReadings, Trace | None], None]
Condition = Callable[[str, bool], None]
"""Told of what a camera is in, camera_stuck or camera_silent, whenever that may have changed."""


@dataclass(slots=True)
class LastPicture:
    """What the panel shows of a camera: the frame, what was read on it, and for which item."""

    frame: Frame
    number: int
    decoded: Decoded
    wall_ms: int


class Watch:
    """One reader of one station. `answer` gets exactly one ItemReadings per trigger. A reader of a
    secret role keeps no pictures. A picture that the camera sent before is read for nobody."""

    def __init__(
        self,
        station: Station,
        reader: ReaderPlan,
        source: FrameSource | CodeReader,
        decoder: FrameDecoder | None,
        deadline: float,
        health: Health,
        answer: Answer,
        expected_reads: int = 1,
        *,
        keep_pictures: bool = True,
        evidence: PictureSink | None = None,
        quality: QualityFollower | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.expected_reads = expected_reads
        self.station = station
        self.reader = reader
        self.source = source
        self.health = health
        self.turned = monotonic()  # when its loop turned last
        self.last: LastPicture | None = None
        self.pairing: Pairing[Frame | Reading] | Lone[Frame | Reading]
        if isinstance(source, FrameSource):
            self.pairing = Pairing(window=max(1.0, 4 * deadline), late=deadline)
        else:
            self.pairing = Lone(window=deadline)
        self._decoder = decoder
        self._deadline = deadline
        self._answer = answer
        self._due: dict[int, float] = {}
        self._decoding: set[asyncio.Task[None]] = set()
        self.keeps_pictures = keep_pictures
        self.evidence = evidence
        self.quality = quality
        self._condition = condition
        self._repeats = Repeats()
        self._told: dict[str, bool] = {}

    def reset(self) -> None:
        """The PLC numbers anew: no frame belongs to an old trigger."""
        self.pairing.reset(monotonic())
        self._due.clear()
        self._forget()

    def trigger(self, number: int, at: float, untold: float = -math.inf) -> None:
        """The PLC fired this reader for item or container `number`; see Pairing.trigger."""
        self._due[number] = at + self._deadline
        self._take(self.pairing.trigger(number, at, untold))

    @property
    def due(self) -> float:
        """When the next trigger is answered late at the latest; inf: none waits."""
        return min(next(iter(self._due.values()), math.inf), self.pairing.due)

    def expire(self, now: float) -> None:
        """Answer every trigger whose deadline has passed as late."""
        self._take(self.pairing.tick(now))
        for number in [n for n, due in self._due.items() if due <= now]:
            del self._due[number]
            blind = self.pairing.blind
            late = i.ItemReadings(
                self.station.id, number, self.reader.id, (), late=True, blind=blind
            )
            self._answer(late, None)
            if isinstance(self.source, FrameSource) and self.health.state == "ok":
                self._repeats.missed()
                self._tell("camera_silent", self._repeats.silent)

    async def run(self) -> None:
        """One session of the device: until it is lost (TransientError)."""
        self.pairing.reset(monotonic())
        try:
            if isinstance(self.source, FrameSource):
                await self._run_camera(self.source)
            else:
                await self._run_reader(self.source)
        finally:
            self._forget()

    def _forget(self) -> None:
        """A picture that is still being decoded must not answer a later item of its number."""
        for task in self._decoding:
            task.cancel()

    async def _run_camera(self, camera: FrameSource) -> None:
        while True:
            self.turned = monotonic()
            frame = await camera.next_frame(WAIT)
            if frame is None:
                continue
            self.health.alive()
            if self._repeats.look(frame.image):
                frame = replace(frame, repeated=True)
            self._tell("camera_stuck", self._repeats.stuck)
            self._tell("camera_silent", False)
            pairs = self.pairing.frame(frame.counter, frame, frame.received, frame.camera_time)
            self._take(pairs)

    def _tell(self, key: str, on: bool) -> None:
        """Also the first time that it is not so: the alarm may be one of before a restart."""
        if self._condition is not None and self._told.get(key) != on:
            self._told[key] = on
            self._condition(key, on)

    async def _run_reader(self, reader: CodeReader) -> None:
        while True:
            self.turned = monotonic()
            reading = await reader.next_reading(WAIT)
            if reading is None:
                continue
            self.health.alive()
            self._take(self.pairing.frame(0, reading, reading.received))

    def _take(self, pairs: list[Paired[Frame | Reading]]) -> None:
        for pair in pairs:
            if pair.number not in self._due:
                continue  # answered late already
            if isinstance(pair.frame, Reading):
                self._done(pair, Decoded(pair.frame.reads, 0.0))
            elif pair.frame.repeated:
                self._done(pair, Decoded((), 0.0), old_picture=True)
            elif len(self._decoding) < DECODING:
                task = asyncio.create_task(self._decode(pair, pair.frame))
                self._decoding.add(task)
                task.add_done_callback(self._decoding.discard)

    async def _decode(self, pair: Paired[Frame | Reading], frame: Frame) -> None:
        if self._decoder is None:
            return
        due = self._due.get(pair.number, 0.0)
        decoded = await self._decoder.decode(frame.image, due)
        if self.keeps_pictures:
            self.last = LastPicture(frame, pair.number, decoded, wall_ms())
        self.health.alive(decoded.seconds)
        self._done(pair, decoded)
        if self.evidence is not None:  # after the answer: a verdict waits for no picture
            failed = len(decoded.reads) < self.expected_reads or decoded.repeated > 0
            self.evidence.offer(frame.image, decoded, pair.number, wall_ms(), failed=failed)
        if self.quality is not None:
            self.quality.offer(frame.image, decoded)

    def _done(
        self, pair: Paired[Frame | Reading], decoded: Decoded, *, old_picture: bool = False
    ) -> None:
        if self._due.pop(pair.number, None) is None:
            return
        texts: list[str] = []
        places: list[int] = []
        refused = 0
        for n, read in enumerate(decoded.reads):
            try:
                texts.append(canonical(read.symbology + read.text).text)
            except Refused as reason:
                refused += 1
                log.debug("%s: %s", self.reader.id, reason)
                continue
            if decoded.places:
                places.append(decoded.places[n])
        readings = i.ItemReadings(
            self.station.id,
            pair.number,
            self.reader.id,
            tuple(texts),
            refused,
            decoded.repeated,
            decoded.late and not texts,
            tuple(places),
            old_picture=old_picture,
        )
        # The camera may be quicker than the poll that tells of its trigger.
        triggered = min(pair.triggered, pair.received)
        self._answer(readings, Trace(triggered, pair.received, monotonic()))
