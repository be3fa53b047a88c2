"""`caselink vision`: how well pictures are read."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli.common import AsJson, err, out
from agent.cli.vision_grade import grade
from agent.cli.vision_replay import replay
from agent.cli.vision_tune import tune
from agent.core.errors import ConfigError, DomainError

if TYPE_CHECKING:
    from agent.vision import score as scoring

app = typer.Typer(no_args_is_help=True, help="Pictures: how well they are read.")
app.command()(grade)
app.command()(replay)
app.command()(tune)

SYMBOLOGIES = {
    "qr": "QRCode",
    "microqr": "MicroQRCode",
    "rmqr": "RMQRCode",
    "datamatrix": "DataMatrix",
    "code128": "Code128",
    "ean13": "EAN13",
    "ean8": "EAN8",
    "itf14": "ITF14",
    "databar": "DataBar",
}
Symbology = Literal[
    "qr", "microqr", "rmqr", "datamatrix", "code128", "ean13", "ean8", "itf14", "databar"
]
_SHOWN = 200
"""Pictures that are named one by one on the screen; the JSON has all."""


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="Pictures, the text of each in NAME.txt.")],
    symbology: Annotated[Symbology, typer.Option(help="The one symbology that is looked for.")],
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Beside it bare zxing-cpp and bare ZBar on the same pictures."
        ),
    ] = False,
    deadline_ms: Annotated[
        int,
        typer.Option(min=1, max=600_000, help="Time for one picture; a line gives about 15."),
    ] = 2000,
    attempts: Annotated[
        str, typer.Option(help="Another order of attempts, as NAME,NAME ... (see docs/vision.md).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Read every picture of a folder as a station would, and count what was right.

    NAME.txt (UTF-8) beside NAME.png is what the picture shows; a picture without one must read
    nothing. Exit status 0, whatever was read; 1 when there is no picture.
    """
    # Loading OpenCV takes longer than most commands.
    from agent.vision import score as scoring
    from agent.vision.settings import DecodeSettings

    order = tuple(name.strip() for name in attempts.split(",") if name.strip())
    settings = DecodeSettings(SYMBOLOGIES[symbology], attempts=order)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: name the one that holds the pictures.")
    tallies = scoring.score(folder, settings, deadline_ms / 1000, compare)
    if not tallies[0].lines:
        raise DomainError(
            "no_pictures",
            f"There is no picture in {folder}: put pictures there (PNG, JPEG, BMP, TIFF ...) and "
            "beside each NAME.png its text as NAME.txt.",
        )
    if as_json:
        _print_json(folder, symbology, deadline_ms, tallies)
        return
    _print_table(tallies)
    out.print(
        f"Deadline {deadline_ms} ms for each picture (a line gives about 15; --deadline-ms).",
        markup=False,
    )
    _print_faults(tallies[0])


def _print_json(
    folder: Path, symbology: str, deadline_ms: int, tallies: "list[scoring.Tally]"
) -> None:
    from agent.vision import score as scoring

    ours = tallies[0]
    data: dict[str, Any] = {
        "folder": str(folder),
        "symbology": symbology,
        "deadline_ms": deadline_ms,
        **ours.data(),
        "wrong_pictures": [
            {"picture": line.picture, "expected": line.expected, "text": line.text}
            for line in scoring.worst(ours.lines, ("wrong",))
        ],
        "unread_pictures": [line.picture for line in scoring.worst(ours.lines, ("unread",))],
        "unreadable_pictures": [
            {"picture": line.picture, "why": line.why}
            for line in scoring.worst(ours.lines, ("unreadable",))
        ],
    }
    if len(tallies) > 1:
        data["compare"] = {tally.reader: tally.data() for tally in tallies[1:]}
    # File names and misread texts may hold anything, also what is no character.
    sys.stdout.write(json.dumps(data, ensure_ascii=True) + "\n")


def _print_table(tallies: "list[scoring.Tally]") -> None:
    """One column for each reader: a narrow terminal must not cut numbers off."""
    every = [tally.data() for tally in tallies]
    out.print(" " * 12 + "".join(f"{tally.reader:>12}" for tally in tallies), markup=False)
    for name in ("total", "expected", "read", "wrong", "unread", "empty", "unreadable"):
        out.print(f"{name:12}" + "".join(f"{data[name]:>12}" for data in every), markup=False)
    rates = (data["read"] / data["expected"] if data["expected"] else None for data in every)
    shown = ("-" if rate is None else f"{rate:.1%}" for rate in rates)
    out.print(f"{'rate':12}" + "".join(f"{rate:>12}" for rate in shown), markup=False)
    for name in ("median", "p99"):
        times = ("-" if data["ms"][name] is None else f"{data['ms'][name]:.2f}" for data in every)
        out.print(f"{'ms ' + name:12}" + "".join(f"{ms:>12}" for ms in times), markup=False)
    by = ", ".join(f"{name} {n}" for name, n in every[0]["attempts"].items())
    out.print(f"By attempt: {by or '-'}", markup=False)
    if every[0]["other"]:
        out.print(
            f"{every[0]['other']} pictures show several symbols: another than the expected one "
            "was read, and the expected one is read beside it. They count as read.",
            markup=False,
        )


def _print_faults(tally: "scoring.Tally") -> None:
    from agent.vision import score as scoring

    told = scoring.worst(tally.lines, ("wrong", "unread", "unreadable"))
    for line in told[:_SHOWN]:
        match line.outcome:
            case "wrong":
                said = f"read {line.text!r}, expected {line.expected!r} ({line.attempt})"
            case "unreadable":
                said = f"no picture: {line.why}"
            case _:
                said = f"not read ({line.ms:.1f} ms)"
        out.print(f"{line.outcome:11}{line.picture!r}: {said}", markup=False)
    if len(told) > _SHOWN:
        err.print(f"... and {len(told) - _SHOWN} more; --json names all.", markup=False)
