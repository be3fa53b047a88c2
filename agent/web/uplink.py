"""The route by which the command line asks how the way to the cloud stands."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


def uplink_router(data: Callable[[], dict[str, Any]]) -> APIRouter:
    """`GET /api/local/sync`."""
    router = APIRouter(prefix="/api/local")

    @router.get("/sync")
    async def sync() -> dict[str, Any]:
        return data()

    return router
