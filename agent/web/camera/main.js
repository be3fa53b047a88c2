// The camera page for who sets a camera up: its last picture with what was read, the figures, and
// what to do. Asked twice a second while it is visible.

import { attr, el, keep, put, show, svg } from "/panel/dom.js";
import * as text from "/panel/text.js";

const { t } = text;
const EVERY_MS = 500;
const ANSWER_MS = 5000;
/** Least px per module of a symbology; 4 of the others. @type {Record<string, number>} */
const WANTED = { DataMatrix: 6, Code128: 3, EAN13: 3, EAN8: 3, ITF14: 3, DataBar: 3 };
const SOFT = 0.38;
const SIDES = ["left", "right", "top", "bottom"];

/** @param {string} id @returns {any} */
const node = (id) => document.getElementById(id);
/** @type {any} */
let told = null;
/** @type {string | null} */
let chosen = null;
let frozen = false;
let gone = false;
let shown = "";
/** The kept picture that is on the screen instead of the last one, "" for none. */
let kept = "";
/** @type {{name: string, number: number}[]} */
let failed = [];

/** @param {string} path */
async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

const address = () => `/api/cameras/${encodeURIComponent(chosen ?? "")}`;

async function listCameras() {
  const { cameras } = await (await ask("/api/cameras")).json();
  const picker = node("camera");
  picker.replaceChildren(
    ...cameras.map((/** @type {any} */ each) => {
      const option = /** @type {HTMLOptionElement} */ (el("option", "", `${each.line} · ${each.id}`));
      option.value = each.id;
      return option;
    }),
  );
  const wanted = decodeURIComponent(location.hash.slice(1));
  const known = cameras.some((/** @type {any} */ each) => each.id === wanted);
  chosen = known ? wanted : (cameras[0]?.id ?? null);
  if (chosen) picker.value = chosen;
}

async function refresh() {
  try {
    if (chosen === null) await listCameras();
    if (chosen !== null && !frozen) {
      const next = await (await ask(`${address()}/figures`)).json();
      if (next.id === chosen) told = next;
      await drawPicture();
      failed = (await (await ask(`${address()}/failed`)).json()).failed;
    }
    gone = false;
  } catch {
    gone = true; // no connection, or no answer in time: the next turn asks again
  }
  render();
}

async function drawPicture() {
  const frame = told?.picture ? `${told.id} ${told.picture.frame} ${told.picture.at}` : "";
  if (!frame || frame === shown) return;
  if (await draw(`${address()}/picture`, () => !frozen)) shown = frame;
}

/** @param {string} path @param {() => boolean} still whether it is wanted when it has come */
async function draw(path, still = () => true) {
  const answer = await ask(path);
  if (answer.status !== 200) return false;
  const bitmap = await createImageBitmap(await answer.blob());
  if (!still()) return false;
  const canvas = node("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return true;
}

/** A picture of a failed read instead of the live one. @param {string} name */
async function look(name) {
  frozen = true;
  try {
    if (await draw(`${address()}/failed/${encodeURIComponent(name)}`)) kept = name;
    shown = "";
  } catch {
    gone = true;
  }
  render();
}

function drawFailed() {
  const list = node("failed");
  show(node("failed-label"), failed.length > 0);
  keep(list, failed.length, () => el("li", "", el("button")));
  failed.forEach((each, index) => {
    const one = list.children[index].firstElementChild;
    one.type = "button";
    const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(each.name) ?? [];
    const at = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s));
    put(one, text.second(at));
    attr(one, "aria-pressed", String(each.name === kept));
    one.onclick = () => void look(each.name);
  });
}

function render() {
  document.documentElement.lang = text.languageTag();
  document.documentElement.dataset.feed = gone ? "stale" : "live";
  put(node("still"), gone ? t("camera.gone") : "");
  put(node("language"), t("language.other"));
  attr(node("language"), "lang", text.otherLanguage());
  put(node("freeze"), t(frozen ? "camera.live" : "camera.freeze"));
  attr(node("freeze"), "aria-pressed", String(frozen));
  const live = Boolean(told?.picture) && shown.startsWith(`${told.id} `);
  const seen = live || kept !== "";
  show(node("sheet"), seen);
  show(node("empty"), !seen);
  const none = chosen === null ? "camera.no_cameras" : "camera.no_picture";
  put(node("empty"), t(told && !told.shown ? "camera.secret" : none));
  put(node("count"), told ? t("camera.count", { n: told.pictures }) : "");
  show(node("marks"), live);
  if (live) drawMarks(told.picture);
  else attr(node("canvas"), "aria-label", t("camera.failed"));
  drawFailed();
  drawFigures(told?.figures ?? null, told?.symbology ?? "");
  drawAdvice();
}

/** @param {any} picture */
function drawMarks(picture) {
  const layer = node("marks");
  attr(layer, "viewBox", `0 0 ${picture.width} ${picture.height}`);
  const size = Math.max(16, picture.height / 26);
  const reads = picture.reads.flatMap((/** @type {number[][]} */ corners) => {
    const points = corners.map((corner) => corner.join(",")).join(" ");
    return [svg("polygon", { points, class: "halo" }), svg("polygon", { points })];
  });
  const places = picture.places.flatMap((/** @type {any} */ place) => {
    const [x, y, width, height] = place.box;
    const label = svg("text", { x: x + 8, y: y + size * 1.1, "font-size": size });
    label.textContent = t(`camera.verdict.${place.verdict}`);
    return [svg("rect", { x, y, width, height, "data-verdict": place.verdict }), label];
  });
  layer.replaceChildren(...reads, ...places);
  attr(node("canvas"), "aria-label", `${t("camera.picture")}: ${picture.reads.length}`);
}

/** @param {any} f @param {string} symbology */
function drawFigures(f, symbology) {
  const wanted = WANTED[symbology] ?? 4;
  const px = (/** @type {number | null} */ n) => (n == null ? text.NONE : t("camera.px", { n }));
  const soft = f?.module == null ? null : Math.round(SOFT * f.module * 10) / 10;
  /** @type {[string, string, string, boolean][]} */
  const rows = f
    ? [
        ["read", text.finePercent(f.read), t("camera.read.want"), f.read < 0.995],
        ["module", px(f.module), t("camera.module.want", { n: wanted }), f.module !== null && f.module < 0.97 * wanted],
        ["blur", px(f.blur), soft === null ? "" : t("camera.blur.want", { n: soft }), soft !== null && f.blur > soft],
        ["contrast", text.percent(f.contrast), t("camera.contrast.want"), f.contrast < 0.35],
        ["level", text.number(f.level), t("camera.level.want"), f.level < 110],
        ["ms", t("camera.millis", { n: f.ms }), "", false],
      ]
    : [];
  const list = node("figures");
  keep(list, rows.length, () => el("div", "", el("dt"), el("dd"), el("dd", "want")));
  rows.forEach(([name, value, want, bad], index) => {
    const row = list.children[index];
    put(row.children[0], t(`camera.${name}`));
    put(row.children[1], value);
    put(row.children[2], want);
    attr(row, "data-bad", bad ? "" : null);
  });
  const sides = node("sides");
  keep(sides, f ? 4 : 0, () => el("div", "", el("dt"), el("dd")));
  (f ? SIDES : []).forEach((side, index) => {
    const part = sides.children[index];
    put(part.children[0], t(`camera.side.${side}`));
    put(part.children[1], text.percent(f.sides[index]));
    attr(part, "data-bad", f.sides[index] < 0.75 ? "" : null);
  });
}

function drawAdvice() {
  const advice = told?.advice ?? [];
  const list = node("advice");
  keep(list, Math.max(1, advice.length), () => el("li"));
  if (!advice.length) put(list.children[0], t("camera.wait"));
  advice.forEach((/** @type {any} */ each, /** @type {number} */ index) => {
    put(list.children[index], each[text.currentLanguage()]);
  });
  const kept = told?.evidence;
  const args = kept && { n: kept.kept, mb: Math.round(kept.bytes / 1e5) / 10, lost: kept.lost };
  const key = kept ? (kept.lost ? "camera.evidence.lost" : "camera.evidence") : "camera.evidence.none";
  put(node("evidence"), told ? t(key, args) : "");
}

function writeWords() {
  for (const each of document.querySelectorAll("[data-t]")) {
    put(each, t(`camera.${/** @type {HTMLElement} */ (each).dataset.t}`));
  }
  for (const each of document.querySelectorAll("[data-t-label]")) {
    attr(each, "aria-label", t(`camera.${/** @type {HTMLElement} */ (each).dataset.tLabel}`));
  }
}

node("camera").addEventListener("change", () => {
  chosen = node("camera").value;
  location.hash = encodeURIComponent(chosen ?? "");
  told = null;
  shown = kept = "";
  failed = [];
  frozen = false;
  void refresh();
});
node("freeze").addEventListener("click", () => {
  frozen = !frozen;
  if (!frozen) kept = "";
  render();
});
node("language").addEventListener("click", () => {
  text.setLanguage(text.otherLanguage());
  writeWords();
  render();
});

await text.loadTexts();
writeWords();
for (;;) {
  if (document.visibilityState === "visible") await refresh();
  await new Promise((next) => setTimeout(next, EVERY_MS));
}
