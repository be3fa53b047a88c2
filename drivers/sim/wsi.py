"""A simulated ink jet coder of the 1000 line that speaks WSI: it prints its field at every trigger.

Written from the published protocol, a second time and without the driver's codec.
"""

from collections.abc import Mapping
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter


class WsiCoder:
    """The device: messages with user fields, printing on or off, counters, fault bits."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, str]] = {"BOTTLE": {"CODE": ""}, "DATE": {"LOT": ""}}
        self.message = "BOTTLE"
        self.on = True
        self.counter = self.products = 0
        self.bits = "000000"
        self.light = 1
        self.printed: list[str] = []

    def reboot(self) -> None:
        """Switched off and on: it prints again what it has; counters are kept."""
        self.on = True

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        self.products += 1
        text = next(iter(self.messages[self.message].values()))
        if not self.on or self.light & 4 or not text:
            return None
        self.counter += 1
        self.printed.append(text)
        return text

    def answer(self, body: str) -> str:
        """The answer to what stands between STX and ETX."""
        total = sum(body.encode("latin-1")) & 0xFF
        good, bad = f"${total:02X}", f"!{total:02X}"
        fields = self.messages[self.message]
        if body == "Q":
            return f"\x02{self.message}\x03"
        if body == "E":
            return f"\x02{self.bits}{self.light}\x03"
        if body in ("GA", "GB"):
            return f"\x02{self.counter if body == 'GA' else self.products:08d}\x03"
        if body in ("O0", "O1"):
            self.on = body == "O1"
            return good
        if body[:1] == "M" and body[1:] in self.messages:
            self.message = body[1:]
            return good
        name, line, value = body[1:].partition("\n")
        if body[:1] == "U" and line and name in fields and 1 <= len(value) <= 50:
            fields[name] = value
            return good
        return bad


class WsiTalk:
    """One client's frames."""

    def __init__(self, device: WsiCoder) -> None:
        self._device = device
        self._body: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Answers to the frames that became complete."""
        answers = ""
        for char in data.decode("latin-1"):
            if char == "\x02":
                self._body = ""
            elif char == "\x03" and self._body is not None:
                answers += self._device.answer(self._body)
                self._body = None
            elif self._body is not None:
                self._body = (self._body + char)[:1000]
        return answers.encode("latin-1")


class WsiServer(TcpAdapter):
    """The coder on a TCP socket."""

    def __init__(self, device: WsiCoder, *, port: int = 0) -> None:
        super().__init__(lambda: WsiTalk(device), port=port)


class WsiBench(CoderBench[WsiCoder]):
    """The coder, proven."""

    repeats = True

    def __init__(self) -> None:
        coder = WsiCoder()
        super().__init__(coder, WsiServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "wsi",
            "address": address,
            "message": "BOTTLE",
            "fields": {"code": "CODE"},
            "reply_timeout": 0.2,
            "poll": 0.01,
        }
