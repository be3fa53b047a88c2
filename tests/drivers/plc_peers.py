"""Modbus servers that none of us wrote, each in a process that can be frozen and killed."""

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.demo.scene import free_ports

HERE = Path(__file__).parent


def compiled(folder: Path) -> Path:
    """The C server, built here; skips where compiler or library is missing."""
    if shutil.which("gcc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("gcc and libmodbus-dev are not installed (Debian: apt install libmodbus-dev)")
    program = folder / "modbus_peer"
    command = ["gcc", "-O1", "-Wall", "-Werror", "-I/usr/include/modbus", "-o", str(program)]
    subprocess.run([*command, str(HERE / "modbus_peer.c"), "-lmodbus"], check=True, timeout=60)
    return program


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    return free_ports(1)[0]


class Peer:
    """A server process and its registers. `kill` and `start` are the power switch."""

    def __init__(self, command: list[str], address: str, unit: int = 1) -> None:
        self.address = address
        self.unit = unit
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._said() == "ready"

    def set(self, table: str, address: int, *values: int) -> None:
        for at, value in enumerate(values, address):
            assert self._ask(f"{table} {at} {value}") == "ok"

    def get(self, table: str, address: int) -> int:
        return int(self._ask(f"{table} {address} ?"))

    def freeze(self) -> None:
        """Returns when it stands: on another processor it runs on for a moment."""
        process = self._live()
        process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{process.pid}/task")
        for _ in range(100_000):
            if all(_state(each) == "T" for each in threads.iterdir()):
                return
        raise AssertionError("the peer does not stand")

    def thaw(self) -> None:
        self._live().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(5)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()

    def _live(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def _ask(self, text: str) -> str:
        pipe = self._live().stdin
        assert pipe is not None
        pipe.write(text + "\n")
        pipe.flush()
        return self._said()

    def _said(self) -> str:
        pipe = self._live().stdout
        assert pipe is not None
        assert select.select([pipe], [], [], 10)[0], "the peer says nothing"
        return pipe.readline().strip()


class Bus:
    """A serial line with one master and several slaves, all of which hear everything but
    themselves. `silences` are the pauses in seconds before each frame of the master."""

    def __init__(self, slaves: int) -> None:
        self._ends = [os.openpty() for _ in range(slaves + 1)]
        for _, far in self._ends:
            tty.setraw(far)
        self._over, self._stop = os.pipe()
        self.silences: list[float] = []
        self.cut = False
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def master(self) -> str:
        return os.ttyname(self._ends[0][1])

    def slave(self, number: int) -> str:
        return os.ttyname(self._ends[1 + number][1])

    def close(self) -> None:
        os.write(self._stop, b"x")
        self._thread.join(5)
        for descriptor in (*(fd for pair in self._ends for fd in pair), self._over, self._stop):
            os.close(descriptor)

    def _carry(self) -> None:
        nears = [near for near, _ in self._ends]
        last, asked = 0.0, False
        while True:
            ready, _, _ = select.select([*nears, self._over], [], [])
            if self._over in ready:
                return
            for near in ready:
                data = os.read(near, 512)
                now = _now()
                if near == nears[0]:
                    if not asked and last:
                        self.silences.append(now - last)
                    asked = True
                else:
                    asked = False
                last = now
                if not self.cut:
                    for other in nears:
                        if other != near:
                            os.write(other, data)


def _state(thread: Path) -> str:
    """What a thread does, one letter; T stands still."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def _now() -> float:
    import time

    return time.monotonic()


@contextmanager
def peer(kind: str, folder: Path) -> Iterator[Peer]:
    """A running server of one of KINDS."""
    if kind == "pyModbusTCP over TCP":
        port = free_port()
        command = [sys.executable, str(HERE / "modbus_peer.py"), str(port)]
        found = Peer(command, f"tcp://127.0.0.1:{port}")
    elif kind == "libmodbus over TCP":
        port = free_port()
        found = Peer([str(compiled(folder)), "tcp", str(port)], f"tcp://127.0.0.1:{port}")
    else:
        with bus(folder, 1) as (line, (found,)):
            found.address = f"serial://{line.master}?baud=19200"
            yield found
        return
    found.start()
    try:
        yield found
    finally:
        found.kill()


@contextmanager
def bus(folder: Path, slaves: int) -> Iterator[tuple[Bus, list[Peer]]]:
    """Units 1, 2 ... on one serial line."""
    program = compiled(folder)
    line = Bus(slaves)
    units = [
        Peer([str(program), "rtu", line.slave(n), str(n + 1)], "", unit=n + 1)
        for n in range(slaves)
    ]
    try:
        for each in units:
            each.start()
        yield line, units
    finally:
        for each in units:
            each.kill()
        line.close()


KINDS = ("libmodbus over TCP", "libmodbus over RTU", "pyModbusTCP over TCP")
