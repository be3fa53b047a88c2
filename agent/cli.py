"""The command `caselink`. Every command says what it did, or what is wrong and what to do now.

Exit status: 0 done, 1 refused or failed, 2 not understood.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import httpx
import typer
from rich.console import Console
from rich.table import Table

from agent import config as site_file
from agent.app import Agent, Files, check_devices
from agent.config import Site
from agent.core.errors import CaselinkError, ConfigError, DomainError
from agent.core.poolfile import Declared
from agent.line.runner import clock
from agent.services import pool_files, reports
from agent.store import orders as stored_orders
from agent.store import pools as stored_pools
from agent.store import verify as stored_verify
from agent.store.database import Connection, Database, open_reader
from agent.store.writer import Writer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One item, one code: the edge agent for packaging lines and warehouses.",
)
config_app = typer.Typer(no_args_is_help=True, help="Check and describe the site file.")
pool_app = typer.Typer(no_args_is_help=True, help="Code pools.")
order_app = typer.Typer(no_args_is_help=True, help="Work orders.")
export_app = typer.Typer(no_args_is_help=True, help="What the record says, as JSON lines.")
db_app = typer.Typer(no_args_is_help=True, help="The store: check it, rebuild its tables.")
for name, sub in (
    ("config", config_app),
    ("pool", pool_app),
    ("order", order_app),
    ("export", export_app),
    ("db", db_app),
):
    app.add_typer(sub, name=name)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="CASELINK_CONFIG", help="The site file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
By = Annotated[str, typer.Option("--by", help="Who asks for it.")]
DEFAULT = Path("/etc/caselink/site.toml")
T = TypeVar("T")
SECONDS = 30.0

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> NoReturn:
    """Entry point: our own errors end in one readable message."""
    try:
        app()
    except CaselinkError as error:
        err.print(str(error), markup=False)
        sys.exit(1)
    except httpx.HTTPError as error:
        err.print(f"The agent does not answer ({error}): is it running?", markup=False)
        sys.exit(1)
    sys.exit(0)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _site(config: Path) -> tuple[Site, Files]:
    site = site_file.load(config)
    return site, Files(site, config)


@contextmanager
def _reader(config: Path) -> Iterator[Connection]:
    _, files = _site(config)
    conn = open_reader(files.database, files.key)
    try:
        yield conn
    finally:
        conn.close()


# ------------------------------------------------------------------------------------------ agent


@app.command()
def run(
    config: ConfigFile = DEFAULT,
    web: Annotated[bool, typer.Option(help="Serve the panel.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Run the agent of a site file until it is told to stop."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("pymodbus", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "pymodbus" else "WARNING")
    site, _ = _site(config)
    asyncio.run(_run(Agent(site, config, web=web)))


async def _run(agent: Agent) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.stop)
    running = asyncio.create_task(agent.run())
    ready = asyncio.create_task(agent.ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and agent.port:
        host = agent.site.web.host
        _print_json({"ready": {"panel": f"http://{host}:{agent.port}"}})
        sys.stdout.flush()
    ready.cancel()
    await running


# ----------------------------------------------------------------------------------------- config


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(help="The site file.")]) -> None:
    """Say everything that is wrong with a site file, or that nothing is."""
    site = site_file.load(file)
    problems = check_devices(site)
    if problems:
        raise ConfigError("\n".join(f"{file}: {problem}" for problem in problems))
    stations = sum(len(line.stations) for line in site.lines)
    out.print(
        f"{file}: {len(site.lines)} lines, {stations} stations, {len(site.devices)} devices: good."
    )


@config_app.command("schema")
def config_schema() -> None:
    """The JSON schema of the site file, for an editor that helps to write it."""
    _print_json(Site.model_json_schema(by_alias=True))


# ------------------------------------------------------------------------------------------ pools


def _pairs(values: list[str], what: str) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key or not text:
            raise typer.BadParameter(f"write {what}, not {value}")
        pairs[key] = text
    return pairs


@pool_app.command("import")
def pool_import(
    file: Annotated[Path | None, typer.Argument(help="A CSV file; none with --rule.")] = None,
    config: ConfigFile = DEFAULT,
    name: Annotated[str, typer.Option(help="What to call the pool.")] = "",
    level: Annotated[str, typer.Option(help="Level of the units, e.g. bottle.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="A role; repeat for several.")] = None,
    secret: Annotated[list[str] | None, typer.Option(help="A role that is secret.")] = None,
    product: Annotated[str, typer.Option(help="Only for this product.")] = "",
    campaign: str = "",
    lot: str = "",
    scope: Annotated[str, typer.Option(help="agent, plant or brand.")] = "agent",
    preprinted: Annotated[bool, typer.Option(help="The codes come printed.")] = False,
    count: Annotated[int | None, typer.Option(help="Rows the file must have.")] = None,
    sha256: Annotated[str, typer.Option(help="Seal the file must have.")] = "",
    rule: Annotated[str, typer.Option(help="PREFIX or CHECK:PREFIX instead of a file.")] = "",
) -> None:
    """Import a code pool, whole or not at all."""
    if (file is None) == (not rule):
        raise typer.BadParameter("name a file, or a --rule")
    values: dict[str, Any] = {
        "name": name or (file.stem if file else ""),
        "level": level,
        "roles": tuple(role or ()),
        "secret": tuple(secret or ()),
        "product": product,
        "campaign": campaign,
        "lot": lot,
        "scope": scope,
        "preprinted": preprinted,
        "count": count,
        "sha256": sha256,
    }
    site, files = _site(config)
    path = "" if file is None else str(file.resolve())
    said = _ask(site, files, "POST", "/api/local/pools", {**values, "path": path, "rule": rule})
    if said is None:
        said = _import_here(files, values, file, rule)
    out.print(f"Pool {said['name']}: {said['count']:,} rows, roles {', '.join(said['roles'])}.")


def _import_here(
    files: Files, values: dict[str, Any], file: Path | None, rule: str
) -> dict[str, Any]:
    """No agent runs: write the store ourselves."""
    declared = Declared(**values)
    read = (
        pool_files.of_rule(declared, rule) if file is None else pool_files.read_file(file, declared)
    )
    fact = _write(files, lambda conn: pool_files.keep(conn, read, clock()))
    return {"name": fact.name, "count": fact.count, "roles": fact.roles}


def _write(files: Files, job: Callable[[Connection], T]) -> T:
    files.data.mkdir(parents=True, exist_ok=True)
    database = Database.open(files.database, files.key)
    try:
        return Writer(database.conn).run_inline(job)
    finally:
        database.close()


@pool_app.command("list")
def pool_list(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The pools there are, and how much is left of each."""
    with _reader(config) as conn:
        found = stored_pools.list_pools(conn)
    if as_json:
        _print_json(
            [
                {
                    "pool": pool.name,
                    "level": pool.level,
                    "roles": list(pool.roles),
                    "count": pool.count,
                    "used": pool.next_position,
                }
                for pool in found
            ]
        )
        return
    table = Table("pool", "level", "roles", "codes", "used")
    for pool in found:
        roles = ", ".join(pool.roles)
        table.add_row(pool.name, pool.level, roles, f"{pool.count:,}", f"{pool.next_position:,}")
    out.print(table)


# ----------------------------------------------------------------------------------------- orders


def _ask(site: Site, files: Files, method: str, path: str, body: Any) -> dict[str, Any] | None:
    """Ask the running agent; None when none runs. DomainError when it refuses."""
    try:
        token = files.token.read_text("ascii").strip()
    except OSError:
        return None
    host = f"[{site.web.host}]" if ":" in site.web.host else site.web.host
    try:
        answer = httpx.request(
            method,
            f"http://{host}:{site.web.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=SECONDS,
        )
    except httpx.ConnectError:
        return None
    said = answer.json()
    if answer.is_success:
        return dict(said)
    raise DomainError(said.get("reason", "refused"), said.get("message", answer.text))


def _tell(config: Path, path: str, body: dict[str, Any], done: str) -> None:
    site, files = _site(config)
    if _ask(site, files, "POST", path, body) is None:
        raise ConfigError(
            f"No agent answers on port {site.web.port}: start it with `caselink run --config "
            f"{config}`."
        )
    out.print(done)


@order_app.command("create")
def order_create(
    number: str,
    line: Annotated[str, typer.Option(help="The line that makes it.")],
    product: Annotated[str, typer.Option()],
    lot: Annotated[str, typer.Option()],
    scheme: Annotated[str, typer.Option(help="Packing scheme.")],
    target: Annotated[int, typer.Option(min=1, help="Units of the lowest level.")],
    pool: Annotated[list[str] | None, typer.Option(help="LEVEL/ROLE=POOL; repeat.")] = None,
    campaign: str = "",
    produced: str = "",
    expires: str = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """Create a work order."""
    body = {
        "number": number,
        "line": line,
        "product": product,
        "lot": lot,
        "scheme": scheme,
        "target": target,
        "pools": _pairs(pool or [], "LEVEL/ROLE=POOL"),
        "campaign": campaign,
        "produced": produced,
        "expires": expires,
    }
    _tell(config, "/api/orders", body, f"Work order {number} created on line {line}.")


def _who(by: str) -> str:
    return by or os.environ.get("USER", "") or "cli"


@order_app.command("start")
def order_start(
    number: str, line: Annotated[str, typer.Option()], by: By = "", config: ConfigFile = DEFAULT
) -> None:
    """Start a work order on its line."""
    body = {"order": number, "by": _who(by)}
    _tell(config, f"/api/lines/{line}/start", body, f"Line {line} runs work order {number}.")


@order_app.command("pause")
def order_pause(
    line: Annotated[str, typer.Option()],
    why: str = "",
    by: By = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """Pause the line's work order."""
    _tell(config, f"/api/lines/{line}/pause", {"by": _who(by), "why": why}, f"Line {line} pauses.")


@order_app.command("resume")
def order_resume(
    line: Annotated[str, typer.Option()], by: By = "", config: ConfigFile = DEFAULT
) -> None:
    """Go on with the line's paused work order."""
    _tell(config, f"/api/lines/{line}/resume", {"by": _who(by)}, f"Line {line} goes on.")


@order_app.command("finish")
def order_finish(
    line: Annotated[str, typer.Option()], by: By = "", config: ConfigFile = DEFAULT
) -> None:
    """Finish the line's work order."""
    _tell(config, f"/api/lines/{line}/finish", {"by": _who(by)}, f"Line {line} is free.")


@order_app.command("list")
def order_list(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The newest work orders."""
    with _reader(config) as conn:
        rows = stored_orders.list_orders(conn)
    if as_json:
        _print_json(
            [
                {
                    "number": row.order.number,
                    "line": row.order.line,
                    "product": row.order.product,
                    "lot": row.order.lot,
                    "target": row.order.target,
                    "state": row.state,
                }
                for row in rows
            ]
        )
        return
    table = Table("order", "line", "product", "lot", "target", "state")
    for row in rows:
        order = row.order
        table.add_row(
            order.number, order.line, order.product, order.lot, f"{order.target:,}", row.state
        )
    out.print(table)


# ---------------------------------------------------------------------------------------- answers


@app.command()
def trace(code: str, config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Everything the record knows of a code."""
    with _reader(config) as conn:
        found = reports.trace(conn, code)
    if as_json:
        _print_json(found)
        return
    table = Table(show_header=False)
    for key, value in found.items():
        if key == "history":
            continue
        if isinstance(value, list):
            value = "\n".join(json.dumps(each, ensure_ascii=False) for each in value)
        elif isinstance(value, dict):
            value = "\n".join(f"{name}: {text}" for name, text in value.items())
        table.add_row(key, "-" if value is None else str(value))
    out.print(table)
    for entry in found.get("history", []):
        out.print(json.dumps(entry, ensure_ascii=False), markup=False)


@export_app.command("containers")
def export_containers(config: ConfigFile = DEFAULT) -> None:
    """Every container, one JSON object a line."""
    with _reader(config) as conn:
        for container in reports.containers(conn):
            _print_json(container)


# --------------------------------------------------------------------------------------------- db


@db_app.command("verify")
def db_verify(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Check the journal's chain, the invariants, and that the tables are what the journal says."""
    with _reader(config) as conn:
        report = stored_verify.verify(conn)
    if as_json:
        _print_json({"rows": report.rows, "problems": list(report.problems)})
    else:
        for problem in report.problems:
            out.print(problem, markup=False)
        out.print(f"{report.rows:,} journal entries, {len(report.problems)} problems.")
    if report.problems:
        raise typer.Exit(1)


@db_app.command("rebuild")
def db_rebuild(config: ConfigFile = DEFAULT) -> None:
    """Make the tables anew from the journal. The agent must not run."""
    _, files = _site(config)
    entries = _write(files, stored_verify.rebuild)
    out.print(f"Tables made anew from {entries:,} journal entries.")


# ------------------------------------------------------------------------------------------- demo


@app.command()
def demo(
    bottles: Annotated[int | None, typer.Option(min=1, help="How many bottles to feed.")] = None,
    for_: Annotated[str, typer.Option("--for", help="How long to feed, e.g. 60s or 5m.")] = "",
    speed: Annotated[int, typer.Option(min=600, max=180_000, help="Bottles an hour.")] = 36_000,
    seed: int = 1,
    troubles: Annotated[Literal["none", "daily", "harsh"], typer.Option()] = "none",
    pack: Annotated[Literal["multiread", "sequence"], typer.Option()] = "multiread",
    site: Annotated[Literal["bottling", "liquor"], typer.Option()] = "bottling",
    web: Annotated[bool, typer.Option(help="Serve the panel.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the panel.")] = 8080,
    keep: Annotated[Path | None, typer.Option(help="Leave everything in this folder.")] = None,
    stay: Annotated[bool, typer.Option(help="Leave the panel up after the audit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a packaging line against a simulated plant, then audit every container."""
    from agent.demo.run import Demo, DemoOptions

    options = DemoOptions(
        bottles=bottles,
        seconds=_seconds(for_) if for_ else None,
        speed=speed,
        seed=seed,
        troubles=troubles,
        pack=pack,
        site=site,
        web=web,
        port=port,
        keep=keep,
        stay=stay,
    )
    result = Demo(options, say=lambda text: err.print(text, markup=False)).run()
    if as_json:
        _print_json(result.data())
    else:
        out.print(result.table())
    if not result.good:
        raise typer.Exit(1)


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        raise typer.BadParameter(f"write a time such as 60s or 5m, not {text}") from None
    if not 0 < value <= 86_400:
        raise typer.BadParameter("between 1 s and 24 h")
    return value


if __name__ == "__main__":
    main()
