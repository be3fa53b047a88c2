// The last sealed containers, and what each record is worth.

import { attr, el, icon, keep, put, show, View } from "./dom.js";
import { state } from "./state.js";
import * as text from "./text.js";

const { t } = text;
// px, as in run.css: what stands beside the code in a row, and one character of it.
const BESIDE = 100;
const CHARACTER = 9.1;
const ICONS = { proven: "check", anchored: "anchor", inferred: "dashed", incomplete: "warn" };

class Sealed extends View {
  connectedCallback() {
    new ResizeObserver(() => state.snapshot && this.render(state.snapshot)).observe(this.piece("list"));
  }

  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    const list = this.piece("list");
    const level = text.tOr("unit", s.current?.level ?? s.sealed[0]?.level ?? "case");
    put(this.piece("title"), t("sealed.title", { level }));
    show(this.piece("empty"), s.sealed.length === 0);
    put(this.piece("empty"), s.sealed.length ? "" : t("sealed.none"));
    const row = parseFloat(getComputedStyle(list).getPropertyValue("--row"));
    const rows = s.sealed.slice(0, Math.max(1, Math.floor(list.clientHeight / row)));
    keep(list, rows.length, makeRow);
    // The last characters are those that people compare with the label.
    const room = Math.max(8, Math.floor((list.clientWidth - BESIDE) / CHARACTER));
    rows.forEach((container, index) => {
      const [mark, code, worth, count, at] = list.children[index].children;
      const integrity = text.plainKey(container.integrity);
      attr(list.children[index], "data-integrity", integrity);
      attr(mark.firstElementChild, "href", `#i-${ICONS[/** @type {keyof ICONS} */ (integrity)] ?? "dashed"}`);
      put(code, container.code.length > room ? `…${container.code.slice(1 - room)}` : container.code);
      put(worth, text.tOr("integrity", integrity));
      put(count, `${text.number(container.count)}/${text.number(container.of)}`);
      put(at, text.second(container.at));
    });
  }
}

function makeRow() {
  const code = el("span", "code");
  code.translate = false;
  return el("li", "", icon("check"), code, el("span", "worth"), el("span", "count"), el("span", "at"));
}

customElements.define("cl-sealed", Sealed);
