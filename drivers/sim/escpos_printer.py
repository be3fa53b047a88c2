"""A simulated receipt printer that speaks ESC/POS; its own understanding of the language.

DLE EOT, DLE ENQ and DLE DC4 count at once and anywhere, even amid the bytes of a picture: that is
what makes such bytes dangerous. A label is what was drawn when the paper is cut, or when it is
asked whether all is printed. `EscposServer` and `EscposPty` put it on a socket or a pty; times come
from a passed clock.
"""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from drivers.sim.label_paper import LabelPaper, PaperBench, Picture
from drivers.sim.serve import Conversation, PtyAdapter, TcpAdapter

MAX_BUFFER = 4_000_000
DLE = 0x10
CLEAR = bytes((1, 3, 0x14, 1, 6, 2, 8))


class EscposPrinter(LabelPaper):
    """The device. With `process_id` it answers `GS ( H` 48, as Epson's do; without, it prints what
    it does not know as text. `typed` is text that was printed, `real_time` the real-time commands
    besides questions. `say` takes what it says later than it was asked."""

    def __init__(
        self, *, print_time: float = 0.2, process_id: bool = True, dots: int = 576
    ) -> None:
        super().__init__(print_time=print_time)
        self.process_id = process_id
        self.dots = dots
        self.paper_low = False
        self.typed = b""
        self.real_time: list[bytes] = []
        self.say: Callable[[bytes], None] = lambda data: None
        self.rows: list[Picture] = []

    def raster(self, wide: int, data: bytes) -> None:
        """Rows of dots, `wide` bytes each, a set bit is black."""
        dots = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, wide), axis=1)
        paper = np.full((dots.shape[0], self.dots), 255, np.uint8)
        paper[:, : dots.shape[1]][dots[:, : self.dots] == 1] = 0
        self.rows.append(paper)

    def finish(self, now: float) -> None:
        """The paper is cut, or somebody waits for what was drawn."""
        if self.rows:
            picture = np.concatenate(self.rows)
            self.rows.clear()
            self.add(picture, now)

    def ask(self, answer: bytes, now: float) -> None:
        """Say this when all that came before is printed."""
        self.finish(now)
        if self.queue:
            picture, mark = self.queue.pop()
            self.queue.append((picture, mark + answer))
        else:
            self.say(answer)

    def came_out(self, mark: bytes) -> None:
        if mark:
            self.say(mark)

    def cancel(self) -> None:
        super().cancel()
        self.rows.clear()

    def state(self, which: int, now: float) -> int:
        """The answer to DLE EOT `which`."""
        self.advance(now)
        out, open_, cut = (key in self.faults for key in ("paper_out", "cover_open", "cutter"))
        offline = bool(self.faults) or self.paused
        if which == 1:
            return 0x12 | 0x08 * offline
        if which == 2:
            return 0x12 | 0x04 * open_ | 0x20 * out | 0x40 * cut
        if which == 3:
            return 0x12 | 0x08 * cut
        return 0x12 | 0x60 * out | 0x0C * (self.paper_low or out)


class EscposTalk:
    """One client's dialogue with the printer."""

    def __init__(self, printer: EscposPrinter, clock: Callable[[], float]) -> None:
        self._printer = printer
        self._clock = clock
        self._held = b""  # may be the begin of a real-time command
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Answers to real-time commands; `printer.say` gives the others in their time."""
        answers = bytearray()
        data = self._held + data
        at = 0
        while at < len(data):
            if data[at] != DLE:
                # Up to the next DLE all is data.
                end = data.find(DLE, at)
                end = len(data) if end < 0 else end
                self._buffer += data[at:end]
                at = end
                continue
            size = self._real_time(data[at : at + 10], answers)
            if size == 0:
                break
            if size < 0:
                self._buffer.append(DLE)
            at += abs(size)
        self._held = data[at:]
        self._work()
        return bytes(answers)

    def _real_time(self, head: bytes, answers: bytearray) -> int:
        """How many bytes a real-time command takes; 0 = more are needed, -1 = it is none."""
        printer, kind = self._printer, head[1:2]
        if not kind:
            return 0
        if kind == b"\x04":
            if len(head) < 3:
                return 0
            self._work()
            answers.append(printer.state(head[2], self._clock()))
            return 3
        if kind == b"\x05":
            printer.real_time.append(head[:3])
            return 3
        if kind == b"\x14":
            if len(head) < 3 or (head[2] == 8 and len(head) < 10):
                return 0
            printer.real_time.append(head[:3])
            if head[2] != 8:
                return 5
            if head[3:] == CLEAR:
                self._buffer.clear()
                printer.cancel()
                answers += b"\x37\x25\x00"
            return 10
        return -1

    def _work(self) -> None:
        """Carry out what is complete."""
        del self._buffer[:-MAX_BUFFER]
        while self._buffer and (size := self._step()) > 0:
            del self._buffer[:size]

    def _step(self) -> int:
        """How many bytes the next command takes; 0 = more are needed."""
        printer, buffer = self._printer, self._buffer
        head = bytes(buffer[:8])
        match head[:2]:
            case b"\x1b@":
                printer.rows.clear()
                return 2
            case b"\x1dv":
                if len(head) < 8:
                    return 0
                wide = int.from_bytes(head[4:6], "little")
                size = 8 + wide * int.from_bytes(head[6:8], "little")
                if len(buffer) < size:
                    return 0
                if wide:
                    printer.raster(wide, bytes(buffer[8:size]))
                return size
            case b"\x1dV":
                size = 4 if head[2:3] in (b"A", b"B") else 3
                if len(head) < size:
                    return 0
                printer.finish(self._clock())
                return size
            case b"\x1dr":
                if len(head) < 3:
                    return 0
                printer.ask(b"\x00", self._clock())
                return 3
            case b"\x1d(" if printer.process_id:
                if len(head) < 5:
                    return 0
                size = 5 + int.from_bytes(head[3:5], "little")
                if len(buffer) < size:
                    return 0
                if head[2:7] == b"H\x06\x0000":
                    printer.ask(b"\x37\x22" + bytes(buffer[7:11]) + b"\x00", self._clock())
                return size
            case b"\x1b" | b"\x1d":
                return 0
        if head[:1] == b"\x1b":
            return min(len(head), 3)
        printer.typed += head[:1]
        return 1


class EscposServer(TcpAdapter):
    """The printer on a TCP socket."""

    def __init__(
        self, printer: EscposPrinter, clock: Callable[[], float], *, port: int = 0
    ) -> None:
        def talk() -> Conversation:
            return EscposTalk(printer, clock)

        super().__init__(talk, port=port)
        _speaks(printer, clock, self.push)


class EscposPty(PtyAdapter):
    """The printer on a serial line."""

    def __init__(self, printer: EscposPrinter, clock: Callable[[], float]) -> None:
        super().__init__(lambda: EscposTalk(printer, clock))
        _speaks(printer, clock, self.push)


def _speaks(
    printer: EscposPrinter, clock: Callable[[], float], push: Callable[[bytes], None]
) -> None:
    """It says of itself what it says, without being asked again."""

    def say(data: bytes) -> None:
        # After what is being answered just now.
        asyncio.get_running_loop().call_soon(push, data)

    def later(seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds + 0.001, lambda: printer.advance(clock()))

    printer.say, printer.later = say, later


class EscposBench(PaperBench):
    """A receipt printer that says which label it has printed, proven."""

    type = "escpos"
    process_id = True

    def __init__(self) -> None:
        printer = EscposPrinter(print_time=0.002, process_id=self.process_id)
        super().__init__(printer, EscposServer(printer, time.monotonic))


class EscposPlainBench(EscposBench):
    """The same, of a make that has no process ID."""

    process_id = False
