// The devices of a line: how each is, and of one what went over its wire, a check and a test.
// Loaded when somebody asks for it; the panel's own page stays small.

import { attr, button, el, icon, keep, put, show, svg } from "/panel/dom.js";
import { closeSheet, openSheet } from "/panel/dialogs.js";
import { holdButton } from "/panel/hold.js";
import { command, inWords, Refusal } from "/panel/server.js";
import { allow } from "/panel/state.js";
import * as text from "/panel/text.js";

const { t } = text;
const WIRE_MS = 1500;
const TEST_SECONDS = 10;
const MESSAGES = 100;

await text.loadTexts("/devices/");
const style = /** @type {HTMLLinkElement} */ (el("link"));
style.rel = "stylesheet";
style.href = "/devices/sheet.css";
await new Promise((loaded) => {
  style.addEventListener("load", loaded);
  style.addEventListener("error", loaded);
  document.head.append(style);
});

/** @typedef {import("/panel/types.js").Snapshot} Snapshot */
/** @typedef {import("/panel/types.js").DeviceState} DeviceState */
/** @typedef {{good: boolean, words?: string, doing?: string, said?: import("/panel/types.js").Said}} Finding */

/** What a device says is wrong: its keys in words, a sentence as it is. @param {string | null} error */
function wrong(error) {
  const keys = (error ?? "").split(", ");
  const known = keys.every((key) => /^[a-z0-9_]+$/.test(key));
  return known ? keys.map((key) => text.tOr("fault", key)).join(t("devices.comma")) : error ?? "";
}

/**
 * What the agent says of a device, in the language of the page; keys of faults and warnings in it too.
 * @param {import("/panel/types.js").Said} said
 * @returns {string}
 */
function inOurs({ key, args }) {
  const holes = Object.entries(args).map(([name, value]) => {
    if (typeof value !== "string") return [name, inOurs(value)];
    if (name === "warning") return [name, text.tOr("warning", value)];
    return [name, name === "faults" ? wrong(value) : value];
  });
  return t(`found.${key}`, Object.fromEntries(holes));
}

/** @param {DeviceState} device */
const soon = (device) => (device.warnings ?? []).map((key) => text.tOr("warning", key)).join(t("devices.comma"));

/** Every device: state, last answer, latency, what it says is wrong. */
export class DevicesSheet {
  title() {
    return t("rail.devices");
  }

  /** @param {HTMLElement} root */
  build(root) {
    this.empty = el("p", "empty");
    this.list = el("ul", "devices");
    root.append(this.empty, this.list);
  }

  /** @param {Snapshot} s */
  render(s) {
    const devices = s.devices.list;
    put(this.empty, devices.length ? "" : t("devices.none"));
    show(this.empty, devices.length === 0);
    keep(this.list, devices.length, () => row((id) => openSheet(new DeviceSheet(id))));
    devices.forEach((device, index) => fill(this.list.children[index].firstElementChild, device));
  }
}

/** A row; a tap opens the device. @param {(id: string) => void} open */
function row(open) {
  const name = el("b");
  const error = el("span", "error");
  name.translate = false;
  const node = button("");
  node.append(icon("check"), name, el("span", "kind"), el("span", "state"), el("span", "latency"), el("span", "last"), error, el("span", "warned"));
  node.addEventListener("click", () => open(name.textContent ?? ""));
  return el("li", "", node);
}

/** @param {any} node @param {DeviceState} device */
function fill(node, device) {
  const [mark, name, kind, word, latency, last, error, warned] = node.children;
  attr(node, "data-state", device.state);
  const shape = { ok: "check", starting: "starting" }[device.state] ?? "warn";
  attr(mark.firstElementChild, "href", `#i-${shape}`);
  put(name, device.id);
  put(kind, text.tOr("device", device.kind) + (device.quality ? ` · ${device.quality.letter}` : ""));
  put(word, text.tOr("device_state", device.state));
  put(latency, device.latency_ms === null ? text.NONE : t("devices.latency", { n: Math.round(device.latency_ms * 10) / 10 }));
  put(last, device.last === null ? t("devices.never") : t("devices.last", { time: text.second(device.last) }));
  put(error, device.said ? inOurs(device.said) : wrong(device.error));
  error.translate = !device.said && error.textContent !== device.error;
  show(error, device.error !== null);
  put(warned, soon(device));
  show(warned, warned.textContent !== "");
}

/** One device: counts, check, test, and its wire as it goes. */
class DeviceSheet {
  /** @type {any[]} */
  #entries = [];
  #timer = 0;
  /** @type {Finding[]} */
  #found = [];
  #language = text.currentLanguage();

  /** @param {string} id */
  constructor(id) {
    this.named = true;
    this.id = id;
    this.path = `/api/devices/${encodeURIComponent(id)}`;
  }

  title() {
    return this.id;
  }

  /** @param {HTMLElement} root */
  build(root) {
    this.list = el("ul", "devices one", row(() => {}));
    this.counts = el("p", "counts");
    this.said = el("ul", "found");
    const status = el("div", "", this.said);
    status.setAttribute("role", "status");
    this.back = button("");
    this.back.dataset.t = "devices.back";
    this.back.addEventListener("click", () => openSheet(new DevicesSheet()));
    this.check = button("", true);
    this.check.dataset.t = "devices.check";
    this.check.addEventListener("click", () => void this.#do("devices.checking", async () => (await command(`${this.path}/check`, {})).found));
    this.test = holdButton("", () => void this.#do("devices.testing", async () => {
      const { said } = await command(`${this.path}/test`, { seconds: TEST_SECONDS });
      return [{ good: true, said }];
    }));
    this.wire = el("ol", "wire");
    this.wire.translate = false;
    this.wire.tabIndex = 0;
    this.nothing = el("p", "empty");
    this.nothing.dataset.t = "devices.wire_none";
    const heading = el("h3");
    heading.dataset.t = "devices.wire";
    this.wire.setAttribute("data-t-label", "devices.wire");
    const scores = el("span");
    scores.translate = false;
    this.quality = el("p", "counts quality", el("span"), " ", scores);
    this.limit = svg("path", { class: "limit" });
    this.course = svg("polyline", {});
    this.trend = svg("svg", { class: "quality-trend", viewBox: "0 0 60 44", preserveAspectRatio: "none", "aria-hidden": "true" }, this.limit, this.course);
    this.labels = el("div", "labels");
    this.labelled = el("h3");
    this.labelled.dataset.t = "devices.labels";
    show(this.labelled, false);
    this.look = /** @type {HTMLAnchorElement} */ (el("a", "choice"));
    this.look.href = `/camera/#${encodeURIComponent(this.id)}`;
    this.look.dataset.t = "devices.look";
    show(this.look, false);
    root.append(this.list, this.counts, this.quality, this.trend, el("div", "actions", this.back, this.check, this.test.node, this.look), status, this.labelled, this.labels, heading, this.nothing, this.wire);
    void this.#listen();
    void this.#look();
  }

  /** @param {Snapshot} s */
  render(s) {
    const device = s.devices.list.find((each) => each.id === this.id);
    if (!device) return closeSheet();
    fill(this.list.firstElementChild?.firstElementChild, device);
    put(this.counts, t("devices.counts", { lost: device.losses ?? 0, faults: device.faults ?? 0 }));
    this.#rate(device.quality);
    show(this.look, device.kind === "camera");
    this.test.name(t("devices.test"));
    if (this.#language !== text.currentLanguage()) this.#say(this.#found);
    show(this.nothing, this.#entries.length === 0);
    show(this.wire, this.#entries.length > 0);
    keep(this.wire, this.#entries.length, () => el("li", "", el("time"), el("b"), el("span"), el("code")));
    this.#entries.forEach((entry, index) => {
      const [time, way, words, hex] = this.wire.children[index].children;
      put(time, `${text.second(entry.at)}.${String(entry.at % 1000).padStart(3, "0")}`);
      put(way, { ">": "→", "<": "←" }[entry.direction] ?? "·");
      put(words, entry.text + (entry.more ? ` +${entry.more}` : ""));
      put(hex, entry.hex);
    });
  }

  /** How well the codes before a camera are printed, and how it went. @param {import("/panel/types.js").Quality | null | undefined} quality */
  #rate(quality) {
    show(this.quality, Boolean(quality));
    show(this.trend, Boolean(quality));
    if (!quality) return;
    const { letter, score, limit, points } = quality;
    const weakest = Object.entries(quality.scores).sort((a, b) => a[1] - b[1]);
    put(this.quality.firstElementChild, t("devices.quality", { letter, score, limit: limit || text.NONE }));
    put(this.quality.lastElementChild, weakest.map(([name, value]) => `${name} ${value}`).join(" · "));
    const y = (/** @type {number} */ value) => 42 - 10 * value;
    attr(this.course, "points", points.map((point, n) => `${n + 60 - points.length},${y(point[1])}`).join(" "));
    const least = "DCBA".indexOf(limit) + 1;
    attr(this.limit, "d", limit ? `M0 ${y(least)}H60` : "");
  }

  /** @param {string} doing key @param {() => Promise<Finding[]>} act */
  async #do(doing, act) {
    this.#say([{ good: true, doing }]);
    allow(this.check, false);
    allow(this.test.node, false);
    try {
      this.#say(await act());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#say([error.said ? { good: false, said: error.said } : { good: false, words: error.message }]);
    } finally {
      allow(this.check, true);
      allow(this.test.node, true);
    }
  }

  /** @param {Finding[]} found */
  #say(found) {
    this.#found = found;
    this.#language = text.currentLanguage();
    const ordered = [...found.filter((each) => !each.good), ...found.filter((each) => each.good)];
    this.said.replaceChildren(...ordered.map((each) => {
      const words = el("span", "", each.said ? inOurs(each.said) : each.doing ? t(each.doing) : each.words);
      words.translate = false;
      const node = el("li", "", icon(each.good ? "check" : "warn"), words);
      attr(node, "data-good", each.good ? "" : null);
      return node;
    }));
  }

  /** The labels of a label printer, with examples in their fields. */
  async #look() {
    const answer = await fetch(`${this.path}/labels`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    const names = answer?.ok ? (await answer.json()).labels : [];
    this.labels.replaceChildren(...names.map((/** @type {string} */ name) => {
      const picture = /** @type {HTMLImageElement} */ (el("img"));
      picture.src = `${this.path}/labels/${encodeURIComponent(name)}`;
      picture.alt = name;
      const caption = el("figcaption", "", name);
      caption.translate = false;
      return el("figure", "", picture, caption);
    }));
    show(this.labelled, names.length > 0);
  }

  /** Ask for the wire again and again while this is open and seen. */
  async #listen() {
    clearTimeout(this.#timer);
    if (!document.hidden) {
      try {
        const answer = await fetch(`${this.path}/wire?count=${MESSAGES}`, { signal: AbortSignal.timeout(5000) });
        if (!answer.ok) throw new Refusal(await inWords(answer));
        this.#entries = (await answer.json()).entries.reverse();
      } catch {
        // The panel itself says when the agent does not answer.
      }
    }
    if (this.wire.isConnected) this.#timer = setTimeout(() => void this.#listen(), WIRE_MS);
  }
}
