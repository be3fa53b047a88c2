// The app: loads what is kept, shows the first screen, and hands every scan to the screen shown.

import { attr, put, show } from "../panel/dom.js";
import { languageTag, loadTexts, t, writeFixed } from "../panel/text.js";
import "./asking.js";
import "./choose.js";
import "./finish.js";
import "./home.js";
import "./query.js";
import "./troubles.js";
import { useIdentifiers } from "./codes.js";
import { openDb } from "./db.js";
import { loadPlaces } from "./goods.js";
import { back, current, drawAll, go, ownBackKey } from "./screen.js";
import { enrol, enrolCode, mustDo } from "./setup.js";
import { signal, wakeSound } from "./signals.js";
import { app, bus, changed, loadState, loggedIn, waiting } from "./state.js";
import { startSync } from "./sync.js";
import { listen } from "./wedge.js";
import { dateTime, verdictWords } from "./words.js";

const SAID_MS = 8000;
const CLOCK_OFF_MS = 600_000;
const NEWER_CHECK_MS = 1_800_000;

const pill = /** @type {HTMLElement} */ (document.getElementById("pill"));
const band = /** @type {HTMLElement} */ (document.getElementById("band"));
/** @type {ServiceWorker | null} */
let newWorker = null;
/** What was said last about something that was finished, for a while. */
let said = "";
let saidTimer = 0;

function draw() {
  document.documentElement.toggleAttribute("data-sun", app.settings.sun);
  drawPill();
  drawAll();
  drawBand();
}

let drawing = false;

/** Whatever changed is drawn once, and after the frame of a verdict that is just being made. */
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    setTimeout(() => {
      drawing = false;
      draw();
    });
  });
}

function drawPill() {
  const state = app.stopped
    ? "stopped"
    : app.online === null
      ? "first"
      : app.online
        ? "online"
        : "offline";
  show(pill, app.secure && app.device !== null);
  attr(pill, "data-state", state);
  const n = waiting();
  put(pill, n && state !== "stopped" ? t(`pill.${state}_n`, { n }) : t(`pill.${state}`));
}

/** One line under the bar for what concerns every screen. */
function drawBand() {
  /** @type {[string, string, string?] | null} text, level, what a tap does */
  let now = null;
  if (!app.secure) now = [t("insecure.band"), "bad"];
  else if (app.stopped) now = [t(`stopped.${app.stopped}`), "bad"];
  else if (app.device && app.session && !loggedIn()) now = [t("band.expired"), "bad", "login"];
  else if (app.session?.idle) now = [t("band.idle"), "", "login"];
  else if (app.troubles.length && current() !== document.querySelector("pda-queue")) {
    now = [t("band.troubles", { n: app.troubles.length }), "bad", "queue"];
  } else if (said) now = [said, ""];
  else if (Math.abs(app.ahead) > CLOCK_OFF_MS) now = [clockWords(), ""];
  else if (app.newer && waiting() === 0) now = [t("newer"), "", "newer"];
  show(band, now !== null);
  if (!now) return;
  put(band, now[0]);
  attr(band, "data-level", now[1] || null);
  attr(band, "data-tap", now[2] ?? null);
}

/** What the clock says, what it should say, and that scans count all the same. */
function clockWords() {
  const [shown, right] = [Date.now(), Date.now() - app.ahead].map(dateTime);
  return t("band.clock", { shown, right });
}

band.addEventListener("click", () => {
  if (band.dataset.tap === "newer") takeOver();
  if (band.dataset.tap === "queue") go("queue");
  if (band.dataset.tap === "login") go("setup", { step: "login" });
});
pill.addEventListener("click", () => go("queue"));
document.getElementById("back")?.addEventListener("click", () => back());
document.addEventListener("take-over", () => takeOver());
bus.addEventListener("trouble", () => signal("stop"));
document.addEventListener("redraw", () => draw());
document.addEventListener("language", () => writeLanguage());
document.addEventListener("said", (event) => {
  const verdict = /** @type {CustomEvent} */ (event).detail;
  say([verdictWords(verdict, "title"), verdictWords(verdict, "text")].filter(Boolean).join(" · "));
});

/** @param {string} text */
function say(text) {
  clearTimeout(saidTimer);
  said = text;
  saidTimer = text ? setTimeout(say, SAID_MS, "") : 0;
  draw();
}

function writeLanguage() {
  document.documentElement.lang = languageTag();
  writeFixed(document);
  draw();
}

/** @param {string} text */
function onCode(text) {
  app.touched = performance.now();
  const code = enrolCode(text);
  if (code && app.secure) void enrol(code);
  else void current().code(text);
}

/** @param {string} text characters that no Enter ended */
function onLeftOver(text) {
  signal("refused");
  const screen = /** @type {any} */ (current());
  screen.leftOver?.(text);
  say(t("left_over", { text: text.slice(0, 40) }));
}

/** The new version takes over only with nothing left to send, and only by a tap. */
function takeOver() {
  if (!newWorker || waiting() > 0) return;
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), {
    once: true,
  });
  newWorker.postMessage("take-over");
}

async function watchVersions() {
  if (!("serviceWorker" in navigator)) return;
  const registered = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
  const look = () => {
    const { waiting: ready } = registered;
    newWorker = navigator.serviceWorker.controller ? ready : null;
    if (app.newer !== (newWorker !== null)) {
      app.newer = newWorker !== null;
      changed();
    }
  };
  look();
  registered.addEventListener("updatefound", () => {
    registered.installing?.addEventListener("statechange", look);
  });
  setInterval(() => void registered.update().catch(() => {}), NEWER_CHECK_MS);
}

/** The first tap allows sound, and asks that nothing of ours is thrown away. */
function firstTap() {
  wakeSound();
  void navigator.storage?.persist?.();
}

async function onlyWindow() {
  if (!navigator.locks) return true;
  return new Promise((answer) => {
    void navigator.locks.request("caselink-pda", { ifAvailable: true }, (lock) => {
      answer(lock !== null);
      return lock ? new Promise(() => {}) : undefined; // held until this window is closed
    });
  });
}

async function start() {
  await loadTexts();
  useIdentifiers(await (await fetch("gs1.json")).json());
  writeFixed(document);
  document.documentElement.lang = languageTag();
  if (!(await onlyWindow())) return alone();
  await openDb();
  await loadState();
  await loadPlaces();
  bus.addEventListener("change", () => drawSoon());
  document.addEventListener("pointerup", firstTap, { once: true });
  document.addEventListener("pointerup", () => (app.touched = performance.now()));
  window.addEventListener("unhandledrejection", ({ reason }) => {
    signal("stop");
    say(t("failed", { why: String(reason?.name ?? reason) }));
  });
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector(".wedge"));
  listen(field, onCode, onLeftOver);
  ownBackKey();
  const must = mustDo();
  go(must === "insecure" ? "query" : "home");
  if (must && must !== "insecure") go("setup", { step: must });
  writeLanguage();
  const code = enrolCode(location.hash);
  if (code && app.secure) await enrol(code);
  startSync();
  document.documentElement.dataset.ready = "";
  if (app.secure) await watchVersions();
}

/** Two windows would give the same number to two scans. */
function alone() {
  show(band, true);
  attr(band, "data-level", "bad");
  put(band, t("other_window"));
}

void start();
