"""`caselink alarms`: what is wrong now and what was, with cause and remedy in either language."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from agent.cli.common import DEFAULT, AsJson, ConfigFile, out, print_json, reader
from agent.core.known import Clock
from agent.store import orders as stored
from agent.told import Language
from agent.web import words

app = typer.Typer()


@app.command()
def alarms(
    config: ConfigFile = DEFAULT,
    line: Annotated[str, typer.Option(help="Of this line only.")] = "",
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="How much of the history.")] = 20,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the texts.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Open alarms, and the newest that are over: cause, what they concern, what to do."""
    with reader(config) as conn:
        now = stored.open_alarms(conn, line or None)
        # As many open ones may stand among the newest.
        recent = stored.alarm_history(conn, limit + len(now), line=line or None)
    over = [alarm for alarm in recent if alarm.cleared is not None][:limit]
    shown = {"open": now, "history": over}
    if as_json:
        print_json({name: [_data(each, lang) for each in found] for name, found in shown.items()})
        return
    for name, found in shown.items():
        out.print(words.text(lang, f"alarms.{name}", n=len(found)), markup=False)
        for each in found:
            _show(each, lang)


def _args(alarm: stored.Alarm) -> dict[str, str]:
    item = {} if alarm.item is None else {"item": str(alarm.item)}
    return {"station": alarm.station, **item, **alarm.args}


def _data(alarm: stored.Alarm, lang: Language) -> dict[str, Any]:
    title, concerns, cause, remedy = words.alarm_words(lang, alarm.key, _args(alarm))
    return {
        "seq": alarm.seq,
        "line": alarm.line,
        "alarm": alarm.alarm,
        "key": alarm.key,
        "priority": alarm.priority,
        "station": alarm.station,
        "item": alarm.item,
        "args": alarm.args,
        "raised": _iso(alarm.raised),
        "acknowledged": _iso(alarm.acknowledged),
        "acknowledged_by": alarm.acknowledged_by,
        "cleared": _iso(alarm.cleared),
        "title": title,
        "concerns": concerns,
        "cause": cause,
        "do": remedy,
    }


def _iso(at: Clock | None) -> str | None:
    """UTC as the wall clock said then."""
    return None if at is None else datetime.fromtimestamp(at.wall_ms / 1000, UTC).isoformat()


def _show(alarm: stored.Alarm, lang: Language) -> None:
    title, concerns, cause, remedy = words.alarm_words(lang, alarm.key, _args(alarm))
    line = f"[{alarm.priority}] {_local(alarm.raised)}  {alarm.line}  {title}"
    out.print(f"{line}: {concerns}" if concerns else line, markup=False)
    out.print(f"    {cause}", markup=False)
    out.print(f"    → {remedy}", markup=False)
    if alarm.acknowledged is not None:
        said = {"by": alarm.acknowledged_by, "time": _local(alarm.acknowledged)}
        out.print(f"    {words.text(lang, 'alarms.seen', **said)}", markup=False)
    if alarm.cleared is not None:
        over = words.text(lang, "alarms.over", time=_local(alarm.cleared))
        out.print(f"    {over}", markup=False)


def _local(at: Clock) -> str:
    return datetime.fromtimestamp(at.wall_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
