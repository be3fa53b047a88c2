"""The paper of a simulated printer that is sent dots: what comes out is a picture.

`LabelPaper` is a device's physical side, pure: time comes in as an argument. The symbols of a
printed picture are what zxing-cpp reads from it. `PaperBench` proves the drivers of such printers.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import zxingcpp
from numpy.typing import NDArray

from drivers.sim.proving import Bench
from drivers.sim.serve import TcpAdapter

Picture = NDArray[np.uint8]
"""Dots, height x width: 0 black, 255 blank."""
MAX_QUEUE = 50


@dataclass(frozen=True)
class PrintedPicture:
    """A label that came out, and when."""

    picture: Picture
    at: float

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What a reader gives for its symbols, from top to bottom; GS for an inner FNC1."""
        found = zxingcpp.read_barcodes(self.picture)
        found.sort(key=lambda read: (read.position.top_left.y, read.position.top_left.x))
        return tuple(read.bytes.decode("utf-8", "replace") for read in found)


class LabelPaper:
    """Prints what it was given, one after the other, `print_time` seconds each. A label that a
    fault interrupts is printed anew afterwards. `later` is told in how many seconds to look."""

    def __init__(self, *, print_time: float = 0.2) -> None:
        self.print_time = print_time
        self.faults: set[str] = set()
        self.paused = False
        self.counter = 0
        self.queue: deque[tuple[Picture, bytes]] = deque()
        self.printed: list[PrintedPicture] = []
        self._done_at: float | None = None
        self.later: Callable[[float], None] = lambda seconds: None

    def reboot(self) -> None:
        """Switched off and on: what it had in hand is gone."""
        self.cancel()

    def cancel(self) -> None:
        """Forget what is not printed."""
        self.queue.clear()
        self._done_at = None

    def add(self, picture: Picture, now: float, mark: bytes = b"") -> None:
        """A label to print; `mark` is handed to `came_out` with it."""
        self.advance(now)
        if len(self.queue) < MAX_QUEUE:
            self.queue.append((picture, mark))
            self.later(self.print_time * len(self.queue))
        self.advance(now)

    def advance(self, now: float) -> None:
        """Print what is due by `now`."""
        begin = now
        while self.queue and not self.paused and not self.faults:
            if self._done_at is None:
                self._done_at = begin + self.print_time
            if now < self._done_at:
                return
            picture, mark = self.queue.popleft()
            begin, self._done_at = self._done_at, None
            self.counter += 1
            self.printed.append(PrintedPicture(picture, begin))
            self.came_out(mark)
        self._done_at = None

    def came_out(self, mark: bytes) -> None:
        """Told for each label that came out."""

    @property
    def printing(self) -> bool:
        return self._done_at is not None


class PaperBench(Bench):
    """A printer of dots, proven with a small label of one QR code; `type` is its driver's, `more`
    what else stands in the device section."""

    photocell = False
    type = ""
    more: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, printer: LabelPaper, server: TcpAdapter) -> None:
        super().__init__(server)
        self.printer = printer

    def section(self, address: str) -> Mapping[str, Any]:
        label = {
            "width": 240,
            "height": 240,
            "elements": [{"kind": "qr", "x": 32, "y": 32, "field": "code", "size": 4}],
        }
        return {
            "type": self.type,
            "address": address,
            "labels": {"case": label},
            "reply_timeout": 0.2,
            "print_timeout": 1.0,
            "poll_interval": 0.01,
            "cancel": True,
            **self.more,
        }

    @property
    def printed(self) -> Sequence[str]:
        self.printer.advance(time.monotonic())
        return [label.texts[0] for label in self.printer.printed]

    def trigger(self) -> None:
        self.printer.advance(time.monotonic())

    def reboot(self) -> None:
        self.printer.reboot()
