"""The routes by which the command line asks how the way to the cloud stands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field


class SettleBody(BaseModel):
    """A person has seen to the refused documents of a journal row."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    row: Annotated[int, Field(ge=1, le=(1 << 63) - 1)]
    by: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


def uplink_router(
    data: Callable[[], dict[str, Any]], settle: Callable[[int, str, str], Awaitable[int]]
) -> APIRouter:
    """`GET /api/local/sync`, `POST /api/local/sync/settle`."""
    router = APIRouter(prefix="/api/local")

    @router.get("/sync")
    async def sync() -> dict[str, Any]:
        return data()

    @router.post("/sync/settle")
    async def settled(body: SettleBody) -> dict[str, int]:
        return {"settled": await settle(body.row, body.by, body.reason)}

    return router
