"""How much quicker than a real line a simulated shift is, and where its time goes.

For each site and pack mode one daily shift: processor time per bottle, the multiple of real time
at 36,000 bottles an hour, and of what bare libraries need for as many journal rows: encode,
chain and insert them into a database in memory, a transaction per bottle, and nothing else. Then
the shares by room, from samples of the processor's time.

    python tests/bench/bench_simulate.py [bottles]
"""

import signal
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from time import process_time
from types import FrameType

import msgspec
from sqlcipher3 import dbapi2

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.demo.simulate import SimOptions, simulate  # noqa: E402

SPEED = 36_000
EVERY = 0.002
"""Seconds of processor time between two samples."""
ROOMS = {
    "agent/core": "core",
    "agent/store": "store",
    "agent/line": "line shell",
    "agent/demo/audit.py": "audit",
    "agent/demo/containment.py": "audit",
    "agent/demo/slips.py": "audit",
    "agent/demo": "ports in memory",
    "drivers": "plant",
    "asyncio": "asyncio",
}
BODY = ("verify", 4711, 81234, "bottle", "WO-1", [["body", [1, 4711, 0], "proven"]], True)


class Sampler:
    """Counts in which room the processor is. What a library does counts for who called it."""

    def __init__(self) -> None:
        self.rooms: Counter[str] = Counter()

    def __enter__(self) -> "Sampler":
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            name = frame.f_code.co_filename
            local = name.removeprefix(f"{ROOT}/")
            if "/asyncio/" in name:
                local = "asyncio"
            room = next((room for start, room in ROOMS.items() if local.startswith(start)), None)
            if room is not None:
                self.rooms[room] += 1
                return
            frame = frame.f_back
        self.rooms["rest"] += 1


def bare(bottles: int, rows: int) -> float:
    """Processor seconds of the libraries alone for so many journal rows."""
    conn = dbapi2.connect(":memory:", isolation_level=None)
    conn.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, body TEXT, hash BLOB)")
    cursor, encode, chain = conn.cursor(), msgspec.json.Encoder().encode, bytes(16)
    began, each = process_time(), max(1, rows // bottles)
    for seq in range(rows):
        if seq % each == 0:
            cursor.execute("BEGIN")
        body = encode(BODY)
        chain = blake2b(chain + body, digest_size=16).digest()
        cursor.execute("INSERT INTO journal VALUES (?, ?, ?)", (seq, body.decode(), chain))
        if seq % each == each - 1:
            cursor.execute("COMMIT")
    took = process_time() - began
    conn.close()
    return took


def main(bottles: int = 6_000) -> None:
    simulate(SimOptions(24), 1)  # what is loaded and compiled only once
    names = list(dict.fromkeys(ROOMS.values()))
    print(f"{'daily shift':<20}{'us/bottle':>10}{'x real':>8}{'x bare':>8}   us per bottle by room")
    for site in ("bottling", "liquor"):
        for pack in ("multiread", "sequence"):
            options = SimOptions(bottles, SPEED, "daily", pack=pack, site=site)
            with Sampler() as sampler:
                began = process_time()
                outcome = simulate(options, 2001)
                took = process_time() - began
            least = bare(bottles, outcome.rows)
            each, total = took / bottles * 1e6, sampler.rooms.total()
            row = f"{site + ' ' + pack:<20}{each:>10.0f}{outcome.virtual / took:>8.0f}"
            rooms = (f"{name} {sampler.rooms[name] / total * each:.0f}" for name in names)
            print(f"{row}{took / least:>8.1f}   {', '.join(rooms)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6_000)
