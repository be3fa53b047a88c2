"""The panel's own files, read once and served from memory.

They are some 120 kB in all. A path is looked up in a table that was made at the start, so there is
no way from an address to any other file, no thread per read, and no disk while the line runs.
"""

import gzip
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
class ServedFile:
    """What a path is answered with."""

    content: bytes
    media_type: str
    etag: str
    packed: bytes = b""
    """The same by gzip, for who takes it; empty where that saves nothing."""

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "ServedFile":
        """The file with its ETag, a hash of the content."""
        packed = gzip.compress(content, 9, mtime=0)
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        return cls(content, media_type, etag, packed if len(packed) < len(content) else b"")


def read_files(folder: Path) -> dict[str, ServedFile]:
    """Every file of a folder by its name, and `index.html` by the empty name too."""
    found = {}
    for path in sorted(folder.iterdir()):
        found[path.name] = ServedFile.of(path.read_bytes(), _TYPES[path.suffix])
    if "index.html" in found:
        found[""] = found["index.html"]
    return found


def build_of(files: dict[str, ServedFile]) -> str:
    """A short hash over all of them: an open page reloads itself when it changes."""
    tags = "".join(file.etag for file in files.values())
    return hashlib.sha256(tags.encode()).hexdigest()[:12]


def files_router(prefix: str, files: dict[str, ServedFile]) -> APIRouter:
    """`prefix/name`, with an ETag: a browser asks each time and is mostly told "not modified"."""
    router = APIRouter(prefix=prefix, include_in_schema=False)

    @router.get("/{name:path}")
    async def file(request: Request, name: str) -> Response:
        found = files.get(name)
        if found is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        headers = {"etag": found.etag, "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(found.packed, media_type=found.media_type, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    return router
