"""The browser's canonical text of a code is the agent's, for every spelling and every refusal."""

import random
from typing import Any

from playwright.sync_api import Browser

from agent.core.codes import Refused, canonical
from agent.core.gs1 import check_digit
from tests.web.site import Site

SEEDS = (
    "HTTPS://Q.EXAMPLE.CN/AbC",
    "]Q1HTTP://Q.Example.CN/AbC?X=1#Y",
    "https://Me:Pw@Q.EXAMPLE.CN:8443/A",
    "https://红酒.例.CN/A",
    "weixin://DL/x",
    "Ａ码",
    "]Q1]Q1AbC ",
    "6901234567892",
    "069012345600000121",
    "00069012345600000121",
    "]C100069012345600000121",
    "0106901234567892\x1d21ABC123",
    "010690123456789221ABC123\x1d10LOT7",
    "]d2010690123456789210LOT7\x1d21A/B%C",
    "]d2010690123456789217270101310300045621Z",
    "(01)06901234567892(21)ABC123(10)LOT",
    "(01)6901234567892(21)A(8)",
    "(02)06901234567892(37)24",
    "0106901234567892235TP-1",
    "https://id.gs1.org/01/06901234567892/21/ABC123?10=L%2F1&17=270101",
    "https://brand.cn/x/01/06901234567892/10/L1/21/A%20B",
    "https://brand.cn/01/6901234567892?21=A+B",
    "https://brand.cn/00/069012345600000121#x",
    "https://brand.cn/00/069012345600000122",
    "https://brand.cn/01/06901234567893/21/A",
    "https://id.gs1.org/01/06901234567892/21/",
    "https://id.gs1.org/other",
    "https:///nothing",
    "abc\u200bdef",
    "a\tb",
    "😀 emoji 码",
    "",
    "   ",
    "]Q3",
    "\x1d\x1d",
    "(01)06901234567892(21)A(01)06901234567908",
    "A" * 512,
    "A" * 513,
    "A" * 1025,
    "😀" * 512,
)
LETTERS = "01234567890123AZaz()[]%/?&=#:+.-_~!'*]\x1d \u00a0\u200b码😀"


def spellings(count: int) -> list[str]:
    """The seeds, and as many again with a few characters changed, taken out or put in."""
    chance = random.Random(20251121)
    found = list(SEEDS)
    while len(found) < count:
        text = list(chance.choice(SEEDS[:-4]))
        for _ in range(chance.randint(1, 3)):
            at = chance.randint(0, len(text))
            text[at : at + chance.randint(0, 2)] = chance.choice(LETTERS) * chance.randint(0, 2)
        found.append("".join(text))
    for length, head in ((13, "01"), (17, "00")):
        for _ in range(count // 20):
            digits = "".join(chance.choices("0123456789", k=length))
            number = digits + check_digit(digits)
            found += [head + number + "21" + chance.choice(SEEDS), number, head + number + "10L"]
    return found


def here(text: str) -> list[str]:
    try:
        return ["code", canonical(text).text]
    except Refused as error:
        return ["refused", error.reason]


IN_THE_BROWSER = """async texts => {
  const codes = await import('/pda/codes.js');
  codes.useIdentifiers(await (await fetch('/pda/gs1.json')).json());
  return texts.map(text => {
    try {
      return ['code', codes.canonical(text)];
    } catch (error) {
      if (!(error instanceof codes.NotACode)) throw error;
      return ['refused', error.reason];
    }
  });
}"""


def test_both_know_a_code_by_the_same_text(browser: Browser, site: Site) -> None:
    page = browser.new_page()
    page.goto(site.url + "/static/icon.svg")
    texts = spellings(1500)
    expected = [here(text) for text in texts]
    assert {kind for kind, _ in expected} == {"code", "refused"}
    assert len({said for kind, said in expected if kind == "refused"}) == 7
    there: list[Any] = page.evaluate(IN_THE_BROWSER, texts)
    wrong = [
        (text, ours, theirs)
        for text, ours, theirs in zip(texts, expected, there, strict=True)
        if ours != theirs
    ]
    assert wrong == []
    page.close()
