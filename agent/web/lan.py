"""What PDAs reach from the network: the app and its API by https, and by plain http nothing but the
way to get there.

Each is an application of its own that has no other route: the panel, the command line's routes and
the live feed are not behind a rule here, they do not exist here.
"""

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from agent.web.auth import Sessions
from agent.web.files import files_router, read_files
from agent.web.guard import Guard
from agent.web.pda_page import PREFIX, SHARED, pda_files

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent


def create_pda_app(names: Sequence[str], api: APIRouter) -> FastAPI:
    """The PDA's app and API, under these host names."""
    app = FastAPI(title="caselink", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, sessions=Sessions(), names=tuple(names))
    app.include_router(api)
    folders = {prefix: read_files(_HERE / prefix.strip("/")) for prefix in SHARED}
    for prefix, wanted in SHARED.items():
        app.include_router(files_router(prefix, {name: folders[prefix][name] for name in wanted}))
    app.include_router(files_router(PREFIX, pda_files(folders)))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(f"{PREFIX}/")

    answer_not_there(app)
    return app


def answer_not_there(app: FastAPI) -> None:
    """Refuse what no route is for in the same words as everything else."""

    @app.exception_handler(HTTPException)
    async def not_there(_request: Request, error: HTTPException) -> Response:
        said = {"reason": "not_there", "message": "There is no such page or route here."}
        return JSONResponse(said, error.status_code, error.headers)


class Certificate:
    """The certificate that is shown to PDAs: `cert` with the key in it, or in a file of its own.
    A new one in its place is taken for new connections, without a start."""

    def __init__(self, cert: Path, key: Path | None = None) -> None:
        self._cert = cert
        self._key = key
        self._known: tuple[int, ...] = ()
        self._said = ""
        self.context: ssl.SSLContext | None = None

    def refresh(self) -> bool:
        """Look at the files. Whether a certificate was taken; one that is wrong is told once, and
        the one before stays."""
        try:
            stamps = tuple(
                part
                for path in (self._cert, self._key)
                if path is not None
                for part in (path.stat().st_mtime_ns, path.stat().st_ino)
            )
        except OSError as error:
            self._say(f"{error.filename}: {error.strerror}")
            return False
        if stamps == self._known:
            return False
        try:
            context = tls_context()
            context.load_cert_chain(self._cert, self._key)  # may raise half-way: not on ours
            if self.context is None:
                self.context = context
            else:
                self.context.load_cert_chain(self._cert, self._key)
        except (ssl.SSLError, OSError) as error:
            self._say(f"{self._cert}: {error}")
            return False
        self._known, self._said = stamps, ""
        return True

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.warning(
                "PDAs have no https%s (%s). Make a certificate with `caselink tls init`, or mend "
                "web.lan.cert and web.lan.key.",
                "" if self.context is None else " by the new certificate",
                what,
            )


def tls_context() -> ssl.SSLContext:
    """TLS 1.2 and up, without client certificates: devices sign what they send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
