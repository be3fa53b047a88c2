"""A simulated thermal transfer printer that speaks NGPCL, with its allocation of prints.

Written from the published dialogue, a second time and without the driver's codec.
"""

from collections.abc import Mapping
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter


class NgpclPrinter:
    """The device: a job with fields, and how many prints of them are allowed."""

    def __init__(self) -> None:
        self.job = "BOTTLE.job"
        self.jobs = {"BOTTLE.job": ("CODE",), "CASE.job": ("SERIAL",)}
        self.fields = {"CODE": ""}
        self.allowed = 0
        self.purge = "PQ"
        self.trouble = ""
        self.printed: list[str] = []

    def reboot(self) -> None:
        """Switched off and on: nothing is allowed to be printed."""
        self.allowed = 0

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        if self.trouble or self.allowed == 0:
            return None
        self.allowed -= 1
        text = next(iter(self.fields.values()))
        self.printed.append(text)
        return text

    def answer(self, frame: str) -> str:
        """The answer to what stands between `{` and `}`."""
        head, *rest = frame.rstrip("|").split("|") if frame.endswith("|") else (frame,)
        if head == "~JR":
            return "{~JN0|" + self.job + "|}"
        if head == "~DR":
            state = self.trouble or ("06" if self.allowed else "11")
            flag = "1" if state == "06" else "0"
            return "{~DS0|0|" + flag + "|0|0|0|2|0|000000000|" + state + "|1|}"
        if head == "~FR" and rest:
            if rest[0] not in self.fields:
                return "{~FC1|}"
            return "{~FC0|" + rest[0] + "|" + self.fields[rest[0]] + "|}"
        if head == "~JS0" and rest and rest[0] not in self.jobs:
            return "{~JS1|}"
        if head in ("~JU0", "~JS0") and len(rest) >= 4 and rest[1].isdigit():
            if head == "~JS0":
                self.job = rest[0]
                self.fields = dict.fromkeys(self.jobs[self.job], "")
            pairs = dict(zip(rest[2::2], rest[3::2], strict=False))
            self.fields.update({k: v for k, v in pairs.items() if k in self.fields})
            self.allowed = int(rest[1])
            return "{" + head + "|}"
        if head == "~" + self.purge:
            self.allowed = 0
            return "{" + head + "0|}"
        return "{~NK1|}"


class NgpclTalk:
    """One client's frames."""

    def __init__(self, device: NgpclPrinter) -> None:
        self._device = device
        self._frame: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Answers to the frames that became complete."""
        answers = ""
        for char in data.decode("latin-1"):
            if char == "{":
                self._frame = ""
            elif char == "}" and self._frame is not None:
                answers += self._device.answer(self._frame) + "\r\n"
                self._frame = None
            elif self._frame is not None:
                self._frame = (self._frame + char)[:3000]
        return answers.encode("latin-1")


class NgpclServer(TcpAdapter):
    """The printer on a TCP socket."""

    def __init__(self, device: NgpclPrinter, *, port: int = 0) -> None:
        super().__init__(lambda: NgpclTalk(device), port=port)


class NgpclBench(CoderBench[NgpclPrinter]):
    """The printer, proven."""

    def __init__(self) -> None:
        coder = NgpclPrinter()
        super().__init__(coder, NgpclServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "ngpcl",
            "address": address,
            "job": "BOTTLE.job",
            "fields": {"code": "CODE"},
            "reply_timeout": 0.2,
            "poll": 0.01,
        }
