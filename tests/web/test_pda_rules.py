"""The browser's rules of a scan are the agent's, case by case of the whole table."""

import json

from playwright.sync_api import Browser

from agent.core.rulecases import table
from agent.core.rules import WORDS
from tests.web.site import Site

IN_THE_BROWSER = """async text => {
  const { judge } = await import('/pda/rules.js');
  const same = (a, b) => JSON.stringify(Object.entries(a).sort()) ===
    JSON.stringify(Object.entries(b).sort());
  return JSON.parse(text)
    .map(({ case: it, verdict }) => ({ it, verdict, said: judge(it) }))
    .filter(({ verdict, said }) => said.word !== verdict.word ||
      said.severity !== verdict.severity || !same(said.args, verdict.args));
}"""


def test_both_judge_every_case_alike(browser: Browser, site: Site) -> None:
    rows = table()
    assert len(rows) > 2000
    assert {row["verdict"]["word"] for row in rows} == set(WORDS), "a rule that no case reaches"
    page = browser.new_page()
    page.goto(site.url + "/static/icon.svg")
    assert page.evaluate(IN_THE_BROWSER, json.dumps(rows)) == []
    # A table that the browser did not read would agree with anything.
    rows[0]["verdict"]["word"] = "another"
    assert len(page.evaluate(IN_THE_BROWSER, json.dumps(rows))) == 1
    page.close()


def test_both_have_the_same_words(browser: Browser, site: Site) -> None:
    page = browser.new_page()
    page.goto(site.url + "/static/icon.svg")
    assert page.evaluate("async () => (await import('/pda/rules.js')).WORDS") == WORDS
    page.close()
