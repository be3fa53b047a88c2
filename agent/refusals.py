"""Our errors as answers over HTTP, at the agent and at the cloud: `{"reason", "message"}`.

What a device's error says in the catalogue of devices comes too, as `said`.
"""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from agent.core.errors import ConfigError, DomainError, Said, TransientError, said_data

log = logging.getLogger(__name__)


def refusal(status: int, reason: str, message: str, said: Said | None = None) -> JSONResponse:
    """A stable key and what a person can act on."""
    told = {} if said is None else {"said": said_data(said)}
    return JSONResponse({"reason": reason, "message": message, **told}, status_code=status)


def answer_errors(app: FastAPI, status: Callable[[str], int]) -> None:
    """Answer our three kinds of errors, and what pydantic refused. `status` is the HTTP status of a
    DomainError with this reason."""

    @app.exception_handler(DomainError)
    async def refused(_request: Request, error: DomainError) -> JSONResponse:
        return refusal(status(error.reason), error.reason, str(error))

    @app.exception_handler(TransientError)
    async def later(_request: Request, error: TransientError) -> JSONResponse:
        return refusal(503, "try_later", str(error), error.said)

    @app.exception_handler(ConfigError)
    async def mend(_request: Request, error: ConfigError) -> JSONResponse:
        log.error("a request met a mistake in the configuration: %s", error)
        return refusal(500, "config", str(error), error.said)

    @app.exception_handler(RequestValidationError)
    async def misunderstood(_request: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be long, and it may be secret.
        places = [
            f"{'.'.join(str(part)[:64] for part in item['loc'])}: {item['msg']}"
            for item in error.errors()[:8]
        ]
        return refusal(422, "bad_request", "; ".join(places))
