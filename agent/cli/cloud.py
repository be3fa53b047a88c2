"""`caselink cloud`: the consumer of the agents' batches. It needs no site file and no agent."""

import asyncio
import faulthandler
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent import logs
from agent.cli.common import AsJson, out, print_json
from agent.core.errors import ConfigError
from agent.notify import Notifier

if TYPE_CHECKING:
    from sync.cloud.database import Connection
    from sync.cloud.service import Service

app = typer.Typer(no_args_is_help=True, help="The consumer at the other end: ingest and answers.")
token_app = typer.Typer(no_args_is_help=True, help="Who may ask the consumer over HTTP.")
app.add_typer(token_app, name="token")

Db = Annotated[
    str,
    typer.Option(envvar="CASELINK_DB", help="sqlite:///path or postgresql://user@host/name."),
]
File = Path | None
STOP_SECONDS = 30.0
"""After so long it ends however it stands, and says where it hung: nothing is lost by it."""


@app.command()
def run(
    db: Db,
    broker: Annotated[
        str, typer.Option(envvar="CASELINK_BROKER", help="mqtts://host:8883 or mqtt://host.")
    ],
    http: Annotated[
        str, typer.Option(envvar="CASELINK_HTTP", help="host:port of the answers; empty: none.")
    ] = "127.0.0.1:8090",
    client: Annotated[
        str,
        typer.Option(envvar="CASELINK_CLIENT", help="Our name at the broker, one per consumer."),
    ] = "caselink-cloud",
    group: Annotated[
        str, typer.Option(envvar="CASELINK_GROUP", help="Consumers of one group share the work.")
    ] = "caselink",
    shard: Annotated[
        str, typer.Option(envvar="CASELINK_SHARD", help="Serve one share of the agents: 2/4.")
    ] = "1/1",
    base: Annotated[
        str, typer.Option(envvar="CASELINK_BASE", help="Where the agents' own names begin.")
    ] = "https://id.caselink.example",
    ca: Annotated[
        File, typer.Option(envvar="CASELINK_CA", help="Who signs the broker's certificate.")
    ] = None,
    cert: Annotated[File, typer.Option(envvar="CASELINK_CERT", help="Our certificate.")] = None,
    key: Annotated[File, typer.Option(envvar="CASELINK_KEY", help="Its key.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything.")] = False,
) -> None:
    """Consume until told to stop."""
    from sync.cloud.service import Service, Settings

    logs.begin(verbose)
    for noisy in ("asyncio", "psycopg"):
        logging.getLogger(noisy).setLevel("WARNING")
    service = Service(Settings(db, broker, http, client, group, base, ca, cert, key, shard))
    asyncio.run(serve(service))


async def serve(service: "Service", within: float = STOP_SECONDS) -> None:
    """Until a signal says to end, and `within` s from then on."""
    notifier = Notifier()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        faulthandler.dump_traceback_later(within, exit=True)
        service.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    running = asyncio.create_task(service.run())
    ready = asyncio.create_task(service.ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        notifier.ready()
        print_json({"ready": {"http": service.address}})
        sys.stdout.flush()
    ready.cancel()
    interval = notifier.interval
    while interval is not None and not running.done():
        if service.alive():
            notifier.alive("running")
        else:
            notifier.status("stuck")
        await asyncio.wait({running}, timeout=interval / 3)
    await running
    notifier.stopping()


@token_app.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Who gets it.")],
    db: Db,
    manage: Annotated[bool, typer.Option("--manage", help="It may close dead letters.")] = False,
) -> None:
    """Make a token; it is shown once and kept as a hash only."""
    from sync.cloud import tokens
    from sync.cloud.consumer import now_ms

    with connected(db) as conn:
        out.print(tokens.make(conn, name, manage, now_ms()), markup=False)


@token_app.command("list")
def token_list(db: Db, as_json: AsJson = False) -> None:
    """Who has a token."""
    from sync.cloud import tokens
    from sync.cloud.answers import iso

    with connected(db, there=True) as conn:
        found = tokens.listed(conn)
    if as_json:
        rows = [{"name": name, "manage": manage, "made": iso(made)} for name, manage, made in found]
        print_json({"tokens": rows})
        return
    for name, manage, made in found:
        out.print(f"{name}  {'manages' if manage else 'reads'}  since {iso(made)}", markup=False)


@token_app.command("revoke")
def token_revoke(name: Annotated[str, typer.Argument(help="Whose.")], db: Db) -> None:
    """End a token at once."""
    from sync.cloud import tokens

    with connected(db, there=True) as conn:
        tokens.revoke(conn, name)
    out.print(f"The token of {name} is no longer good.", markup=False)


@app.command()
def trace(
    code: Annotated[str, typer.Argument(help="As it is scanned or typed.")],
    db: Db,
    depth: Annotated[int, typer.Option(min=0, max=3, help="Levels of content.")] = 1,
    base: Annotated[
        str, typer.Option(envvar="CASELINK_BASE", help="Where the agents' own names begin.")
    ] = "https://id.caselink.example",
) -> None:
    """What the cloud knows of a code, as one JSON object."""
    from sync.cloud import answers

    with connected(db, there=True) as conn:
        print_json(answers.trace(conn, code, base, depth))


@app.command()
def party(
    number: Annotated[str, typer.Argument(metavar="PARTY", help="As documents name it.")],
    db: Db,
    agent: Annotated[
        str, typer.Option(help="tenant/site/agent that keeps its books; '' = none does.")
    ],
) -> None:
    """Say which agent serves a party: what is shipped to the party is told to it."""
    from sync.cloud import parties
    from sync.cloud.consumer import now_ms

    with connected(db) as conn:
        parties.serve(conn, number, agent, now_ms())
    out.print(f"{number} is served by {agent or 'no agent'}.", markup=False)


@contextmanager
def connected(db: str, *, there: bool = False) -> Iterator["Connection"]:
    """A connection to the cloud's database. `there`: ConfigError where a SQLite file is not."""
    from sync.cloud.database import open_database

    file = db.removeprefix("sqlite:///")
    if there and file != db and not Path(file).exists():
        raise ConfigError(
            f"There is no database {Path(file).absolute()}: name the one of `caselink cloud run`, "
            "sqlite:////PATH for a path from the root."
        )
    database = open_database(db)
    conn = database.connect()
    try:
        yield conn
    finally:
        conn.close()
        database.close()
