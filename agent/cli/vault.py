"""`caselink backup` and `restore`: a copy of the record to carry away, and the way back."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.common import DEFAULT, AsJson, ConfigFile, load_site, out, print_json
from agent.store import archive
from agent.store import backup as stored_backup
from agent.store import restore as stored_restore
from agent.store.database import require

app = typer.Typer()

Quick = Annotated[
    bool, typer.Option("--quick", help="Do not replay the journal against the tables.")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    config: ConfigFile = DEFAULT,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Write a verified backup of the record; the agent may run."""
    site, files = load_site(config)
    require(files.database)
    stored_backup.step_back()
    sheet = stored_backup.backup(files.database, files.key, file, site.agent.id, replay=not quick)
    data = {
        "file": str(file),
        "bytes": sheet.bytes,
        "rows": sheet.seq,
        "epoch": sheet.epoch,
        "key": sheet.key,
        "archives": [name for name, _ in sheet.archives],
    }
    if as_json:
        print_json(data)
        return
    out.print(f"{file}: {sheet.seq:,} journal rows, {sheet.bytes / 1e6:,.1f} MB, verified.")
    out.print(f"It can be read with the key {sheet.key} only ({files.key}): keep that elsewhere.")
    if sheet.archives:
        where = archive.folder(files.database)
        out.print(f"Older rows are in {len(sheet.archives)} archives in {where}: copy them too.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    config: ConfigFile = DEFAULT,
    by: Annotated[str, typer.Option(help="Who restores.")] = "",
    force: Annotated[
        str, typer.Option(metavar="REASON", help="Why the present journal may be replaced.")
    ] = "",
    stopped: Annotated[
        datetime | None,
        typer.Option(help="When the lines stopped for good; local time. Fewer codes are voided."),
    ] = None,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the record; the agent must not run."""
    site, files = load_site(config)
    if not by.strip():
        raise typer.BadParameter("say who restores: --by NAME")
    stopped_ms = 0 if stopped is None else int(stopped.timestamp() * 1000)
    done = stored_restore.restore(
        files.database,
        files.key,
        file,
        stored_restore.Terms(by, force, stopped_ms),
        agent=site.agent.id,
        replay=not quick,
    )
    if as_json:
        print_json(
            {
                "epoch": done.epoch,
                "first": done.first,
                "rows": done.sheet.seq,
                "lost": None if done.lost < 0 else done.lost,
                "in_question": list(done.pools),
                "kept": None if done.kept is None else str(done.kept),
            }
        )
        return
    out.print(
        f"Restored up to row {done.sheet.seq:,}; epoch {done.epoch} begins at {done.first:,}."
    )
    if done.kept is not None:
        out.print(f"What was there is kept as {done.kept}.")
    if done.pools:
        out.print(
            "Codes of these pools may have been printed since the backup was made; nothing is "
            f"printed from them until the cloud has answered: {', '.join(done.pools)}."
        )
