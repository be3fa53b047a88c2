// The panel: loads the words, opens the feed, and hands every snapshot to what shows it.

import "./alarms.js";
import "./camera.js";
import "./cells.js";
import "./figures.js";
import "./frame.js";
import "./sealed.js";
import "./trend.js";
import { openNamed, renderSheet } from "./dialogs.js";
import { attr } from "./dom.js";
import { Feed } from "./feed.js";
import { openSession } from "./server.js";
import { isStale, lockAll, state } from "./state.js";
import { languageTag, loadTexts, otherLanguage, setLanguage, t, writeFixed } from "./text.js";

/** @typedef {HTMLElement & {render: (s: import("./types.js").Snapshot) => void}} Shows */

const views = /** @type {NodeListOf<Shows>} */ (document.querySelectorAll("[data-view]"));
const row = /** @type {any} */ (document.querySelector("cl-alarm"));
const RETRY_MS = 1000;

function renderAll() {
  if (state.snapshot) for (const view of views) view.render(state.snapshot);
  renderSheet();
}

function writeLanguage() {
  document.documentElement.lang = languageTag();
  writeFixed(document);
  renderAll();
  showAge(state.age);
}

/** @param {number} age of the data in ms */
function showAge(age) {
  state.age = age;
  const mode = !isStale() ? "live" : state.snapshot ? "stale" : "first";
  attr(document.documentElement, "data-feed", mode);
  // Before the first snapshot there is nothing old to warn of, for as long as STALE_MS.
  if (isStale() && (state.snapshot || performance.now() > 2000)) row.showStale(age);
  lockAll();
}

/** The lines of the agent, asked until it answers. */
async function askLines() {
  for (;;) {
    try {
      const answer = await fetch("/api/lines", { signal: AbortSignal.timeout(5000) });
      if (answer.ok) return /** @type {string[]} */ ((await answer.json()).lines);
    } catch {
      // Not there yet; the row says so.
    }
    await new Promise((go) => setTimeout(go, RETRY_MS));
  }
}

async function start() {
  await loadTexts();
  writeLanguage();
  const waiting = setInterval(() => showAge(Infinity), 500);
  const lines = await askLines();
  clearInterval(waiting);
  if (lines.length === 0) {
    row.piece("title").textContent = t("lines.none");
    row.piece("do").textContent = t("lines.none_do");
    return;
  }
  const asked = new URLSearchParams(location.search).get("line") ?? "";
  const feed = new Feed(lines.includes(asked) ? asked : lines[0], {
    onSnapshot(snapshot) {
      state.snapshot = snapshot;
      showAge(0);
      renderAll();
    },
    onAge: showAge,
    // A failure here shows when a command is given: it asks for a session again.
    onOpen: () => void openSession().catch(() => {}),
  });
  const change = (/** @type {string} */ line) => {
    history.replaceState(null, "", `?line=${encodeURIComponent(line)}`);
    state.snapshot = null;
    feed.change(line);
  };
  document.addEventListener("click", (event) => {
    const opener = /** @type {Element} */ (event.target).closest("[data-open]");
    if (opener) openNamed(/** @type {HTMLElement} */ (opener).dataset.open ?? "", { lines, change });
  });
}

document.querySelector(".language")?.addEventListener("click", () => {
  setLanguage(otherLanguage());
  writeLanguage();
});

void start();
