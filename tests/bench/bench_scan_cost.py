"""What one scan of a PDA costs the agent: processor time of its loop and of all its threads.

A real agent with a warehouse and no line; PDAs (API clients with keys of their own) send one scan a
request, one request after the other, so that no scan shares a transaction. Processor time is what
the kernel counted for the agent's threads, which other programs on the machine hardly lengthen.

    bench_scan_cost.py [SCANS] [PDAS]
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app import Files
from agent.config import load
from agent.demo.pda import Pda
from agent.demo.process import Child, Ending
from agent.demo.scene import free_ports
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users

PIN = "480217"
SITE = """
[agent]
id = "bench"
data = "var"

[web]
port = {port}

[products.cola]
names = {{ zh = "可乐", en = "Cola" }}
units = {{ bottle = 1, case = 24 }}

[[warehouse]]
party = "F01"
locations = ["DOCK"]
"""
UNIT = {"product": "cola", "lot": "B41120", "level": "case"}
WARM_UP = 100
"""Scans that do not count."""


class Used(NamedTuple):
    """Of a process so far: seconds of its first thread and of all, and how often a thread of it
    gave way by itself."""

    loop: float
    all: float
    switches: int


def used(pid: int) -> Used:
    """Read it from the kernel, in ns where it says so."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    spent = {int(task.name): int((task / "schedstat").read_text().split()[0]) for task in tasks}
    gave_way = sum(
        int(line.split()[1])
        for task in tasks
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )
    return Used(spent[pid] / 1e9, sum(spent.values()) / 1e9, gave_way)


def enrolled(files: Files, url: str, pdas: int) -> list[Pda]:
    """PDAs that a person is logged in on."""
    users = Users(files.users, Pins(files.badges, files.pepper), ALLOWED)
    token = {"Authorization": f"Bearer {files.token.read_text().strip()}"}
    found = []
    for n in range(pdas):
        users.add(f"b{n}", f"Keeper {n}", "operator", [], PIN)
        wanted = {"name": f"PDA {n}", "party": "F01", "operations": ALLOWED, "by": "bench"}
        with httpx.Client(base_url=url, headers=token) as panel:
            shown = panel.post("/api/local/devices/enrol", json=wanted).json()
        code = shown["text"].split("#enrol=")[1].split("&")[0]
        pda = Pda.enrol(httpx.Client(base_url=url, timeout=20.0), code, "bench")
        pda.log_in(f"b{n}", PIN)
        found.append(pda)
    return found


def measure(pid: int, pdas: list[Pda], scans: int) -> tuple[Used, list[float]]:
    """The agent's use for so many scans, and the seconds of each."""
    documents = []
    for pda in pdas:
        document = pda.item("open", body={"kind": "receive", "blind": True})["document"]
        documents.append(document)
        pda.upload()
    took: list[float] = []
    before = used(pid)
    for n in range(-WARM_UP, scans):
        if not n:
            before = used(pid)
        at = n % len(pdas)
        code = f"https://q.example.cn/cost/{os.getpid()}/{n}"
        pdas[at].scan(documents[at], code, answer="not_expected", reason="found", body=UNIT)
        began = time.perf_counter()
        (told,) = pdas[at].upload()
        took.append(time.perf_counter() - began)
        if told["verdict"] != "accepted":
            raise SystemExit(f"a scan was not accepted: {told}")
    after = used(pid)
    return Used(*(b - a for a, b in zip(before, after, strict=True))), took[WARM_UP:]


def main() -> int:
    scans, pdas = (
        int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 600), (2, 10))
    )
    with tempfile.TemporaryDirectory(prefix="caselink-") as name:
        folder = Path(name)
        config = folder / "site.toml"
        config.write_text(SITE.format(port=free_ports(1)[0]), "utf-8")
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(config)]
        with Ending(Child(command, folder / "agent.log")) as agent:
            url = str(agent.wait_for("ready", 40.0)["panel"])
            found = enrolled(Files(load(config), config), url, pdas)
            cost, took = measure(agent.process.pid, found, scans)
    took.sort()
    print(f"{scans} scans of {pdas} PDAs, one after the other; load {os.getloadavg()[0]:.1f}")
    print(f"agent, ms of processor time a scan: {1000 * cost.all / scans:.3f}")
    print(f"  of which its loop:                {1000 * cost.loop / scans:.3f}")
    print(f"threads that gave way, a scan:      {cost.switches / scans:.1f}")
    print(f"ms by the clock: p50 {1000 * took[len(took) // 2]:.2f}, max {1000 * took[-1]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
