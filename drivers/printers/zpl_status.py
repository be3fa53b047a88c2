"""What a ZPL printer says: `~HS`, `~HQES` and SGD answers. Bytes to frozen dataclasses, no I/O.

Sources: Zebra ZPL II guide, ~HS and ~HQES (error and warning flags by nibble), restated in
docs/devices.md.
"""

import re
from dataclasses import dataclass

MAX_BUFFER = 4096
MAX_FRAME, MAX_SETTING = 1024, 256

_FIRST = re.compile(
    rb"(\d{1,3}),([01]),([01]),(\d{1,5}),(\d{1,3}),([01]),([01]),([01]),"
    rb"\d{1,3},([01]),([01]),([01])"
)
_SECOND = re.compile(rb"(\d{1,3}),\d,([01]),([01]),(\d),(.),(\d),([01]),(\d{1,8}),\d,(\d{1,3})")
_THIRD = re.compile(rb"([0-9A-Za-z]{1,4}),([01])")
_STX = 0x02
_BEGIN = re.compile(rb"[\x02\"]")
_FRAME_END = re.compile(rb"[\x02\x03]")
_QUOTE_END = re.compile(rb"[\"\x02\r\n]")
_FLAGS = re.compile(rb"(ERRORS|WARNINGS):[ \t]*([01])[ \t]+([0-9A-Fa-f]{8})[ \t]+([0-9A-Fa-f]{8})")

_ERRORS = {
    0x1: "paper_out",
    0x2: "ribbon_out",
    0x4: "head_open",
    0x8: "cutter_fault",
    0x10: "head_hot",
    0x20: "motor_hot",
    0x40: "head_element_bad",
    0x80: "head_detection",
    0x100: "firmware_config",
    0x200: "head_thermistor",
    0x1000: "paper_jam",
    0x2000: "presenter_stopped",
    0x4000: "paper_feed",
    0x8000: "paper_path",
    0x10000: "paused",
    0x20000: "retract_timeout",
    0x40000: "black_mark_calibration",
    0x80000: "black_mark_missing",
}
_WARNINGS = {
    0x1: "calibrate_media",
    0x2: "clean_head",
    0x4: "replace_head",
    0x8: "paper_low",
    **{0x10 << n: f"sensor_{n + 1}" for n in range(8)},
}
_MODES = {
    b"0": "rewind",
    b"1": "peel",
    b"2": "tear_off",
    b"3": "cutter",
    b"4": "applicator",
    b"5": "delayed_cut",
    b"6": "linerless_peel",
    b"7": "linerless_rewind",
    b"8": "partial_cutter",
    b"9": "rfid",
    b"K": "kiosk",
}


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One answer to `~HS`: three lines in one. `label_length` in dots; `print_mode` in words, or
    the printer's own letter; `link` and `functions` are its settings as bits."""

    paper_out: bool
    paused: bool
    formats: int
    buffer_full: bool
    diagnostic: bool
    partial: bool
    ram_corrupt: bool
    cold: bool
    hot: bool
    head_open: bool
    ribbon_out: bool
    print_mode: str
    label_waiting: bool
    remaining: int
    link: int = 0
    label_length: int = 0
    functions: int = 0
    thermal_transfer: bool = False
    width_mode: int = 0
    graphics: int = 0
    password: str = ""
    static_ram: bool = False

    @property
    def idle(self) -> bool:
        """Nothing received is unprinted."""
        return self.formats == 0 and self.remaining == 0 and not self.partial

    @property
    def faults(self) -> tuple[str, ...]:
        """Stable keys of what keeps it from printing."""
        flags = (
            ("paper_out", self.paper_out),
            ("ribbon_out", self.ribbon_out),
            ("head_open", self.head_open),
            ("paused", self.paused),
            ("buffer_full", self.buffer_full),
            ("diagnostic_mode", self.diagnostic),
            ("ram_corrupt", self.ram_corrupt),
            ("head_cold", self.cold),
            ("head_hot", self.hot),
        )
        return tuple(key for key, on in flags if on)


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """One answer to `~HQES`: every bit that is set, not only the first."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One SGD answer; None where the printer does not know the setting ("?")."""

    value: str | None


Answer = HostStatus | ErrorReport | Setting


class StatusCodec:
    """Finds answers by their shape in whatever the reads were; what fits nothing is dropped.

    A `~HS` answer counts only when its three lines came one after the other. No more than an answer
    that has begun is kept.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[re.Match[bytes]] = []
        self.noise = 0

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that became complete, in order."""
        answers: list[Answer] = []
        for at in range(0, len(data), MAX_BUFFER):
            self._buffer += data[at : at + MAX_BUFFER]
            while (answer := self._next()) is not None:
                if not isinstance(answer, bool):
                    answers.append(answer)
        return answers

    def _next(self) -> Answer | bool | None:
        """The next answer, True for a step without one, None when more bytes are needed."""
        begin = _BEGIN.search(self._buffer)
        self._drop(len(self._buffer) if begin is None else begin.start())
        if begin is None:
            return None
        framed = self._buffer[0] == _STX
        end = (_FRAME_END if framed else _QUOTE_END).search(self._buffer, 1)
        most = MAX_FRAME if framed else MAX_SETTING
        if end is None and len(self._buffer) <= most:
            return None
        if end is None or end.start() > most or end[0] not in (b"\x03", b'"'):
            self._drop(1 if end is None or not framed else end.start())
            return True
        body = bytes(self._buffer[1 : end.start()])
        del self._buffer[: end.end()]
        if framed:
            return self._line(body) or True
        text = body.decode("utf-8", "replace")
        return Setting(None if text == "?" else text)

    def _line(self, body: bytes) -> HostStatus | ErrorReport | None:
        flags = {kind: (on, high + low) for kind, on, high, low in _FLAGS.findall(body)}
        if b"ERRORS" in flags:
            self._lines.clear()
            return ErrorReport(
                _bits(flags[b"ERRORS"], _ERRORS),
                _bits(flags.get(b"WARNINGS", (b"0", b"0")), _WARNINGS),
            )
        shape = (_FIRST, _SECOND, _THIRD)[len(self._lines)]
        match = shape.fullmatch(body)
        if match is None:
            self.noise += len(body)
            self._lines.clear()
            match = _FIRST.fullmatch(body)
            if match is None:
                return None
        self._lines.append(match)
        if len(self._lines) < 3:
            return None
        first, second, third = self._lines
        self._lines = []
        return _host_status(first, second, third)

    def _drop(self, count: int) -> None:
        """Bytes that belong to no answer; a line end is nothing."""
        self.noise += len(bytes(self._buffer[:count]).translate(None, b"\r\n"))
        del self._buffer[:count]


def _host_status(
    first: re.Match[bytes], second: re.Match[bytes], third: re.Match[bytes]
) -> HostStatus:
    link, paper, pause, length, formats, full, diagnostic, partial, ram, cold, hot = first.groups()
    functions, head, ribbon, transfer, mode, width, waiting, remaining, graphics = second.groups()
    password, static_ram = third.groups()
    return HostStatus(
        paper_out=paper == b"1",
        paused=pause == b"1",
        formats=int(formats),
        buffer_full=full == b"1",
        diagnostic=diagnostic == b"1",
        partial=partial == b"1",
        ram_corrupt=ram == b"1",
        cold=cold == b"1",
        hot=hot == b"1",
        head_open=head == b"1",
        ribbon_out=ribbon == b"1",
        print_mode=_MODES.get(mode, mode.decode("latin-1")),
        label_waiting=waiting == b"1",
        remaining=int(remaining),
        link=int(link),
        label_length=int(length),
        functions=int(functions),
        thermal_transfer=transfer == b"1",
        width_mode=int(width),
        graphics=int(graphics),
        password=password.decode("latin-1"),
        static_ram=static_ram == b"1",
    )


def _bits(flag: tuple[bytes, bytes], names: dict[int, str]) -> tuple[str, ...]:
    on, digits = flag
    if on != b"1":
        return ()
    value = int(digits, 16)
    known = tuple(name for bit, name in names.items() if value & bit)
    rest = value & ~sum(names)
    return (*known, f"other_{rest:x}") if rest else known
