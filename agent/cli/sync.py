"""`caselink sync`: how far the cloud is, and which documents did not get through."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from agent import now
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
from agent.store import commands as stored_commands
from agent.store import outbox
from sync.sealed import load_key

app = typer.Typer(no_args_is_help=True, help="The way to the cloud.")


@app.command()
def status(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """What waits, how old it is, how quickly it goes, when the cloud last acknowledged."""
    site, files = load_site(config)
    found = ask(site, files, "GET", "/api/local/sync", None)
    running = found is not None
    data = {"running": running, **(found or {"configured": site.sync is not None})}
    if "rows" not in data:
        data |= _kept(config)
    if as_json:
        print_json(data)
        return
    table = Table(show_header=False)
    for name, value in _shown(data):
        table.add_row(name, escape(value))
    out.print(table)


@app.command()
def parked(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Documents that were refused: by our own check before they left ("agent"), or by the cloud."""
    with reader(config) as conn:
        found = outbox.parked(conn)
    for each in found:
        if as_json:
            print_json(each)
        else:
            out.print(
                f"row {each['seq']}, document {each['n']}: refused by the {each['side']}: "
                f"{each['reason']}"
                + (f" (settled by {each['settled']})" if each["settled"] else ""),
                markup=False,
            )
    if not found and not as_json:
        out.print("Nothing was refused.")


@app.command()
def key(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The agent's public key: what the cloud seals code pools with. Compare it at a first pool."""
    _, files = load_site(config)
    files.data.mkdir(parents=True, exist_ok=True)
    public = load_key(files.box_key).public
    if as_json:
        print_json({"key": public})
    else:
        out.print(public)


@app.command()
def commands(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """What the cloud asked for and how it was answered, newest first."""
    with reader(config) as conn:
        found = stored_commands.answers(conn)
    for each in found:
        if as_json:
            print_json({**each._asdict(), "body": json.loads(each.body) if each.body else None})
        else:
            word = "done" if each.ok else f"refused ({each.reason})"
            out.print(f"{each.id}, {each.kind}: {word}: {each.text}", markup=False)
    if not found and not as_json:
        out.print("The cloud has asked for nothing.")


@app.command()
def settle(
    row: Annotated[int, typer.Argument(min=1, help="The journal row of the documents.")],
    by: Annotated[str, typer.Option(help="Who has seen to it.")],
    reason: Annotated[str, typer.Option(help="What was done, or why nothing need be.")],
    config: ConfigFile = DEFAULT,
) -> None:
    """A refused document has been seen to: it stays listed, and raises no alarm any more."""
    site, files = load_site(config)
    body = {"row": row, "by": by, "reason": reason}
    if ask(site, files, "POST", "/api/local/sync/settle", body) is None:
        write(files, lambda conn: outbox.settle(conn, row, by, reason))
    out.print(f"Row {row} is settled.")


def _kept(config: Any) -> dict[str, Any]:
    """What the store knows of an agent that does not run."""
    with reader(config) as conn:
        waits, acked = outbox.backlog(conn), outbox.acked(conn)
        refused = outbox.count_parked(conn)
    oldest = waits.oldest_ms
    return {
        "acked": acked.seq,
        "last": waits.last,
        "rows": waits.rows,
        "items": waits.items,
        "oldest": oldest,
        "age_ms": None if oldest is None else max(0, now.wall_ms() - oldest),
        "last_ack": acked.at_ms or None,
        "parked": refused,
    }


def _shown(data: dict[str, Any]) -> list[tuple[str, str]]:
    if not data["configured"]:
        link = "not configured: add [sync] to the site file"
    elif not data["running"]:
        link = "the agent does not run"
    elif data.get("connected"):
        link = "connected"
    else:
        link = f"not connected: {data.get('error') or 'starting'}"
    rows = [("way", link)]
    if data.get("broker"):
        rows.append(("broker", f"{data['broker']} as {data['agent']}"))
    if data.get("fork"):
        rows.append(("STOPPED", f"{data['fork']}: see docs/operator.md"))
    rows += [
        ("to upload", f"{data['rows']:,} rows, {data['items']:,} items"),
        ("oldest", _age(data["age_ms"])),
        ("acknowledged", f"row {data['acked']:,} of {data['last']:,}"),
        ("last acknowledgement", _time(data["last_ack"])),
    ]
    if "rows_per_s" in data:
        pace = f"{data['rows_per_s']:,} rows/s, {data['items_per_s']:,} items/s"
        rows.append(("last minute", pace))
    rows.append(("refused documents", f"{data['parked']:,}"))
    return rows


def _age(ms: int | None) -> str:
    if ms is None:
        return "-"
    seconds = ms // 1000
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min {seconds % 60} s"


def _time(ms: int | None) -> str:
    """Local time, as in all that people read; --json has milliseconds."""
    if ms is None:
        return "never"
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
