"""The processes of the chaos: agents with a line's record, consumers, a broker, each behind its own
proxy, each killed and started again by its pid.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tomli_w

from agent.core.known import Clock
from agent.demo import scene as scenes
from agent.demo.simulate import SimOptions, simulate
from agent.services import pool_files
from agent.store import journal, outbox
from agent.store.database import Connection, Database
from agent.store.writer import Writer
from tests.faults import chaos_agent
from tests.faults.meddler import Meddler

ROOT = Path(__file__).resolve().parents[2]
DAYS = 30
DAY_MS = 86_400_000
OFFLINE = 0.4
"""The share of a shift that was recorded in the days before the agent got a way to the cloud."""
LAST = 40
"""Rows that are recorded when all else is over."""
END_SECONDS = 30.0
SHIFTS = (("bottling", "multiread"), ("liquor", "multiread"))
"""Sites whose codes are never the same."""


class Part:
    """A process that is killed and started again, in the source tree `source`."""

    def __init__(
        self, name: str, words: Sequence[str], proxy: Meddler, source: Path, log: Path
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.log = log
        self._words = [sys.executable, *words]
        self._source = source
        self._process: subprocess.Popen[bytes] | None = None
        self._before = 0

    def start(self) -> None:
        """Start it."""
        self._before = self._sent
        # Ours before any other that is installed.
        env = {**os.environ, "PYTHONPATH": str(self._source)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, cwd=self._source, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip

    @property
    def _sent(self) -> int:
        return self.proxy.came["up evt"] + self.proxy.came["up ack"]

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    @property
    def working(self) -> bool:
        """Whether it has sent something since its start."""
        return self.up and self._sent > self._before

    def fallen(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_SECONDS)
            self._process = None

    def end(self) -> int:
        """Ask it to end; its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(END_SECONDS)
        finally:
            self.kill()


class Box:
    """An agent's folder: the record of a shift, its store, its site file. `rows` has the shift, so
    many of them (`offline`) are recorded before it has a way to the cloud."""

    def __init__(self, folder: Path, number: int, rows: int, offline: int) -> None:
        self.folder, self.number = folder, number
        self.rows, self.offline = rows, offline

    @classmethod
    def make(cls, folder: Path, number: int, seed: int, bottles: int) -> "Box":
        """Simulate a shift, and record what is of the days before."""
        site, pack = SHIFTS[number % len(SHIFTS)]
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="caselink-") as scratch:
            there = Path(scratch)
            simulate(SimOptions(bottles, troubles="harsh", pack=pack, site=site, keep=there), seed)
            shutil.move(there / f"seed-{seed}", folder / "shift")
            pools = scenes.make_pools(scenes.SCENES[site], bottles, seed, there)
            shift = chaos_agent.groups(folder)
            rows, offline = sum(map(len, shift)), 0
            store = folder / "var" / "caselink.db"
            store.parent.mkdir()
            database = Database.open(store, store.with_suffix(".key"))
            try:
                conn = database.conn
                begin = time.time_ns() // 1_000_000 - DAYS * DAY_MS - 60_000
                writer = Writer(conn)
                for plan in scenes.SCENES[site].pools:
                    read = pool_files.read_file(pools[plan.declared.name], plan.declared)
                    pool_files.keep_in_steps(writer.run_inline, read, Clock(begin, 0, "synced"))
                for group in shift:
                    if offline > OFFLINE * rows:
                        break
                    ms = round(offline / (OFFLINE * rows) * DAYS * DAY_MS)
                    at = Clock(begin + ms, ms, "synced")
                    writer.run_inline(lambda conn, g=group, at=at: chaos_agent.put(conn, g, at))  # type: ignore[misc]
                    offline += len(group)
            finally:
                database.close()
        chaos_agent.allow(folder, offline)
        return cls(folder, number, rows, offline)

    def copy(self, folder: Path) -> "Box":
        """The same, to be played elsewhere."""
        shutil.copytree(self.folder, folder)
        return Box(folder, self.number, self.rows, self.offline)

    def configure(self, url: str) -> None:
        """Give it a way to the cloud."""
        data = {
            "agent": {"id": f"edge-{self.number}"},
            "sync": {"url": url, "tenant": "chaos", "site": "plant"},
        }
        (self.folder / "site.toml").write_text(tomli_w.dumps(data), "utf-8")

    def allow(self, rows: int) -> None:
        """Let so many rows of the shift be recorded by now, at most."""
        chaos_agent.allow(self.folder, rows)


def standing(conn: Connection) -> tuple[int, int, int]:
    """Rows of the shift that are recorded, the journal's last row, the one that is acknowledged by
    the agent's own word."""
    conn.tail = None
    return chaos_agent.written(conn), journal.tail(conn)[0], outbox.acked(conn).seq


def choose(dice: random.Random, parts: Sequence[Part]) -> Part | None:
    """One that is at work, now and then one that only begins."""
    able = [part for part in parts if part.working or (part.up and dice.random() < 0.1)]
    return dice.choice(able) if able else None
