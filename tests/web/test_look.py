"""How the panel looks and reads: both languages, all sizes, all states; and how heavy it is."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from agent.core.errors import TransientError
from agent.web.app import PANEL, STATIC
from tests.web.conftest import OpenPanel
from tests.web.site import Site, alarm, empty_snapshot, snapshot

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
LANGUAGES = ("zh", "en")
SIZES = ((1280, 800), (1024, 600), (1920, 1080))
SHEETS = ("orders", "alarms", "devices")
STATES = ("running", "alarm", "no order", "cell", *SHEETS, "stale")
AXE = """tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})
  .then(r => r.violations.map(v => [v.id, ...v.nodes.map(n => n.html)]))"""
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

Catalogue = dict[str, Any]


def catalogue(language: str) -> Catalogue:
    found: Catalogue = json.loads((PANEL / f"text.{language}.json").read_text(encoding="utf-8"))
    return found


def troubled() -> dict[str, Any]:
    """A line with three alarms, past its limits, slow, with a device at fault."""
    line = snapshot()
    line["alarms"] = [
        alarm("reject_failed", 1, station="verify", item="64711"),
        alarm("printer_fault", 2, station="case-label", device="printer3"),
        alarm("pool_low", 3, pool="caps-24-11", left="1200"),
    ]
    cause = {"key": "reject_series", "by": "agent", "agent": True, "device": None}
    line["state"] = {"packml": "held", "since": line["at"], "cause": cause}
    line["bypass"] = {"by": "李敏", "reason": "cam", "left_s": 754, "unseen": {"verify": 1340}}
    line["rejected"] = {"count": 12400, "limit_pct": 0.5, "reasons": {"wrong_campaign": 9999}}
    line["no_read"] = {"count": 10038, "limit_pct": 0.2}
    line["speed"]["per_min"] = 1031
    line["oee"] = {"value": 1.0, "stops": 23, "stopped_s": 20_000}
    line["good"], line["plan"] = 1204, 963_684
    line["order"]["target"] = 1_240_000
    line["devices"]["list"][2] |= {"state": "fault", "error": "Ribbon out"}
    line["devices"]["list"][4] |= {"state": "lost", "latency_ms": None, "last": None}
    line["devices"]["ok"] = 4
    oldest = line["at"] - 95_000_000
    line["backlog"] = {"events": 128_400, "oldest": oldest, "connected": False}
    line["current"]["cells"][5] = {"s": "unknown", "code": None, "at": None, "why": "held"}
    return line


@contextmanager
def state(site: Site, page: Page, name: str) -> Iterator[None]:
    """The panel in one of its states, and back."""
    line = site.line
    line.now = {"no order": empty_snapshot, "alarm": troubled}.get(name, snapshot)()
    # A mark that nothing else changes says that the page shows this state.
    line.set(sealed=[{**one, "at": 0} for one in line.now["sealed"]], at=line.now["at"] + 1)
    page.wait_for_function(
        "n => document.querySelectorAll('cl-alarm [data-v=title]').length"
        " && document.querySelector('[data-v=good]').textContent === n",
        arg="–" if line.now["good"] is None else f"{line.now['good']:,}",
    )
    if name == "stale":
        line.mute = TransientError("silence")
        page.locator("html[data-feed=stale]").wait_for()
    elif name == "cell":
        page.locator(".cell").nth(10).click()
    elif name in SHEETS:
        page.locator(f"nav [data-open={name}]").click()
        page.locator("dialog[open]").wait_for()
    try:
        yield
    finally:
        line.mute = None
        page.keyboard.press("Escape")
        page.locator("html[data-feed=live]").wait_for()


def test_both_languages_have_the_same_words() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert list(zh) == list(en)

    def holes(entry: object) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", json.dumps(entry)))

    for key in zh:
        assert zh[key], key
        assert en[key], key
        # A language may leave out what its sentence does not need, but invents nothing.
        assert holes(en[key]) - {"n"} <= holes(zh[key]) | {"n"}, key
        assert not re.search(r"[\u4e00-\u9fff]", json.dumps(en[key], ensure_ascii=False)), key


def test_every_word_the_panel_asks_for_exists() -> None:
    known = set(catalogue("zh"))
    asked = set()
    for path in [*PANEL.glob("*.js"), PANEL / "index.html"]:
        source = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r"""\bt\(\s*["']([\w.]+)["']""", source))
        asked |= set(re.findall(r'data-t(?:-label)?="([\w.]+)"', source))
        asked |= set(re.findall(r'\.dataset\.t = "([\w.]+)"', source))
    assert len(asked) > 60
    assert asked <= known, asked - known


@pytest.mark.parametrize(
    "key",
    [
        "reject_failed",
        "came_in",
        "trigger_missed",
        "item_gone",
        "gate_blind",
        "count_difference",
        "printer_fault",
        "device_lost",
        "plc_lost",
        "ring_overrun",
        "reject_series",
        "pool_low",
        "pool_empty",
        "pool_in_question",
        "duplicate_code",
        "void_code_on_product",
        "label_mismatch",
        "container_refused",
        "print_unconfirmed",
        "print_count",
        "store_failed",
    ],
)
def test_every_alarm_says_what_why_and_what_to_do(key: str) -> None:
    for language in LANGUAGES:
        words = catalogue(language)
        assert all(words[f"alarm.{key}.{part}"] for part in ("title", "cause", "do"))


OWN_WORDS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest('[translate=no], [hidden], dialog:not([open]), [lang]:not(html)'))
      found.push(walker.currentNode.data.trim());
  }
  for (const node of document.querySelectorAll('[aria-label]'))
    if (!node.closest('[translate=no], [hidden]')) found.push(node.ariaLabel);
  return found.filter(Boolean);
}"""
"""The panel's own words: what is not marked translate="no" (names, codes)."""

NOT_TRANSLATED = r"WO-[\d-]+|B\d+|OEE|PLC|https?:\S+|MILK800"
"""Ids, codes, and the names of things that have no other name in Chinese."""


def mixed(words: list[str], language: str) -> list[str]:
    """The words that are of the other language."""
    if language == "en":
        return [one for one in words if re.search(r"[\u4e00-\u9fff]", one)]
    return [one for one in words if re.search("[A-Za-z]{2}", re.sub(NOT_TRANSLATED, "", one))]


def switch(page: Page, language: str) -> None:
    """Press the language button, through an open sheet too; wait until it is drawn."""
    page.evaluate(
        "tag => { if (!document.documentElement.lang.startsWith(tag))"
        " document.querySelector('.language').click() }",
        language,
    )
    settle(page)


def settle(page: Page) -> None:
    page.evaluate("() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))")


def test_every_state_in_both_languages_at_every_size(site: Site, open_panel: OpenPanel) -> None:
    """Nothing overflows, overlaps or is too small to press; no language is mixed; axe is content.

    One page goes through all states: most of the time is waiting for the browser.
    """
    page = open_panel()
    page.evaluate(AXE_SCRIPT)
    faults: list[Any] = []
    for name in STATES:
        with state(site, page, name):
            for language in LANGUAGES:
                switch(page, language)
                for width, height in SIZES:
                    page.set_viewport_size({"width": width, "height": height})
                    settle(page)
                    faults += [(name, language, width, one) for one in page.evaluate(LOOK)]
                words = page.evaluate(OWN_WORDS)
                assert len(words) > 30
                faults += [(name, language, "mixed", one) for one in mixed(words, language)]
                faults += [(name, language, "axe", *one) for one in page.evaluate(AXE, AXE_TAGS)]
    assert faults == []


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_alarm_fits_its_row(site: Site, open_panel: OpenPanel, size: tuple[int, int]) -> None:
    page = open_panel("zh", *size)
    for language in LANGUAGES:
        if language == "en":
            page.locator(".language").click()
        keys = {key.split(".")[1] for key in catalogue(language) if key.startswith("alarm.")}
        for key in sorted(keys - {"none", "row", "others", "acknowledge", "acknowledged"}):
            alarms = [alarm(key, 1, station="case-label", item="64711"), alarm("x", 2)]
            faults = page.evaluate(
                f"(s) => {{ document.querySelector('cl-alarm').render(s); return ({LOOK})(); }}",
                {**snapshot(), "alarms": alarms},
            )
            assert faults == [], (language, key)


def test_the_page_is_light_and_plain(site: Site) -> None:
    """All that a panel loads, at most 150 kB; nothing minified, nothing from elsewhere."""
    total = 0
    for folder, base in ((PANEL, "/panel/"), (STATIC, "/static/")):
        for path in sorted(folder.iterdir()):
            answer = httpx.get(f"{site.url}{base}{path.name}", verify=False)
            assert answer.status_code == 200
            if path.name != "types.js":  # for the type checker: no module imports it
                total += len(answer.content)
            source = answer.text
            outside = set(re.findall(r"https?://[^\s\"'`<>]+", source))
            assert outside <= {"http://www.w3.org/2000/svg"}, path.name
            longest = max(len(line) for line in source.splitlines())
            assert longest < 420, f"{path.name}: a line of {longest} characters"
            assert not re.search(r"\sstyle=|\son\w+=|<script>|javascript:", source), path.name
    assert total <= 150_000, total


def test_a_first_load_asks_only_us(site: Site, open_panel: OpenPanel) -> None:
    page = open_panel()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.locator("html[data-feed=live]").wait_for()
    assert len(asked) > 15
    assert not [url for url in asked if url.endswith("types.js")]
    assert {url.split("/")[2] for url in asked} == {site.url.split("/")[2]}
