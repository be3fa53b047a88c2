"""EXPERIMENTAL: a simulated ink jet in the manner of Linx RCI, with a buffer of remote fields.

Written from public notes, without the driver's codec; no device was seen that does so.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter


class LinxCoder:
    """The device. `machine`: its number, None if it expects none; `escapes`: ESC bytes count in
    its checksum. A photo-eye with an empty buffer prints nothing."""

    def __init__(
        self, *, depth: int = 4, machine: int | None = None, escapes: bool = False
    ) -> None:
        self.depth = depth
        self.machine = machine
        self.escapes = escapes
        self.queue: deque[str] = deque()
        self.alarm = 0
        self.on = True
        self.printed: list[str] = []

    def reboot(self) -> None:
        """Switched off and on: its buffer is empty."""
        self.queue.clear()
        self.on = True

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        if not self.queue or self.alarm or not self.on:
            return None
        self.printed.append(self.queue.popleft())
        return self.printed[-1]

    def total(self, frame: bytes) -> int:
        """The checksum of a frame."""
        kept = frame if self.escapes else frame.replace(b"\x1b", b"")
        return (0x100 - sum(kept) % 0x100) % 0x100

    def reply(self, number: int, status: int = 0, data: bytes = b"", good: bool = True) -> bytes:
        body = bytes([self.machine or 0, status, number]) + data
        frame = b"\x1b" + (b"\x06" if good else b"\x15")
        frame += body.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\x03"
        return frame + bytes([self.total(frame)])

    def answer(self, body: bytes) -> bytes:
        """The answer to one command; nothing to one for another machine."""
        if self.machine is not None:
            if body[:1] != bytes([self.machine]):
                return b""
            body = body[1:]
        if not body:
            return b""
        number, data = body[0], body[1:]
        if number == 0x14:
            return self.reply(number, data=bytes([self.alarm]))
        if number == 0x33:
            return self.reply(number, data=len(self.queue).to_bytes(2, "little"))
        if number == 0x21:
            self.queue.clear()
            return self.reply(number)
        if number in (0x11, 0x12):
            before, self.on = self.on, number == 0x11
            return self.reply(number, 0 if self.on != before else 17 if self.on else 18)
        if number == 0x1D:
            text = data[2:]
            if int.from_bytes(data[:2], "little") != len(text):
                return self.reply(number, 14, good=False)
            if len(self.queue) >= self.depth:
                return self.reply(number, 67, good=False)
            self.queue.append(text.decode("latin-1"))
            return self.reply(number, 66 if len(self.queue) == self.depth else 0)
        return self.reply(number, 1, good=False)


class LinxTalk:
    """One client's frames."""

    def __init__(self, device: LinxCoder) -> None:
        self._device = device
        self._frame = b""
        self._state = "out"  # out, escape, inside, doubled, sum

    def feed(self, data: bytes) -> bytes:
        """Answers to the frames that became complete with the right checksum."""
        answers = b""
        for n in range(len(data)):
            byte = data[n : n + 1]
            self._frame = (self._frame + byte)[-3000:]
            if self._state == "sum":
                self._state = "out"
                frame = self._frame[:-1]
                if byte[0] == self._device.total(frame):
                    answers += self._device.answer(frame[2:-2].replace(b"\x1b\x1b", b"\x1b"))
            elif self._state == "out":
                self._frame = byte if byte == b"\x1b" else b""
                self._state = "escape" if byte == b"\x1b" else "out"
            elif self._state == "escape":
                self._state = "inside" if byte == b"\x02" else "out"
            elif self._state == "doubled":
                self._state = "sum" if byte == b"\x03" else "inside"
            elif byte == b"\x1b":
                self._state = "doubled"
        return answers


class LinxServer(TcpAdapter):
    """The coder on a TCP socket."""

    def __init__(self, device: LinxCoder, *, port: int = 0) -> None:
        super().__init__(lambda: LinxTalk(device), port=port)


class LinxBench(CoderBench[LinxCoder]):
    """The coder, proven."""

    def __init__(self) -> None:
        coder = LinxCoder()
        super().__init__(coder, LinxServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "linx_rci_experimental",
            "address": address,
            "reply_timeout": 0.2,
            "poll": 0.02,
        }
