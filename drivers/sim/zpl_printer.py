"""A simulated label printer that speaks ZPL II and puts labels on an applicator's pad.

`ZplPrinter` is the device, pure: time comes in as an argument. `ZplTalk` answers one client with
times from a passed clock, which must be the clock of `fire(now)`. `ZplServer` and `ZplPty` put it
on a socket or a pty.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.sim.proving import Bench
from drivers.sim.serve import Conversation, PtyAdapter, TcpAdapter
from drivers.sim.zpl_parse import (
    Format,
    GetVar,
    Immediate,
    LabelField,
    PrintedSymbol,
    Splitter,
    fields_of,
    fill,
    symbols_of,
)

MAX_FORMATS = 50
MEDIA_FAULTS = frozenset({"paper_out", "ribbon_out", "head_open"})
ODOMETER = "odometer.total_label_count"


@dataclass(frozen=True, slots=True)
class PrintedLabel:
    """A label that came out, and when."""

    symbols: tuple[PrintedSymbol, ...]
    at: float

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(symbol.text for symbol in self.symbols)


class ZplPrinter:
    """The device. `print_time` is seconds a label takes. With `peel` it waits with the next label
    until the last one was taken. With `mute_on_media` it does not answer `~HS` while paper or
    ribbon is out or the head open, as the manual warns."""

    def __init__(
        self,
        *,
        print_time: float = 0.2,
        peel: bool = False,
        odometer: bool = True,
        mute_on_media: bool = True,
        answers_hqes: bool = True,
    ) -> None:
        self.print_time = print_time
        self.peel = peel
        self.odometer = odometer
        self.mute_on_media = mute_on_media
        self.answers_hqes = answers_hqes
        self.faults: set[str] = set()
        self.warnings: set[str] = set()
        self.paused = False
        self.counter = 0
        self.queue: deque[tuple[PrintedSymbol, ...]] = deque()
        self.templates: dict[str, list[LabelField]] = {}
        self.pad: deque[PrintedLabel] = deque()
        self.printed: list[PrintedLabel] = []
        self._done_at: float | None = None

    empty = "paper_out"

    def reboot(self) -> None:
        """Switched off and on: queue and templates are gone. The odometer is not."""
        self.queue.clear()
        self.templates.clear()
        self._done_at = None

    def held(self) -> list[str]:
        """The texts that it has in hand and did not print, as a reader would give them."""
        symbols = [symbol for label in self.queue for symbol in label]
        return [f"]C1{symbol.text}" if symbol.gs1 else symbol.text for symbol in symbols]

    def advance(self, now: float) -> None:
        """Print what is due by `now`."""
        begin = now
        while self.queue and not self.paused and not self.faults and not (self.peel and self.pad):
            if self._done_at is None:
                self._done_at = begin + self.print_time
            if now < self._done_at:
                return
            label = PrintedLabel(self.queue.popleft(), self._done_at)
            self.counter += 1
            self.pad.append(label)
            self.printed.append(label)
            begin, self._done_at = label.at, None
        self._done_at = None  # a label that a fault interrupted is printed anew afterwards

    def fire(self, now: float) -> tuple[str, ...] | None:
        """The applicator takes the next printed label: the texts of its symbols; None without."""
        self.advance(now)
        return self.pad.popleft().texts if self.pad else None

    def accept(self, body: bytes, now: float) -> None:
        """A format arrived: store a template, or queue a label."""
        self.advance(now)
        store, recall, fields = fields_of(body)
        if store:
            self.templates[store] = fields
            return
        if recall:
            fields = fill(self.templates.get(recall, []), fields)
        if len(self.queue) < MAX_FORMATS:
            self.queue.append(tuple(symbols_of(fields)))
        self.advance(now)

    def command(self, name: str, now: float, partial: bool) -> bytes:
        """A `~` command arrived: what the printer answers."""
        self.advance(now)
        if name == "JA":
            self.queue.clear()
            self._done_at = None
        elif name in ("PP", "PS"):
            self.paused = name == "PP"
            self.advance(now)
        elif name == "HS" and not (self.mute_on_media and self.faults & MEDIA_FAULTS):
            return self._host_status(partial)
        elif name == "HQES" and self.answers_hqes:
            bits = {"paper_out": 1, "ribbon_out": 2, "head_open": 4}
            low = sum(bits.get(fault, 0) for fault in self.faults)
            soon = {"calibrate_media": 1, "clean_head": 2, "replace_head": 4, "paper_low": 8}
            warn = sum(soon.get(warning, 0) for warning in self.warnings)
            return (
                b"\x02\r\n  PRINTER STATUS\r\n   ERRORS:         %d 00000000 %08X\r\n"
                b"   WARNINGS:       %d 00000000 %08X\r\n\x03" % (bool(low), low, bool(warn), warn)
            )
        return b""

    def setting(self, name: str, now: float) -> bytes:
        """The answer to getvar; "?" for what it does not know."""
        self.advance(now)
        known = self.odometer and name == ODOMETER
        return b'"%d"' % self.counter if known else b'"?"'

    def _host_status(self, partial: bool) -> bytes:
        printing = self._done_at is not None
        waiting = len(self.queue) - (1 if printing else 0)
        first = (
            f"030,{'paper_out' in self.faults:d},{self.paused:d},0480,{waiting:03d},"
            f"{len(self.queue) >= MAX_FORMATS:d},0,{partial:d},000,0,0,0"
        )
        second = (
            f"000,0,{'head_open' in self.faults:d},{'ribbon_out' in self.faults:d},1,"
            f"{1 if self.peel else 2},0,{self.peel and bool(self.pad):d},{printing:08d},1,000"
        )
        lines = (first, second, "1234,0")
        return b"".join(b"\x02%s\x03\r\n" % line.encode() for line in lines)


class ZplTalk:
    """One client's dialogue with the printer."""

    def __init__(self, printer: ZplPrinter, clock: Callable[[], float]) -> None:
        self._printer = printer
        self._clock = clock
        self._splitter = Splitter()

    def feed(self, data: bytes) -> bytes:
        """Answers to what became complete."""
        answers = bytearray()
        for item in self._splitter.feed(data):
            now = self._clock()
            match item:
                case Immediate(name):
                    if name == "JA":
                        self._splitter.reset()
                    answers += self._printer.command(name, now, self._splitter.partial)
                case GetVar(name):
                    answers += self._printer.setting(name, now)
                case Format(body):
                    self._printer.accept(body, now)
        return bytes(answers)


class ZplServer(TcpAdapter):
    """The printer on a TCP socket."""

    def __init__(self, printer: ZplPrinter, clock: Callable[[], float], *, port: int = 0) -> None:
        def talk() -> Conversation:
            return ZplTalk(printer, clock)

        super().__init__(talk, port=port)


class ZplPty(PtyAdapter):
    """The printer on a serial line."""

    def __init__(self, printer: ZplPrinter, clock: Callable[[], float]) -> None:
        super().__init__(lambda: ZplTalk(printer, clock))


class ZplBench(Bench):
    """A label printer that puts each label on the applicator's pad at once, proven."""

    photocell = False

    def __init__(self) -> None:
        self.printer = ZplPrinter(print_time=0.001)
        super().__init__(ZplServer(self.printer, time.monotonic))

    def section(self, address: str) -> Mapping[str, Any]:
        label = {
            "width": 480,
            "height": 320,
            "elements": [{"kind": "qr", "x": 40, "y": 40, "field": "code"}],
        }
        return {
            "type": "zpl",
            "address": address,
            "labels": {"case": label},
            "reply_timeout": 0.2,
            "print_timeout": 1.0,
            "poll_interval": 0.01,
        }

    @property
    def printed(self) -> Sequence[str]:
        self.printer.advance(time.monotonic())
        return [label.texts[0] for label in self.printer.printed]

    def trigger(self) -> None:
        self.printer.fire(time.monotonic())

    def reboot(self) -> None:
        self.printer.reboot()

    def attend(self) -> None:
        self.printer.paused = False
