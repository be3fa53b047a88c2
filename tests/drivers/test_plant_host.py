"""The plant's process on real sockets, met by the most trivial agent there can be."""

import asyncio
import dataclasses
import http.server
import json
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from agent.core.errors import ConfigError
from drivers.sim.host import CameraSpec, Host, HostSpec, PrinterSpec, dump_spec, load_spec
from drivers.sim.layout import Feed, Layout
from drivers.sim.lines import bottling
from drivers.sim.world import RING, TRIGGER
from tests.drivers.plant_help import BODY, CASE, PALLET

DEADLINE = 20.0


def brisk(layout: Layout) -> Layout:
    """The same line in less time, with at least 0.3 s from every camera to its gate: what is
    tested here is no property of speed."""
    bottles, cases, pallets = layout.belts
    return dataclasses.replace(
        layout,
        belts=(
            dataclasses.replace(bottles, speed=600, pitch=40, length=1000),
            dataclasses.replace(cases, speed=1200),
            pallets,
        ),
    )


class Pictures(http.server.BaseHTTPRequestHandler):
    """Takes every picture; (path, counter, size) are kept by the server."""

    protocol_version = "HTTP/1.1"
    taken: list[tuple[str | None, int]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.headers["X-Frame-Counter"], len(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Tests stay quiet."""


@pytest.fixture
def sink() -> Iterator[http.server.ThreadingHTTPServer]:
    handler = type("Kept", (Pictures,), {"taken": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def spec(sink: http.server.ThreadingHTTPServer, folder: Path, feed: Feed) -> HostSpec:
    layout = brisk(bottling(BODY, CASE, PALLET))
    return HostSpec(
        layout=layout,
        feed=feed,
        folder=str(folder),
        cameras={name: CameraSpec(sink.server_address[1]) for name in layout.cameras()},
        printers={
            "coder": PrinterSpec("text", capacity=200),
            "case-printer": PrinterSpec("zpl", print_time=0.05),
            "pallet-printer": PrinterSpec("zpl"),
        },
        limit=DEADLINE,
        linger=0.2,
    )


class Process:
    """The plant's process and a trivial agent: every code passes."""

    def __init__(self, told: HostSpec, path: Path) -> None:
        path.write_text(json.dumps(dump_spec(told)), "utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "drivers.sim.host", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.until = monotonic() + DEADLINE
        self._text = b""
        self._beat = 0
        self._head = 0
        self.ready = self.line()["ready"]
        self.plc = ModbusTcpClient("127.0.0.1", port=self.ready["plc"], timeout=2)
        assert self.plc.connect()
        self.coder = self.connect("coder")
        self.labels = self.connect("case-printer")

    def connect(self, printer: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ready["printers"][printer]), 5)

    def line(self) -> dict[str, Any]:
        """The next line that the process says."""
        while b"\n" not in self._text:
            assert monotonic() < self.until, "the plant said nothing in time"
            assert self.process.stdout is not None
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                more = self.process.stdout.read1(65_536)  # type: ignore[attr-defined]
                assert more, f"the plant ended with {self.process.wait(5)}"
                self._text += more
        text, self._text = self._text.split(b"\n", 1)
        data: dict[str, Any] = json.loads(text)
        return data

    def print_codes(self, count: int) -> None:
        for n in range(1, count + 1):
            self.coder.sendall(f"\x02R;{n};HTTPS://Q.EXAMPLE.CN/{n:08d}\x03".encode())
            if n % 24 == 0:
                label = f"^XA^FO40,60^BQN,2,8^FDQA,HTTPS://Q.EXAMPLE.CN/C/{n // 24:06d}^FS^XZ"
                self.labels.sendall(label.encode())

    def obey(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def work(self) -> None:
        """Beat, permit, and answer every new trigger with a pass."""
        assert monotonic() < self.until
        self._beat = (self._beat + 1) & 0xFFFF
        self.plc.write_registers(0, [self._beat, 1, 0])
        head = self.plc.read_input_registers(7, count=1).registers[0]
        while self._head != head:
            start = 16 + 8 * (self._head % RING)
            entry = self.plc.read_input_registers(start, count=8).registers
            assert entry[0] == self._head
            kind, station = divmod(entry[1], 256)
            if kind == TRIGGER:
                slot = 16 + 16 * station + entry[3] % 16
                self.plc.write_registers(slot, [1 << 12 | entry[3] & 0xFFF])
            self._head = (self._head + 1) & 0xFFFF

    def finish(self) -> dict[str, Any]:
        """Work until the process says that it has finished, and wait for its end."""
        assert self.process.stdout is not None
        while not select.select([self.process.stdout], [], [], 0.01)[0]:
            self.work()
        finished: dict[str, Any] = self.line()["finished"]
        assert self.process.wait(10) == 0
        return finished

    def close(self) -> None:
        self.plc.close()
        self.coder.close()
        self.labels.close()
        self.process.kill()
        self.process.wait(5)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def test_line_runs_over_real_sockets(sink: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    plant = Process(spec(sink, tmp_path / "out", Feed(26, 54_000)), tmp_path / "spec.json")
    try:
        plant.print_codes(26)
        finished = plant.finish()
    finally:
        plant.close()
    assert finished["fed"] == 26
    (case,) = (tmp_path / "out" / "truth.jsonl").read_text("utf-8").splitlines()
    assert json.loads(case) == {
        "level": "case",
        "code": "https://q.example.cn/C/000001",
        "children": [f"https://q.example.cn/{n:08d}" for n in range(1, 25)],
        "open": False,
    }
    account = json.loads((tmp_path / "out" / "plant.json").read_text("utf-8"))
    assert account["places"] == {"packed": 24, "lane": 2}
    assert account["gates"]["verify"]["passed_good"] == 26
    assert account["good_rejected"] == []
    # 26 bottles, one open case, one label; every picture arrived whole.
    taken = sink.RequestHandlerClass.taken  # type: ignore[attr-defined]
    verify = sorted(int(counter) for counter, size in taken if size == 640 * 480)
    assert verify == sorted([*range(1, 27), 1])
    assert len(taken) == 28


def test_told_to_stop_it_runs_empty(sink: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    plant = Process(spec(sink, tmp_path, Feed(None, 54_000)), tmp_path / "spec.json")
    try:
        plant.print_codes(200)
        fed = 0
        while fed < 5:
            plant.work()
            plant.obey("progress")
            fed = plant.line()["progress"]["fed"]
        plant.process.send_signal(signal.SIGTERM)
        finished = plant.finish()
    finally:
        plant.close()
    assert finished["clean"] is True
    assert fed <= finished["fed"] < 60
    assert finished["on_belts"] == 0


def test_told_to_quit_it_writes_what_stands(
    sink: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    plant = Process(spec(sink, tmp_path, Feed(None, 54_000)), tmp_path / "spec.json")
    try:
        plant.obey("quit")
        assert plant.line()["finished"]["clean"] is False
        assert plant.process.wait(10) == 1
    finally:
        plant.close()
    assert json.loads((tmp_path / "plant.json").read_text("utf-8"))["fed"] == 0


def test_plant_ends_when_its_starter_is_gone(
    sink: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(dump_spec(spec(sink, tmp_path, Feed(None, 54_000)))), "utf-8")
    starter = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-m', 'drivers.sim.host', {str(path)!r}]\n"
        "subprocess.Popen(command, stdin=subprocess.DEVNULL)\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", starter],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert b"ready" in parent.stdout.readline()
        parent.kill()
        parent.wait(5)
        # The plant holds the other end of the pipe: it ends with the plant.
        assert select.select([parent.stdout], [], [], DEADLINE)[0]
        assert b"finished" in parent.stdout.read()


def test_stall_of_the_host_slows_the_belt(
    sink: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    """An item must not jump from its camera through its gate in one step."""

    async def play() -> tuple[float, float, float]:
        host = Host(spec(sink, tmp_path, Feed(None, 54_000)), lambda told: None)
        await host.start()
        began = monotonic()
        task = asyncio.create_task(host.drive())
        try:
            async with asyncio.timeout(DEADLINE):
                await turn(lambda: host.state()["t"] > 0)
                before = monotonic()
                while monotonic() < before + 0.4:
                    """The processor is elsewhere."""
                await turn(lambda: host.state()["stalled"] > 0)
            host.quit()
            assert await task is False
            return monotonic() - began, host.state()["t"], host.state()["stalled"]
        finally:
            await host.close()

    async def turn(done: Callable[[], bool]) -> None:
        while not done():  # noqa: ASYNC110 - the host has no event for it
            await asyncio.sleep(0)

    wall, plant, stalled = asyncio.run(play())
    assert stalled >= 0.37
    assert plant <= wall - 0.37


def test_spec_must_name_the_layouts_devices(
    sink: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    told = spec(sink, tmp_path, Feed(1, 1000))
    assert load_spec(json.loads(json.dumps(dump_spec(told)))) == told
    data = dump_spec(told)
    del data["cameras"]["layer"]
    with pytest.raises(ConfigError, match="layer"):
        load_spec(data)
    data["printers"]["coder"]["type"] = "laser"
    with pytest.raises(ConfigError, match="coder"):
        load_spec(data)


def test_wrong_spec_ends_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"layout": 7}', "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "drivers.sim.host", str(path)],
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2
    assert b"simulated plant: plant: " in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_is_away_cannot_be_reached_and_comes_back_where_it_was(
    sink: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    async def play() -> None:
        host = Host(spec(sink, tmp_path, Feed(1, 36_000)), lambda said: None)
        ports = await host.start()
        coder, plc = ports["printers"]["coder"], ports["plc"]
        try:
            await host.unplug(frozenset({"plc", "coder"}))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", coder)
            assert not await asyncio.to_thread(answers, plc)
            await host.unplug(frozenset())
            _, writer = await asyncio.open_connection("127.0.0.1", coder)
            writer.close()
            assert await asyncio.to_thread(answers, plc)
        finally:
            await host.close()

    def answers(port: int) -> bool:
        client = ModbusTcpClient("127.0.0.1", port=port, timeout=0.3, retries=0)
        try:
            client.connect()
            return not client.read_input_registers(0, count=1).isError()
        except ModbusIOException:
            return False
        finally:
            client.close()

    asyncio.run(play())
