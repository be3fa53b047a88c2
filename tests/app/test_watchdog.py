"""systemd hears that the agent is ready, and that it is alive while every loop turns."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.app import watchdog
from agent.notify import Notifier
from agent.vision.workers import VisionWorkers

SECONDS = 30.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(SECONDS)
        yield end


def heard(end: socket.socket) -> list[str]:
    return end.recv(4096).decode().split("\n")


def test_an_agent_says_ready_alive_and_stopping(tmp_path: Path, systemd: socket.socket) -> None:
    config = tmp_path / "site.toml"
    config.write_text('[agent]\nid = "dock"\n[web]\nport = 0\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "300000"},
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        said = [heard(systemd) for _ in range(4)]
        assert ["READY=1"] in said
        assert said.count(["WATCHDOG=1", "STATUS=running"]) == 3
        process.send_signal(signal.SIGTERM)
        last = heard(systemd)
        while last != ["STOPPING=1"]:
            assert last == ["WATCHDOG=1", "STATUS=running"]
            last = heard(systemd)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_nobody_is_fed_while_something_is_stuck(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    stuck = [["line-1/writer"], ["line-1/writer"], []]

    async def probe(longest: float) -> list[str]:
        return stuck.pop(0)

    async def main() -> None:
        feeding = asyncio.create_task(watchdog.feed(Notifier(systemd.getsockname()), probe))
        try:
            for told in ("STATUS=stuck: line-1/writer", "STATUS=stuck: line-1/writer"):
                assert await asyncio.to_thread(heard, systemd) == [told]
            assert (await asyncio.to_thread(heard, systemd))[0] == "WATCHDOG=1"
        finally:
            feeding.cancel()

    asyncio.run(main())


def test_without_systemd_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    async def probe(longest: float) -> list[str]:
        raise AssertionError("nobody asked")

    asyncio.run(watchdog.feed(Notifier(), probe))


def test_vision_threads_that_are_all_busy_do_not_answer() -> None:
    async def main() -> None:
        vision = VisionWorkers(1)
        hold, held = threading.Event(), threading.Event()

        def hang() -> None:
            held.set()
            hold.wait(SECONDS)

        try:
            assert await vision.answers(SECONDS)
            hanging = asyncio.create_task(vision._run(hang, time.monotonic() + SECONDS))
            await asyncio.to_thread(held.wait, SECONDS)
            assert not await vision.answers(0.05)
            hold.set()
            await hanging
            assert await vision.answers(SECONDS)
        finally:
            hold.set()
            await vision.close()

    asyncio.run(main())
