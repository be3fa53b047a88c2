"""Worker threads that decode under a deadline; the reader gives the interpreter lock back.

The line shell awaits a result here and has it at the deadline, whatever the threads do.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.ports.reading import Decoded, Image
from agent.vision.cascade import decode
from agent.vision.multiread import CellReads, decode_cells, nothing_read
from agent.vision.region import Track
from agent.vision.second import SecondOpinion
from agent.vision.settings import DecodeSettings

__all__ = ["DecodeSettings", "StationDecoder", "VisionWorkers"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], Any]
    deadline: float
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


class VisionWorkers:
    """A few threads for all stations of the agent.

    `threads` is how many frames are decoded at once, `waiting` how many more may wait. A job that
    finds the queue full, whose deadline passes in the queue, or that is still being decoded at
    its deadline is answered late and empty.
    """

    def __init__(self, threads: int, waiting: int = 64) -> None:
        if threads < 1 or waiting < 1:
            raise ValueError("at least one thread and one waiting place")
        self._jobs: queue.Queue[_Job] = queue.Queue(waiting)
        # Its process begins with the first frame that no other attempt reads.
        self._second = SecondOpinion()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"vision-{n}", daemon=True)
            for n in range(threads)
        ]
        # One job at a time that nobody waits for; it has a thread of its own, so that no decode
        # ever waits for it.
        self._spare: queue.Queue[tuple[Callable[[], Any], Callable[[Any], object]]] = queue.Queue(1)
        self._resting = threading.Event()
        self._resting.set()
        self._threads.append(threading.Thread(target=self._idle, name="vision-spare", daemon=True))
        for thread in self._threads:
            thread.start()

    async def decode(
        self, station: DecodeSettings, image: Image, deadline: float, track: Track | None = None
    ) -> Decoded:
        """One symbol of the station's region (cascade.decode), which follows it if there is a
        `track`. Never raises for any picture."""
        started = time.monotonic()
        one = decode if track is None else track.decode
        second = self._second
        result = await self._run(lambda: one(image, station, deadline, second=second), deadline)
        return result or Decoded((), time.monotonic() - started, late=True)

    async def decode_cells(
        self, station: DecodeSettings, image: Image, deadline: float
    ) -> CellReads:
        """The station's grid (multiread.decode_cells). Never raises for any picture."""
        started = time.monotonic()
        result = await self._run(lambda: decode_cells(image, station, deadline), deadline)
        return result or nothing_read(station, time.monotonic() - started, late=True)

    def offer(self, work: Callable[[], _T], done: Callable[[_T], object]) -> bool:
        """Do something that can as well be left out, when there is nothing else to do; `done` gets
        the result in that thread. False: frames wait or such work is under way, so it is not done.
        """
        if self._closing.is_set() or not self._resting.is_set() or not self._jobs.empty():
            return False
        self._resting.clear()
        self._spare.put_nowait((work, done))
        return True

    async def answers(self, timeout: float) -> bool:
        """Whether a thread is free, or becomes so within `timeout` s."""
        return bool(await self._run(lambda: True, time.monotonic() + timeout))

    async def close(self, timeout: float = 2.0) -> None:
        """Take no more jobs, answer the waiting ones late, end the threads within `timeout` s."""
        self._closing.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))
        await asyncio.to_thread(self._second.close)
        stuck = sum(thread.is_alive() for thread in self._threads)
        if stuck:
            log.warning(
                "%d vision threads are still decoding %.1f s after the stop; they end with the "
                "process. Set a region for the station if frames take that long.",
                stuck,
                timeout,
            )

    async def _run(self, work: Callable[[], _T], deadline: float) -> _T | None:
        """The work's result, or None when it is late."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T | None] = loop.create_future()
        if self._closing.is_set():
            return None
        try:
            self._jobs.put_nowait(_Job(work, deadline, loop, answer))
        except queue.Full:
            return None
        # Not wait_for: a result and the deadline in the same moment must not lose the result.
        alarm = loop.call_at(loop.time() + deadline - time.monotonic(), _settle, answer, None)
        try:
            return await answer
        finally:
            alarm.cancel()

    def _idle(self) -> None:
        """The thread of what is offered."""
        while not self._closing.is_set():
            try:
                work, done = self._spare.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                result = work()
            finally:
                self._resting.set()
            try:
                done(result)
            except RuntimeError:
                # The loop has ended in the meantime: nobody wants to know.
                log.debug("an offered result had no one left to take it")

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=0.2)
            except queue.Empty:
                if self._closing.is_set():
                    return
                continue
            late = self._closing.is_set() or time.monotonic() >= job.deadline
            result = None if late else job.work()
            try:
                job.loop.call_soon_threadsafe(_settle, job.answer, result)
            except RuntimeError:
                # The loop has ended in the meantime: nobody waits for this answer any more.
                log.debug("a decoded frame had no one left to take it")


class StationDecoder:
    """A FrameDecoder (agent.ports) for one station."""

    def __init__(self, workers: VisionWorkers, settings: DecodeSettings) -> None:
        self._workers = workers
        self.settings = settings
        self._track = Track()

    async def decode(self, image: Image, deadline: float) -> Decoded:
        """Read the symbol of a frame; `deadline` is a time.monotonic() value."""
        return await self._workers.decode(self.settings, image, deadline, self._track)

    async def decode_cells(self, image: Image, deadline: float) -> CellReads:
        """Read the grid of a frame; `deadline` is a time.monotonic() value."""
        return await self._workers.decode_cells(self.settings, image, deadline)


def _settle(answer: "asyncio.Future[Any]", result: Any) -> None:
    if not answer.done():
        answer.set_result(result)
