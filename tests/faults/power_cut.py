"""The power fails at any instruction: crash images of the unmodified agent's disk, opened again.

    python -m tests.faults.power_cut --images 20000

records one run (tests/faults/recording.py), cuts it at random calls, rebuilds the disk as a file
system may leave it (tests/faults/disk.py), and opens it with our own store. Every row that was
promised to the world must be there, nothing may be torn, and the tables must be what the journal
says. `--synchronous OFF` (or NORMAL) shows what the same agent loses without its defence.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from agent.core.errors import CaselinkError
from agent.store import journal
from agent.store.database import Database
from agent.store.verify import verify
from agent.web.auth import local_token
from tests.faults.disk import Disk, Write, lay_out
from tests.faults.recording import Done, Promises, mutant, record

VERIFY_EVERY = 20
"""Of so many images one is held against a replay of its whole journal; of each the pages, the chain
of hashes and the promises are."""
EARLY = 5
"""Of so many images one is of the very first start."""
DEFENCE = 'conn.execute("PRAGMA synchronous = FULL")'


@dataclass
class Tally:
    """What became of the images. `lost` rows that had been promised, `corrupt` files that are
    damaged, contradict themselves or do not open."""

    images: int = 0
    promised: int = 0
    lost: int = 0
    corrupt: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.images += other.images
        self.promised += other.promised
        self.lost += other.lost
        self.corrupt += other.corrupt
        self.kinds += other.kinds
        self.notes += other.notes

    def __str__(self) -> str:
        return (
            f"{self.images:,} images ({self.promised:,} after a promise): "
            f"{self.lost:,} lost what was promised, {self.corrupt:,} corrupt"
        )


def replay(calls: Iterable[Done], promises: Promises) -> Iterator[tuple[Disk, int]]:
    """The disk after each call, and the last row that was promised by then."""
    disk, promised = Disk(), 0
    syncing: dict[tuple[str, str], int] = {}
    for done in calls:
        if done.call == "told":
            if done.began:
                promised = max(promised, promises.needs(done.data)[0])
        elif done.call in ("fsync", "fdatasync"):
            if done.began:
                known = done.path in disk.now
                syncing[done.thread, done.path] = disk.waiting(done.path) if known else 0
            if done.over:
                writes = syncing.pop((done.thread, done.path))
                if done.path == ".":
                    disk.sync_names()
                else:
                    disk.sync(done.path, writes)
        elif done.began:
            _change(disk, done)
        yield disk, promised


def _change(disk: Disk, done: Done) -> None:
    match done.call:
        case "openat":
            if "O_CREAT" in done.flags and done.path not in disk.now:
                disk.create(done.path)
            elif "O_TRUNC" in done.flags:
                disk.write(done.path, Write(0, None))
        case "pwrite64":
            disk.write(done.path, Write(done.number, done.data))
        case "write":  # only into files that were just made
            disk.write(done.path, Write(0, done.data))
        case "ftruncate":
            disk.write(done.path, Write(done.number, None))
        case "unlink":
            disk.remove(done.path)
        case "rename":
            disk.rename(done.path, done.data.decode())
        case _:
            raise AssertionError(f"{done.call} of {done.path} is not rehearsed")


def cut(calls: list[Done], promises: Promises, images: int, seed: int) -> Tally:
    """Cut the power at so many random calls, and open what is left."""
    dice = random.Random(seed)
    points = _points(calls, promises, images, dice)
    tally = Tally()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as scratch:
        for at, (disk, promised) in enumerate(replay(calls, promises)):
            for _ in range(points[at]):
                kind, files = disk.image(dice)
                where = Path(scratch) / "image"
                where.mkdir()
                lay_out(files, where)
                tally.images += 1
                tally.promised += promised > 0
                full = tally.images % VERIFY_EVERY == 0
                problem = _open(where, promises, promised, full=full)
                shutil.rmtree(where)
                if problem:
                    lost = problem.startswith("lost")
                    tally.lost += lost
                    tally.corrupt += not lost
                    tally.kinds[kind] += 1
                    tally.notes.append(
                        f"call {at} ({calls[at].call} {calls[at].path}), {kind}: {problem}"
                    )
    return tally


def _points(
    calls: list[Done], promises: Promises, images: int, dice: random.Random
) -> Counter[int]:
    """Calls after which the power fails, and how often: some in the very first start, before
    anything was promised."""
    told = (n for n, done in enumerate(calls) if done.call == "told")
    first = next((n for n in told if promises.needs(calls[n].data)[0]), len(calls))
    early = images // EARLY
    points = Counter(dice.choices(range(first), k=early))
    points.update(dice.choices(range(len(calls)), k=images - early))
    return points


def _open(where: Path, promises: Promises, promised: int, *, full: bool) -> str:
    """Start on an image as the agent does; what is wrong with it, "" if nothing."""
    try:
        database = Database.open(where / "caselink.db", where / "caselink.key")
    except CaselinkError as error:
        return f"it does not open: {error}"
    try:
        local_token(where / "caselink.token")
        conn = database.conn
        pages = [row for (row,) in conn.execute("PRAGMA integrity_check(3)").fetchall()]
        if pages != ["ok"]:
            return f"damaged: {pages}"
        last, tail, _ = journal.tail(conn)
        if last < promised:
            return f"lost: row {promised} was promised, row {last} is the last"
        if promised and next(journal.rows(conn, promised)).hash != promises.hashes[promised]:
            return f"row {promised} is not the one that was promised"
        # A transaction whose sync failed may be on the disk all the same: nobody was told.
        full = full or (last > 0 and promises.hashes.get(last) != tail)
        problems = verify(conn, where).problems if full else []
        return f"contradicts itself: {problems}" if problems else ""
    except CaselinkError as error:
        return f"it does not open: {error}"
    except Exception as error:  # noqa: BLE001 - whatever SQLite says of a damaged file
        return f"damaged: {error!r}"
    finally:
        database.close()


def campaign(folder: Path, images: int, bottles: int, seed: int, synchronous: str = "") -> Tally:
    """Record a run and cut it; in two processes if there is much to do."""
    agent = None
    if synchronous:
        changed = DEFENCE.replace("FULL", synchronous)
        agent = mutant(folder / "source", DEFENCE, changed)
    run = record(folder / "run", bottles, seed=seed, agent=agent)
    promises = Promises(run)
    parts = 2 if images > 2000 else 1
    jobs = [(run.calls, promises, images // parts, seed + part) for part in range(parts)]
    tally = Tally()
    if parts == 1:
        tally.add(cut(*jobs[0]))
        return tally
    with get_context("fork").Pool(parts) as pool:
        for part in pool.starmap(cut, jobs):
            tally.add(part)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--bottles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synchronous", choices=["NORMAL", "OFF"], default="")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="caselink-") as folder:
        tally = campaign(Path(folder), given.images, given.bottles, given.seed, given.synchronous)
    print(tally, f"in {time.monotonic() - began:.0f} s")
    for note in tally.notes[:10]:
        print(" ", note)
    for kind, count in tally.kinds.most_common():
        print(f"  {count:,} {kind}")
    return 1 if tally.lost or tally.corrupt else 0


if __name__ == "__main__":
    sys.exit(main())
