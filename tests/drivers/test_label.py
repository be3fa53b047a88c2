"""The label template language, and labels as pictures: what is drawn can be read."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from biip import ParseError
from biip.gs1_messages import GS1Message
from biip.sscc import Sscc
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyzbar import pyzbar

from agent.core.errors import ConfigError, DomainError
from drivers.printers import code128
from drivers.printers.label_draw import Bitmap, draw, letters_of, png
from drivers.printers.label_files import load_label
from drivers.printers.label_sample import sample
from drivers.printers.label_template import LabelTemplate, filled, lay_out
from tests.drivers import label_help

MM = {"unit": "mm", "width": 100, "height": 60}


def label(*elements: dict[str, Any], **more: Any) -> LabelTemplate:
    placed = [{"x": 5, "y": 5 + 25 * n} | element for n, element in enumerate(elements)]
    return LabelTemplate.model_validate(MM | more | {"elements": placed})


def drawn(template: LabelTemplate, density: float = 8, **fields: str) -> Bitmap:
    return draw(lay_out(template, density), fields)


def reads(picture: Bitmap) -> dict[str, str]:
    """Text -> AIM identifier of every symbol that zxing-cpp finds."""
    return {
        read.bytes.decode("utf-8"): read.symbology_identifier
        for read in zxingcpp.read_barcodes(picture)
    }


# ------------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("density", [8, 12])
@pytest.mark.parametrize("name", label_help.LABELS)
def test_every_symbol_of_every_label_is_read_from_its_picture(name: str, density: float) -> None:
    picture = drawn(load_label(name, "x"), density, **label_help.fields(name))
    assert sorted(reads(picture)) == sorted(label_help.symbols(name))
    others = {read.data.decode() for read in pyzbar.decode(picture) if read.type == "QRCODE"}
    assert others <= set(label_help.symbols(name))


@pytest.mark.parametrize("name", label_help.LABELS)
def test_every_label_has_a_sample_that_can_be_drawn(name: str) -> None:
    template = load_label(name, "x")
    assert reads(drawn(template, **sample(template)))


ELEMENT = st.sampled_from(["(10)", "(21)"])
CSET82 = st.text(st.sampled_from("ABCxyz0123456789!\"%&'*+,-./:;<=>?_"), min_size=1, max_size=14)


@settings(max_examples=25, deadline=None)
@given(lot=CSET82, serial=CSET82)
def test_gs1_symbols_carry_what_biip_reads_as_the_same_elements(lot: str, serial: str) -> None:
    text = "(01){gtin}(10){lot}(17){expires:yymmdd}(21){serial}"
    template = label(
        {"kind": "gs1-datamatrix", "text": text, "size": 0.4, "x": 70},
        {"kind": "gs1-128", "text": text, "size": 0.16, "x": 5, "height": 20},
    )
    given_ = {"gtin": "6901234567892", "lot": lot, "expires": "2027-11-21", "serial": serial}
    seen = reads(drawn(template, 12, **given_))
    wanted = f"010690123456789210{lot}\x1d1727112121{serial}"
    assert seen in ({wanted: "]d2"}, {wanted: "]C1"}), "one text in two symbols"
    message = GS1Message.parse(wanted)
    values = {element.ai.ai: element.value for element in message.element_strings}
    assert values == {"01": "06901234567892", "10": lot, "17": "271121", "21": serial}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_drawn_or_is_refused(text: str) -> None:
    template = label(
        {"kind": "text", "field": "t", "size": 5}, {"kind": "text", "field": "t", "width": 40}
    )
    if any("\ud800" <= char <= "\udfff" for char in text):
        with pytest.raises(DomainError, match="half a character"):
            drawn(template, t=text)
    else:
        assert drawn(template, t=text).shape == (480, 800)


def test_chinese_is_drawn_and_differs_by_what_it_says() -> None:
    template = label({"kind": "text", "field": "t", "size": 6})
    one, other, none = (drawn(template, t=t) for t in ("可口可乐", "百事可乐", ""))
    assert (one != other).any()
    assert (one == 0).sum() > 500
    assert (none == 255).all()


def test_a_text_with_a_width_gets_smaller_and_is_then_cut() -> None:
    long = "Cola Classic 500 ml"
    free = letters_of(long, 40, 0, "left")
    fit = letters_of(long, 40, free.shape[1] - 40, "left")
    assert fit.shape[0] < free.shape[0]
    assert (fit[:, -1] == 255).all(), "nothing is cut off at the edge"
    cut = letters_of(long * 9, 40, 200, "left")
    assert cut.shape[1] == 200
    right = letters_of("A", 40, 200, "right")
    assert (right[:, :100] == 255).all()
    assert (right == 0).any()


def test_lines_and_images(tmp_path: Path) -> None:
    logo = np.full((20, 40), 255, np.uint8)
    logo[:, :20] = 0
    cv2.imwrite(str(tmp_path / "logo.png"), logo)
    (tmp_path / "mine.toml").write_text(
        'unit = "mm"\nwidth = 50\nheight = 30\n[[elements]]\nkind = "image"\nfile = "logo.png"\n'
        'x = 10\ny = 5\nwidth = 10\n[[elements]]\nkind = "line"\nx = 0\ny = 29\nwidth = 50\n'
        "height = 0.5\n"
    )
    picture = drawn(load_label(str(tmp_path / "mine.toml"), "x"))
    assert (picture[40:80, 80:120] == 0).all()
    assert (picture[40:80, 120:160] == 255).all()
    assert (picture[232:236] == 0).all()
    assert cv2.imdecode(np.frombuffer(png(picture), np.uint8), 0).shape == (240, 400)
    (tmp_path / "logo.png").unlink()
    missing = load_label(str(tmp_path / "mine.toml"), "x")
    with pytest.raises(ConfigError, match=r"logo\.png"):
        drawn(missing, 9)


# ------------------------------------------------------------------------------------ the language


def test_sizes_are_mm_and_dots_are_the_printers() -> None:
    lines = [{"kind": "line", "x": 10, "y": 10, "width": 20, "height": 1}]
    for density, black in ((8, 160 * 8), (12, 240 * 12)):
        assert (drawn(label(*lines), density) == 0).sum() == black
        dots = label(*lines, unit="dots", width=100, height=60)
        assert (drawn(dots, density) == 0).sum() == 20


def test_a_value_is_never_looked_at_as_template() -> None:
    assert filled("{a}{{x}}{b}", {"a": "{b}{{", "b": "(21)"}) == "{b}{{{x}(21)"


def test_brackets_in_a_value_begin_no_gs1_element() -> None:
    text = "(10){lot}(21){serial}"
    template = label({"kind": "gs1-128", "text": text, "size": 0.25})
    with pytest.raises(DomainError, match="exactly"):
        drawn(template, lot="A(21)X", serial="7")
    with pytest.raises(DomainError, match=r"\(10\)"):
        drawn(template, lot="", serial="7")


@pytest.mark.parametrize(
    ("element", "fields", "word"),
    [
        ({"kind": "text", "text": "{lot}"}, {}, "lot"),
        ({"kind": "text", "text": "{d:yymmdd}"}, {"d": "22.11.2026"}, "date"),
        ({"kind": "qr", "field": "c"}, {"c": ""}, "empty"),
        ({"kind": "qr", "field": "c", "size": 1}, {"c": "x" * 500}, "does not fit"),
        ({"kind": "code128", "field": "c"}, {"c": "x" * 60}, "does not fit"),
        ({"kind": "datamatrix", "field": "c"}, {"c": "码"}, "Data Matrix"),
        ({"kind": "gs1-128", "text": "(01){c}"}, {"c": "06901234567893"}, "check digit"),
        ({"kind": "gs1-128", "text": "(01){c}"}, {"c": "1"}, r"fit the GS1 element \(01\)"),
        ({"kind": "gs1-128", "text": "01{c}"}, {"c": "1"}, "element such as"),
        ({"kind": "text", "field": "c"}, {"c": "x" * 1025}, "1024"),
    ],
)
def test_what_cannot_be_printed_is_refused_with_the_reason(
    element: dict[str, Any], fields: dict[str, str], word: str
) -> None:
    with pytest.raises(DomainError, match=word):
        drawn(label(element), **fields)


@pytest.mark.parametrize(
    ("element", "word"),
    [
        ({"kind": "text"}, "either 'field'"),
        ({"kind": "text", "text": "{Lot}"}, "brace"),
        ({"kind": "line", "width": 1}, "needs 'width'"),
        ({"kind": "image", "width": 1}, "'file'"),
        ({"kind": "text", "field": "a", "align": "right"}, "'align'"),
        ({"kind": "qr", "field": "a", "x": 101}, "outside"),
        ({"kind": "line", "width": 96, "height": 1}, "outside"),
    ],
)
def test_a_wrong_element_is_refused(element: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        label(element)


def test_a_module_that_no_printer_has_is_refused() -> None:
    template = label({"kind": "qr", "field": "a", "size": 6})
    with pytest.raises(ConfigError, match="element 0"):
        lay_out(template, 8, "labeller")


# ---------------------------------------------------------------------------------------- Code 128


@settings(max_examples=80, deadline=None)
@given(st.from_regex(r"[0-9]{0,16}[A-Za-z ~>-]{0,12}", fullmatch=True).filter(bool))
def test_code_128_is_as_short_as_zint_makes_it_where_digits_come_first(text: str) -> None:
    found = code128.words(text)
    assert "".join(word.text for word in found) == text
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128)
    width = np.array(made.to_image(scale=1, add_quiet_zones=False)).shape[1]
    assert width <= code128.modules(found) <= width + 11


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[0-9]{17}", fullmatch=True), st.integers(0, 9))
def test_an_sscc_is_printed_if_biip_takes_it(digits: str, check: int) -> None:
    template = label({"kind": "sscc", "field": "c", "size": 0.25})
    try:
        Sscc.parse(f"{digits}{check}")
    except ParseError:
        with pytest.raises(DomainError, match="SSCC"):
            drawn(template, c=f"{digits}{check}")
    else:
        assert reads(drawn(template, c=f"{digits}{check}")) == {f"00{digits}{check}": "]C1"}
