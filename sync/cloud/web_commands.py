"""Commands to agents over HTTP: ask for one, and what became of those that were asked for."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import DomainError
from sync.cloud import commands
from sync.cloud.database import Connection
from sync.kinds import heading

MOST_FILE = 64 << 20
"""Characters of a pool file; a larger one is sent by the command line."""

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Name = Annotated[str, Field(max_length=64)]


class Asked(BaseModel):
    """A command. `body` is what its kind holds (docs/integrator.md); of a pool it is the heading,
    `file` is the CSV and `key` the agent's key if it is not the one that was seen first. With an
    `id` of your own a request that is repeated is refused, not asked for twice."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    body: dict[str, Any]
    file: Annotated[str, Field(max_length=MOST_FILE)] = ""
    key: Annotated[str, Field(max_length=64)] = ""
    id: Id | Annotated[str, Field(max_length=0)] = ""


def add_commands(
    app: FastAPI,
    connection: Callable[[], Any],
    clock: Callable[[], int],
    reader: Callable[..., Any],
    manager: Callable[..., Any],
) -> None:
    """The routes. `connection` lends one to the database; `reader` and `manager` tell who asks."""

    def asked(conn: Connection, agent: str, what: Asked, who: str) -> str:
        body = json.dumps(what.body).encode()
        if what.kind != "pool":
            if what.file or what.key:
                raise DomainError("command_malformed", "Only a pool has a file and a key.")
            return commands.send(conn, agent, what.kind, body, who, clock(), what.id)
        head, file = heading(body), what.file.encode()
        return commands.send_pool(conn, agent, head, file, who, clock(), what.key, what.id)

    @app.post("/agents/{tenant}/{site}/{agent}/commands", status_code=202)
    def ask(
        tenant: Name, site: Name, agent: Name, what: Asked, who: Annotated[Any, Depends(manager)]
    ) -> dict[str, str]:
        """Ask an agent for something, once. It is sent while the agent is online, after what was
        asked for before, until it is answered."""
        with connection() as conn:
            return {"id": asked(conn, f"{tenant}/{site}/{agent}", what, who.name)}

    @app.get("/agents/{tenant}/{site}/{agent}/commands")
    def of_agent(
        tenant: Name,
        site: Name,
        agent: Name,
        _who: Annotated[Any, Depends(reader)],
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        before: Annotated[int, Query(ge=0, description="`next` of a page.")] = 0,
    ) -> dict[str, Any]:
        """What an agent was asked for and how it answered, newest first."""
        with connection() as conn:
            found = commands.listed(conn, f"{tenant}/{site}/{agent}", limit, before)
        return {"commands": found, "next": found[-1]["number"] if len(found) == limit else None}

    @app.get("/commands/{command}")
    def one(command: str, _who: Annotated[Any, Depends(reader)]) -> dict[str, Any]:
        """One command and its answer."""
        with connection() as conn:
            return commands.one(conn, command)

    @app.post("/commands/{command}/withdraw")
    def withdraw(command: str, who: Annotated[Any, Depends(manager)]) -> dict[str, str]:
        """Do not send a command any more; a pool only while nothing of it was sent."""
        with connection() as conn:
            commands.withdraw(conn, command, who.name, clock())
        return {"withdrawn": command}
