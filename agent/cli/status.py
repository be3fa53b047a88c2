"""`caselink status`: one look at the agent of a site file, for who is called at night."""

import shutil
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from agent import now
from agent.app import Files
from agent.cli.common import DEFAULT, AsJson, ConfigFile, ask, load_site, out, print_json, reader
from agent.core.errors import ConfigError, DomainError, TransientError
from agent.sections import Site
from agent.store import journal, outbox
from agent.store import orders as stored
from agent.web import words

app = typer.Typer()
ANSWER_SECONDS = 5.0
"""What the agent gets for each answer: it is a look, and others wait for it."""
LEAST_ROOM = 50_000_000
"""Bytes of free disk below which records and backups are soon not written any more."""
_HANGS = "look into journalctl -u caselink-agent; the watchdog starts it anew after 30 s"
SHOWN = 5
"""Open alarms that are shown; `caselink alarms` shows all."""


@app.command()
def status(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Does the agent run, what do its lines do, what is lost, what waits, how full is the disk.
    Ends with 1 when no agent runs, or it does not answer."""
    site, files = load_site(config)
    data = _looked(site, files, config)
    if as_json:
        print_json(data)
    else:
        table = Table(show_header=False)
        for name, value in _shown(data):
            table.add_row(name, escape(value))
        out.print(table)
    if not data["running"]:
        raise typer.Exit(1)


def _looked(site: Site, files: Files, config: Path) -> dict[str, Any]:
    hangs, lines, cloud = "", [], None
    try:
        known = ask(site, files, "GET", "/api/lines", None, ANSWER_SECONDS)
        for line in [] if known is None else known["lines"]:
            path = f"/api/lines/{line}/snapshot"
            with suppress(DomainError):  # it is starting
                lines.append(ask(site, files, "GET", path, None, ANSWER_SECONDS))
        if known is not None:
            cloud = ask(site, files, "GET", "/api/local/sync", None, ANSWER_SECONDS)
    except TransientError:
        known, hangs = None, f"DOES NOT ANSWER: {_HANGS}"
    try:
        with reader(config) as conn:
            alarms = stored.open_alarms(conn, None)
            waits, last = outbox.backlog(conn), journal.last_wall_ms(conn)
    except ConfigError as error:
        if files.database.exists():
            raise
        return {"running": known is not None, "version": version("caselink"), "error": str(error)}
    disk = shutil.disk_usage(files.data)
    return {
        "running": known is not None,
        "hangs": hangs,
        "version": version("caselink"),
        "agent": site.agent.id,
        "data": str(files.data),
        "panel": f"http://{site.web.host}:{site.web.port}",
        "lines": [_line(each) for each in lines if each is not None],
        "alarms": [_alarm(each) for each in alarms],
        "rows": waits.last,
        "last": last,
        "cloud": None if site.sync is None else (cloud or {"connected": False, "rows": waits.rows}),
        "database_bytes": files.database.stat().st_size,
        "disk_free_bytes": disk.free,
        "disk_bytes": disk.total,
        "now": now.wall_ms(),
    }


def _line(shown: dict[str, Any]) -> dict[str, Any]:
    devices, order = shown["devices"], shown["order"]
    return {
        "line": shown["line"]["id"],
        **shown["state"],
        "order": None if order is None else order["number"],
        "good": shown["good"],
        "target": None if order is None else order["target"],
        "per_min": shown["speed"]["per_min"],
        "devices": devices["all"],
        "not_ok": [
            {"device": each["id"], "state": each["state"], "error": each["error"]}
            for each in devices["list"]
            if each["state"] != "ok"
        ],
        "bypass": shown["bypass"] is not None,
        "test": shown["test"] is not None,
    }


def _alarm(alarm: stored.Alarm) -> dict[str, Any]:
    item = {} if alarm.item is None else {"item": str(alarm.item)}
    args = {"station": alarm.station, **item, **alarm.args}
    title, concerns, _, remedy = words.alarm_words("en", alarm.key, args)
    return {
        "line": alarm.line,
        "priority": alarm.priority,
        "key": alarm.key,
        "raised": alarm.raised.wall_ms,
        "title": title,
        "concerns": concerns,
        "do": remedy,
    }


def _shown(data: dict[str, Any]) -> list[tuple[str, str]]:
    running = f"runs, version {data['version']}" if data["running"] else _DOWN
    if "error" in data:
        return [("agent", running), ("record", data["error"])]
    rows = [("agent", f"{data['agent']} {data['hangs'] or running}")]
    if data["running"]:
        rows.append(("panel", data["panel"]))
    for line in data["lines"]:
        rows += _line_rows(line)
    alarms = data["alarms"]
    rows.append(("open alarms", f"{len(alarms)}" if alarms else "none"))
    for each in alarms[:SHOWN]:
        where = f"{each['title']}: {each['concerns']}" if each["concerns"] else each["title"]
        text = f"{each['line']} since {_local(each['raised'])}, {where}\n→ {each['do']}"
        rows.append((f"  [{each['priority']}]", text))
    if len(alarms) > SHOWN:
        rows.append(("", f"and {len(alarms) - SHOWN} more: caselink alarms"))
    cloud = data["cloud"]
    if cloud is None:
        rows.append(("cloud", "no [sync] in the site file: everything is kept here"))
    else:
        link = "connected" if cloud["connected"] else "not connected"
        rows.append(("cloud", f"{link}, {cloud['rows']:,} rows wait: caselink sync status"))
    last = "-" if data["last"] is None else _local(data["last"])
    rows.append(("record", f"{data['rows']:,} rows, the last of {last}"))
    free = data["disk_free_bytes"]
    full = 100 - 100 * free / max(1, data["disk_bytes"])
    size = f"database {data['database_bytes'] / 1e6:,.1f} MB"
    state = "FULL: make room; " if free < LEAST_ROOM else ""
    disk = f"{state}{free / 1e9:,.2f} GB free, {full:.0f} % full, {size}: {data['data']}"
    rows.append(("disk", disk))
    rows.append(("clock", _local(data["now"])))
    return rows


_DOWN = "DOES NOT RUN: systemctl status caselink-agent, journalctl -u caselink-agent"


def _line_rows(line: dict[str, Any]) -> list[tuple[str, str]]:
    cause = f" ({why(line['cause'])})" if line["cause"] else ""
    marks = "".join(f", {word.upper()}" for word in ("bypass", "test") if line[word])
    text = f"{line['packml']}{cause} since {_local(line['since'])}{marks}"
    if line["order"] is not None:
        text += f"; order {line['order']}: {line['good']:,} of {line['target']:,} good"
        text += f", {line['per_min']:,} a minute"
    rows = [(f"line {line['line']}", text)]
    lost = line["not_ok"]
    rows.append(("  devices", f"{line['devices'] - len(lost)} of {line['devices']} answer"))
    rows += [(f"  {each['device']}", f"{each['state']}: {each['error'] or '-'}") for each in lost]
    return rows


def why(cause: dict[str, Any]) -> str:
    """Why a line is held, as the panel says it."""
    known, key = words.catalogue("en"), cause["key"] or ""
    why = known.get(f"pause.{key}", known.get(f"alarm.{key}.title", key))
    kind = key if cause["by"] is None else "agent" if cause["agent"] else "person"
    said = known.get(f"held.{kind}.text")
    given = {"by": cause["by"] or "", "why": why, "device": cause["device"] or ""}
    return words.text("en", f"held.{kind}.text", **given) if said else str(why)


def _local(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
