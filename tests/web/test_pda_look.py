"""How the PDA's app looks and reads: both languages, every screen and state; its weight."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from agent.core.goods import DEEDS
from agent.core.rules import OPERATIONS, WORDS
from agent.web.pda_page import PDA
from tests.web.pda_site import BADGE, PIN, PdaSite, bottle_code, case_code, goods, pallet_code
from tests.web.test_look import AXE, AXE_TAGS, OWN_WORDS

LANGUAGES = ("zh", "en")
LOOK = """() => {
  const faults = [];
  const html = document.documentElement;
  if (html.scrollWidth > html.clientWidth || html.scrollHeight > html.clientHeight)
    faults.push(`the page scrolls: ${html.scrollWidth}x${html.scrollHeight}`);
  const screen = [...document.querySelectorAll('main > *')].find((one) => !one.hidden);
  const shown = (node) => node.getBoundingClientRect().width > 0;
  for (const node of document.querySelectorAll('header *, .band, main *')) {
    if (!shown(node) || node.closest('svg')) continue;
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    const clipped = getComputedStyle(node).overflowX !== 'visible';
    if (own && clipped && !node.closest('.last') && node.scrollWidth > node.clientWidth + 1)
      faults.push(`cut off: ${node.textContent}`);
    if (!own) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const holder = node.closest('button, .verdict, header');
    for (const rect of range.getClientRects()) {
      const outer = holder ?? document.body;
      const box = outer.getBoundingClientRect();
      if (rect.width > 1 && (rect.left < box.left - 1 || rect.right > box.right + 1 ||
          (holder && (rect.top < box.top - 4 || rect.bottom > box.bottom + 4))))
        faults.push(`outside its box: ${node.textContent}`);
    }
  }
  for (const node of document.querySelectorAll('button')) {
    if (!shown(node)) continue;
    const { width, height } = node.getBoundingClientRect();
    const least = node.closest('.kinds') ? 88 : node.closest('header') ? 48 : 63.5;
    if (height < least || width < Math.min(least, 63.5))
      faults.push(`small target ${width.toFixed()}x${height.toFixed()}: ${node.textContent}`);
  }
  const verdict = screen.querySelector('.verdict');
  if (verdict && verdict.getBoundingClientRect().height < innerHeight / 3)
    faults.push('the verdict is less than a third of the screen');
  return faults;
}"""
NOT_TRANSLATED = (
    r"\w+Error|MILK\d|[0-9A-Z]{8}|[0-9a-f]{12}|[A-Z]{2}-[\w-]+|PIN|PDA|QR|GS|\(0x1D\)"
    r"|https?:\S+|/setup|Enter|Scan|DOCK|B-01|A-0\d"
)
LATIN = re.compile(r"[A-Za-z]{2}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PdaSite]:
    site = PdaSite(tmp_path_factory.mktemp("agent"))
    yield site
    site.stop()


def catalogue(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PDA / f"text.{language}.json").read_text("utf-8"))
    return found


def test_both_languages_have_the_same_words() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert list(zh) == list(en)
    for key in zh:
        holes = [set(re.findall(r"\{(\w+)\}", json.dumps(words[key]))) for words in (zh, en)]
        assert holes[1] - {"n"} <= holes[0] | {"n"}, key
        assert zh[key], key
        assert en[key], key
        assert not re.search(r"[\u4e00-\u9fff]", json.dumps(en[key], ensure_ascii=False)), key


def test_every_word_the_app_asks_for_exists() -> None:
    known = set(catalogue("zh"))
    asked: set[str] = set()
    for path in [*PDA.glob("*.js"), PDA / "index.html"]:
        source = path.read_text("utf-8")
        asked |= set(re.findall(r"""\bt\(\s*["']([\w.]+)["']""", source))
        asked |= set(re.findall(r"""\? ["'](\w+\.\w+)["']\s*:""", source))
        asked |= set(re.findall(r'data-t(?:-label)?="([\w.]+)"', source))
    assert len(asked) > 100
    assert asked <= known, asked - known


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_says_what_and_what_to_do(language: str) -> None:
    """Every word of a scan and of a deed; what stops or asks says what to do, too."""
    words = catalogue(language)
    for word, severity in {**WORDS, **DEEDS}.items():
        assert words[f"verdict.{word}.title"], word
        assert words[f"verdict.{word}.text"], word
        assert severity not in ("stop", "ask") or words[f"verdict.{word}.do"], word
    assert all(words[f"accepted.{op}"] and words[f"kind.{op}"] for op in OPERATIONS)


class Walk:
    """Goes through the screens and looks at each."""

    def __init__(self, page: Page, language: str) -> None:
        self.page, self.language = page, language
        self.faults: list[Any] = []
        self.seen: list[str] = []

    def scan(self, text: str) -> None:
        self.page.keyboard.insert_text(text + "\n")

    def press(self, selector: str, to: str = "") -> None:
        """Tap, and wait for the screen `to`: a tap waits for the scans before it and for what the
        agent tells meanwhile, and who goes back before it was heard is not followed by it."""
        self.page.locator(selector).locator("visible=true").first.click()
        if to:
            self.page.locator(f"main > pda-{to}").wait_for()

    def choose(self, step: str) -> None:
        """Tap one of what may be chosen, and wait for what comes then."""
        asked = "() => document.querySelector('main > :not([hidden])').innerText"
        before = self.page.evaluate(asked)
        self.press(step)
        self.page.wait_for_function(f"before => ({asked})() !== before", arg=before)

    def home(self) -> None:
        while self.page.locator("#back").is_visible():
            self.page.locator("#back").click()

    def look(self, name: str) -> None:
        self.seen.append(name)
        self.page.evaluate(
            "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"
        )
        self.faults += [(name, one) for one in self.page.evaluate(LOOK)]
        words = self.page.evaluate(OWN_WORDS)
        wrong = [
            one
            for one in words
            if (
                re.search(r"[\u4e00-\u9fff]", one.replace("中文", "").replace("李敏", ""))
                if self.language == "en"
                else LATIN.search(re.sub(NOT_TRANSLATED, "", one.replace("EN", "")))
            )
        ]
        self.faults += [(name, "mixed", one) for one in wrong]
        self.faults += [(name, "axe", *one) for one in self.page.evaluate(AXE, AXE_TAGS)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_screen(site: PdaSite, browser: Browser, language: str) -> None:
    """Nothing overflows or is too small for a glove, no language is mixed, axe is content."""
    site.received(f"look{language}", 6, pallet=False)
    site.received(f"pal{language}", 3)
    site.received(f"two{language}", 1, pallet=False, product="MILK2")
    site.order(f"CK-{language}-08", 3)
    site.asn(f"RK-{language}-03", goods(f"in{language}", 2))
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True)
    context.add_init_script(f"localStorage.setItem('caselink.language', '{language}')")
    page = context.new_page()
    page.set_default_timeout(8000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type == "error" and not said.text.startswith("Failed to load")
            else None
        ),
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url + "/pda/")
    page.locator("html[data-ready]").wait_for()
    page.evaluate(AXE_SCRIPT)
    walk = Walk(page, language)
    walk.look("enrol")
    walk.scan(site.invitation())
    page.locator("pda-setup [data-v=do]").get_by_text("工牌").or_(
        page.get_by_text("Scan your badge")
    ).wait_for()
    walk.look("log in")
    walk.scan(BADGE)
    page.locator("pda-keys").wait_for()
    walk.scan("000000")
    page.locator("pda-keys [data-v=bad]:not(:empty)").wait_for()
    walk.look("wrong pin")
    walk.scan(PIN)
    page.locator(f"[data-number='CK-{language}-08']").wait_for()
    walk.look("home")
    for kind, steps in {
        "receive": [],
        "ship": ["pda-choose button >> nth=-1"],
        "return": [*["pda-choose button >> nth=0"] * 4],
        "transfer": ["pda-choose button >> nth=0"],
        "count": [],
    }.items():
        walk.press(f"[data-kind={kind}]", "choose")
        walk.look(kind)
        for at, step in enumerate(steps):
            walk.choose(step)
            walk.look(f"{kind} {at}")
        walk.home()
    scan_each(walk, page)
    look_at_the_rest(walk, page, site)
    assert not walk.faults, "\n".join(map(str, walk.faults))
    assert len(walk.seen) > 30
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {f"localhost:{site.port}"}
    context.close()


def scan_each(walk: Walk, page: Page) -> None:
    """The scan loop with every kind of verdict."""
    look, pal, two = (f"{name}{walk.language}" for name in ("look", "pal", "two"))

    def severity(name: str) -> str:
        """Where such a verdict stands: the one before stays on the screen below."""
        screen = "pda-stop" if name in ("ask", "stop") else "pda-scan"
        return f"main > {screen}:not([hidden]) [data-severity={name}]"

    walk.scan(f"CK-{walk.language}-08")
    page.locator("pda-scan").wait_for()
    walk.look("scan")
    for text, name in (
        (case_code(look, 0), "ok"),
        (case_code(look, 0), "again"),
        (bottle_code(look, 1, 0), "ok"),
        (case_code(look, 1), "ask"),
        ("https://q.example.cn/nothing", "stop"),
        (case_code(two, 0), "stop"),
        (pallet_code(pal), "stop"),
        ("]C1", "stop"),
    ):
        walk.scan(text)
        page.locator(severity(name)).wait_for()
        if name in ("ask", "stop"):
            walk.scan("scanned meanwhile")
        walk.look(f"{name} {text}")
        if name in ("ask", "stop"):
            walk.press("pda-stop footer button >> nth=-1", "scan")
    walk.press("pda-scan [data-v=remove]")
    walk.look("remove mode")
    walk.press("pda-scan [data-v=remove]")
    walk.press("pda-scan [data-v=more]", "choose")
    walk.look("more")
    walk.press("#back", "scan")
    walk.press("pda-scan [data-v=finish]", "finish")
    walk.look("finish")
    walk.press("[data-v=seen]")
    walk.press("pda-finish [data-v=close]", "choose")
    walk.look("why a difference")
    walk.home()
    page.locator(f"pda-home [data-number='RK-{walk.language}-03']").wait_for()
    walk.scan(f"RK-{walk.language}-03")
    page.locator("pda-scan").wait_for()
    walk.scan(case_code(look, 2))
    page.locator("pda-stop, pda-scan [data-severity=again]").locator(
        "visible=true"
    ).first.wait_for()
    walk.look("receive what is here")
    if page.locator("pda-stop").is_visible():
        walk.press("pda-stop footer button >> nth=-1", "scan")
    walk.scan("https://q.example.cn/over")
    page.locator(severity("ask")).wait_for()
    walk.look("over-receipt")
    walk.press("[data-answer=other]", "choose")
    walk.look("name the product")
    walk.home()


def look_at_the_rest(walk: Walk, page: Page, site: PdaSite) -> None:
    look, order = f"look{walk.language}", f"CK-{walk.language}-08"
    walk.press("#pill", "queue")
    walk.look("queue")
    walk.home()
    walk.press("[data-kind=query]", "query")
    walk.scan(bottle_code(look, 1, 0))
    page.locator("pda-query .facts dd").first.wait_for()
    walk.look("query")
    walk.press("pda-query [data-v=type]")
    walk.look("type")
    walk.home()
    walk.press("pda-home [data-v=settings]", "choose")
    walk.look("settings")
    walk.press("pda-choose button >> nth=3")
    page.locator("pda-setup .tests li").first.wait_for()
    walk.press("pda-setup footer button >> nth=0")
    walk.look("self-test")
    walk.home()
    page.evaluate(
        """async () => {
          (await import('/pda/state.js')).app.ahead = 315_360_000_000;
          document.dispatchEvent(new Event('redraw'));
        }"""
    )
    page.locator("#band:not([hidden])").wait_for()
    walk.look("the clock is wrong")
    page.evaluate("async () => (await import('/pda/screen.js')).go('pack', { step: 'pack' })")
    for n in (0, 5):
        walk.scan(case_code(look, n))
    walk.look("pack")
    walk.press("pda-pack [data-v=done]")
    page.locator("pda-pack [data-v=done]:disabled").wait_for()
    walk.look("pack: the container")
    walk.home()
    page.locator("#band:not([hidden])").wait_for()
    walk.look("not packed")
    page.evaluate(
        """async () => {
          const args = { why: 'QuotaExceededError' };
          const verdict = { word: 'not_kept', severity: 'stop', args };
          (await import('/pda/screen.js')).go('stop', { verdict, code: 'https://q.example.cn/A' });
        }"""
    )
    walk.look("not kept")
    walk.home()
    # What the agent sees differently, a revoked device, and the sun.
    site.do("pda-2", "scan", order, case_code(look, 4))
    page.evaluate(
        """async ([code, document]) => {
          const { add } = await import('/pda/queue.js');
          const local = { word: 'accepted', severity: 'ok', args: {}, ref: code, code, up: [] };
          await add({ document, text: code }, local);
          await (await import('/pda/sync.js')).syncNow();
        }""",
        [case_code(look, 4), order],
    )
    page.locator("#band[data-tap=queue]").wait_for()
    walk.look("exceptions told")
    walk.press("#band")
    page.locator("pda-queue .acts").wait_for()
    walk.look("exceptions")
    page.evaluate(
        "async () => { const s = await import('/pda/state.js');"
        " await s.remember('settings', {...s.app.settings, sun: true}); }"
    )
    walk.look("exceptions in the sun")
    walk.home()
    walk.look("home in the sun")
    device = page.evaluate("async () => (await import('/pda/state.js')).app.device.device")
    site.local("POST", f"/devices/{device}/revoke", {"why": "lost", "by": "test"})
    page.evaluate("async () => (await import('/pda/sync.js')).syncNow()")
    page.locator("#pill[data-state=stopped]").wait_for()
    walk.look("revoked")


def test_the_app_is_light_and_plain(site: PdaSite) -> None:
    """All that a PDA loads, at most 150 kB on the wire; nothing minified, all our own."""
    worker = httpx.get(f"{site.url}/pda/sw.js", verify=False).text
    files = json.loads(re.findall(r"FILES = (.*);", worker)[0])
    total = 0
    with httpx.Client(base_url=site.url, verify=False) as client:
        for path in ["/pda/", "/pda/sw.js", *files]:
            with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
                assert answer.status_code == 200, path
                total += sum(len(part) for part in answer.iter_raw())
    assert total <= 150_000, total
    for path in [*PDA.iterdir()]:
        source = path.read_text("utf-8")
        assert set(re.findall(r"https?://[^\s\"'`<>$]+", source)) <= {"https://id.gs1.org"}
        assert max(len(line) for line in source.splitlines()) < 420, path.name
        assert not re.search(r"\sstyle=|\son\w+=|<script>|javascript:", source), path.name
    assert Path(PDA / "sw.js").exists()
