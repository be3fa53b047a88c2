"""The entry point: all commands in one, and our own errors as one readable message."""

import errno
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from agent import logs
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
    status,
    sync,
    testmode,
    tls,
    vault,
    vision,
)
from agent.cli.common import err, out
from agent.core.errors import CaselinkError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One item, one code: the edge agent for packaging lines and warehouses.",
)
app.add_typer(running.app)
app.add_typer(status.app)
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


log = logging.getLogger(__name__)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"caselink {version('caselink')}")
        raise typer.Exit


@app.callback()
def _every(
    told: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Say the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Carry out a command line (`argv` without the program's name; default that of the process)
    and exit with its status."""
    try:
        app(args=None if argv is None else list(argv))
    except CaselinkError as error:
        err.print(logs.as_error(str(error)), markup=False)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno not in _REMEDIES:
            raise
        log.debug("Where it happened:", exc_info=True)
        err.print(logs.as_error(_told(error)), markup=False)
        sys.exit(1)
    sys.exit(0)


_REMEDIES = {
    errno.EACCES: "run the command as the agent's user (as root: caselink-here ...), or give "
    "this one the right to it",
    errno.EPERM: "run the command as the agent's user (as root: caselink-here ...)",
    errno.ENOSPC: "the disk is full: make room on it, then try again",
    errno.EDQUOT: "the quota is used up: make room, then try again",
    errno.EROFS: "the disk can only be read: look with `dmesg` whether it is failing, or name "
    "another place",
    errno.ENOENT: "name what is there, or make its folder",
    errno.ENOTDIR: "a part of this path is a file: name another place",
}


def _told(error: OSError) -> str:
    """What the system refused, to what, and what to do."""
    what = f"{error.filename or 'A file'}: {error.strerror}"
    return f"{what}: {_REMEDIES.get(error.errno or 0, 'look at that place, then try again')}."
