"""A folder of pictures is counted as it is: right, wrong, not read, and what is no picture."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cli import main
from agent.cli.vision import SYMBOLOGIES
from agent.ports.reading import Read
from agent.vision.expectation import expected_text, says
from agent.vision.photo import PhotoError, load
from agent.vision.score import pictures, score
from agent.vision.settings import DecodeSettings
from drivers.sim.render import encode, render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.scenes import nominal, text

GS1 = "010690123456789210LOT7\x1d21A1B2"


def outcomes(folder: Path, kind: str = "QRCode") -> dict[str, str]:
    (ours,) = score(folder, DecodeSettings(kind), 5.0)
    return {line.picture: line.outcome for line in ours.lines}


def run(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["vision", "score", *map(str, words)])
    return int(str(end.value.code or 0)), *capsys.readouterr()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good pictures of every kind of file, and every kind of bad file."""
    value, image = nominal("QRCode", 1)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    clear = np.dstack([np.zeros_like(colour), 255 - np.where(image > 128, 255, 0)])
    for name, picture in (
        ("grey.png", image),
        ("deep.png", image.astype(np.uint16) * 257),
        ("clear.png", clear.astype(np.uint8)),
        ("photo.jpg", colour),
        ("photo.bmp", colour),
        ("scan.tiff", colour),
        ("turned.PNG", np.rot90(image)),
    ):
        done, data = cv2.imencode(Path(name).suffix.lower(), picture)
        assert done
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).with_suffix(".txt").write_text(value + "\n", "utf-8")
    (tmp_path / "bare.png").write_bytes(encode(np.full((200, 300), 90, np.uint8), "png"))
    (tmp_path / "untold.png").write_bytes(encode(image, "png"))
    for name, said in (("other.png", text("QRCode", 2)), ("blank.png", value)):
        shown = image if name == "other.png" else np.full((99, 99), 9, np.uint8)
        (tmp_path / name).write_bytes(encode(shown, "png"))
        (tmp_path / name).with_suffix(".txt").write_text(said, "utf-8")
    whole = encode(image, "jpeg")
    for name, data in (
        ("empty.png", b""),
        ("cut.jpg", whole[:300]),
        ("letters.png", b"this is no picture"),
        ("noise.bmp", bytes(np.random.default_rng(1).integers(0, 256, 5000, np.uint8))),
        ("bomb.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\0\0\0\0"),
        ("data.xyz", b"?"),
    ):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).with_suffix(".txt").write_text(value, "utf-8")
    (tmp_path / "README.md").write_text("no picture, and not meant as one")
    (tmp_path / "sub.png").mkdir()
    (tmp_path / "sub.png" / "a.png").write_bytes(encode(image, "png"))
    (tmp_path / "sub.png" / "a.png.txt").write_text(value, "utf-8")
    return tmp_path


def test_every_file_is_counted_as_what_it_is(folder: Path) -> None:
    assert outcomes(folder) == {
        "bare.png": "empty",
        "blank.png": "unread",
        "bomb.png": "unreadable",
        "clear.png": "read",
        "cut.jpg": "unreadable",
        "data.xyz": "unreadable",
        "deep.png": "read",
        "empty.png": "unreadable",
        "grey.png": "read",
        "letters.png": "unreadable",
        "noise.bmp": "unreadable",
        "other.png": "wrong",
        "photo.bmp": "read",
        "photo.jpg": "read",
        "scan.tiff": "read",
        "sub.png/a.png": "read",
        "turned.PNG": "read",
        "untold.png": "wrong",
    }


def test_the_command_counts_compares_and_names_what_was_not_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(
        folder, "--symbology", "qr", "--compare", "--deadline-ms", "5000", "--json", capsys=capsys
    )
    assert status == 0
    data = json.loads(out)
    counted = {name: data[name] for name in ("total", "expected", "read", "wrong", "unread")}
    assert counted == {"total": 18, "expected": 16, "read": 8, "wrong": 2, "unread": 1}
    assert (data["empty"], data["unreadable"], data["deadline_ms"]) == (1, 6, 5000)
    assert 0 < data["ms"]["median"] <= data["ms"]["p99"]
    assert sum(data["attempts"].values()) == 8
    assert [each["picture"] for each in data["wrong_pictures"]] == ["other.png", "untold.png"]
    assert data["compare"]["zxing-cpp"]["read"] == 8
    assert data["compare"]["zbar"]["read"] >= 6
    status, out, _ = run(folder, "--symbology", "qr", capsys=capsys)
    assert status == 0
    assert "empty.png': no picture: it is empty" in out
    assert "blank.png': not read" in out
    assert "Deadline 2000 ms" in out


def test_a_folder_without_pictures_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(tmp_path, "--symbology", "ean13", capsys=capsys)
    assert (status, "There is no picture" in err) == (1, True)
    status, _, err = run(tmp_path / "none", "--symbology", "ean13", capsys=capsys)
    assert (status, "is no folder" in err) == (1, True)
    status, _, err = run(tmp_path, "--symbology", "qr", "--attempts", "fast,luck", capsys=capsys)
    assert (status, "luck" in err) == (1, True)


def test_every_symbology_has_a_name_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(encode(np.full((99, 99), 9, np.uint8), "png"))
    for name in SYMBOLOGIES:
        status, out, _ = run(tmp_path, "--symbology", name, "--json", capsys=capsys)
        assert (status, json.loads(out)["empty"]) == (0, 1)
    assert run(tmp_path, "--symbology", "aztec", capsys=capsys)[0] == 2


@pytest.mark.parametrize(
    "said",
    [
        GS1,
        GS1 + "\r\n",
        "]C1" + GS1,
        "\x1d" + GS1,
        "<FNC1>010690123456789210LOT7<GS>21A1B2",
        "010690123456789210LOT7{GS}21A1B2",
        r"010690123456789210LOT7\x1d21A1B2",
        "010690123456789210LOT7␝21A1B2",
        "010690123456789210LOT721A1B2",
        "(01)06901234567892(10)LOT7(21)A1B2",
        "(01) 06901234567892 (10) LOT7 (21) A1B2\n",
        "SOMETHING ELSE\n" + GS1,
    ],
)
def test_spellings_of_the_same_gs1_content_are_the_same(said: str) -> None:
    read = Read(GS1, "]C1", data=GS1.encode())
    assert says(read, expected_text(said.encode()))


@pytest.mark.parametrize(
    "said",
    [
        "010690123456789210LOT721\x1dA1B2",
        "010690123456789210LOT7\x1d21A1B3",
        "(01)06901234567892(10)LOT7(21)A1B3",
        "010690123456789210LOT7\x1d21A1B2 ",
        "LOT7",
        "",
    ],
)
def test_other_content_is_not_the_same(said: str) -> None:
    assert not says(Read(GS1, "]C1", data=GS1.encode()), expected_text(said.encode()))


def test_brackets_and_a_lost_separator_are_data_where_the_symbol_is_not_gs1() -> None:
    assert not says(Read("0106901234567892", "]d1"), "(01)06901234567892")
    assert says(Read("(01)06901234567892", "]d1"), "(01)06901234567892")
    assert says(Read("0106901234567892", "]e0"), "06901234567892")
    assert not says(Read("0106901234567892", "]d2"), "06901234567892")
    assert says(Read("0012345678905", "]E0"), "012345678905")
    assert not says(Read("1012345678905", "]E0"), "012345678905")


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "shift_jis", "gb18030"])
def test_another_charset_of_the_same_bytes_is_the_same(charset: str) -> None:
    said = {"latin-1": "naïve café", "gb18030": "可乐"}.get(charset, "アイス")
    assert says(Read("guessed otherwise", "]Q1", data=said.encode(charset)), said)
    assert not says(Read("guessed otherwise", "]Q1", data=said.encode(charset)), said + "x")
    assert says(Read("cafe\u0301"), "café")


def test_the_expected_one_of_two_symbols_counts_and_says_so(tmp_path: Path) -> None:
    one, two = text("QRCode", 1), text("QRCode", 2)
    size = suggest_size(one, "QRCode") * 1.2
    image = render(
        Scene(
            640, 480, (Symbol(one, "QRCode", 160, 240, size), Symbol(two, "QRCode", 480, 240, size))
        )
    )
    for name, said in (("one", one), ("two", two), ("both", f"{one}\n{two}"), ("none", "other")):
        (tmp_path / f"{name}.png").write_bytes(encode(image, "png"))
        (tmp_path / f"{name}.txt").write_text(said, "utf-8")
    (ours,) = score(tmp_path, DecodeSettings("QRCode"), 5.0)
    by = {line.picture: (line.outcome, line.other) for line in ours.lines}
    assert {by["one.png"], by["two.png"]} == {("read", False), ("read", True)}
    assert by["both.png"] == ("read", False)
    assert by["none.png"] == ("wrong", False)


def test_pictures_are_listed_in_order_with_their_texts(folder: Path) -> None:
    found = {file.name: text and text.name for file, text in pictures(folder)}
    assert list(found)[:3] == ["bare.png", "blank.png", "bomb.png"]
    assert (found["bare.png"], found["a.png"], found["cut.jpg"]) == (None, "a.png.txt", "cut.txt")
    assert "README.md" not in found


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="cannot be read"):
        load(tmp_path / "nothing.png")
