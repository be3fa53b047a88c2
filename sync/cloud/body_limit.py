"""How much a request may bring: little, and a pool file from whoever may send one.

The body is read before a route can ask who is there, so this looks at the head of the request.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse

from agent.core.errors import TransientError

MOST = 80_000_000
"""Bytes of a request with a pool file in it."""
MOST_OF_ANY = 1_100_000
"""Bytes of any other."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class BodyLimit:
    """In front of the application. `manages` says whether a bearer token is a manager's; it may
    block."""

    def __init__(self, app: App, manages: Callable[[str], bool]) -> None:
        self._app = app
        self._manages = manages

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (answer := await self._refusal(scope)) is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        heads = {name.lower(): value for name, value in scope["headers"]}
        if b"transfer-encoding" in heads:
            return _no(411, "length_needed", "Say how long the body is: Content-Length.")
        length = heads.get(b"content-length", b"0")
        size = int(length) if length.isdigit() and len(length) < 16 else MOST + 1
        if size <= MOST_OF_ANY:
            return None
        if size > MOST:
            return _no(
                413,
                "too_large",
                f"A request may bring {MOST:,} bytes: send a larger pool by caselink cloud "
                "send-pool.",
            )
        kind, _, token = heads.get(b"authorization", b"").decode("latin-1").partition(" ")
        try:
            if kind.lower() == "bearer" and await asyncio.to_thread(self._manages, token.strip()):
                return None
        except TransientError as error:
            return _no(503, "try_later", str(error))
        return _no(413, "too_large", "Only who may send commands may send so much.")


def _no(status: int, reason: str, message: str) -> JSONResponse:
    return JSONResponse({"reason": reason, "message": message}, status)
