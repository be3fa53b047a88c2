"""`caselink document` and `caselink stock`: documents of the warehouse, and what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

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
from agent.core.goods import Item
from agent.sections import Site
from agent.services import document_files
from agent.services.warehouse import Warehouse
from agent.services.warehouse_views import Views
from agent.store.database import Connection
from agent.store.gate import Gate
from agent.store.writer import Writer

app = typer.Typer(no_args_is_help=True, help="Documents of the warehouse.")

BY = "command line"


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


# --------------------------------------------------------------------------- what is there

stock_app = typer.Typer()
Party = Annotated[str, typer.Option(help="Whose warehouse, where there are several.")]
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who does it.")]


class _One:
    """One connection, lent as often as it is asked for."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        yield self._conn


@contextmanager
def _views(config: Path) -> Iterator[Views]:
    site, _ = load_site(config)
    with reader(config) as conn:
        yield Views(site, _One(conn))


@app.command("list")
def list_(
    party: Party = "",
    status: Annotated[
        str, typer.Option(help="open, counted, active, closed, reversed or all.")
    ] = "active",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Documents of a warehouse, the newest first."""
    with _views(config) as views:
        found = views.documents(views.at_the_machine(party), status)
    if as_json:
        print_json({"documents": found})
        return
    table = Table("number", "kind", "status", "other", "location", "scanned", "pieces", "opened")
    for each in found:
        way = f"{each['location']} > {each['to']}" if each["to"] else each["location"]
        table.add_row(
            each["number"],
            each["kind"],
            each["status"],
            each["other"],
            way,
            f"{each['scanned']:,}" + (f"/{each['expected']:,}" if each["expected"] else ""),
            f"{each['pieces']:,}",
            _when(each["opened_ms"]),
        )
    out.print(table)


@app.command()
def show(
    number: Annotated[str, typer.Argument(help="The document's number.")],
    party: Party = "",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """A document with its lines, who scans for it and what is missing."""
    with _views(config) as views:
        found = views.document(views.at_the_machine(party), number)
    if as_json:
        print_json(found)
        return
    out.print(
        f"{found['kind']} {found['number']} is {found['status']}: {found['scanned']:,} units, "
        f"{found['pieces']:,} pieces scanned.",
        markup=False,
    )
    if found["lines"]:
        table = Table("product", "lot", "level", "quantity", "pieces", "done")
        for line in found["lines"]:
            table.add_row(
                line["product"],
                line["lot"] or "any",
                line["level"],
                f"{line['quantity']:,}",
                f"{line['pieces']:,}",
                f"{line['done']:,}",
            )
        out.print(table)
    for each in found["devices"]:
        out.print(f"{each['device']}: {each['units']:,} units, last {_when(each['last_ms'])}")
    for each in found["missing"]:
        out.print(
            f"missing: {each['ref']} {each['level']} {each['product']} {each['lot']} "
            f"({each['pieces']:,} pieces)",
            markup=False,
        )


@app.command()
def close(
    number: Annotated[str, typer.Argument(help="The document's number.")],
    difference: Annotated[
        bool, typer.Option("--difference", help="Its difference was seen and is right.")
    ] = False,
    end: Annotated[
        bool, typer.Option("--end", help="What is missing of a notice will not come.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why there is a difference.")] = "",
    by: By = "cli",
    party: Party = "",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Post what was scanned for a document."""
    answer = "difference" if difference else ""
    body = {"end": True} if end else {}
    said = _do(
        config, party, Item(0, "close", number, answer=answer, reason=reason, body=body, by=by)
    )
    if as_json:
        print_json(said)
    elif said["verdict"] == "difference":
        args = said["args"]
        raise DomainError(
            "difference",
            f"Document {number} has a difference ({args['missing']:,} missing, {args['extra']:,} "
            "more than expected): see `caselink document show`, then close it with --difference "
            "and --reason.",
        )
    else:
        args = said["args"]
        moved = f": {args['units']:,} units, {args['pieces']:,} pieces" if "units" in args else ""
        out.print(f"Posted as {args.get('number', number)}{moved}.", markup=False)


@app.command()
def reverse(
    number: Annotated[str, typer.Argument(help="The document's number.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: By = "cli",
    party: Party = "",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take a posted document back: everything that it moved is where it was."""
    said = _do(config, party, Item(0, "reverse", number, reason=reason, by=by))
    if as_json:
        print_json(said)
    else:
        out.print(f"Document {number} is reversed.", markup=False)


def _do(config: Path, party: str, item: Item) -> dict[str, Any]:
    site, files = load_site(config)
    body = {
        "party": party,
        "do": item.do,
        "document": item.document,
        "answer": item.answer,
        "reason": item.reason,
        "end": bool(item.body.get("end")),
        "by": item.by,
    }
    said = ask(site, files, "POST", "/api/local/warehouse/item", body)
    return said if said is not None else write(files, lambda conn: _here(conn, site, party, item))


def _here(conn: Connection, site: Site, party: str, item: Item) -> dict[str, Any]:
    """On the store of an agent that does not run."""
    writer = Writer(conn)
    gate = Gate(writer, [line.plan() for line in site.lines])
    conn.offset_ms = site.offset_ms
    return Warehouse(site, _One(conn), writer, gate).supervise_here(conn, party, item)


@stock_app.command()
def stock(
    product: Annotated[str, typer.Option(help="Only this product.")] = "",
    lot: Annotated[str, typer.Option(help="Only this lot.")] = "",
    location: Annotated[str, typer.Option(help="Only this location.")] = "",
    party: Party = "",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """What is in a warehouse, by product, lot and location."""
    with _views(config) as views:
        found = views.stock(views.at_the_machine(party), product, lot, location)
    if as_json:
        print_json({"stock": found})
        return
    table = Table("product", "lot", "location", "pieces", "claimed", "units", "since", "expires")
    for each in found:
        table.add_row(
            each["product"],
            each["lot"],
            each["location"],
            f"{each['pieces']:,}",
            f"{each['claimed']:,}",
            f"{each['units']:,}",
            _when(each["oldest_ms"]),
            each["expires"],
        )
    out.print(table)


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ") if ms else ""
