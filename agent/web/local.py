"""Routes for the command line on the same machine: the gate asks for its bearer token."""

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

_Name = Annotated[str, Field(min_length=1, max_length=64)]


class PoolBody(BaseModel):
    """What the person who imports a pool says of it; `path` is a file on the agent's machine, or
    `rule` says which codes belong to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: Annotated[str, Field(max_length=4096)] = ""
    rule: Annotated[str, Field(max_length=512)] = ""
    name: _Name
    level: _Name
    roles: Annotated[tuple[_Name, ...], Field(max_length=32, strict=False)]
    secret: Annotated[tuple[_Name, ...], Field(max_length=32, strict=False)] = ()
    product: Annotated[str, Field(max_length=64)] = ""
    campaign: Annotated[str, Field(max_length=64)] = ""
    lot: Annotated[str, Field(max_length=64)] = ""
    scope: Annotated[str, Field(pattern="^(agent|plant|brand)$")] = "agent"
    preprinted: bool = False
    count: int | None = None
    sha256: Annotated[str, Field(max_length=64)] = ""


class SettleBody(BaseModel):
    """Void what is left of a pool in question after a restore."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    pool: _Name
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    by: _Name


class PartialBody(BaseModel):
    """Close the open container of a pack station, or allow the next short one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    station: _Name
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    by: _Name


class LocalServices(Protocol):
    async def import_pool(self, body: PoolBody) -> dict[str, Any]:
        """Import it; DomainError when it is refused."""

    async def settle_pool(self, body: SettleBody) -> dict[str, Any]:
        """Void it; DomainError when it is refused."""

    async def close_partial(self, line: str, body: PartialBody) -> None:
        """Close or allow a partial container; DomainError when it is refused."""

    async def account(self, line: str, last: int) -> dict[str, Any]:
        """The line's counts, what does not balance, how many verdicts there were since the start,
        and how long the `last` ones took."""


def local_router(services: LocalServices) -> APIRouter:
    """The routes of the command line."""
    router = APIRouter(prefix="/api/local")

    @router.post("/pools", status_code=201)
    async def import_pool(body: PoolBody) -> dict[str, Any]:
        async with asyncio.timeout(600):
            return await services.import_pool(body)

    @router.post("/pools/settle")
    async def settle_pool(body: SettleBody) -> dict[str, Any]:
        async with asyncio.timeout(600):
            return await services.settle_pool(body)

    @router.post("/lines/{line}/partial")
    async def close_partial(line: _Name, body: PartialBody) -> dict[str, bool]:
        await services.close_partial(line, body)
        return {"done": True}

    @router.get("/lines/{line}/account")
    async def account(
        line: _Name, last: Annotated[int, Query(ge=0, le=20_000)] = 20_000
    ) -> dict[str, Any]:
        return await services.account(line, last)

    return router
