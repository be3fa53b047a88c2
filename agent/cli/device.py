"""`caselink device`: the devices of a line - what there is, what is wrong, a test, the wire log."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from agent.app.files import Files
from agent.cli.common import DEFAULT, AsJson, ConfigFile, ask, err, load_site, out, print_json
from agent.core.errors import CaselinkError, DomainError, Said, said_of, say
from agent.now import wall_ms
from agent.sections import Site
from agent.told import Language, refusal, spoken

if TYPE_CHECKING:
    from drivers.wireread import Follower

app = typer.Typer(
    no_args_is_help=True, help="Devices of a line: list, check, test, what went over the wire."
)

Lang = Annotated[Literal["zh", "en"], typer.Option(help="Language of the texts.")]

CHECK_SECONDS = 45.0
AGAIN = 0.2
"""Seconds between two looks at a wire log that is followed."""


@app.command("list")
def list_(
    types: Annotated[bool, typer.Option("--types", help="The types there are instead.")] = False,
    config: ConfigFile = DEFAULT,
    lang: Lang = "en",
    as_json: AsJson = False,
) -> None:
    """The devices of the site file with their state, or the types that it may name."""
    if types:
        _types(as_json)
        return
    from agent.app.devicedesk import about
    from drivers.diagnose import serial_ports

    site, files = load_site(config)
    told = ask(site, files, "GET", "/api/devices", None)
    if told is None:
        devices = [about(name, section) for name, section in site.devices.items()]
        serial = [{"path": path, "now": now} for path, now in serial_ports()]
        told = {"running": False, "devices": devices, "serial": serial}
    else:
        told = {"running": True, **told}
    if as_json:
        print_json(told)
        return
    table = _table("device", "type", "kind", "address", "line", "state", "last answer", "lost")
    for each in told["devices"]:
        table.add_row(
            each["id"],
            str(each["type"]),
            each["kind"] or "?",
            escape(each["address"] or "-"),
            each["line"] or "-",
            escape(_state(each, lang, running=told["running"])),
            _time(each.get("last")),
            str(each.get("losses", "-")),
        )
    out.print(table)
    if not told["running"]:
        out.print("No agent runs with this site file: `caselink device check all` asks them.")
    for port in told["serial"]:
        out.print(f"Serial device: serial://{port['path']} (now {port['now']})", markup=False)


def _table(*columns: str) -> Table:
    """Nothing in it is cut off: it may have to be copied."""
    table = Table()
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _types(as_json: bool) -> None:
    from drivers import registry

    found = {name: registry.entry_of(name) for name in registry.known_types()}
    if as_json:
        print_json(
            [
                {"type": name, "kind": e.kind, "evidence": e.evidence, "install": e.install}
                for name, e in found.items()
            ]
        )
        return
    table = _table("type", "kind", "evidence of a print", "install")
    for name, entry in sorted(found.items(), key=lambda item: (item[1].kind, item[0])):
        table.add_row(name, entry.kind, entry.evidence or "-", escape(entry.install))
    out.print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="The device, or all.")],
    config: ConfigFile = DEFAULT,
    lang: Lang = "en",
    as_json: AsJson = False,
) -> None:
    """Look at a device, or at all, and say in words what is wrong. Ends with 1 if something is."""
    site, files = load_site(config)
    names = list(site.devices) if name == "all" else [_known(site, name)]
    results: dict[str, list[dict[str, Any]]] = {}
    for each in names:
        results[each] = found = _check(site, files, each)
        if lang != "en":
            for one in found:
                one["words"] = spoken(lang, said_of(one["said"]))
        if not as_json:
            for one in found:
                out.print(f"{each}: {'' if one['good'] else '✕ '}{one['words']}", markup=False)
    if as_json:
        print_json(results)
    if any(not one["good"] for found in results.values() for one in found):
        raise typer.Exit(1)


@app.command("test")
def try_(
    name: Annotated[str, typer.Argument(help="The device.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    seconds: Annotated[
        float, typer.Option(min=1, max=60, help="How long to wait for a picture or a reading.")
    ] = 15,
    config: ConfigFile = DEFAULT,
    lang: Lang = "en",
) -> None:
    """Do one harmless thing with a device: a test label, the light tower, a picture, a reading."""
    from drivers import registry

    site, files = load_site(config)
    section = site.devices[_known(site, name)]
    what = {"printer": say("may_print"), "plc": say("may_light")}.get(
        str(registry.kind_of(section)), say("may_trigger", s=f"{seconds:.0f}")
    )
    if not yes:
        typer.confirm(spoken(lang, what), abort=True)
    try:
        said = _tested(site, files, name, seconds)
    except CaselinkError as error:
        if lang == "en":
            raise
        err.print(refusal(lang, error), markup=False)
        raise typer.Exit(1) from None
    out.print(f"{name}: {spoken(lang, said)}", markup=False)


def _tested(site: Site, files: Files, name: str, seconds: float) -> Said:
    path = f"/api/devices/{name}/test"
    told = ask(site, files, "POST", path, {"seconds": seconds}, CHECK_SECONDS + seconds)
    if told is not None:
        return said_of(told["said"])
    from agent.app import checking

    return asyncio.run(checking.test(name, site.devices[name], seconds))


@app.command()
def log(
    name: Annotated[str, typer.Argument(help="The device.")],
    since: Annotated[
        str, typer.Option(help="From then on: a time (2026-01-31T08:00) or an age (90s, 10m, 2h).")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """What went over a device's wire: time, direction (> sent, < received), text, hex."""
    from drivers.wireread import Follower, entries

    site, files = load_site(config)
    _known(site, name)
    start = _moment(since)
    following = Follower(files.wire, name)
    try:
        for entry in entries(files.wire, name, start):
            out.print(entry.text(), markup=False)
        if follow:
            asyncio.run(_follow(following))
    except KeyboardInterrupt:
        pass
    finally:
        following.close()


async def _follow(following: "Follower") -> None:
    while True:
        for entry in following.more():
            out.print(entry.text(), markup=False)
        await asyncio.sleep(AGAIN)


def _check(site: Site, files: Files, name: str) -> list[dict[str, Any]]:
    told = ask(site, files, "POST", f"/api/devices/{name}/check", {}, CHECK_SECONDS)
    if told is not None:
        return list(told["found"])
    from agent.app import checking
    from agent.app.devicedesk import shown_checks

    return shown_checks(asyncio.run(checking.check(name, site.devices[name])))


def _known(site: Site, name: str) -> str:
    if name not in site.devices:
        known = ", ".join(site.devices) or "none"
        raise DomainError(
            "unknown_device", f"There is no device {name} in the site file (it has: {known})."
        )
    return name


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if text[-1] in units and text[:-1].isdigit():
        ago = int(text[:-1]) * units[text[-1]]
        return datetime.fromtimestamp(wall_ms() / 1000 - ago, UTC)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise typer.BadParameter(f"write 2026-01-31T08:00 or an age as 10m, not {text}") from None


def _state(device: Mapping[str, Any], lang: Language, *, running: bool) -> str:
    if device["state"] is None:
        return "no line uses it" if running else "-"
    extra = [*device.get("warnings", [])]
    if device.get("error"):
        said = device.get("said")
        extra.append(spoken(lang, said_of(said)) if said else device["error"])
    return f"{device['state']} ({'; '.join(extra)})" if extra else str(device["state"])


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@app.command()
def prove(
    name: Annotated[str, typer.Argument(help="A printer type, type/variant, or all.")],
    prints: Annotated[int, typer.Option(min=20, max=1_000_000, help="Prints of each.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same troubles for the same seed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Prove the print accounting of a driver against its simulated device, which is killed,
    restarted, and delays, doubles and loses messages. Ends with 1 if anything is wrong."""
    # The simulated devices are not needed at run time.
    from agent.demo import prove as proofs

    try:
        found = [proofs.prove(each, prints, seed) for each in proofs.names(name)]
    except KeyError:
        known = ", ".join(proofs.names("all"))
        raise DomainError(
            "no_proof", f"No printer type {name!r:.40}; there are: {known}."
        ) from None
    if as_json:
        print_json({proof.name: proof.data() for proof in found})
    else:
        table = Table("printer", "good", "prints", "twice", "unresolved", "balance", "untrue")
        table.add_column("by clearance")
        table.add_column("faults")
        table.add_column("sessions")
        table.add_column("seconds")
        for proof in found:
            table.add_row(
                proof.name,
                "yes" if proof.good else "NO",
                *(f"{n:,}" for n in (proof.prints, proof.printed_twice, proof.unresolved)),
                *(f"{n:,}" for n in (proof.balance_open, proof.untrue, proof.by_clearance)),
                *(f"{n:,}" for n in (proof.faults_injected, proof.sessions)),
                f"{proof.seconds:.1f}",
            )
        out.print(table)
        for proof in found:
            for note in proof.notes:
                out.print(f"{proof.name}: {note}", markup=False)
    if not all(proof.good for proof in found):
        raise typer.Exit(1)
