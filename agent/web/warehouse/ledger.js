// 进销存: what came, went and is there, by day, product and lot.

import { el, put, show } from "/panel/dom.js";
import * as text from "/panel/text.js";
import { ask } from "./ask.js";
import { desk } from "./desk.js";
import { field, input, table, words } from "./parts.js";

const DAYS = 7;
const FIGURES = ["received", "shipped", "returned_in", "returned_out", "moved", "difference", "stock"];

/** @param {Date} when */
const iso = (when) => `${when.getFullYear()}-${String(when.getMonth() + 1).padStart(2, "0")}-${String(when.getDate()).padStart(2, "0")}`;

export class LedgerView {
  /** @type {any[]} */
  #rows = [];

  constructor() {
    const today = new Date();
    this.first = input("date");
    this.last = input("date");
    this.first.value = iso(new Date(today.getFullYear(), today.getMonth(), today.getDate() - DAYS + 1));
    this.last.value = iso(today);
    this.said = el("p", "small");
    for (const node of [this.first, this.last]) node.addEventListener("change", () => {
      void this.refresh().catch((error) => put(this.said, error.message));
    });
    this.table = table([["ledger.day", ""], ["line.product", ""], ["line.lot", ""], ...FIGURES.map((name) => /** @type {[string, string]} */ ([`ledger.${name}`, "n"]))]);
    this.empty = words("p", "ledger.none", "empty");
    this.node = el("div", "view", el("header", "", words("h2", "rail.ledger")),
      el("div", "sheet-body", el("div", "fields", field("ledger.first", this.first), field("ledger.last", this.last)),
        words("p", "ledger.what", "small"), this.said, this.empty, this.table.node));
  }

  async refresh() {
    if (!this.first.value || !this.last.value) return;
    this.#rows = await ask("ledger", { first: this.first.value, last: this.last.value });
    put(this.said, "");
    this.render();
  }

  render() {
    show(this.empty, this.#rows.length === 0);
    show(this.table.node, this.#rows.length > 0);
    this.table.fill(this.#rows, (row, [day, product, lot, ...figures]) => {
      put(day, row.day);
      put(product, desk.productName(row.product));
      put(lot, row.lot || text.NONE);
      figures.forEach((cell, index) => put(cell, row[FIGURES[index]] ? text.number(row[FIGURES[index]]) : "0"));
    });
  }
}
