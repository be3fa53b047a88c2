"""A simulated coder that speaks Zipher / CLARiTY text, with a serialisation buffer.

Written from the published command table, a second time and without the driver's codec. `Zipher` is
the device: job, header, buffer of numbered records, states, faults; `trigger()` is its photo-eye.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter

SHUT_DOWN, STARTING, RUNNING, OFFLINE = 0, 1, 3, 4
NOTICES = {"PRS", "PRC", "STS", "ERS", "JOB", "OUT", "QEM", "QFU", "QHI", "QLO"}


class Zipher:
    """The device. `jobs` are its jobs with their fields. A photo-eye with an empty buffer prints
    nothing and raises a fault. `keeps` says whether the buffer outlives a loss of power."""

    def __init__(
        self,
        *,
        jobs: dict[str, list[str]] | None = None,
        job: str = "bottle",
        capacity: int = 150,
        keeps: bool = False,
    ) -> None:
        self.jobs = jobs or {"bottle": ["CODE"], "other": ["LOT", "DATE"]}
        self.job = job
        self.current: dict[str, str] = dict.fromkeys(self.jobs.get(job, []), "")
        self.capacity = capacity
        self.limit = 1_000
        self.keeps = keeps
        self.header: list[str] = []
        self.buffer: deque[tuple[int, list[str]]] = deque()
        self.last = 0
        self.state = RUNNING
        self.faults: list[tuple[int, bool, str]] = []
        self.warnings: list[tuple[int, bool, str]] = []
        self.batch = self.total = 0
        self.on: set[str] = set()
        self.printed: list[str] = []
        self.say: Callable[[str], None] = lambda line: None

    @property
    def ready(self) -> bool:
        return self.state == RUNNING and not self.faults

    def reboot(self) -> None:
        """Switched off and on: what survives of what it had."""
        self.on.clear()
        self.header = []
        self.batch = 0
        if not self.keeps:
            self.buffer.clear()

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        if not self.ready or not self.header:
            return None
        if not self.buffer:
            return None
        self.note("PRS")
        self.last, values = self.buffer.popleft()
        text = values[0]
        self.current.update(zip(self.header, values, strict=False))
        self.printed.append(text)
        self.batch += 1
        self.total += 1
        self.note("PRC")
        if not self.buffer:
            self.note("QEM")
        return text

    def note(self, line: str) -> None:
        """Say something by itself, if that is switched on."""
        if line.partition("|")[0] in self.on:
            self.say(line)

    def set_state(self, state: int) -> bool:
        """A transition; only offline and running can be reached from each other."""
        if {state, self.state} - {RUNNING, OFFLINE}:
            return False
        self.state = state
        self.note(f"STS|{state}|")
        return True

    def answer(self, line: str) -> str | None:
        """The answer to one line; None where a lone CR came."""
        name, *rest = line.split("|")
        fields = rest[:-1] if rest and rest[-1] == "" else rest
        if not line:
            return None
        simple = getattr(self, f"_{name.lower()}", None)
        if simple is None or not name.isupper() or len(name) != 3:
            return "ERR"
        try:
            answer: str = simple(*fields)
        except (TypeError, ValueError):
            return "ERR"
        return answer

    def _gst(self) -> str:
        error = 2 if self.faults else 1 if self.warnings else 0
        return f"STS|{self.state}|{error}|{self.job}|{self.batch}|{self.total}|"

    def _sst(self, state: str) -> str:
        return "ACK" if self.set_state(int(state)) else "ERR"

    def _gjn(self) -> str:
        return f"JOB|{self.job}|1|" if self.job else "ERR"

    def _gjl(self) -> str:
        return f"JBL|{len(self.jobs)}|" + "".join(f"{name}|" for name in self.jobs)

    def _gjf(self, job: str) -> str:
        if job not in self.jobs:
            return "ERR"
        return f"JFL|{len(self.jobs[job])}|" + "".join(f"{name}|" for name in self.jobs[job])

    def _gjd(self) -> str:
        return f"JDL|{len(self.current)}|" + "".join(f"{k}={v}|" for k, v in self.current.items())

    def _sla(self, job: str, *values: str) -> str:
        if job not in self.jobs:
            return "ERR"
        self.job = job
        self.current = dict.fromkeys(self.jobs[job], "")
        self.header = []
        self.buffer.clear()
        self.note(f"JOB|{job}|")
        return "ACK"

    def _sno(self, name: str, on: str) -> str:
        if name not in NOTICES or on not in "01":
            return "ERR"
        (self.on.add if on == "1" else self.on.discard)(name)
        return "ACK"

    def _dan(self) -> str:
        self.on.clear()
        return "ACK"

    def _smr(self, count: str) -> str:
        if not 1 <= int(count) <= self.limit:
            return "ERR"
        self.capacity = int(count)
        return "ACK"

    def _sgm(self) -> str:
        return f"SGM|{self.capacity}|"

    def _sho(self, *names: str) -> str:
        if not names or not self.job:
            return "ERR"
        self.header = list(names)
        return "ACK"

    def _sid(self, index: str, *values: str) -> str:
        if not self.header or len(values) != len(self.header) or len(self.buffer) >= self.capacity:
            return "ERR"
        self.buffer.append((int(index), list(values)))
        if len(self.buffer) == self.capacity:
            self.note("QFU")
        return "ACK"

    def _src(self) -> str:
        return f"SRC|{len(self.buffer)}|"

    def _sfs(self) -> str:
        return f"SFS|{(self.capacity - len(self.buffer)) * 100}|"

    def _sni(self) -> str:
        return f"SNI|{self.buffer[0][0] if self.buffer else 0}|"

    def _slr(self) -> str:
        return f"SLR|{self.last}|"

    def _scb(self) -> str:
        self.buffer.clear()
        return "ACK"

    def _gft(self) -> str:
        return "FLT" + self._listed(self.faults)

    def _gwn(self) -> str:
        return "WRN" + self._listed(self.warnings)

    def _caf(self) -> str:
        self.faults = [fault for fault in self.faults if not fault[1]]
        return "ERR" if self.faults else "ACK"

    def _caw(self) -> str:
        self.warnings.clear()
        return "ACK"

    def _listed(self, found: list[tuple[int, bool, str]]) -> str:
        items = "".join(f"{number}|{int(can)}|{text}|" for number, can, text in found)
        return f"|{len(found)}|{items}"


class ZipherTalk:
    """One client's lines. A client that leaves takes its notifications with it."""

    def __init__(self, device: Zipher) -> None:
        self._device = device
        self._line = ""
        device.on.clear()

    def feed(self, data: bytes) -> bytes:
        """Answers to the lines that became complete."""
        out = ""
        for char in data.decode("utf-8", "replace"):
            if char == "\r":
                line, self._line = self._line, ""
                answer = self._device.answer(line)
                out += "" if answer is None else answer + "\r"
            elif char != "\n":
                self._line = (self._line + char)[:4000]
        return out.encode()


class ZipherServer(TcpAdapter):
    """The coder on a TCP socket."""

    def __init__(self, device: Zipher, *, port: int = 0) -> None:
        super().__init__(lambda: ZipherTalk(device), port=port)
        device.say = lambda line: self.push(line.encode() + b"\r")


class ZipherBench(CoderBench[Zipher]):
    """The coder, proven: power off loses its records."""

    keeps = False

    def __init__(self) -> None:
        coder = Zipher(keeps=self.keeps)
        super().__init__(coder, ZipherServer(coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "zipher",
            "address": address,
            "job": "bottle",
            "fields": {"code": "CODE"},
            "reply_timeout": 0.2,
            "poll": 0.05,
        }


class KeepingBench(ZipherBench):
    """The same with records that outlive a loss of power; the header does not."""

    keeps = True
