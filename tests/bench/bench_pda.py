"""The PDA's app: time from Enter to the drawn verdict, durable write included, and what 10,000
containers with 240,000 codes cost. Prints a table; needs Chromium.

    python tests/bench/bench_pda.py [--slow 6] [--containers 10000]

The goods are put into the app's own store through its own code, page by page as the agent sends
them; scans are keys in the browser, the verdict's time is taken after the frame that shows it.
Below each row stands what the time is made of: until the item is signed (looked up and judged
before), until it is durable, until the verdict is in the page, until the frame with it begins, and
the frame. The disk's own part is told by a bare write of the same size with fdatasync beside it.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from tests.web.pda_browser import Pda, known  # noqa: E402
from tests.web.pda_proxy import Network  # noqa: E402
from tests.web.pda_site import BADGE, PIN, PdaSite  # noqa: E402
from tests.web.site import CHROMIUM  # noqa: E402

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
  let parts = [];
  const mark = () => { if (begun) parts.push(performance.now() - begun); };
  addEventListener('keydown', event => {
    if (event.key === 'Enter') { begun = performance.now(); parts = []; }
  }, true);
  const sign = SubtleCrypto.prototype.sign;
  SubtleCrypto.prototype.sign = async function (...args) {
    const signed = await sign.apply(this, args);
    if (parts.length === 0) mark();
    return signed;
  };
  const transaction = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (stores, mode, options) {
    const made = transaction.call(this, stores, mode, options);
    if (options?.durability === 'strict' && stores.includes('items'))
      made.addEventListener('complete', () => { if (parts.length === 1) mark(); });
    return made;
  };
  new MutationObserver(() => {
    if (!begun) return;
    mark();
    // The frame that shows it has been made when the next task after it begins.
    requestAnimationFrame(() => {
      mark();
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { mark(); begun = 0; window.__took.push(parts); };
      port2.postMessage(0);
    });
  }).observe(document.querySelector('pda-scan [data-v=verdict]'),
    { attributes: true, attributeFilter: ['data-beat'] });
}"""
PARTS = ("signed", "durable", "in the page", "frame begins", "drawn")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def scans(pda: Pda, first: int, count: int, name: str = "BENCH") -> list[list[float]]:
    """ms from Enter to each of PARTS, one scan after the other."""
    page = pda.page
    for n in range(first, first + count):
        had = page.evaluate("window.__took.length")
        page.keyboard.type(f"https://q.example.cn/{name}/C{n:0{8 if name == 'BENCH' else 5}d}")
        page.keyboard.press("Enter")
        page.wait_for_function("had => window.__took.length > had", arg=had)
    took: list[list[float]] = page.evaluate("window.__took.splice(0)")
    return took


def disk(where: Path, count: int) -> list[float]:
    """ms of a bare write of an item's size, kept on the disk."""
    took = []
    with (where / "bare").open("ab", buffering=0) as file:
        for _ in range(count):
            begun = perf_counter()
            file.write(b"x" * 1200)
            os.fdatasync(file.fileno())
            took.append((perf_counter() - begun) * 1000)
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
        """async (containers) => {
          const g = await import('/pda/goods.js');
          const took = [];
          for (let n = 0; n < 300; n++) {
            const at = performance.now();
            const at_n = String((n * 31) % containers).padStart(8, '0');
            const code = `https://q.example.cn/BENCH/C${at_n}`;
            if (!(await g.find(code, 'BENCH'))) throw new Error(code);
            took.push(performance.now() - at);
          }
          return took; }""",
        asked.containers,
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
    bare = disk(pda.profile, asked.scans)
    row("  bare write and fdatasync", figures(bare))
    slow = pda.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": asked.slow})
    verdicts(
        f"the same, CPU {asked.slow:g}x slower", scans(pda, asked.containers // 2, asked.scans)
    )
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    # With the agent there, every scan goes up while the next ones come.
    network.down = False
    site.received("ON", asked.scans, bottles=0, pallet=False)
    site.order("CK-ON", asked.scans)
    known(pda, "CK-ON")
    pda.work_on("CK-ON")
    verdicts("the same, uploading", scans(pda, 0, asked.scans, "ON"))
    pda.context.close()


def figures(took: list[float]) -> str:
    return (
        f"p50 {percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms, "
        f"max {max(took):.1f} ms (n = {len(took)})"
    )


def verdicts(name: str, took: list[list[float]]) -> None:
    row(name, figures([parts[-1] for parts in took]))
    for at, part in enumerate(PARTS):
        steps = [parts[at] - (parts[at - 1] if at else 0) for parts in took]
        row(
            f"  until {part}",
            f"p50 {percentile(steps, 0.5):.1f}, p99 {percentile(steps, 0.99):.1f}",
        )


def row(name: str, value: str) -> None:
    print(f"{name:34} {value}")


if __name__ == "__main__":
    main()
