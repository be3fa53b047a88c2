"""Setting a camera up: its figures are what was rendered, the advice follows, and what is proposed
reads better and lands in the site file."""

import io
import json
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cli import main
from agent.ports.reading import Image
from agent.vision import advice
from agent.vision.advice import WORDS, advise, exposure_factor
from agent.vision.cascade import decode
from agent.vision.proposal import Commissioning
from agent.vision.settings import DecodeSettings
from agent.vision.tune import Figures, Tuning, measure
from drivers.sim.render import encode, render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.cases import Case, render_case
from tests.vision.scenes import KINDS, hard, text

PITCH = {"QRCode": 4, "DataMatrix": 6, "Code128": 3, "EAN13": 3}


def picture(
    kind: str = "QRCode",
    scale: float = 1.0,
    blur: float = 0.7,
    light: float = 1.0,
    angle: float = 0.0,
    x: float = 320,
    number: int = 1,
) -> Image:
    value = text(kind, number)
    size = suggest_size(value, kind) * scale
    symbol = Symbol(value, kind, x, 240, size, angle)
    return render(Scene(640, 480, (symbol,), blur, 4.0, light, seed=number))


def figures(image: Image, kind: str = "QRCode") -> Figures:
    station = DecodeSettings(kind)
    result = decode(image, station, time.monotonic() + 10)
    found = measure(image, station, result.reads, 1, result.seconds)
    assert found is not None
    return found


def keys(found: Figures, kind: str = "QRCode") -> list[str]:
    return [each.key for each in advise(found, kind)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.8, 1.0, 1.4])
def test_the_module_is_measured_in_pixels(kind: str, scale: float) -> None:
    found = figures(picture(kind, scale), kind)
    assert found.module == pytest.approx(PITCH[kind] * scale, rel=0.05)
    assert ("closer" in keys(found, kind)) == (scale < 1)


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix"])
@pytest.mark.parametrize("blur", [0.7, 1.3, 2.0])
def test_blur_is_measured_in_pixels(kind: str, blur: float) -> None:
    found = figures(picture(kind, 1.5, blur, angle=0), kind)
    assert found.blur == pytest.approx(blur, rel=0.25, abs=0.2)


def test_a_soft_picture_asks_for_the_focus() -> None:
    assert "focus" in keys(figures(picture("DataMatrix", 1.0, 2.7), "DataMatrix"), "DataMatrix")
    assert keys(figures(picture())) == ["good"]


@pytest.mark.parametrize(("axis", "key"), [(0, "motion_x"), (1, "motion_y")])
def test_motion_is_told_from_defocus_with_its_direction(axis: int, key: str) -> None:
    kernel = np.zeros((9, 9), np.float32)
    kernel[(4, slice(None)) if axis == 0 else (slice(None), 4)] = 1 / 9
    image = cv2.filter2D(picture(scale=2.2), -1, kernel)
    assert key in keys(figures(image.astype(np.uint8)))


@pytest.mark.parametrize("light", [0.35, 0.7, 1.0])
def test_exposure_follows_the_ground(light: float) -> None:
    found = figures(picture(light=light))
    assert found.level == pytest.approx(215 * light, rel=0.04)
    factor = exposure_factor(found)
    assert (factor is not None) == (light < 0.5)
    if factor is not None:
        assert found.level * factor == pytest.approx(advice.AIM, rel=0.05)
        assert "dark" in keys(found)


def test_too_bright_is_told() -> None:
    image = cv2.add(picture(), 60).astype(np.uint8)
    found = figures(image)
    assert "bright" in keys(found)
    assert (exposure_factor(found) or 1) < 1


@pytest.mark.parametrize(
    ("sides", "key"),
    [((0.55, 1.0), "side_left"), ((1.0, 0.55), "side_right"), ((0.95, 1.0), None)],
)
def test_the_weaker_side_of_the_light_is_named_with_its_share(
    sides: tuple[float, float], key: str | None
) -> None:
    image = picture(scale=3.0)
    ramp = np.linspace(*sides, 640)
    found = figures((image * ramp).astype(np.uint8))
    told = {each.key: each.args for each in advise(found, "QRCode")}
    if key is None:
        assert not {"side_left", "side_right"} & set(told)
    else:
        assert 20 <= int(told[key]["percent"]) <= 45


def test_a_whole_case_shows_the_light_over_the_frame() -> None:
    work = Commissioning.begin(DecodeSettings("QRCode", grid=(4, 6)))
    image = render_case(Case(3, level="easy"))
    ramp = np.linspace(1.0, 0.5, image.shape[1])
    found = work.add((image * ramp).astype(np.uint8))
    assert found is not None
    assert found.read == 1.0
    assert found.sides[1] == pytest.approx(0.55, abs=0.1)
    assert "side_right" in keys(found)


def test_the_way_closer_is_said_in_mm_where_the_distance_is_known() -> None:
    small = figures(picture(scale=0.8))
    (told,) = advise(small, "QRCode", distance=200)
    assert told.key == "closer_mm"
    assert 36 <= int(told.args["mm"]) <= 44
    assert told.words("en").count("40 mm closer") + told.words("en").count("mm closer") >= 1
    assert "毫米" in told.words("zh")


def test_every_advice_has_words_in_both_languages() -> None:
    for words in WORDS.values():
        assert set(words) == {"zh", "en"}
        names = [{part.split("}")[0] for part in words[each].split("{")[1:]} for each in words]
        assert names[0] == names[1]


def test_nothing_read_says_so_and_no_picture_has_no_figures() -> None:
    blank = np.full((480, 640), 60, np.uint8)
    found = figures(blank)
    assert found.module is None
    assert keys(found)[:1] == ["nothing_read"]
    assert measure(np.zeros((0, 5), np.uint8), DecodeSettings("QRCode"), (), 1, 0.0) is None
    assert Tuning().typical() is None


def test_the_order_that_these_pictures_ask_for_comes_first() -> None:
    """Today's order begins with the costliest of those that read these soft pictures."""
    work = Commissioning.begin(DecodeSettings("QRCode", attempts=("fast", "double_sharp", "half")))
    for number in range(7):
        work.add(picture(scale=2.0, blur=4.0, number=number))
    assert work.tuning.rate == 1.0
    proposal = work.propose()
    order = proposal.keys["attempts"]
    assert order[0] == "fast"
    assert order.index("double_sharp") > 1
    assert set(order) >= {"double_sharp", "half"}, "what was not needed stays behind"
    assert proposal.after[0] == 1.0
    assert proposal.after[1] < proposal.before[1]


SITE = """[agent]
id = "test"
[schemes.s]
levels = [
  {{ name = "bottle", primary = "body", roles = ["body"] }},
  {{ name = "case", primary = "case-outer", roles = ["case-outer"], children = 24 }},
]
[devices.plc]
type = "modbus"
address = "tcp://127.0.0.1:5020"
[devices.cam]
type = "folder"
path = "{path}"
counter = "order"
[[lines]]
id = "L1"
plc = "plc"
[[lines.stations]]
id = "verify"
index = 1
kind = "{kind}"
level = "{level}"
# The camera of Mr Li.
readers = [{{ device = "cam", roles = ["body"], symbology = "QRCode"{more} }}]  # keep
"""


def site(folder: Path, images: list[Image], **more: str) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, image in enumerate(images):
        (pictures / f"{number:04}.bmp").write_bytes(encode(image, "bmp"))
    path = folder / "site.toml"
    fields = {"kind": "verify", "level": "bottle", "more": ""} | more
    path.write_text(SITE.format(path=pictures, **fields), "utf-8")
    return path


Typed = Callable[[str], None]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """What the person answers."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))


def run(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["vision", "tune", "--camera", "cam", *map(str, words)])
    return int(str(end.value.code or 0)), *capsys.readouterr()


def test_the_command_measures_advises_and_writes_on_a_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: Typed
) -> None:
    images = [picture(scale=0.8, x=320 + 3 * (n % 5), number=n, angle=7 * n) for n in range(12)]
    path = site(tmp_path, images)
    before = path.read_text("utf-8")
    typed("n")
    status, said, told = run("--config", path, "--distance", "200", capsys=capsys)
    assert status == 0
    assert path.read_text("utf-8") == before
    assert "mm closer" in said
    assert "毫米" in said
    assert "read 100.0 %" in said
    assert "region = [" in said
    typed("y")
    status, said, told = run("--config", path, "--language", "en", capsys=capsys)
    assert (status, told.count("Traceback")) == (0, 0)
    assert "毫米" not in said
    after = tomllib.loads(path.read_text("utf-8"))
    reader = after["lines"][0]["stations"][0]["readers"][0]
    x, y, w, h = reader["region"]
    assert x < 320 < x + w
    assert y < 240 < y + h
    assert w < 320
    assert reader["track"] == 0.15
    assert "# The camera of Mr Li." in path.read_text("utf-8")
    assert path.read_text("utf-8").rstrip().endswith("# keep")


def test_a_case_gets_its_cells_and_the_look_of_its_children(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [render_case(Case(n, level="easy", turn=n - 1.0)) for n in range(3)]
    path = site(tmp_path, images, kind="pack", level="case", more=", grid = [4, 6]")
    status, said, _ = run("--config", path, "--yes", "--json", capsys=capsys)
    assert status == 0
    data = json.loads(said)
    assert data["after"]["rate"] == 1.0
    reader = tomllib.loads(path.read_text("utf-8"))["lines"][0]["stations"][0]["readers"][0]
    assert len(reader["cells"]) == 24
    look = json.loads((tmp_path / "var" / "looks" / "cam.json").read_text())
    assert len(look["rings"]) == 8


def test_a_camera_without_pictures_names_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site(tmp_path, [])
    status, _, told = run("--config", path, "--seconds", "1", capsys=capsys)
    assert status
    assert "gave no picture" in told


def test_hard_pictures_show_which_attempts_read() -> None:
    work = Commissioning.begin(DecodeSettings("QRCode"))
    for number in range(10):
        work.add(hard("QRCode", number)[1])
    assert work.tuning.attempts().total() == sum(bool(reads) for reads in work.reads)
    assert 0 < (work.tuning.rate or 0) < 1
    typical = work.tuning.typical()
    assert typical is not None
    assert "few_read" in keys(typical)
