"""/setup by plain http: how a PDA comes to trust the site, and nothing else.

Whoever can change packets in the LAN can change this page, so it shows the authority's fingerprint
for comparison and asks for nothing. No secret passes here.
"""

import html
import io
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import NamedTuple

import segno
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.web.files import read_files

_HERE = Path(__file__).parent / "setup"


class Shown(NamedTuple):
    """What the page says: the authority's certificate as DER and its SHA-256 (hex), and the
    addresses of the app by https, the first of them for the QR."""

    ca: bytes
    fingerprint: str
    apps: tuple[str, ...]


def create_setup_app(shown: Callable[[], Shown | None]) -> FastAPI:
    """The application; `shown` is None while there is no certificate."""
    app = FastAPI(title="caselink setup", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(_Headers, shown=shown)
    files = read_files(_HERE)
    page = Template(files["page.html"].content.decode())

    @app.get("/")
    async def root() -> RedirectResponse:
        return RedirectResponse("/setup")

    @app.get("/setup")
    async def setup() -> Response:
        told = shown()
        if told is None:
            return Response(
                "还没有证书：请在边缘机上运行 caselink tls init。\n"
                "There is no certificate yet: run `caselink tls init` on the agent's machine.\n",
                503,
                media_type="text/plain; charset=utf-8",
            )
        tests = "\n".join(
            f'<li><code>{html.escape(url)}</code> <span data-url="{html.escape(url)}version.json">'
            "…</span></li>"
            for url in told.apps
        )
        parts = told.fingerprint.upper()
        return HTMLResponse(
            page.substitute(
                fingerprint=" ".join(parts[n : n + 4] for n in range(0, len(parts), 4)),
                tests=tests,
                app=html.escape(told.apps[0]),
            )
        )

    @app.get("/setup/ca.crt")
    async def ca() -> Response:
        told = shown()
        if told is None:
            return Response(status_code=404)
        return Response(told.ca, media_type="application/x-x509-ca-cert")

    @app.get("/setup/qr.svg")
    async def qr() -> Response:
        told = shown()
        if told is None:
            return Response(status_code=404)
        return Response(qr_svg(told.apps[0]), media_type="image/svg+xml")

    @app.get("/setup/{name}")
    async def file(name: str) -> Response:
        found = files.get(name) if name in ("setup.css", "setup.js") else None
        if found is None:
            return Response(status_code=404)
        return Response(found.content, media_type=found.media_type)

    return app


def qr_svg(text: str) -> str:
    """A QR of a text as an SVG without a style of its own."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out,
        kind="svg",
        scale=4,
        border=4,
        svgclass=None,
        lineclass=None,
        light="#fff",
        omitsize=True,
        xmldecl=False,
    )
    return out.getvalue().decode()


class _Headers:
    """The page may ask the app's addresses, for its self-test, and nobody else."""

    def __init__(self, app: ASGIApp, *, shown: Callable[[], Shown | None]) -> None:
        self._app = app
        self._shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        told = self._shown()
        asked = " ".join(url.split("/pda/")[0] for url in told.apps) if told else "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            f"connect-src {asked}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        extra = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        }

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = [(k.encode(), v.encode("latin-1")) for k, v in extra.items()]
                message["headers"] = [*message.get("headers", []), *names]
            await send(message)

        await self._app(scope, receive, hardened)
