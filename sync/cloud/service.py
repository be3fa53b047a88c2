"""The consumer as a program: database, broker and answers, until it is told to stop."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from agent.core.errors import ConfigError
from sync.cloud.consumer import Consumer, now_ms
from sync.cloud.courier import Courier
from sync.cloud.database import Database, open_database
from sync.cloud.follower import Follower
from sync.cloud.shards import ALL, Shard
from sync.cloud.sqlite import Sqlite, only_consumer
from sync.cloud.web import create_app
from sync.mqtt import Broker
from sync.uris import BASE

SWITCH_SECONDS = 0.0002
"""How long a thread keeps the interpreter from another: with the usual 5 ms every answer of the
database waits so long while the next batch is prepared."""
GARBAGE = 20_000
"""New objects after which the interpreter looks for circles among them."""
LONGEST = 60.0
"""Seconds that one transaction may take before the consumer counts as stuck."""


def quicken() -> None:
    """Set up the interpreter for two threads that make and drop rows by the ten thousand, none of
    them in a circle: as it comes it takes a fifth of the time to look for some, and looks through
    all modules each time."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(GARBAGE)


@dataclass(frozen=True, slots=True)
class Settings:
    """See `caselink cloud run --help`."""

    db: str
    broker: str
    http: str = ""
    client: str = "caselink-cloud"
    group: str = "caselink"
    base: str = BASE
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    shard: str = "1/1"


class Service:
    """Runs once. `address` is where the answers are, "" = nowhere; valid once `ready` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ready = asyncio.Event()
        self.address = ""
        self._stop = asyncio.Event()
        self._consumer: Consumer | None = None
        self._shard = ALL

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def alive(self) -> bool:
        """Whether its loops turn. Without a broker they do: it is not the consumer that is ill."""
        consumer = self._consumer
        if consumer is None or not consumer.counts.connected:
            return True
        return time.monotonic() - consumer.counts.beat < LONGEST

    async def run(self) -> None:
        """Until `stop`. ConfigError: something in the settings cannot be."""
        settings = self.settings
        broker = Broker(settings.broker, settings.client, settings.ca, settings.cert, settings.key)
        broker.place()
        self._shard = Shard.parse(settings.shard)
        quicken()
        listener = _listen(settings.http) if settings.http else None
        try:
            database = open_database(settings.db)
            try:
                if isinstance(database, Sqlite):
                    with only_consumer(database.path):
                        await self._both(database, broker, listener)
                else:
                    await self._both(database, broker, listener)
            finally:
                database.close()
        finally:
            if listener is not None:
                listener.close()

    async def _both(
        self, database: Database, broker: Broker, listener: socket.socket | None
    ) -> None:
        courier = Courier(database, now_ms)
        self._consumer = Consumer(
            database, broker, self.settings.group, courier=courier, shard=self._shard
        )
        follower = Follower(database, now_ms, self.settings.base)
        tasks = [asyncio.create_task(self._consumer.run(), name="consumer")]
        server: uvicorn.Server | None = None
        if listener is not None:
            app = create_app(database, now_ms, self.settings.base)
            server = _Server(
                uvicorn.Config(
                    app,
                    http="h11",
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    limit_concurrency=256,
                    timeout_keep_alive=5,
                    timeout_graceful_shutdown=3,
                )
            )
            host, port = listener.getsockname()[:2]
            self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            tasks.append(asyncio.create_task(server.serve([listener]), name="answers"))
        stopping = asyncio.create_task(self._stop.wait())
        follower.start()
        tasks.append(asyncio.create_task(_as_task(follower.ended), name="follower"))
        self.ready.set()
        try:
            await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            tasks[0].cancel()
            if server is not None:
                server.should_exit = True
            await asyncio.to_thread(follower.close)
            await asyncio.wait({*tasks, stopping})
            if server is not None:
                server.config.app.state.pool.close()  # type: ignore[union-attr]
        for task in tasks:
            if not task.cancelled():
                task.result()


async def _as_task(ended: Future[None]) -> None:
    await asyncio.wrap_future(ended)


class _Server(uvicorn.Server):
    """uvicorn as a guest in our loop: the signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: str) -> socket.socket:
    """A listening socket. ConfigError: host:port cannot be had."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"--http {address} is no address: write host:port, e.g. 127.0.0.1:8090.")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: else a body waits for its head to be acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--http {address} cannot be listened on ({error.strerror}): another program may use "
            "it; choose another port."
        ) from error
    listener.setblocking(False)
    return listener
