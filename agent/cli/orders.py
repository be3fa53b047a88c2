"""`caselink order`: create, start, pause, resume and finish work orders of a running agent."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from agent.cli.common import DEFAULT, AsJson, ConfigFile, ask, load_site, out, print_json, reader
from agent.core.errors import ConfigError
from agent.store import orders as stored_orders

app = typer.Typer(no_args_is_help=True, help="Work orders.")
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who asks for it.")]
Line = Annotated[str, typer.Option(help="The line.")]


def tell(config: Path, path: str, body: dict[str, Any], done: str) -> None:
    """Give the running agent a command, then say `done`. ConfigError when none runs."""
    site, files = load_site(config)
    if ask(site, files, "POST", path, body) is None:
        raise ConfigError(
            f"No agent answers on port {site.web.port}: start it with `caselink run --config "
            f"{config}`."
        )
    out.print(done)


def body(pool: list[str] | None, **given: Any) -> dict[str, Any]:
    """A work order as an agent takes it, with `--pool LEVEL/ROLE=POOL` of the command line."""
    pools = {}
    for value in pool or ():
        key, equals, text = value.partition("=")
        if not equals or not key or not text:
            raise typer.BadParameter(f"write LEVEL/ROLE=POOL, not {value}")
        pools[key] = text
    return {**given, "pools": pools}


@app.command()
def create(
    number: str,
    line: Annotated[str, typer.Option(help="The line that makes it.")],
    product: Annotated[str, typer.Option(help="Its stock-keeping unit, of the site file.")],
    lot: Annotated[str, typer.Option(help="The production lot.")],
    scheme: Annotated[str, typer.Option(help="Packing scheme.")],
    target: Annotated[int, typer.Option(min=1, help="Units of the lowest level.")],
    pool: Annotated[list[str] | None, typer.Option(help="LEVEL/ROLE=POOL; repeat.")] = None,
    campaign: Annotated[str, typer.Option(help="The promotion on caps or labels.")] = "",
    produced: Annotated[str, typer.Option(help="Date, YYYY-MM-DD.")] = "",
    expires: Annotated[str, typer.Option(help="Date, YYYY-MM-DD.")] = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """Create a work order."""
    asked = body(
        pool,
        number=number,
        line=line,
        product=product,
        lot=lot,
        scheme=scheme,
        target=target,
        campaign=campaign,
        produced=produced,
        expires=expires,
    )
    tell(config, "/api/orders", asked, f"Work order {number} created on line {line}.")


@app.command()
def start(number: str, line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """Start a work order on its line."""
    asked = {"order": number, "by": by}
    done = f"Work order {number} is started on line {line}."
    tell(config, f"/api/lines/{line}/start", asked, done)


@app.command()
def change(number: str, line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """Change over: finish the line's work order and start this one at the next item."""
    asked = {"order": number, "by": by}
    tell(config, f"/api/lines/{line}/change", asked, f"Line {line} changes to {number}.")


@app.command()
def pause(
    line: Line,
    why: Annotated[str, typer.Option(help="The reason.")] = "",
    by: By = "cli",
    config: ConfigFile = DEFAULT,
) -> None:
    """Pause the line's work order."""
    tell(config, f"/api/lines/{line}/pause", {"by": by, "why": why}, f"Line {line} pauses.")


@app.command()
def resume(line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """Go on with the line's paused work order."""
    tell(config, f"/api/lines/{line}/resume", {"by": by}, f"Line {line} goes on.")


@app.command()
def finish(line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """Finish the line's work order."""
    tell(config, f"/api/lines/{line}/finish", {"by": by}, f"Line {line} is free.")


@app.command("list")
def list_(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The newest work orders."""
    with reader(config) as conn:
        rows = stored_orders.list_orders(conn)
    if as_json:
        print_json(
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
