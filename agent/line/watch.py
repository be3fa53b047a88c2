"""One camera or code reader of a station: its sessions, its pairing with triggers, its decoding,
and the deadline by which every trigger has an answer."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from agent.core import inputs as i
from agent.core.codes import Refused, canonical
from agent.core.plan import ReaderPlan, Station
from agent.health import Health
from agent.line.pairing import Paired, Pairing
from agent.now import monotonic, wall_ms
from agent.ports import (
    CodeReader,
    Decoded,
    Frame,
    FrameDecoder,
    FrameSource,
    PictureSink,
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


@dataclass(slots=True)
class LastPicture:
    """What the panel shows of a camera: the frame, what was read on it, and for which item."""

    frame: Frame
    number: int
    decoded: Decoded
    wall_ms: int


class Watch:
    """One reader of one station. `answer` gets exactly one ItemReadings per trigger. A reader of a
    secret role keeps no pictures."""

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
    ) -> None:
        self.expected_reads = expected_reads
        self.station = station
        self.reader = reader
        self.source = source
        self.health = health
        self.turned = monotonic()  # when its loop turned last
        self.last: LastPicture | None = None
        self.pairing: Pairing[Frame | Reading] = Pairing(
            window=max(1.0, 4 * deadline), late=deadline
        )
        if not isinstance(source, FrameSource):
            self.pairing = Pairing(window=deadline, counted=False)
        self._decoder = decoder
        self._deadline = deadline
        self._answer = answer
        self._due: dict[int, float] = {}
        self._decoding: set[asyncio.Task[None]] = set()
        self._readings = 0
        self._keep_pictures = keep_pictures
        self.evidence = evidence

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
            pairs = self.pairing.frame(frame.counter, frame, frame.received, frame.camera_time)
            self._take(pairs)

    async def _run_reader(self, reader: CodeReader) -> None:
        while True:
            self.turned = monotonic()
            reading = await reader.next_reading(WAIT)
            if reading is None:
                continue
            self.health.alive()
            self._readings += 1
            self._take(self.pairing.frame(self._readings, reading, reading.received))

    def _take(self, pairs: list[Paired[Frame | Reading]]) -> None:
        for pair in pairs:
            if pair.number not in self._due:
                continue  # answered late already
            if isinstance(pair.frame, Reading):
                self._done(pair, Decoded(pair.frame.reads, 0.0))
            elif len(self._decoding) < DECODING:
                task = asyncio.create_task(self._decode(pair, pair.frame))
                self._decoding.add(task)
                task.add_done_callback(self._decoding.discard)

    async def _decode(self, pair: Paired[Frame | Reading], frame: Frame) -> None:
        if self._decoder is None:
            return
        due = self._due.get(pair.number, 0.0)
        decoded = await self._decoder.decode(frame.image, due)
        if self._keep_pictures:
            self.last = LastPicture(frame, pair.number, decoded, wall_ms())
        self.health.alive(decoded.seconds)
        self._done(pair, decoded)
        if self.evidence is not None:  # after the answer: a verdict waits for no picture
            failed = len(decoded.reads) < self.expected_reads or decoded.repeated > 0
            self.evidence.offer(frame.image, decoded, pair.number, wall_ms(), failed=failed)

    def _done(self, pair: Paired[Frame | Reading], decoded: Decoded) -> None:
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
        )
        # The camera may be quicker than the poll that tells of its trigger.
        triggered = min(pair.triggered, pair.received)
        self._answer(readings, Trace(triggered, pair.received, monotonic()))
