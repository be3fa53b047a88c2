"""A second opinion: ZBar in a process of its own, asked last and never waited for.

ZBar is an independent reader of bar codes and QR codes, and a witness that shares no mistake with
the first one. A double free and an endless loop are reported of it, so it runs in a child with a
memory cap (second_child.py): what it does to itself is not our trouble. It is asked under the
item's deadline; a child that has not answered then is busy until it does, is killed after
PATIENCE, and is started again after a growing pause.
"""

import json
import logging
import mmap
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from agent.ports.reading import Image, Read
from agent.vision.formats import FORM

log = logging.getLogger(__name__)

MOST_PIXELS = 4_000_000
"""A larger picture is shown smaller."""

PATIENCE = 3.0
"""Seconds after which a child that does not answer is killed."""

MEMORY = 512 << 20
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 60.0
_MOST_ANSWER = 200_000
_OFF = {
    3: "pyzbar or the library it needs is not installed (Debian: apt install libzbar0)",
    4: "the memory of its process may not be capped (setrlimit is denied); allow it in the unit",
}
"""Exit statuses of second_child after which it is not started again."""
_REQUEST = struct.Struct("<5I")
_ANSWER = struct.Struct("<2I")

SYMBOLS: Final = MappingProxyType(
    {
        "QRCode": (0b1, ""),
        "Code128": (0b10, ""),
        "EAN13": (0b100, "]E0"),
        "EAN8": (0b1000, "]E4"),
        "ITF14": (0b10000, "]I1"),
        "DataBar": (0b1100000, "]e0"),
    }
)
"""What it is asked for per symbology (bits of second_child.SYMBOLS), and the AIM identifier: empty
where it does not say whether a symbol carries GS1 data."""


@dataclass(slots=True)
class _Child:
    process: "subprocess.Popen[bytes]"
    out: int
    """What it says, as a file descriptor that never blocks."""
    ready: bool = False
    asked: int = 0
    """Number of the request that it has not answered, 0 when there is none."""
    since: float = 0.0
    heard: bytearray = field(default_factory=bytearray)


class SecondOpinion:
    """One child for all worker threads; a thread that finds it busy goes without.

    `program` is what is started; `memory` caps the child's address space in bytes, `size` the
    pixels that it is shown; after `patience` s without an answer it is killed, and after `pause` s
    started again, which doubles each time until it has answered.
    """

    def __init__(
        self,
        program: Sequence[str] | None = None,
        memory: int = MEMORY,
        size: int = MOST_PIXELS,
        patience: float = PATIENCE,
        pause: float = _FIRST_PAUSE,
    ) -> None:
        self._program = tuple(program or (sys.executable, "-I", str(_CHILD)))
        self._memory = memory
        self._size = size
        self._lock = threading.Lock()
        self._file = -1
        self._shared: mmap.mmap | None = None
        self._child: _Child | None = None
        self._number = 0
        self._patience = patience
        self._first_pause = self._pause = pause
        self._not_before = 0.0
        self._closed = False
        self.absent = False
        """Whether it cannot be had on this machine; the log says once why."""
        self.starts = 0
        """How often a child was started."""

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        child = self._child
        return None if child is None else child.process.pid

    def read(self, image: Image, symbology: str, deadline: float) -> Read | None:
        """What it reads in the picture by `deadline` (time.monotonic()), corners in its pixels.

        None when it reads nothing, is busy, is not there, or does not answer. Never raises for
        any picture."""
        if symbology not in SYMBOLS or self.absent or self._closed:
            return None
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return None
        try:
            return self._ask(image, symbology, deadline)
        except OSError as error:
            self._lost(f"failed ({error})")
            return None
        finally:
            self._lock.release()

    def warm(self, timeout: float) -> bool:
        """Start the child, and say whether it is ready within `timeout` s."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while not self.absent and not self._closed:
                if self._usable(time.monotonic()):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                child = self._child
                select.select([] if child is None else [child.out], [], [], min(left, 0.05))
        return False

    def close(self) -> None:
        """End the child for good."""
        with self._lock:
            self._closed = True
            self._end()
            if self._shared is not None:
                self._shared.close()
                os.close(self._file)
                self._shared = None

    # ---------------------------------------------------------------------- inside the lock

    def _ask(self, image: Image, symbology: str, deadline: float) -> Read | None:
        if not self._usable(time.monotonic()):
            return None
        child, shared = self._child, self._shared
        assert child is not None
        assert shared is not None
        height, width = image.shape
        scale = min(1.0, (self._size / (width * height)) ** 0.5)
        if scale < 1:
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            height, width = image.shape
        np.frombuffer(shared, np.uint8)[: width * height].reshape(height, width)[:] = image
        wanted, identifier = SYMBOLS[symbology]
        self._number = self._number % 1_000_000_000 + 1
        child.asked, child.since = self._number, time.monotonic()
        assert child.process.stdin is not None
        child.process.stdin.write(_REQUEST.pack(child.asked, width, height, wanted, 0))
        said = self._answer(child, deadline)
        return None if said is None else _first(said, symbology, identifier, scale)

    def _usable(self, now: float) -> bool:
        """Whether a child is there and free; starts one if it is time."""
        child = self._child
        if child is None:
            if now >= self._not_before:
                self._start()
            return False
        self._hear(child)
        if child.asked:
            self._take(child)  # what came too late is for nobody
        if self._child is not child:
            return False
        if child.asked and now - child.since > self._patience:
            self._lost(f"did not answer for {self._patience:.1f} s")
            return False
        return child.ready and not child.asked

    def _start(self) -> None:
        if self._shared is None:
            self._file = os.memfd_create("second-opinion")
            os.ftruncate(self._file, self._size)
            self._shared = mmap.mmap(self._file, self._size)
        self.starts += 1
        self._not_before = time.monotonic() + self._pause
        process = subprocess.Popen(
            [*self._program, str(self._file), str(self._size), str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(self._file,),
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._child = _Child(process, process.stdout.fileno())

    def _answer(self, child: _Child, deadline: float) -> bytes | None:
        """The answer to the request that was just made, None when it is not there in time."""
        while True:
            said = self._take(child)
            if said is not None:
                self._pause = self._first_pause
                return said
            left = deadline - time.monotonic()
            if left <= 0 or self._child is not child:
                return None
            select.select([child.out], [], [], left)
            self._hear(child)

    def _hear(self, child: _Child) -> None:
        """Take what has come, and notice the child's end."""
        while True:
            try:
                data = os.read(child.out, 65_536)
            except BlockingIOError:
                break
            if not data:
                self._ended(child)
                return
            child.heard += data
        if not child.ready and child.heard[:1] == b"R":
            child.ready = True
            del child.heard[:1]
        if len(child.heard) > _MOST_ANSWER:
            self._lost("answered too much")

    def _take(self, child: _Child) -> bytes | None:
        """The whole answer to the open request, once it is there."""
        if len(child.heard) < _ANSWER.size:
            return None
        number, length = _ANSWER.unpack_from(child.heard)
        if number != child.asked or length > _MOST_ANSWER:
            self._lost("answered what it was not asked")
            return None
        if len(child.heard) < _ANSWER.size + length:
            return None
        said = bytes(child.heard[_ANSWER.size : _ANSWER.size + length])
        del child.heard[: _ANSWER.size + length]
        child.asked = 0
        return said

    def _ended(self, child: _Child) -> None:
        try:
            status = child.process.wait(0.2)
        except subprocess.TimeoutExpired:
            status = None
        if status in _OFF:
            self.absent = True
            log.warning("The second opinion is off: %s. Codes are read without it.", _OFF[status])
            self._end()
            return
        self._lost("ended" if status is None else f"ended with status {status}")

    def _lost(self, how: str) -> None:
        log.info("the second opinion %s; it is started again in %.1f s", how, self._pause)
        self._end()
        self._not_before = time.monotonic() + self._pause
        self._pause = min(_LAST_PAUSE, self._pause * 2)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.process.kill()
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                pipe.close()
        child.process.wait()


def _first(said: bytes, symbology: str, identifier: str, scale: float) -> Read | None:
    """The only symbol of an answer; with several it is not said which one is meant. Other text
    than ASCII is none: codes of packaging are."""
    try:
        found = json.loads(said)
        read = {
            bytes.fromhex(data): tuple((round(x / scale), round(y / scale)) for x, y in corners)
            for data, corners in found
        }
    except (ValueError, TypeError):
        return None
    if len(read) != 1:
        return None
    ((data, corners),) = read.items()
    if not data.isascii():
        return None  # it guesses the charset of a QR code, and guesses otherwise
    text = data.decode("ascii")
    if symbology in FORM and FORM[symbology].fullmatch(text) is None:
        return None
    return Read(text, identifier, corners, "second", data)


_CHILD = Path(__file__).with_name("second_child.py")
