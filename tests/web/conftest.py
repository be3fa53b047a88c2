"""One browser for all tests of the panel; each test gets a page of its own on a live site."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.web.site import CHROMIUM, CHROMIUM_ARGS, ScriptedLine, Site

OpenPanel = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium): no panel tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    site = Site(ScriptedLine())
    yield site
    site.stop()


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The site with its line as it was in the beginning."""
    shared_site.line.reset()
    return shared_site


@pytest.fixture
def open_panel(browser: Browser, site: Site) -> Iterator[OpenPanel]:
    """Opens panels; at the end none of them may have complained on its console."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def heard(said: ConsoleMessage) -> None:
        # The browser itself notes each answer of 4xx and 5xx; refusals are part of the tests.
        if said.type in {"error", "warning"} and not said.text.startswith(
            "Failed to load resource"
        ):
            complaints.append(said.text)

    def opened(language: str = "zh", width: int = 1280, height: int = 800) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, timezone_id="Asia/Shanghai"
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
        page.goto(site.url + "/panel/")
        page.locator("html[data-feed=live]").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
