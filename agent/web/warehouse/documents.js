// All documents of the warehouse; one is opened by a tap.

import { attr, button, el, keep, put, show } from "/panel/dom.js";
import * as text from "/panel/text.js";
import { ask } from "./ask.js";
import { desk } from "./desk.js";
import { chips, meter, press, words } from "./parts.js";

const { t } = text;
const STATES = ["open", "counted", "closed", "reversed", "all"];
let status = "open";

/** @param {any} one */
export function progress(one) {
  const asked = one.lines.reduce((/** @type {number} */ sum, /** @type {any} */ line) => sum + line.pieces, 0);
  const done = one.pieces + one.posted;
  return { total: asked, done, share: asked ? done / asked : 0 };
}

/** @param {any} one */
export function progressText(one) {
  const { total, done } = progress(one);
  if (total) return t("document.progress", { done, total });
  if (one.status === "open" || one.status === "counted") return t("document.scanned", { n: one.scanned });
  return one.kind === "count" ? "" : t("document.posted", { n: done });
}

/** Where it comes from or goes to. @param {any} one */
export function wayText(one) {
  if (one.kind === "transfer") return `${one.location || text.NONE} → ${one.to || desk.partyName(one.other)}`;
  if (one.kind === "count") return one.location || text.NONE;
  return desk.partyName(one.other);
}

export class DocumentsView {
  live = true;
  /** @type {any[]} */
  #rows = [];

  constructor() {
    this.list = el("ul", "rows");
    this.empty = words("p", "documents.none", "empty");
    const filter = chips("documents.filter", STATES, "status", status, (value) => {
      status = value;
      void this.refresh();
    });
    this.node = el("div", "view",
      el("header", "", filter,
        press("documents.import", () => (location.hash = "#import")),
        press("documents.new", () => (location.hash = "#new"))),
      el("div", "sheet-body", this.empty, this.list));
  }

  async refresh() {
    this.#rows = await ask("documents", { status });
    this.render();
  }

  render() {
    show(this.empty, this.#rows.length === 0);
    keep(this.list, this.#rows.length, () => this.#makeRow());
    this.#rows.forEach((one, index) => {
      const node = /** @type {any} */ (this.list.children[index].firstElementChild);
      const [kind, number, way, amount, state] = node.children;
      node.dataset.number = one.number;
      put(kind, t(`kind.${one.kind}`));
      put(number.firstElementChild, one.number);
      put(number.lastElementChild, t("document.since", { time: text.day(one.opened_ms), clock: text.minute(one.opened_ms) }));
      put(way.firstElementChild, wayText(one));
      put(way.lastElementChild, one.paper || "");
      put(amount.firstElementChild, progressText(one));
      node.meter.set(progress(one).share);
      show(node.meter.node, progress(one).total > 0);
      put(state.firstElementChild, t(`status.${one.status}`));
      attr(state.firstElementChild, "data-s", one.status);
      put(state.lastElementChild, one.devices?.length ? t("document.devices", { n: one.devices.length }) : "");
    });
  }

  #makeRow() {
    const bar = meter();
    const node = /** @type {any} */ (button("row"));
    node.meter = bar;
    const number = el("span", "", el("b", "number"), el("small"));
    /** @type {HTMLElement} */ (number.firstElementChild).translate = false;
    const way = el("span", "", el("span"), el("small"));
    way.translate = false;
    node.append(el("span"), number, way, el("span", "", el("span"), bar.node),
      el("span", "end", el("span", "tag"), el("small")));
    node.addEventListener("click", () => (location.hash = `#document/${encodeURIComponent(node.dataset.number)}`));
    return el("li", "", node);
  }
}
