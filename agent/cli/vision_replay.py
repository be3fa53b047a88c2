"""`caselink vision replay`: stored pictures read again, by today's settings and by others."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent import config as site_file
from agent.app import Files
from agent.cli.common import DEFAULT, AsJson, ConfigFile, err, out, print_json
from agent.core.errors import ConfigError, DomainError
from agent.sections import ReaderSection, Site, StationSection

if TYPE_CHECKING:
    from agent.vision import replay as replaying
    from agent.vision.settings import DecodeSettings

_SHOWN = 20


def replay(
    folder: Annotated[Path, typer.Argument(help="Stored pictures of one camera.")],
    camera: Annotated[
        str, typer.Option(help="Whose settings; else the camera that the folder is named after.")
    ] = "",
    station: Annotated[str, typer.Option(help="Or the camera of this station.")] = "",
    other: Annotated[
        Path | None, typer.Option("--with", help="Another site file to compare with.")
    ] = None,
    deadline_ms: Annotated[
        int, typer.Option(min=0, max=600_000, help="Time for one picture; 0 = the station's own.")
    ] = 0,
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Read stored pictures again, and compare two site files on them.

    A is --config, B is --with (without it, A is compared with what the line read then). Exit
    status 1 when B does not read what A reads, or reads it otherwise.
    """
    # Loading OpenCV takes longer than most commands.
    from agent.vision import replay as replaying

    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: name the one that holds the pictures.")
    wanted = camera or ("" if station else folder.resolve().name)
    a, seconds = _settings(config, wanted, station)
    b = a
    if other is not None:
        b, _ = _settings(other, wanted, station)
        if b.look is None:  # what was learnt lies in the state directory of the line
            b = replace(b, look=a.look)
    if deadline_ms:
        seconds = deadline_ms / 1000

    def progress(done: int) -> None:
        if not as_json and done % 500 == 0:
            err.print(f"{done:,} pictures", markup=False)

    result = replaying.compare(replaying.pictures(folder), a, b, seconds, progress)
    if not result.pictures:
        raise DomainError(
            "no_pictures",
            f"There is no picture in {folder} ({result.unreadable} files are none that can be "
            "read): the agent keeps them below `pictures` in its state directory.",
        )
    if as_json:
        print_json(result.data())
    else:
        _print(result, two=other is not None)
    if result.loses:
        raise typer.Exit(1)


def find_reader(site: Site, camera: str, station: str) -> tuple[StationSection, ReaderSection]:
    """The camera of this name, or of this station. ConfigError names what there is."""
    every = [
        (place, reader)
        for line in site.lines
        for place in line.stations
        for reader in place.readers
        if reader.symbology
    ]
    found = [
        (place, reader)
        for place, reader in every
        if (not camera or reader.device == camera) and (not station or place.id == station)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{reader.device} (station {place.id})" for place, reader in every)
    what = " and ".join(
        part for part in (camera and f"camera {camera}", station and f"station {station}") if part
    )
    raise ConfigError(
        f"{'no' if not found else 'more than one'} camera fits {what or 'nothing'}; name one with "
        f"--camera. The site file has: {names or 'none'}."
    )


def _settings(config: Path, camera: str, station: str) -> "tuple[DecodeSettings, float]":
    from agent.app.site import decode_settings
    from agent.vision import look as looks

    site = site_file.load(config)
    place, reader = find_reader(site, camera, station)
    look = looks.load(Files(site, config).looks / f"{reader.device}.json")
    return decode_settings(reader, look), place.deadline_ms / 1000


def _print(result: "replaying.Comparison", *, two: bool) -> None:
    data = result.data()
    rows = [("pictures", data["pictures"]), ("files that are none", data["unreadable"])]
    if two:
        rows += [
            ("read by both", data["both"]),
            ("read only by A", data["only_a"]),
            ("read only by B", data["only_b"]),
            ("read differently", data["differ"]),
            ("pictures without a read", data["neither"]),
        ]
    else:
        rows += [("read", data["both"]), ("pictures without a read", data["neither"])]
    rows.append(("other than the line read then", data["other_than_then"]))
    for name, value in rows:
        out.print(f"{name:32}{value:>10,}", markup=False)
    for name in ("a", "b") if two else ("a",):
        ms = data[name]["ms"]
        out.print(
            f"{name.upper() + ', ms median / p99 / late':32}"
            f"{ms['median']:>10} {ms['p99']:>9} {data[name]['late']:>6}",
            markup=False,
        )
    for what, names in (("lost by B", result.lost), ("won by B", result.won)):
        for name in names[:_SHOWN]:
            out.print(f"{what}: {name}", markup=False)
        if len(names) > _SHOWN:
            out.print(f"{what}: ... and {len(names) - _SHOWN} more (--json)", markup=False)
