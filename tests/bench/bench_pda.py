"""The PDA's app: time from Enter to the drawn verdict, durable write included, and what 10,000
containers with 240,000 codes cost. Prints a table; needs Chromium.

    python tests/bench/bench_pda.py [--slow 6] [--containers 10000]

The goods are put into the app's own store through its own code, page by page as the agent sends
them; scans are keys in the browser, the verdict's time is taken after the frame that shows it.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from tests.web.pda_proxy import Network  # noqa: E402
from tests.web.pda_site import BADGE, PIN, PdaSite  # noqa: E402
from tests.web.site import CHROMIUM  # noqa: E402
from tests.web.test_pda import Pda  # noqa: E402

ASN = "BENCH"

FILL = """async ([cases, bottles]) => {
  const goods = await import('/pda/goods.js');
  const db = await import('/pda/db.js');
  const { app } = await import('/pda/state.js');
  const doc = { status: 'open', free: false, asn: true, blind: false, party: 'F01', other: '',
    location: 'DOCK', territories: [], channel: '', fifo: 'off', lines: [] };
  const record = { number: 'BENCH', kind: 'receive', status: 'open', party: 'F01', lines: [], doc,
    opened: 1, at_seq: 0, scanned: 0, pieces: 0, expected: cases };
  await db.write(['documents'], store => store('documents').put(record));
  app.documents = [record];
  const row = (n, ref, level, parent, pieces) => ({ n, ref, codes: [ref], parent, level, pieces,
    claimed_here: false, product: 'MILK1', lot: 'L20261122', state: 'expected', mine: false,
    location: '', held: false, doubtful: false, broken: false, integrity: 'proven',
    expected: true, sent_to: 'F01', to: '', when: 0, claimed: '', older: '', territory: '',
    channel: '', mixed: [] });
  const all = function* () {
    let n = 0;
    for (let c = 0; c < cases; c++) {
      const code = `https://q.example.cn/BENCH/C${String(c).padStart(8, '0')}`;
      yield row(++n, code, 'case', '', bottles);
      for (let b = 0; b < bottles - 1; b++)
        yield row(++n, `https://q.example.cn/B/${n.toString(36)}${(n * 7919).toString(36)}`,
          'bottle', code, 1);
    }
  }();
  const before = (await navigator.storage.estimate()).usage;
  const begun = performance.now();
  await goods.keepGoods('BENCH', async () => {
    const page = [];
    while (page.length < 5000) {
      const { value, done } = all.next();
      if (done) return { goods: page, next: 0 };
      page.push(value);
    }
    return { goods: page, next: 1 };
  });
  const ms = performance.now() - begun;
  return { ms, bytes: (await navigator.storage.estimate()).usage - before };
}"""

WATCH = """() => {
  window.__took = [];
  let begun = 0;
  addEventListener('keydown', event => { if (event.key === 'Enter') begun = performance.now(); },
    true);
  new MutationObserver(() => {
    const at = begun;
    if (!at) return;
    begun = 0;
    // The frame that shows it has been made when the next task after it begins.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.__took.push(performance.now() - at);
      port2.postMessage(0);
    });
  }).observe(document.querySelector('pda-scan [data-v=verdict]'),
    { attributes: true, attributeFilter: ['data-beat'] });
}"""


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def scans(pda: Pda, first: int, count: int) -> list[float]:
    """ms from Enter to the drawn verdict, one scan after the other."""
    page = pda.page
    for n in range(first, first + count):
        had = page.evaluate("window.__took.length")
        page.keyboard.type(f"https://q.example.cn/BENCH/C{n:08d}")
        page.keyboard.press("Enter")
        page.wait_for_function("had => window.__took.length > had", arg=had)
    took: list[float] = page.evaluate("window.__took.splice(0)")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slow", type=float, default=6.0, help="how much slower a PDA is")
    parser.add_argument("--containers", type=int, default=10_000)
    parser.add_argument("--scans", type=int, default=200)
    asked = parser.parse_args()
    if not CHROMIUM.exists():
        print(f"{CHROMIUM} is not installed: nothing measured")
        return
    with tempfile.TemporaryDirectory() as where, sync_playwright() as playwright:
        folders = [Path(where) / name for name in ("agent", "profile")]
        for folder in folders:
            folder.mkdir()
        site = PdaSite(folders[0])
        network = Network(site.port)
        try:
            bench(Pda(playwright, folders[1], network.url), site, network, asked)
        finally:
            network.stop()
            site.stop()


def bench(pda: Pda, site: PdaSite, network: Network, asked: argparse.Namespace) -> None:
    page = pda.page
    pda.scan(site.invitation())
    page.get_by_text("扫工牌").wait_for()
    pda.scan(BADGE)
    page.locator("pda-keys").wait_for()
    pda.scan(PIN)
    page.locator("pda-home").wait_for()
    network.down = True
    page.set_default_timeout(120_000)
    filled: dict[str, Any] = page.evaluate(FILL, [asked.containers, 24])
    row("goods kept", f"{asked.containers:,} containers, {asked.containers * 24:,} codes")
    row("time to keep them", f"{filled['ms'] / 1000:.1f} s")
    row("storage used", f"{filled['bytes'] / 1e6:.1f} MB")
    timed = "async () => { const g = await import('/pda/goods.js'); const t = performance.now();"
    timed += " await g.loadPlaces(); return performance.now() - t; }"
    row("time to load at the start", f"{page.evaluate(timed):.0f} ms")
    found = page.evaluate(
        """async () => {
          const g = await import('/pda/goods.js');
          const took = [];
          for (let n = 0; n < 300; n++) {
            const at = performance.now();
            const code = `https://q.example.cn/BENCH/C${String(n * 31).padStart(8, '0')}`;
            if (!(await g.find(code, 'BENCH'))) throw new Error(code);
            took.push(performance.now() - at);
          }
          return took; }"""
    )
    row(
        "looking a code up, chunk read",
        f"p50 {percentile(found, 0.5):.1f} ms, p99 {percentile(found, 0.99):.1f} ms",
    )
    page.evaluate("() => document.querySelector('pda-home') && 0")
    pda.scan("BENCH")
    page.locator("pda-scan [data-v=verdict]").wait_for()
    page.evaluate(WATCH)
    verdicts("verdict, Enter to drawn", scans(pda, 0, asked.scans))
    slow = pda.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": asked.slow})
    verdicts(f"the same, CPU {asked.slow:g}x slower", scans(pda, 5000, asked.scans))
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    pda.context.close()


def verdicts(name: str, took: list[float]) -> None:
    row(
        name,
        f"p50 {percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms, "
        f"max {max(took):.1f} ms (n = {len(took)})",
    )


def row(name: str, value: str) -> None:
    print(f"{name:34} {value}")


if __name__ == "__main__":
    main()
