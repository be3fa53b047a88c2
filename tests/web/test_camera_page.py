"""The camera page: last picture, figures and advice of real lines' cameras, in a real browser."""

import asyncio
import json
import os
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from agent.app.cameradesk import CameraDesk
from agent.app.devicedesk import DeviceDesk
from agent.app.files import Files
from agent.app.lines import LineBuilder, Pictures, RealDevices
from agent.cli import main
from agent.config import load
from agent.core.state import LineState
from agent.line.watch import LastPicture, Watch
from agent.ports.reading import Decoded, Frame, Image, Read
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.writer import Writer
from agent.vision.cascade import decode
from agent.vision.evidence import CameraEvidence, EvidenceWriter
from agent.vision.look import Verdict
from agent.vision.multiread import decode_cells
from agent.vision.settings import DecodeSettings
from agent.vision.workers import VisionWorkers
from agent.web.camera_routes import PAGE, camera_router
from agent.web.device_routes import device_router
from drivers.sim.render import render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.cases import COLUMNS, ROWS, Case, render_case, settings
from tests.vision.scenes import text
from tests.web.site import TOKEN, ScriptedLine, Site
from tests.web.test_look import AXE, AXE_TAGS, LANGUAGES, LOOK, OWN_WORDS, mixed, switch

CONFIG = Path(__file__).parents[2] / "config"


def small_and_dark(number: int) -> Image:
    value = text("QRCode", 1)
    symbol = Symbol(value, "QRCode", 320, 240, suggest_size(value, "QRCode") * 0.8, 8)
    return render(Scene(640, 480, (symbol,), 0.7, 4.0, 0.4, seed=number))


def show(watch: Watch, number: int, image: Image, decoded: Decoded) -> None:
    watch.last = LastPicture(Frame(image, number, None, 0.0), number, decoded, 1_790_000_000_000)


def aside(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a thread of its own: the browser has a loop in ours."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(20)


class Plant:
    """The bottling and the liquor line with their cameras; nothing of them runs."""

    def __init__(self, folder: Path) -> None:
        self.database = Database.open(folder / "store.db", folder / "store.key")
        self.vision, self.evidence = VisionWorkers(1), EvidenceWriter(0)
        self.lines = {}
        self.watches: dict[str, Watch] = {}
        for name in ("bottling", "liquor"):
            site = load(CONFIG / f"{name}.toml")
            gate = Gate(Writer(self.database.conn), [line.plan() for line in site.lines])
            pictures = Pictures(self.evidence, folder / name)
            line = LineBuilder(site, None, RealDevices(self.vision), pictures).build(
                site.lines[0], gate
            )
            self.lines[name] = line
            self.watches |= {f"{name}/{w.reader.id}": w for w in line.runner.watches}

    def close(self) -> None:
        aside(self.vision.close())
        self.evidence.close()
        self.database.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("plant"))
    yield plant
    plant.close()


@pytest.fixture(scope="module")
def served(plant: Plant) -> Iterator[Site]:
    line = ScriptedLine()
    site = Site(line, routers=[camera_router(CameraDesk({"L1": plant.lines["bottling"]}))])
    yield site
    site.stop()


@pytest.fixture
def page(browser: Browser, served: Site) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    page = context.new_page()
    page.set_default_timeout(8000)
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{served.url}/camera/")
    page.locator("html[data-feed=live]").wait_for()
    yield page
    context.close()
    assert [said for said in complaints if not said.startswith("Failed to load")] == []


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("CASELINK_SHOTS"):
        (Path(folder) / f"{name}.png").write_bytes(page.screenshot())


def faults(page: Page, language: str) -> list[Any]:
    switch(page, language)
    found: list[Any] = [*page.evaluate(LOOK)]
    found += mixed(page.evaluate(OWN_WORDS), language)
    return [*found, *page.evaluate(AXE, AXE_TAGS)]


def jpeg(image: Image) -> bytes:
    done, data = cv2.imencode(".jpg", image)
    assert done
    return bytes(data)


def test_a_camera_shows_figures_and_what_to_do(page: Page, served: Site, plant: Plant) -> None:
    image = small_and_dark(1)
    served.line.jpeg = jpeg(image)
    read = decode(image, DecodeSettings("QRCode"), time.monotonic() + 5)
    show(plant.watches["bottling/verify"], 7, image, read)
    expect(page.locator("#camera")).to_have_value("verify")
    expect(page.locator("#advice")).to_contain_text("曝光加到")
    expect(page.locator("#figures [data-bad]").first).to_be_visible()
    expect(page.locator("#marks polygon")).to_have_count(2)
    page.evaluate(AXE_SCRIPT)
    for language in LANGUAGES:
        assert faults(page, language) == [], language
        shot(page, f"camera-{language}")
    expect(page.locator("#advice")).to_contain_text("closer")
    page.locator("#freeze").click()
    expect(page.locator("#freeze")).to_have_text("Live again")


def test_an_open_case_shows_what_is_in_its_places(page: Page, served: Site, plant: Plant) -> None:
    image = render_case(Case(1, level="easy", odd={2: "missing", 9: "dead"}))
    served.line.jpeg = jpeg(cv2.resize(image, None, fx=0.4, fy=0.4).astype("uint8"))
    cells = decode_cells(image, settings(), time.monotonic() + 10)
    verdicts = [str(each) for each in cells.verdicts]
    verdicts[2] = str(Verdict.MISSING)
    reads = tuple(read for read in cells.cells if read is not None)
    decoded = Decoded(reads, cells.seconds, verdicts=tuple(verdicts), boxes=cells.boxes)
    show(plant.watches["bottling/case-content"], 8, image, decoded)
    page.locator("#camera").select_option("case-content")
    expect(page.locator("#marks rect[data-verdict]")).to_have_count(2)
    expect(page.locator("#marks polygon")).to_have_count(2 * (ROWS * COLUMNS - 2))
    page.evaluate(AXE_SCRIPT)
    for language in LANGUAGES:
        assert faults(page, language) == [], language
        shot(page, f"camera-case-{language}")


def test_the_pictures_of_failed_reads_can_be_looked_at(
    page: Page, served: Site, plant: Plant
) -> None:
    sink = plant.watches["bottling/layer"].evidence
    assert isinstance(sink, CameraEvidence)
    for number in (4, 5):
        sink.offer(
            small_and_dark(number),
            Decoded((), 0.02),
            number,
            1_790_000_000_000 + number,
            failed=True,
        )
    end = time.monotonic() + 10
    while sink.counts.written < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    page.locator("#camera").select_option("layer")
    expect(page.locator("#failed button")).to_have_count(2)
    expect(page.locator("#sheet")).to_be_hidden()
    page.locator("#failed button").first.click()
    expect(page.locator("#sheet")).to_be_visible()
    expect(page.locator("#marks")).to_be_hidden()
    expect(page.locator("#failed button").first).to_have_attribute("aria-pressed", "true")
    page.evaluate(AXE_SCRIPT)
    for language in LANGUAGES:
        assert faults(page, language) == [], language
        shot(page, f"camera-failed-{language}")
    page.locator("#freeze").click()
    expect(page.locator("#sheet")).to_be_hidden()
    base = f"{served.url}/api/cameras/layer/failed"
    assert [each["number"] for each in httpx.get(base).json()["failed"]] == [5, 4]
    for name in ("..%2f..%2fstore.key", "x.jpg", "20200101T000000000-1-failed.jpg"):
        assert httpx.get(f"{base}/{name}").status_code in (204, 404)


def test_a_picture_is_measured_once_and_an_agent_that_is_gone_is_said(
    browser: Browser, plant: Plant
) -> None:
    site = Site(
        ScriptedLine(), routers=[camera_router(CameraDesk({"L1": plant.lines["bottling"]}))]
    )
    page = browser.new_page()
    try:
        address = f"{site.url}/api/cameras/verify/figures"
        image = small_and_dark(2)
        read = decode(image, DecodeSettings("QRCode"), time.monotonic() + 5)
        show(plant.watches["bottling/verify"], 9, image, read)
        told = [httpx.get(address).json() for _ in range(4)][-1]
        assert (told["pictures"], told["picture"]["frame"]) == (1, 9)
        assert told["figures"]["module"] == pytest.approx(3.2, abs=0.2)
        page.goto(f"{site.url}/camera/")
        page.locator("html[data-feed=live]").wait_for()
    finally:
        site.stop()
    page.locator("html[data-feed=stale]").wait_for()
    expect(page.locator("#still")).to_contain_text("没有应答")
    page.close()


def test_a_camera_of_secret_codes_shows_nothing(plant: Plant) -> None:
    desk = CameraDesk({"L2": plant.lines["liquor"]})
    shown = {each["id"]: each["shown"] for each in desk.every()}
    assert shown["cap"] is False
    assert shown["body"] is True
    told = aside(desk.figures("cap"))
    assert told["picture"] is None
    assert told["evidence"] is None
    assert told["figures"] is None
    assert aside(desk.failed("cap")) == []
    assert aside(desk.kept("cap", "20200101T000000000-1-failed.jpg")) is None


def test_the_panel_marks_the_places_of_a_case_by_their_verdicts(plant: Plant) -> None:
    corners = ((10, 10), (40, 12), (38, 42), (8, 40))
    verdicts = ("read", "doubled", "missing", "lying", "unread", "foreign")
    decoded = Decoded(
        (Read("A", corners=corners), Read("B", corners=corners), Read("B", corners=corners)),
        0.01,
        places=(0, 1, 6),  # the last one lies in no place
        verdicts=verdicts,
        boxes=tuple((100 * n, 0, 100, 90) for n in range(6)),
    )
    show(plant.watches["liquor/case-content"], 3, small_and_dark(3), decoded)
    camera = plant.lines["liquor"].panel.snapshot(LineState(line="L2"))["camera"]
    assert [mark["s"] for mark in camera["marks"]] == [
        "good",
        "duplicate",
        "good",
        "wait",
        "no_read",
        "no_read",
        "no_read",
    ]
    assert camera["marks"][0] == {"s": "good", "x": 8, "y": 10, "w": 32, "h": 32}
    assert camera["marks"][3] == {"s": "wait", "x": 200, "y": 0, "w": 100, "h": 90}
    assert (camera["good"], camera["no_read"], camera["waiting"]) == (3, 2, 1)


def test_a_camera_that_the_agent_holds_is_not_tuned_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ScriptedLine()
    path = tmp_path / "site.toml"
    path.write_text((CONFIG / "bottling.toml").read_text("utf-8"), "utf-8")
    files = Files(load(path), path)
    site = Site(line, routers=[device_router(DeviceDesk(load(path), tmp_path, {}))])
    try:
        path.write_text(path.read_text("utf-8").replace("port = 8080", f"port = {site.port}"))
        files.data.mkdir()
        files.token.write_text(TOKEN)
        with pytest.raises(SystemExit) as end:
            main(["vision", "tune", "--camera", "verify", "--config", str(path)])
    finally:
        site.stop()
    assert end.value.code == 1
    assert "/camera/" in capsys.readouterr().err


def test_a_camera_that_is_not_there_is_refused(served: Site) -> None:
    answer = httpx.get(f"{served.url}/api/cameras/none/figures")
    assert answer.json()["reason"] == "unknown_camera"
    assert "verify" in answer.json()["message"]


def test_both_languages_have_the_same_keys_and_the_page_is_small() -> None:
    words = [json.loads((PAGE / f"text.{name}.json").read_text("utf-8")) for name in LANGUAGES]
    assert words[0].keys() == words[1].keys()
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 30_000
