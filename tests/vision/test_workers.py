"""The worker threads answer every frame by its deadline and end when they are told to."""

import asyncio
import threading
import time

import numpy as np
import pytest

from agent.ports.reading import Decoded, FrameDecoder
from agent.vision.workers import DecodeSettings, StationDecoder, VisionWorkers
from tests.vision.scenes import nominal

QR = DecodeSettings("QRCode")
NOISE = np.random.default_rng(1).integers(0, 256, (4000, 5000), np.uint8)
"""A frame whose first attempt alone takes far longer than the deadlines below."""


def vision_threads() -> int:
    return sum(thread.name.startswith("vision-") for thread in threading.enumerate())


def test_frames_are_decoded_and_the_threads_end() -> None:
    async def run() -> None:
        workers = VisionWorkers(2)
        try:
            station: FrameDecoder = StationDecoder(workers, QR)
            frames = [nominal("QRCode", n) for n in range(12)]
            results = await asyncio.gather(
                *(station.decode(image, time.monotonic() + 5) for _, image in frames)
            )
            assert [r.reads[0].text for r in results] == [value for value, _ in frames]
            cells = await workers.decode_cells(
                DecodeSettings("QRCode", grid=(1, 1)), frames[0][1], time.monotonic() + 5
            )
            assert [cell and cell.text for cell in cells.cells] == [frames[0][0]]
        finally:
            await workers.close()

    before = vision_threads()
    asyncio.run(run())
    assert vision_threads() == before


def test_a_frame_that_takes_too_long_is_answered_at_its_deadline() -> None:
    async def run() -> None:
        workers = VisionWorkers(1)
        try:
            result = await workers.decode(
                DecodeSettings("DataMatrix"), NOISE, time.monotonic() + 0.02
            )
            assert (result.reads, result.late) == ((), True)
            assert not await workers.answers(0.01), "its thread is at it still: nobody waits for it"
        finally:
            await workers.close(timeout=10.0)

    asyncio.run(run())


def test_a_frame_whose_deadline_passes_in_the_queue_is_not_decoded() -> None:
    async def run() -> None:
        workers = VisionWorkers(1)
        try:
            value, image = nominal("QRCode", 1)
            now = time.monotonic()
            slow = asyncio.ensure_future(
                workers.decode(DecodeSettings("DataMatrix", attempts=("fast",)), NOISE, now + 30)
            )
            waiting = [
                asyncio.ensure_future(workers.decode(QR, image, now + 0.01)) for _ in range(5)
            ]
            patient = asyncio.ensure_future(workers.decode(QR, image, now + 30))
            assert (
                await asyncio.gather(*waiting)
                == [Decoded((), pytest.approx(0.01, abs=5), late=True)] * 5
            )
            assert not slow.done()
            assert [read.text for read in (await patient).reads] == [value]
            assert (await slow).reads == ()
        finally:
            await workers.close()

    asyncio.run(run())


def test_a_full_queue_answers_late_at_once() -> None:
    async def run() -> None:
        workers = VisionWorkers(1, waiting=1)
        try:
            _, image = nominal("QRCode", 1)
            deadline = time.monotonic() + 30
            jobs = [
                asyncio.ensure_future(
                    workers.decode(DecodeSettings("DataMatrix", attempts=("fast",)), big, deadline)
                )
                for big in (NOISE, image, image, image)
            ]
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            assert not jobs[0].done()
            # One waits, and one more has a place if the thread was quick to take the first.
            assert 2 <= sum(job.done() and job.result().late for job in jobs) <= 3
            assert not (await asyncio.gather(*jobs))[0].late
        finally:
            await workers.close()

    asyncio.run(run())


def test_after_close_a_frame_is_late_and_those_that_wait_are_answered() -> None:
    async def run() -> None:
        workers = VisionWorkers(1)
        _, image = nominal("QRCode", 1)
        deadline = time.monotonic() + 30
        slow = DecodeSettings("DataMatrix", attempts=("fast",))
        jobs = [asyncio.ensure_future(workers.decode(slow, NOISE, deadline))]
        jobs += [asyncio.ensure_future(workers.decode(QR, image, deadline)) for _ in range(3)]
        await asyncio.sleep(0)  # let them get into the queue
        await workers.close(timeout=10.0)
        async with asyncio.timeout(2):
            results = await asyncio.gather(*jobs)
        assert [result.late for result in results[1:]] == [True] * 3
        assert (await workers.decode(QR, image, deadline)).late

    asyncio.run(run())


def test_close_does_not_wait_longer_than_it_was_told(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        workers = VisionWorkers(1)
        slow = DecodeSettings("DataMatrix", attempts=("fast", "full", "half"))
        job = asyncio.ensure_future(workers.decode(slow, NOISE, time.monotonic() + 30))
        async with asyncio.timeout(10):
            await asyncio.sleep(0)  # now it waits, until the thread has taken it
            while not workers._jobs.empty():  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0.001)
        await workers.close(timeout=0.01)
        assert not job.done()
        await job
        await workers.close(timeout=10.0)

    asyncio.run(run())
    assert "still decoding" in caplog.text
    assert vision_threads() == 0


@pytest.mark.parametrize("image", [None, np.zeros((0, 0), np.uint8), np.zeros((3, 3, 3), np.uint8)])
def test_what_is_no_picture_does_not_hurt_the_threads(image: object) -> None:
    async def run() -> None:
        workers = VisionWorkers(1)
        try:
            deadline = time.monotonic() + 5
            bad = await workers.decode(QR, image, deadline)  # type: ignore[arg-type]
            assert (bad.reads, bad.late) == ((), False)
            value, good = nominal("QRCode", 1)
            assert (await workers.decode(QR, good, deadline)).reads[0].text == value
        finally:
            await workers.close()

    asyncio.run(run())
