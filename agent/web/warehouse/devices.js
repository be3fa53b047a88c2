// The warehouse's PDAs: which there are, when each was last heard, let one in, shut one out.

import { attr, button, el, keep, put, show, svg } from "/panel/dom.js";
import { Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { ask, tell } from "./ask.js";
import { desk } from "./desk.js";
import { approval, checks, closeSheet, field, held, input, openSheet, press, result, words } from "./parts.js";

const { t } = text;

export class DevicesView {
  live = true;
  polled = true;
  /** @type {any[]} */
  #rows = [];

  constructor() {
    this.list = el("ul", "rows");
    this.empty = words("p", "devices.none", "empty");
    this.result = result();
    this.node = el("div", "view", el("header", "", words("h2", "rail.devices"), press("devices.enrol", () => this.#askEnrol())),
      el("div", "sheet-body", this.result.node, this.empty, this.list));
  }

  async refresh() {
    this.#rows = await ask("devices");
    this.render();
  }

  render() {
    show(this.empty, this.#rows.length === 0);
    keep(this.list, this.#rows.length, () => this.#makeRow());
    this.#rows.forEach((one, index) => {
      const row = /** @type {any} */ (this.list.children[index]);
      const [name, scope, seen, queue, revoke] = row.children;
      row.device = one;
      attr(row, "data-revoked", one.revoked ? "" : null);
      put(name.firstElementChild, one.name);
      put(name.lastElementChild, [one.device, one.model].filter(Boolean).join(" · "));
      put(scope.firstElementChild, one.operations.map((/** @type {string} */ each) => t(`operation.${each}`)).join(t("comma")));
      put(scope.lastElementChild, one.locations.length ? one.locations.join(" ") : t("devices.everywhere"));
      scope.lastElementChild.translate = one.locations.length === 0;
      put(seen.firstElementChild, one.revoked ? t("devices.revoked") : one.seen_ms ? t("devices.seen", { time: `${text.day(one.seen_ms)} ${text.minute(one.seen_ms)}` }) : t("devices.never"));
      put(seen.lastElementChild, one.revoked ? one.why : Math.abs(one.skew_ms ?? 0) > 60_000 ? t("devices.skew", { time: text.duration(Math.abs(one.skew_ms) / 1000) }) : "");
      put(queue, one.queue > 0 ? t("devices.queue", { n: one.queue }) : "");
      show(revoke, !one.revoked);
    });
  }

  #makeRow() {
    const name = el("span", "", el("b"), el("small"));
    name.translate = false;
    const revoke = button("", true);
    revoke.dataset.t = "devices.revoke";
    const row = /** @type {any} */ (el("li", "card device", name, el("span", "", el("span"), el("small")),
      el("span", "", el("span"), el("small")), el("span"), revoke));
    revoke.addEventListener("click", () => this.#askRevoke(row.device));
    text.writeFixed(row);
    return row;
  }

  #askEnrol() {
    const name = input();
    const sign = approval();
    const said = result();
    const places = checks((desk.warehouse?.locations ?? []).map((/** @type {string} */ one) => {
      const label = el("span", "", one);
      label.translate = false;
      return [one, label];
    }), false);
    const operations = checks(desk.setup.operations.map((one) => [one, words("span", `operation.${one}`)]), true);
    const hold = held("devices.show_code", async () => {
      if (!name.value.trim()) throw new Refusal(t("devices.name_missing"));
      const asked = { name: name.value.trim(), locations: places.values(), operations: operations.values(), ...sign.values() };
      const code = await tell("devices/invite", asked);
      this.#showCode(code);
    }, said);
    openSheet("devices.enrol", [field("devices.name", name), words("h3", "devices.places"), places.node,
      words("h3", "devices.operations"), operations.node, sign.node, said.node, el("div", "actions", hold)]);
  }

  /** The symbol to be scanned with the new PDA, and how long it is good. @param {any} code */
  #showCode(code) {
    const size = code.rows.length;
    let path = "";
    code.rows.forEach((/** @type {string} */ row, /** @type {number} */ y) => {
      for (let x = 0; x < row.length; x++) if (row[x] === "1") path += `M${x} ${y}h1v1h-1z`;
    });
    const symbol = svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img" }, svg("path", { d: path }));
    symbol.setAttribute("data-t-label", "devices.code");
    const left = el("p", "left");
    left.setAttribute("role", "timer");
    const until = performance.now() + code.seconds * 1000;
    const known = new Set(this.#rows.map((one) => one.device));
    const steps = el("ol", "", ...["devices.step1", "devices.step2", "devices.step3"].map((key) => words("li", key)));
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      put(left, `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
      const come = this.#rows.find((one) => !known.has(one.device));
      if (come) {
        closeSheet();
        this.result.say(t("devices.enrolled", { name: come.name }));
      } else if (!seconds) {
        closeSheet();
        this.result.say(t("devices.expired"), true);
      }
    };
    const address = el("p", "code small", code.text);
    address.translate = false;
    const timer = setInterval(tick, 250);
    openSheet("devices.scan", [el("div", "qr", symbol, el("div", "", left, words("p", "devices.left", "small"), steps, address))], tick, () => clearInterval(timer));
  }

  /** @param {any} device */
  #askRevoke(device) {
    const reason = input("text", 200);
    const sign = approval();
    const said = result();
    const hold = held("devices.revoke", async () => {
      if (!reason.value.trim()) throw new Refusal(t("post.reason_missing"));
      await tell(`devices/${encodeURIComponent(device.device)}/revoke`, { reason: reason.value.trim(), ...sign.values() });
      closeSheet();
      this.result.say(t("devices.is_revoked", { name: device.name }));
      await this.refresh();
    }, said);
    const name = el("p", "", `${device.name} · ${device.device}`);
    name.translate = false;
    openSheet("devices.revoke_title", [name, words("p", "devices.revoke_what"), field("post.reason", reason), sign.node, said.node, el("div", "actions", hold)]);
  }
}
