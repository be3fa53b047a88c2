"""The simulated camera's pictures: the same for the same scene, and what the scene says."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import zxingcpp

from drivers.sim.render import encode, render, suggest_size
from drivers.sim.symbols import bracketed
from drivers.sim.world import Scene, Symbol

URL = "https://q.example.cn/ABCDEFGHJKLMNP23"
SIZE = suggest_size(URL, "QRCode")
ONE = Scene(640, 480, (Symbol(URL, "QRCode", 320, 240, SIZE, angle=12),), seed=5)


def texts(picture: np.ndarray, kind: str) -> list[str]:
    found = zxingcpp.read_barcodes(
        picture,
        formats=getattr(zxingcpp.BarcodeFormat, kind),
        text_mode=zxingcpp.TextMode.Plain,
    )
    return [each.text for each in found]


def test_the_same_scene_is_the_same_picture_and_another_seed_another() -> None:
    assert np.array_equal(render(ONE), render(replace(ONE)))
    assert not np.array_equal(render(ONE), render(replace(ONE, seed=6)))
    assert render(ONE).shape == (480, 640)
    assert render(ONE).dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "kind", "gs1"),
    [
        (URL, "QRCode", False),
        (URL, "DataMatrix", False),
        ("CASE-000123", "Code128", False),
        ("6901234567892", "EAN13", False),
        ("00069012345600000121", "Code128", True),
        ("0106901234567892" + "10LOT7\x1d21A1B2", "DataMatrix", True),
        ("0106901234567892" + "10LOT7\x1d21A1B2", "QRCode", True),
    ],
)
def test_a_symbol_says_its_text(text: str, kind: str, gs1: bool) -> None:
    size = suggest_size(text, kind, gs1)
    scene = Scene(1200, 600, (Symbol(text, kind, 600, 300, size, 7, gs1=gs1),), tilt=2.0)
    assert texts(render(scene), kind) == [text]


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Code128", "EAN13"])
def test_damage_of_one_leaves_nothing_to_read(kind: str) -> None:
    text = "6901234567892" if kind == "EAN13" else "CASE-000123"
    symbol = Symbol(text, kind, 300, 200, suggest_size(text, kind), damage=1.0)
    assert texts(render(Scene(600, 400, (symbol,))), kind) == []
    assert texts(render(Scene(600, 400, (replace(symbol, damage=0.0),))), kind) == [text]


def test_light_blur_and_noise_do_what_they_say() -> None:
    flat = Scene(640, 480, (), blur=0, noise=0)
    assert render(flat).std() == 0
    assert render(replace(flat, light=0.5)).mean() == pytest.approx(render(flat).mean() / 2, abs=1)
    assert render(replace(flat, noise=7.0)).std() == pytest.approx(7.0, abs=0.3)
    sharp, soft = (cv2.Laplacian(render(replace(ONE, blur=b, noise=0)), cv2.CV_64F) for b in (0, 3))
    assert sharp.std() > 5 * soft.std()


def test_tilt_turns_the_scene_about_the_middle_of_the_frame() -> None:
    aside = replace(ONE, symbols=(replace(ONE.symbols[0], x=420.0),), tilt=90.0)
    (found,) = zxingcpp.read_barcodes(render(aside), formats=zxingcpp.BarcodeFormat.QRCode)
    corners = found.position.top_left, found.position.bottom_right
    assert sum(p.x for p in corners) / 2 == pytest.approx(320, abs=4)
    assert sum(p.y for p in corners) / 2 == pytest.approx(240 + 100, abs=4)


def test_a_symbol_outside_the_frame_is_cut_off_and_a_large_frame_is_full_of_noise() -> None:
    for x, y in ((0, 0), (640, 480), (-500, -500), (5000, 10)):
        render(replace(ONE, symbols=(replace(ONE.symbols[0], x=float(x), y=float(y)),)))
    large = render(Scene(2448, 2048, (), noise=5.0))
    assert large[1100:, 1100:].std() == pytest.approx(5.0, abs=0.3)


def test_a_symbol_that_cannot_be_written_is_refused() -> None:
    for symbol in (
        Symbol("12", "EAN13", 0, 0, 100),
        Symbol("x", "Aztec", 0, 0, 100),
        Symbol("not GS1", "DataMatrix", 0, 0, 100, gs1=True),
    ):
        with pytest.raises(ValueError, match=r"."):
            render(Scene(200, 200, (symbol,)))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("00069012345600000121", "(00)069012345600000121"),
        ("010690123456789210L7\x1d21A", "(01)06901234567892(10)L7(21)A"),
        ("0106901234567892112601011724010110L", "(01)06901234567892(11)260101(17)240101(10)L"),
        ("21A\x1d310200012537\x1d", "(21)A(3102)000125(37)"),
        ("(01)06901234567892(21)A", "(01)06901234567892(21)A"),
        ("8008260101\x1d240X", "(8008)260101(240)X"),
    ],
)
def test_element_strings_get_their_brackets(raw: str, expected: str) -> None:
    assert bracketed(raw) == expected


@pytest.mark.parametrize("kind", ["bmp", "png"])
def test_an_encoded_picture_is_the_same_picture(kind: str) -> None:
    data = np.frombuffer(encode(render(ONE), kind), np.uint8)
    assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), render(ONE))


def test_a_jpeg_can_still_be_read() -> None:
    data = np.frombuffer(encode(render(ONE), "jpeg"), np.uint8)
    assert texts(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), "QRCode") == [URL]


def test_it_is_quick_enough_to_feed_a_line() -> None:
    """Not a benchmark: ten times slower than measured is a mistake (0.4 and 4 ms)."""
    case = Scene(
        960,
        640,
        tuple(
            Symbol(f"{URL}{n}", "QRCode", 80 + 160 * (n % 6), 80 + 160 * (n // 6), 104, n * 15)
            for n in range(24)
        ),
    )
    for scene, most in ((ONE, 0.005), (case, 0.040)):
        render(scene)
        best = 1.0
        for _ in range(5):
            start = time.perf_counter()
            render(scene)
            best = min(best, time.perf_counter() - start)
        assert best < most
