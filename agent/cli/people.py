"""`caselink user` and `caselink pda`: who may scan, and with which PDA."""

import datetime
import io
from typing import Annotated

import segno
import typer
from rich.table import Table

from agent.app import Files
from agent.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    ask,
    load_site,
    out,
    pins,
    print_json,
    reader,
    write,
)
from agent.cli.orders import By
from agent.core.errors import ConfigError, DomainError
from agent.services.devices import ALLOWED, revoke
from agent.services.users import Role, Users
from agent.store import devices as stored

user_app = typer.Typer(no_args_is_help=True, help="People who scan: badge, PIN, role, operations.")
pda_app = typer.Typer(no_args_is_help=True, help="PDAs: let one in, shut one out.")

Pin = Annotated[
    str,
    typer.Option(
        prompt="PIN",
        hide_input=True,
        confirmation_prompt=True,
        envvar="CASELINK_PIN",
        help="6 to 12 digits; asked for, so that it stands in no history.",
    ),
]
Operations = Annotated[
    list[str] | None,
    typer.Option("--operation", help=f"Repeat; default all: {', '.join(ALLOWED)}."),
]


def _users(files: Files) -> Users:
    return Users(files.users, pins(files, files.badges), ALLOWED)


@user_app.command()
def add(
    badge: str,
    name: Annotated[str, typer.Option(help="As people know them.")],
    pin: Pin,
    role: Annotated[Role, typer.Option(help="Each may do what those before it may.")] = "operator",
    operations: Operations = None,
    config: ConfigFile = DEFAULT,
) -> None:
    """Let a person scan, in place of who had the badge."""
    _, files = load_site(config)
    _users(files).add(badge, name, role, operations or (), pin)
    out.print(f"{name} may log in with badge {badge} as {role}.", markup=False)


@user_app.command("pin")
def pin_(badge: str, pin: Pin, config: ConfigFile = DEFAULT) -> None:
    """Give a person a new PIN; whoever is logged in with the old one is out."""
    _, files = load_site(config)
    _users(files).set_pin(badge, pin)
    out.print(f"Badge {badge} has a new PIN.", markup=False)


@user_app.command("remove")
def remove(badge: str, config: ConfigFile = DEFAULT) -> None:
    """A badge is no longer good, from now on and without a start of the agent."""
    _, files = load_site(config)
    _users(files).remove(badge)
    out.print(f"Badge {badge} is no longer good.", markup=False)


@user_app.command("list")
def list_(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Who may scan."""
    _, files = load_site(config)
    found = _users(files).every()
    if as_json:
        print_json([{k: v for k, v in user._asdict().items() if k != "stamp"} for user in found])
        return
    table = Table("badge", "name", "role", "operations")
    for user in found:
        table.add_row(user.badge, user.name, user.role, ", ".join(user.operations))
    out.print(table)


# ------------------------------------------------------------------------------------------ PDAs


@pda_app.command()
def enrol(
    name: Annotated[str, typer.Option(help="What people call the device.")],
    party: Annotated[str, typer.Option(help="For whose warehouse it scans.")],
    locations: Annotated[
        list[str] | None, typer.Option("--location", help="Repeat; default everywhere.")
    ] = None,
    operations: Operations = None,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a code by which one PDA is let in: once, within five minutes. The agent must run."""
    site, files = load_site(config)
    if not site.warehouse:
        raise ConfigError(f"{config} has no warehouse to scan for: add a [[warehouse]] to it.")
    body = {
        "name": name,
        "party": party,
        "locations": locations or [],
        "operations": operations or list(ALLOWED),
        "by": by,
    }
    shown = ask(site, files, "POST", "/api/local/devices/enrol", body)
    if shown is None:
        raise DomainError(
            "not_running", "No agent runs with this site file: start it, then ask for a code again."
        )
    if as_json:
        print_json(shown)
        return
    symbol = io.StringIO()
    segno.make(shown["text"], error="m", micro=False).terminal(symbol, compact=True)
    out.print(symbol.getvalue() + shown["text"], markup=False)
    out.print(f"Scan it with the PDA within {shown['seconds'] / 60:.0f} minutes. It works once.")


@pda_app.command("revoke")
def revoke_(
    device: str,
    why: Annotated[str, typer.Option(help="Why, for the record.")],
    by: By = "cli",
    config: ConfigFile = DEFAULT,
) -> None:
    """What a PDA signs is refused from now on."""
    site, files = load_site(config)
    done = ask(site, files, "POST", f"/api/local/devices/{device}/revoke", {"why": why, "by": by})
    if done is None:
        write(files, lambda conn: revoke(conn, device, by, why))
    out.print(f"Device {device} is revoked.", markup=False)


@pda_app.command("list")
def devices(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Which PDAs there are, and when each was last heard."""
    with reader(config) as conn:
        found, seen = stored.every(conn), stored.seen(conn)
    if as_json:
        print_json(
            [
                {
                    "device": each.id,
                    "name": each.name,
                    "party": each.party,
                    "locations": each.locations,
                    "operations": each.operations,
                    "revoked": each.revoked is not None,
                    "why": each.why,
                    "seen_ms": seen[each.id].at_ms if each.id in seen else 0,
                    "queue": seen[each.id].queue if each.id in seen else -1,
                }
                for each in found
            ]
        )
        return
    table = Table("device", "name", "party", "last heard", "waits", "revoked")
    for each in found:
        heard = seen.get(each.id)
        table.add_row(
            each.id,
            each.name,
            each.party,
            _time(heard.at_ms) if heard else "never",
            str(heard.queue) if heard and heard.queue >= 0 else "-",
            f"{each.revoked_by}: {each.why}" if each.revoked is not None else "",
        )
    out.print(table)


def _time(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
