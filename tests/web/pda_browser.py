"""A PDA's browser and its agent: what the tests of the app hold in their hands."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Playwright, expect, sync_playwright

from tests.web.pda_proxy import Network
from tests.web.pda_site import BADGE, PIN, PdaSite
from tests.web.site import CHROMIUM, CHROMIUM_ARGS, wait_for

SIZE = {"width": 360, "height": 640}


class Pda:
    """One PDA: a browser profile that outlives its browser."""

    def __init__(
        self, playwright: Playwright, profile: Path, url: str, args: tuple[str, ...] = ()
    ) -> None:
        self.playwright, self.profile, self.url, self.args = playwright, profile, url, args
        self.complaints: list[str] = []
        self.open()

    def open(self) -> None:
        """Start the browser and the app."""
        self.context: BrowserContext = self.playwright.chromium.launch_persistent_context(
            str(self.profile),
            executable_path=str(CHROMIUM),
            args=[
                *CHROMIUM_ARGS,
                "--host-resolver-rules=MAP pda.plant.example 127.0.0.1",
                *self.args,
            ],
            viewport=SIZE,
            has_touch=True,
            timezone_id="Asia/Shanghai",
        )
        self.page: Page = self.context.pages[0]
        self.page.set_default_timeout(8000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text)
                if said.type == "error" and not said.text.startswith("Failed to load resource")
                else None
            ),
        )
        self.load()

    def load(self) -> None:
        self.page.goto(f"{self.url}/pda/")
        self.page.locator("html[data-ready]").wait_for()

    def enrol(self, invitation: str) -> None:
        """Become a device of the agent, and log in."""
        self.scan(invitation)
        expect(self.page.locator("#title")).to_have_text("登录")
        self.scan(BADGE)
        expect(self.page.locator("pda-keys")).to_be_visible()
        for digit in PIN:
            self.page.get_by_role("button", name=digit, exact=True).click()
        self.part("ok", "keys").click()
        expect(self.page.locator("#title")).to_have_text("李敏")
        wait_for(lambda: self.state("app.fetched") > 0, 8, "the first documents")

    def kill(self) -> None:
        """As a battery that falls out."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"--user-data-dir={self.profile}".encode() in line and b"--type=" not in b" ".join(
                line
            ):
                os.kill(int(folder.name), signal.SIGKILL)
        with suppress(Error):  # it may know already that its browser is gone
            self.context.close()

    def part(self, name: str, screen: str = "scan") -> Any:
        return self.page.locator(f"pda-{screen} [data-v={name}]")

    def scan(self, text: str, word: str = "", screen: str = "scan") -> None:
        """Scan as an input method does, the text in one piece and then Enter; see the word."""
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")
        if word:
            expect(self.part("code", screen)).to_have_text(text)
            expect(self.part("word", screen)).to_have_text(word)
            expect(self.part("word", screen)).to_be_visible()  # not what an earlier one left there

    def home(self) -> None:
        self.page.evaluate("async () => (await import('/pda/screen.js')).home()")

    def work_on(self, number: str) -> None:
        """Open a document from the first screen, by its own code."""
        self.home()
        self.page.locator(f"pda-home [data-number='{number}']").wait_for()
        self.scan(number)
        expect(self.page.locator("#sub")).to_have_text(number)

    def got_it(self, answer: str = "") -> None:
        self.page.locator(f"pda-stop [data-answer='{answer}']").click()

    def sync(self) -> None:
        """Try to upload now, and wait until it was tried."""
        self.page.evaluate("async () => (await import('/pda/sync.js')).syncNow()")

    def state(self, what: str) -> Any:
        """Something of what the app knows."""
        return self.page.evaluate(f"async () => (await import('/pda/state.js')).{what}")

    def drained(self, seconds: float = 8) -> None:
        """Everything that was scanned until now has its verdict, and is uploaded and answered."""
        self.settled(seconds)
        wait_for(lambda: self.state("waiting()") == 0, seconds, "everything uploaded")

    def settled(self, seconds: float = 8) -> None:
        """The screen has handled the scans and taps that it got until now."""
        self.page.wait_for_function(
            """async () => {
              const { current } = await import('/pda/screen.js');
              const screens = document.querySelectorAll('main > *');
              for (const screen of screens) await screen.turns?.next(() => {});
              return Boolean(current());
            }""",
            timeout=seconds * 1000,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PdaSite]:
    site = PdaSite(tmp_path_factory.mktemp("agent"))
    yield site
    site.stop()


@pytest.fixture(scope="module")
def network(site: PdaSite) -> Iterator[Network]:
    """Between the PDA and the site."""
    network = Network(site.port)
    yield network
    network.stop()


@pytest.fixture(scope="module")
def enrolled(
    site: PdaSite, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pda]:
    yield from enrolled_pda(site, network, tmp_path_factory.mktemp("profile"))


def enrolled_pda(
    site: PdaSite, network: Network, profile: Path, args: tuple[str, ...] = ()
) -> Iterator[Pda]:
    """A PDA that is a device of the agent, with a person; at the end it may not have complained."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium): no PDA tests")
    with sync_playwright() as playwright:
        pda = Pda(playwright, profile, network.url, args)
        pda.enrol(site.invitation())
        pda.page.wait_for_function("() => navigator.serviceWorker.controller")
        yield pda
        pda.context.close()
        assert pda.complaints == []


def order(site: PdaSite, pda: Pda, name: str, cases: int, wanted: int = 0, bottles: int = 6) -> str:
    """Cases in stock and an order for them, known to the PDA with their content."""
    number = f"CK-{name}"
    site.received(name, cases, pallet=False)
    site.order(number, wanted or cases)
    known(pda, number)
    return number


def known(pda: Pda, number: str) -> None:
    """Wait until the PDA can judge scans of a document without a network."""
    pda.sync()
    wait_for(
        lambda: pda.page.evaluate("async n => (await import('/pda/goods.js')).knows(n)", number),
        8,
        "the goods of the order are kept",
    )
