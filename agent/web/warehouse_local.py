"""The command line's way to the warehouse of a running agent: one item at a time."""

from typing import Annotated, Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from agent.core.goods import Item

_Name = Annotated[str, Field(min_length=1, max_length=64)]


class ItemBody(BaseModel):
    """What a supervisor at the machine does with a document."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    party: Annotated[str, Field(max_length=64)] = ""
    do: Annotated[str, Field(pattern="^(close|reverse|accept_all|hand_over)$")]
    document: _Name
    answer: Annotated[str, Field(max_length=64)] = ""
    reason: Annotated[str, Field(max_length=200)] = ""
    end: bool = False
    by: _Name

    def item(self) -> Item:
        """As the service takes it; the server numbers it."""
        return Item(
            0,
            self.do,
            self.document,
            answer=self.answer,
            reason=self.reason,
            body={"end": True} if self.end else {},
            by=self.by,
        )


class Supervised(Protocol):
    def supervise(self, party: str, item: Item) -> dict[str, Any]:
        """Carry out an item of somebody at this machine: see `Warehouse.supervise`."""


def warehouse_local_router(warehouse: Supervised) -> APIRouter:
    """The one route."""
    router = APIRouter()

    @router.post("/api/local/warehouse/item")
    async def item(body: ItemBody) -> dict[str, Any]:
        return await run_in_threadpool(warehouse.supervise, body.party, body.item())

    return router
