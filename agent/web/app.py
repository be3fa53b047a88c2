"""The web room: the panel's files, its API and its live feed in one FastAPI application."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.web.api import WebServices, api_router
from agent.web.auth import COOKIE, Sessions
from agent.web.files import build_of, files_router, read_files
from agent.web.guard import Guard
from agent.web.live import Hub, live_router
from agent.web.pda_page import PREFIX as PDA_PREFIX
from agent.web.pda_page import pda_files

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
PANEL = _HERE / "panel"
STATIC = _HERE / "static"

STOP_SECONDS = 3
"""What uvicorn gives open connections when it stops."""

_STUCK_MS = 10_000
"""A peer that acknowledges nothing for so long is cut off by the kernel."""

_NOT_THERE = frozenset({"unknown_line", "unknown_code"})


def create_app(
    services: WebServices,
    *,
    names: Sequence[str] = (),
    token: str = "",
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application, with its hub in `app.state.hub` (fed while `PanelServer.run` runs).

    `names` are host names of this box beside localhost, `token` the command line's bearer token
    (auth.local_token; "" = none), `routers` more routes, behind the same gate.
    """
    sessions = Sessions()
    app = FastAPI(
        title="caselink",
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's pages load from a CDN
        redoc_url=None,
    )
    app.state.hub = hub = Hub(services)
    app.add_middleware(Guard, sessions=sessions, names=tuple(names), token=token)
    _answer_errors(app)
    app.include_router(api_router(services))
    app.include_router(live_router(hub, services))
    for router in routers:
        app.include_router(router)
    panel = read_files(PANEL)
    build = build_of(panel)

    @app.get("/api/session")
    async def session(request: Request, response: Response) -> dict[str, str]:
        """The CSRF token of this browser, and which panel the server would serve now."""
        cookie = request.cookies.get(COOKIE, "")
        if not 20 <= len(cookie) <= 64:
            cookie = sessions.new_cookie()
            response.set_cookie(
                COOKIE, cookie, httponly=True, samesite="strict", secure=_is_tls(request), path="/"
            )
        return {"csrf": sessions.token(cookie), "build": build}

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/panel/")

    static = read_files(STATIC)
    app.include_router(files_router("/panel", panel))
    app.include_router(files_router("/static", static))
    pda = pda_files({"/panel": panel, "/static": static})
    app.include_router(files_router(PDA_PREFIX, pda))
    return app


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"


def _answer_errors(app: FastAPI) -> None:
    """Our three kinds of errors, and what pydantic refused, as `{"reason", "message"}`."""

    @app.exception_handler(DomainError)
    async def refused(_request: Request, error: DomainError) -> JSONResponse:
        status = 404 if error.reason in _NOT_THERE else 409
        return _refusal(status, error.reason, str(error))

    @app.exception_handler(TransientError)
    async def later(_request: Request, error: TransientError) -> JSONResponse:
        return _refusal(503, "try_later", str(error))

    @app.exception_handler(ConfigError)
    async def mend(_request: Request, error: ConfigError) -> JSONResponse:
        log.error("a request met a mistake in the configuration: %s", error)
        return _refusal(500, "config", str(error))

    @app.exception_handler(RequestValidationError)
    async def misunderstood(_request: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be long, and it may be secret.
        places = [
            f"{'.'.join(str(part)[:64] for part in item['loc'])}: {item['msg']}"
            for item in error.errors()[:8]
        ]
        return _refusal(422, "bad_request", "; ".join(places))


def _refusal(status: int, reason: str, message: str) -> JSONResponse:
    return JSONResponse({"reason": reason, "message": message}, status_code=status)


class _Uvicorn(uvicorn.Server):
    """uvicorn as a guest in our own loop: the signals are ours, and `up` says when it listens."""

    def __init__(self, config: uvicorn.Config, up: asyncio.Event) -> None:
        super().__init__(config)
        self._up = up

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._up.set()


class PanelServer:
    """Serves an application of create_app inside the running loop.

    `run()` is the task to supervise; `started()` waits until it listens and `port` says where
    (for port 0); `stop()` ends it within about STOP_SECONDS.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """Binds at once. ConfigError when host and port cannot be had."""
        self.hub: Hub = app.state.hub
        self._up = asyncio.Event()
        self._socket = _listen(host, port)
        self._port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http="h11",
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
            timeout_keep_alive=5,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Uvicorn(config, self._up)

    @property
    def port(self) -> int:
        return self._port

    async def run(self) -> None:
        """Serve until stop() or cancellation. A failure of the feed ends the server: loud."""
        feed = asyncio.create_task(self.hub.run(), name="live feed")
        serving = asyncio.create_task(
            self._server.serve(sockets=[self._socket]), name="panel server"
        )
        try:
            await asyncio.wait({feed, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            await asyncio.wait({feed, serving})  # bounded by STOP_SECONDS
            self._socket.close()
        for task in (feed, serving):
            task.result()

    async def started(self, timeout: float = 10.0) -> None:
        """Wait until it listens; TransientError if it does not within `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise TransientError("The web server did not start in time.") from None

    def stop(self) -> None:
        """Ask the server to end; `run()` returns when it has."""
        self.hub.close()
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"web: cannot listen on {host}:{port} ({error.strerror}); another program may be using "
            "it: choose another web.port, or stop that program"
        ) from error
    listener.setblocking(False)
    return listener
