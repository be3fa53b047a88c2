// What is here: by location, product and lot, with its age.

import { attr, el, put, show } from "/panel/dom.js";
import * as text from "/panel/text.js";
import { ask } from "./ask.js";
import { age, desk } from "./desk.js";
import { field, input, select, table, words } from "./parts.js";

const { t } = text;
/** Days after which goods are called old. */
const OLD_DAYS = 180;

export class StockView {
  /** @type {any} */
  #found = { rows: [], at: 0, more: 0, pieces: 0 };
  #timer = 0;

  constructor() {
    this.product = select(() => [["", t("all")], ...desk.setup.products.map((one) => /** @type {[string, string]} */ ([one.sku, `${desk.productName(one.sku)} · ${one.sku}`]))]);
    this.location = select(() => [["", t("all")], ...(desk.warehouse?.locations ?? []).map((/** @type {string} */ one) => /** @type {[string, string]} */ ([one, one]))]);
    this.lot = input();
    for (const node of [this.product.node, this.location.node]) node.addEventListener("change", () => this.#again());
    this.lot.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#again(), 300);
    });
    this.total = el("p", "small");
    this.table = table([["document.location", ""], ["line.product", ""], ["line.lot", ""], ["stock.amount", "n"], ["last.pieces", "n"], ["stock.units", "n"], ["stock.age", "n age"], ["stock.expires", "n"]]);
    this.empty = words("p", "stock.none", "empty");
    this.body = el("div", "sheet-body", el("div", "fields", field("line.product", this.product.node), field("line.lot", this.lot), field("document.location", this.location.node)),
      this.total, this.empty, this.table.node);
    this.node = el("div", "view", el("header", "", words("h2", "rail.stock")), this.body);
  }

  async refresh() {
    this.#found = await ask("stock", { product: this.product.node.value, lot: this.lot.value.trim(), location: this.location.node.value });
    this.render();
  }

  #again() {
    void this.refresh().catch((error) => put(this.total, error.message));
  }

  render() {
    for (const one of [this.product, this.location]) one.write();
    const { rows, at, more, pieces } = this.#found;
    show(this.empty, rows.length === 0);
    show(this.table.node, rows.length > 0);
    put(this.total, `${t("stock.total", { n: pieces })}${more ? ` · ${t("stock.more", { n: more })}` : ""}`);
    this.table.fill(rows, (row, [place, product, lot, amount, n, units, old, expires], line) => {
      put(place, row.location || t("stock.no_location"));
      put(product, desk.productName(row.product));
      put(lot, row.lot || text.NONE);
      put(amount, desk.amount(row.product, row.pieces));
      put(n, text.number(row.pieces));
      put(units, text.number(row.units));
      put(old, age(row.oldest_ms, at));
      put(expires, row.expires || text.NONE);
      attr(line, "data-old", row.oldest_ms && at - row.oldest_ms > OLD_DAYS * 86_400_000 ? "" : null);
    });
  }
}
