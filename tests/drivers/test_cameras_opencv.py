"""OpenCV's VideoCapture as a camera, over a video file and over a source that goes silent."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from agent.core.errors import TransientError
from drivers.cameras.opencv import OpencvCamera, OpencvConfig
from drivers.context import DeviceContext


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 120))
    for number in range(30):
        writer.write(np.full((120, 160, 3), number * 8, np.uint8))
    writer.release()
    return path


def camera(source: str | int, **options: object) -> OpencvCamera:
    config = OpencvConfig(source=source, **options)  # type: ignore[arg-type]
    return OpencvCamera("cam", config, DeviceContext())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "camera-cam"]


def test_every_frame_of_a_file_comes_in_order_and_then_it_has_ended(video: Path) -> None:
    async def run() -> None:
        source = camera(str(video), queue=2)
        await source.open()
        try:
            for number in range(30):
                frame = await source.next_frame(5)
                assert frame is not None
                assert frame.counter == number + 1
                assert (frame.image.shape, frame.image.dtype) == ((120, 160), np.uint8)
                assert frame.image.mean() == pytest.approx(number * 8, abs=4)
            with pytest.raises(TransientError, match="ended"):
                await source.next_frame(5)
            assert source.dropped == 0
        finally:
            await source.close()

    asyncio.run(run())
    assert threads() == []


def test_closing_ends_the_thread_though_nobody_took_the_frames(video: Path) -> None:
    async def run() -> None:
        source = camera(str(video), queue=1)
        for _ in range(10):
            await source.open()
            await asyncio.to_thread(wait_for, lambda: source.waiting == 1)
            await source.close()
            assert threads() == []
        await source.close()
        with pytest.raises(TransientError, match="not open"):
            await source.next_frame(1)

    asyncio.run(run())


@pytest.mark.parametrize("source", ["/nowhere/video.avi", "/dev/null", "rtsp://127.0.0.1:1/x"])
def test_a_source_that_is_not_there_is_said_with_its_remedy(source: str) -> None:
    async def run() -> None:
        with pytest.raises(TransientError, match="plugged in"):
            await camera(source).open()

    asyncio.run(run())
    assert threads() == []


async def ended() -> None:
    """Until the source has come to its end and its frames wait."""
    for thread in threading.enumerate():
        if thread.name == "camera-cam":
            await asyncio.to_thread(thread.join, 10)
    assert threads() == []


class WebCamera:
    """A camera that streams pictures over HTTP (multipart), until it goes silent."""

    def __init__(self, pictures: int) -> None:
        self.hang_up = threading.Event()
        self._pictures = pictures
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/video.mjpg"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        image = np.random.default_rng(1).integers(0, 256, (240, 320), np.uint8)
        picture = cv2.imencode(".jpg", image)[1].tobytes()
        part = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
        self._server.settimeout(20)
        connection, _ = self._server.accept()
        with connection, self._server:
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\n\r\n"
            )
            for _ in range(self._pictures):
                connection.sendall(part % (len(picture), picture))
            self.hang_up.wait(20)

    def close(self) -> None:
        self.hang_up.set()
        self._thread.join(20)


def test_a_camera_that_goes_silent_is_lost_after_its_stall_time() -> None:
    web = WebCamera(pictures=60)

    async def run() -> None:
        source = camera(web.url, stall_s=0.3, queue=100)
        await source.open()
        try:
            taken = 0
            lost = None
            while lost is None:
                try:
                    taken += await source.next_frame(0.1) is not None
                except TransientError as error:
                    lost = str(error)
            assert "has given no picture" in lost
            assert taken > 0
        finally:
            web.close()
            await source.close()

    asyncio.run(run())
    assert threads() == []


def test_a_live_source_loses_the_oldest_frames_and_the_counter_shows_it() -> None:
    web = WebCamera(pictures=60)

    async def run() -> None:
        source = camera(web.url, queue=3)
        await source.open()
        web.hang_up.set()
        counters = []
        try:
            await ended()
            for _ in range(3):
                frame = await source.next_frame(5)
                assert frame is not None
                counters.append(frame.counter)
            with pytest.raises(TransientError, match="ended"):
                await source.next_frame(5)
            assert counters[-1] - source.dropped == 3
            assert counters == list(range(counters[0], counters[0] + 3))
        finally:
            web.close()
            await source.close()

    asyncio.run(run())


def test_a_source_that_hangs_while_it_opens_is_given_up() -> None:
    async def run() -> None:
        # The kernel accepts the connection, and nobody ever speaks RTSP.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            start = time.monotonic()
            with pytest.raises(TransientError, match="did not start within"):
                await camera(f"rtsp://127.0.0.1:{port}/x", open_s=0.3).open()
            assert time.monotonic() - start < 4

    asyncio.run(run())
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == []


@pytest.mark.parametrize("wrong", [{"source": -1}, {"source": ""}, {"source": 0, "queue": 0}, {}])
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OpencvConfig(**wrong)  # type: ignore[arg-type]
