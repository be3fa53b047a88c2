"""What a line pays for what happens beside it: a drain to the cloud, a backup, many handshakes.

A real agent (one processor) with a line at 36,000 bottles an hour, a broker and the cloud's
consumer; plant and all else share the other one. Each round measures the line alone and beside:

    drain    the whole journal is sent again, every two seconds from its first row on
    backup   `caselink backup` with its verification, one after the other
    flood    32 threads of one address that connect to the https of PDAs, half of them to say
             nothing and half to finish the handshake; an honest peer asks for the time meanwhile

Printed are the verdicts' times of each part, how much of each kind of work was done (rows asked
for, backups, connections tried), and the median of the rounds' ratios.

    bench_beside.py [SECONDS OF EACH PART] [ROUNDS]
"""

import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app import Files
from agent.config import load
from agent.demo import scene as scenes
from agent.demo.process import Child, Mortal
from agent.demo.run import Demo, DemoOptions

SPEED = 36_000
WARM_UP = 3.0
FLOOD = 32
ROGUE, HONEST = "127.0.0.66", "127.0.0.2"
LAN = """
[web.lan]
host = "127.0.0.1"
port = {port}
names = ["127.0.0.1"]

[[warehouse]]
party = "F01"
locations = ["DOCK"]
"""


class Beside(Demo):
    """The demonstration's line, alone and beside other work in turn."""

    def __init__(self, options: DemoOptions, part: float, rounds: int) -> None:
        super().__init__(options, say=lambda text: print(text, file=sys.stderr))
        self._part, self._rounds = part, rounds
        self._lan = scenes.free_ports(1)[0]
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.honest: list[float] = []

    def _write_site(self, folder: Path, ports: Mapping[str, Any]) -> Path:
        path = super()._write_site(folder, ports)
        path.write_text(path.read_text("utf-8") + LAN.format(port=self._lan), "utf-8")
        self._command(path, "tls", "init", "--suffix", "x.lan", "--network", "127.0.0.0/8")
        return path

    @staticmethod
    def _command(config: Path, *words: str) -> None:
        command = [sys.executable, "-m", "agent.cli", *words, "--config", str(config)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        kinds: dict[str, Callable[[threading.Event], int]] = {
            "drain": lambda stop: self._drain(config, stop),
            "backup": lambda stop: self._back_up(config, stop),
            "flood": self._flood,
        }
        with self._client(config, agent) as client:
            for _ in range(self._rounds):
                for name, work in kinds.items():
                    self.rows.append(("alone", self._measure(client)))
                    with self._doing(work) as done:
                        row = self._measure(client)
                    self.rows.append((name, row | {"done": done[0]}))
            plant.tell("stop")

    @contextmanager
    def _doing(self, work: Callable[[threading.Event], int]) -> Iterator[list[int]]:
        """While it is done; how many times it was."""
        stop, done = threading.Event(), [0]

        def run() -> None:
            done[0] = work(stop)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield done
        finally:
            stop.set()
            thread.join(120)

    def _measure(self, client: httpx.Client) -> dict[str, Any]:
        path = f"/api/local/lines/{self._scene.line}/account"
        time.sleep(WARM_UP)
        before = int(client.get(path, params={"last": 0}).json()["verdicts"])
        time.sleep(self._part)
        count = int(client.get(path, params={"last": 0}).json()["verdicts"]) - before
        told = client.get(path, params={"last": count}).json()
        return {"count": count, **told["latency_ms"].get("total", {})}

    # -------------------------------------------------------------------------- what is beside

    def _drain(self, config: Path, stop: threading.Event) -> int:
        """Rows that were asked for."""
        assert self._cloud is not None
        site, rows = load(config), 0
        assert site.sync is not None
        name = f"{site.sync.tenant}/{site.sync.site}/{site.agent.id}"
        files = Files(site, config)
        token = files.token.read_text().strip()
        ask = httpx.Client(
            base_url=f"http://127.0.0.1:{site.web.port}",
            headers={"authorization": f"Bearer {token}"},
            timeout=20.0,
        )
        with ask:
            while not stop.is_set():
                command = [sys.executable, "-m", "agent.cli", "cloud", "resend", "--from", "1"]
                more = ["--db", self._cloud.database, "--to", name]
                subprocess.run([*command, *more], check=True, capture_output=True, timeout=60)
                stop.wait(2.0)
                told = ask.get("/api/local/sync").json()
                rows += int(told["last"])
        return rows

    @staticmethod
    def _back_up(config: Path, stop: threading.Event) -> int:
        done = 0
        while not stop.is_set():
            target = config.with_name(f"backup-{time.monotonic_ns()}")
            Beside._command(config, "backup", str(target))
            target.unlink()
            done += 1
        return done

    def _flood(self, stop: threading.Event) -> int:
        """Connections that were tried."""
        tried = [0] * FLOOD
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

        def rogue(n: int) -> None:
            while not stop.is_set():
                tried[n] += 1
                try:
                    with socket.create_connection(
                        ("127.0.0.1", self._lan), 5.0, source_address=(ROGUE, 0)
                    ) as peer:
                        if n % 2:
                            with tls.wrap_socket(peer):
                                pass
                        else:
                            peer.recv(1)
                except OSError:
                    stop.wait(0.001)

        rogues = [threading.Thread(target=rogue, args=(n,), daemon=True) for n in range(FLOOD)]
        for each in rogues:
            each.start()
        while not stop.wait(0.5):
            way = httpx.HTTPTransport(local_address=HONEST, verify=tls)
            with httpx.Client(transport=way, timeout=20.0) as client:
                began = time.monotonic()
                client.get(f"https://127.0.0.1:{self._lan}/api/pda/v1/time").raise_for_status()
                self.honest.append(1000 * (time.monotonic() - began))
        for each in rogues:
            each.join(10)
        return sum(tried)


def main() -> int:
    part, rounds = (
        int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 15), (2, 3))
    )
    options = DemoOptions(
        seconds=6 * rounds * (part + WARM_UP + 3) + 60,
        speed=SPEED,
        web=True,
        port=scenes.free_ports(1)[0],
        pin=True,
        cloud=True,
    )
    bench = Beside(options, part, rounds)
    result = bench.run()
    print(f"{result.bottles} bottles at {SPEED:,}/h; audit {'good' if result.good else 'NOT GOOD'}")
    for note in result.notes[:10]:
        print("note:", note)
    print(f"{'ms':<12}{'count':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}{'done':>9}")
    ratios: dict[str, list[tuple[float, float]]] = {}
    alone: dict[str, Any] = {}
    for name, row in bench.rows:
        times = "".join(f"{row.get(at, 0.0):>9.2f}" for at in ("p50", "p95", "p99", "max"))
        print(f"{name:<12}{row['count']:>8}{times}{row.get('done', ''):>9}")
        if name == "alone":
            alone = row
        elif alone.get("p50") and row.get("p50"):
            both = row["p50"] / alone["p50"], row["p99"] / alone["p99"]
            ratios.setdefault(name, []).append(both)
    for name, found in ratios.items():
        p50, p99 = (statistics.median(each[n] for each in found) for n in (0, 1))
        told = ", ".join(f"{each[1]:.2f}" for each in found)
        print(f"beside {name}: p50 x {p50:.2f}, p99 x {p99:.2f} (p99 of the rounds: {told})")
    if bench.honest:
        bench.honest.sort()
        middle, last = bench.honest[len(bench.honest) // 2], bench.honest[-1]
        asked = f"{len(bench.honest)} asked, ms p50 {middle:.0f}, max {last:.0f}"
        print(f"an honest peer in the flood: {asked}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
