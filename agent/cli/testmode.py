"""`caselink test-mode`: try a line with codes that never live."""

from typing import Annotated

import typer

from agent.cli.common import DEFAULT, ConfigFile
from agent.cli.orders import By, Line, tell

app = typer.Typer(no_args_is_help=True, help="Try a line with codes that never live.")


@app.command()
def start(
    line: Line,
    order: Annotated[str, typer.Option(help="Whose scheme and pools are used; it is not started.")],
    by: By = "cli",
    config: ConfigFile = DEFAULT,
) -> None:
    """Run the line as a test: what is printed never lives, every item is rejected."""
    done = f"Line {line} is in test mode: every item is rejected."
    tell(config, f"/api/lines/{line}/test-mode", {"order": order, "by": by}, done)


@app.command()
def stop(line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """End the test; starting a work order ends it too."""
    tell(config, f"/api/lines/{line}/test-mode/end", {"by": by}, f"Line {line} tests no more.")
