// The warehouse page: which warehouse, which screen, and whether what is shown is still true.

import { attr, el, put, show } from "/panel/dom.js";
import { openSession, Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { ask, BASE } from "./ask.js";
import { desk } from "./desk.js";
import { DevicesView } from "./devices.js";
import { DocumentView } from "./document.js";
import { DocumentsView } from "./documents.js";
import { ExceptionsView } from "./exceptions.js";
import { ImportView } from "./importing.js";
import { LedgerView } from "./ledger.js";
import { NewDocumentView } from "./newdocument.js";
import { writeSheet, writeWords } from "./parts.js";
import { StockView } from "./stock.js";

const { t } = text;
const POLL_MS = 1000;
const NOW_EVERY = 5;
const STALE_MS = 3500;
const SILENT_MS = 2500; // the agent says something every second

/**
 * @typedef {object} Screen
 * @property {HTMLElement} node
 * @property {() => Promise<void>} refresh asks the agent and shows what it says; throws Refusal
 * @property {() => void} render writes what is known again: another language
 * @property {boolean} [live] asked again whenever the warehouse has changed
 * @property {boolean} [polled] and every second: not all that it shows is of the warehouse
 */

/** @type {Record<string, (argument: string) => Screen>} */
const SCREENS = {
  documents: () => new DocumentsView(),
  document: (number) => new DocumentView(number),
  new: () => new NewDocumentView(),
  import: () => new ImportView(),
  stock: () => new StockView(),
  ledger: () => new LedgerView(),
  exceptions: () => new ExceptionsView(),
  devices: () => new DevicesView(),
};
const PARENT = { document: "documents", new: "documents", import: "documents" };

const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const picker = /** @type {HTMLSelectElement} */ (document.getElementById("party"));
/** @type {Screen | null} */
let screen = null;
let fresh = -Infinity;
let turn = 0;
let refused = "";
let answered = true;
/** @type {any} */
let now = null;
/** The agent's word that something has changed. @type {WebSocket | null} */
let feed = null;
let heard = -Infinity;
let seen = -1;
let following = false;

function place() {
  const [name, ...rest] = decodeURIComponent(location.hash.slice(1)).split("/");
  return { name: name in SCREENS ? name : "documents", argument: rest.join("/") };
}

function openScreen() {
  const { name, argument } = place();
  const parent = /** @type {Record<string, string>} */ (PARENT)[name] ?? name;
  for (const node of document.querySelectorAll("[data-view]")) {
    attr(node, "aria-current", /** @type {HTMLElement} */ (node).dataset.view === parent ? "page" : null);
  }
  if (!desk.party) {
    const node = el("p", "empty");
    node.dataset.t = "warehouse.none";
    screen = { node, refresh: async () => {}, render: () => {} };
  } else {
    screen = SCREENS[name](argument);
  }
  main.replaceChildren(screen.node);
  main.dataset.screen = name;
  writeWords(main);
  main.scrollTop = 0;
  void refresh(screen);
}

/** @param {Screen} asked */
async function refresh(asked) {
  try {
    await asked.refresh();
    refused = "";
    answered = true;
    fresh = performance.now();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refused = error.message;
    answered = false;
  }
  if (screen === asked) showRow();
}

async function tick() {
  const told = answered && performance.now() - heard < SILENT_MS;
  if (!document.hidden && desk.party) {
    if (turn++ % NOW_EVERY === 0) await askNow();
    if (screen?.polled || (screen?.live && !told)) await refresh(screen);
    showRow();
  }
  if (performance.now() - heard >= SILENT_MS) listen();
  setTimeout(() => void tick(), POLL_MS);
}

/** Hear of changes; while nothing is heard, the screen asks every second. */
function listen() {
  if (!desk.party || feed?.readyState === WebSocket.CONNECTING) return;
  stopListening();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  feed = new WebSocket(`${scheme}://${location.host}/ws/live?warehouse=${encodeURIComponent(desk.party)}`);
  feed.onmessage = (event) => {
    heard = performance.now();
    const { changes } = JSON.parse(event.data);
    if (changes !== seen) void follow(changes);
    else if (answered) fresh = heard; // what is shown is still true
  };
}

function stopListening() {
  if (feed) feed.onmessage = null;
  feed?.close();
  feed = null;
  heard = -Infinity;
}

/** Something has changed; one question at a time, so that no older answer comes last. @param {number} changes */
async function follow(changes) {
  if (following || document.hidden) return; // it is said again within a second
  following = true;
  try {
    if (screen?.live) await refresh(screen);
    seen = changes;
  } finally {
    following = false;
  }
}

async function askNow() {
  try {
    now = await ask("now");
    answered = true;
    fresh = Math.max(fresh, performance.now());
    if (!screen?.live) refused = "";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refused = error.message;
    answered = false;
  }
}

/** The row below the frame: no answer, else what waits for a person. */
function showRow() {
  const silent = performance.now() - fresh;
  const stale = (desk.party !== "" || turn === 0) && silent > STALE_MS + (screen?.live ? 0 : NOW_EVERY * POLL_MS);
  attr(document.documentElement, "data-feed", stale ? "stale" : "live");
  for (const node of document.querySelectorAll("button[data-act]")) {
    if (/** @type {HTMLButtonElement} */ (node).disabled !== stale) /** @type {HTMLButtonElement} */ (node).disabled = stale;
  }
  const waiting = now?.exceptions ?? 0;
  const alarm = /** @type {Element} */ (document.querySelector(".alarm"));
  attr(alarm, "data-level", stale ? "stale" : refused || waiting ? 2 : "none");
  put(part("row-mark"), stale ? "" : waiting || refused ? "2" : "");
  put(part("row-title"), stale ? t("stale") : refused || (waiting ? t("row.waiting", { n: waiting }) : t("row.none")));
  put(part("row-do"), stale ? t("stale.do") : refused ? "" : waiting ? t("row.waiting_do") : "");
  put(part("now-open"), text.number(now?.open));
  put(part("now-devices"), now ? `${text.number(now.heard)}/${text.number(now.devices)}` : text.NONE);
  put(part("exception-badge"), waiting > 99 ? "99+" : waiting ? String(waiting) : "");
  show(part("exception-badge"), waiting > 0);
  const at = now ? Date.now() : null;
  put(part("clock"), text.minute(at));
  put(part("date"), text.day(at));
}

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

function writeLanguage() {
  document.documentElement.lang = text.languageTag();
  picker.replaceChildren(
    ...desk.setup.warehouses.map((one) => {
      const option = /** @type {HTMLOptionElement} */ (el("option"));
      option.value = one.party;
      put(option, text.named(one.names, one.party));
      return option;
    }),
  );
  picker.value = desk.party;
  show(picker, desk.setup.warehouses.length > 0);
  const other = text.otherLanguage();
  const node = /** @type {HTMLElement} */ (document.querySelector(".language"));
  put(node, other === "en" ? "English" : "中文");
  attr(node, "lang", other === "en" ? "en" : "zh-CN");
  writeWords(document);
  screen?.render();
  writeSheet();
  writeWords(main);
  showRow();
}

async function start() {
  await text.loadTexts();
  writeLanguage();
  for (;;) {
    try {
      await openSession().catch(() => {});
      const answer = await fetch(`${BASE}/setup`, { signal: AbortSignal.timeout(5000) });
      if (answer.status !== 404) desk.know(await ask("setup")); // else there is no warehouse
      break;
    } catch (error) {
      refused = error instanceof Refusal ? error.message : t("refused.no_answer");
      showRow();
      await new Promise((go) => setTimeout(go, POLL_MS));
    }
  }
  fresh = performance.now();
  refused = "";
  writeLanguage();
  openScreen();
  void tick();
}

document.querySelector(".language")?.addEventListener("click", () => {
  text.setLanguage(text.otherLanguage());
  writeLanguage();
});
for (const node of document.querySelectorAll("[data-view]")) {
  node.addEventListener("click", () => {
    const hash = `#${/** @type {HTMLElement} */ (node).dataset.view}`;
    if (location.hash === hash) openScreen();
    else location.hash = hash;
  });
}
picker.addEventListener("change", () => {
  desk.choose(picker.value);
  stopListening();
  seen = -1;
  listen();
  now = null;
  turn = 0;
  if (["", "#documents"].includes(location.hash)) openScreen();
  else location.hash = "#documents";
});
addEventListener("hashchange", openScreen);

void start();
