"""Goods between parties over HTTP: shipments, diversions, stock, where a code is, who may know."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from sync.cloud import answers, cases, follower, inspections, parties, resolve, shipments, stock
from sync.cloud.keys import key, uri_of
from sync.cloud.resolve import Actor, Limits, TooMany

Limit = Annotated[int, Query(ge=1, le=1_000, description="Rows of a page.")]
After = Annotated[str, Query(max_length=32, description="`next` of the page before.")]
Text = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
Code = Annotated[str, Field(min_length=1, max_length=2_048)]
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d\d-\d\d)?$", description="ISO date.")]
Party = Annotated[str, Query(max_length=64, description="Of one party only.")]


class Finding(BaseModel):
    """Where an inspector found a code: with a party, in a territory, in a channel."""

    model_config = ConfigDict(extra="forbid")

    code: Code
    inspector: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*$")]
    party: Text = ""
    territory: Text = ""
    channel: Text = ""
    place: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    note: Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")] = ""


class Scanned(BaseModel):
    """Who scanned what, and where."""

    model_config = ConfigDict(extra="forbid")

    code: Code
    actor: Actor
    place: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""


class Serves(BaseModel):
    """The agent (tenant/site/agent) that keeps a party's books; "" = none does."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[str, Field(max_length=200)]


def add_goods(
    app: FastAPI,
    connection: Callable[[], Any],
    clock: Callable[[], int],
    reader: Callable[..., Any],
    manager: Callable[..., Any],
    base: str,
) -> None:
    """The routes. `connection` lends one to the database; `reader` and `manager` tell who asks."""
    of_token, of_code = Limits(300, 1 / 30), Limits(10, 10.0)

    @app.get("/shipments")
    def sent(
        _who: Annotated[Any, Depends(reader)],
        state: Annotated[
            Literal["", "open", "closed", "different", "reversed"], Query(description="Which ones.")
        ] = "",
        party: Party = "",
        limit: Limit = 100,
        after: After = "",
    ) -> dict[str, Any]:
        """What one party sent another: what came of it, what is missing and what came besides, and
        what the receiver's agent was told. The same for both sides."""
        with connection() as conn:
            found = shipments.listed(conn, state, limit, after, party)
            return {**found, "behind": follower.behind(conn)}

    @app.get("/diversions")
    def diverted(
        _who: Annotated[Any, Depends(reader)],
        state: Annotated[
            Literal["", "open", "suspected", "closed"], Query(description="Which ones.")
        ] = "",
        party: Party = "",
        limit: Limit = 100,
        after: After = "",
    ) -> dict[str, Any]:
        """Goods with a party, in a territory or in a channel other than what they were sent to,
        each case with its evidence. Only `open` ones accuse."""
        with connection() as conn:
            found = cases.listed(conn, state, limit, after, party)
            return {**found, "behind": follower.behind(conn)}

    @app.get("/where/{code:path}")
    def where(code: str, _who: Annotated[Any, Depends(reader)]) -> dict[str, Any]:
        """Where a code is now: with whom, at which place, or toward whom it is on its way."""
        with connection() as conn:
            found = answers.trace(conn, code, base, 0)
        names = ("code", "answer", "state", "where", "weakest", "doubtful", "up", "not_known_yet")
        return {name: found.get(name) for name in (*names, "reported")}

    @app.get("/stock")
    def in_stock(
        _who: Annotated[Any, Depends(reader)],
        party: Annotated[str, Query(min_length=1, max_length=64, description="Whose.")],
        first: Day = "",
        last: Day = "",
        product: Annotated[str, Query(max_length=64, description="Of one product only.")] = "",
    ) -> dict[str, Any]:
        """What came to a party, left it, came back, was found and lost from day `first` on, and its
        stock after day `last`; in units of the lowest level, by product, lot and day."""
        with connection() as conn:
            return stock.stock(conn, party, first, last, product)

    @app.post("/inspections", status_code=201)
    def inspected(what: Finding, who: Annotated[Any, Depends(reader)]) -> dict[str, int]:
        """Keep what an inspector found. It is looked at within seconds: see GET /diversions."""
        given = what.model_dump(exclude={"code"})
        with connection() as conn:
            return {"id": inspections.inspect(conn, what.code, clock(), who.name, base, **given)}

    @app.get("/inspections")
    def found_there(
        _who: Annotated[Any, Depends(reader)],
        limit: Limit = 100,
        after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
    ) -> dict[str, Any]:
        """What inspectors found, in the order in which it came."""
        with connection() as conn:
            return inspections.listed(conn, limit, after)

    @app.post("/resolve")
    def resolved(what: Scanned, who: Annotated[Any, Depends(reader)]) -> dict[str, Any]:
        """What a person who scans a code may know, by role. The scan is counted, for each role by
        itself. 429 where a token or a code is asked for too often."""
        now = clock()
        for limits, whose, name in (
            (of_token, who.name, "With this token"),
            (of_code, key(uri_of(what.code, base)), "This code"),
        ):
            seconds = limits.take(whose, now)
            if seconds:
                raise TooMany(name, seconds)
        with connection() as conn:
            return resolve.resolve(conn, what.code, what.actor, what.place, now, base)

    @app.get("/parties")
    def known(
        _who: Annotated[Any, Depends(reader)],
        limit: Limit = 100,
        after: Annotated[str, Query(max_length=64, description="`next` of a page.")] = "",
    ) -> dict[str, Any]:
        """The parties that agents were told of, and which agent keeps whose books."""
        with connection() as conn:
            rows = parties.listed(conn, limit, after)
        return {"parties": rows, "next": rows[-1]["party"] if len(rows) == limit else None}

    @app.put("/parties/{party}")
    def serve(party: str, what: Serves, _who: Annotated[Any, Depends(manager)]) -> dict[str, str]:
        """Say which agent keeps a party's books: what is shipped to the party is told to it."""
        with connection() as conn:
            parties.serve(conn, party, what.agent, clock())
        return {"party": party, "agent": what.agent}
