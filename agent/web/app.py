"""The web room: the panel's files, its API and its live feed in one FastAPI application."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from agent.refusals import answer_errors
from agent.web.api import WebServices, api_router
from agent.web.auth import COOKIE, Sessions
from agent.web.files import build_of, files_router, read_files
from agent.web.guard import Guard
from agent.web.lan import answer_not_there
from agent.web.live import Hub, Watched, live_router
from agent.web.pda_page import PREFIX as PDA_PREFIX
from agent.web.pda_page import pda_files
from agent.web.server import PanelServer

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
PANEL = _HERE / "panel"
STATIC = _HERE / "static"
WAREHOUSE = _HERE / "warehouse"
DEVICES = _HERE / "device"

__all__ = ["PanelServer", "create_app"]

_NOT_THERE = frozenset({"unknown_line", "unknown_code"})


def create_app(
    services: WebServices,
    *,
    names: Sequence[str] = (),
    token: str = "",
    routers: Sequence[APIRouter] = (),
    changes: Mapping[str, Callable[[], int]] = MappingProxyType({}),
) -> FastAPI:
    """The application, with its hub in `app.state.hub` (fed while `PanelServer.run` runs).

    `names` are host names of this box beside localhost, `token` the command line's bearer token
    (auth.local_token; "" = none), `routers` more routes, behind the same gate and tried first;
    `changes` gives for each party with a warehouse the number that its pages watch (live).
    """
    sessions = Sessions()
    app = FastAPI(
        title="caselink",
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's pages load from a CDN
        redoc_url=None,
    )
    watched = Watched(services, changes)
    app.state.hub = hub = Hub(watched)
    app.add_middleware(Guard, sessions=sessions, names=tuple(names), token=token)
    answer_errors(app, _status)
    answer_not_there(app)
    for router in (*routers, api_router(services), live_router(hub, watched)):
        app.include_router(router)
    panel, more = (
        read_files(PANEL),
        {"warehouse": read_files(WAREHOUSE), "devices": read_files(DEVICES)},
    )
    beside = {f"{at}/{name}": file for at, found in more.items() for name, file in found.items()}
    build = build_of({**panel, **beside})

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
        return RedirectResponse("/panel/" if services.lines() else "/warehouse/")

    static = read_files(STATIC)
    app.include_router(files_router("/panel", panel))
    app.include_router(files_router("/static", static))
    for at, found in more.items():
        app.include_router(files_router(f"/{at}", found))
    pda = pda_files({"/panel": panel, "/static": static})
    app.include_router(files_router(PDA_PREFIX, pda))
    return app


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"


def _status(reason: str) -> int:
    return 404 if reason in _NOT_THERE else 409
