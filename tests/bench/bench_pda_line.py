"""Fifty PDAs and a line on one agent: the verdict of each, and what the PDAs cost the line.

A real agent (one processor) with a line at 60,000 bottles an hour; plant and PDAs share the other.
Each PDA is an API client with a key of its own, scans one unit a second into a blind receipt, and
sends each scan at once, signed twice (item and request). The line is measured without PDAs, with
them, and without them again, in the same run; the first seconds of each part do not count.

    bench_pda_line.py [SECONDS OF EACH PART] [PDAS]
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from agent.app import Files
from agent.config import load
from agent.demo import scene as scenes
from agent.demo.pda import Pda
from agent.demo.process import Child, Mortal
from agent.demo.run import Demo, DemoOptions
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users

SPEED = 60_000
WARM_UP = 5.0
PIN = "480217"
BOOKS = {
    "parties": {"F01": {"kind": "factory"}},
    "warehouse": [{"party": "F01", "locations": ["DOCK"]}],
}
UNIT = {"product": "COLA-500", "lot": "B41120", "level": "case"}


class Keeper(threading.Thread):
    """One PDA: a scan a second until told to stop. `times` are seconds from a scan (signing
    included) to its verdict."""

    def __init__(self, pda: Pda, phase: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.pda = pda
        self.times: list[tuple[float, float]] = []
        self.refused: list[str] = []
        self._phase = phase
        self._stop_now = stop

    def run(self) -> None:
        document = self.pda.item("open", body={"kind": "receive", "blind": True})["document"]
        self.pda.upload()
        due = time.monotonic() + self._phase
        n = 0
        while not self._stop_now.wait(max(0.0, due - time.monotonic())):
            due += 1.0
            n += 1
            code = f"https://q.example.cn/bench/{self.pda.device}/{n}"
            began = time.monotonic()
            self.pda.scan(document, code, answer="not_expected", reason="found", body=UNIT)
            (told,) = self.pda.upload()
            self.times.append((began, time.monotonic() - began))
            if told["verdict"] != "accepted":
                self.refused.append(told["verdict"])


class Loaded(Demo):
    """The demonstration's line, with PDAs in the middle part."""

    def __init__(self, options: DemoOptions, part: float, pdas: int) -> None:
        super().__init__(options, say=lambda text: print(text, file=sys.stderr))
        self._part = part
        self._pdas = pdas
        self.parts: dict[str, dict[str, float]] = {}
        self.keepers: list[Keeper] = []

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
            keepers = self._enrol(config, client)
            self.parts["without"] = self._measure(client)
            stop = threading.Event()
            self.keepers = [Keeper(pda, n / len(keepers), stop) for n, pda in enumerate(keepers)]
            for keeper in self.keepers:
                keeper.start()
            self._began = time.monotonic() + WARM_UP
            self.parts["with"] = self._measure(client)
            stop.set()
            for keeper in self.keepers:
                keeper.join(30)
            self.parts["again without"] = self._measure(client)
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

    def _measure(self, client: httpx.Client) -> dict[str, float]:
        path = f"/api/local/lines/{self._scene.line}/account"
        time.sleep(WARM_UP)
        before = int(client.get(path, params={"last": 0}).json()["verdicts"])
        began, busy = time.monotonic(), self._busy()
        time.sleep(self._part)
        share = 100 * (self._busy() - busy) / (time.monotonic() - began)
        count = int(client.get(path, params={"last": 0}).json()["verdicts"]) - before
        told = client.get(path, params={"last": count}).json()
        return {"count": float(count), "busy": share, **told["latency_ms"]["total"]}

    def _busy(self) -> float:
        """Seconds of processor that the agent has used."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def scans(self) -> list[float]:
        """Times of the scans that count, in ms, sorted."""
        return sorted(
            1000 * took
            for keeper in self.keepers
            for began, took in keeper.times
            if began >= self._began
        )


def main() -> int:
    part = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    pdas = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    options = DemoOptions(
        seconds=4 * part + 60, speed=SPEED, web=True, port=scenes.free_ports(1)[0], pin=True
    )
    bench = Loaded(options, part, pdas)
    result = bench.run()
    print(f"{result.bottles} bottles at {SPEED:,}/h; audit {'good' if result.good else 'NOT GOOD'}")
    for note in result.notes:
        print("note:", note)
    print(f"{'ms':<28}{'count':>8}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}{'cpu %':>8}")
    for name, row in bench.parts.items():
        times = "".join(f"{row[at]:>10.2f}" for at in ("p50", "p95", "p99", "max"))
        print(f"{f'line, {name} PDAs':<28}{row['count']:>8.0f}{times}{row['busy']:>8.1f}")
    scans = bench.scans()
    at = [scans[min(len(scans) - 1, int(len(scans) * share))] for share in (0.5, 0.95, 0.99, 1)]
    times = "".join(f"{each:>10.2f}" for each in at)
    print(f"{f'scan to verdict, {pdas} PDAs':<28}{len(scans):>8}{times}")
    without = max(bench.parts[name]["p99"] for name in ("without", "again without"))
    mean = (bench.parts["without"]["p99"] + bench.parts["again without"]["p99"]) / 2
    with_ = bench.parts["with"]["p99"]
    print(
        f"line p99 with / without: {with_ / mean:.2f} (against the worse one {with_ / without:.2f})"
    )
    refused = [verdict for keeper in bench.keepers for verdict in keeper.refused]
    print(
        f"verdicts other than accepted: {len(refused)}; PDAs that stopped: "
        f"{sum(not keeper.times for keeper in bench.keepers)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
