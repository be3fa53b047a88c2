"""`caselink config`: check and describe the site file."""

from pathlib import Path
from typing import Annotated

import typer

from agent import config as site_file
from agent.cli.common import out, print_json
from agent.config import Site
from agent.core.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Check and describe the site file.")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The site file.")]) -> None:
    """Say everything that is wrong with a site file, or that nothing is."""
    from agent.app import check_devices

    site = site_file.check(file)
    problems = check_devices(site, file)
    if problems:
        raise ConfigError("\n".join(problems))
    stations = sum(len(line.stations) for line in site.lines)
    out.print(
        f"{file}: {len(site.lines)} lines, {stations} stations, {len(site.devices)} devices: good."
    )


@app.command()
def schema() -> None:
    """The JSON schema of the site file, for an editor that helps to write it."""
    print_json(Site.model_json_schema(by_alias=True))
