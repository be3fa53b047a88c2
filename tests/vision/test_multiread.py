"""An open case: every cell its code or no-read, in grid order, and nothing invented."""

import time

import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.vision.multiread import CellReads, decode_cells
from agent.vision.settings import DecodeSettings
from drivers.sim.render import Picture, render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.scenes import URL

MARGIN = 40


def case(
    texts: list[str | None],
    columns: int,
    kind: str = "QRCode",
    extra: tuple[Symbol, ...] = (),
    damage: dict[int, float] | None = None,
) -> tuple[Picture, DecodeSettings]:
    """A picture of a case with a text (or an empty place) per cell, and its settings."""
    rows = len(texts) // columns
    size = suggest_size(URL + "000", kind) * 1.05
    pitch = round(size * 1.5)
    symbols = tuple(
        Symbol(
            text,
            kind,
            MARGIN + pitch * (n % columns + 0.5) + (n * 5) % 9 - 4,
            MARGIN + pitch * (n // columns + 0.5) + (n * 7) % 9 - 4,
            size,
            angle=n * 37,
            damage=(damage or {}).get(n, 0.0),
        )
        for n, text in enumerate(texts)
        if text is not None
    )
    width, height = pitch * columns, pitch * rows
    scene = Scene(width + 2 * MARGIN, height + 2 * MARGIN, symbols + extra, seed=rows * columns)
    return render(scene), DecodeSettings(
        kind, region=(MARGIN, MARGIN, width, height), grid=(rows, columns)
    )


def read(picture: Picture, station: DecodeSettings, seconds: float = 10.0) -> CellReads:
    return decode_cells(picture, station, time.monotonic() + seconds)


def found(result: CellReads) -> list[str | None]:
    return [None if cell is None else cell.text for cell in result.cells]


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [("QRCode", 2, 2), ("QRCode", 4, 6), ("QRCode", 6, 8), ("DataMatrix", 4, 6)],
)
def test_a_full_case_is_read_in_grid_order(kind: str, rows: int, columns: int) -> None:
    texts: list[str | None] = [f"{URL}{n:03d}" for n in range(rows * columns)]
    result = read(*case(texts, columns, kind))
    assert found(result) == texts
    assert (result.strays, result.doubles, result.late) == ((), (), False)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["good", "good", "empty", "dead"]), min_size=6, max_size=6))
def test_an_empty_or_unreadable_place_is_a_no_read_in_its_cell(places: list[str]) -> None:
    texts = [None if place == "empty" else f"{URL}{n:03d}" for n, place in enumerate(places)]
    dead = {n: 1.0 for n, place in enumerate(places) if place == "dead"}
    result = read(*case(texts, 3, damage=dead))
    assert found(result) == [
        text if place == "good" else None for text, place in zip(texts, places, strict=True)
    ]
    assert (result.strays, result.doubles) == ((), ())


def test_a_code_twice_in_a_frame_is_reported() -> None:
    texts: list[str | None] = [f"{URL}{n:03d}" for n in (0, 1, 2, 1)]
    result = read(*case(texts, 2))
    assert found(result) == texts
    assert result.doubles == (f"{URL}001",)


def test_a_second_code_in_a_cell_is_a_stray_and_the_one_in_the_middle_counts() -> None:
    value = f"{URL}900"
    size = suggest_size(value, "QRCode") * 1.05
    pitch = round(size * 1.5)
    # A cell of twice the pitch: the second symbol fits beside the first.
    middle = Symbol(f"{URL}001", "QRCode", pitch * 1.4, pitch, size)
    beside = Symbol(value, "QRCode", pitch * 0.5, pitch, size)
    picture = render(Scene(2 * pitch, 2 * pitch, (beside, middle)))
    result = read(picture, DecodeSettings("QRCode", grid=(1, 1)))
    assert found(result) == [f"{URL}001"]
    assert [stray.text for stray in result.strays] == [value]
    assert result.doubles == ()


def test_a_code_in_no_cell_is_a_stray() -> None:
    size = suggest_size(URL + "000", "QRCode")
    symbols = (
        Symbol(f"{URL}001", "QRCode", 120, 120, size),
        Symbol(f"{URL}002", "QRCode", 360, 120, size),
    )
    picture = render(Scene(480, 240, symbols))
    station = DecodeSettings("QRCode", grid=(1, 1), cells=((0.0, 0.0, 0.45, 1.0),))
    result = read(picture, station)
    assert found(result) == [f"{URL}001"]
    assert [stray.text for stray in result.strays] == [f"{URL}002"]


def test_a_stray_that_is_also_in_a_cell_is_a_double() -> None:
    size = suggest_size(URL + "000", "QRCode")
    symbols = tuple(Symbol(f"{URL}001", "QRCode", x, 120, size) for x in (120, 360))
    station = DecodeSettings("QRCode", grid=(1, 1), cells=((0.0, 0.0, 0.45, 1.0),))
    result = read(render(Scene(480, 240, symbols)), station)
    assert found(result) == [f"{URL}001"]
    assert result.doubles == (f"{URL}001",)


def test_cells_given_one_by_one_need_not_be_even() -> None:
    """Bottles stand in a hexagon: the second row is shifted by half a bottle."""
    size = suggest_size(URL + "000", "QRCode")
    places = [(100, 100), (300, 100), (200, 280), (400, 280)]
    symbols = tuple(
        Symbol(f"{URL}{n:03d}", "QRCode", x, y, size) for n, (x, y) in enumerate(places)
    )
    cells = tuple(((x - 95) / 500, (y - 85) / 380, 190 / 500, 170 / 380) for x, y in places)
    result = read(
        render(Scene(500, 380, symbols)), DecodeSettings("QRCode", grid=(2, 2), cells=cells)
    )
    assert found(result) == [f"{URL}{n:03d}" for n in range(4)]


def test_retries_read_cells_that_the_whole_frame_does_not_give() -> None:
    texts: list[str | None] = [f"{URL}{n:03d}" for n in range(12)]
    size = suggest_size(URL + "000", "QRCode") * 0.75
    symbols = tuple(
        Symbol(text or "", "QRCode", 80 + 160 * (n % 4), 80 + 160 * (n // 4), size, n * 29)
        for n, text in enumerate(texts)
    )
    picture = render(Scene(640, 480, symbols, blur=1.3, noise=6.0))
    whole = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)
    assert 0 < len(whole) < 9
    assert found(read(picture, DecodeSettings("QRCode", grid=(3, 4)))) == texts


def test_the_deadline_ends_it_and_what_was_read_stands() -> None:
    texts: list[str | None] = [f"{URL}{n:03d}" for n in range(24)]
    picture, station = case(texts, 6, damage={7: 1.0})
    unhurried = read(picture, station)
    assert not unhurried.late
    assert found(unhurried).count(None) == 1
    never = read(picture, station, seconds=-1.0)
    assert (found(never), never.late) == ([None] * 24, True)
    noise = np.random.default_rng(3).integers(0, 256, (2048, 2448), np.uint8)
    start = time.monotonic()
    one = decode_cells(noise, DecodeSettings("DataMatrix", attempts=("fast",)), start + 60)
    start = time.monotonic()
    hurried = decode_cells(noise, DecodeSettings("DataMatrix", grid=(6, 8)), start + 0.005)
    assert hurried.late
    assert time.monotonic() - start < 3 * one.seconds + 0.1


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=3000),
    st.integers(1, 70),
    st.integers(1, 6),
    st.integers(1, 8),
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 90), st.integers(1, 90)),
)
def test_no_picture_makes_it_raise_and_there_is_one_entry_per_cell(
    data: bytes, width: int, rows: int, columns: int, region: tuple[int, int, int, int]
) -> None:
    height = max(1, len(data) // width)
    pixels = np.frombuffer(data.ljust(width * height, b"\0")[: width * height], np.uint8)
    station = DecodeSettings("QRCode", region=region, grid=(rows, columns))
    assert read(pixels.reshape(height, width), station).cells == (None,) * (rows * columns)


@pytest.mark.parametrize("image", [None, np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5))])
def test_what_is_no_picture_gives_no_reads(image: object) -> None:
    station = DecodeSettings("QRCode", grid=(2, 3))
    result = decode_cells(image, station, time.monotonic() + 1)  # type: ignore[arg-type]
    assert (result.cells, result.late) == ((None,) * 6, False)
