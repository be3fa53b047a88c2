"""Short forms of the long tables: what is read, what is read wrongly, and what the frames are.

Long: `python -m tests.vision.table --frames 400`, `python -m tests.vision.misread`.
"""

import random

import numpy as np
import pytest

from agent.vision.cascade import decode
from agent.vision.formats import FORMATS
from agent.vision.quiet import ends
from agent.vision.settings import DecodeSettings
from tests.vision import render
from tests.vision.misread import FAR, false_reads, misreads
from tests.vision.symbols import draw
from tests.vision.table import row, wilson

GOALS = {
    "qr": 0.995,
    "datamatrix": 0.99,
    "inkjet": 0.95,
    "peen": 0.80,
    "code128": 0.99,
    "ean13": 0.99,
}


@pytest.mark.parametrize("name", GOALS)
def test_nominal_frames_are_read_as_well_as_promised(name: str) -> None:
    """So few frames can only refute the goal: the promise must lie within their confidence."""
    bare, _, ours = row(name, "nominal", render.seeds(24, proof=True), FAR, None)
    assert not ours.wrong
    assert wilson(ours.right, ours.frames)[1] >= GOALS[name]
    assert ours.right > bare.right


def test_easy_frames_are_read_at_once() -> None:
    for name in ("qr", "datamatrix", "code128", "ean13", "ean8", "itf14", "microqr"):
        _, _, ours = row(name, "easy", render.seeds(4, proof=True), FAR, None, alone=False)
        assert ours.right == 4


def test_no_text_is_misread() -> None:
    shown = list(misreads(110, list(render.TECHNIQUES), None))
    assert [each for each in shown if each[4] not in (None, each[3])] == []
    assert sum(read is not None for *_, read in shown) > 70
    assert len({round(severity, 3) for _, severity, *_ in shown}) > 60


def test_nothing_is_read_where_nothing_is() -> None:
    shown = list(false_reads(8, list(FORMATS), None))
    assert [each for each in shown if each[3] is not None] == []
    assert {what for what, *_ in shown} > {"texture"}
    assert {symbology for _, symbology, *_ in shown} == set(FORMATS)


def test_tuning_and_proof_share_no_seed() -> None:
    tuning, proof = render.seeds(500, proof=False), render.seeds(500, proof=True)
    assert not set(tuning) & set(proof)
    assert not any(render.held_out(seed) for seed in tuning)
    assert all(render.held_out(seed) for seed in proof)
    assert len(set(proof)) == 500


@pytest.mark.parametrize("name", render.TECHNIQUES)
def test_a_frame_is_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    text, picture = render.frame(name, "nominal", 4)
    again, same = render.frame(name, "nominal", 4)
    assert (text, picture.dtype, picture.ndim) == (again, np.uint8, 2)
    assert np.array_equal(picture, same)
    assert not np.array_equal(picture, render.frame(name, "hard", 4)[1])
    assert render.frame(name, "nominal", 6)[0] != text


@pytest.mark.parametrize("kind", FORMATS)
def test_what_other_writers_draw_is_read_as_it_was_meant(kind: str) -> None:
    """Content, GS1 separators among it, as bare modules on white."""
    gs1 = 0
    for seed in range(12):
        drawn = draw(kind, random.Random(seed))
        module = np.ones((4, 4), np.uint8)
        image = np.where(np.kron(np.pad(drawn.modules, 12), module), 20, 230).astype(np.uint8)
        (read,) = decode(image, DecodeSettings(kind), FAR * 1e6).reads
        assert read.text == drawn.text
        assert read.data == drawn.text.encode()
        gs1 += read.symbology in {"]C1", "]d2", "]Q3", "]e0"}
    assert bool(gs1) == (kind in {"QRCode", "DataMatrix", "Code128", "DataBar"})


def test_a_micro_qr_code_is_no_qr_code() -> None:
    """The reader's own "QR Code" takes both, and finds the small one in noise."""
    _, image = render.at_severity("microqr", 0.1, 4)
    assert decode(image, DecodeSettings("MicroQRCode"), FAR * 1e6).reads
    assert not decode(image, DecodeSettings("QRCode"), FAR * 1e6).reads


def test_the_end_of_half_a_bar_code_is_not_quiet() -> None:
    _, image = render.at_severity("itf14", 0.1, 4, 0.0)
    (read,) = decode(image, DecodeSettings("ITF14"), FAR * 1e6).reads
    assert ends(image, read)
    (a, b, c, d) = read.corners
    middle = ((a[0] + b[0]) // 2, (a[1] + b[1]) // 2), ((c[0] + d[0]) // 2, (c[1] + d[1]) // 2)
    half = type(read)(read.text, read.symbology, (a, *middle, d))
    assert not ends(image, half)
    other = type(read)(read.text, read.symbology, (middle[0], b, c, middle[1]))
    assert not ends(image, other)


def test_the_interval_of_wilson() -> None:
    low, high = wilson(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
