"""Scans in quick succession, taps between them, and a storage that refuses: on the PDA's app in a
real browser nothing is done twice, lost, or taken for something else.

Scans and taps that come faster than a hand can make them are one piece of script in the page: the
browser handles them in its order before anything that they began can end.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.pda_browser import Pda, enrolled, known, network, order, site
from tests.web.pda_site import PdaSite, bottle_code, case_code, goods, pallet_code

__all__ = ["enrolled", "network", "site"]


@pytest.fixture
def pda(enrolled: Pda) -> Pda:
    enrolled.home()
    return enrolled


def hands(pda: Pda, *deeds: str) -> None:
    """Scan codes, and tap what begins with "tap " (a selector), all of them at once."""
    pda.page.evaluate(
        """deeds => {
          const field = document.querySelector('.wedge');
          for (const deed of deeds) {
            if (deed.startsWith('tap ')) {
              document.querySelector(deed.slice(4)).click();
              continue;
            }
            field.value = deed + '\\n';
            field.dispatchEvent(new InputEvent('input', { data: deed }));
          }
        }""",
        list(deeds),
    )


def done(pda: Pda, since: int = 0) -> list[dict[str, Any]]:
    """What was written down after a number, in order."""
    pda.settled()
    return pda.page.evaluate(
        """async since => {
          const { all } = await import('/pda/db.js');
          return (await all('items', IDBKeyRange.lowerBound(since, true))).map(one => one.item);
        }""",
        since,
    )


def level(pda: Pda, name: str) -> None:
    """What a container is that this PDA knows nothing of."""
    pda.page.locator("pda-choose").get_by_role("button", name=name).click()


PACK = "async step => (await import('/pda/screen.js')).go('pack', { step })"
TAP = "tap pda-pack [data-v=done]"
LOOP = "tap pda-scan [data-v={}]"


def test_a_burst_of_units_a_tap_and_a_container_read_twice_is_packed_once(
    site: PdaSite, pda: Pda
) -> None:
    site.received("pack", 4)
    before = site.pieces()
    cases = [case_code("pack", n) for n in range(4)]
    seq = pda.state("app.seq")
    pda.page.evaluate(PACK, "one")
    hands(pda, *[one for case in cases for one in (case, case)])
    took = done(pda, seq)
    assert [(one["do"], one["text"]) for one in took] == [("unpack", one) for one in cases]
    pda.drained()
    assert site.inside(pallet_code("pack")) == 0
    pda.home()

    seq = pda.state("app.seq")
    pda.page.evaluate(PACK, "pack")
    # The last unit is read once more after the tap, and the container twice: both are nothing new.
    pallet = pallet_code("pack")
    hands(pda, *cases[:3], cases[1], TAP, cases[2], pallet, pallet, TAP)
    level(pda, "垛")
    (packed,) = done(pda, seq)
    assert (packed["do"], packed["text"]) == ("pack", pallet)
    assert packed["body"]["children"] == cases[:3]
    expect(pda.page.locator("pda-pack")).to_be_hidden()  # the last tap was the way back
    pda.drained()
    assert site.inside(pallet) == 3
    assert site.pieces() == before
    assert pda.state("app.troubles.length") == 0


def test_a_second_tap_drops_no_units_and_leaving_them_is_told(site: PdaSite, pda: Pda) -> None:
    site.received("thumb", 2)
    for n in range(2):
        site.do("desk", "unpack", "-", case_code("thumb", n))
    seq = pda.state("app.seq")
    pda.page.evaluate(PACK, "pack")
    hands(pda, case_code("thumb", 0), TAP, TAP, TAP)
    pda.settled()
    expect(pda.part("word", "pack")).to_have_text("现在扫箱码或垛码")
    expect(pda.part("done", "pack")).to_be_disabled()
    pda.page.locator("#back").click()
    expect(pda.page.locator("#band")).to_contain_text("1 件没有扫容器就离开了")
    assert done(pda, seq) == []
    pda.page.evaluate(PACK, "pack")
    hands(pda, case_code("thumb", 0), case_code("thumb", 1), TAP, TAP, pallet_code("thumb"))
    level(pda, "垛")
    (packed,) = done(pda, seq)
    assert len(packed["body"]["children"]) == 2
    pda.drained()
    assert site.inside(pallet_code("thumb")) == 2


def test_a_container_is_packed_into_another_when_it_is_read_anew(site: PdaSite, pda: Pda) -> None:
    """A case that was packed just now may go on a pallet, without leaving the screen."""
    site.received("deep", 1)
    site.do("desk", "unpack", "-", case_code("deep", 0))
    site.do("desk", "unpack", "-", bottle_code("deep", 0, 0))
    pda.page.evaluate(PACK, "pack")
    hands(pda, bottle_code("deep", 0, 0), TAP, case_code("deep", 0))
    level(pda, "箱")
    expect(pda.part("word", "pack")).to_have_text("已记下")
    pda.page.evaluate("document.querySelector('pda-pack').packed.at -= 60_000")  # a minute later
    hands(pda, case_code("deep", 0), TAP, pallet_code("deep"))
    level(pda, "垛")
    pda.drained()
    assert (site.inside(case_code("deep", 0)), site.inside(pallet_code("deep"))) == (6, 1)
    assert pda.state("app.troubles.length") == 0


def test_taps_mean_what_was_scanned_before_them(site: PdaSite, pda: Pda) -> None:
    number = order(site, pda, "taps", 4, wanted=3)
    cases = [case_code("taps", n) for n in range(4)]
    pda.work_on(number)
    remove, finish = LOOP.format("remove"), LOOP.format("finish")
    hands(pda, cases[0], cases[1], remove, cases[1], remove, cases[2], cases[3], finish)
    expect(pda.page.locator("pda-finish")).to_be_visible()
    expect(pda.part("what", "finish")).to_contain_text("相符")
    assert [(one["text"], one["remove"]) for one in done(pda) if one["document"] == number] == [
        (cases[0], False),
        (cases[1], False),
        (cases[1], True),
        (cases[2], False),
        (cases[3], False),
    ]
    # What is scanned on the way out is not counted: it sounds refused and is listed.
    hands(pda, cases[1])
    pda.page.locator("#back").click()
    expect(pda.part("last")).to_contain_text("未受理")
    expect(pda.part("done")).to_have_text("3")
    # What stops makes a tap void that came with it.
    hands(pda, "https://q.example.cn/nobody", finish)
    expect(pda.part("word", "stop")).to_have_text("未知码")
    pda.settled()
    expect(pda.page.locator("pda-finish")).to_be_hidden()
    # A double tap on "got it" presses nothing on the screen below.
    pda.page.locator("pda-stop [data-answer='']").dblclick()
    pda.settled()
    expect(pda.page.locator("pda-scan")).to_be_visible()
    expect(pda.part("remove")).to_have_attribute("aria-pressed", "false")
    hands(pda, finish)
    close = "tap pda-finish [data-v=close]"
    expect(pda.part("close", "finish")).to_be_enabled()
    hands(pda, close, close, close)
    expect(pda.page.locator("#band")).to_contain_text("已过账")
    assert [one["do"] for one in done(pda) if one["document"] == number].count("close") == 1
    assert site.document(number)["status"] == "closed"


def test_a_document_scanned_in_a_burst_gets_the_codes_after_it(site: PdaSite, pda: Pda) -> None:
    first, second = order(site, pda, "d1", 1), order(site, pda, "d2", 1)
    known(pda, first)
    pda.work_on(first)
    hands(pda, second, case_code("d2", 0), first, case_code("d1", 0))
    pda.settled()
    expect(pda.page.locator("#sub")).to_have_text(first)
    pda.drained()
    assert (site.document(first)["scanned"], site.document(second)["scanned"]) == (1, 1)


def test_a_count_in_a_burst_and_finished_at_once(site: PdaSite, pda: Pda) -> None:
    site.asn("IN-shelf", goods("shelf", 3, pallet=False))
    for n in range(3):
        site.do("dock", "scan", "IN-shelf", case_code("shelf", n))
    site.do("dock", "close", "IN-shelf")
    pda.page.locator("[data-kind=count]").click()
    pda.scan("A-02")
    expect(pda.page.locator("#title")).to_have_text("盘点")
    number = pda.page.locator("#sub").text_content() or ""
    codes = [case_code("shelf", n) for n in range(3)]
    hands(pda, *codes, *codes, LOOP.format("finish"))
    expect(pda.part("what", "finish")).to_contain_text("3")
    assert len([one for one in done(pda) if one["document"] == number and one["do"] == "scan"]) == 3


NEXT = """async put => {
  const { write } = await import('/pda/db.js');
  const { app } = await import('/pda/state.js');
  const record = { seq: app.seq + 1, document: '', item: {}, local: {}, result: null };
  await write(['items'], store => put ? store('items').put(record)
    : store('items').delete(record.seq));
}"""


def test_what_the_storage_refuses_does_not_count_and_holds_up_nothing(
    site: PdaSite, pda: Pda
) -> None:
    number = order(site, pda, "full", 2)
    pda.work_on(number)
    pda.drained()
    pda.page.evaluate(NEXT, True)  # the next number is taken: nothing can be written under it
    pda.scan(case_code("full", 0), "没有记下", "stop")
    expect(pda.part("do", "stop")).to_contain_text("清理存储空间")
    pda.got_it()
    expect(pda.part("done")).to_have_text("0")
    pda.page.evaluate(NEXT, False)
    pda.scan(case_code("full", 0), "已扫出")
    pda.drained()
    assert site.document(number)["scanned"] == 1
    assert pda.state("app.seq") == pda.state("app.upto")
