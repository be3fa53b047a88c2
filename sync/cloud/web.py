"""The answers over HTTP: trace, relations, agents, dead letters, forks, quarantine.

Every request needs a bearer token. Pages are bounded. A refusal is `{"reason", "message"}`, and the
message says what to do.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from agent.core.errors import DomainError, TransientError
from agent.refusals import answer_errors, refusal
from sync.cloud import answers, lists, notices, tokens
from sync.cloud.body_limit import BodyLimit
from sync.cloud.database import Connection, Database
from sync.cloud.ingest import Ingest
from sync.cloud.relations import MOST_ROWS, as_csv, as_lines, relations
from sync.cloud.resolve import TooMany
from sync.cloud.web_commands import add_commands
from sync.cloud.web_goods import add_goods
from sync.uris import BASE

log = logging.getLogger(__name__)

CONNECTIONS = 16
"""To the database, for requests; who comes later waits."""
WAIT_SECONDS = 10.0
PAGE = 1_000
_STATUS = {
    "no_token": 401,
    "not_allowed": 403,
    "unknown_letter": 404,
    "unknown_command": 404,
    "unknown_agent": 404,
    "unknown_kind": 422,
    "command_malformed": 422,
    "command_too_large": 422,
    "pool_refused": 422,
    "pool_too_large": 422,
    "no_key": 422,
    "bad_cursor": 422,
    "reason_needed": 422,
    "nowhere_found": 422,
    "bad_party": 422,
    "too_many_requests": 429,
}

Limit = Annotated[int, Query(ge=1, le=PAGE, description="Rows of a page.")]
After = Annotated[int, Query(ge=0, description="`next` of the page before.")]


class Caller(NamedTuple):
    """Whose token a request has, and whether it may change something."""

    name: str
    manage: bool


class Why(BaseModel):
    """Why a dead letter is never applied."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=notices.MAX_WHY)


class Pool:
    """A few connections that requests share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: LifoQueue[Connection | None] = LifoQueue(CONNECTIONS)
        for _ in range(CONNECTIONS):
            self._idle.put(None)
        self._asked: set[Connection] = set()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """One of them. TransientError: none is free, or the database does not answer."""
        try:
            conn = self._idle.get(timeout=WAIT_SECONDS)
        except Empty:
            raise TransientError("Too many questions at once: ask again in a while.") from None
        try:
            if conn is None:
                conn = self._database.connect()
            self._asked.add(conn)
            yield conn
        except TransientError:
            if conn is not None:
                self._asked.discard(conn)
                conn.close()
            conn = None
            raise
        finally:
            if conn is not None:
                self._asked.discard(conn)
            self._idle.put(conn)

    def close(self) -> None:
        """Close those that are idle, and break off what is asked of the others."""
        for asked in tuple(self._asked):
            asked.interrupt()
        for _ in range(self._idle.qsize()):
            conn = self._idle.get_nowait()
            if conn is not None:
                conn.close()


def create_app(database: Database, clock: Callable[[], int], base: str = BASE) -> FastAPI:
    """The application. `app.state.pool` is to be closed when it ends."""
    app = FastAPI(
        title="caselink cloud",
        description="Where every code is, what it is worth, and how far each agent has told.",
        openapi_url="/openapi.json",
        docs_url=None,  # FastAPI's pages load from a CDN
        redoc_url=None,
    )
    pool = app.state.pool = Pool(database)
    bearer = HTTPBearer(auto_error=False)
    _answer_errors(app)

    def caller(given: Annotated[Any, Depends(bearer)]) -> Caller:
        token = given.credentials if given is not None else ""
        with pool.connection() as conn:
            found = tokens.who(conn, token)
        if found is None:
            raise DomainError(
                "no_token",
                "This needs a token in the header Authorization: Bearer …; caselink cloud token "
                "add makes one.",
            )
        return Caller(*found)

    def manager(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.manage:
            raise DomainError(
                "not_allowed",
                f"The token of {who.name} may only read: make one with --manage for this.",
            )
        return who

    Reader = Annotated[Caller, Depends(caller)]
    Manager = Annotated[Caller, Depends(manager)]

    @app.get("/trace/{code:path}")
    def trace(
        code: str,
        _who: Reader,
        depth: Annotated[int, Query(ge=0, le=answers.DEEPEST, description="Levels down.")] = 1,
    ) -> dict[str, Any]:
        """Where a code is and has been, what it holds, and what is not known yet. A code with `?`
        or `#` must be percent-encoded."""
        with pool.connection() as conn:
            return answers.trace(conn, code, base, depth)

    @app.get("/relations")
    def changed(
        _who: Reader,
        since: Annotated[str, Query(max_length=64, description="The cursor of a page.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="About so many rows.")] = 1000,
        form: Annotated[
            Literal["jsonl", "csv"], Query(alias="format", description="JSON lines or CSV.")
        ] = "jsonl",
    ) -> Response:
        """Which bottle is in which case on which pallet, for all that changed after `since`. A row
        replaces what was said of its bottle before. The next cursor is in the header X-Cursor and
        in the last JSON line; X-More says whether there is a next page already."""
        with pool.connection() as conn:
            page = relations(conn, since, limit)
        headers = {"X-Cursor": page.cursor, "X-More": "1" if page.more else "0"}
        if form == "csv":
            return PlainTextResponse(as_csv(page), headers=headers, media_type="text/csv")
        body = b"".join(as_lines(page))
        return Response(body, headers=headers, media_type="application/x-ndjson")

    @app.get("/agents")
    def agents(
        _who: Reader,
        limit: Limit = 100,
        after: Annotated[str, Query(max_length=200, description="`next` of a page.")] = "",
    ) -> dict[str, Any]:
        """How far each agent has told, what it says of itself, and what needs a person."""
        with pool.connection() as conn:
            rows = answers.agent_rows(conn, limit, after)
        return {"agents": rows, "next": rows[-1]["agent"] if len(rows) == limit else None}

    @app.get("/dead-letters")
    def dead_letters(
        _who: Reader,
        limit: Limit = 100,
        after: After = 0,
        state: Annotated[
            Literal["open", "applied", "discarded"], Query(description="Which ones.")
        ] = "open",
    ) -> dict[str, Any]:
        """Documents that were not applied, with the reason; the rest of their stream was."""
        with pool.connection() as conn:
            return lists.letters(conn, state, limit, after)

    @app.post("/dead-letters/{letter}/retry")
    def retry(letter: int, who: Manager) -> dict[str, Any]:
        """Apply a dead letter now; what is still wrong with it, [] when it is applied."""
        ingest = Ingest(database)
        try:
            wrong = ingest.retry(letter, who.name, clock())
        finally:
            ingest.close()
        return {"applied": not wrong, "problems": wrong}

    @app.post("/dead-letters/{letter}/discard")
    def discard(letter: int, why: Why, who: Manager) -> dict[str, Any]:
        """Never apply a dead letter. It stays readable, with the reason."""
        with pool.connection() as conn:
            notices.discard(conn, letter, why.reason, who.name, clock(), database.lock)
        return {"discarded": letter}

    @app.get("/forks")
    def forks(_who: Reader, limit: Limit = 100, after: After = 0) -> dict[str, Any]:
        """Batches of another chain than the one that was acknowledged, and restores."""
        with pool.connection() as conn:
            return lists.forks(conn, limit, after)

    @app.get("/refused")
    def refused(_who: Reader, limit: Limit = 100, after: After = 0) -> dict[str, Any]:
        """Payloads that were no batch of ours, with the reason."""
        with pool.connection() as conn:
            return lists.refused(conn, limit, after)

    @app.get("/quarantine")
    def quarantine(
        _who: Reader,
        limit: Limit = 100,
        after: Annotated[str, Query(max_length=32, description="`next` of a page.")] = "",
    ) -> dict[str, Any]:
        """Codes that two things claim; GET /trace of one lists the claims."""
        with pool.connection() as conn:
            return lists.quarantine(conn, limit, after)

    def manages(token: str) -> bool:
        with pool.connection() as conn:
            found = tokens.who(conn, token)
        return found is not None and found[1]

    add_commands(app, pool.connection, clock, caller, manager)
    add_goods(app, pool.connection, clock, caller, manager, base)
    app.add_middleware(BodyLimit, manages=manages)
    return app


def _status(reason: str) -> int:
    return 422 if reason.startswith("code_") else _STATUS.get(reason, 409)


def _answer_errors(app: FastAPI) -> None:
    answer_errors(app, _status)

    @app.exception_handler(DomainError)
    async def refused(_request: Request, error: DomainError) -> JSONResponse:
        answer = refusal(_status(error.reason), error.reason, str(error))
        if answer.status_code == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TooMany):
            answer.headers["Retry-After"] = str(error.seconds)
        return answer

    @app.exception_handler(HTTPException)
    async def nowhere(_request: Request, error: HTTPException) -> JSONResponse:
        return refusal(
            error.status_code,
            "no_such_path",
            f"{error.detail}: GET /openapi.json lists what can be asked.",
        )
