"""`caselink vision grade`: how well the symbols in pictures are printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli.common import AsJson, out, print_json
from agent.core.errors import ConfigError, DomainError
from agent.now import monotonic

if TYPE_CHECKING:
    from agent.vision.quality import Quality

SYMBOLOGIES = {
    "qr": "QRCode",
    "datamatrix": "DataMatrix",
    "code128": "Code128",
    "ean13": "EAN13",
    "ean8": "EAN8",
}
Symbology = Literal["qr", "datamatrix", "code128", "ean13", "ean8"]
_SECONDS = 2.0
"""For reading one picture."""


def grade(
    where: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    symbology: Annotated[Symbology, typer.Option(help="The symbology that is measured.")],
    white: Annotated[
        int, typer.Option(min=1, max=255, help="Grey value that counts as full reflectance.")
    ] = 255,
    as_json: AsJson = False,
) -> None:
    """Measure the quality index of the symbol in each picture.

    It follows the parameters of ISO/IEC 15415 and 15416, but the camera's reflectance is not
    calibrated: an index to compare pictures of one camera by, not a grade. Exit status 1 when there
    is no picture, or in none of them a symbol that could be measured.
    """
    # Loading OpenCV takes longer than most commands.
    from agent.vision.score import pictures

    if where.is_dir():
        files = [file for file, _ in pictures(where)]
    elif where.is_file():
        files = [where]
    else:
        raise ConfigError(f"{where} is neither a picture nor a folder: name one that is there.")
    if not files:
        raise DomainError("no_pictures", f"There is no picture in {where}: put pictures there.")
    lines = [_measured(file, symbology, float(white)) for file in files]
    found = [line for line in lines if "parameters" in line]
    if as_json:
        print_json({"symbology": symbology, "white": white, "pictures": lines})
    else:
        for line in lines:
            _print(line)
        out.print(
            f"{len(found)} of {len(lines)} measured. An index, not a grade: reflectance is not "
            "calibrated (docs/vision.md).",
            markup=False,
        )
    if not found:
        raise typer.Exit(1)


def _measured(file: Path, symbology: Symbology, white: float) -> dict[str, Any]:
    """One picture; without `parameters` it could not be measured, and `why` says why."""
    from agent.vision.cascade import decode
    from agent.vision.photo import PhotoError, load
    from agent.vision.quality import grade as measure
    from agent.vision.settings import DecodeSettings

    name = SYMBOLOGIES[symbology]
    line: dict[str, Any] = {"picture": str(file)}
    try:
        image = load(file)
    except PhotoError as error:
        return line | {"why": f"no picture: {error}"}
    reads = decode(image, DecodeSettings(name), monotonic() + _SECONDS).reads
    if not reads:
        return line | {"why": "no symbol was read"}
    found = measure(image, reads[0], name, white)
    line |= {"text": reads[0].text, "attempt": reads[0].attempt}
    if found is None:
        return line | {"why": "a symbol was read, but it cannot be measured"}
    return line | _data(found)


def _data(found: "Quality") -> dict[str, Any]:
    return {
        "letter": found.letter,
        "score": round(found.score, 2),
        "worst": found.worst.name,
        "version": found.version,
        "module_px": round(found.module_px, 2),
        "parameters": {
            each.name: {
                "value": round(each.value, 3),
                "letter": each.letter,
                "score": None if each.score is None else round(each.score, 2),
            }
            for each in found.parameters
        },
    }


def _print(line: dict[str, Any]) -> None:
    if "parameters" not in line:
        out.print(f"-  {line['picture']!r}: {line['why']}", markup=False)
        return
    told = ", ".join(
        f"{name} {each['value']:.2f}{' ' + each['letter'] if each['letter'] else ''}"
        for name, each in line["parameters"].items()
    )
    out.print(
        f"{line['letter']}  {line['picture']!r}: {line['score']:.1f} of 4, weakest {line['worst']},"
        f" {line['module_px']:.1f} px a module",
        markup=False,
    )
    out.print(f"   {told}", markup=False)
