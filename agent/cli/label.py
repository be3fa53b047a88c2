"""`caselink label`: look at a label without a printer."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.common import AsJson, out, print_json
from agent.core.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Look at labels.")


@app.callback()
def about() -> None:
    """Look at labels."""


@app.command()
def preview(
    template: Annotated[
        str, typer.Argument(help="A label of config/labels, or the path of a .toml file.")
    ],
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="What a field holds; repeat."),
    ] = None,
    picture: Annotated[Path | None, typer.Option("--out", help="Where the PNG goes.")] = None,
    dots_per_mm: Annotated[float, typer.Option(min=4, max=24, help="Of the print head.")] = 8.0,
    as_json: AsJson = False,
) -> None:
    """Draw a label as its printer would, and say what a scanner reads from it. A field that is not
    given shows an example."""
    import zxingcpp

    from drivers.printers.label_draw import draw, png
    from drivers.printers.label_files import load_label
    from drivers.printers.label_sample import sample
    from drivers.printers.label_template import lay_out

    label = load_label(template, "label preview")
    given = {}
    for text in field or ():
        name, equals, value = text.partition("=")
        if not equals or name not in label.fields:
            raise ConfigError(
                f"--field {text}: write NAME=VALUE with one of the label's fields: "
                f"{', '.join(label.fields) or 'it has none'}."
            )
        given[name] = value
    dots = draw(lay_out(label, dots_per_mm, f"label {template}"), sample(label) | given)
    target = picture if picture is not None else Path(f"{Path(template).stem}.png")
    try:
        target.write_bytes(png(dots))
    except OSError as error:
        raise ConfigError(f"--out {target} cannot be written ({error}). Name another.") from error
    reads = [(read.symbology_identifier, read.bytes.decode("utf-8", "replace"))
             for read in zxingcpp.read_barcodes(dots)]  # fmt: skip
    high, wide = dots.shape
    if as_json:
        symbols = [{"aim": aim, "text": text} for aim, text in reads]
        print_json({"file": str(target), "dots": [wide, high], "symbols": symbols})
        return
    out.print(f"{target}: {wide} x {high} dots", markup=False)
    for aim, text in reads:
        out.print(f"{aim} {text.replace(chr(29), '<GS>')}", markup=False)
    if not reads:
        out.print("A scanner reads nothing on it.")
