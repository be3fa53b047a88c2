"""The warehouse page's questions and commands over HTTP, below /api/v1/warehouse.

Behind the panel's gate: same origin, and a CSRF token or the command line's bearer token. Every
question names the party whose warehouse it is about. What an item of the panel was answered with
comes as `{"verdict", "severity", "args"}`; refusals as everywhere, `{"reason", "message"}`, and a
file that is refused lists its `problems` too.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from agent.core.documentdraft import DocumentsRefused
from agent.core.errors import DomainError, TransientError

T = TypeVar("T")

BASE = "/api/v1/warehouse"
ANSWER_SECONDS = 10.0
THREADS = 4
"""Questions that are answered at once: pages wait for one another, and the line not for them."""
MOST_LINES = 500
"""Lines of a document that is typed in; a file may have more."""
FILE_LIMIT = 700_000
"""Bytes of a file that is sent by the page; the command line takes larger ones."""

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Maybe = Annotated[str, Field(max_length=64)]
_Words = Annotated[str, Field(max_length=200)]
_Reason = Annotated[str, Field(min_length=1, max_length=200)]
_Pin = Annotated[str, Field(max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    party: _Name


class NewLine(BaseModel):
    """So many units of a product's level; lot "" = any."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    product: _Name
    level: _Name
    quantity: Annotated[int, Field(ge=1, le=100_000_000)]
    lot: _Maybe = ""


class NewDocument(_Body):
    """A document that is typed in. `blind` receipts and counts have no lines."""

    number: _Name
    kind: Annotated[str, Field(pattern="^(receive|ship|return_in|return_out|transfer|count)$")]
    other: _Maybe = ""
    location: _Maybe = ""
    to: _Maybe = ""
    territory: _Maybe = ""
    channel: _Maybe = ""
    paper: _Maybe = ""
    blind: bool = False
    reason: _Words = ""
    condition: _Maybe = ""
    lines: Annotated[tuple[NewLine, ...], Field(max_length=MOST_LINES, strict=False)] = ()


class CloseBody(_Body):
    """Post a document. `acknowledged`: its difference was seen, and why it is so; `end`: what is
    missing of a notice will not come any more; badge and PIN where a supervisor must do it."""

    acknowledged: bool = False
    reason: _Words = ""
    end: bool = False
    badge: _Maybe = ""
    pin: _Pin = ""


class ReverseBody(_Body):
    """Take a posted document back, by a supervisor."""

    reason: _Reason
    badge: _Name
    pin: _Pin


class PrintBody(_Body):
    pass


class ImportBody(_Body):
    """A file of documents in base64; `book` False: only say what it holds. `kind` is that of
    documents that name none."""

    data: Annotated[str, Field(max_length=FILE_LIMIT * 4 // 3 + 4)]
    kind: _Maybe = ""
    book: bool = False


class FileBody(BaseModel):
    """A file of documents on the agent's machine; no party where there is one warehouse only."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    party: _Maybe = ""
    kind: _Maybe = ""


class SettleBody(_Body):
    """What a person decided on an exception: `choice` is one of those it offers."""

    device: _Name
    seq: Annotated[int, Field(ge=1, lt=1 << 53)]
    choice: _Name
    reason: _Words = ""


class InviteBody(_Body):
    """A PDA that is to be enrolled: its name, where it may scan ([] = everywhere) and for what."""

    name: _Name
    locations: Annotated[tuple[_Name, ...], Field(max_length=1000, strict=False)] = ()
    operations: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=32, strict=False)]
    badge: _Name
    pin: _Pin


class RevokeBody(_Body):
    """Take nothing more of this device, by a supervisor."""

    reason: _Reason
    badge: _Name
    pin: _Pin


class DeskServices(Protocol):
    """What the page asks of the agent, called in threads. DomainError: refused; TransientError:
    try again."""

    def setup(self) -> Mapping[str, Any]:
        """{warehouses [{party, names, locations, slips (a printer for them is there)}], products
        [{sku, names, levels [{level, pieces}]}], parties [{id, names}], operations}."""

    def now(self, party: str) -> Mapping[str, Any]:
        """{open (documents), exceptions, devices, heard (of them, lately)}."""

    def documents(self, party: str, status: str) -> list[dict[str, Any]]: ...

    def document(self, party: str, number: str) -> dict[str, Any]: ...

    def create(self, body: NewDocument) -> Mapping[str, Any]: ...

    def close(self, number: str, body: CloseBody) -> Mapping[str, Any]: ...

    def reverse(self, number: str, body: ReverseBody) -> Mapping[str, Any]: ...

    async def print_slip(self, party: str, number: str) -> Mapping[str, Any]:
        """Print a slip of the document; returns when the printer has it."""

    def bring(self, party: str, data: bytes, kind: str, book: bool) -> Mapping[str, Any]:
        """What a file of documents holds, booked if `book`; DocumentsRefused."""

    def bring_file(self, party: str, path: str, kind: str) -> Mapping[str, Any]:
        """Book a file of documents of this machine; DocumentsRefused."""

    def stock(self, party: str, product: str, lot: str, location: str) -> Mapping[str, Any]: ...

    def ledger(self, party: str, first: str, last: str) -> list[dict[str, Any]]: ...

    def exceptions(self, party: str) -> list[dict[str, Any]]: ...

    def settle(self, body: SettleBody) -> Mapping[str, Any]: ...

    def query(self, party: str, text: str) -> dict[str, Any]: ...

    def devices(self, party: str) -> list[dict[str, Any]]: ...

    def invite(self, body: InviteBody) -> Mapping[str, Any]:
        """{seconds, rows (of the QR symbol: texts of 0 and 1), text (what it says)}."""

    def revoke(self, device: str, body: RevokeBody) -> Mapping[str, Any]: ...


_Party = Annotated[str, Query(min_length=1, max_length=64)]
_Filter = Annotated[str, Query(max_length=64)]
_Day = Annotated[str, Query(pattern=r"^\d{4}-\d{2}-\d{2}$")]
_Number = Annotated[str, Path(min_length=1, max_length=64)]


def warehouse_router(desk: DeskServices) -> APIRouter:
    """The routes below `BASE`."""
    router = APIRouter(prefix=BASE, tags=["warehouse"])

    @router.get("/setup")
    async def setup() -> Mapping[str, Any]:
        return await _within(desk.setup)

    @router.get("/now")
    async def now(party: _Party) -> Mapping[str, Any]:
        return await _within(lambda: desk.now(party))

    @router.get("/documents")
    async def documents(party: _Party, status: _Filter = "open") -> list[dict[str, Any]]:
        return await _within(lambda: desk.documents(party, status))

    # A document's number may hold slashes, as some order systems make them.
    @router.get("/documents/{number:path}")
    async def document(party: _Party, number: _Number) -> dict[str, Any]:
        return await _within(lambda: desk.document(party, number))

    @router.post("/documents", status_code=201)
    async def create(body: NewDocument) -> Mapping[str, Any]:
        return await _within(lambda: desk.create(body))

    @router.post("/documents/{number:path}/close")
    async def close(number: _Number, body: CloseBody) -> Mapping[str, Any]:
        return await _within(lambda: desk.close(number, body))

    @router.post("/documents/{number:path}/reverse")
    async def reverse(number: _Number, body: ReverseBody) -> Mapping[str, Any]:
        return await _within(lambda: desk.reverse(number, body))

    @router.post("/documents/{number:path}/print")
    async def print_slip(number: _Number, body: PrintBody) -> Mapping[str, Any]:
        return await desk.print_slip(body.party, number)

    @router.post("/import")
    async def bring(body: ImportBody) -> Any:
        try:
            data = base64.b64decode(body.data, validate=True)
        except binascii.Error:
            raise DomainError(
                "file_cut_off", "The file did not arrive whole: choose it again."
            ) from None
        try:
            return await _within(lambda: desk.bring(body.party, data, body.kind, body.book))
        except DocumentsRefused as refused:
            told = {"reason": refused.reason, "message": str(refused), **refused.told()}
            return JSONResponse(told, status_code=409)

    @router.get("/stock")
    async def stock(
        party: _Party, product: _Filter = "", lot: _Filter = "", location: _Filter = ""
    ) -> Mapping[str, Any]:
        return await _within(lambda: desk.stock(party, product, lot, location))

    @router.get("/ledger")
    async def ledger(party: _Party, first: _Day, last: _Day) -> list[dict[str, Any]]:
        return await _within(lambda: desk.ledger(party, first, last))

    @router.get("/query")
    async def query(
        party: _Party, code: Annotated[str, Query(min_length=1, max_length=512)]
    ) -> dict[str, Any]:
        return await _within(lambda: desk.query(party, code))

    @router.get("/exceptions")
    async def exceptions(party: _Party) -> list[dict[str, Any]]:
        return await _within(lambda: desk.exceptions(party))

    @router.post("/exceptions/settle")
    async def settle(body: SettleBody) -> Mapping[str, Any]:
        return await _within(lambda: desk.settle(body))

    @router.get("/devices")
    async def devices(party: _Party) -> list[dict[str, Any]]:
        return await _within(lambda: desk.devices(party))

    @router.post("/devices/invite")
    async def invite(body: InviteBody) -> Mapping[str, Any]:
        return await _within(lambda: desk.invite(body))

    @router.post("/devices/{device}/revoke")
    async def revoke(
        device: Annotated[str, Path(max_length=64)], body: RevokeBody
    ) -> Mapping[str, Any]:
        return await _within(lambda: desk.revoke(device, body))

    return router


def document_file_router(desk: DeskServices) -> APIRouter:
    """The route of the command line: the gate asks for its bearer token."""
    router = APIRouter(prefix="/api/local/documents")

    @router.post("", status_code=201)
    async def bring(body: FileBody) -> Mapping[str, Any]:
        return await _within(lambda: desk.bring_file(body.party, body.path, body.kind))

    return router


_threads = CapacityLimiter(THREADS)


async def _within(work: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=_threads)
    except TimeoutError:
        raise TransientError(
            "No answer in time; it may still be carried out. Look at the document before trying "
            "again."
        ) from None
