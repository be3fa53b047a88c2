"""What people do with units and codes: unpack, replace, sample, destroy, void, hold, release, scan.

Through the running agent, or straight into the store where none runs.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from agent.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    ask,
    err,
    load_site,
    out,
    print_json,
    reader,
    write,
)
from agent.clockwatch import clock
from agent.core.errors import DomainError
from agent.services import clearance as services
from agent.services import rework
from agent.services.rework import Deed
from agent.store import clearance as stored_clearances
from agent.store import holds as stored_holds
from agent.store.gate import Gate
from agent.store.writer import Writer

app = typer.Typer()
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who does it.")]
Reason = Annotated[str, typer.Option(help="Why: a sentence, or a key of the catalogue.")]
Codes = Annotated[list[str], typer.Argument(help="Any code of each unit.")]
MaybeCodes = Annotated[list[str] | None, typer.Argument(help="Codes.")]
Pool = Annotated[str, typer.Option(help="A range of this pool, with --from and --to.")]
From = Annotated[int, typer.Option("--from", help="Its first position.")]
To = Annotated[int, typer.Option("--to", help="Its last position.")]

_COLUMNS = (
    "good",
    "rejected",
    "sampled",
    "destroyed",
    "void",
    "suspect",
    "in process",
    "left",
    "unseen",
)

_SAID = {
    "taken_out": "{} taken out",
    "put_in": "{} put in",
    "sampled": "{} sampled",
    "destroyed": "{} destroyed",
    "void": "{} codes void",
    "held": "{} units held",
    "released": "{} units released",
    "scanned": "{} scanned",
    "hold": "hold {}",
    "reopened": "open again",
    "labels": "label read",
    "integrity": "record {}",
}


def _do(config: Path, deed: Deed, as_json: bool, **body: Any) -> None:
    from agent.web.rework import BODIES, wish

    site, files = load_site(config)
    try:
        checked = BODIES[deed](**body)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    said = ask(site, files, "POST", f"/api/local/rework/{deed}", checked.model_dump(mode="json"))
    if said is None:
        lines = {line.id: line.plan() for line in site.lines}

        def job(conn: Any) -> Any:
            gate = Gate(Writer(conn), lines.values())
            return rework.carry_out(conn, gate, wish(deed, checked), lines, clock())

        said = write(files, job)
    if as_json:
        print_json(said)
        return
    out.print("Done: " + ", ".join(t.format(said[k]) for k, t in _SAID.items() if k in said) + ".")
    if said.get("differs"):
        err.print(
            "The scan differs from the record: what it concerns is in doubt. Scan the whole "
            "container, with --complete."
        )


@app.command()
def unpack(
    code: Annotated[str, typer.Argument(help="A container, or a child that leaves its own.")],
    reason: Reason,
    child: Annotated[list[str] | None, typer.Option(help="Only this child; repeat.")] = None,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Empty a container, or take children out of it."""
    _do(config, "unpack", as_json, reason=reason, by=by, code=code, codes=tuple(child or ()))


@app.command("replace")
def replace_(
    new: Annotated[str, typer.Argument(help="The child that goes in.")],
    reason: Reason,
    old: Annotated[str, typer.Option(help="The child that comes out.")] = "",
    container: Annotated[str, typer.Option(help="The container: for an unknown child.")] = "",
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put one child into the place of another."""
    _do(config, "replace", as_json, reason=reason, by=by, code=new, old=old, container=container)


@app.command()
def sample(
    codes: Codes,
    reason: Reason,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take units out of the stock for a test, or to be kept."""
    _do(config, "sample", as_json, reason=reason, by=by, codes=tuple(codes))


@app.command()
def destroy(
    codes: Codes,
    reason: Reason,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say that units are gone. It cannot be taken back."""
    _do(config, "destroy", as_json, reason=reason, by=by, codes=tuple(codes))


@app.command()
def void(
    reason: Reason,
    codes: MaybeCodes = None,
    pool: Pool = "",
    first: From = -1,
    last: To = -1,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say that codes which are on no unit never live. It cannot be taken back."""
    body = {"codes": tuple(codes or ()), "pool": pool, "first": first, "last": last}
    _do(config, "void", as_json, reason=reason, by=by, **body)


@app.command()
def hold(
    reason: Reason,
    codes: MaybeCodes = None,
    lot: Annotated[str, typer.Option(help="A whole lot, with --product.")] = "",
    product: Annotated[str, typer.Option(help="The lot's product.")] = "",
    pool: Pool = "",
    first: From = -1,
    last: To = -1,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Stop units, a lot or a range of codes: every verdict refuses them."""
    body = {"codes": tuple(codes or ()), "pool": pool, "first": first, "last": last}
    _do(config, "hold", as_json, reason=reason, by=by, product=product, lot=lot, **body)


@app.command()
def release(
    reason: Reason,
    codes: MaybeCodes = None,
    number: Annotated[int, typer.Option("--hold", help="The hold's number.")] = 0,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """End a hold, or let units of it go."""
    _do(config, "release", as_json, reason=reason, by=by, hold=number, codes=tuple(codes or ()))


@app.command()
def pack(
    container: Annotated[str, typer.Argument(help="The container's own code.")],
    codes: MaybeCodes = None,
    layer: Annotated[int, typer.Option(min=0, help="These are this layer of it, from 1.")] = 0,
    preset: Annotated[bool, typer.Option(help="A linked set names its children.")] = False,
    reason: Annotated[str, typer.Option(help="Why it stays partial.")] = "",
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put scanned children into a new or an open container, and close it.

    With --layer it stays open until its last layer. Without children an open one is closed as it is
    (--reason)."""
    body = {"container": container, "codes": tuple(codes or ()), "preset": preset, "layer": layer}
    _do(config, "pack", as_json, reason=reason, by=by, **body)


@app.command()
def reopen(
    container: Annotated[str, typer.Argument(help="A closed container.")],
    reason: Reason,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Open a closed container, to top it up."""
    _do(config, "reopen", as_json, reason=reason, by=by, container=container)


@app.command()
def relabel(
    old: Annotated[str, typer.Argument(help="A code of the container, or of a child in it.")],
    new: Annotated[str, typer.Argument(help="The new label's code, scanned on it.")],
    reason: Reason,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a container another label; the old code never lives again."""
    _do(config, "relabel", as_json, reason=reason, by=by, old=old, code=new)


@app.command()
def scan(
    codes: Codes,
    complete: Annotated[bool, typer.Option(help="These are all that it holds.")] = False,
    empty: Annotated[bool, typer.Option(help="It holds nothing; scan its own code alone.")] = False,
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say what a container at the line holds: its own code and those of its children."""
    _do(config, "scan", as_json, by=by, codes=tuple(codes), complete=complete, empty=empty)


@app.command()
def holds(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The open holds."""
    with reader(config) as conn:
        found = [
            (each, len(stored_holds.units_of(conn, each.hold)))
            for each in stored_holds.list_holds(conn)
        ]
    if as_json:
        print_json([{**each._asdict(), "units": many} for each, many in found])
        return
    table = Table("hold", "what", "reason", "by")
    for each, many in found:
        what = f"{many} units"
        if each.lot:
            what = f"lot {each.lot} of {each.product}"
        elif each.pool >= 0:
            what = f"pool {each.pool}, {each.first} to {each.last}"
        table.add_row(str(each.hold), what, each.reason, each.by)
    out.print(table)


@app.command()
def clearance(
    order: Annotated[str, typer.Argument(help="A finished work order.")],
    roll: Annotated[list[str] | None, typer.Option(help="POOL/ROLL used up; repeat.")] = None,
    reason: Annotated[str, typer.Option(help="Sign for what is missing.")] = "",
    by: By = "cli",
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say that a line is clear of an order: nothing is left, every code is accounted for."""
    site, files = load_site(config)
    body = {"order": order, "by": by, "reason": reason, "rolls": roll or []}
    said = ask(site, files, "POST", "/api/local/rework/clearance", body)
    if said is None:
        lines = {line.id: line.plan() for line in site.lines}

        def job(conn: Any) -> Any:
            line, what = services.asked(conn, order, by, reason, tuple(roll or ()))
            if line not in lines:
                raise DomainError("unknown_line", f"Line {line} is not in the site file.")
            done = Gate(Writer(conn), lines.values()).decide(conn, line, [(what, clock())])
            return services.summary(done.facts)

        said = write(files, job)
    if as_json:
        print_json(said)
        return
    table = Table("codes", "issued", *_COLUMNS)
    for row in said["counts"]:
        table.add_row(*map(str, row))
    out.print(table)
    missing = ", ".join(f"{many} {name}" for name, many in said["missing"].items())
    how = "balances" if said["balanced"] else f"signed for by {by}: {missing}"
    out.print(f"Line clear of work order {order}: {how}. {said['voided']} codes made void.")


@app.command()
def clearances(config: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """The newest line clearances."""
    with reader(config) as conn:
        found = stored_clearances.clearances(conn)
    if as_json:
        print_json([each._asdict() for each in found])
        return
    table = Table("order", "line", "balances", "missing", "by", "reason")
    for each in found:
        missing = ", ".join(f"{many} {name}" for name, many in each.missing.items())
        yes = "yes" if each.balanced else "no"
        table.add_row(each.order, each.line, yes, missing, each.by, each.reason)
    out.print(table)
