"""Cheap cameras through OpenCV's VideoCapture: USB (V4L2), RTSP, and video files.

The library blocks, so it has a thread of its own that posts frames to the loop. Such a camera has
no counter: ours counts the frames that it gave. It is not hardware-triggered as far as we know.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import TransientError
from agent.ports.reading import Frame, Image
from agent.told import told
from drivers.context import DeviceContext

log = logging.getLogger(__name__)

# Its own lines on stderr at every attempt to connect: the supervisor logs what is lost, once.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class OpencvConfig(BaseModel):
    """`source` is a number (USB camera 0, 1, ...), a device path, a file, or an rtsp:// URL.

    `queue` frames wait for the line; when it is full, a live source loses the oldest (the gap in
    the counters shows it) and a file waits. After `stall_s` without a frame the camera is lost;
    a camera that is fired by a photo-eye stays silent while the line stands, so choose it longer
    than a stop of the line, or 0 for never. `width`, `height`, `fps` are asked of the camera.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["opencv"] = "opencv"
    # OpenCV crashes the process on a negative number.
    source: Annotated[int, Field(ge=0, le=1023)] | Annotated[str, Field(min_length=1)]
    queue: int = Field(8, ge=1, le=256)
    open_s: float = Field(5.0, gt=0, le=60)
    stall_s: float = Field(10.0, ge=0, le=86_400)
    width: int | None = Field(None, ge=1, le=20_000)
    height: int | None = Field(None, ge=1, le=20_000)
    fps: float | None = Field(None, gt=0, le=1000)


class OpencvCamera:
    """One VideoCapture."""

    def __init__(self, name: str, config: OpencvConfig, context: DeviceContext) -> None:
        # No wire log for the context: the library does not show us its wire.
        self.name = name
        self._dropped = 0
        self._config = config
        self._session: _Session | None = None

    @property
    def dropped(self) -> int:
        """Frames that found the queue full, since the agent started."""
        return self._dropped + (self._session.dropped if self._session is not None else 0)

    @property
    def waiting(self) -> int:
        """Frames that wait for the line."""
        return self._session.waiting if self._session is not None else 0

    async def open(self) -> None:
        """Start the capture. TransientError when it does not start within `open_s`."""
        session = _Session(self.name, self._config, asyncio.get_running_loop())
        self._session = session
        session.thread.start()
        try:
            async with asyncio.timeout(self._config.open_s):
                started = await session.started
        except TimeoutError:
            started = False
        if not started:
            await self.close()
            raise TransientError(
                *told(
                    "camera_source_not_started",
                    name=self.name,
                    source=self._config.source,
                    s=f"{self._config.open_s:g}",
                )
            )

    async def close(self) -> None:
        """Stop the capture; waits at most 2 s for a library that does not come back."""
        session, self._session = self._session, None
        if session is None:
            return
        session.stopping.set()
        await asyncio.to_thread(session.thread.join, 2.0)
        self._dropped += session.dropped
        if session.thread.is_alive():
            log.warning(
                "camera %s: OpenCV does not let go of %s; if it cannot be opened again, pull its "
                "plug and restart the agent",
                self.name,
                self._config.source,
            )

    async def next_frame(self, timeout: float) -> Frame | None:
        """The next frame, None when none came within `timeout` s. TransientError once the source
        has ended (after its last frame), or was silent for `stall_s`."""
        session = self._session
        if session is None:
            raise TransientError(*told("camera_closed", name=self.name))
        deadline = time.monotonic() + timeout
        while (frame := session.take()) is None:
            if session.ended:
                raise TransientError(
                    *told("camera_source_ended", name=self.name, source=self._config.source)
                )
            session.arrived.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await session.arrived.wait()
            except TimeoutError:
                self._check_stall(session)
                return None
        return frame

    def _check_stall(self, session: "_Session") -> None:
        silent = time.monotonic() - session.last
        if 0 < self._config.stall_s < silent:
            raise TransientError(
                *told(
                    "camera_source_silent",
                    name=self.name,
                    source=self._config.source,
                    s=f"{silent:.0f}",
                )
            )


class _Session:
    """One opened VideoCapture and its thread. The loop sees `started`, `arrived`, `ended`."""

    def __init__(self, name: str, config: OpencvConfig, loop: asyncio.AbstractEventLoop) -> None:
        self.thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)
        self.started: asyncio.Future[bool] = loop.create_future()
        self.arrived = asyncio.Event()
        self.stopping = threading.Event()
        self.ended = False
        self.dropped = 0
        self.last = time.monotonic()
        self._config = config
        self._loop = loop
        self._frames: deque[Frame] = deque()
        self._is_file = isinstance(config.source, str) and Path(config.source).is_file()

    @property
    def waiting(self) -> int:
        return len(self._frames)

    def take(self) -> Frame | None:
        """The oldest frame that waits."""
        try:
            return self._frames.popleft()
        except IndexError:
            return None

    def _run(self) -> None:
        capture = None
        try:
            capture = self._start()
            opened = capture.isOpened()
            self._tell(self._set_started, opened)
            counter = 0
            while opened and not self.stopping.is_set():
                read, image = capture.read()
                if not read or image is None:
                    break
                counter += 1
                self.last = time.monotonic()
                self._put(Frame(_grey(image), counter, None, self.last))
        except cv2.error as error:
            log.warning("camera source %s: OpenCV failed: %s", self._config.source, error.err)
        finally:
            if capture is not None:
                capture.release()
            self.ended = True
            self._tell(self.arrived.set)

    def _start(self) -> Any:
        source, wait = self._config.source, round(self._config.open_s * 1000)
        if isinstance(source, str) and "://" in source:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        else:
            capture = cv2.VideoCapture(source)
        for what, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, self._config.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, self._config.height),
            (cv2.CAP_PROP_FPS, self._config.fps),
        ):
            if value is not None and capture.isOpened():
                capture.set(what, value)
        return capture

    def _put(self, frame: Frame) -> None:
        while len(self._frames) >= self._config.queue and not self.stopping.is_set():
            if self._is_file:
                self.stopping.wait(0.005)
            elif self.take() is not None:
                self.dropped += 1
        self._frames.append(frame)
        self._tell(self.arrived.set)

    def _set_started(self, opened: bool) -> None:
        if not self.started.done():
            self.started.set_result(opened)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        """Call in the loop; nothing if the loop has ended in the meantime."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *values)


def _grey(image: Any) -> Image:
    grey: Image = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return grey
