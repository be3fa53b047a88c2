"""The warehouse page in a real browser against a real agent: every screen in both languages, live
progress, import, posting, reversing, slips, PDAs and exceptions."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from agent.core.documentread import COLUMNS, PROBLEMS
from agent.core.goods import ALL_WORDS
from agent.web.app import PANEL, STATIC, WAREHOUSE
from tests.web.desk_site import PIN, SUPERVISOR, DeskSite
from tests.web.site import held
from tests.web.test_look import AXE, AXE_TAGS, LANGUAGES, LOOK, OWN_WORDS, settle

OpenPage = Callable[..., Page]
SIZES = ((1280, 800), (1024, 600))
SHARED = ("base.css", "dialog.css", "dom.js", "hold.js", "server.js", "text.js")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    made = DeskSite(tmp_path_factory.mktemp("desk"))
    yield made
    made.stop()


@pytest.fixture
def open_page(browser: Browser, site: DeskSite) -> Iterator[OpenPage]:
    """Opens the page at a screen; at the end none may have complained on its console."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def heard(said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"} and not said.text.startswith(
            "Failed to load resource"
        ):
            complaints.append(said.text)

    def opened(screen: str = "documents", language: str = "zh") -> Page:
        context = browser.new_context(
            viewport={"width": 1280, "height": 800}, timezone_id="Asia/Shanghai"
        )
        contexts.append(context)
        context.add_init_script(
            "localStorage.getItem('caselink.language') ??"
            f" localStorage.setItem('caselink.language', '{language}')"
        )
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site.local.base_url}/warehouse/#{screen}")
        page.locator("html[data-feed=live] main > .view").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def go(page: Page, screen: str) -> None:
    page.evaluate("hash => { location.hash = hash }", screen)
    page.locator(f"main[data-screen={screen.split('/')[0]}] > .view").wait_for()
    settle(page)


def hold(page: Page, button: Locator) -> None:
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    held(page)
    page.mouse.up()


def sign(page: Page) -> None:
    badge, digits = page.locator("dialog .approve input").all()
    badge.fill(SUPERVISOR)
    digits.fill(PIN)


def switch(page: Page, language: str) -> None:
    page.evaluate(
        "tag => { if (!document.documentElement.lang.startsWith(tag))"
        " document.querySelector('.language').click() }",
        language,
    )
    settle(page)


def catalogue(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((WAREHOUSE / f"text.{language}.json").read_text("utf-8"))
    return found


# ------------------------------------------------------------------------------------------ words


def test_both_languages_have_the_same_words() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert list(zh) == list(en)
    for key in zh:
        assert zh[key], key
        assert en[key], key
        holes = [set(re.findall(r"\{(\w+)\}", json.dumps(one[key]))) - {"n"} for one in (zh, en)]
        assert holes[0] == holes[1], key
        assert not re.search(r"[\u4e00-\u9fff]", json.dumps(en[key], ensure_ascii=False)), key


def test_every_word_that_is_asked_for_exists() -> None:
    known = set(catalogue("zh"))
    asked = {f"verdict.{word}" for word in ALL_WORDS if word != "refused"}
    asked |= {f"problem.{reason}" for reason in PROBLEMS} | {f"column.{name}" for name in COLUMNS}
    for path in [*WAREHOUSE.glob("*.js"), WAREHOUSE / "index.html", PANEL / "hold.js"]:
        source = path.read_text("utf-8")
        asked |= set(re.findall(r"""\bt\(\s*["']([\w.]+)["']""", source))
        asked |= set(re.findall(r'data-t(?:-label)?="([\w.]+)"', source))
        asked |= set(re.findall(r'dataset\.t(?:Label)? = "([\w.]+)"', source))
        asked |= set(re.findall(r'(?:words\("\w+", |field\(|press\(|held\()"([\w.]+)"', source))
        asked |= set(re.findall(r'\["(\w+\.\w+)", "', source))
    assert len(asked) > 200
    assert asked <= known, asked - known


def test_a_problem_needs_no_more_than_the_agent_tells() -> None:
    for language in LANGUAGES:
        words = catalogue(language)
        for reason, english in PROBLEMS.items():
            needs = set(re.findall(r"\{(\w+)\}", words[f"problem.{reason}"]))
            assert needs <= set(re.findall(r"\{(\w+)\}", english)), reason


def test_the_page_is_light_and_plain(site: DeskSite) -> None:
    """All that it loads, at most 150 kB; nothing minified, nothing from elsewhere."""
    total = 0
    wanted = [("/warehouse/", path) for path in sorted(WAREHOUSE.iterdir())]
    wanted += [("/panel/", PANEL / name) for name in SHARED]
    wanted += [("/static/", path) for path in sorted(STATIC.iterdir())]
    for base, path in wanted:
        answer = site.local.get(f"{base}{path.name}")
        assert answer.status_code == 200
        total += len(answer.content)
        source = answer.text
        outside = set(re.findall(r"https?://[^\s\"'`<>]+", source))
        assert outside <= {"http://www.w3.org/2000/svg"}, path.name
        assert max(len(line) for line in source.splitlines()) < 420, path.name
        assert not re.search(r"\sstyle=|\son\w+=|<script>|javascript:", source), path.name
    assert total <= 150_000, total


def test_a_first_load_asks_only_us_and_only_what_is_counted(
    site: DeskSite, open_page: OpenPage
) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.locator("html[data-feed=live] .row").first.wait_for()
    ours = str(site.local.base_url).rstrip("/")
    assert {"/".join(url.split("/")[:3]) for url in asked} == {ours}
    loaded = {url.split("/")[-1] for url in asked if "/panel/" in url}
    assert loaded == set(SHARED)


# ------------------------------------------------------------------------------------------- looks

NOT_TRANSLATED = r"CSV|JSON|UTF|GBK|PO-\d+|[A-Z]+-\w+|B\d+|M7|DOCK|PDA|/pda/"


def mixed(words: list[str], language: str) -> list[str]:
    if language == "en":
        return [one for one in words if re.search(r"[\u4e00-\u9fff]", one)]
    return [one for one in words if re.search("[A-Za-z]{2}", re.sub(NOT_TRANSLATED, "", one))]


def look_at(page: Page, name: str, faults: list[Any]) -> None:
    sizes = SIZES[:1] if ":" in name else SIZES
    for language in LANGUAGES:
        switch(page, language)
        for width, height in sizes:
            page.set_viewport_size({"width": width, "height": height})
            settle(page)
            faults += [(name, language, width, one) for one in page.evaluate(LOOK)]
        words = page.evaluate(OWN_WORDS)
        assert len(words) > 8, name
        faults += [(name, language, "mixed", one) for one in mixed(words, language)]
        faults += [(name, language, "axe", *one) for one in page.evaluate(AXE, AXE_TAGS)]
    page.set_viewport_size({"width": 1280, "height": 800})
    switch(page, "zh")


def test_every_screen_in_both_languages(site: DeskSite, open_page: OpenPage) -> None:
    """Nothing overflows, overlaps or is too small to press; no language is mixed."""
    page = open_page()
    page.evaluate(AXE_SCRIPT)
    faults: list[Any] = []
    for screen in (
        "documents",
        "document/CK-1",
        "document/ASN-1",
        "new",
        "import",
        "stock",
        "ledger",
        "exceptions",
        "devices",
    ):
        go(page, screen)
        look_at(page, screen, faults)
    for screen, opener in (
        ("document/CK-1", "过账"),
        ("document/ASN-1", "冲销"),
        ("exceptions", "不记账，关闭"),
        ("devices", "登记手持机"),
        ("devices", "停用"),
    ):
        go(page, screen)
        page.get_by_role("button", name=opener, exact=True).first.click()
        page.locator("dialog[open]").wait_for()
        look_at(page, f"{screen}: {opener}", faults)
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")
    assert not faults, "\n".join(map(str, faults))


def test_the_panel_leads_here_and_back(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".rail a").click()
    page.wait_for_url("**/panel/")
    page.locator('.rail a[href="/warehouse/"]').click()
    page.wait_for_url("**/warehouse/")
    answer = site.local.get("/", follow_redirects=False)
    assert answer.headers["location"] == "/warehouse/", "an agent without a line opens here"


# -------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "asked for"])
def test_progress_of_a_pda_is_live(site: DeskSite, open_page: OpenPage, pushed: bool) -> None:
    """The agent says that something has changed; where that is not heard, the page asks."""
    asked: list[str] = []
    page = open_page("documents", "en")
    if not pushed:
        page.route_web_socket("**/ws/live*", lambda socket: socket.close())
        page.reload()
        page.locator("html[data-feed=live] main > .view").wait_for()
    page.on("request", lambda request: asked.append(request.url))
    go(page, "document/CK-1")
    cases = page.locator("table").first.locator("tbody tr").first.locator("td").nth(3)
    expect(cases).to_have_text("1 case")
    expect(page.locator("main")).to_contain_text("1 号叉车")
    asked.clear()
    # How many wait is asked every five seconds; so is the document, every second, where nothing
    # is heard.
    for _ in range(2):
        path = "now" if pushed else "documents/CK-1"
        with page.expect_request(f"**/api/v1/warehouse/{path}*", timeout=10_000):
            pass
    assert pushed != any("/documents/CK-1" in url for url in asked)
    assert site.scan("CK-1", "CASE-2") == "accepted"
    expect(cases).to_have_text("2 cases", timeout=2500)
    expect(page.locator("main")).to_contain_text("CASE-2")
    assert site.scan("CK-1", "CASE-2", remove=True) == "removed"
    expect(cases).to_have_text("1 case", timeout=2500)
    expect(page.locator("html")).to_have_attribute("data-feed", "live")


def test_a_bad_gbk_file_shows_line_and_remedy_and_books_nothing(
    site: DeskSite, open_page: OpenPage
) -> None:
    page = open_page("import")
    bad = "单号,往来单位,产品,数量,单位\nX-1,D07,cola,2,箱\nX-1,,芬达,0,箱\nX-2,D99,cola,1,桶\n"
    file = {"name": "orders.csv", "mimeType": "text/csv", "buffer": bad.encode("gbk")}
    page.set_input_files("input[type=file]", file)
    rows = page.locator(".problems li")
    expect(rows).to_have_count(4)
    assert [row.inner_text().split("\n")[0] for row in rows.all()] == [
        "第 3 行",
        "第 3 行",
        "第 4 行",
        "第 4 行",
    ]
    expect(rows.first).to_contain_text("产品“芬达”不认识：请改正，或先建立该产品")
    expect(page.locator(".actions .hold")).to_be_hidden()
    page.locator(".language").click()
    expect(rows.nth(3)).to_contain_text("Line 4")
    expect(rows.nth(3)).to_contain_text("“桶” is no unit of cola: write one of 瓶 (bottle)")
    assert site.local.get("/api/v1/warehouse/documents/X-1?party=F01").status_code != 200
    text = "单号,往来单位,数量,单位\nX-1,D07,2,箱\n"
    file = {"name": "orders.csv", "mimeType": "text/csv", "buffer": text.encode("gbk")}
    page.set_input_files("input[type=file]", file)
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("The column product is missing: add it to the first line")


def test_a_good_file_is_looked_at_and_then_booked(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("import", "en")
    text = "number,party,product,quantity,unit\nG-1,D07,cola,2,case\nG-2,D07,milk,3,bottle\n"
    file = {"name": "orders.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.set_input_files("input[type=file]", file)
    expect(page.locator("tbody tr")).to_have_count(2)
    assert site.local.get("/api/v1/warehouse/documents/G-1?party=F01").status_code != 200
    hold(page, page.locator(".hold"))
    expect(page.locator(".result")).to_have_text("2 documents are imported.")
    go(page, "documents")
    expect(page.locator(".row .number", has_text="G-2")).to_be_visible()


def test_a_document_is_made_posted_with_its_difference_and_reversed(
    site: DeskSite, open_page: OpenPage
) -> None:
    page = open_page("new", "en")
    page.get_by_label("Number", exact=True).fill("N-1")
    page.get_by_label("Other party").select_option("D07")
    page.get_by_label("Product").select_option("cola")
    page.get_by_label("Unit").select_option("case")
    page.get_by_label("Quantity").fill("2")
    hold(page, page.get_by_role("button", name="Make the document"))
    page.locator("main[data-screen=document]").wait_for()
    assert site.scan("N-1", "CASE-7").startswith("accepted")
    page.get_by_role("button", name="Post", exact=True).click()
    post = page.locator("dialog .hold")
    hold(page, post)
    expect(page.locator("dialog")).to_contain_text("It differs from what was asked")
    expect(page.locator("dialog tbody tr")).to_have_count(1)
    page.get_by_label("Reason").fill("one case is broken")
    hold(page, post)
    expect(page.locator("main > .view > header .tag")).to_have_text("Posted")
    stock = site.local.get("/api/v1/warehouse/stock?party=F01&product=cola").json()["pieces"]

    page.get_by_role("button", name="Reverse").click()
    page.get_by_label("Reason").fill("wrong dealer")
    sign(page)
    hold(page, page.locator("dialog .hold"))
    expect(page.locator("main > .view > header .tag")).to_have_text("Reversed")
    again = site.local.get("/api/v1/warehouse/stock?party=F01&product=cola").json()["pieces"]
    assert again == stock + 24
    found = site.local.get("/api/v1/warehouse/documents/N-1?party=F01").json()
    assert found["status"] == "reversed"


def test_a_posted_document_still_says_what_it_moved(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("document/ASN-1", "en")
    expect(page.locator("main")).to_contain_text("196 of 196 pieces")
    expect(page.locator("tbody tr").first.locator("td").nth(3)).to_have_text("8 cases")


def test_a_slip_comes_out_with_the_number_to_scan(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("document/CK-1", "en")
    page.get_by_role("button", name="Print").click()
    expect(page.locator(".result")).to_have_text("1 label is at the printer.")
    label = site.printer.taken()
    assert label is not None
    assert label == ("CK-1",), "the only symbol, which a PDA opens the document by"
    site.printer.sim.faults.add("paper_out")
    page.get_by_role("button", name="Print").click()
    expect(page.locator(".result[data-refused]")).to_contain_text("paper", timeout=15_000)
    site.printer.sim.faults.clear()


# ------------------------------------------------------------------ stock, exceptions, PDAs


def test_stock_and_ledger_say_the_same(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("stock", "en")
    milk = page.locator("tbody tr", has_text="Milk powder")
    expect(milk).to_contain_text("4 bottles")
    expect(milk).to_contain_text("2027-05-01")
    expect(milk).to_contain_text("today")
    page.get_by_label("Lot").fill("M7")
    expect(page.locator("tbody tr")).to_have_count(1)
    go(page, "ledger")
    row = page.locator("tbody tr", has_text="Milk powder").first.locator("td")
    for n, said in ((3, "4"), (4, "0"), (9, "4")):
        expect(row.nth(n)).to_have_text(said)


def test_an_exception_is_settled_by_a_person(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("exceptions", "en")
    card = page.locator(".case", has_text="CASE-1000")
    expect(card).to_contain_text("This code is not known here")
    expect(page.locator("#exception-badge")).to_be_visible()
    card.get_by_role("button", name="Close without booking").click()
    hold(page, page.locator("dialog .hold"))
    expect(card).to_have_count(0)
    assert site.local.get("/api/v1/warehouse/exceptions?party=F01").json() == []


def test_a_pda_is_enrolled_by_a_symbol_and_revoked(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("devices", "en")
    expect(page.locator(".device")).to_contain_text("1 号叉车")
    page.get_by_role("button", name="Enrol a PDA").click()
    page.get_by_label("Name of the PDA").fill("Cart 2")
    sign(page)
    hold(page, page.locator("dialog .hold"))
    expect(page.locator("dialog .left")).to_have_text(re.compile(r"^(5:00|4:5\d)$"))
    text = page.locator("dialog .code").inner_text()
    code = text.split("#enrol=")[1].split("&")[0]
    shape = page.locator("dialog .qr path").get_attribute("d") or ""
    assert shape.count("M") > 200
    site.pda_of(code)
    expect(page.locator("main .result")).to_have_text("PDA Cart 2 is enrolled.")
    row = page.locator(".device", has_text="Cart 2")
    row.get_by_role("button", name="Revoke").click()
    page.get_by_label("Reason").fill("lost in the yard")
    sign(page)
    hold(page, page.locator("dialog .hold"))
    expect(row).to_contain_text("Revoked")
    expect(row).to_contain_text("lost in the yard")


def test_without_an_answer_the_page_says_so_and_locks(site: DeskSite, open_page: OpenPage) -> None:
    page = open_page("document/CK-1", "en")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.locator("html[data-feed=stale]").wait_for(timeout=10_000)
    expect(page.locator("#row-title")).to_have_text("No data: the agent does not answer")
    expect(page.get_by_role("button", name="Post", exact=True)).to_be_disabled()
    page.unroute("**/api/v1/**")
    page.locator("html[data-feed=live]").wait_for(timeout=5000)
    expect(page.get_by_role("button", name="Post", exact=True)).to_be_enabled()


# --------------------------------------------------------------------------------------- who may


def test_another_site_and_a_page_without_its_token_change_nothing(site: DeskSite) -> None:
    body = {"party": "F01", "number": "EVIL", "kind": "ship", "other": "D07"}
    with httpx.Client(base_url=site.local.base_url) as client:
        path = "/api/v1/warehouse/documents"
        assert client.post(path, json=body).status_code == 403
        strange = {"origin": "https://evil.example"}
        assert client.post(path, json=body, headers=strange).status_code == 403
        local = {"path": "/etc/passwd", "party": "F01"}
        assert client.post("/api/local/documents", json=local).status_code == 403


def refused(site: DeskSite, path: str, **body: Any) -> str:
    answer = site.local.post(f"/api/v1/warehouse{path}", json={"party": "F01", **body})
    assert not answer.is_success
    return str(answer.json()["reason"])


def test_what_a_supervisor_must_do_nobody_else_does(site: DeskSite) -> None:
    why = {"reason": "a test"}
    device = f"/devices/{site.pda.device}/revoke"
    invite = {"name": "x", "operations": ["ship"]}
    operator = {"badge": "1007", "pin": PIN}
    for path, body in (
        ("/documents/ASN-1/reverse", why),
        (device, why),
        ("/devices/invite", invite),
    ):
        assert refused(site, path, **body, **operator) == "not_supervisor"
    wrong = {"badge": SUPERVISOR, "pin": "000000"}
    assert refused(site, "/documents/ASN-1/reverse", **why, **wrong) == "pin_wrong"
    assert refused(site, "/documents/ASN-1/reverse", **why) == "bad_request"
    mine = {**why, "badge": SUPERVISOR, "pin": PIN, "party": "D77"}
    assert refused(site, device, **mine) == "unknown_device", "it is another party's"
    assert site.scan("CK-1", "CASE-1") == "duplicate", "the device may still scan"


def test_a_stock_take_is_posted_by_a_supervisor(site: DeskSite) -> None:
    made = {"party": "F01", "number": "PD-1", "kind": "count", "location": "A-02"}
    assert site.done("/documents", made)["verdict"] == "opened"
    site.scan("PD-1", "CASE-8")
    blind = site.local.get("/api/v1/warehouse/documents/PD-1?party=F01").json()["difference"]
    assert blind == {"found": [], "lost": []}, "who counts is not told what should be there"
    first = site.done("/documents/PD-1/close", {"party": "F01"})
    assert first["verdict"] in ("counted", "count_again")
    if first["verdict"] == "count_again":
        site.scan("PD-1", "CASE-8")
        assert site.done("/documents/PD-1/close", {"party": "F01"})["verdict"] == "counted"
    alone = site.done("/documents/PD-1/close", {"party": "F01"})
    assert alone["severity"] == "stop"
    shown = site.local.get("/api/v1/warehouse/documents/PD-1?party=F01").json()["difference"]
    assert [(one["code"], one["pieces"]) for one in shown["found"]] == [("CASE-8", 24)]
    signed = {"party": "F01", "badge": SUPERVISOR, "pin": PIN}
    assert site.done("/documents/PD-1/close", signed)["verdict"] == "difference"
    waiting = site.local.get("/api/v1/warehouse/exceptions?party=F01").json()
    assert not [one for one in waiting if one["do"] == "close"], "who posts it sees the answer"
    signed |= {"acknowledged": True, "reason": "it was moved without a scan"}
    assert site.done("/documents/PD-1/close", signed)["verdict"] == "posted"
    found = site.local.get("/api/v1/warehouse/stock?party=F01&location=A-02").json()["rows"]
    assert [(row["product"], row["pieces"]) for row in found] == [("cola", 24)]


def test_what_a_pda_was_asked_is_answered_at_the_desk(site: DeskSite) -> None:
    more = "number,kind,party,code,product,unit\nASN-2,receive,D07,NEW-1,cola,case\n"
    site.book("F01", more)
    other = more.replace("ASN-2", "ASN-3").replace("NEW-1", "NEW-2")
    site.book("F01", other)
    assert site.scan("ASN-2", "NEW-2") == "not_expected"

    def waiting() -> list[dict[str, Any]]:
        found = site.local.get("/api/v1/warehouse/exceptions?party=F01").json()
        return [one for one in found if one["document"] == "ASN-2"]

    (one,) = waiting()
    assert one["choices"] == ["accept", "dismiss"]
    asked = {"device": one["device"], "seq": one["seq"]}
    assert refused(site, "/exceptions/settle", **asked, choice="burn") == "exception_gone"
    told = {"party": "F01", **asked, "choice": "accept", "reason": "sent by mistake"}
    assert site.done("/exceptions/settle", told)["verdict"] == "settled"
    assert waiting() == []
    found = site.local.get("/api/v1/warehouse/documents/ASN-2?party=F01").json()
    assert [unit["code"] for unit in found["last"]] == ["NEW-2"]
    again = {**asked, "choice": "dismiss"}
    assert refused(site, "/exceptions/settle", **again) == "exception_gone"


def test_what_is_too_large_or_no_base64_is_refused(site: DeskSite) -> None:
    assert refused(site, "/import", data="*not base64*") == "file_cut_off"
    assert refused(site, "/import", data="A" * 1_100_000) == "too_large"
    assert refused(site, "/documents", number="X", kind="ship", paper="A" * 70_000) == "too_large"


def test_each_party_has_its_own(site: DeskSite) -> None:
    def ask(path: str) -> httpx.Response:
        return site.local.get(f"/api/v1/warehouse/{path}")

    assert ask("documents?party=D77&status=all").json() == []
    assert ask("documents/CK-1?party=D77").status_code == 409
    assert ask("stock?party=D77").json()["rows"] == []
    assert ask("devices?party=D77").json() == []
    assert ask("documents?party=NOBODY").json()["reason"] == "unknown_party"


def test_the_command_line_imports_too(site: DeskSite, tmp_path: Path) -> None:
    file = tmp_path / "transfer.csv"
    file.write_bytes(
        "单号,类型,库位,目的库位,产品,数量,单位\nT-9,调拨,DOCK,A-01,cola,1,箱\n".encode("gbk")
    )
    said = site.caselink("document", "import", str(file), "--party", "F01")
    assert "transfer T-9  DOCK > A-01: 1 lines, 24 pieces" in said
    again = site.local.post("/api/local/documents", json={"path": str(file), "party": "F01"})
    assert again.status_code == 409
    assert "line 2, number (单号): there is a document T-9 already" in again.json()["message"]
