"""The cascade reads what it should, in time, and nothing that is not there."""

import time

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from agent.core.errors import ConfigError
from agent.ports.reading import Read
from agent.vision.attempts import ATTEMPTS, CASCADES
from agent.vision.cascade import Agreement, Budget, attempt_one, decode
from agent.vision.settings import DecodeSettings
from drivers.sim.render import render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision import render as render_frames
from tests.vision.scenes import KINDS, MATRIX, hard, nominal, text

TECHNIQUE = {"QRCode": "qr", "Code128": "code128", "EAN13": "ean13"}


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("kind", KINDS)
def test_every_nominal_symbol_is_read(kind: str) -> None:
    station = DecodeSettings(kind, region=(120, 40, 400, 400) if kind in MATRIX else None)
    for number in range(40):
        value, image = nominal(kind, number)
        result = decode(image, station, soon())
        assert [read.text for read in result.reads] == [value]
        assert not result.late


@pytest.mark.parametrize(("kind", "more"), [("QRCode", 1.4), ("DataMatrix", 2.0)])
def test_fallbacks_read_much_more_of_a_hard_set_than_the_fast_attempt(
    kind: str, more: float
) -> None:
    fast = cascade = 0
    for number in range(24):
        value, image = hard(kind, number)
        for attempts in (("fast",), ()):
            reads = decode(image, DecodeSettings(kind, attempts=attempts), soon()).reads
            assert [read.text for read in reads] in ([], [value])
            if attempts:
                fast += len(reads)
            else:
                cascade += len(reads)
    assert fast > 4
    assert cascade >= more * fast


def test_corners_are_pixels_of_the_full_frame_whatever_the_attempt_scales() -> None:
    value = text("QRCode", 1)
    size = suggest_size(value, "QRCode") * 1.5
    image = render(Scene(800, 600, (Symbol(value, "QRCode", 500, 350, size),)))
    for attempt in ("fast", "half", "double", "blur_double_sharp"):
        station = DecodeSettings("QRCode", region=(350, 200, 300, 300), attempts=(attempt,))
        (read,) = decode(image, station, soon()).reads
        assert read.attempt == attempt
        left, right = 500 - size / 2, 500 + size / 2
        top, bottom = 350 - size / 2, 350 + size / 2
        for corner, expected in zip(
            read.corners,
            ((left, top), (right, top), (right, bottom), (left, bottom)),
            strict=True,
        ):
            assert corner == pytest.approx(expected, abs=4)


def test_what_lies_outside_the_region_is_not_read() -> None:
    value = text("QRCode", 2)
    size = suggest_size(value, "QRCode")
    image = render(Scene(640, 480, (Symbol(value, "QRCode", 480, 240, size),)))
    assert decode(image, DecodeSettings("QRCode", region=(320, 0, 9999, 9999)), soon()).reads
    assert not decode(image, DecodeSettings("QRCode", region=(0, 0, 320, 480)), soon()).reads
    assert not decode(image, DecodeSettings("QRCode", region=(900, 0, 50, 50)), soon()).reads


@pytest.mark.parametrize(
    ("kind", "identifier"), [("DataMatrix", "]d2"), ("Code128", "]C1"), ("QRCode", "]Q3")]
)
def test_gs1_text_keeps_its_separator_and_its_identifier(kind: str, identifier: str) -> None:
    value = "010690123456789210LOT7\x1d21A1B2"
    size = suggest_size(value, kind, gs1=True) * 1.05
    image = render(Scene(1200, 400, (Symbol(value, kind, 600, 200, size, gs1=True),)))
    (read,) = decode(image, DecodeSettings(kind), soon()).reads
    assert (read.text, read.symbology) == (value, identifier)


def test_a_light_symbol_on_dark_ground_is_read_by_a_fallback() -> None:
    for kind in MATRIX:
        value, image = nominal(kind, 3)
        (read,) = decode(255 - image, DecodeSettings(kind), soon()).reads
        assert read.text == value
        assert read.attempt != "fast"


@pytest.mark.parametrize("kind", KINDS)
def test_every_attempt_of_an_order_reads_a_good_symbol_and_says_where_it_is(kind: str) -> None:
    """Corners of turned and stretched pictures lead back to the frame too. Attempts for large or
    for dotted symbols are shown one."""
    techniques = ("datamatrix", "peen") if kind == "DataMatrix" else (TECHNIQUE[kind],)
    pictures = [
        (value, cv2.resize(image, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC))
        for technique in techniques
        for size in (1, 3)
        for seed in render_frames.seeds(4, proof=False)
        for value, image in (render_frames.at_severity(technique, 0.2, seed),)
    ]
    for name in CASCADES[kind]:
        reads = []
        for value, image in pictures:
            read = attempt_one(image, kind, ATTEMPTS[name], (7, 9))
            if read is None:
                continue
            reads.append(read)
            assert (read.text, read.attempt) == (value, name)
            plain = attempt_one(image, kind, ATTEMPTS["fast"], (7, 9))
            if plain is not None and kind in MATRIX:
                assert np.abs(np.array(read.corners) - plain.corners).max() < 20
            break
        assert reads or name == "second", f"{name} reads no {kind}"


# ------------------------------------------------------------------------------------- deadline


def test_a_deadline_that_has_passed_tries_nothing() -> None:
    _, image = nominal("QRCode", 1)
    result = decode(image, DecodeSettings("QRCode"), time.monotonic() - 0.001)
    assert (result.reads, result.late) == ((), True)


@pytest.mark.parametrize("kind", MATRIX)
def test_a_huge_noise_frame_is_given_up_near_its_deadline(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2048, 2448), np.uint8)
    start = time.monotonic()
    one = decode(noise, DecodeSettings(kind, attempts=("fast",)), start + 60)
    start = time.monotonic()
    result = decode(noise, DecodeSettings(kind), start + 0.005)
    assert (result.reads, result.late) == ((), True)
    # One attempt cannot be broken off; no second one is begun.
    assert time.monotonic() - start < 3 * one.seconds + 0.1


def test_a_read_that_comes_after_the_deadline_is_late_and_not_given() -> None:
    value = text("QRCode", 1)
    size = suggest_size(value, "QRCode")
    big = np.random.default_rng(2).integers(0, 256, (3000, 4000), np.uint8)
    small = render(Scene(200, 200, (Symbol(value, "QRCode", 100, 100, size),)))
    big[1400:1600, 1900:2100] = small
    station = DecodeSettings("QRCode", attempts=("half", "full", "double"))
    result = decode(big, station, soon(0.0005))
    assert (result.reads, result.late) == ((), True)
    assert result.seconds > 0.0005


def test_a_budget_leaves_out_what_cannot_end_in_time_but_not_what_can() -> None:
    budget = Budget(time.monotonic() + 0.3)
    assert budget.allows(ATTEMPTS["fast"])
    while time.monotonic() < budget.deadline - 0.2:
        time.sleep(0.001)
    budget.spent(ATTEMPTS["fast"])
    assert not budget.allows(ATTEMPTS["double"])  # 8 x 0.1 s
    assert budget.late
    assert budget.allows(ATTEMPTS["half"])  # 0.5 x 0.1 s


# ---------------------------------------------------------------------------------- false reads


def _bars(number: int) -> np.ndarray:
    """Texture that looks like print and is none: stripes, checks, letters, noise."""
    rng = np.random.default_rng(number)
    image = np.full((480, 640), 200, np.uint8)
    for _ in range(25):
        x, y = (int(v) for v in rng.integers(0, (600, 440)))
        w, h = (int(v) for v in rng.integers(4, (120, 90)))
        kind = int(rng.integers(0, 4))
        box = image[y : y + h, x : x + w]
        if kind == 0:
            box[:] = rng.integers(0, 2, (1, box.shape[1])) * 200
        elif kind == 1:
            checks = rng.integers(0, 2, (30, 40)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
            box[:] = checks[: box.shape[0], : box.shape[1]] * 220
        elif kind == 2:
            cv2.putText(image, "BEST BEFORE 12/26", (x, y), 0, 0.7, 20, 2)
        else:
            cv2.ellipse(image, (x, y), (w, h), 30, 0, 270, int(rng.integers(0, 256)), 3)
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", MATRIX)
def test_nothing_is_read_where_there_is_no_symbol(kind: str) -> None:
    for number in range(6):
        assert decode(_bars(number), DecodeSettings(kind), soon()).reads == ()


@pytest.mark.parametrize("kind", ["Code128", "EAN13"])
def test_no_bar_code_is_read_where_there_is_none(kind: str) -> None:
    for number in range(6):
        assert decode(_bars(number), DecodeSettings(kind), soon()).reads == ()


def test_a_linear_fallback_counts_once_a_second_attempt_agrees() -> None:
    rule = Agreement(linear=True)
    assert not rule.counts(Read("690", attempt="full"))
    assert not rule.counts(Read("690", attempt="full"))
    assert rule.counts(Read("690", attempt="half"))
    assert Agreement(linear=True).counts(Read("690", attempt="fast"))
    assert Agreement(linear=False).counts(Read("url", attempt="full"))


def test_witnesses_of_one_kind_are_one_and_a_contradiction_needs_more() -> None:
    rule = Agreement(linear=True)
    assert not rule.counts(Read("690", attempt="half"))
    assert not rule.counts(Read("690", attempt="third"))  # another size again
    assert not rule.counts(Read("691", attempt="bars_flat"))
    assert not rule.counts(Read("690", attempt="double"))  # two against one
    assert rule.counts(Read("690", attempt="second"))


def test_a_fallback_counts_at_once_if_the_code_is_expected() -> None:
    rule = Agreement(linear=True, expected=("690", "692"))
    assert rule.counts(Read("692", attempt="half"))
    assert not rule.counts(Read("691", attempt="half"))
    value, image = nominal("Code128", 5)
    station = DecodeSettings("Code128", attempts=("full",))
    (read,) = decode(image, station, soon(), expected=(value,)).reads
    assert read.text == value
    assert not decode(image, station, soon(), expected=("CASE",)).reads


def test_a_part_of_an_itf_14_needs_three_witnesses() -> None:
    rule = Agreement(linear=True)
    assert not rule.counts(Read("069012", "]I0", attempt="fast"))
    assert not rule.counts(Read("069012", "]I0", attempt="half"))
    assert rule.counts(Read("069012", "]I0", attempt="bars_flat"))
    assert Agreement(linear=True).counts(Read("06901234567892", "]I1", attempt="fast"))
    assert not Agreement(linear=True).counts(Read("06901234567893", "]I1", attempt="fast"))
    assert not Agreement(linear=True).counts(Read("069012", "]I0", attempt="fast"))
    assert Agreement(linear=True).counts(Read("069012", "]C0", attempt="fast"))


def test_the_identifier_comes_from_the_witness_that_knows_it() -> None:
    rule = Agreement(linear=True)
    first = Read("0034", "]C1", attempt="half", data=b"0034")
    last = Read("0034", attempt="second")
    assert not rule.counts(first)
    assert rule.counts(last)
    assert rule.fullest(last) is first


def test_the_record_says_what_was_tried_and_how_long_it_took() -> None:
    value, image = nominal("QRCode", 3)
    result = decode(255 - image, DecodeSettings("QRCode"), soon())
    names = [name for name, _ in result.tried]
    assert names == list(CASCADES["QRCode"][: len(names)])
    assert names[-1] == result.reads[0].attempt != "fast"
    assert 0 < sum(seconds for _, seconds in result.tried) <= result.seconds
    (read,) = decode(image, DecodeSettings("QRCode"), soon()).reads
    assert read.data == value.encode()


def test_a_known_module_size_makes_attempts_of_its_own() -> None:
    station = DecodeSettings("DataMatrix", pitch=7.0)
    assert [attempt.name for attempt in station.plan[:3]] == ["fast", "pitched", "pitched_upright"]
    assert len(DecodeSettings("EAN13", pitch=3.0).plan) == len(CASCADES["EAN13"]) + 1
    read = {"": 0, "pitched": 0}
    for seed in render_frames.seeds(30, proof=False):
        value, image = render_frames.frame("peen", "nominal", seed)
        for name in read:
            only = DecodeSettings("DataMatrix", pitch=7.0 if name else None, attempts=("fast",))
            reads = decode(image, only, soon()).reads
            read[name] += [each.text for each in reads] == [value]
    assert read["pitched"] > 3 * read[""] + 5


@pytest.mark.parametrize("name", ["code128", "ean13", "itf14", "databar", "rmqr", "microqr"])
def test_a_symbol_is_read_at_any_turn(name: str) -> None:
    kind = render_frames.TECHNIQUES[name].symbology
    for turn in range(0, 360, 30):
        value, image = render_frames.at_severity(name, 0.02, 4, turn + 3.0)
        (read,) = decode(image, DecodeSettings(kind), soon()).reads
        assert read.text == value


def test_a_blurred_symbol_in_a_huge_picture_is_read_in_a_smaller_copy() -> None:
    value, image = render_frames.frame("qr", "nominal", 8)
    scale = 900 / max(image.shape)
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    huge = np.full((2000, 2400), 130, np.uint8)
    huge[700 : 700 + image.shape[0], 1100 : 1100 + image.shape[1]] = image
    alone = DecodeSettings("QRCode", attempts=("fast",), region=(1050, 650, 1000, 1000))
    assert not decode(huge, alone, soon()).reads
    (read,) = decode(huge, DecodeSettings("QRCode"), soon()).reads
    assert read.text == value
    xs, ys = np.array(read.corners).T
    assert 1100 < xs.min() < xs.max() < 2000
    assert 700 < ys.min() < ys.max() < 1600


@pytest.mark.parametrize("name", ["qr", "datamatrix", "microqr"])
def test_a_mirrored_symbol_is_read(name: str) -> None:
    """As on a cap that is seen from below, or by a camera with a mirror."""
    value, image = render_frames.at_severity(name, 0.1, 4)
    station = DecodeSettings(render_frames.TECHNIQUES[name].symbology)
    (read,) = decode(np.ascontiguousarray(image[:, ::-1]), station, soon()).reads
    assert read.text == value


def test_a_bar_code_that_the_fast_attempt_does_not_read_needs_two_others() -> None:
    value, image = nominal("Code128", 5)
    assert not decode(image, DecodeSettings("Code128", attempts=("full",)), soon()).reads
    station = DecodeSettings("Code128", attempts=("full", "half", "double"))
    (read,) = decode(image, station, soon()).reads
    assert (read.text, read.attempt) == (value, "half")


# ------------------------------------------------------------------------------------ bad input


@settings(max_examples=150, deadline=None)
@given(
    npst.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int8, np.float32, np.bool_]),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
    ),
    st.sampled_from(KINDS),
)
def test_no_picture_makes_it_raise(image: np.ndarray, kind: str) -> None:
    assert decode(image, DecodeSettings(kind), soon()).reads == ()


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=4000), st.integers(1, 80), st.sampled_from(KINDS))
def test_no_pixels_make_it_raise(data: bytes, width: int, kind: str) -> None:
    height = max(1, len(data) // width)
    image = np.frombuffer(data.ljust(width * height, b"\0")[: width * height], np.uint8)
    shaped = image.reshape(height, width)
    for view in (shaped, shaped[::-1], shaped[:, ::-1], shaped[::2, ::3]):
        decode(view, DecodeSettings(kind), soon())


@pytest.mark.parametrize("image", [None, "frame", b"\x00" * 100, 7, [[1, 2], [3, 4]]])
def test_what_is_no_array_gives_nothing(image: object) -> None:
    result = decode(image, DecodeSettings("QRCode"), soon())  # type: ignore[arg-type]
    assert (result.reads, result.late) == ((), False)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_in_a_symbol_come_back_as_text(payload: bytes) -> None:
    barcode = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.QRCode)
    (read,) = decode(np.array(barcode.to_image(scale=4)), DecodeSettings("QRCode"), soon()).reads
    assert isinstance(read.text, str)
    read.text.encode()  # no lone surrogate


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbology": "Aztec"},
        {"symbology": "QRCode", "region": (-1, 0, 5, 5)},
        {"symbology": "QRCode", "region": (0, 0, 0, 5)},
        {"symbology": "QRCode", "grid": (0, 4)},
        {"symbology": "QRCode", "grid": (100, 100)},
        {"symbology": "QRCode", "attempts": ("luck",)},
        {"symbology": "QRCode", "grid": (1, 2), "cells": ((0, 0, 1, 1),)},
        {"symbology": "QRCode", "grid": (1, 1), "cells": ((0.5, 0, 0.6, 1),)},
        {"symbology": "QRCode", "grid": (1, 1), "cells": ((float("nan"), 0, 1, 1),)},
        {"symbology": "QRCode", "cells": ((0, 0, 1, 1),)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        DecodeSettings(**wrong)  # type: ignore[arg-type]


def test_every_attempt_of_every_order_exists() -> None:
    for order in CASCADES.values():
        assert order[0] == "fast"
        assert set(order) <= set(ATTEMPTS)
