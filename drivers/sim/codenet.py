"""A simulated ink jet coder that speaks Codenet, with a short queue of external data.

Written from the published command table, a second time and without the driver's codec. `Codenet` is
the device, `trigger()` its photo-eye; its counter counts what the photo-eye saw.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter

ESC, EOT = b"\x1b", b"\x04"


class Codenet:
    """The device. `fixed`: its ACK has three digits; `digits`: its NAK has; `unknown` are queries
    that this model does not have. A photo-eye with an empty queue prints nothing."""

    def __init__(
        self,
        *,
        depth: int = 3,
        fixed: bool = False,
        digits: bool = True,
        chars: str = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        unknown: Sequence[str] = (),
    ) -> None:
        self.depth = depth
        self.fixed = fixed
        self.digits = digits
        self.chars = chars
        self.unknown = unknown
        self.model = "A520i 1.07"
        self.queue: deque[str] = deque()
        self.state = "001"
        self.enabled = True
        self.ink, self.makeup = 80, 70
        self.counter = 0
        self.char = b""
        self.printed: list[str] = []
        self.say: Callable[[bytes], None] = lambda data: None

    def reboot(self) -> None:
        """Switched off and on: its queue and its counter are gone."""
        self.queue.clear()
        self.counter = 0
        self.char = b""
        self.enabled = True

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        self.counter += 1
        if self.state != "001" or not self.enabled or not self.queue:
            return None
        text = self.queue.popleft()
        self.printed.append(text)
        if self.char:
            self.say(self.char)
        return text

    def ack(self) -> bytes:
        return b"\x06000" if self.fixed else b"\x06"

    def nak(self, code: int) -> bytes:
        return b"\x15" + (b"%03d" % code if self.digits else b"")

    def answer(self, body: bytes) -> bytes:
        """The answer to one frame, without its ESC and EOT."""
        text = body.decode("latin-1")
        if text.endswith("?"):
            known = {
                "A": f"A{self.model}",
                "O1": f"O1{self.state}00",
                "1C": f"1C{self.state}01200",
                "T1": f"T1{self.counter:010d}",
                "Q1": f"Q1{'Y' if self.enabled else 'N'}",
                "y": f"y{self.ink:03d}{self.makeup:03d}",
            }
            if text[:-1] not in known or text[:-1] in self.unknown:
                return self.nak(3)
            return ESC + known[text[:-1]].encode() + EOT
        if text in ("Q1Y", "Q1N"):
            self.enabled = text == "Q1Y"
            return self.ack()
        if text.startswith("I1") and len(text) == 3:
            if text[2] not in self.chars:
                return self.nak(13)
            self.char = text[2].encode()
            return self.ack()
        if text.startswith("OE"):
            return self._data(text[2:6], text[6:])
        return self.nak(3)

    def _data(self, length: str, data: str) -> bytes:
        if length == "0000":
            self.queue.clear()
            return self.ack()
        if not length.isdigit() or int(length) != len(data):
            return self.nak(9)
        if len(self.queue) >= self.depth:
            return self.nak(0)
        self.queue.append(data)
        return self.ack()


class CodenetTalk:
    """One client's frames. The print acknowledgement is forgotten with each connection."""

    def __init__(self, device: Codenet) -> None:
        self._device = device
        self._frame = b""
        self._inside = False
        device.char = b""

    def feed(self, data: bytes) -> bytes:
        """Answers to the frames that became complete."""
        answers = b""
        for n in range(len(data)):
            byte = data[n : n + 1]
            if byte == ESC:
                self._frame, self._inside = b"", True
            elif byte == EOT and self._inside:
                answers += self._device.answer(self._frame)
                self._inside = False
            elif self._inside:
                self._frame = (self._frame + byte)[:2000]
        return answers


class CodenetServer(TcpAdapter):
    """The coder on a TCP socket."""

    def __init__(self, device: Codenet, *, port: int = 0) -> None:
        super().__init__(lambda: CodenetTalk(device), port=port)
        device.say = self.push


class CodenetBench(CoderBench[Codenet]):
    """The coder, proven: power off loses its queue and its counter."""

    def __init__(self) -> None:
        coder = Codenet(depth=4)
        super().__init__(coder, CodenetServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {"type": "codenet", "address": address, "queue": 4, "reply_timeout": 0.2}


class OldBench(CodenetBench):
    """An older one: three digits behind its ACK, none behind its NAK, and it keeps its queue."""

    def __init__(self) -> None:
        super().__init__()
        self.coder.fixed, self.coder.digits = True, False
        self.coder.unknown = ("O1", "y")

    def section(self, address: str) -> Mapping[str, Any]:
        return {**super().section(address), "ack": "fixed", "nak": "bare"}

    def reboot(self) -> None:
        self.coder.char = b""
