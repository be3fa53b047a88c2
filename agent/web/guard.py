"""The gate in front of every request: host, origin, CSRF, body size, security headers.

Pure ASGI, so that it sees WebSockets too and can stop a body before anything reads it whole.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.web.auth import COOKIE, CSRF_HEADER, Sessions, same_token

BODY_LIMIT = 64 * 1024
"""Bytes. The largest command is a new work order, below 8 kB."""

BODY_SECONDS = 10.0
"""How long a client may take to send its body."""

SIGNED = "/api/pda/v1/"
"""Below it every request is signed by a device, which checks more than a cookie could; there are
no cookies, and a body may be as long as a queue of 200 items."""

LIMITS = {f"{SIGNED}items": 512 * 1024, "/api/v1/warehouse/import": 1024 * 1024}
"""Bytes where more than BODY_LIMIT is sent: a queue of items, a file of documents."""

_DRAIN_SECONDS = 1.0

LOCAL = "/api/local/"
"""Below it only the command line's bearer token may change anything, never a page."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

# blob: is the camera picture; connect-src names no scheme, so that 'self' covers the WebSocket.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SCANS = "/pda/"
"""Below it a page may ask for the camera of the phone it runs on, to read codes."""

_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_MAY_SCAN = _HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")


class _Refusal(Exception):
    """A request that goes no further: status, stable reason, and what a person should do."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Guard:
    """Middleware. `names` are the host names under which the panel may be opened besides the local
    ones; `token` is the command line's bearer token ("" = none)."""

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, names: Iterable[str] = (), token: str = ""
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._names = frozenset(name.lower().strip("[]") for name in (*LOCAL_NAMES, *names))
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_origin(headers)
            if scope["type"] == "websocket":
                if "origin" not in headers and not self._has_bearer(headers):
                    raise _Refusal(403, "bad_origin", "A WebSocket without Origin is refused.")
                await self._app(scope, receive, send)
                return
            body = None
            if scope["method"] not in _SAFE or scope["path"].startswith(LOCAL):
                self._check_right(headers, scope["path"])
            if scope["method"] not in _SAFE:
                body = await _read_body(receive, _limit(scope["path"]))
        except _Refusal as refusal:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})
            else:
                await _drain(receive)
                await _answer(send, refusal)
            return
        await self._app(
            scope, receive if body is None else _replay(body, receive), _hardened(scope, send)
        )

    def _check_host(self, headers: Headers) -> None:
        """Only our own names: a foreign one that resolves to us (DNS rebinding) is a trick."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._names:
            raise _Refusal(
                421,
                "bad_host",
                "The panel does not answer to this host name. "
                "Open it by a name in web.names of the configuration.",
            )

    def _check_origin(self, headers: Headers) -> None:
        site = headers.get("sec-fetch-site")
        if site in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
            raise _Refusal(403, "bad_origin", "Requests from other sites are refused.")
        origin = headers.get("origin")
        if origin is not None and not _same_origin(origin, headers["host"]):
            raise _Refusal(403, "bad_origin", "Requests from other sites are refused.")

    def _check_right(self, headers: Headers, path: str) -> None:
        if path.startswith(SIGNED) or self._has_bearer(headers):
            return
        if path.startswith(LOCAL):
            raise _Refusal(
                403, "local_only", "Only the command line of the agent's machine may do this."
            )
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if not self._sessions.valid(cookie, headers.get(CSRF_HEADER, "")):
            raise _Refusal(
                403, "csrf", "The page is older than the agent's last start. Load it again."
            )

    def _has_bearer(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and same_token(given.strip(), self._token)


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; "" for nonsense."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host and "/" not in host else ""
    except ValueError:
        return ""


def _same_origin(origin: str, host: str) -> bool:
    """Whether an Origin names the host that was asked. The scheme may be either: behind a proxy
    that ends TLS we cannot know it, and the host with its port is the same machine's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def _limit(path: str) -> int:
    return LIMITS.get(path, BODY_LIMIT)


async def _read_body(receive: Receive, limit: int) -> bytes:
    """The whole body, below `limit` bytes and within BODY_SECONDS."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _Refusal(400, "cut_off", "The request ended before its body was whole.")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _Refusal(413, "too_large", f"The request is longer than {limit} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise _Refusal(408, "too_slow", "The request's body did not arrive in time.") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out a body that was read before, once."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _hardened(scope: Scope, send: Send) -> Send:
    """A `send` that adds the security headers; nothing of the API is ever cached, and a page's
    file only after asking whether it changed."""
    cache = "no-store" if scope["path"].startswith("/api/") else "no-cache"
    scans = scope["path"].startswith(SCANS)

    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers["cache-control"] = cache
            if scans:
                headers["permissions-policy"] = _MAY_SCAN
        await send(message)

    return hardened


async def _drain(receive: Receive) -> None:
    """Read on for a moment: a connection closed with unread bytes is reset, and a reset overtakes
    the answer that says why."""
    left = 8 * BODY_LIMIT
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return


async def _answer(send: Send, refusal: _Refusal) -> None:
    body = orjson.dumps({"reason": refusal.reason, "message": str(refusal)})
    fields: Sequence[tuple[str, str]] = (
        *_HEADERS.items(),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),  # what is left of the body is not read
    )
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
