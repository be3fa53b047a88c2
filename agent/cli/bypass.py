"""`caselink pin` and `caselink bypass`: who may let a line run without coding, and that it does."""

from typing import Annotated

import typer

from agent.cli.common import DEFAULT, ConfigFile, load_site, out, pins
from agent.cli.orders import By, Line, tell

pin_app = typer.Typer(no_args_is_help=True, help="PINs of line leaders.")
app = typer.Typer(no_args_is_help=True, help="Let a line run without coding, for a while.")


@pin_app.command("set")
def set_(
    name: str,
    pin: Annotated[
        str,
        typer.Option(
            prompt="PIN",
            hide_input=True,
            confirmation_prompt=True,
            envvar="CASELINK_PIN",
            help="6 to 12 digits; asked for, so that it stands in no history.",
        ),
    ],
    config: ConfigFile = DEFAULT,
) -> None:
    """Give a line leader a PIN."""
    _, files = load_site(config)
    pins(files, files.pins).set(name, pin)
    out.print(f"{name} has a new PIN.", markup=False)


@pin_app.command()
def remove(name: str, config: ConfigFile = DEFAULT) -> None:
    """Take a person's PIN away."""
    _, files = load_site(config)
    pins(files, files.pins).remove(name)
    out.print(f"{name} has no PIN any more.", markup=False)


@pin_app.command("list")
def list_(config: ConfigFile = DEFAULT) -> None:
    """Who has a PIN."""
    _, files = load_site(config)
    for name in pins(files, files.pins).names():
        out.print(name, markup=False)


@app.command()
def start(
    line: Line,
    reason: Annotated[str, typer.Option(help="Why the line must run without coding.")],
    minutes: Annotated[int, typer.Option(min=1, help="It ends by itself after so many.")],
    pin: Annotated[
        str,
        typer.Option(
            prompt="PIN", hide_input=True, envvar="CASELINK_PIN", help="The leader's; asked for."
        ),
    ],
    by: By = "cli",
    config: ConfigFile = DEFAULT,
) -> None:
    """Let the line run without coding. What passes is counted unseen."""
    body = {"by": by, "pin": pin, "reason": reason, "minutes": minutes}
    done = f"Line {line} runs without coding for {minutes} minutes at most."
    tell(config, f"/api/lines/{line}/bypass", body, done)


@app.command()
def stop(line: Line, by: By = "cli", config: ConfigFile = DEFAULT) -> None:
    """Let the line code again."""
    tell(config, f"/api/lines/{line}/bypass/end", {"by": by}, f"Line {line} codes again.")
