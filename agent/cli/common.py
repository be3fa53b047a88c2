"""What the commands share: consoles, options, the site file, the store, the running agent."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console

from agent import config as site_file
from agent.app import Files
from agent.core.errors import ConfigError, DomainError, TransientError, said_of
from agent.sections import Site
from agent.services.pins import Pins
from agent.store.database import Connection, Database, open_reader
from agent.store.writer import Writer

if TYPE_CHECKING:
    import httpx

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="CASELINK_CONFIG", help="The site file.")
]
PlantSpeed = Annotated[int, typer.Option(min=600, max=180_000, help="Bottles an hour.")]
Troubles = Annotated[
    Literal["none", "daily", "harsh"], typer.Option(help="What goes wrong in the plant.")
]
TroubleRates = Annotated[
    list[str] | None,
    typer.Option("--trouble", metavar="NAME=RATE", help="The rate of one trouble; repeat."),
]
Packing = Annotated[
    Literal["multiread", "sequence"], typer.Option(help="By picture, or by order and count.")
]
PlantSite = Annotated[
    Literal["bottling", "liquor", "bottling-loose"], typer.Option(help="Which example plant.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT = Path("/etc/caselink/site.toml")
ANSWER_SECONDS = 30.0
T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def load_site(config: Path) -> tuple[Site, Files]:
    """The site file and where its agent keeps its state. ConfigError: see agent.config.load."""
    site = site_file.load(config)
    return site, Files(site, config)


@contextmanager
def reader(config: Path) -> Iterator[Connection]:
    """A read-only connection to the site's store."""
    _, files = load_site(config)
    conn = open_reader(files.database, files.key)
    try:
        yield conn
    finally:
        conn.close()


def pins(files: Files, file: Path) -> Pins:
    """The PINs in this file, mixed with the agent's pepper.

    ConfigError when that is sealed and not given to this process: it would make a new one, and the
    agent refuse every PIN that is set with it."""
    if not files.pepper.exists() and files.database.exists() and not files.own_key.exists():
        raise ConfigError(
            f"The keys of the agent in {files.data} are sealed to this machine, and this command "
            "was not given caselink.pepper: run it by `caselink-here`, which gives it all that "
            "docs/install.md seals."
        )
    files.data.mkdir(parents=True, exist_ok=True)
    return Pins(file, files.pepper)


def write(files: Files, job: Callable[[Connection], T]) -> T:
    """Carry out a job on the store of an agent that does not run."""
    files.data.mkdir(parents=True, exist_ok=True)
    database = Database.open(files.database, files.key)
    try:
        return Writer(database.conn).run_inline(job)
    finally:
        database.close()


def ask(
    site: Site,
    files: Files,
    method: str,
    path: str,
    body: Any,
    seconds: float = ANSWER_SECONDS,
) -> dict[str, Any] | None:
    """Ask the running agent; None when none runs. DomainError when it refuses, TransientError when
    it does not answer within `seconds` or breaks off, PermissionError when this user may not."""
    import httpx

    try:
        token = files.token.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    host = f"[{site.web.host}]" if ":" in site.web.host else site.web.host
    try:
        answer = httpx.request(
            method,
            f"http://{host}:{site.web.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=seconds,
        )
    except httpx.ConnectError:
        return None
    except httpx.TransportError as error:
        raise TransientError(_unanswered(error, f"{host}:{site.web.port}", seconds)) from None
    try:
        said = answer.json()
    except ValueError:
        said = None
    if isinstance(said, dict):
        if answer.is_success:
            return said
        if "message" in said:
            refused = DomainError(str(said.get("reason", "refused")), str(said["message"]))
            refused.said = said_of(said["said"]) if said.get("said") else None
            raise refused
    raise DomainError(
        "not_our_agent",
        f"What answers on port {site.web.port} is not this agent (HTTP {answer.status_code}): "
        "another program has the port; stop it, or change [web] port and start the agent again.",
    )


def _unanswered(error: "httpx.TransportError", where: str, seconds: float) -> str:
    """What happened to a request that the agent may have carried out or not, and what to do."""
    import httpx

    unsure = (
        "Whether it was carried out is not known: look at the panel or at `caselink order list` "
        "before you repeat it. If this comes again, look into the agent's log and start it anew."
    )
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return (
                f"The agent on {where} took no connection within {seconds:.0f} s, so nothing was "
                "carried out: the machine is overloaded or the agent hangs. Try again; if this "
                "comes again, look into the agent's log and start it anew."
            )
        case httpx.TimeoutException():
            return f"The agent on {where} gave no answer within {seconds:.0f} s. {unsure}"
        case _:
            return f"The agent on {where} broke off before it answered ({error}). {unsure}"
