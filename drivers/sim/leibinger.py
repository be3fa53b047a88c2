"""A simulated ink jet coder in the manner of Leibinger's JET: `^0` commands, one external text.

Written from the public notes, without the driver's codec. Setting a text gets no answer; it is
printed at every print-go, or with <Check Double Prints> once and then an error comes.
"""

from collections.abc import Mapping
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter


class Leibinger:
    """The device. `checks`: <Check Double Prints> is on."""

    def __init__(self, *, checks: bool = True) -> None:
        self.checks = checks
        self.text = ""
        self.fresh = False
        self.machine, self.error = 6, 0
        self.count = 0
        self.printed: list[str] = []

    def reboot(self) -> None:
        """Switched off and on: the text is gone, its counter is kept."""
        self.text, self.fresh = "", False

    def trigger(self) -> str | None:
        """A print-go: what is on the item now, None if nothing is."""
        if self.machine != 6 or not self.text or (self.checks and not self.fresh):
            return None
        self.fresh = False
        self.count += 1
        self.printed.append(self.text)
        return self.text

    def answer(self, line: str) -> str:
        """The answer to one line, "" where there is none."""
        if line.startswith("^0=ET"):
            self.text, self.fresh = line[5:], True
            return ""
        if line == "^0!FF":
            self.text, self.fresh = "", False
            return ""
        known = {
            "^0?ET": f"^0=ET{self.text}",
            "^0?RS": f"^0=RS2\t{self.machine}\t{self.error}\t1\t250",
            "^0?CC": f"^0=CC{self.count:08d}",
        }
        return known.get(line, "")


class LeibingerTalk:
    """One client's lines."""

    def __init__(self, device: Leibinger) -> None:
        self._device = device
        self._line = ""

    def feed(self, data: bytes) -> bytes:
        """Answers to the lines that became complete."""
        answers = ""
        *lines, rest = (self._line + data.decode("utf-8", "replace")).split("\r")
        self._line = rest[:2000]
        for line in lines:
            said = self._device.answer(line)
            answers += said + "\r" if said else ""
        return answers.encode()


class LeibingerServer(TcpAdapter):
    """The coder on a TCP socket."""

    def __init__(self, device: Leibinger) -> None:
        super().__init__(lambda: LeibingerTalk(device))


class LeibingerBench(CoderBench[Leibinger]):
    """The coder with its check of double prints, proven."""

    def __init__(self) -> None:
        coder = Leibinger()
        super().__init__(coder, LeibingerServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "text_coder",
            "address": address,
            "profile": "leibinger-like",
            "reply_timeout": 0.2,
            "poll": 0.01,
        }
