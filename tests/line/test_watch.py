"""One reader of one station: every trigger gets exactly one answer, of its own item, in time.

Camera and decoder are scripts: pictures that arrive when the test says so, and a decoder that reads
the item that is painted into the picture, when it is let.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from agent.core import inputs as i
from agent.health import Health
from agent.line.pairing import QUIET
from agent.line.watch import DECODING, Trace, Watch
from agent.ports.reading import Decoded, Frame, Image, PictureSink, Read
from agent.vision.evidence import EvidenceSettings, EvidenceWriter, sidecar
from tests.core.lines import VERIFY

DEADLINE = 0.4


class Camera:
    """ports.FrameSource: gives the pictures that were put into it."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def shoot(self, counter: int, shows: int) -> None:
        image = np.full((2, 2), shows, np.uint8)
        self._frames.put_nowait(Frame(image, counter, None, time.monotonic()))

    async def next_frame(self, timeout: float) -> Frame | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._frames.get()
        return None


class Decoder:
    """ports.FrameDecoder: reads `texts` of the item in the picture once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.texts: dict[int, tuple[str, ...]] = {}
        self.busy = 0

    async def decode(self, image: Image, deadline: float) -> Decoded:
        self.busy += 1
        await self.go.wait()
        shows = int(image[0, 0])
        reads = tuple(Read(text, "]Q1") for text in self.texts.get(shows, (f"ITEM-{shows}",)))
        return Decoded(reads, 0.001, places=tuple(range(len(reads))))


class Stage:
    """A watch that runs, after the belt has stood still for a moment. `evidence` keeps pictures."""

    def __init__(self, evidence: PictureSink | None = None) -> None:
        self.answers: list[tuple[i.ItemReadings, Trace | None]] = []
        self.evidence = evidence

    def play(self, scene: Callable[["Stage"], Awaitable[None]]) -> None:
        async def staged() -> None:
            self.camera, self.decoder = Camera(), Decoder()
            self.health = Health("cam", "camera")
            self.watch = Watch(
                VERIFY,
                VERIFY.readers[0],
                self.camera,
                self.decoder,
                DEADLINE,
                self.health,
                lambda readings, trace: self.answers.append((readings, trace)),
                evidence=self.evidence,
            )
            work = asyncio.create_task(self.watch.run())
            try:
                await asyncio.sleep(QUIET + 0.05)
                await scene(self)
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

        asyncio.run(staged())

    async def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, self.answers
            await asyncio.sleep(0.002)

    def item(self, number: int) -> None:
        """The item fires trigger and camera."""
        self.watch.trigger(number, time.monotonic())
        self.camera.shoot(number, number)

    @property
    def texts(self) -> list[tuple[int, tuple[str, ...]]]:
        return [(readings.item, readings.texts) for readings, _ in self.answers]


def test_every_item_gets_the_text_of_its_own_picture() -> None:
    stage = Stage()

    async def scene(stage: Stage) -> None:
        for number in (1, 2, 3):
            stage.item(number)
        await stage.until(lambda: len(stage.answers) == 3)
        assert sorted(stage.texts) == [(n, (f"ITEM-{n}",)) for n in (1, 2, 3)]
        _, trace = stage.answers[0]
        assert trace is not None
        assert trace.triggered <= trace.received <= trace.decoded
        assert stage.health.latency == 0.001
        assert stage.watch.last is not None

    stage.play(scene)


def test_texts_are_canonical_and_what_is_no_code_is_counted() -> None:
    stage = Stage()

    async def scene(stage: Stage) -> None:
        stage.decoder.texts[1] = ("HTTPS://Q.EXAMPLE.CN/AbC", "bad\x07code", "ITEM-9")
        stage.item(1)
        await stage.until(lambda: stage.answers)
        ((readings, _),) = stage.answers
        assert readings.texts == ("https://q.example.cn/AbC", "ITEM-9")
        assert (readings.refused, readings.places, readings.late) == (1, (0, 2), False)

    stage.play(scene)


def test_an_answer_after_the_deadline_is_late_and_comes_once() -> None:
    stage = Stage()

    async def scene(stage: Stage) -> None:
        stage.decoder.go.clear()
        stage.item(1)
        await stage.until(lambda: stage.decoder.busy == 1)
        stage.watch.expire(time.monotonic())
        assert stage.answers == [], "not yet"
        stage.watch.expire(time.monotonic() + DEADLINE)
        stage.decoder.go.set()
        stage.item(2)
        await stage.until(lambda: len(stage.answers) == 2)
        assert stage.texts == [(1, ()), (2, ("ITEM-2",))]
        assert [readings.late for readings, _ in stage.answers] == [True, False]

    stage.play(scene)


def test_a_decoder_that_does_not_keep_up_gets_no_more_than_it_can_hold() -> None:
    stage = Stage()

    async def scene(stage: Stage) -> None:
        stage.decoder.go.clear()
        for number in range(1, DECODING + 4):
            stage.item(number)
        await stage.until(lambda: stage.decoder.busy == DECODING)
        stage.decoder.go.set()
        await stage.until(lambda: len(stage.answers) == DECODING)
        stage.watch.expire(time.monotonic() + DEADLINE)
        late = [readings.item for readings, _ in stage.answers if readings.late]
        assert late == [DECODING + 1, DECODING + 2, DECODING + 3]

    stage.play(scene)


def test_a_picture_from_before_a_restart_never_answers_the_same_number_after_it() -> None:
    stage = Stage()

    async def scene(stage: Stage) -> None:
        stage.decoder.go.clear()
        stage.item(1)
        await stage.until(lambda: stage.decoder.busy == 1)
        stage.watch.reset()  # the PLC counts anew
        stage.watch.trigger(1, time.monotonic())
        stage.decoder.go.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert stage.answers == []

    stage.play(scene)


def test_failed_reads_leave_their_picture_after_the_answer(tmp_path: Path) -> None:
    writer = EvidenceWriter(0)
    folder = tmp_path / "cam"
    stage = Stage(writer.camera(folder, "verify", EvidenceSettings(good_every=0)))

    async def scene(stage: Stage) -> None:
        stage.decoder.texts[2] = ()
        for number in (1, 2, 3):
            stage.item(number)
        await stage.until(lambda: len(stage.answers) == 3)

    stage.play(scene)
    writer.close(10)
    (kept,) = folder.glob("*.jpg")
    about = sidecar(kept)
    assert about is not None
    assert (about.station, about.number, about.failed, about.texts) == ("verify", 2, True, ())
