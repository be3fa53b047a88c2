"""Routes of what people do with units and codes: for the command line on the same machine, until
the screens for it come. The gate asks for its bearer token."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from agent.services.rework import Asked, Deed

MOST_CODES = 512
"""Codes in one request."""

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Reason = Annotated[str, Field(min_length=1, max_length=200)]
_Code = Annotated[str, Field(min_length=1, max_length=512)]
_MaybeCode = Annotated[str, Field(max_length=512)]
_Codes = Annotated[tuple[_Code, ...], Field(max_length=MOST_CODES, strict=False)]
_Word = Annotated[str, Field(max_length=128)]
_Position = Annotated[int, Field(ge=-1, lt=1 << 36)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    by: _Name


class _WithReason(_Body):
    reason: _Reason


class UnpackBody(_WithReason):
    """Take `codes` out of container `code`; without them empty it, or take `code` out."""

    code: _Code
    codes: _Codes = ()


class ReplaceBody(_WithReason):
    """Put `code` into the place of `old`, or of an unknown child of `container`."""

    code: _Code
    old: _MaybeCode = ""
    container: _MaybeCode = ""


class UnitsBody(_WithReason):
    """Units by any of their codes."""

    codes: _Codes


class VoidBody(_WithReason):
    """Codes, or the rows `first` to `last` of a pool."""

    codes: _Codes = ()
    pool: _Word = ""
    first: _Position = -1
    last: _Position = -1


class HoldBody(VoidBody):
    """Units by their codes, or a lot of a product, or the rows of a pool."""

    product: _Word = ""
    lot: _Word = ""


class ReleaseBody(_WithReason):
    """A hold by its number, or units by their codes."""

    hold: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    codes: _Codes = ()


class ScanBody(_Body):
    """Codes of one container, scanned by hand; `complete`: all children that it holds. `empty`: it
    holds none, and its own code is all that was scanned."""

    codes: _Codes
    complete: bool = False
    empty: bool = False


class PackBody(_Body):
    """Children `codes` go into `container`, a new or an open one. `preset`: a linked set names its
    children, the codes check it. `reason`: why it stays partial. `layer` (from 1) of a container
    that is bound layer by layer: it stays open until the last one. No codes and a reason: an open
    one is closed as it is."""

    container: _Code
    codes: _Codes = ()
    preset: bool = False
    layer: Annotated[int, Field(ge=0, le=10_000)] = 0
    reason: Annotated[str, Field(max_length=200)] = ""


class ReopenBody(_WithReason):
    """A closed container is opened to be topped up."""

    container: _Code


class RelabelBody(_WithReason):
    """The container with code `old`, or that holds the unit with it, gets the label `code`."""

    old: _Code
    code: _Code


BODIES: dict[Deed, type[_Body]] = {
    "unpack": UnpackBody,
    "replace": ReplaceBody,
    "sample": UnitsBody,
    "destroy": UnitsBody,
    "void": VoidBody,
    "hold": HoldBody,
    "release": ReleaseBody,
    "scan": ScanBody,
    "pack": PackBody,
    "reopen": ReopenBody,
    "relabel": RelabelBody,
}
"""What is sent for each deed."""


def wish(deed: Deed, body: BaseModel) -> Asked:
    """What the body asks for."""
    return Asked(deed=deed, **body.model_dump())


class ClearanceBody(_Body):
    """The line is clear of a finished order; with a reason: signed for what is missing. `rolls` of
    pre-printed codes that are used up, written POOL/ROLL."""

    order: _Name
    reason: Annotated[str, Field(max_length=200)] = ""
    rolls: Annotated[tuple[_Word, ...], Field(max_length=64, strict=False)] = ()


class ReworkServices(Protocol):
    async def clear_line(
        self, order: str, by: str, reason: str, rolls: tuple[str, ...]
    ) -> dict[str, Any]:
        """Sign that the line is clear of an order; DomainError `not_clear` says what is missing."""

    async def rework(self, wish: Asked) -> dict[str, Any]:
        """Do it; what was done, in numbers. DomainError when it is refused."""


def rework_router(services: ReworkServices) -> APIRouter:
    """One route for each deed, POST /api/local/rework/DEED."""
    router = APIRouter(prefix="/api/local/rework")
    for deed, body in BODIES.items():
        router.add_api_route(f"/{deed}", _route(services, deed, body), methods=["POST"], name=deed)

    @router.post("/clearance")
    async def clearance(body: ClearanceBody) -> dict[str, Any]:
        return await services.clear_line(body.order, body.by, body.reason, body.rolls)

    return router


def _route(
    services: ReworkServices, deed: Deed, body: type[_Body]
) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def route(given: Any) -> dict[str, Any]:
        return await services.rework(wish(deed, given))

    route.__annotations__["given"] = body
    return route
