"""How /api/pda/v1 answers: refusals in the caller's language, work in threads of its own."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.services.access import Access
from agent.services.rates import TooMany
from agent.services.uploads import Rewind
from agent.web.words import refusal, wanted_language

log = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 4
WAITING = 64
"""Requests that may wait for a thread; more are told to come again."""
SECONDS = 20.0
"""An answer that takes longer is not waited for."""

STATUS = {
    "not_enrolled": 401,
    "bad_signature": 401,
    "replayed": 401,
    "not_logged_in": 401,
    "pin_wrong": 401,
    "no_users": 403,
    "pin_wait": 403,
    "too_many": 429,
    "device_revoked": 403,
    "enrol_unknown": 403,
    "enrol_used": 403,
    "enrol_expired": 403,
    "insecure": 403,
    "item_forged": 403,
    "not_allowed": 403,
    "query_closed": 401,
    "document_unknown": 404,
    "unknown_document": 404,
    "unknown_code": 404,
    "key_wrong": 422,
    "not_in_order": 422,
}
"""By reason; every other one is 409."""


class Workers:
    """A few threads of its own: PDAs wait for one another, and the line not for them."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pda")
        self._inside = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Carry it out. TransientError: too many wait, or no answer in time (it may still be
        carried out)."""
        if self._inside >= WAITING:
            raise TransientError("Too many PDAs ask at once: try again in a moment.")
        self._inside += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._left)
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.shield(future)
        except TimeoutError:
            raise TransientError("No answer in time: try again.") from None

    def _left(self, future: "asyncio.Future[Any]") -> None:
        self._inside -= 1
        if not future.cancelled():
            future.exception()  # whoever gave up on it does not ask any more

    def close(self) -> None:
        """Take nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def pda_route(access: Access, instead: Mapping[str, Handler]) -> type[APIRoute]:
    """The class of routes that answer our errors as `{"reason", "message"}` in zh or en.

    Who failed too often lately (`access.failures`, by address) is sent away before its body is
    read as JSON: that is done in the event loop that the line shares, and before anybody knows
    whose signature it is.

    `instead`, by name of the endpoint: who answers in its place, from the bare request. What
    FastAPI does to read a request takes the loop longer than all the rest of a scan, so that what
    every scan comes through reads its own; the endpoint says what there is to read.
    """

    return type("PdaRoute", (_PdaRoute,), {"access": access, "instead": instead})


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client is not None else ""


class _PdaRoute(APIRoute):
    access: ClassVar[Access]
    instead: ClassVar[Mapping[str, Handler]]

    def get_route_handler(self) -> Handler:
        handler = self.instead.get(self.name) or super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                self.access.failures.wait(address(request))
                return await handler(request)
            except DomainError as error:
                return _refused(request, STATUS.get(error.reason, 409), error.reason, error)
            except TransientError as error:
                log.warning("a PDA is told to try again: %s", error)
                return _refused(request, 503, "try_later", error, after=2)
            except ConfigError as error:
                log.error("a PDA met a mistake in the configuration: %s", error)
                return _refused(request, 500, "config", error)
            except RequestValidationError as error:
                self._count(request)
                return _refused(request, 422, "bad_request", error, where=_places(error))
            except HTTPException as error:  # a body that is no JSON
                self._count(request)
                return _refused(request, error.status_code, "bad_request", error)

        return answer

    def _count(self, request: Request) -> None:
        """Nonsense costs as much as a wrong signature."""
        with suppress(TooMany):
            self.access.failures.take(address(request))


def _refused(
    request: Request,
    status: int,
    reason: str,
    error: Exception,
    *,
    after: int = 0,
    where: str = "",
) -> JSONResponse:
    language = wanted_language(request.headers.get("accept-language", ""))
    message = refusal(language, reason, str(error))
    said: dict[str, Any] = {
        "reason": reason,
        "message": f"{message} ({where})" if where else message,
    }
    if isinstance(error, Rewind):
        said["upto"] = error.upto
    if isinstance(error, TooMany):
        after = error.after
    headers = {"retry-after": str(after)} if after else {}
    return JSONResponse(said, status, headers)


def _places(error: RequestValidationError) -> str:
    """Which fields; never what was sent, which may be long or secret."""
    return "; ".join(
        f"{'.'.join(str(part)[:64] for part in item['loc'])}: {item['msg'][:120]}"
        for item in error.errors()[:8]
    )
