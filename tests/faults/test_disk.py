"""A disk that is full, and one that fails to sync: the line comes down gently and says why, nothing
that was promised is lost, and it goes on by itself when the disk does."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.demo.run import Child, Demo, DemoOptions, Mortal
from agent.store import journal
from agent.store.database import open_reader
from agent.store.verify import verify
from tests.faults.power_cut import cut
from tests.faults.recording import Promises, record

SIZE = 48
"""MB of the file system that is filled."""
SECONDS = 30.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    where = tmp_path / "disk"
    where.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(where)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


class FullDisk(Demo):
    """The demonstration on a file system that is full for a while."""

    def __init__(self, disk: Path) -> None:
        keep = disk / "run"
        super().__init__(
            DemoOptions(bottles=None, seconds=90.0, web=False, keep=keep), lambda text: None
        )
        self._gaps = True
        self._disk = disk
        self._data = keep / "var"
        self.seen: dict[str, Any] = {}

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        with self._client(config, agent) as client:
            self._until(client, line, _good(25), "no bottle came through")
            ballast = self._disk / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError as full:
                    self.seen["error"] = full.errno
            before = self._until(client, line, _held, "nobody says that the disk is full")
            self.seen["alarms"] = {alarm["key"] for alarm in before["alarms"]}
            kept = self._tail()
            self._stands(plant)
            self.seen["good"] = self._now(client, line)["good"] - before["good"]
            self.seen["kept"] = self._tail()[: len(kept)] == kept
            ballast.unlink()
            after = self._until(client, line, _good(before["good"] + 25), "it does not go on")
            self.seen["after"] = {alarm["key"] for alarm in after["alarms"]}
        plant.tell("stop")

    @staticmethod
    def _stands(plant: Child) -> None:
        """Wait until nothing more is fed."""
        end = time.monotonic() + SECONDS
        fed, before = _fed(plant), -1
        while fed != before:
            assert time.monotonic() < end, "the line does not come down"
            time.sleep(1.0)
            fed, before = _fed(plant), fed

    def _tail(self) -> list[bytes]:
        conn = open_reader(self._data / "caselink.db", self._data / "caselink.key")
        try:
            return [row.hash for row in journal.rows(conn)]
        finally:
            conn.close()

    @staticmethod
    def _now(client: httpx.Client, line: str) -> dict[str, Any]:
        return dict(client.get(f"{line}/snapshot").raise_for_status().json())

    def _until(
        self, client: httpx.Client, line: str, there: Callable[[dict[str, Any]], object], why: str
    ) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while not there(now := self._now(client, line)):
            assert time.monotonic() < end, f"{why}: {now['state']}, {now['alarms']}"
            time.sleep(0.05)
        return now


def _held(now: dict[str, Any]) -> bool:
    return any(alarm["key"] == "store_failed" for alarm in now["alarms"])


def _fed(plant: Child) -> int:
    plant.said.pop("progress", None)
    plant.tell("progress")
    return int(plant.wait_for("progress", SECONDS)["fed"])


def _good(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda now: (now["good"] or 0) >= count


def test_a_full_disk_stops_the_line_gently_and_it_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    demo = FullDisk(small_disk)
    result = demo.run()
    assert demo.seen["error"] == 28, "ENOSPC"
    assert "store_failed" in demo.seen["alarms"]
    assert "store_failed" not in demo.seen["after"]
    assert demo.seen["good"] <= 3, "nothing passes that is not kept"
    assert demo.seen["kept"], "rows are gone"
    assert result.good, result.notes
    log = (small_disk / "run" / "agent.log").read_text("utf-8", "replace")
    assert "Traceback" not in log
    assert "this is a bug" not in log
    conn = open_reader(
        small_disk / "run" / "var" / "caselink.db", small_disk / "run" / "var" / "caselink.key"
    )
    try:
        assert verify(conn, small_disk).problems == []
    finally:
        conn.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_sync_that_fails_promises_nothing(tmp_path: Path) -> None:
    """Sixteen syncs in a row fail; whatever is promised before and after survives a power cut."""
    run = record(tmp_path / "run", 60, inject="fsync,fdatasync:error=EIO:when=120..136")
    log = (tmp_path / "run" / "agent.log").read_text("utf-8", "replace")
    assert "could not be written" in log
    assert "Traceback" not in log
    trace = (tmp_path / "run" / "strace.log").read_text("ascii", "replace")
    assert trace.count("(INJECTED)") >= 10
    tally = cut(run.calls, Promises(run), 150, 1)
    assert (tally.lost, tally.corrupt) == (0, 0), tally.notes[:5]
