"""`caselink config`: check and describe the site file."""

from pathlib import Path
from typing import Annotated

import typer

from agent import config as site_file
from agent.cli.common import DEFAULT, ConfigFile, out, print_json
from agent.core.errors import ConfigError
from agent.sections import Site

app = typer.Typer(no_args_is_help=True, help="Check and describe the site file.")


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The site file; default that of --config.")
    ] = None,
    config: ConfigFile = DEFAULT,
) -> None:
    """Say everything that is wrong with a site file, or that nothing is."""
    from agent.app import check_devices

    file = file or config

    site = site_file.check(file)
    problems = check_devices(site, file)
    if problems:
        raise ConfigError("\n".join(problems))
    stations = sum(len(line.stations) for line in site.lines)
    found = {"line": len(site.lines), "station": stations, "device": len(site.devices)}
    counted = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for what, n in found.items())
    out.print(f"{file}: {counted}: good.", markup=False)


@app.command()
def schema() -> None:
    """The JSON schema of the site file, for an editor that helps to write it."""
    print_json(Site.model_json_schema(by_alias=True))
