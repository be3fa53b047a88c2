"""The entry point: all commands in one, and our own errors as one readable message."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from agent.cli import (
    alarms,
    bypass,
    cloud_send,
    configs,
    device,
    documents,
    label,
    orders,
    people,
    pools,
    record,
    rework,
    running,
    simulating,
    sync,
    testmode,
    tls,
    vault,
    vision,
)
from agent.cli.common import err
from agent.core.errors import CaselinkError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One item, one code: the edge agent for packaging lines and warehouses.",
)
app.add_typer(running.app)
app.add_typer(simulating.app)
app.add_typer(configs.app, name="config")
app.add_typer(cloud_send.app, name="cloud")
app.add_typer(pools.app, name="pool")
app.add_typer(orders.app, name="order")
app.add_typer(label.app, name="label")
app.add_typer(documents.app, name="document")
app.add_typer(documents.stock_app)
app.add_typer(bypass.app, name="bypass")
app.add_typer(bypass.pin_app, name="pin")
app.add_typer(people.user_app, name="user")
app.add_typer(people.pda_app, name="pda")
app.add_typer(device.app, name="device")
app.add_typer(tls.app, name="tls")
app.add_typer(testmode.app, name="test-mode")
app.add_typer(record.app)
app.add_typer(vault.app)
app.add_typer(alarms.app)
app.add_typer(rework.app)
app.add_typer(sync.app, name="sync")
app.add_typer(vision.app, name="vision")
app.add_typer(record.export_app, name="export")
app.add_typer(record.db_app, name="db")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Carry out a command line (`argv` without the program's name; default that of the process)
    and exit with its status."""
    try:
        app(args=None if argv is None else list(argv))
    except CaselinkError as error:
        err.print(str(error), markup=False)
        sys.exit(1)
    sys.exit(0)
