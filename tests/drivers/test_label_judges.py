"""Labels before judges that we did not write: zpl-renderer-js draws our ZPL, zxing-cpp reads it;
zint draws the same GS1 data, biip takes it apart."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zint
from biip.gs1_messages import GS1Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from drivers.printers.label_draw import draw, readable
from drivers.printers.label_files import load_label
from drivers.printers.label_template import LabelTemplate, lay_out
from drivers.printers.zpl_label import recall, store
from tests.drivers import label_help
from tests.drivers.label_judge import Sheet, reads, rendered, renderer

SETS = 60
"""Labels that hypothesis makes."""


@pytest.fixture(scope="module")
def judge() -> Path:
    return renderer()


def sheet(template: LabelTemplate, *jobs: dict[str, str], density: int = 8) -> Sheet:
    layout = lay_out(template, density)
    zpl = store("CL0", layout) + b"".join(recall("CL0", layout, fields) for fields in jobs)
    scale = density if template.unit == "dots" else 1
    return Sheet(zpl, template.width / scale, template.height / scale, density)


def test_every_label_of_the_configuration_is_drawn_and_read_exactly(judge: Path) -> None:
    names = [(name, 8) for name in label_help.LABELS] + [("case", 12), ("pallet-gs1", 12)]
    sheets = [
        sheet(load_label(name, "x"), label_help.fields(name), density=density)
        for name, density in names
    ]
    for (name, density), pictures in zip(names, rendered(judge, sheets), strict=True):
        (picture,) = pictures
        assert sorted(reads(picture)) == sorted(label_help.symbols(name)), (name, density)


def test_a_stored_label_is_recalled_with_each_data_and_pictures_stand_where_they_shall(
    judge: Path,
) -> None:
    template = LabelTemplate.model_validate(
        {
            "unit": "mm",
            "width": 60,
            "height": 40,
            "elements": [
                {"kind": "qr", "x": 3, "y": 3, "field": "code", "size": 0.75},
                {"kind": "text", "x": 30, "y": 5, "field": "name", "size": 5},
                {"kind": "text", "x": 30, "y": 15, "text": "批号 ^XZ", "size": 5},
                {"kind": "line", "x": 2, "y": 36, "width": 56, "height": 1},
            ],
        }
    )
    jobs = [{"code": f"A-{n}", "name": name} for n, name in enumerate(("可口可乐", "Cola", ""))]
    (pictures,) = rendered(judge, [sheet(template, *jobs)])
    assert [list(reads(picture)) for picture in pictures] == [["A-0"], ["A-1"], ["A-2"]]
    chinese, latin, empty = (picture[35:90, 235:] < 128 for picture in pictures)
    ours = draw(lay_out(template, 8), jobs[0])[35:90, 235:] < 128
    assert (chinese[:, : ours.shape[1]] == ours).all(), "Chinese is our picture, dot by dot"
    assert latin.any()
    assert not empty.any()
    fixed = draw(lay_out(template, 8), jobs[0])[110:170, 235:] < 128
    assert (pictures[2][110:170, 235:][:, : fixed.shape[1]] < 128)[fixed].all()
    assert (pictures[0][288:296, 16:464] < 128).all()


TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=2, max_size=16)
WIDE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn")), min_size=1, max_size=12)
CSET82 = st.text(st.sampled_from("ABCxyz0123456789!\"%&'*+,-./:;<=>?_"), min_size=1, max_size=12)


@st.composite
def labels(draw_: st.DrawFn) -> tuple[dict[str, Any], dict[str, str], str]:
    """An element, a job and what must be read."""
    kind = draw_(st.sampled_from(["qr", "datamatrix", "code128", "gs1-128", "gs1-datamatrix"]))
    element: dict[str, Any] = {"kind": kind, "x": 4, "y": 4, "size": 4, "height": 80}
    if kind.startswith("gs1"):
        lot, serial = draw_(CSET82), draw_(CSET82)
        element |= {"text": "(01){gtin}(10){lot}(21){serial}", "size": 2}
        fields = {"gtin": "06901234567892", "lot": lot, "serial": serial}
        return element, fields, f"010690123456789210{lot}\x1d21{serial}"
    # Of one character alone zxing-cpp reads no Code 128.
    text = draw_(WIDE if kind == "qr" else TEXT)
    if kind == "datamatrix":
        text = text.replace("|", "^~_\\")
    if kind == "code128":
        element["size"] = 2
    return element | {"field": "t"}, {"t": text}, text


def test_whatever_is_printed_is_read_exactly(judge: Path) -> None:
    made: list[tuple[dict[str, Any], dict[str, str], str]] = []

    @settings(
        max_examples=SETS,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(labels())
    def collect(each: tuple[dict[str, Any], dict[str, str], str]) -> None:
        made.append(each)

    collect()
    escape = {"kind": "code128", "x": 4, "y": 4, "size": 2, "height": 80, "field": "t"}
    made.append((escape, {"t": "a>8b>"}, "a>8b>"))  # the character by which ZPL escapes
    sheets = [
        sheet(
            LabelTemplate.model_validate({"width": 1200, "height": 300, "elements": [element]}),
            fields,
        )
        for element, fields, _ in made
    ]
    assert len(sheets) >= SETS
    wrong = []
    for (element, fields, wanted), pictures in zip(made, rendered(judge, sheets), strict=True):
        seen = [list(reads(picture)) for picture in pictures]
        if seen != [[wanted]]:
            wrong.append((element["kind"], fields, seen))
    assert not wrong, wrong


@settings(max_examples=30, deadline=None)
@given(lot=CSET82, serial=CSET82)
def test_zint_draws_and_biip_reads_the_same_gs1_elements(lot: str, serial: str) -> None:
    wanted = f"010690123456789210{lot}\x1d21{serial}"
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.DATAMATRIX
    symbol.input_mode = zint.InputMode.GS1 | zint.InputMode.GS1PARENS
    symbol.encode(readable("gs1-datamatrix", wanted).encode())
    symbol.buffer(0)
    picture = np.asarray(symbol.bitmap)[:, :, 0].copy()
    big = cv2.copyMakeBorder(
        cv2.resize(picture, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST),
        40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255,),
    )  # fmt: skip
    template = LabelTemplate.model_validate(
        {
            "width": 300,
            "height": 300,
            "elements": [
                {"kind": "gs1-datamatrix", "x": 40, "y": 40, "size": 6,
                 "text": "(01){gtin}(10){lot}(21){serial}"}
            ],
        }
    )  # fmt: skip
    fields = {"gtin": "6901234567892", "lot": lot, "serial": serial}
    ours = draw(lay_out(template, 8), fields)
    assert reads(ours) == reads(big) == {wanted: "]d2"}
    parts = GS1Message.parse(wanted).element_strings
    assert [(part.ai.ai, part.value) for part in parts] == [
        ("01", "06901234567892"),
        ("10", lot),
        ("21", serial),
    ]
    assert parts[0].gtin is not None
