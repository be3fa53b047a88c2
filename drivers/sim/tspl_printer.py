"""A simulated label printer that speaks TSPL; its own understanding of the language.

`<ESC>!` and `~!` commands count at once and anywhere, even amid the bytes of a picture: that is
what makes such bytes dangerous. `TsplServer` and `TsplPty` put it on a socket or a pty; times come
from a passed clock.
"""

import re
import time
from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from drivers.sim.label_paper import LabelPaper, PaperBench, Picture
from drivers.sim.serve import Conversation, PtyAdapter, TcpAdapter

MAX_LINE = 4096
MAX_SIDE = 20_000
_NUMBER = r"(\d+(?:\.\d+)?)"
_SIZE = re.compile(rf"SIZE {_NUMBER} mm,{_NUMBER} mm")
_BITMAP = re.compile(rb"BITMAP (\d{1,5}),(\d{1,5}),(\d{1,4}),(\d{1,5}),([012]),")
_PRINT = re.compile(r"PRINT (\d{1,3})(?:,(\d{1,3}))?")


class TsplPrinter(LabelPaper):
    """The device. With `full` it answers `<ESC>!S`; every one answers `<ESC>!?`. `commands` are the
    names of what it was sent, `immediate` the immediate ones besides questions."""

    def __init__(
        self, *, print_time: float = 0.2, full: bool = True, dots_per_mm: float = 8
    ) -> None:
        super().__init__(print_time=print_time)
        self.full = full
        self.dots_per_mm = dots_per_mm
        self.commands: list[str] = []
        self.immediate: list[bytes] = []
        self._canvas: Picture = np.full((0, 0), 255, np.uint8)

    def command(self, line: str, now: float) -> None:
        """A command line other than BITMAP arrived."""
        name = line.split(" ")[0].split(",")[0]
        self.commands.append(name)
        if (size := _SIZE.fullmatch(line)) is not None:
            wide, high = (round(float(side) * self.dots_per_mm) for side in size.groups())
            if wide <= MAX_SIDE and high <= MAX_SIDE:
                self._canvas = np.full((high, wide), 255, np.uint8)
        elif name == "CLS":
            self._canvas = np.full_like(self._canvas, 255)
        elif (copies := _PRINT.fullmatch(line)) is not None:
            for _ in range(int(copies[1]) * int(copies[2] or 1)):
                self.add(self._canvas.copy(), now)

    def bitmap(self, x: int, y: int, wide: int, mode: int, data: bytes) -> None:
        """A picture arrived, `wide` bytes a row, a set bit is white."""
        self.commands.append("BITMAP")
        dots = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, wide), axis=1) * 255
        place = self._canvas[y : y + dots.shape[0], x : x + dots.shape[1]]
        seen = dots[: place.shape[0], : place.shape[1]]
        place[:] = seen if mode == 0 else place & seen if mode == 1 else ~(place ^ seen)

    def now(self, command: bytes, now: float) -> bytes:
        """An immediate command arrived: what it answers."""
        self.advance(now)
        if command == b"\x1b!S":
            return self._status() if self.full else b""
        if command == b"\x1b!?":
            return bytes([self._bits()])
        self.immediate.append(command)
        if command in (b"\x1b!.", b"\x1b!R"):
            self.cancel()
        elif command in (b"\x1b!P", b"\x1b!O"):
            self.paused = command == b"\x1b!P"
            self.advance(now)
        return b""

    def _bits(self) -> int:
        bits = {"head_open": 1, "paper_jam": 2, "paper_out": 4, "ribbon_out": 8}
        known = sum(bits.get(fault, 0x80) for fault in self.faults)
        return known | 0x10 * self.paused | 0x20 * bool(self.printing)

    def _status(self) -> bytes:
        message = "E" if self.faults else "`" if self.paused else "P" if self.printing else "@"
        errors = {"paper_out": 1, "paper_jam": 2, "ribbon_out": 4, "head_open": 0x20}
        low = sum(errors.get(fault, 0) for fault in self.faults)
        return b"\x02" + message.encode() + bytes([0x40, 0x40, 0x40 | low]) + b"\x03\r\n"


class TsplTalk:
    """One client's dialogue with the printer."""

    def __init__(self, printer: TsplPrinter, clock: Callable[[], float]) -> None:
        self._printer = printer
        self._clock = clock
        self._held = b""  # may be the begin of an immediate command
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Answers to what became complete."""
        answers = bytearray()
        data = self._held + data
        at = 0
        while at < len(data):
            head = data[at : at + 3]
            if head[:1] in (b"\x1b", b"~") and head[1:2] in (b"!", b"") and len(head) < 3:
                break
            if head[:2] in (b"\x1b!", b"~!"):
                self._work()
                answers += self._printer.now(head, self._clock())
                at += 3
            else:
                self._buffer.append(data[at])
                at += 1
        self._held = data[at:]
        self._work()
        return bytes(answers)

    def _work(self) -> None:
        """Carry out what is complete."""
        while self._buffer:
            picture = _BITMAP.match(self._buffer)
            if picture is not None:
                x, y, wide, high, mode = (int(number) for number in picture.groups())
                end = picture.end() + wide * high
                if len(self._buffer) < end + 2:
                    return
                self._printer.bitmap(x, y, wide, mode, bytes(self._buffer[picture.end() : end]))
                del self._buffer[: end + 2]
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > MAX_LINE and not self._buffer.startswith(b"BITMAP"):
                    self._buffer.clear()
                return
            line = bytes(self._buffer[:end]).rstrip(b"\r").decode("latin-1")
            del self._buffer[: end + 1]
            if line:
                self._printer.command(line, self._clock())


class TsplServer(TcpAdapter):
    """The printer on a TCP socket."""

    def __init__(self, printer: TsplPrinter, clock: Callable[[], float], *, port: int = 0) -> None:
        def talk() -> Conversation:
            return TsplTalk(printer, clock)

        super().__init__(talk, port=port)


class TsplPty(PtyAdapter):
    """The printer on a serial line."""

    def __init__(self, printer: TsplPrinter, clock: Callable[[], float]) -> None:
        super().__init__(lambda: TsplTalk(printer, clock))


class TsplBench(PaperBench):
    """A label printer that was told nothing of how many it has printed, proven."""

    type = "tspl"
    more = MappingProxyType({"settle": 0.05})
    full = True

    def __init__(self) -> None:
        printer = TsplPrinter(print_time=0.002, full=self.full)
        super().__init__(printer, TsplServer(printer, time.monotonic))


class TsplCloneBench(TsplBench):
    """The same, a clone that answers `<ESC>!?` only."""

    full = False
