"""Stored pictures read again: two configurations are compared place by place."""

import json
from pathlib import Path

import pytest

from agent.cli import main
from agent.ports.reading import Decoded, Image, Read
from agent.vision.evidence import EvidenceSettings, EvidenceWriter
from agent.vision.replay import compare, pictures
from agent.vision.settings import DecodeSettings
from tests.vision.cases import Case, render_case, settings
from tests.vision.scenes import hard, nominal

SITE = """
[agent]
id = "test"
[schemes.s]
levels = [
  {{ name = "bottle", primary = "body", roles = ["body"] }},
  {{ name = "case", primary = "case-outer", roles = ["case-outer"], children = 2 }},
]
[devices.plc]
type = "modbus"
address = "tcp://127.0.0.1:5020"
[devices.cam]
type = "http_push"
listen = "127.0.0.1:9201"
[[lines]]
id = "L1"
plc = "plc"
[[lines.stations]]
id = "verify"
index = 1
kind = "verify"
level = "bottle"
deadline_ms = 2000
readers = [{{ device = "cam", roles = ["body"], symbology = "QRCode"{more} }}]
"""


def keep(folder: Path, taken: list[tuple[Image, str]]) -> None:
    """Pictures as the agent keeps them, with what was read then ("" = nothing)."""
    writer = EvidenceWriter(0)
    camera = writer.camera(folder, "verify", EvidenceSettings(good_every=1, quality=95))
    for number, (image, text) in enumerate(taken):
        reads = (Read(text, "]Q1", (), "fast"),) if text else ()
        camera.offer(
            image, Decoded(reads, 0.001), number, 1_790_000_000_000 + number, failed=not text
        )
    writer.close(20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight nominal pictures and eight hard ones, one of which was read otherwise then."""
    folder = tmp_path_factory.mktemp("pictures") / "cam"
    taken = [(image, text) for text, image in (nominal("QRCode", n) for n in range(8))]
    taken += [(hard("QRCode", n)[1], "") for n in range(8)]
    taken[3] = (taken[3][0], "another text")
    keep(folder, taken)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return folder


def run(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["vision", "replay", *map(str, words)])
    return int(str(end.value.code or 0)), *capsys.readouterr()


def site(path: Path, more: str = "") -> Path:
    path.write_text(SITE.format(more=more), "utf-8")
    return path


def test_two_orders_are_compared_on_the_lines_own_pictures(folder: Path) -> None:
    whole, fast = DecodeSettings("QRCode"), DecodeSettings("QRCode", attempts=("fast",))
    result = compare(pictures(folder), fast, whole, 5.0)
    assert (result.pictures, result.unreadable) == (16, 1)
    assert result.both + result.only_b + result.neither == 16
    assert result.both >= 8
    assert result.only_b > 0, "the hard ones need more than the fast attempt"
    assert not result.loses
    assert result.then == 1
    back = compare(pictures(folder), whole, fast, 5.0)
    assert back.loses
    assert (back.only_a, back.lost) == (result.only_b, result.won)


def test_a_region_beside_the_symbol_loses_every_read(folder: Path) -> None:
    beside = DecodeSettings("QRCode", region=(0, 0, 60, 60))
    result = compare(pictures(folder), DecodeSettings("QRCode"), beside, 5.0)
    assert result.both == result.only_b == 0
    assert result.only_a > 8


def test_an_open_case_is_compared_place_by_place(tmp_path: Path) -> None:
    image = render_case(Case(1, level="easy"))
    keep(tmp_path / "top", [(image, "")])
    half = DecodeSettings("QRCode", region=(0, 0, 1224, 2048), grid=(4, 6))
    result = compare(pictures(tmp_path / "top"), settings(), half, 20.0)
    assert result.pictures == 1
    assert result.only_a + result.differ >= 12
    assert result.loses


def test_the_command_says_by_its_status_whether_reads_are_lost(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = site(tmp_path / "now.toml")
    worse = site(tmp_path / "worse.toml", ", region = [0, 0, 60, 60]")
    status, said, _ = run(folder, "--config", now, capsys=capsys)
    assert status == 0
    assert "other than the line read then" in said
    status, said, _ = run(folder, "--config", now, "--with", worse, "--json", capsys=capsys)
    data = json.loads(said)
    assert (status, data["pictures"], data["both"]) == (1, 16, 0)
    assert len(data["lost"]) == data["only_a"]
    status, said, _ = run(folder, "--config", worse, "--with", now, capsys=capsys)
    assert status == 0
    assert "won by B: 2026" in said


def test_it_names_its_remedies(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = site(tmp_path / "now.toml")
    status, _, told = run(tmp_path / "none", "--config", now, capsys=capsys)
    assert status
    assert "is no folder" in told
    status, _, told = run(folder, "--config", now, "--camera", "other", capsys=capsys)
    assert status
    assert "cam (station verify)" in told
    (tmp_path / "cam").mkdir()
    status, _, told = run(tmp_path / "cam", "--config", now, capsys=capsys)
    assert status
    assert "no picture" in told
    assert run(folder, "--config", now, "--station", "verify", capsys=capsys)[0] == 0
