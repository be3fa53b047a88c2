"""What goes wrong around a PDA and its person: a clock years off, a log-in that ended while nobody
was there, a phone's camera instead of a scanner, an item that was tampered with. In a real browser
against a real agent; the browser's clock and its BarcodeDetector, which Chromium on Linux has not,
are put in by script, the camera's picture is Chromium's own.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from agent import now
from agent.core.goods import Scope
from agent.services.devices import ALLOWED
from tests.web.pda_browser import Pda, enrolled_pda, network, order, site
from tests.web.pda_proxy import Network
from tests.web.pda_site import BADGE, PIN, PdaSite, case_code

__all__ = ["network", "site"]

YEARS = 10 * 365 * 86_400_000
BROWSER = """(() => {
  const ahead = Number(localStorage.getItem('test.ahead') ?? 0);
  if (ahead) {
    const Right = Date;
    globalThis.Date = class extends Right {
      constructor(...args) {
        if (args.length) super(...args);
        else super(Right.now() + ahead);
      }
      static now() { return Right.now() + ahead; }
    };
  }
  if (localStorage.getItem('test.detector')) {
    globalThis.BarcodeDetector = class {
      static async getSupportedFormats() { return ['qr_code', 'code_128']; }
      async detect(video) {
        if (video.readyState < 2 || !video.videoWidth)
          throw new DOMException('no picture', 'InvalidStateError');
        window.__looked = (window.__looked ?? 0) + 1;
        return window.__seen ? [{ rawValue: window.__seen, format: 'qr_code' }] : [];
      }
    };
    const media = navigator.mediaDevices;
    const get = media.getUserMedia.bind(media);
    media.getUserMedia = async (asked) => {
      if (window.__none) throw new DOMException('no camera', 'NotFoundError');
      return (window.__stream = await get(asked));
    };
  }
})()"""


@pytest.fixture(scope="module")
def enrolled(
    site: PdaSite, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pda]:
    camera = ("--use-fake-device-for-media-stream",)
    for pda in enrolled_pda(site, network, tmp_path_factory.mktemp("profile"), camera):
        pda.context.add_init_script(BROWSER)
        yield pda


@pytest.fixture
def pda(enrolled: Pda, network: Network) -> Iterator[Pda]:
    enrolled.home()
    yield enrolled
    network.down = False
    now.follow(now.RealTime())


def remember(pda: Pda, **values: Any) -> None:
    """Start the app anew in a browser that is so."""
    for name, value in values.items():
        key = name if name.startswith("caselink") else f"test.{name}"
        pda.page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, str(value)])
    pda.load()


def log_in(pda: Pda) -> None:
    pda.scan(BADGE)
    expect(pda.page.locator("pda-keys")).to_be_visible()
    pda.scan(PIN)
    expect(pda.page.locator("#title")).to_have_text("李敏")


# ---------------------------------------------------------------------------------------- the clock


def test_a_clock_ten_years_off_counts_all_the_same_and_is_told(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    number = order(site, pda, "late", 3)
    # Ahead: the log-in of before is over by this clock, and is made anew.
    remember(pda, ahead=YEARS)
    expect(pda.page.locator("#title")).to_have_text("登录")
    log_in(pda)
    year = pda.page.evaluate("new Date().getFullYear()")
    expect(pda.page.locator("#band")).to_contain_text(f"本机时间是 {year}年")
    expect(pda.page.locator("#band")).to_contain_text(f"实际是 {year - 10}年")
    network.down = True
    pda.work_on(number)
    pda.scan(case_code("late", 0), "已扫出")
    network.down = False
    pda.sync()
    pda.drained()
    # Behind, in the other language: the person is still logged in.
    pda.page.evaluate("localStorage.setItem('caselink.language', 'en')")
    remember(pda, ahead=-YEARS)
    pda.sync()
    expect(pda.page.locator("#band")).to_contain_text(f"{year - 20}")
    expect(pda.page.locator("#band")).to_contain_text("Scans count all the same")
    pda.work_on(number)
    pda.scan(case_code("late", 1), "Accepted")
    pda.drained()
    pda.page.evaluate("localStorage.setItem('caselink.language', 'zh')")
    remember(pda, ahead=0)
    pda.sync()
    expect(pda.page.locator("#band")).to_be_hidden()
    assert pda.state("app.troubles.length") == 0
    told = site.document(number)
    assert told["scanned"] == 2
    say = "SELECT at_ms FROM item_done WHERE document = ? AND do = 'scan'"
    assert site.agent.writer is not None
    rows = site.agent.writer.wait(lambda conn: conn.execute(say, (number,)).fetchall())
    right = now.wall_ms()
    assert all(right - 120_000 < at <= right for (at,) in rows), rows


class Later(now.RealTime):
    """A clock that is ahead by some seconds, as if nobody had been there for so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wall_ns(self) -> int:
        return super().wall_ns() + int(self.seconds * 1e9)


def test_a_log_in_ends_when_nobody_is_there_and_scans_still_count(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "idle", 3)
    pda.work_on(number)
    pda.scan(case_code("idle", 0), "已扫出")
    pda.drained()
    # The PDA lies in its cradle: what it asks by itself keeps no log-in going.
    pda.page.evaluate("async () => { (await import('/pda/state.js')).app.touched -= 3_600_000; }")
    for minutes in (20, 40):
        now.follow(Later(minutes * 60))
        pda.sync()
    assert pda.state("app.session.idle ?? false") is False, "nobody was asked who they are"
    pda.scan(case_code("idle", 1), "已扫出")
    pda.sync()
    expect(pda.page.locator("#band")).to_contain_text("登录已过期，扫码照常计入")
    pda.drained()
    assert site.document(number)["scanned"] == 2
    assert pda.state("app.troubles.length") == 0
    pda.page.locator("#band").click()
    log_in(pda)
    expect(pda.page.locator("#band")).to_be_hidden()
    pda.work_on(number)
    pda.scan(case_code("idle", 2), "已扫出")
    pda.drained()
    assert site.document(number)["scanned"] == 3


# --------------------------------------------------------------------------------------- the camera


def by_camera(pda: Pda) -> None:
    pda.part("more").click()
    pda.page.locator("pda-choose").get_by_role("button", name="摄像头").click()


def filming(pda: Pda) -> bool:
    return bool(pda.page.evaluate("window.__stream.getTracks().some(t => t.readyState === 'live')"))


def test_a_phones_camera_reads_where_there_is_no_scanner(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "film", 2)
    pda.work_on(number)
    pda.part("more").click()
    ways = pda.page.locator("pda-choose button")
    expect(ways.first).to_have_text("手工输入")
    expect(ways.filter(has_text="摄像头")).to_have_count(0)  # this browser cannot read codes

    pda.context.grant_permissions(["camera"])
    remember(pda, detector=1)
    pda.work_on(number)
    by_camera(pda)
    hint = pda.part("hint", "camera")
    expect(hint).to_have_text("对准码，离开约 15 厘米。")
    pda.page.wait_for_function("() => window.__looked > 2")  # it looks, and there is none
    assert filming(pda)
    pda.page.locator("#back").click()
    expect(pda.page.locator("pda-scan")).to_be_visible()
    pda.page.wait_for_function(
        "() => window.__stream.getTracks().every(t => t.readyState === 'ended')"
    )
    expect(pda.part("done")).to_have_text("0")

    pda.page.evaluate("code => { window.__seen = code; }", case_code("film", 0))
    by_camera(pda)
    expect(pda.part("word")).to_have_text("已扫出")
    expect(pda.part("code")).to_have_text(case_code("film", 0))
    assert not filming(pda)
    # Given up while the browser is still opening the camera: it does not stay on.
    pda.page.evaluate("() => { window.__stream = null; window.__seen = ''; }")
    pda.part("more").click()
    pda.page.evaluate(
        """() => {
          const all = [...document.querySelectorAll('pda-choose button')];
          all.find(one => one.textContent.includes('摄像头')).click();
          setTimeout(() => document.querySelector('#back').click());
        }"""
    )
    pda.page.wait_for_function(
        "() => window.__stream?.getTracks().every(t => t.readyState === 'ended')"
    )

    pda.page.evaluate("() => { window.__none = true; }")
    by_camera(pda)
    expect(hint).to_contain_text("没有找到摄像头")
    pda.page.evaluate("() => { window.__none = false; }")
    pda.page.locator("#back").click()
    pda.context.clear_permissions()
    by_camera(pda)
    expect(hint).to_contain_text("摄像头打不开（NotAllowedError）。请在浏览器设置里允许")
    pda.page.locator("#back").click()
    pda.drained()
    assert site.document(number)["scanned"] == 1


# --------------------------------------------------------------------------------------- worst last


def test_a_code_of_another_brand_is_nobodys_and_blocks_nothing(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "brand", 1)
    pda.work_on(number)
    for text in ("https://other.example/q/8Q2X", "(01)09506000134352(21)77"):
        pda.page.keyboard.insert_text(text)
        expect(pda.part("word", "stop")).to_have_text("未知码")
        expect(pda.part("do", "stop")).not_to_be_empty()
        pda.got_it()
    pda.scan(case_code("brand", 0), "已扫出")
    pda.drained()
    assert site.document(number)["scanned"] == 1


def test_an_item_that_was_tampered_with_stops_the_upload_in_both_languages(
    site: PdaSite, network: Network, pda: Pda
) -> None:
    number = order(site, pda, "forge", 2)
    pda.work_on(number)
    network.down = True
    pda.scan(case_code("forge", 0), "已扫出")
    pda.page.evaluate(
        """async text => {
          const { all, write } = await import('/pda/db.js');
          const { app } = await import('/pda/state.js');
          const [record] = await all('items', IDBKeyRange.only(app.seq));
          record.item.text = text;
          await write(['items'], store => store('items').put(record));
        }""",
        case_code("forge", 1),
    )
    network.down = False
    pda.sync()
    band = pda.page.locator("#band")
    expect(band).to_contain_text("签名")
    pda.scan(case_code("forge", 1), "本设备已停用", "stop")
    pda.got_it()
    pda.home()
    pda.part("language", "home").click()
    expect(band).to_contain_text("not signed rightly. Export what was not uploaded")
    assert site.document(number)["scanned"] == 0
    assert site.agent.warehouse is not None
    assert site.agent.warehouse.exceptions(Scope("F01", (), ALLOWED)) == []
    assert pda.state("waiting()") == 1, "nothing is lost either: it can be exported"
