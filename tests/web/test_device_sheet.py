"""The devices of the panel, and one of them with its wire, check and test: in a real browser, over
the real desk of devices and a simulated PLC."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from agent.app.devicedesk import DeviceDesk
from agent.config import load
from agent.web.app import DEVICES
from agent.web.device_routes import device_router
from drivers.context import no_mask
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.world import PlcImage
from drivers.wirelog import WireLog
from tests.web.site import ScriptedLine, Site, held
from tests.web.test_look import AXE, AXE_TAGS, LANGUAGES, LOOK, OWN_WORDS, mixed, settle, switch

SITE = """
[agent]
id = "test"

[devices.plc1]
type = "modbus"
address = "tcp://127.0.0.1:{port}"

[devices.printer1]
type = "zpl"
address = "tcp://127.0.0.1:{port}"
labels = {{ case = "case" }}
"""


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[tuple[Site, SimPlcServer]]:
    folder = tmp_path
    plc = SimPlcServer()
    plc.publish(PlcImage(run=3))
    path = folder / "site.toml"
    path.write_text(SITE.format(port=plc.start()), "utf-8")
    wire = WireLog(folder, "printer1", no_mask)
    wire.note("session open")
    wire.sent(b"~HS\r\n")
    wire.received("\x02030,0,0,可乐\x03\r\n".encode())
    wire.sent(b"^XA<b>not a tag</b>^XZ")
    wire.close()
    desk = DeviceDesk(load(path), folder, {})
    site = Site(ScriptedLine(), routers=[device_router(desk)])
    yield site, plc
    site.stop()
    plc.stop()


@pytest.fixture
def page(browser: Browser, devices: tuple[Site, SimPlcServer]) -> Iterator[Page]:
    """The panel with its devices open; two of them are in trouble."""
    site, _ = devices
    site.line.reset()
    listed = site.line.now["devices"]["list"]
    del listed[4:]
    told: list[dict[str, Any]] = [
        {"id": "plc1", "kind": "plc"},
        {"id": "printer1", "kind": "printer", "warnings": ["ribbon_low", "service_due"]},
        {
            "id": "camera1",
            "kind": "camera",
            "state": "lost",
            "error": "The cable is out.",
            "quality": {
                "letter": "B",
                "score": 3.2,
                "worst": "MOD",
                "low": False,
                "limit": "C",
                "samples": 3,
                "scores": {"SC": 4.0, "MOD": 3.2},
                "points": [[1_790_000_000_000 + n, 4.0 - n / 3] for n in range(3)],
            },
        },
        {"id": "coder1", "kind": "printer", "state": "fault", "error": "paper_out, head_open"},
    ]
    for one, two in zip(listed, told, strict=True):
        one |= {"losses": 2, "faults": 1, "warnings": []} | two
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, timezone_id="Asia/Shanghai"
    )
    complaints: list[str] = []
    page = context.new_page()
    page.set_default_timeout(8000)
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site.url}/panel/")
    page.locator("html[data-feed=live]").wait_for()
    page.locator("nav [data-open=devices]").click()
    page.locator("dialog[open] .devices li").nth(3).wait_for()
    yield page
    context.close()
    # The browser itself notes each answer of 4xx; refusals are part of the tests.
    assert [said for said in complaints if not said.startswith("Failed to load")] == []


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("CASELINK_SHOTS"):
        (Path(folder) / f"{name}.png").write_bytes(page.screenshot())


def open_device(page: Page, name: str) -> None:
    page.locator(f"dialog .devices li:has-text('{name}') > button").click()
    expect(page.locator("dialog h2")).to_have_text(name)


def hold(page: Page, name: str) -> None:
    box = page.locator(f"dialog button.hold:has-text('{name}')").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    held(page)
    page.mouse.up()


def faults(page: Page, language: str) -> list[Any]:
    switch(page, language)
    found: list[Any] = [*page.evaluate(LOOK)]
    found += mixed(page.evaluate(OWN_WORDS), language)
    return [*found, *page.evaluate(AXE, AXE_TAGS)]


def test_devices_say_in_words_what_is_wrong_and_what_will_be(page: Page) -> None:
    page.evaluate(AXE_SCRIPT)
    for language in LANGUAGES:
        assert faults(page, language) == []
        shot(page, f"devices-{language}")
    rows = page.locator("dialog .devices li")
    expect(rows.nth(3)).to_contain_text("Out of labels, Head open")
    expect(rows.nth(1)).to_contain_text("Ribbon low, Service due")
    expect(rows.nth(2)).to_contain_text("The cable is out.")


def test_one_device_shows_its_wire_and_what_a_check_found(
    page: Page, devices: tuple[Site, SimPlcServer]
) -> None:
    page.evaluate(AXE_SCRIPT)
    open_device(page, "printer1")
    first = page.locator("dialog .wire li").first
    expect(first).to_contain_text("^XA<b>not a tag</b>^XZ")
    expect(page.locator("dialog .wire li").nth(1)).to_contain_text("<STX>030,0,0,可乐<ETX>")
    expect(page.locator("dialog .wire li").nth(2)).to_contain_text("7e 48 53 0d 0a")
    for language in LANGUAGES:
        assert faults(page, language) == []
        shot(page, f"device-{language}")
    page.locator("dialog .actions button").first.click()
    open_device(page, "plc1")
    page.locator("dialog .actions button", has_text="Check").click()
    expect(page.locator("dialog .found li").first).to_contain_text("It must move every 200 ms")
    expect(page.locator("dialog .found")).to_contain_text("run (register 1): 3")
    expect(page.locator("dialog .found li:not([data-good])")).to_have_count(1)
    for language, told in zip(
        LANGUAGES, ("运行号（寄存器 1）：3", "run (register 1): 3"), strict=True
    ):
        assert faults(page, language) == []
        expect(page.locator("dialog .found")).to_contain_text(told)
        shot(page, f"device-checked-{language}")


def test_a_camera_shows_how_well_the_codes_before_it_are_printed(page: Page) -> None:
    page.evaluate(AXE_SCRIPT)
    expect(page.locator("dialog .devices li").nth(2).locator(".kind")).to_contain_text("· B")
    open_device(page, "camera1")
    for language in LANGUAGES:
        assert faults(page, language) == []
        shot(page, f"device-quality-{language}")
    shown = page.locator("dialog .quality")
    expect(shown).to_contain_text("B (3.2 of 4), limit C; the weakest first: MOD 3.2 · SC 4")
    trend = page.locator("dialog .quality-trend polyline")
    assert len(str(trend.get_attribute("points")).split()) == 3
    assert page.locator("dialog .quality-trend .limit").get_attribute("d") == "M0 22H60"
    page.locator("dialog .actions button").first.click()
    open_device(page, "plc1")
    expect(page.locator("dialog .quality")).to_be_hidden()


def test_a_test_must_be_held_and_says_why_it_cannot_be(
    page: Page, devices: tuple[Site, SimPlcServer]
) -> None:
    settle(page)
    switch(page, "en")
    open_device(page, "camera1")
    page.locator("dialog button.hold").click()
    expect(page.locator("dialog .found")).to_be_empty()
    hold(page, "Test")
    expect(page.locator("dialog .found")).to_contain_text("There is no device camera1")


def test_both_languages_have_the_same_words_and_all_that_are_asked_for() -> None:
    zh, en = (
        json.loads((DEVICES / f"text.{name}.json").read_text("utf-8")) for name in ("zh", "en")
    )
    assert list(zh) == list(en)
    for key in zh:
        holes = [sorted(set(re.findall(r"\{(\w+)\}", each[key]))) for each in (zh, en)]
        assert holes[0] == holes[1], key
        assert not re.search(r"[\u4e00-\u9fff]", en[key]), key
    source = (DEVICES / "sheet.js").read_text("utf-8")
    asked = set(re.findall(r"""["'](devices\.\w+)["']""", source))
    assert len(asked) > 8
    assert asked == {key for key in zh if key.startswith("devices.")}


def test_a_label_printers_labels_are_seen_with_what_they_say(
    page: Page, devices: tuple[Site, SimPlcServer]
) -> None:
    page.evaluate(AXE_SCRIPT)
    open_device(page, "printer1")
    picture = page.locator("dialog .labels img")
    expect(picture).to_have_count(1)
    page.wait_for_function("() => document.querySelector('.labels img').naturalWidth === 800")
    for language in LANGUAGES:
        assert faults(page, language) == []
    shot(page, "device-labels")
    site, _ = devices
    base = f"{site.url}/api/devices/printer1/labels/case"
    answer = page.request.get(f"{base}?code=https%3A%2F%2Fq.cn%2F7")
    grey = cv2.imdecode(np.frombuffer(answer.body(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert [read.text for read in zxingcpp.read_barcodes(grey)] == ["https://q.cn/7"]
    assert page.request.get(f"{base}?code=").status == 409
    assert page.request.get(f"{site.url}/api/devices/printer1/labels/none").status == 409
    assert page.request.get(f"{site.url}/api/devices/plc1/labels").json() == {"labels": []}
