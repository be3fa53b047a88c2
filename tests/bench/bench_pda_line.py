"""Fifty PDAs and a line on one agent: the verdict of each, and what the PDAs cost the line.

A real agent (one processor) with a line at 60,000 bottles an hour; plant and PDAs share the other,
the PDAs behind the plant (nice 10), as they would be machines of their own: a plant that comes late
is not the agent's doing. Each PDA is an API client with a key of its own, scans one unit a second
into a blind receipt, and sends each scan at once, signed twice (item and request). The line is
measured in rounds, each without PDAs and then with them, in the same run; the first seconds of each
part do not count. The ratio is the median of the rounds'.

A line's verdict is timed inside the agent, from the trigger (when the PLC was found to have seen
it) to the verdict in the PLC's slot; `frame` is the part until the picture had come, which the
plant sends. A scan is timed at the PDA, from before it is signed to its verdict; the PDAs' lateness
is in it. A turn is what the agent's loop does without a pause (tests/bench/turns.py), in its own
processor time; `a scan costs` is what the agent and its loop used more with PDAs than without.

    bench_pda_line.py [SECONDS OF EACH PART] [PDAS] [ROUNDS]
"""

import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, TypeVar

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app import Files
from agent.config import load
from agent.demo import scene as scenes
from agent.demo.pda import Pda
from agent.demo.process import Child, Mortal
from agent.demo.run import Demo, DemoOptions
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users

T = TypeVar("T")

SPEED = 60_000
WARM_UP = 4.0
BEHIND = 10
"""Niceness of the PDAs."""
PIN = "480217"
BOOKS = {
    "parties": {"F01": {"kind": "factory"}},
    "warehouse": [{"party": "F01", "locations": ["DOCK"]}],
}
UNIT = {"product": "COLA-500", "lot": "B41120", "level": "case"}


class Keeper(threading.Thread):
    """One PDA: a scan a second until told to stop. `times` are seconds from a scan (signing
    included) to its verdict."""

    def __init__(self, pda: Pda, number: int, phase: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._number = number
        self.pda = pda
        self.times: list[tuple[float, float]] = []
        self.refused: list[str] = []
        self._phase = phase
        self._stop_now = stop

    def run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        document = self.pda.item("open", body={"kind": "receive", "blind": True})["document"]
        self.pda.upload()
        due = time.monotonic() + self._phase
        n = 0
        while not self._stop_now.wait(max(0.0, due - time.monotonic())):
            due += 1.0
            n += 1
            code = f"https://q.example.cn/bench/{self.pda.device}/{self._number}/{n}"
            began = time.monotonic()
            self.pda.scan(document, code, answer="not_expected", reason="found", body=UNIT)
            (told,) = self.pda.upload()
            self.times.append((began, time.monotonic() - began))
            if told["verdict"] != "accepted":
                self.refused.append(told["verdict"])


class Loaded(Demo):
    """The demonstration's line, with PDAs in the middle part."""

    def __init__(self, options: DemoOptions, part: float, pdas: int, rounds: int) -> None:
        super().__init__(options, say=lambda text: print(text, file=sys.stderr))
        self._part = part
        self._pdas = pdas
        self._rounds = rounds
        self.parts: list[tuple[str, dict[str, Any]]] = []
        self.keepers: list[Keeper] = []

    @staticmethod
    def _agent() -> list[str]:
        return [sys.executable, str(Path(__file__).parent / "turns.py")]

    def _write_site(self, folder: Path, ports: Any) -> Path:
        text = scenes.site_file(
            self._scene, SPEED, self._options.port, ports, self._cameras, None, BOOKS
        )
        path = folder / "site.toml"
        path.write_text(text, "utf-8")
        return path

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        with self._client(config, agent) as client:
            assert agent.child is not None
            self._pid = agent.child.process.pid
            if len(both := os.sched_getaffinity(0)) > 1:
                os.sched_setaffinity(0, {max(both)})  # not the agent's
            keepers = self._enrol(config, client)
            for number in range(self._rounds):
                self.parts.append(("without", self._measure(client, agent.child)))
                stop = threading.Event()
                at_once = [
                    Keeper(pda, number, n / len(keepers), stop) for n, pda in enumerate(keepers)
                ]
                for keeper in at_once:
                    keeper.start()
                self._began = time.monotonic() + WARM_UP
                self.parts.append(("with", self._measure(client, agent.child)))
                stop.set()
                for keeper in at_once:
                    keeper.join(30)
                    keeper.times = [each for each in keeper.times if each[0] >= self._began]
                self.keepers += at_once
            plant.tell("stop")

    def _enrol(self, config: Path, client: httpx.Client) -> list[Pda]:
        files = Files(load(config), config)
        users = Users(files.users, Pins(files.badges, files.pepper), ALLOWED)
        found = []
        for n in range(self._pdas):
            users.add(f"b{n}", f"Keeper {n}", "operator", [], PIN)
            wanted = {"name": f"PDA {n}", "party": "F01", "operations": ALLOWED, "by": "bench"}
            shown = client.post("/api/local/devices/enrol", json=wanted).json()
            code = shown["text"].split("#enrol=")[1].split("&")[0]
            pda = Pda.enrol(httpx.Client(base_url=client.base_url, timeout=20.0), code, "bench")
            pda.log_in(f"b{n}", PIN)
            found.append(pda)
        return found

    def _measure(self, client: httpx.Client, agent: Child) -> dict[str, Any]:
        path = f"/api/local/lines/{self._scene.line}/account"
        time.sleep(WARM_UP)
        self._turns(agent)
        before = int(client.get(path, params={"last": 0}).json()["verdicts"])
        began, busy = time.monotonic(), self._busy()
        time.sleep(self._part)
        share = 100 * (self._busy() - busy) / (time.monotonic() - began)
        count = int(client.get(path, params={"last": 0}).json()["verdicts"]) - before
        told = client.get(path, params={"last": count}).json()
        return {
            "count": count,
            "busy": share,
            "turns": (turns := self._turns(agent)),
            "loop": sum(each["count"] * each["mean"] for each in turns.values()) / 10 / self._part,
            **told["latency_ms"],
        }

    @staticmethod
    def _turns(agent: Child) -> dict[str, dict[str, float]]:
        """The turns of the agent's loop since the last time."""
        agent.said.pop("turns", None)
        agent.process.send_signal(signal.SIGUSR1)
        found: dict[str, dict[str, float]] = agent.wait_for("turns", 10.0)
        return found

    def _busy(self) -> float:
        """Seconds of processor that the agent has used."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def scans(self) -> list[float]:
        """Times of the scans that count, in ms, sorted."""
        return sorted(1000 * took for keeper in self.keepers for _, took in keeper.times)


def pairs(rows: list[T]) -> list[tuple[T, T]]:
    """The parts of each round."""
    return list(zip(rows[::2], rows[1::2], strict=True))


def main() -> int:
    part, pdas, rounds = (
        int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 20), (2, 50), (3, 3))
    )
    options = DemoOptions(
        seconds=2 * rounds * (part + WARM_UP) + 60,
        speed=SPEED,
        web=True,
        port=scenes.free_ports(1)[0],
        pin=True,
    )
    bench = Loaded(options, part, pdas, rounds)
    result = bench.run()
    print(f"{result.bottles} bottles at {SPEED:,}/h; audit {'good' if result.good else 'NOT GOOD'}")
    for note in result.notes:
        print("note:", note)
    shown = ("p50", "p95", "p99", "max")
    print(f"{'ms':<24}{'count':>7}" + "".join(f"{name:>9}" for name in (*shown, "cpu %", "turn")))
    for name, row in bench.parts:
        if "total" not in row:
            print(f"line, {name} PDAs: it stood")
            continue
        longest = max(row["turns"].items(), key=lambda each: each[1]["most"])
        for of in ("total", "frame", "decode", "queue", "decide", "commit", "write"):
            times = "".join(f"{row[of][at]:>9.2f}" for at in shown)
            what = f"line, {name} PDAs" if of == "total" else f"  {of}"
            more = f"{row['busy']:>9.1f}{longest[1]['most']:>9.2f} {longest[0]}"
            print(f"{what:<24}{row['count']:>7}{times}{more if of == 'total' else ''}")
    long: dict[str, float] = {}
    for name, row in bench.parts:
        if name == "with":
            for turn, each in row["turns"].items():
                long[turn] = max(long.get(turn, 0.0), each["most"])
    print("longest turns with PDAs, ms of processor time:")
    for turn, most in sorted(long.items(), key=lambda each: -each[1])[:6]:
        print(f"  {most:>8.2f}  {turn}")
    scans = bench.scans()
    a_second = len(scans) / (rounds * part)
    for of, what in (("busy", "agent"), ("loop", "of which its loop")):
        more = [10 * (b[of] - a[of]) for (_, a), (_, b) in pairs(bench.parts)]
        print(
            f"a scan costs, {what}: {statistics.median(more) / a_second:.2f} ms of processor time"
        )
    at = [scans[min(len(scans) - 1, int(len(scans) * share))] for share in (0.5, 0.95, 0.99, 1)]
    times = "".join(f"{each:>9.2f}" for each in at)
    print(f"{f'scan, {pdas} PDAs':<24}{len(scans):>7}{times}")
    for of in ("p50", "p99"):
        rows = [row.get("total", {}).get(of) for _, row in bench.parts]
        ratios = [b / a for a, b in pairs(rows) if a and b]
        if not ratios:
            continue
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"line {of} with / without: median {statistics.median(ratios):.2f} ({told})")
    refused = [verdict for keeper in bench.keepers for verdict in keeper.refused]
    print(
        f"verdicts other than accepted: {len(refused)}; PDAs that stopped: "
        f"{sum(not keeper.times for keeper in bench.keepers)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
