"""Routes of the devices on the line: the panel's device page, and `caselink device`.

PDAs are elsewhere (agent.web.devices).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import Said, said_data
from agent.told import spoken

_Name = Annotated[str, Path(max_length=64)]


class TestBody(BaseModel):
    """How long to wait for what a person must trigger, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seconds: Annotated[float, Field(ge=1, le=60, strict=False)] = 15


class Devices(Protocol):
    """app.devicedesk.DeviceDesk."""

    def every(self) -> list[dict[str, Any]]: ...

    def serial(self) -> list[dict[str, str]]: ...

    async def wire(self, name: str, count: int) -> list[dict[str, Any]]: ...

    async def labels(self, name: str) -> list[str]: ...

    async def label(self, name: str, label: str, fields: Mapping[str, str]) -> bytes: ...

    async def check(self, name: str) -> list[dict[str, Any]]: ...

    async def test(self, name: str, seconds: float) -> Said: ...


def device_router(devices: Devices) -> APIRouter:
    """`GET /api/devices`, `GET .../NAME/wire`, `POST .../NAME/check`, `POST .../NAME/test`, and of
    a label printer `GET .../NAME/labels` and `GET .../NAME/labels/LABEL?FIELD=VALUE`, a picture."""
    router = APIRouter(prefix="/api/devices")

    @router.get("")
    async def every() -> dict[str, Any]:
        return {"devices": devices.every(), "serial": devices.serial()}

    @router.get("/{device}/wire")
    async def wire(
        device: _Name, count: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> dict[str, Any]:
        return {"entries": await devices.wire(device, count)}

    @router.get("/{device}/labels")
    async def labels(device: _Name) -> dict[str, Any]:
        return {"labels": await devices.labels(device)}

    @router.get("/{device}/labels/{label}")
    async def label(device: _Name, label: _Name, request: Request) -> Response:
        picture = await devices.label(device, label, dict(request.query_params))
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-cache"})

    @router.post("/{device}/check")
    async def check(device: _Name) -> dict[str, Any]:
        return {"found": await devices.check(device)}

    @router.post("/{device}/test")
    async def test(device: _Name, body: TestBody) -> dict[str, Any]:
        said = await devices.test(device, body.seconds)
        return {"done": spoken("en", said), "said": said_data(said)}

    return router
