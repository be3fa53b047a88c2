"""Picture files: every format that cameras send, and nothing that only looks like one."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cameras.picture import PictureError, decode, raw, size

IMAGE = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)


def encoded(suffix: str, image: np.ndarray = IMAGE) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1].data)


FILES = {suffix: encoded(suffix) for suffix in (".bmp", ".png", ".pgm", ".jpg")}


@pytest.mark.parametrize("suffix", FILES)
def test_a_picture_is_decoded_and_its_size_is_known_before(suffix: str) -> None:
    assert size(FILES[suffix]) == (60, 40)
    image = decode(FILES[suffix])
    assert (image.shape, image.dtype) == ((40, 60), np.uint8)
    if suffix != ".jpg":
        assert np.array_equal(image, IMAGE)
    assert np.array_equal(decode(bytearray(FILES[suffix])), image)


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg"])
def test_a_colour_picture_becomes_grey(suffix: str) -> None:
    assert decode(encoded(suffix, cv2.cvtColor(IMAGE, cv2.COLOR_GRAY2BGR))).shape == (40, 60)


@pytest.mark.parametrize("suffix", FILES)
def test_a_picture_that_is_cut_off_is_refused_at_every_length(suffix: str) -> None:
    data = FILES[suffix]
    for length in [*range(80), *range(80, len(data) - 12, 37), len(data) - 12]:
        with pytest.raises(PictureError):
            decode(data[:length])


def test_raw_rows_must_have_the_length_of_their_size() -> None:
    assert np.array_equal(raw(IMAGE.tobytes(), 60, 40), IMAGE)
    for width, height in ((60, 41), (0, 40), (99_999, 99_999)):
        with pytest.raises(PictureError):
            raw(IMAGE.tobytes(), width, height)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "bomb",
    [
        _png(60_000, 60_000),
        _png(0, 5),
        b"P5 900000 900000 255\n" + bytes(100),
        FILES[".bmp"][:18] + struct.pack("<ii", 100_000, -100_000) + FILES[".bmp"][26:],
        FILES[".bmp"][:18] + struct.pack("<ii", -60, 40) + FILES[".bmp"][26:],
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9",
    ],
)
def test_a_small_file_that_claims_a_huge_picture_is_refused_before_it_is_decoded(
    bomb: bytes,
) -> None:
    with pytest.raises(PictureError, match="claims"):
        decode(bomb)


@pytest.mark.parametrize(
    "data",
    [
        b"P5\n5 5\n65535\n" + bytes(100),
        b"P5 5 5 255",
        b"BM" + bytes(100),
        b"\xff\xd8\xff\xfe\x00\x00\xff\xd9",
        b"\xff\xd8\x00\x00\xff\xd9" + bytes(20),
        b"GIF89a" + bytes(100),
        b"",
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        decode(data)


def test_a_jpeg_filled_up_with_zeros_and_a_pgm_with_comments_are_taken() -> None:
    assert decode(FILES[".jpg"] + bytes(500)).shape == (40, 60)
    commented = b"P5\n# made by a camera\n60 40\n# 8 bit\n255\n" + IMAGE.tobytes()
    assert np.array_equal(decode(commented), IMAGE)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 300),
)
def test_a_damaged_picture_is_a_picture_or_refused(
    suffix: str, damage: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(FILES[suffix])
    for at, value in damage:
        data[at % len(data)] = value
    try:
        image = decode(bytes(data[: len(data) - cut]))
    except PictureError:
        return
    assert image.ndim == 2
    assert image.dtype == np.uint8
    assert image.size > 0
