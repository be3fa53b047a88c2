"""Routes by which the command line lets PDAs in and out. The gate asks for its bearer token."""

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from agent.services.devices import Wanted

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Names = Annotated[tuple[_Name, ...], Field(max_length=1000, strict=False)]


class InviteBody(BaseModel):
    """A PDA that is to be; `locations` [] = all of the party's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Name
    party: _Name
    locations: _Names = ()
    operations: _Names
    by: _Name


class RevokeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    why: Annotated[str, Field(min_length=1, max_length=200)]
    by: _Name


class Gate(Protocol):
    """services.gatekeeper.Gatekeeper."""

    def invite(self, wanted: Wanted) -> dict[str, Any]: ...

    def revoke(self, device: str, by: str, why: str) -> None: ...

    def every(self, party: str = "") -> list[dict[str, Any]]: ...


def devices_router(gate: Gate) -> APIRouter:
    """`GET /api/local/devices`, `POST .../enrol`, `POST .../DEVICE/revoke`."""
    router = APIRouter(prefix="/api/local/devices")

    @router.get("")
    async def every() -> dict[str, Any]:
        return {"devices": await asyncio.to_thread(gate.every)}

    @router.post("/enrol", status_code=201)
    async def enrol(body: InviteBody) -> dict[str, Any]:
        wanted = Wanted(body.name, body.party, body.locations, body.operations, body.by)
        return await asyncio.to_thread(gate.invite, wanted)

    @router.post("/{device}/revoke")
    async def revoke(
        device: Annotated[str, Path(max_length=64)], body: RevokeBody
    ) -> dict[str, bool]:
        await asyncio.to_thread(gate.revoke, device, body.by, body.why)
        return {"done": True}

    return router
