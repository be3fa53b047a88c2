"""The PDA's app in a real browser against a real agent: offline, killed, revoked, upgraded.

One agent, one browser profile and one device go through the whole file, as a PDA does through a
day: the tests are independent by their documents, not by their device.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agent.core.goods import Scope
from agent.services.devices import ALLOWED
from tests.web.pda_browser import Pda, enrolled, known, network, order, site
from tests.web.pda_proxy import Network
from tests.web.pda_site import PdaSite, bottle_code, case_code, goods, pallet_code
from tests.web.site import wait_for

UNSENT = 500

__all__ = ["enrolled", "network", "site"]


@pytest.fixture
def pda(enrolled: Pda, network: Network) -> Iterator[Pda]:
    enrolled.home()
    yield enrolled
    network.down = False
    network.lose = network.double = 0


# ------------------------------------------------------------------------------------ the loop


def test_the_loop_of_scans_on_an_order(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "loop", 4, wanted=3)
    before = site.pieces()
    pda.work_on(number)
    expect(pda.part("word")).to_have_text("请扫码")
    pda.scan(case_code("loop", 0), "已扫出")
    expect(pda.part("verdict")).to_have_attribute("data-severity", "ok")
    pda.scan(case_code("loop", 0), "重复扫码")
    pda.scan(bottle_code("loop", 0, 2), "外层已扫")
    pda.scan(bottle_code("loop", 1, 0), "已扫出")
    expect(pda.part("done")).to_have_text("7")  # bottles: a case and a bottle
    expect(pda.part("wanted")).to_have_text("18")
    pda.scan(case_code("loop", 1), "里面有已扫的货", "stop")
    pda.got_it("all")
    expect(pda.part("done")).to_have_text("2")
    pda.page.locator("pda-scan [data-v=remove]").click()
    pda.scan(case_code("loop", 0), "已撤销")
    pda.page.locator("pda-scan [data-v=remove]").click()
    pda.scan(case_code("loop", 3), "已扫出")
    pda.part("finish").click()
    close = pda.part("close", "finish")
    expect(close).to_be_disabled()
    pda.part("seen", "finish").click()
    close.click()
    pda.page.get_by_role("button", name="库存不够").click()
    expect(pda.page.locator("#band")).to_contain_text("已过账")
    assert site.document(number)["status"] == "closed"
    assert before - site.pieces() == 12
    assert pda.state("app.troubles.length") == 0


def test_what_would_send_wrong_goods_blocks_until_it_is_seen(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "stop", 3)
    site.received("other", 1, pallet=False, product="MILK2")
    pda.work_on(number)
    pda.scan(case_code("other", 0), "不属于本单", "stop")
    expect(pda.part("why", "stop")).to_contain_text("奶粉 800 g 二段")
    pda.scan(case_code("stop", 0))
    expect(pda.part("meanwhile", "stop")).to_contain_text(case_code("stop", 0))
    pda.got_it()
    expect(pda.part("done")).to_have_text("0")
    expect(pda.part("last")).to_contain_text("未受理")
    pda.scan(case_code("stop", 0), "已扫出")
    for text in ("https://example.com/a page that is none\u200b", "码" * 5000, "]C1"):
        pda.page.keyboard.insert_text(text)
        pda.page.keyboard.press("Enter")
        expect(pda.part("word", "stop")).to_have_text("不是码")
        pda.got_it()
    pda.scan("😀", "未知码", "stop")
    pda.got_it()
    pda.drained()
    assert site.document(number)["scanned"] == 1


def test_over_receipt_asks_for_a_reason(site: PdaSite, pda: Pda) -> None:
    site.asn("RK-1", goods("rk1", 2))
    site.asn("RK-2", goods("rk2", 1, pallet=False))
    pda.sync()
    pda.work_on("RK-1")
    pda.scan(pallet_code("rk1"), "已收")
    pda.scan(case_code("rk2", 0), "不在单上", "stop")
    pda.got_it("over_sent")
    expect(pda.part("code")).to_have_text(case_code("rk2", 0))
    expect(pda.part("word")).to_have_text("已收")
    pda.drained()
    assert site.document("RK-1")["pieces"] == 18
    assert pda.state("app.troubles.length") == 0


# ------------------------------------------------------------------------------------- offline


def test_offline_it_starts_judges_and_uploads_later(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    number = order(site, pda, "off", 3)
    before = site.pieces()
    network.down = True
    pda.load()
    expect(pda.page.locator("#pill")).to_have_text("离线")
    pda.work_on(number)
    pda.scan(case_code("off", 0), "已扫出")
    pda.scan(case_code("off", 0), "重复扫码")
    pda.scan("https://q.example.cn/never", "未知码", "stop")
    pda.got_it()
    pda.load()
    pda.work_on(number)
    expect(pda.part("done")).to_have_text("1")
    pda.scan(bottle_code("off", 0, 0), "外层已扫")
    pda.part("finish").click()
    pda.part("seen", "finish").click()
    pda.part("close", "finish").click()
    pda.page.get_by_role("button", name="其他").click()
    expect(pda.page.locator("#band")).to_contain_text("已记下")
    assert site.document(number)["scanned"] == 0
    network.down = False
    pda.sync()
    pda.drained()
    assert site.document(number)["status"] == "closed"
    assert before - site.pieces() == 6
    assert pda.state("app.troubles.length") == 0


def test_goods_for_somebody_else_are_stopped_offline_and_told_later(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    site.received("east", 1, pallet=False, territory="shanghai")
    number = order(site, pda, "west", 1)
    case = case_code("east", 0)
    pda.page.evaluate("() => import('/pda/sync.js').then(m => m.refreshGoods('CK-west'))")
    network.down = True
    pda.load()
    pda.work_on(number)
    for _ in range(2):  # it is told once, however often it is scanned
        pda.scan(case, "窜货风险", "stop")
        pda.got_it()
    assert site.told(number) == []
    network.down = False
    pda.sync()
    pda.drained()
    assert site.told(number) == [("stopped", case, "not_for_party")]
    assert site.document(number)["scanned"] == 0
    assert pda.state("app.troubles.length") == 0
    assert site.agent.warehouse is not None
    left = site.agent.warehouse.exceptions(Scope("F01", (), ALLOWED))
    assert not [each for each in left if each["document"] == number]
    pda.work_on(number)
    pda.scan(case_code("west", 0), "已扫出")
    pda.drained()
    assert site.document(number)["scanned"] == 1


def test_lost_and_doubled_answers_change_nothing(site: PdaSite, network: Network, pda: Pda) -> None:
    number = order(site, pda, "twice", 4)
    pda.work_on(number)
    network.lose = 1
    pda.scan(case_code("twice", 0), "已扫出")
    wait_for(lambda: network.lose == 0, 5, "an answer is lost")
    pda.scan(case_code("twice", 1), "已扫出")
    pda.drained()
    network.double = 1
    pda.scan(case_code("twice", 2), "已扫出")
    wait_for(lambda: network.double == 0, 5, "an upload comes twice")
    pda.scan(case_code("twice", 3), "已扫出")
    pda.drained()
    assert site.document(number)["scanned"] == 4
    assert pda.state("app.troubles.length") == 0


def test_two_pdas_offline_on_one_order_and_one_conflict(
    site: PdaSite, network: Network, pda: Pda, tmp_path: Path
) -> None:
    other = Pda(pda.playwright, tmp_path / "profile", network.url)
    other.enrol(site.invitation())
    number = order(site, pda, "both", 5)
    known(other, number)
    network.down = True
    for device, some in ((pda, (0, 1, 2)), (other, (2, 3))):
        device.work_on(number)
        for n in some:
            device.scan(case_code("both", n), "已扫出")
    network.down = False
    for device in (pda, other):
        device.sync()
        device.drained()
    # Either may have come first: it uploads by itself when the network is back.
    (late,) = (device for device in (pda, other) if device.state("app.troubles.length"))
    assert late.state("app.troubles.length") == 1
    assert site.document(number)["scanned"] == 4
    late.page.locator("#pill").click()
    row = late.part("list", "queue").locator("li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(case_code("both", 2))
    expect(row).to_contain_text("重复扫码")
    row.locator("[data-choice=aside]").click()
    expect(row).to_have_count(0)
    late.drained()
    assert site.agent.warehouse is not None
    assert site.agent.warehouse.exceptions(Scope("F01", (), ALLOWED)) == []
    for device in (other, pda):
        device.sync()
        device.work_on(number)
        expect(device.part("done")).to_have_text("4")
    other.context.close()
    assert other.complaints == []


# -------------------------------------------------------------------------------- the scanner


def test_fifty_codes_at_once_on_a_slow_device(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "burst", 55)
    pda.work_on(number)
    slow = pda.context.new_cdp_session(pda.page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    pda.page.keyboard.insert_text("\n".join(case_code("burst", n) for n in range(50)) + "\n")
    expect(pda.part("done")).to_have_text("50", timeout=40_000)
    # Key by key as fast as the browser takes them, the next code without waiting for the verdict.
    for n in range(50, 55):
        pda.page.keyboard.type(case_code("burst", n))
        pda.page.keyboard.press("Enter" if n % 2 else "Tab")
    expect(pda.part("done")).to_have_text("55", timeout=40_000)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    slow.detach()
    pda.drained(30)
    assert site.document(number)["scanned"] == 55


def test_codes_come_whole_by_every_way(site: PdaSite, pda: Pda) -> None:
    """Input method, separators as they are typed, and characters that nothing ends."""
    serials = ["A|1", "B", "C", "D"]
    item = "https://id.gs1.org/01/06901234567892/21/{}"
    codes = [item.format(serial.replace("|1", "")) for serial in serials]
    units = [
        unit._replace(ref=code)
        for unit, code in zip(goods("gs", 4, 0, pallet=False), codes, strict=True)
    ]
    bottles = [unit._replace(level="bottle", pieces=1) for unit in units]
    site.asn("RK-GS", bottles)
    pda.sync()
    pda.work_on("RK-GS")
    pda.page.evaluate(
        "async () => { const s = await import('/pda/state.js');"
        " await s.remember('settings', {...s.app.settings, gs: '|'}); }"
    )
    pda.page.keyboard.insert_text("]d2010690123456789210L1|21A\n")
    expect(pda.part("code")).to_have_text(codes[0])
    pda.page.keyboard.type("0106901234567892")
    pda.page.keyboard.type("10L1")
    pda.page.keyboard.press("Control+]")
    pda.page.keyboard.type("21B")
    pda.page.keyboard.press("Enter")
    expect(pda.part("code")).to_have_text(codes[1])
    # A composition: nothing counts before it is committed, then all of it at once.
    method = pda.context.new_cdp_session(pda.page)
    for end in (8, 20):
        text = "(01)06901234567892(21)C"[:end]
        method.send(
            "Input.imeSetComposition",
            {"text": text, "selectionStart": end, "selectionEnd": end},
        )
    expect(pda.part("code")).to_have_text(codes[1])
    method.send("Input.insertText", {"text": "(01)06901234567892(21)C"})
    expect(pda.part("code")).to_have_text(codes[2])
    method.detach()
    # Left over: told, not taken, and not glued to what follows.
    pda.page.keyboard.type("ABC")
    pda.page.keyboard.insert_text("(01)06901234567892(21)D")
    expect(pda.part("code")).to_have_text(codes[3])
    expect(pda.page.locator("#band")).to_contain_text("ABC")
    pda.page.keyboard.type("XYZ")
    expect(pda.page.locator("#band")).to_contain_text("XYZ", timeout=6000)
    expect(pda.part("done")).to_have_text("4")


def test_no_scan_is_lost_to_a_button(site: PdaSite, pda: Pda) -> None:
    """The field gets its focus back, and Enter presses nothing that was tapped before."""
    number = order(site, pda, "focus", 3)
    pda.work_on(number)
    pda.page.evaluate("document.activeElement.blur()")
    pda.scan(case_code("focus", 0), "已扫出")
    pda.part("remove").click()
    pda.part("remove").click()
    pda.page.keyboard.press("Enter")
    expect(pda.part("remove")).to_have_attribute("aria-pressed", "false")
    pda.scan(case_code("focus", 1), "已扫出")
    pda.page.evaluate("document.querySelector('pda-scan [data-v=more]').focus()")
    pda.page.keyboard.type(case_code("focus", 2))
    pda.page.keyboard.press("Enter")
    expect(pda.part("done")).to_have_text("3")
    expect(pda.page.locator("pda-choose")).to_be_hidden()


# ------------------------------------------------------------------------------- other screens


def test_return_transfer_and_count(site: PdaSite, pda: Pda) -> None:
    site.received("back", 4, pallet=False)
    assert site.do("desk", "open", "S-9", body={"kind": "ship", "other": "D01", "location": "DOCK"})
    assert site.do("desk", "scan", "S-9", case_code("back", 0)).verdict == "accepted"
    assert site.do("desk", "close", "S-9").verdict == "posted"

    def press(*names: str) -> None:
        for name in names:
            pda.page.get_by_role("button", name=re.compile(f"^{name}")).locator(
                "visible=true"
            ).click()

    press("退货", "新建退货") if pda.state(
        "app.documents.some(d => d.kind.startsWith('return'))"
    ) else press("退货")
    press("退货入库", "破损", "待检", "杭州百联", "A-02")
    expect(pda.page.locator("#title")).to_have_text("退货入库")
    pda.scan(case_code("back", 0), "已收退货")
    number = pda.page.locator("#sub").text_content() or ""
    pda.part("finish").click()
    pda.part("close", "finish").click()
    expect(pda.page.locator("#band")).to_contain_text("已过账")
    told = site.document(number)
    assert (told["kind"], told["reason"], told["condition"]) == (
        "return_in",
        "damaged",
        "inspect",
    )

    press("调拨", "DOCK", "A-01")
    expect(pda.page.locator("#title")).to_have_text("调拨")
    pda.scan(case_code("back", 1), "已扫")
    number = pda.page.locator("#sub").text_content() or ""
    pda.part("finish").click()
    pda.part("close", "finish").click()
    expect(pda.page.locator("#band")).to_contain_text("已过账")
    assert (site.document(number)["location"], site.document(number)["to"]) == ("DOCK", "A-01")

    press("盘点")
    pda.scan("A-01")
    expect(pda.page.locator("#title")).to_have_text("盘点")
    expect(pda.part("wanted-box")).to_be_hidden()
    number = pda.page.locator("#sub").text_content() or ""
    pda.part("finish").click()
    pda.part("close", "finish").click()
    expect(pda.part("word", "stop")).to_have_text("与记录不符")
    pda.got_it()
    pda.scan(case_code("back", 1), "已盘")
    pda.part("finish").click()
    pda.part("close", "finish").click()
    expect(pda.page.locator("pda-home")).to_be_visible()
    pda.drained()
    assert site.document(number)["status"] == "closed", "nothing differs any more"
    assert pda.state("app.troubles.length") == 0


def test_a_whole_notice_is_accepted_by_samples_handed_over_and_taken_apart(
    site: PdaSite, pda: Pda
) -> None:
    number, before = "IN-whole", site.pieces()
    site.asn(number, goods("whole", 4))
    known(pda, number)

    def more(*names: str) -> None:
        pda.part("more").click()
        for name in names:
            found = pda.page.get_by_role("button", name=re.compile(f"^{name}"))
            found.locator("visible=true").click()

    def holds(cases: int, pallet: str = pallet_code("whole")) -> None:
        wait_for(lambda: site.inside(pallet) == cases, 8, f"{cases} cases on {pallet}")

    def accept() -> None:
        more("整单收货")
        pda.part("close", "finish").click()

    pda.work_on(number)
    accept()
    expect(pda.part("word", "stop")).to_have_text("抽查不够")
    pda.got_it()
    more("交给别的 PDA")
    expect(pda.part("word")).to_have_text("已交出")
    pda.scan(case_code("whole", 2), "已收")
    accept()
    expect(pda.page.locator("pda-home")).to_be_visible()
    pda.drained()
    assert site.document(number)["status"] == "closed"
    assert site.pieces() - before == 24

    pda.work_on(order(site, pda, "apart", 1))
    more("拆箱", "拆开整件")
    pda.scan(pallet_code("whole"), screen="pack")
    holds(0)
    pda.part("done", "pack").click()
    more("拆箱", "装入容器")
    for n in (0, 3):
        pda.scan(case_code("whole", n), screen="pack")
    expect(pda.part("done", "pack")).to_contain_text("2")
    pda.part("done", "pack").click()
    pda.scan(pallet_code("whole"), screen="pack")
    holds(2)
    pda.part("done", "pack").click()
    more("拆箱", "只取出一件")
    pda.scan(case_code("whole", 3), screen="pack")
    holds(1)
    pda.part("done", "pack").click()
    more("拆箱", "装入容器")
    for n in (1, 2):
        pda.scan(case_code("whole", n), screen="pack")
    expect(pda.part("done", "pack")).to_contain_text("2")
    pda.part("done", "pack").click()
    pda.scan("https://q.example.cn/whole/NEW", screen="pack")
    pda.page.locator("pda-choose").get_by_role("button", name="垛").click()
    holds(2, "https://q.example.cn/whole/NEW")
    pda.drained()
    assert site.pieces() - before == 24 + 6
    assert pda.state("app.troubles.length") == 0


def test_goods_that_nobody_announced_are_named_offline(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    before = site.pieces()
    network.down = True
    pda.sync()
    pda.page.locator("[data-kind=receive]").click()

    def press(*names: str) -> None:
        for name in names:
            found = pda.page.get_by_role("button", name=re.compile(f"^{name}"))
            found.locator("visible=true").click()

    expect(pda.page.locator("pda-choose")).to_be_visible()
    if pda.page.locator("pda-choose button", has_text="无单入库").count():
        press("无单入库")
    press("不知道", "A-02")
    expect(pda.page.locator("#title")).to_have_text("入库")
    number = pda.page.locator("#sub").text_content() or ""
    pda.scan("https://q.example.cn/stranger", "不在单上", "stop")
    pda.got_it("not_listed")
    press("奶粉 800 g 二段", "箱", "1", "2", "确定")
    expect(pda.part("code")).to_have_text("https://q.example.cn/stranger")
    expect(pda.part("word")).to_have_text("已收")
    expect(pda.part("why")).to_have_text("整箱 12 瓶")
    pda.part("finish").click()
    pda.part("close", "finish").click()
    expect(pda.page.locator("#band")).to_contain_text("已记下")
    network.down = False
    pda.sync()
    pda.drained()
    assert site.document(number)["status"] == "closed"
    assert site.pieces() - before == 12
    assert pda.state("app.troubles.length") == 0


def test_query_online_and_offline_and_unpacking(site: PdaSite, network: Network, pda: Pda) -> None:
    order(site, pda, "ask", 1)
    pda.page.locator("[data-kind=query]").click()
    pda.scan(bottle_code("ask", 0, 1), "已找到", "query")
    facts = pda.part("facts", "query")
    expect(facts).to_contain_text("奶粉 800 g 一段")
    expect(facts).to_contain_text(case_code("ask", 0))
    network.down = True
    pda.scan(case_code("ask", 0), "已找到", "query")
    expect(pda.part("hint", "query")).to_contain_text("离线")
    network.down = False
    pda.home()
    pda.page.evaluate("async () => (await import('/pda/screen.js')).go('pack', {step: 'all'})")
    pda.scan(case_code("ask", 0), "已记下", "pack")
    pda.sync()
    pda.drained()
    assert pda.state("app.troubles.length") == 0
    assert site.agent.warehouse is not None
    told = site.agent.warehouse.query(Scope("F01", (), ALLOWED), bottle_code("ask", 0, 1))
    assert told["parents"] == []


def test_without_a_secure_connection_it_only_asks(network: Network, pda: Pda) -> None:
    page = pda.context.new_page()
    page.goto(f"http://pda.plant.example:{network.port}/pda/")
    page.locator("html[data-ready]").wait_for()
    expect(page.locator("#band")).to_contain_text("离线保护未启用")
    expect(page.locator("#title")).to_have_text("查询")
    assert page.evaluate("isSecureContext") is False
    page.keyboard.insert_text("http://x/#enrol=abcdefgh")
    expect(page.locator("pda-setup")).to_be_hidden()
    page.close()


# ---------------------------------------------------------------------- the worst comes last


def test_killed_and_updated_with_five_hundred_unsent_scans(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    number = order(site, pda, "kill", UNSENT)
    network.down = True
    pda.work_on(number)
    for first in range(0, UNSENT, 50):
        some = (case_code("kill", n) for n in range(first, first + 50))
        pda.page.keyboard.insert_text("\n".join(some) + "\n")
    expect(pda.part("waiting")).to_have_text(str(UNSENT), timeout=90_000)
    pda.kill()
    pda.open()
    expect(pda.page.locator("#pill")).to_have_text(f"离线 {UNSENT}")
    pda.work_on(number)
    expect(pda.part("done")).to_have_text(str(UNSENT))
    pda.scan(case_code("kill", 7), "重复扫码")

    # A new version of the app comes while none of them is acknowledged: it waits.
    pda.page.evaluate("window.__before = true")
    network.down, network.lose, network.version = False, 1000, "another"
    pda.page.evaluate("async () => (await navigator.serviceWorker.getRegistration()).update()")
    wait_for(lambda: pda.state("app.newer") is True, 30, "the new version is there")
    assert pda.state("waiting()") == UNSENT
    expect(pda.page.locator("#band")).not_to_contain_text("新版本")
    network.lose = 0
    pda.sync()
    pda.drained(60)
    assert site.document(number)["scanned"] == UNSENT
    assert pda.state("app.troubles.length") == 0
    expect(pda.page.locator("#band")).to_have_text("有新版本，点此更新")
    assert pda.page.evaluate("window.__before"), "it did not load itself anew"
    pda.page.locator("#band").click()
    pda.page.wait_for_function("() => !window.__before")
    pda.page.locator("html[data-ready]").wait_for()
    assert pda.page.evaluate("caches.keys()") == ["pda-another"]
    assert pda.state("app.seq") == pda.state("app.upto")
    network.version = ""


def test_a_revoked_device_keeps_what_it_has(site: PdaSite, network: Network, pda: Pda) -> None:
    number = order(site, pda, "gone", 2)
    pda.work_on(number)
    network.down = True
    pda.scan(case_code("gone", 0), "已扫出")
    device = pda.state("app.device.device")
    site.local("POST", f"/devices/{device}/revoke", {"why": "lost", "by": "test"})
    network.down = False
    pda.sync()
    expect(pda.page.locator("#band")).to_contain_text("本设备已停用")
    pda.scan(case_code("gone", 1))
    expect(pda.part("word", "stop")).to_have_text("本设备已停用")
    pda.got_it()
    expect(pda.part("done")).to_have_text("1")
    pda.page.locator("#pill").click()
    with pda.page.expect_download() as saved:
        pda.part("export", "queue").click()
    told = Path(saved.value.path()).read_text("utf-8")
    assert case_code("gone", 0) in told
    assert pda.state("waiting()") == 1
