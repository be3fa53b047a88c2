"""uvicorn as a guest in the agent's own loop: an application on a port, until told to stop."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from starlette.types import Message

from agent.core.errors import ConfigError, TransientError
from agent.web.door import BACKLOG, Door, Limits, Unhurried
from agent.web.live import Hub

STOP_SECONDS = 3
"""What uvicorn gives open connections when it stops."""

_STUCK_MS = 10_000
"""A peer that acknowledges nothing for so long is cut off by the kernel."""


class _Uvicorn(uvicorn.Server):
    """The signals are ours, and `up` says when it listens. With `limits` our door takes the
    connections."""

    def __init__(
        self, config: uvicorn.Config, up: asyncio.Event, limits: Limits | None = None
    ) -> None:
        super().__init__(config)
        self._up = up
        self._limits = limits
        self._door: Door | None = None
        self._taking: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._limits is None or sockets is None:
            await super().startup(sockets=sockets)
        else:
            self.servers = []
            self._door = Door(sockets[0], self.config.ssl, self._protocol, self._limits)
            self._taking = asyncio.create_task(self._door.run(), name="door")
            self.started = True
        self._up.set()

    def _protocol(self) -> Unhurried:
        return Unhurried(self.config, self.server_state, {})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})
        await super().shutdown(sockets=sockets)
        if self._door is not None:
            await self._door.close()


class WebServer:
    """Serves an application inside the running loop, by https where `tls` is given; with `limits`
    for peers that nobody knows (door).

    `run()` is the task to supervise; `started()` waits until it listens and `port` says where
    (for port 0); `stop()` ends it within about STOP_SECONDS. `setting` names the port's key in the
    site file.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        setting: str = "web.port",
        limits: Limits | None = None,
    ) -> None:
        """Binds at once. ConfigError when host and port cannot be had."""
        self._up = asyncio.Event()
        self._app = app
        self._socket = _listen(host, port, setting)
        self._port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=Unhurried,
            ws="websockets-sansio",
            ws_max_size=4096,  # a panel has nothing to say on the feed
            ws_per_message_deflate=False,  # a snapshot is encoded once for all, not once per client
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=256,
            backlog=BACKLOG,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        self._server = _Uvicorn(config, self._up, limits)

    @property
    def port(self) -> int:
        return self._port

    async def run(self) -> None:
        """Serve until stop() or cancellation."""
        try:
            await asyncio.to_thread(lambda: asyncio.run(_build_routes(self._app)))
            serving = asyncio.create_task(
                self._server.serve(sockets=[self._socket]), name="web server"
            )
            try:
                await asyncio.wait({serving})
            finally:
                self.stop()
                await asyncio.wait({serving})  # bounded by STOP_SECONDS
        finally:
            self._socket.close()
        serving.result()

    async def started(self, timeout: float = 10.0) -> None:
        """Wait until it listens; TransientError if it does not within `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise TransientError("The web server did not start in time.") from None

    def stop(self) -> None:
        """Ask the server to end; `run()` returns when it has."""
        self._server.should_exit = True


class PanelServer(WebServer):
    """Serves an application of create_app and feeds its hub; if the feed fails, it ends: loud."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(app, host, port)
        self.hub: Hub = app.state.hub

    async def run(self) -> None:
        feed = asyncio.create_task(self.hub.run(), name="live feed")
        serving = asyncio.create_task(super().run(), name="panel server")
        try:
            await asyncio.wait({feed, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            await asyncio.wait({feed, serving})  # bounded by STOP_SECONDS
        for task in (feed, serving):
            task.result()

    def stop(self) -> None:
        self.hub.close()
        super().stop()


async def _build_routes(app: FastAPI) -> None:
    """Ask for what is not there. FastAPI builds its routes at the first request, which takes 0.1 s:
    in the agent's own loop a line would wait for it."""
    asked = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/nowhere",
        "raw_path": b"/nowhere",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None:
        """Nobody listens."""

    await app(asked, receive, send)


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit these. Without the second an answer's body waits for its head
        # to be acknowledged, which a peer does 40 ms later.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)  # who comes before it serves waits
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"web: cannot listen on {host}:{port} ({error.strerror}); another program may be using "
            f"it: choose another {setting}, or stop that program"
        ) from error
    listener.setblocking(False)
    return listener
