"""The wall clock goes ten years forth and back, while the agent runs and while it does not: nothing
is lost, nothing waits, the order is the journal's, and each row says what its time is worth."""

import re
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from agent import now
from agent.app import Files
from agent.clockwatch import JUMPED_MS, ClockWatch
from agent.config import load
from agent.demo.run import Child, Demo, DemoOptions, Mortal
from agent.store import journal
from agent.store.database import open_reader

YEAR = 365 * 86_400
JUMPS = (10 * YEAR, -10 * YEAR, 0)
SECONDS = 30.0
PIECE = 15
"""Good bottles between two jumps."""


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.mono, self.wall, self.is_synced = 1_000.0, 1.8e9, True

    def monotonic(self) -> float:
        return self.mono

    def wall_ns(self) -> int:
        return int(self.wall * 1e9)

    def synced(self) -> bool:
        return self.is_synced

    def pass_by(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    now.follow(hands)
    yield hands
    now.follow(now.RealTime())


def test_a_time_is_worth_what_synchronisation_says(hands: Hands) -> None:
    watch = ClockWatch()
    assert watch.quality() == "synced"
    hands.is_synced = False
    hands.pass_by(10)
    assert watch.quality() == "unsynced"
    hands.wall += 0.4  # slewed, not set
    assert watch.quality() == "unsynced"


@pytest.mark.parametrize("by", [10 * YEAR, -10 * YEAR, 2, -2])
def test_a_clock_that_jumped_is_not_trusted_until_it_is_held_again(hands: Hands, by: float) -> None:
    watch = ClockWatch()
    assert watch.quality() == "synced"
    hands.wall += by
    assert watch.quality() == "jumped"
    hands.pass_by(JUMPED_MS / 1000 - 1)
    assert watch.quality() == "jumped"
    hands.is_synced = False
    hands.pass_by(10)
    assert watch.quality() == "jumped", "nobody holds it yet"
    hands.is_synced = True
    hands.pass_by(10)
    assert watch.quality() == "synced"


@pytest.mark.parametrize(
    ("ago", "quality"),
    [(5, "synced"), (30 * 86_400, "synced"), (10 * YEAR, "jumped"), (-60, "jumped")],
)
def test_a_jump_while_nobody_ran_is_seen_at_the_start(
    hands: Hands, ago: float, quality: str
) -> None:
    watch = ClockWatch()
    watch.began_after(int((hands.wall - ago) * 1000))
    assert watch.quality() == quality


def test_this_machine_can_be_asked() -> None:
    assert now.RealTime().synced() in (True, False)


def set_clock(file: Path, seconds: int) -> None:
    new = file.with_suffix(".new")
    new.write_text(str(seconds), "ascii")
    new.rename(file)


class Jumping(Demo):
    """The demonstration with an agent whose wall clock is set again and again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            DemoOptions(bottles=None, seconds=60.0, web=False, keep=folder), lambda text: None
        )
        self._gaps = True  # a busy machine may lose a bottle; the clock must not
        self._clock = folder.with_name("clock")
        set_clock(self._clock, 0)

    def _child(self, command: list[str], folder: Path, name: str, core: int) -> Child:
        if name != "agent":
            return super()._child(command, folder, name, core)
        assert command[1:3] == ["-m", "agent.cli"]
        command[2:3] = ["tests.faults.set_clock", str(self._clock)]
        return Child(command, folder / "agent.log", None)

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        good = PIECE
        for jump in JUMPS:
            with self._client(config, agent) as client:
                self._good(client, line, good)
            set_clock(self._clock, jump)
            good += PIECE
        with self._client(config, agent) as client:
            self._good(client, line, good)
        plant.tell("stop")

    @staticmethod
    def _good(client: httpx.Client, line: str, count: int) -> None:
        end = time.monotonic() + SECONDS
        while (client.get(f"{line}/snapshot").raise_for_status().json()["good"] or 0) < count:
            assert time.monotonic() < end, f"not {count} good bottles in time"
            time.sleep(0.05)


def read(files: Files) -> list[journal.Entry]:
    conn = open_reader(files.database, files.key)
    try:
        return list(journal.read(conn))
    finally:
        conn.close()


def test_ten_years_forth_and_back_harm_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = Jumping(folder).run()
    assert result.good, result.notes
    config = folder / "site.toml"
    files = Files(load(config), config)
    rows = read(files)
    passed = [row for row in rows if row.kind == "ItemPassed"]
    steps = [(two.clock.wall_ms - one.clock.wall_ms) / 1000 for one, two in pairwise(passed)]
    years = [round(step / YEAR) for step in steps if abs(step) > YEAR]
    assert years == [10, -20, 10]
    assert [row.clock.mono_ms for row in rows[1:]] == sorted(row.clock.mono_ms for row in rows[1:])
    assert passed[0].clock.quality in ("synced", "unsynced")
    assert passed[-1].clock.quality == "jumped"
    log = (folder / "agent.log").read_text("utf-8", "replace")
    told = log.split("The wall clock went ")
    assert len(told) == 1 + len(JUMPS)
    assert not re.search(r"(plc|printer|camera) \S+ is lost", "".join(told[1:-1]))
    # And while nobody runs.
    clock = tmp_path / "clock"
    set_clock(clock, -10 * YEAR)
    command = [sys.executable, "-m", "tests.faults.set_clock", str(clock), "run", "--config"]
    again = Child([*command, str(config)], tmp_path / "again.log")
    try:
        again.wait_for("ready", SECONDS)
    finally:
        again.end()
    rows = read(files)
    assert [row.kind for row in rows].count("AgentStarted") == 2
    started = [row for row in rows if row.kind == "AgentStarted"][-1]
    assert started.clock.quality == "jumped"
    assert "since the agent ran last" in (tmp_path / "again.log").read_text("utf-8", "replace")
