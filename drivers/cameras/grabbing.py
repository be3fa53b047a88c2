"""A camera behind a blocking SDK: one thread that posts frames to the loop, and what it counts.

The SDK's side is a `Grabber`. A picture is copied once, out of the SDK's buffer into one of its
own, so that the buffer goes back to the camera at once: handing the buffer itself to the decoder
would let a slow line starve the camera of buffers.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field, model_validator

from agent.core.errors import CaselinkError, Said, TransientError, say
from agent.ports.devices import DeviceCheck
from agent.ports.reading import Frame, Image
from agent.told import told
from drivers.cameras.nodes import NodeConfig

log = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds that a grab waits before it looks whether it shall stop."""
CLOSE = 2.0
FROZEN = 3
"""Pictures with the number of the one before, one after the other, that make a camera frozen."""
FAILING = 20
"""Failed pictures, one after the other, that end a session."""
SOME = 1000
"""Pictures of which one may be lost before a check calls it bad."""
LOG_EVERY = 60.0
AT_ONCE = 0.01
"""Seconds for what is there already; some SDKs take 0 for no limit."""
LEFT = 64
"""Pictures that may still wait when a camera is gone."""
_WRAP = 65_535


class GrabberConfig(NodeConfig):
    """`queue` frames wait for the line; when it is full, the oldest is lost and the gap in the
    counters shows it. `buffers` are the SDK's. The camera must start within `open_s`; while no
    picture comes it is asked every `alive_s` whether it is still there (0: never). With
    `trigger = "software"` we fire every `interval_s` seconds, or only when asked (None), and a
    picture must come within `answer_s`. `stamps = false` drops the camera's time, for a model that
    stamps anything but the exposure."""

    queue: int = Field(8, ge=1, le=256)
    buffers: int = Field(16, ge=2, le=256)
    open_s: float = Field(8.0, gt=0, le=60)
    alive_s: float = Field(1.0, ge=0, le=3600)
    interval_s: float | None = Field(None, ge=0.001, le=3600)
    answer_s: float = Field(1.0, gt=0, le=60)
    stamps: bool = True

    @model_validator(mode="after")
    def _check_interval(self) -> "GrabberConfig":
        if self.interval_s is not None and self.trigger != "software":
            raise ValueError('interval_s needs trigger = "software": nobody else is fired by us')
        return self


@dataclass(frozen=True, slots=True)
class Grabbed:
    """What the SDK gave for one exposure: a picture, or `why` there is none. `number` is 1 for the
    camera's first since acquisition began, None where the SDK does not say which one failed;
    `taken` the camera's own time in seconds or None."""

    number: int | None
    image: Image | None
    taken: float | None = None
    why: str = ""


class Grabber(Protocol):
    """One session with an SDK. All but `trigger` are called in the camera's thread, one at a
    time."""

    def start(self) -> None:
        """Find, open and set up the camera, and begin. TransientError or ConfigError."""

    def grab(self, timeout: float) -> Grabbed | None:
        """What came within `timeout` s; TransientError when the camera is gone."""

    def alive(self) -> None:
        """Ask the camera anything; TransientError when it does not answer."""

    def trigger(self, timeout: float) -> None:
        """Fire once, when it is ready within `timeout` s; TransientError when it is not."""

    def stop(self) -> None:
        """Let go of the camera, whatever state it is in; never raises."""


class BlockIds:
    """A camera's own numbers to a count that never wraps. GigE Vision 1 counts 16 bits and leaves
    out 0, all others 64 bits from 0 (`from_zero`)."""

    def __init__(self, *, from_zero: bool) -> None:
        self._from_zero = from_zero
        self._last = 0
        self._wraps = 0

    def number(self, block_id: int) -> int:
        """1 for the camera's first; a camera that starts anew counts from 1 again."""
        if self._from_zero:
            return block_id + 1
        if self._last > _WRAP - 4096 and 0 < block_id < 4096 and self._last <= _WRAP:
            self._wraps += 1
        elif block_id < self._last:
            self._wraps = 0
        self._last = block_id
        return block_id + self._wraps * _WRAP


class GrabbedCamera:
    """ports.FrameSource over a `Grabber`. Counted since the agent started: `taken` pictures, and
    those that are none of the line's: `missed` (numbers that
    never came), `failed` (came damaged), `repeated` (the same number again), `dropped` (found the
    queue full)."""

    def __init__(
        self, name: str, config: GrabberConfig, make: Callable[[], Grabber], address: Said
    ) -> None:
        self.name = name
        self.taken = self.missed = self.failed = self.repeated = self.dropped = 0
        self._config = config
        self._make = make
        self._address = address
        self._session: _Session | None = None
        self._stuck: threading.Thread | None = None
        self._logged = float("-inf")

    async def open(self) -> None:
        """Open and set up the camera. TransientError when it is not there within `open_s`,
        ConfigError when it does not take its settings."""
        if self._stuck is not None and self._stuck.is_alive():
            raise TransientError(*told("camera_stuck", name=self.name, who=self._address))
        self._stuck = None
        session = _Session(self, self._config, self._make(), asyncio.get_running_loop())
        self._session = session
        session.thread.start()
        try:
            async with asyncio.timeout(self._config.open_s):
                await session.started
        except TimeoutError:
            await self.close()
            raise TransientError(
                *told(
                    "camera_not_started",
                    name=self.name,
                    who=self._address,
                    s=f"{self._config.open_s:g}",
                )
            ) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the camera; waits at most 2 s for an SDK that does not come back."""
        session, self._session = self._session, None
        if session is None:
            return
        session.stopping.set()
        await asyncio.to_thread(session.thread.join, CLOSE)
        if session.thread.is_alive():
            self._stuck = session.thread

    async def next_frame(self, timeout: float) -> Frame | None:
        """The next frame, None when none came within `timeout` s. TransientError once the camera
        is lost, frozen, or fails at every picture (after the frames that came before)."""
        session = self._opened()
        deadline = time.monotonic() + timeout
        while (frame := session.take()) is None:
            if session.error is not None:
                raise session.error
            session.arrived.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await session.arrived.wait()
            except TimeoutError:
                return None
        return frame

    async def trigger(self) -> None:
        """Take one picture (`trigger = "software"`). TransientError when the camera does not."""
        session = self._opened()
        await asyncio.to_thread(session.fire)

    async def check(self) -> Sequence[DeviceCheck]:
        """What became of its pictures; see ports.Checked."""
        lost = (
            (self.missed, "pictures_missed"),
            (self.failed, "pictures_damaged"),
            (self.repeated, "pictures_repeated"),
            (self.dropped, "pictures_dropped"),
        )
        every = self.taken + self.missed + self.failed
        found = [
            DeviceCheck(many * SOME <= every, say(what, many=many, every=every))
            for many, what in lost
            if many
        ]
        return found or [DeviceCheck(True, say("pictures_whole", every=every))]

    async def fire(self) -> bool:
        """`trigger`, where the config says `trigger = "software"`; see ports.Fired."""
        if self._config.trigger == "software":
            await self.trigger()
        return self._config.trigger == "software"

    @property
    def waiting(self) -> int:
        """Frames that wait for the line."""
        return len(self._session.frames) if self._session is not None else 0

    def _opened(self) -> "_Session":
        if self._session is None:
            raise TransientError(*told("camera_closed", name=self.name))
        return self._session

    def complain(self, what: str, remedy: str) -> None:
        """Say that pictures are lost, at most once a minute; in the camera's thread."""
        now = time.monotonic()
        if now - self._logged < LOG_EVERY:
            return
        self._logged = now
        log.warning(
            "camera %s: %s (so far %d missed, %d failed, %d repeated, %d dropped); %s",
            self.name,
            what,
            self.missed,
            self.failed,
            self.repeated,
            self.dropped,
            remedy,
        )


class _Session:
    """One session and its thread. The loop sees `started`, `arrived`, `frames`, `error`."""

    def __init__(
        self,
        camera: GrabbedCamera,
        config: GrabberConfig,
        grabber: Grabber,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.thread = threading.Thread(target=self._run, name=f"camera-{camera.name}", daemon=True)
        self.started: asyncio.Future[None] = loop.create_future()
        self.arrived = asyncio.Event()
        self.stopping = threading.Event()
        self.frames: deque[Frame] = deque()
        self.error: CaselinkError | None = None
        self._camera = camera
        self._config = config
        self._grabber = grabber
        self._loop = loop
        self._last = 0
        self._heard = 0.0
        self._in_row = 0  # repeated or failed ones, one after the other
        self._unnumbered = 0  # failed ones whose number we do not know
        self._fired: float | None = None
        self._next_fire = 0.0

    def take(self) -> Frame | None:
        """The oldest frame that waits."""
        try:
            return self.frames.popleft()
        except IndexError:
            return None

    def fire(self) -> None:
        """Take one picture; in any thread."""
        self._grabber.trigger(self._config.answer_s)
        if self._fired is None:
            self._fired = time.monotonic()

    def _run(self) -> None:
        error: CaselinkError | None = None
        try:
            self._grabber.start()
            self._heard = time.monotonic()
            self._tell(self._settle, None)
            while not self.stopping.is_set():
                self._turn()
        except CaselinkError as lost:
            error = lost
        finally:
            self._grabber.stop()
            self.error = error or TransientError(*told("camera_ended", name=self._camera.name))
            self._tell(self._settle, self.error)
            self._tell(self.arrived.set)

    def _turn(self) -> None:
        """One look at the camera."""
        config, now = self._config, time.monotonic()
        wait = LOOK
        if config.trigger == "software" and config.interval_s is not None:
            if now >= self._next_fire:
                self._next_fire = now + config.interval_s
                self.fire()
            wait = min(wait, config.interval_s)
        grabbed = self._grabber.grab(wait)
        now = time.monotonic()
        if grabbed is not None:
            self._heard, self._fired = now, None
            self._count(grabbed, now)
        elif self._fired is not None and now - self._fired > config.answer_s:
            raise TransientError(
                *told("camera_no_answer", name=self._camera.name, s=f"{config.answer_s:g}")
            )
        elif config.alive_s and now - self._heard > config.alive_s:
            self._look_for_it(now)
            self._heard = now

    def _look_for_it(self, now: float) -> None:
        try:
            self._grabber.alive()
        except CaselinkError:
            # Pictures that it took before it went may still wait: their items are on the belt.
            for _ in range(LEFT):
                grabbed = self._grabber.grab(AT_ONCE)
                if grabbed is None:
                    break
                self._count(grabbed, now)
            raise

    def _count(self, grabbed: Grabbed, now: float) -> None:
        camera, number = self._camera, grabbed.number
        if number is not None and number == self._last:
            self._repeat(number)
            return
        if number is not None:
            self._note_gap(number)
        if grabbed.image is None:
            camera.failed += 1
            self._unnumbered += number is None
            self._in_row += 1
            self._failing(grabbed.why)
            return
        assert number is not None
        self._in_row = 0
        camera.taken += 1
        while len(self.frames) >= self._config.queue:
            if self.take() is None:
                break
            camera.dropped += 1
            camera.complain(
                f"a picture was thrown away, because {self._config.queue} others wait for the line",
                "use a smaller region or more vision threads",
            )
        taken = grabbed.taken if self._config.stamps else None
        self.frames.append(Frame(grabbed.image, number, taken, now))
        self._tell(self.arrived.set)

    def _note_gap(self, number: int) -> None:
        # What came before a session's first is not known: some count from 0 and some from 1.
        gap = number - self._last - 1 if 0 < self._last < number else 0
        lost = max(0, gap - self._unnumbered)
        self._unnumbered = 0
        self._last = number
        if lost:
            self._camera.missed += lost
            self._camera.complain(
                f"{lost} pictures before number {number} never came",
                "check the cable, the network's packet size, and that no other traffic shares it",
            )

    def _repeat(self, number: int) -> None:
        self._camera.repeated += 1
        self._in_row += 1
        self._camera.complain(f"picture {number} came again", "switch the camera off and on")
        if self._in_row >= FROZEN:
            raise TransientError(
                *told("camera_frozen", name=self._camera.name, number=number, times=self._in_row)
            )

    def _failing(self, why: str) -> None:
        self._camera.complain(
            f"a picture came damaged ({why})",
            "check the cable, the network's packet size and its load",
        )
        if self._in_row >= FAILING:
            raise TransientError(
                *told("camera_damaged", name=self._camera.name, many=self._in_row, why=why)
            )

    def _settle(self, error: CaselinkError | None) -> None:
        if self.started.done():
            return
        if error is None:
            self.started.set_result(None)
        else:
            self.started.set_exception(error)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        """Call in the loop; nothing if the loop has ended in the meantime."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *values)
