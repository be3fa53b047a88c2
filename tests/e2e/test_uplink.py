"""An agent with a way to the cloud, as a process: what a person sees of it, and that it goes on."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.demo.scene import free_ports
from sync.mqtt import Broker, Connection
from tests.e2e.test_agent import agent, example, wait_for, write
from tests.sync import brokers
from tests.sync.tiny import Tiny


@contextmanager
def consuming(consumer: Tiny) -> Iterator[None]:
    """The consumer in a thread of its own."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(consumer.serve())

    def serve() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)


def command(config: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", *words, "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(value: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """What it says as soon as that is good."""
    end = time.monotonic() + 30
    while not good(found := value()):
        assert time.monotonic() < end, found
        threading.Event().wait(0.1)
    return found


def test_the_journal_goes_to_the_cloud_and_on_after_a_restart(tmp_path: Path) -> None:
    broker = brokers.iotcore(tmp_path)
    sync = {"url": broker.url, "tenant": "acme", "site": "plant"}
    config = write(tmp_path, {"agent": {"id": "box"}, "web": {"port": 0}, "sync": sync})
    consumer = Tiny(broker.url)
    with brokers.running(broker), consuming(consumer):
        rows = 0
        for _ in range(2):
            with agent(config) as client:

                def status(client: Any = client) -> Any:
                    return client.get("/api/local/sync").json()

                data = until(status, lambda data, rows=rows: data.get("acked", 0) > rows)
                assert data["connected"]
                assert data["agent"] == "acme/plant/box"
                data = until(status, lambda data: data["rows"] == 0)
                assert data["acked"] == data["last"]
                nothing = {"row": 1, "by": "li", "reason": "seen"}
                refused = client.post("/api/local/sync/settle", json=nothing)
                assert (refused.status_code, refused.json()["reason"]) == (409, "nothing_parked")
                rows = data["acked"]
            kept = command(config, "sync", "status")
            assert (kept["running"], kept["acked"], kept["rows"]) == (False, rows, 0)
            assert kept["last_ack"]
    assert [first for first, _ in consumer.taken] == [1, *(b + 1 for _, b in consumer.taken[:-1])]
    assert consumer.taken[-1][1] == rows


def test_the_panel_says_what_waits_and_a_stranger_is_an_alarm(tmp_path: Path) -> None:
    """Without a broker; then with one where somebody acknowledges another journal."""
    broker = brokers.iotcore(tmp_path)
    site = example("L1", iter(free_ports(40)))
    site["sync"] = {"url": broker.url, "tenant": "acme", "site": "plant"}
    config = write(tmp_path, site)
    with agent(config) as client:

        def snapshot() -> Any:
            return client.get("/api/lines/L1/snapshot").json()

        wait_for(lambda: client.get("/api/lines/L1/snapshot").is_success, "no snapshot")
        backlog = until(lambda: snapshot()["backlog"], lambda b: bool(b["events"]))
        assert backlog["connected"] is False
        assert backlog["oldest"] > 0
        data = client.get("/api/local/sync").json()
        assert "cannot be reached" in data["error"]
        liar = Tiny(broker.url, lie="ab" * 16)
        with brokers.running(broker), consuming(liar):
            alarms = until(
                lambda: [alarm["key"] for alarm in snapshot()["alarms"]],
                lambda keys: "sync_fork" in keys,
            )
            assert alarms.count("sync_fork") == 1
            assert client.get("/api/local/sync").json()["fork"]


@brokers.needs_mosquitto
def test_what_a_killed_agent_said_last_is_taken_back(tmp_path: Path) -> None:
    """The broker carries out its will."""
    process = brokers.mosquitto(tmp_path)
    sync = {"url": process.url, "tenant": "acme", "site": "plant"}
    config = write(tmp_path, {"agent": {"id": "box"}, "web": {"port": 0}, "sync": sync})

    async def online(want: bool) -> None:
        watcher = Connection(Broker(process.url, "watcher"))
        await watcher.open()
        await watcher.subscribe("cl/v1/acme/plant/box/state")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            message = await watcher.next_message(1.0)
            if message is not None and json.loads(message.payload)["online"] is want:
                await watcher.close()
                return
        raise AssertionError(f"never online={want}")

    with brokers.running(process):
        running = subprocess.Popen(
            [sys.executable, "-m", "agent.cli", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            asyncio.run(online(True))
        finally:
            running.kill()
            running.wait(30)
        asyncio.run(online(False))


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"url": "http://x"}, "url"),
        ({"url": "mqtt://x", "cert": "a", "key": "b"}, "uses no certificates"),
        ({"url": "mqtts://x", "cert": "a"}, "belong together"),
        ({"url": "mqtts://x", "tenant": "a/b"}, "tenant"),
    ],
)
def test_a_wrong_section_is_told_by_the_check(
    tmp_path: Path, section: dict[str, str], problem: str
) -> None:
    sync = {"tenant": "acme", "site": "plant", **section}
    config = write(tmp_path, {"agent": {"id": "box"}, "sync": sync})
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "config", "check", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert problem in done.stderr + done.stdout
