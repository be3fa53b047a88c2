"""/api/pda/v1: what a PDA does and asks, for the web app under /pda/ and for native clients.

The contract is docs/pda-api.md. There are no cookies: every request but enrolment, the time, and a
query where that is open, carries a device's token and its signature, and most a person's log-in.
"""

import ipaddress
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError

from agent.core.errors import DomainError
from agent.core.goods import Scope
from agent.now import wall_ms
from agent.services.access import Access, Signed
from agent.services.depot import Depot
from agent.services.devices import Devices
from agent.services.uploads import Uploads
from agent.store.devices import Device, Seen
from agent.web import pda_models as m
from agent.web.pda_route import Workers, address, pda_route

T = TypeVar("T")

PREFIX = "/api/pda/v1"
PAGE = 5_000
"""Goods in one answer."""

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": m.Refused, "description": what}
    for status, what in {
        400: "not JSON",
        401: "not enrolled, not signed, or nobody is logged in",
        403: "not allowed",
        404: "there is no such thing",
        409: "refused; `rewind` names the item to go on from",
        413: "too long",
        422: "not understood",
        429: "too much at once: Retry-After says when",
        503: "try again: Retry-After says when",
    }.items()
}
_bearer = HTTPBearer(auto_error=False, description="The device's token.")
_Signature = Annotated[str, Header(max_length=128)]


class PdaServices(Protocol):
    """What the API asks of the agent. `open_party` is whose record a device that is not enrolled
    may ask ("" = nobody's)."""

    @property
    def access(self) -> Access: ...

    @property
    def devices(self) -> Devices: ...

    @property
    def depot(self) -> Depot: ...

    @property
    def uploads(self) -> Uploads: ...

    @property
    def workers(self) -> Workers: ...

    @property
    def open_party(self) -> str: ...


def pda_router(services: PdaServices) -> APIRouter:
    """The routes."""
    run = services.workers.run
    access, depot = services.access, services.depot

    def claimed(request: Request, body: bytes) -> Signed:
        """What a request says of who sent it."""
        said = request.headers.get
        scheme, _, token = said("authorization", "").partition(" ")
        time, nonce = said("x-time", ""), said("x-nonce", "")
        if not 16 <= len(nonce) <= 64 or not time.isascii() or not time.isdigit():
            access.failures.take(address(request))
            raise DomainError(
                "bad_signature",
                "X-Time is the device's time in ms, X-Nonce 16 to 64 random characters.",
            )
        return Signed(
            request.method,
            _target(request),
            body,
            said("x-device", ""),
            token if scheme.lower() == "bearer" else "",
            time,
            nonce,
            said("x-signature", ""),
            address(request),
        )

    def believe(signed: Signed, queue: str) -> Device:
        """The device that signed a request, and says that so much waits on it; last seen now."""
        found, now = access.device(signed), wall_ms()
        waits = int(queue[:10]) if queue.isascii() and queue.isdigit() else -1
        skew = min(int(signed.time[:20]), 1 << 53) - now
        services.devices.heard(found.id, Seen(now, min(waits, 10**9), skew))
        return found

    async def take(request: Request) -> Response:
        """`items`: read, believed and carried out in one go, by one thread."""
        signed = claimed(request, await request.body())
        queue = request.headers.get("x-queue", "")

        def work() -> bytes:
            device = believe(signed, queue)
            return orjson.dumps(_taken(services.uploads, device, _read(signed.body)))

        return Response(await run(work), media_type="application/json")

    router = APIRouter(
        prefix=PREFIX, route_class=pda_route(access, {"items": take}), responses=_REFUSALS
    )

    async def answer(work: Callable[[], Any]) -> Response:
        """Encoded in the thread too: 5,000 goods take longer than a line may wait."""
        body = await run(lambda: orjson.dumps(work(), option=orjson.OPT_NON_STR_KEYS))
        return Response(body, media_type="application/json")

    async def device(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        x_device: _Signature = "",
        x_time: _Signature = "",
        x_nonce: _Signature = "",
        x_signature: _Signature = "",
        x_queue: _Signature = "",
    ) -> Device:
        """The device that signed; last seen now. (The headers are named for the document.)"""
        signed = claimed(request, await request.body())
        return await run(lambda: believe(signed, x_queue))

    async def device_if_any(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        x_device: _Signature = "",
        x_time: _Signature = "",
        x_nonce: _Signature = "",
        x_signature: _Signature = "",
        x_queue: _Signature = "",
    ) -> Device | None:
        """The device, or None where no device is named."""
        if not x_device:
            return None
        return await device(request, bearer, x_device, x_time, x_nonce, x_signature, x_queue)

    Dev = Annotated[Device, Depends(device)]

    async def person(device: Dev, x_session: _Signature = "") -> Scope:
        """Who is logged in on it."""
        return await run(lambda: access.person(device, x_session))

    Who = Annotated[Scope, Depends(person)]

    # ------------------------------------------------------------------------------ who scans

    @router.post("/enrol", tags=["device"], status_code=201, response_model=m.EnrolledTold)
    async def enrol(request: Request, body: m.EnrolBody) -> Response:
        """Become a device of the agent, with the code that the panel showed. Over https (or on the
        agent's own machine) only."""
        if not _is_secure(request):
            raise DomainError(
                "insecure",
                "离线保护未启用: this connection is not secure, so no device is enrolled. Install "
                "the certificate as /setup says, then open the page by https.",
            )

        def work() -> bytes:
            access.enrolments.take(address(request))
            found = services.devices.enrol(body.code, body.key.public(), body.model or body.name)
            told = {
                "device": found.device.id,
                "token": found.token,
                "party": found.device.party,
                "locations": found.device.locations,
                "operations": found.device.operations,
                "server": wall_ms(),
            }
            return orjson.dumps(told)

        return Response(await run(work), 201, media_type="application/json")

    @router.post("/login", tags=["device"], response_model=m.LoginTold)
    async def login(device: Dev, body: m.LoginBody) -> Response:
        """Log a person in. It lasts until `until`, without a network too."""

        def work() -> dict[str, Any]:
            made = access.login(device, body.badge, body.pin)
            return {
                "session": made.token,
                "badge": made.user.badge,
                "name": made.user.name,
                "role": made.user.role,
                "operations": made.operations,
                "until": made.until,
                "server": wall_ms(),
            }

        return await answer(work)

    @router.get("/time", tags=["device"], response_model=m.Time, openapi_extra={"security": []})
    async def time() -> dict[str, int]:
        """The agent's time, ms since 1970. Not signed."""
        return {"server": wall_ms()}

    # ---------------------------------------------------------------------------- what is done

    @router.post("/items", tags=["items"], response_model=m.ItemsTold)
    async def items(device: Dev, body: m.ItemsBody) -> Response:
        """Send what was done, in order; each item is carried out once, however often it comes.
        It needs no log-in: each item says who made it."""
        return await answer(lambda: _taken(services.uploads, device, body))

    # --------------------------------------------------------------------------- what is known

    @router.get("/documents", tags=["record"], response_model=m.Documents)
    async def documents(
        who: Who,
        status: Annotated[str, Query(pattern="^(open|counted|closed|reversed|all)$")] = "open",
    ) -> Response:
        """Documents of the device's scope, newest first, and the locations that it reaches."""
        return await answer(
            lambda: {
                "documents": depot.documents(who, status),
                "locations": depot.locations(who),
            }
        )

    _Number = Annotated[str, Path(max_length=64)]

    # A document's number may hold slashes, as some order systems make them.
    @router.get("/documents/{number:path}/goods", tags=["record"], response_model=dict[str, Any])
    async def goods(
        who: Who,
        number: _Number,
        after: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
        most: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> Response:
        """What a device needs to judge the document's scans without a network, in pages."""
        return await answer(lambda: depot.goods(who, number, after, most))

    @router.get("/documents/{number:path}", tags=["record"], response_model=dict[str, Any])
    async def document(who: Who, number: _Number) -> Response:
        """A document with its lines and how far it is."""
        return await answer(lambda: depot.document(who, number))

    @router.get("/products", tags=["record"], response_model=m.Products)
    async def products(who: Who) -> Response:
        """All products."""
        return await answer(lambda: {"products": depot.products()})

    @router.get("/parties", tags=["record"], response_model=m.Parties)
    async def parties(who: Who) -> Response:
        """All parties."""
        return await answer(lambda: {"parties": depot.parties()})

    _Filter = Annotated[str, Query(max_length=64)]

    @router.get("/stock", tags=["record"], response_model=m.Stock)
    async def stock(
        who: Who, product: _Filter = "", lot: _Filter = "", location: _Filter = ""
    ) -> Response:
        """What is in the party's warehouse, by product, lot and location."""
        return await answer(lambda: {"stock": depot.stock(who, product, lot, location)})

    @router.get("/exceptions", tags=["record"], response_model=m.Exceptions)
    async def exceptions(who: Who) -> Response:
        """Items that were refused or asked about, and that nobody has settled."""
        return await answer(lambda: {"exceptions": depot.exceptions(who)})

    @router.post("/query", tags=["record"], response_model=dict[str, Any])
    async def query(
        request: Request,
        signed_by: Annotated[Device | None, Depends(device_if_any)],
        body: m.QueryBody,
        x_session: _Signature = "",
    ) -> Response:
        """What is known of a code. A device that is not enrolled is told what is on the label,
        where the site allows it."""
        if signed_by is None:
            return await answer(lambda: _openly(services, address(request), body.text))

        def work() -> dict[str, Any]:
            who = access.person(signed_by, x_session)
            access.queries.take(signed_by.id)
            if "query" not in who.operations:
                raise DomainError("not_allowed", "You may not query on this device.")
            return depot.query(who, body.text)

        return await answer(work)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        return get_openapi(
            title="caselink for PDAs", version="1", routes=router.routes, description=__doc__
        )

    return router


def _read(body: bytes) -> m.ItemsBody:
    """What was sent as items; RequestValidationError as FastAPI has it."""
    try:
        return m.ItemsBody.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in wrong]
        ) from None


def _taken(uploads: Uploads, device: Device, body: m.ItemsBody) -> dict[str, Any]:
    """Carry out what was sent; how far it got, and the verdicts."""
    done = uploads.take(device, [item.model_dump() for item in body.items], body.now)
    return {
        "upto": done.upto,
        "server": done.server_ms,
        "results": [
            {
                "seq": each.seq,
                "verdict": each.verdict,
                "severity": each.severity,
                "args": each.args,
                "replayed": each.replayed,
            }
            for each in done.results
        ],
    }


_OPENLY = ("known", "level", "product", "lot", "expires", "state")


def _openly(services: PdaServices, asking: str, text: str) -> dict[str, Any]:
    """What anyone who holds the thing may know of it."""
    if not services.open_party:
        raise DomainError("query_closed", "Devices that are not enrolled may not ask here.")
    services.access.strangers.take(asking)
    scope = Scope(services.open_party, (), ("query",))
    found = services.depot.query(scope, text)
    return {key: found[key] for key in _OPENLY if key in found}


def _target(request: Request) -> str:
    """The path with its query, as it was sent."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _is_secure(request: Request) -> bool:
    """By https, or from this very machine."""
    if request.url.scheme == "https":
        return True
    try:
        return ipaddress.ip_address(address(request)).is_loopback
    except ValueError:
        return False
