"""`caselink trace`, `export` and `db`: what the record says, and whether it is whole."""

import json

import typer
from rich.table import Table

from agent.cli.common import DEFAULT, AsJson, ConfigFile, load_site, out, print_json, reader, write
from agent.services import reports
from agent.store import verify as stored_verify

app = typer.Typer()
export_app = typer.Typer(no_args_is_help=True, help="What the record says, as JSON lines.")
db_app = typer.Typer(no_args_is_help=True, help="The store: check it, rebuild its tables.")


@app.command()
def trace(code: str, config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Everything the record knows of a code."""
    with reader(config) as conn:
        found = reports.trace(conn, code)
    if as_json:
        print_json(found)
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


@export_app.command()
def containers(config: ConfigFile = DEFAULT) -> None:
    """Every container, one JSON object a line."""
    with reader(config) as conn:
        for container in reports.containers(conn):
            print_json(container)


@db_app.command()
def verify(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Check the journal's chain, the invariants, and that the tables are what the journal says."""
    with reader(config) as conn:
        report = stored_verify.verify(conn)
    if as_json:
        print_json({"rows": report.rows, "problems": list(report.problems)})
    else:
        for problem in report.problems:
            out.print(problem, markup=False)
        out.print(f"{report.rows:,} journal entries, {len(report.problems)} problems.")
    if report.problems:
        raise typer.Exit(1)


@db_app.command()
def rebuild(config: ConfigFile = DEFAULT) -> None:
    """Make the tables anew from the journal. The agent must not run."""
    _, files = load_site(config)
    entries = write(files, stored_verify.rebuild)
    out.print(f"Tables made anew from {entries:,} journal entries.")
