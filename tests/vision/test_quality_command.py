"""`caselink vision grade` measures pictures and says which of them it could not."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.cli import main
from tests.vision.defects import Look, modules, paint


def grade(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["vision", "grade", *words])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dark = modules("QRCode")
    for name, look in (("a-good", Look()), ("b-faded", Look(ink=170))):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), paint(dark, look))
    assert cv2.imwrite(str(tmp_path / "c-empty.png"), np.full((80, 90), 200, np.uint8))
    (tmp_path / "d-cut.png").write_bytes((tmp_path / "a-good.png").read_bytes()[:60])
    return tmp_path


def test_a_folder_is_measured_picture_by_picture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = grade(capsys, str(folder), "--symbology", "qr", "--json")
    assert status == 0
    told: dict[str, Any] = json.loads(out)
    good, faded, empty, cut = told["pictures"]
    assert (good["letter"], faded["worst"]) == ("A", "contrast")
    assert faded["score"] < good["score"] == 4.0
    assert good["parameters"]["print_growth_x"]["letter"] == ""
    assert set(good["parameters"]) >= {"contrast", "modulation", "fixed_pattern"}
    assert empty["why"] == "no symbol was read"
    assert cut["why"].startswith("no picture: ")

    status, out, _ = grade(capsys, str(folder / "a-good.png"), "--symbology", "qr")
    assert status == 0
    assert out.startswith("A  ")
    assert "not calibrated" in out


def test_a_darker_white_is_full_reflectance_where_it_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dim.png"
    assert cv2.imwrite(str(file), paint(modules("DataMatrix"), Look(ink=10, paper=130)))
    letters = []
    for white in ("255", "135"):
        words = (str(file), "--symbology", "datamatrix", "--white", white, "--json")
        _, out, _ = grade(capsys, *words)
        letters.append(json.loads(out)["pictures"][0]["parameters"]["contrast"]["letter"])
    assert letters == ["C", "A"]


def test_where_nothing_can_be_measured_the_status_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade(capsys, str(folder / "c-empty.png"), "--symbology", "ean13")[0] == 1
    (folder / "none").mkdir()
    status, _, err = grade(capsys, str(folder / "none"), "--symbology", "qr")
    assert (status, "no picture" in err) == (1, True)
    status, _, err = grade(capsys, str(folder / "gone"), "--symbology", "qr")
    assert status != 0
    assert "neither a picture nor a folder" in err
