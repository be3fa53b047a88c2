"""`caselink pool`: import code pools, and say what is left of them."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from agent.app import Files
from agent.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    ask,
    load_site,
    out,
    print_json,
    reader,
    write,
)
from agent.clockwatch import clock
from agent.core.errors import DomainError
from agent.core.poolfile import Declared
from agent.sections import Site
from agent.services import pool_files
from agent.services import settle as settled
from agent.store import pools as stored_pools
from agent.store.database import Connection

app = typer.Typer(no_args_is_help=True, help="Code pools.")


@app.command("import")
def import_(
    file: Annotated[Path | None, typer.Argument(help="A CSV file; none with --rule.")] = None,
    config: ConfigFile = DEFAULT,
    name: Annotated[str, typer.Option(help="What to call the pool.")] = "",
    level: Annotated[str, typer.Option(help="Level of the units, e.g. bottle.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="A role; repeat for several.")] = None,
    secret: Annotated[list[str] | None, typer.Option(help="A role that is secret.")] = None,
    product: Annotated[str, typer.Option(help="Only for this product.")] = "",
    campaign: Annotated[str, typer.Option(help="Only for this campaign.")] = "",
    lot: Annotated[str, typer.Option(help="Only for this lot.")] = "",
    scope: Annotated[str, typer.Option(help="agent, plant or brand.")] = "agent",
    preprinted: Annotated[bool, typer.Option(help="The codes come printed.")] = False,
    count: Annotated[int | None, typer.Option(help="Rows the file must have.")] = None,
    sha256: Annotated[str, typer.Option(help="Seal the file must have.")] = "",
    rule: Annotated[str, typer.Option(help="PREFIX or CHECK:PREFIX instead of a file.")] = "",
) -> None:
    """Import a code pool, whole or not at all."""
    if (file is None) == (not rule):
        raise typer.BadParameter("name a file, or a --rule")
    if not level or not role:
        raise typer.BadParameter("say whose codes they are: --level LEVEL --role ROLE")
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
    site, files = load_site(config)
    _check_place(site, level, role)
    path = "" if file is None else str(file.resolve())
    said = ask(site, files, "POST", "/api/local/pools", {**values, "path": path, "rule": rule})
    if said is None:
        said = _import_here(files, values, file, rule)
    out.print(f"Pool {said['name']}: {said['count']:,} rows, roles {', '.join(said['roles'])}.")


def _check_place(site: Site, level: str, roles: list[str]) -> None:
    """DomainError: no packing scheme of the site file has this level with these roles, so that no
    work order could ever use the pool."""
    places = [each for scheme in site.schemes.values() for each in scheme.levels]
    known = dict.fromkeys(f"{each.name}/{role}" for each in places for role in each.roles)
    for role in roles:
        if known and f"{level}/{role}" not in known:
            raise DomainError(
                "pool_wrong",
                f"No packing scheme of the site file has {level}/{role} (there are "
                f"{', '.join(known)}): correct --level and --role, or add it to a scheme first.",
            )


def _import_here(
    files: Files, values: dict[str, Any], file: Path | None, rule: str
) -> dict[str, Any]:
    """No agent runs: write the store ourselves."""
    declared = Declared(**values)
    read = (
        pool_files.of_rule(declared, rule) if file is None else pool_files.read_file(file, declared)
    )
    fact = write(files, lambda conn: pool_files.keep(conn, read, clock()))
    return {"name": fact.name, "count": fact.count, "roles": fact.roles}


@app.command()
def settle(
    pool: Annotated[str, typer.Argument(help="A pool in question after a restore; '*' for all.")],
    by: Annotated[str, typer.Option(help="Who decides it.")],
    reason: Annotated[str, typer.Option(help="Why the cloud cannot be asked.")],
    void_rest: Annotated[
        bool, typer.Option("--void-rest", help="Void every code that is left of it.")
    ] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Void what is left of a pool in question; the cloud settles it without loss when reached."""
    if not void_rest:
        raise typer.BadParameter("without the cloud its codes can only be voided: --void-rest")
    site, files = load_site(config)
    body = {"pool": pool, "by": by, "reason": reason}
    said = ask(site, files, "POST", "/api/local/pools/settle", body)
    if said is None:
        said = _settle_here(files, pool, by, reason)
    out.print(f"Pool {pool} is settled: {said['voided']:,} codes are void.")


def _settle_here(files: Files, pool: str, by: str, reason: str) -> dict[str, Any]:
    """No agent runs: write the store ourselves."""

    def job(conn: Connection) -> dict[str, Any]:
        ways = (lambda job: job(conn)), (lambda: nullcontext(conn))
        done = settled.by_person(*ways, pool, by, reason)
        return {"voided": sum(each.voided for each in done)}

    return write(files, job)


@app.command("list")
def list_(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The pools there are, and how much of each is used."""
    with reader(config) as conn:
        found = stored_pools.list_pools(conn)
    if as_json:
        print_json(
            [
                {
                    "pool": pool.name,
                    "level": pool.level,
                    "roles": list(pool.roles),
                    "count": pool.count,
                    "used": pool.next_position,
                    "in_question": pool.in_question,
                }
                for pool in found
            ]
        )
        return
    table = Table("pool", "level", "roles", "codes", "used")
    for pool in found:
        roles = ", ".join(pool.roles)
        used = f"{pool.next_position:,}" + (" (in question)" if pool.in_question else "")
        table.add_row(pool.name, pool.level, roles, f"{pool.count:,}", used)
    out.print(table)
