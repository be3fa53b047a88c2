"""The camera page's questions: which cameras there are, and how the pictures of one are."""

from pathlib import Path as FilePath
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Response

from agent.web.files import files_router, read_files

_Name = Annotated[str, Path(max_length=64)]
PAGE = FilePath(__file__).parent / "camera"


class Cameras(Protocol):
    """app.cameradesk.CameraDesk."""

    def every(self) -> list[dict[str, Any]]: ...

    async def figures(self, name: str) -> dict[str, Any]: ...

    async def failed(self, name: str) -> list[dict[str, Any]]: ...

    async def kept(self, name: str, picture: str) -> bytes | None: ...


def camera_router(cameras: Cameras) -> APIRouter:
    """`GET /api/cameras`, `GET .../NAME/figures`, `GET .../NAME/failed` (the newest failed reads)
    and `GET .../NAME/failed/PICTURE` (JPEG), and the page's own files at /camera/."""
    router = APIRouter()

    @router.get("/api/cameras")
    async def every() -> dict[str, Any]:
        return {"cameras": cameras.every()}

    @router.get("/api/cameras/{camera}/figures")
    async def figures(camera: _Name) -> dict[str, Any]:
        return await cameras.figures(camera)

    @router.get("/api/cameras/{camera}/failed")
    async def failed(camera: _Name) -> dict[str, Any]:
        return {"failed": await cameras.failed(camera)}

    @router.get("/api/cameras/{camera}/failed/{picture}")
    async def kept(camera: _Name, picture: _Name) -> Response:
        jpeg = await cameras.kept(camera, picture)
        if jpeg is None:
            return Response(status_code=204)
        return Response(jpeg, media_type="image/jpeg")

    router.include_router(files_router("/camera", read_files(PAGE)))
    return router
