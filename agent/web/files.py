"""The panel's own files, read once and served from memory.

They are some 120 kB in all. A path is looked up in a table that was made at the start, so there is
no way from an address to any other file, no thread per read, and no disk while the line runs.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""By suffix, not from the machine's own table, which an operating system may have changed."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def read_files(folder: Path) -> dict[str, _File]:
    """Every file of a folder by its name, and `index.html` by the empty name too."""
    found = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        found[path.name] = _File(content, _TYPES[path.suffix], etag)
    if "index.html" in found:
        found[""] = found["index.html"]
    return found


def build_of(files: dict[str, _File]) -> str:
    """A short hash over all of them: an open page reloads itself when it changes."""
    tags = "".join(file.etag for file in files.values())
    return hashlib.sha256(tags.encode()).hexdigest()[:12]


def files_router(prefix: str, files: dict[str, _File]) -> APIRouter:
    """`prefix/name`, with an ETag: a browser asks each time and is mostly told "not modified"."""
    router = APIRouter(prefix=prefix, include_in_schema=False)

    @router.get("/{name:path}")
    async def file(request: Request, name: str) -> Response:
        found = files.get(name)
        if found is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        headers = {"etag": found.etag}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    return router
