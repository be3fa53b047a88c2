"""The camera page's questions: which cameras there are, and how the pictures of one are."""

from pathlib import Path as FilePath
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path

from agent.web.files import files_router, read_files

PAGE = FilePath(__file__).parent / "camera"


class Cameras(Protocol):
    """app.cameradesk.CameraDesk."""

    def every(self) -> list[dict[str, Any]]: ...

    async def figures(self, name: str) -> dict[str, Any]: ...


def camera_router(cameras: Cameras) -> APIRouter:
    """`GET /api/cameras`, `GET /api/cameras/NAME/figures`, and the page's own files at /camera/."""
    router = APIRouter()

    @router.get("/api/cameras")
    async def every() -> dict[str, Any]:
        return {"cameras": cameras.every()}

    @router.get("/api/cameras/{camera}/figures")
    async def figures(camera: Annotated[str, Path(max_length=64)]) -> dict[str, Any]:
        return await cameras.figures(camera)

    router.include_router(files_router("/camera", read_files(PAGE)))
    return router
