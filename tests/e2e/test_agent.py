"""The agent as a process: without a line, with several, and with devices that misbehave."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli_w
from sqlcipher3 import dbapi2

from agent.app import Agent
from agent.config import load
from agent.core.errors import TransientError
from agent.demo.scene import free_ports

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "bottling.toml"
SECONDS = 30.0


@contextmanager
def agent(config: Path) -> Iterator[httpx.Client]:
    """A running agent and a client with the command line's rights; it must end cleanly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        panel = json.loads(process.stdout.readline())["ready"]["panel"]
        token = (config.parent / "var" / "caselink.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=panel, headers=headers, timeout=SECONDS) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        assert "did not end" not in errors
        assert "leaked" not in errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=SECONDS)


def wait_for(what: Callable[[], bool], why: str) -> None:
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until, why
        threading.Event().wait(0.05)


def write(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "site.toml"
    path.write_text(tomli_w.dumps(data), "utf-8")
    return path


def example(line: str, ports: Iterator[int]) -> dict[str, Any]:
    """The example site with a line of its own name and its own devices on these ports."""
    data = json.loads(load(EXAMPLE).model_dump_json(by_alias=True, exclude_none=True))
    data["web"]["port"] = 0
    devices = {}
    for name, section in data["devices"].items():
        where = "listen" if "listen" in section else "address"
        prefix = "" if where == "listen" else "tcp://"
        devices[f"{line}-{name}"] = {**section, where: f"{prefix}127.0.0.1:{next(ports)}"}
    data["devices"] = devices
    one = data["lines"][0]
    one["id"] = line
    one["plc"] = f"{line}-{one['plc']}"
    for station in one["stations"]:
        if station["printer"]:
            station["printer"] = f"{line}-{station['printer']}"
        for reader in station["readers"]:
            reader["device"] = f"{line}-{reader['device']}"
    return dict(data)


def test_an_agent_without_a_line_starts_and_ends(tmp_path: Path) -> None:
    config = write(tmp_path, {"agent": {"id": "warehouse-1"}, "web": {"port": 0}})
    with agent(config) as client:
        assert client.get("/api/lines").json() == {"lines": []}
        assert client.get("/panel/").status_code == 200
        missing = client.get("/api/lines/L9/snapshot")
        assert missing.status_code == 404
        assert "L9" in missing.json()["message"]
    assert (tmp_path / "var" / "caselink.key").stat().st_mode & 0o777 == 0o600


def test_an_agent_that_cannot_start_says_why_and_nothing_else(tmp_path: Path) -> None:
    """Its threads run already when a line is built; what the interpreter says at its end about
    them would bury the one line that counts."""
    data = example("A", iter(free_ports(9)))
    data["devices"]["A-plc"]["map"] = str(tmp_path / "none.toml")
    ended = subprocess.run(
        [sys.executable, "-m", "agent.cli", "run", "--config", str(write(tmp_path, data))],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert ended.returncode == 1, ended.stderr
    assert len(told) == 1, ended.stderr
    assert "register map" in told[0]


def test_two_lines_whose_devices_are_not_there_say_so(tmp_path: Path) -> None:
    ports = iter(free_ports(18))
    one, two = example("A", ports), example("B", ports)
    one["devices"].update(two["devices"])
    one["lines"] += two["lines"]
    with agent(write(tmp_path, one)) as client:
        assert client.get("/api/lines").json() == {"lines": ["A", "B"]}
        for line in ("A", "B"):

            def lost(line: str = line) -> bool:
                now = client.get(f"/api/lines/{line}/snapshot")
                return now.is_success and now.json()["state"]["packml"] == "lost"

            wait_for(lost, f"line {line} does not say that its PLC is lost")
            now = client.get(f"/api/lines/{line}/snapshot").json()
            plc = now["devices"]["list"][0]
            assert plc["state"] == "lost"
            assert plc["error"]
            wait_for(
                lambda line=line: any(  # type: ignore[misc]
                    alarm["key"] == "plc_lost"
                    for alarm in client.get(f"/api/lines/{line}/snapshot").json()["alarms"]
                ),
                "no alarm",
            )
        refused = client.post("/api/lines/A/start", json={"order": "WO-9", "by": "test"})
        assert refused.status_code == 409
        assert refused.json()["reason"] == "order_unknown"


def test_what_people_do_with_codes_goes_through_the_agent(tmp_path: Path) -> None:
    pool = tmp_path / "codes.csv"
    pool.write_text("body\nB-1\nB-2\nB-3\n", "utf-8")
    config = write(tmp_path, {"agent": {"id": "warehouse-1"}, "web": {"port": 0}})
    with agent(config) as client:
        said = {"path": str(pool), "name": "bodies", "level": "bottle", "roles": ["body"]}
        assert client.post("/api/local/pools", json=said).status_code == 201
        body: dict[str, Any] = {"reason": "torn", "by": "li", "codes": ["B-2"]}
        answer = client.post("/api/local/rework/void", json=body)
        assert (answer.status_code, answer.json()) == (200, {"done": True, "void": 1})
        again = client.post("/api/local/rework/void", json=body)
        assert (again.status_code, again.json()["reason"]) == (409, "void_already")
        assert client.get("/api/trace", params={"code": "B-2"}).json()["state"] == "void"
        rows = {**body, "codes": [], "pool": "bodies", "first": 0, "last": 0}
        assert client.post("/api/local/rework/hold", json=rows).json()["hold"] == 1
        assert client.post("/api/local/rework/hold", json={"by": "li"}).status_code == 422
        with httpx.Client(base_url=client.base_url, timeout=SECONDS) as page:
            assert page.post("/api/local/rework/void", json=body).status_code == 403


class Babbler:
    """A device that says `noise` to whoever connects, as much as it can, and reads nothing."""

    def __init__(self, noise: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        self.port = self._server.getsockname()[1]
        self.visits = 0
        self._noise = noise
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            self.visits += 1
            client.settimeout(0.2)
            try:
                while not self._over.is_set():
                    client.sendall(self._noise)
            except OSError:
                pass
            finally:
                client.close()

    def close(self) -> None:
        self._over.set()
        self._thread.join(SECONDS)
        self._server.close()


def test_devices_that_say_nonsense_stop_nothing(tmp_path: Path) -> None:
    ports = iter(free_ports(9))
    data = example("A", ports)
    babblers = {
        "A-plc": Babbler(os.urandom(4096)),
        "A-coder": Babbler(b"\x02" * 65536),
        "A-case-printer": Babbler(b"\x02030,0,0\x03\r\n" * 500),
    }
    try:
        for name, babbler in babblers.items():
            data["devices"][name]["address"] = f"tcp://127.0.0.1:{babbler.port}"
        with agent(write(tmp_path, data)) as client:
            wait_for(
                lambda: babblers["A-plc"].visits >= 2 and babblers["A-coder"].visits >= 2,
                "a device was not tried again",
            )
            camera = data["devices"]["A-verify"]["listen"]
            answer = httpx.post(f"http://{camera}/frame", content=b"no picture", timeout=SECONDS)
            assert answer.status_code >= 400
            now = client.get("/api/lines/A/snapshot").json()
            assert now["devices"]["ok"] < now["devices"]["all"]
    finally:
        for babbler in babblers.values():
            babbler.close()


def test_an_agent_whose_store_dies_of_a_bug_ends(tmp_path: Path) -> None:
    """Whoever supervises the process starts it again; alone it would run on and keep nothing."""
    config = write(tmp_path, {"agent": {"id": "warehouse-1"}, "web": {"port": 0}})

    def bug(conn: object) -> None:
        raise ZeroDivisionError("a bug")

    def broken(conn: object) -> None:
        raise dbapi2.OperationalError("disk I/O error")

    async def scene() -> None:
        agent = Agent(load(config), config, web=False)
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(SECONDS):
            await agent.ready.wait()
            assert agent.writer is not None
            agent.writer.on_rollback(bug)
            with pytest.raises(TransientError):
                await agent.writer.run(broken, 5.0)
            with pytest.raises(ZeroDivisionError):
                await running

    asyncio.run(scene())


def test_what_takes_long_at_the_start_keeps_no_line_waiting(tmp_path: Path) -> None:
    """`built` is called once, before a line is at work and before the agent says it is ready."""
    config = write(tmp_path, example("A", iter(free_ports(18))))
    told: list[tuple[bool, bool]] = []

    def at_work() -> bool:
        return "snapshot" in {task.get_name() for task in asyncio.all_tasks()}

    async def scene() -> None:
        built = Agent(
            load(config), config, built=lambda: told.append((at_work(), built.ready.is_set()))
        )
        running = asyncio.create_task(built.run())
        async with asyncio.timeout(SECONDS):
            await built.ready.wait()
            assert at_work()
            assert built.port, "the panel answers by then"
            watches = built.runner("A").watches
            await asyncio.to_thread(
                wait_for, lambda: {each.health.state for each in watches} == {"ok"}, "no camera"
            )
            built.stop()
            await running

    asyncio.run(scene())
    assert told == [(False, False)]
