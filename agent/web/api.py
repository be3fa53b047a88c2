"""The panel's commands and questions over HTTP, and what they ask of the agent.

The contract is docs/live-feed.md. A refusal is `{"reason", "message"}`: the reason is a key of the
panel's catalogue, the message English for the command line. 409 refused, 404 not there, 422 not
understood, 503 try again, 500 mend the configuration.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import DomainError, TransientError
from agent.web.live import LineSource

T = TypeVar("T")

COMMAND_SECONDS = 10.0
"""A command that is not durable by then is answered 503 (not known whether it was done)."""

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Words = Annotated[str, Field(max_length=200)]
_Date = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NewOrder(_Body):
    """A work order to create. `pools` maps "level/role" to the name of a pool; dates are ISO."""

    number: _Name
    line: _Name
    product: _Name
    lot: _Name
    scheme: _Name
    target: Annotated[int, Field(ge=1, le=100_000_000)]
    pools: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=128)]],
        Field(max_length=32),
    ] = {}
    campaign: _Words = ""
    produced: _Date = ""
    expires: _Date = ""


class StartBody(_Body):
    order: _Name
    by: _Name


class PauseBody(_Body):
    by: _Name
    why: _Words = ""


class BypassBody(_Body):
    """Let the line run without coding: the leader's name and PIN, why, and for how long."""

    by: _Name
    pin: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    minutes: Annotated[int, Field(ge=1, le=24 * 60)]


class ByBody(_Body):
    by: _Name


class WebServices(LineSource, Protocol):
    """What the web asks of the agent. Commands return when they are durable.

    Each may raise DomainError (refused), TransientError (try again) or ConfigError (mend the file).
    """

    async def create_order(self, order: NewOrder) -> None:
        """Create a work order."""

    async def start(self, line: str, order: str, by: str) -> None:
        """Start a work order, by its number, on a line."""

    async def change(self, line: str, order: str, by: str) -> None:
        """Finish the line's work order and start this one at the next item."""

    async def pause(self, line: str, by: str, why: str) -> None:
        """Pause the line's work order; `why` is a key of the catalogue, a sentence, or ""."""

    async def resume(self, line: str, by: str) -> None:
        """Go on with the line's paused work order."""

    async def finish(self, line: str, by: str) -> None:
        """Finish the line's work order."""

    async def begin_bypass(self, line: str, body: BypassBody) -> None:
        """Let the line run without coding; DomainError when the PIN is wrong."""

    async def end_bypass(self, line: str, by: str) -> None:
        """Let the line code again."""

    async def begin_test_mode(self, line: str, order: str, by: str) -> None:
        """Try the line with the scheme and pools of a work order that is not started by this."""

    async def end_test_mode(self, line: str, by: str) -> None:
        """What comes from now on is no test."""

    async def acknowledge(self, line: str, alarm: str, by: str) -> None:
        """A person has seen the alarm."""

    async def trace(self, code: str) -> Mapping[str, Any]:
        """Everything the record knows of a code; DomainError "unknown_code" if nothing."""

    async def picture(self, camera: str) -> bytes | None:
        """The camera's last picture as JPEG; None when there is none to show."""


_LinePath = Annotated[str, Path(max_length=64)]
_Done = Mapping[str, bool]
_DONE: _Done = {"done": True}


async def _within(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            return await work
    except TimeoutError:
        raise TransientError(
            "No answer in time; it may still be carried out. Look at the line before trying again."
        ) from None


def api_router(services: WebServices) -> APIRouter:
    """The routes below /api that every agent has."""
    router = APIRouter(prefix="/api")

    def known(line: str) -> str:
        if line not in services.lines():
            raise DomainError("unknown_line", f"There is no line {line} in the configuration.")
        return line

    @router.get("/lines")
    async def lines() -> dict[str, list[str]]:
        return {"lines": list(services.lines())}

    @router.get("/lines/{line}/snapshot")
    async def snapshot(line: _LinePath) -> Response:
        body = orjson.dumps(services.snapshot(known(line)))
        return Response(body, media_type="application/json")

    @router.post("/orders", status_code=201)
    async def create_order(order: NewOrder) -> _Done:
        known(order.line)
        await _within(services.create_order(order))
        return _DONE

    @router.post("/lines/{line}/start")
    async def start(line: _LinePath, body: StartBody) -> _Done:
        await _within(services.start(known(line), body.order, body.by))
        return _DONE

    @router.post("/lines/{line}/change")
    async def change(line: _LinePath, body: StartBody) -> _Done:
        await _within(services.change(known(line), body.order, body.by))
        return _DONE

    @router.post("/lines/{line}/pause")
    async def pause(line: _LinePath, body: PauseBody) -> _Done:
        await _within(services.pause(known(line), body.by, body.why))
        return _DONE

    @router.post("/lines/{line}/resume")
    async def resume(line: _LinePath, body: ByBody) -> _Done:
        await _within(services.resume(known(line), body.by))
        return _DONE

    @router.post("/lines/{line}/finish")
    async def finish(line: _LinePath, body: ByBody) -> _Done:
        await _within(services.finish(known(line), body.by))
        return _DONE

    @router.post("/lines/{line}/bypass")
    async def begin_bypass(line: _LinePath, body: BypassBody) -> _Done:
        await _within(services.begin_bypass(known(line), body))
        return _DONE

    @router.post("/lines/{line}/bypass/end")
    async def end_bypass(line: _LinePath, body: ByBody) -> _Done:
        await _within(services.end_bypass(known(line), body.by))
        return _DONE

    @router.post("/lines/{line}/test-mode")
    async def begin_test_mode(line: _LinePath, body: StartBody) -> _Done:
        await _within(services.begin_test_mode(known(line), body.order, body.by))
        return _DONE

    @router.post("/lines/{line}/test-mode/end")
    async def end_test_mode(line: _LinePath, body: ByBody) -> _Done:
        await _within(services.end_test_mode(known(line), body.by))
        return _DONE

    # An alarm's id holds slashes ("L1/verify/reject_failed").
    @router.post("/lines/{line}/alarms/{alarm:path}/acknowledge")
    async def acknowledge(
        line: _LinePath, alarm: Annotated[str, Path(max_length=200)], body: ByBody
    ) -> _Done:
        await _within(services.acknowledge(known(line), alarm, body.by))
        return _DONE

    @router.get("/trace")
    async def trace(code: Annotated[str, Query(min_length=1, max_length=512)]) -> Response:
        body = orjson.dumps(await _within(services.trace(code)))
        return Response(body, media_type="application/json")

    @router.get("/cameras/{camera}/picture")
    async def picture(camera: Annotated[str, Path(max_length=64)]) -> Response:
        jpeg = await _within(services.picture(camera))
        if jpeg is None:
            return Response(status_code=204)
        return Response(jpeg, media_type="image/jpeg")

    return router
