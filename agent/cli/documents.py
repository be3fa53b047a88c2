"""`caselink document`: documents of the warehouse from a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.common import DEFAULT, ConfigFile, ask, load_site, out, reader, write
from agent.clockwatch import clock
from agent.services import document_files

app = typer.Typer(no_args_is_help=True, help="Documents of the warehouse.")

BY = "command line"


@app.callback()
def documents() -> None:
    """A group of its own, though it has one command."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSON: UTF-8 or GBK.")],
    party: Annotated[str, typer.Option(help="Whose warehouse, where there are several.")] = "",
    kind: Annotated[
        str, typer.Option(help="ship, receive, transfer, ... of documents that do not say it.")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Only look, book nothing.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Import dispatch orders, notices of what is coming, transfers: whole or not at all."""
    site, files = load_site(config)
    if check:
        data = document_files.read_file(file)
        with reader(config) as conn:
            found = document_files.told(document_files.look(conn, site, party, data, kind))
    else:
        body = {"path": str(file.resolve()), "party": party, "kind": kind}
        said = ask(site, files, "POST", "/api/local/documents", body)
        if said is None:  # no agent runs: write the store ourselves
            data = document_files.read_file(file)
            drafts = write(
                files,
                lambda conn: document_files.keep(conn, site, party, data, kind, BY, clock()),
            )
            found = document_files.told(drafts)
        else:
            found = said["documents"]
    for each in found:
        out.print(_line(each), markup=False)
    out.print(f"{'Sound' if check else 'Imported'}: {len(found)} documents.")


def _line(each: dict[str, Any]) -> str:
    way = f" {each['location']} > {each['to']}" if each["kind"] == "transfer" else ""
    units = f", {each['units']:,} units by code" if each["units"] else ""
    return (
        f"{each['kind']} {each['number']} {each['other']}{way}: {each['lines']:,} lines, "
        f"{each['pieces']:,} pieces{units}"
    )
