"""Brokers for the tests: mosquitto of this machine, iotcore in a process of its own; and a TCP
proxy that cuts, stalls and forgets connections."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.demo.scene import free_ports
from sync.embedded import broker_config

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PATIENCE = 15.0

needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: tests/install_needed does it"
)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    return free_ports(1)[0]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


class BrokerProcess:
    """A broker that can be killed and started again on the same port."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.port = port
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while not _answers(self.port):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End it, at once unless another signal is named."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def mosquitto(
    folder: Path, *, lines: Sequence[str] = (), listener: Sequence[str] = ()
) -> BrokerProcess:
    """Debian's mosquitto on a free port of this machine; not started yet. `lines` go into its
    configuration (default: anyone may come, nothing is kept)."""
    assert MOSQUITTO is not None
    port = free_port()
    config = folder / f"mosquitto-{port}.conf"
    config.write_text(
        "\n".join(
            [
                *(lines or ["allow_anonymous true", "persistence false"]),
                "user root",
                f"listener {port} 127.0.0.1",
                *listener,
            ]
        )
        + "\n"
    )
    log = folder / f"mosquitto-{port}.log"
    return BrokerProcess([MOSQUITTO, "-c", str(config)], port, log)


def iotcore(folder: Path) -> BrokerProcess:
    """The embedded broker, in a process of its own so that it can be killed."""
    port = free_port()
    config = folder / f"iotcore-{port}.toml"
    config.write_text(broker_config(port))
    log = folder / f"iotcore-{port}.log"
    return BrokerProcess([sys.executable, "-m", "iotcore", "--config", str(config)], port, log)


@contextmanager
def running(broker: BrokerProcess) -> Iterator[BrokerProcess]:
    """The broker, started; killed at the end."""
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Proxy:
    """TCP from `port` to another port of this machine, and what can go wrong on the way.

    `cut` ends every connection; while `stalled` nothing passes and nobody is told (a half-open
    link); while `refusing` new connections end at once.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self.refusing = False
        self.port = 0
        self.passed = 0
        """Bytes from the client to the target."""

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._pair, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def stall(self) -> None:
        self._flow.clear()

    def flow(self) -> None:
        self._flow.set()

    async def cut(self) -> None:
        """End every connection there is."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        writers = [writer]
        try:
            if self.refusing:
                return
            onward, back = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(back)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, back, writer, up=True))
                both.create_task(self._pump(onward, writer, back, up=False))
        except* (OSError, asyncio.CancelledError, EOFError):
            pass
        finally:
            self._pairs.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        _back: asyncio.StreamWriter,
        *,
        up: bool,
    ) -> None:
        """Carry one way until its end; `_back` leads to where `source` comes from."""
        while data := await source.read(65_536):
            await self._flow.wait()
            if up:
                self.passed += len(data)
            sink.write(data)
            await sink.drain()
        raise EOFError
