"""`caselink cloud send-…`: ask an agent for something, and see how it answered."""

import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from agent import now
from agent.cli.cloud import Db, app, connected
from agent.cli.common import AsJson, out, print_json
from agent.cli.orders import body as order_body
from agent.core.errors import DomainError

__all__ = ["app"]

To = Annotated[str, typer.Option("--to", help="The agent: tenant/site/agent.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the answer.")]
Uid = Annotated[str, typer.Option("--id", help="An id of your own: it is asked for once only.")]
Body = Annotated[Path, typer.Argument(help="A JSON file; - reads it from the input.")]
WHO = "command line"
LOOK = 0.2


@app.command("send-pool")
def send_pool(
    db: Db,
    to: To,
    level: Annotated[str, typer.Option(help="Level of the units, e.g. bottle.")],
    role: Annotated[list[str], typer.Option(help="A role; repeat for several.")],
    file: Annotated[Path | None, typer.Argument(help="A CSV file; none with --rule.")] = None,
    name: Annotated[str, typer.Option(help="What to call the pool.")] = "",
    secret: Annotated[list[str] | None, typer.Option(help="A role that is secret.")] = None,
    product: Annotated[str, typer.Option(help="Only for this product.")] = "",
    campaign: Annotated[str, typer.Option(help="Only for this campaign.")] = "",
    lot: Annotated[str, typer.Option(help="Only for this lot.")] = "",
    scope: Annotated[
        Literal["agent", "plant", "brand"], typer.Option(help="Where its codes are known.")
    ] = "agent",
    preprinted: Annotated[bool, typer.Option(help="The codes come printed.")] = False,
    count: Annotated[int | None, typer.Option(help="Rows the file must have.")] = None,
    sha256: Annotated[str, typer.Option(help="Seal the file must have.")] = "",
    rule: Annotated[str, typer.Option(help="PREFIX or CHECK:PREFIX instead of a file.")] = "",
    key: Annotated[str, typer.Option(help="The agent's key: caselink sync key there.")] = "",
    uid: Uid = "",
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Send a code pool, sealed to the agent's key. The cloud keeps the texts."""
    from sync.cloud import commands
    from sync.cloud.consumer import now_ms
    from sync.kinds import Pool, heading

    if (file is None) == (not rule):
        raise typer.BadParameter("name a file, or a --rule")
    given: Pool = Pool(
        name=name or (file.stem if file else ""),
        level=level,
        roles=role,
        secret=secret or [],
        product=product,
        campaign=campaign,
        lot=lot,
        scope=scope,
        preprinted=preprinted,
        count=count,
        sha256=sha256.lower(),
        rule=rule,
    )
    head = heading(msgspec.json.encode(given))  # which checks it
    data = b"" if file is None else _read(file)
    with connected(db) as conn:
        asked = commands.send_pool(conn, to, head, data, WHO, now_ms(), key, uid)
        _told(conn, asked, wait, as_json)


@app.command("send-order")
def send_order(
    number: Annotated[str, typer.Argument(help="The number of the work order.")],
    db: Db,
    to: To,
    line: Annotated[str, typer.Option(help="The line.")],
    product: Annotated[str, typer.Option(help="The product.")],
    lot: Annotated[str, typer.Option(help="The lot.")],
    scheme: Annotated[str, typer.Option(help="The packing scheme.")],
    target: Annotated[int, typer.Option(min=1, help="How many items.")],
    pool: Annotated[list[str] | None, typer.Option(help="LEVEL/ROLE=POOL; repeat.")] = None,
    campaign: Annotated[str, typer.Option(help="The campaign.")] = "",
    produced: Annotated[str, typer.Option(help="Date, YYYY-MM-DD.")] = "",
    expires: Annotated[str, typer.Option(help="Date, YYYY-MM-DD.")] = "",
    uid: Uid = "",
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Create a work order at an agent."""
    body = order_body(
        pool,
        number=number,
        line=line,
        product=product,
        lot=lot,
        scheme=scheme,
        target=target,
        campaign=campaign,
        produced=produced,
        expires=expires,
    )
    _send(db, to, "order", body, uid, wait, as_json)


def _sends(kind: str, what: str) -> None:
    """A command that sends a JSON file as it is."""

    @app.command(f"send-{kind}", help=what)
    def send(
        file: Body, db: Db, to: To, uid: Uid = "", wait: Wait = 0.0, as_json: AsJson = False
    ) -> None:
        _send(db, to, kind, _json(file), uid, wait, as_json)


_sends("product", 'Tell an agent of a product: {"sku", "names", "gtin", "withdrawn"}.')
_sends("party", 'Tell an agent of a party: {"id", "kind", "names", "territories", "channels", …}.')
_sends(
    "dispatch",
    'Send a dispatch order: {"number", "party", "lines": [{"product", "level", "quantity"}]}.',
)
_sends("asn", 'Say what is coming: {"number", "sender", "units": [{"code", "level", "children"}]}.')


@app.command("send-config")
def send_config(
    file: Annotated[Path, typer.Argument(help="The new site file.")],
    db: Db,
    to: To,
    uid: Uid = "",
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Send an agent a new site file: in effect at its next start."""
    try:
        text = _read(file).decode()
    except UnicodeDecodeError:
        raise DomainError("config_refused", f"{file} is not UTF-8: save it as UTF-8.") from None
    _send(db, to, "config", {"file": text}, uid, wait, as_json)


@app.command()
def resend(
    db: Db,
    to: To,
    first: Annotated[int, typer.Option("--from", min=1, help="The first row.")],
    uid: Uid = "",
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Let an agent send its journal again from a row on."""
    _send(db, to, "resend", {"from": first}, uid, wait, as_json)


@app.command()
def revoke(
    device: Annotated[str, typer.Argument(help="The device.")],
    db: Db,
    to: To,
    why: Annotated[str, typer.Option(help="The reason.")] = "",
    uid: Uid = "",
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Let an agent take nothing any more that a device signs."""
    _send(db, to, "revoke", {"device": device, "why": why}, uid, wait, as_json)


@app.command()
def withdraw(command: Annotated[str, typer.Argument(help="Its id.")], db: Db) -> None:
    """Do not send a command any more; a pool only while nothing of it was sent."""
    from sync.cloud import commands
    from sync.cloud.consumer import now_ms

    with connected(db) as conn:
        commands.withdraw(conn, command, WHO, now_ms())
    out.print(f"Command {command} is withdrawn.", markup=False)


@app.command("commands")
def commands_(
    db: Db,
    to: Annotated[str, typer.Option("--to", help="Of one agent only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What agents were asked for, newest first, and how they answered."""
    from sync.cloud import commands

    with connected(db) as conn:
        found = commands.listed(conn, to, limit)
    for each in found:
        if as_json:
            print_json(each)
        else:
            out.print(_line(each), markup=False)
    if not found and not as_json:
        out.print("Nothing was asked for.")


# ---------------------------------------------------------------------------------------- shared


def _send(db: str, to: str, kind: str, body: Any, uid: str, wait: float, as_json: bool) -> None:
    from sync.cloud import commands
    from sync.cloud.consumer import now_ms

    with connected(db) as conn:
        asked = commands.send(conn, to, kind, msgspec.json.encode(body), WHO, now_ms(), uid)
        _told(conn, asked, wait, as_json)


def _told(conn: Any, asked: str, wait: float, as_json: bool) -> None:
    """What became of it, as far as it is known within that time."""
    from sync.cloud import commands

    end = now.monotonic() + wait
    found = commands.one(conn, asked)
    while found["state"] == "waits" and now.monotonic() < end:
        threading.Event().wait(LOOK)
        found = commands.one(conn, asked)
    if as_json:
        print_json(found)
    else:
        out.print(_line(found), markup=False)
    if found["state"] == "refused":
        raise typer.Exit(1)


def _line(each: dict[str, Any]) -> str:
    head = f"{each['id']}  {each['agent']}  {each['kind']} {each['about']}: "
    if each["state"] == "waits":
        return head + ("sent, no answer yet" if each["sent"] else "waits until it is online")
    if each["state"] == "done":
        return head + f"done: {each['text']}"
    return head + f"refused ({each['reason']}): {each['text']}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DomainError(
            "file_unreadable", f"{file} cannot be read: {error.strerror}. Name another file."
        ) from None


def _json(file: Path) -> Any:
    data = typer.get_binary_stream("stdin").read() if str(file) == "-" else _read(file)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DomainError("command_malformed", f"{file} is no JSON: {error}. Mend it.") from None
