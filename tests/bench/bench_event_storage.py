"""Events that are accepted, and what of them is left after kill -9: the journal beside the SQLite
event storage of ThingsBoard's gateway, each in a process of its own on the same disk.

    python tests/bench/bench_event_storage.py [--seconds 5] [--kills 5] [--venv DIR]

The gateway is installed from PyPI into an environment of its own, as a user gets it, with its
default settings. An event is a bottle: at the journal a transaction with its table rows, synced
before it counts as accepted; at the gateway a telemetry message that `put` has said True to.
First as fast as it goes, then 1,000 a second. *stored* is what a reader finds after the kill; what
a power cut would take from a file that was not synced is not measured here.
"""

import argparse
import json
import mmap
import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

GATEWAY = "thingsboard-gateway==3.8.5"
MOST = 400_000
PACE = 1_000
INSTALL_SECONDS = 300.0
START_SECONDS = 120.0

THEIRS = """
import json, logging, mmap, struct, sys, threading, time
from thingsboard_gateway.storage.sqlite.sqlite_event_storage import SQLiteEventStorage
folder, pace = sys.argv[1], float(sys.argv[2])
log = logging.getLogger("storage")
log.trace = lambda *a, **k: None
storage = SQLiteEventStorage({"data_file_path": folder + "/"}, log, threading.Event())
def put(n):
    event = {"deviceName": "line-1", "deviceType": "line", "attributes": [], "telemetry": [
        {"ts": 1700000000000 + n, "values": {"bottle": "https://q.example.cn/b/%08d" % n}}]}
    return storage.put(json.dumps(event))
"""
LOOP = """
file = open(folder + "/accepted", "r+b")
count = mmap.mmap(file.fileno(), 8)
began, n = time.monotonic(), 0
while True:
    if pace:
        time.sleep(max(0.0, began + n / pace - time.monotonic()))
    if put(n):
        n += 1
        count[:8] = struct.pack("<q", n)
"""
OURS = """
import mmap, struct, sys, time
from pathlib import Path
from agent.store.record import record
from tests.store.store_help import LINE, Plant, at
folder, pace = sys.argv[1], float(sys.argv[2])
plant = Plant(Path(folder), bottles=int(sys.argv[3])).load()
plant.writer.start()
def put(n):
    bottle = plant.bottle(n + 1, n)
    plant.writer.wait(lambda conn: record(conn, LINE, [bottle], at(n)))
    return True
"""


def environment(where: Path) -> Path | None:
    """The Python of an environment with the gateway; None, and why is printed."""
    python = where / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run(
                [sys.executable, "-m", "venv", str(where)], check=True, capture_output=True
            )
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", GATEWAY],
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        print(f"{GATEWAY} cannot be installed here: {str(error.stderr).strip()[-400:]}")
        return None
    except subprocess.TimeoutExpired:
        print(f"{GATEWAY} was not installed within {INSTALL_SECONDS:.0f} s: is PyPI reached?")
        return None
    return python


def killed(python: Path, program: str, folder: Path, pace: float, seconds: float) -> int:
    """Run a program for so many seconds from its first event, then kill it: what it accepted."""
    (folder / "accepted").write_bytes(bytes(8))
    words = [str(python), "-c", program + LOOP, str(folder), str(pace), str(MOST)]
    with (folder / "accepted").open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            end = time.monotonic() + START_SECONDS
            while not struct.unpack("<q", shared[:8])[0]:
                assert process.poll() is None, "it ended by itself"
                assert time.monotonic() < end, "it accepts nothing"
                time.sleep(0.001)
            time.sleep(seconds)
        finally:
            process.kill()
            process.wait()
        return int(struct.unpack("<q", shared[:8])[0])


def stored_theirs(folder: Path) -> int:
    """Messages in all of its files."""
    found = 0
    for path in folder.glob("*.db"):
        conn = sqlite3.connect(path)
        found += conn.execute("SELECT count(*) FROM messages").fetchone()[0]
        conn.close()
    return found


def stored_ours(folder: Path) -> int:
    """Bottles in the journal."""
    from agent.store import journal
    from agent.store.database import open_reader

    conn = open_reader(folder / "caselink.db", folder / "caselink.key")
    try:
        return sum(row.kind == "ItemPassed" for row in journal.rows(conn))
    finally:
        conn.close()


Stored = Callable[[Path], int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="from first event to kill")
    parser.add_argument("--kills", type=int, default=5, help="of each at each pace")
    parser.add_argument("--venv", type=Path, help="keep the gateway's environment here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="caselink-bench-") as scratch:
        theirs = environment(given.venv or Path(scratch) / "venv")
        runs: list[tuple[str, Path, str, Stored]] = [
            ("journal", Path(sys.executable), OURS, stored_ours)
        ]
        if theirs is not None:
            runs.append((GATEWAY, theirs, THEIRS, stored_theirs))
        for pace in (0.0, float(PACE)):
            for name, python, program, stored in runs:
                rates, lost = [], []
                for n in range(given.kills):
                    folder = Path(scratch) / f"{name[:7]}-{pace:.0f}-{n}"
                    folder.mkdir()
                    accepted = killed(python, program, folder, pace, given.seconds)
                    there = stored(folder)
                    rates.append(min(accepted, there) / given.seconds)
                    lost.append(max(0, accepted - there))
                print(
                    json.dumps(
                        {
                            "storage": name,
                            "pace_per_s": pace or "as fast as it goes",
                            "stored_per_s": round(statistics.median(rates)),
                            "lost_median": statistics.median(lost),
                            "lost_most": max(lost),
                            "kills": given.kills,
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
