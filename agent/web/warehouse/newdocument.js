// A document that is typed in.

import { el, icon, show } from "/panel/dom.js";
import { Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { documentPath, done, tell, verdictText } from "./ask.js";
import { desk, levelName } from "./desk.js";
import { chips, field, held, input, press, result, select, words } from "./parts.js";

const { t } = text;
const KINDS = ["ship", "receive", "transfer", "return_in", "return_out", "count"];
const MOST_LINES = 500;
const NEEDS_PARTY = new Set(["ship", "return_in", "return_out"]);

export class NewDocumentView {
  #kind = "ship";

  constructor() {
    const back = press("", () => (location.hash = "#documents"), "back");
    delete back.dataset.t;
    back.dataset.tLabel = "documents.back";
    back.append(icon("back"));
    this.kinds = chips("new.kind", KINDS, "kind", this.#kind, (kind) => {
      this.#kind = kind;
      this.render();
    });
    this.number = input();
    this.paper = input();
    this.territory = input();
    this.other = select(() => [["", t("choose")], ...desk.setup.parties.filter((one) => one.id !== desk.party)
      .map((one) => /** @type {[string, string]} */ ([one.id, `${desk.partyName(one.id)} · ${one.id}`]))]);
    this.location = select(() => this.#places());
    this.to = select(() => this.#places());
    this.reason = input("text", 200);
    this.condition = select(() => ["sellable", "damaged", "inspect"].map((one) => /** @type {[string, string]} */ ([one, t(`condition.${one}`)])));
    this.reasonField = field("post.reason", this.reason);
    this.conditionField = field("new.condition", this.condition.node);
    this.otherField = field("document.other", this.other.node);
    this.toField = field("document.to", this.to.node);
    this.locationField = field("document.location", this.location.node);
    this.territoryField = field("document.territory", this.territory);
    this.lines = el("ul", "lines");
    this.add = press("new.add_line", () => this.#addLine());
    this.lineCard = el("section", "card", words("h3", "document.lines"), words("p", "new.blind", "small"), this.lines, this.add);
    this.result = result();
    const make = held("new.create", () => this.#create(), this.result);
    this.node = el("div", "view", el("header", "", back, words("h2", "new.title")),
      el("div", "sheet-body", this.kinds,
        el("div", "fields", field("document.number", this.number), this.otherField, this.locationField, this.toField,
          field("document.paper", this.paper), this.territoryField,
          this.reasonField, this.conditionField),
        this.lineCard, this.result.node, el("div", "actions", make)));
    this.#addLine();
  }

  /** @returns {[string, string][]} */
  #places() {
    return [["", t("choose")], ...(desk.warehouse?.locations ?? []).map((/** @type {string} */ one) => /** @type {[string, string]} */ ([one, one]))];
  }

  async refresh() {
    this.render();
  }

  render() {
    for (const one of [this.other, this.location, this.to, this.condition]) one.write();
    for (const one of [this.reasonField, this.conditionField]) show(one, this.#kind === "return_in");
    for (const row of this.lines.children) /** @type {any} */ (row).write();
    show(this.otherField, this.#kind !== "transfer" && this.#kind !== "count");
    show(this.toField, this.#kind === "transfer");
    show(this.territoryField, this.#kind === "ship");
    show(this.lineCard, this.#kind !== "count");
  }

  #addLine() {
    const product = select(() => [["", t("choose")], ...desk.setup.products.map((one) => /** @type {[string, string]} */ ([one.sku, `${desk.productName(one.sku)} · ${one.sku}`]))]);
    const unit = select(() => (desk.product(product.node.value)?.levels ?? []).map((one) => /** @type {[string, string]} */ ([one.level, levelName(one.level)])));
    const lot = input();
    const quantity = input("number", 9);
    quantity.min = "1";
    quantity.inputMode = "numeric";
    product.node.addEventListener("change", unit.write);
    const row = /** @type {any} */ (el("li", "", field("line.product", product.node), field("line.lot_any", lot),
      field("line.quantity", quantity), field("line.unit", unit.node)));
    row.append(press("new.remove", () => row.remove()));
    row.write = () => [product, unit].forEach((one) => one.write());
    row.read = () => ({ product: product.node.value, lot: lot.value.trim(), quantity: Number(quantity.value), level: unit.node.value });
    if (this.lines.childElementCount < MOST_LINES) this.lines.append(row);
    text.writeFixed(row);
  }

  #read() {
    const number = this.number.value.trim();
    if (!number) throw new Refusal(t("new.number_missing"));
    if (NEEDS_PARTY.has(this.#kind) && !this.other.node.value) throw new Refusal(t("new.party_missing"));
    if (this.#kind === "transfer" && (!this.location.node.value || this.location.node.value === this.to.node.value || !this.to.node.value)) {
      throw new Refusal(t("new.way_missing"));
    }
    if (this.#kind === "count" && !this.location.node.value) throw new Refusal(t("new.place_missing"));
    const back = this.#kind === "return_in";
    if (back && !this.reason.value.trim()) throw new Refusal(t("post.reason_missing"));
    const rows = this.#kind === "count" ? [] : [...this.lines.children].map((row) => /** @type {any} */ (row).read());
    const lines = rows.filter((line) => line.product || line.quantity);
    for (const line of lines) {
      if (!line.product || !line.level || !Number.isInteger(line.quantity) || line.quantity < 1) throw new Refusal(t("new.line_wrong"));
    }
    return {
      number,
      kind: this.#kind,
      other: this.#kind === "transfer" || this.#kind === "count" ? "" : this.other.node.value,
      location: this.location.node.value,
      to: this.#kind === "transfer" ? this.to.node.value : "",
      paper: this.paper.value.trim(),
      territory: this.#kind === "ship" ? this.territory.value.trim() : "",
      reason: back ? this.reason.value.trim() : "",
      condition: back ? this.condition.node.value : "",
      blind: lines.length === 0,
      lines,
    };
  }

  async #create() {
    const asked = this.#read();
    const answer = await tell("documents", asked);
    if (!done(answer)) throw new Refusal(verdictText(answer));
    location.hash = `#${documentPath(asked.number).replace("documents/", "document/")}`;
  }
}
