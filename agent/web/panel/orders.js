// Start, pause, resume and finish the work order; the agent's refusal in plain words.

import { attr, button, el, keep, put, show } from "./dom.js";
import { causeText } from "./held.js";
import { holdButton } from "./hold.js";
import { command, linePath, Refusal } from "./server.js";
import { allow, by, state } from "./state.js";
import * as text from "./text.js";

const { t } = text;
const PAUSE_REASONS = ["break", "material", "fault", "quality"];

/** @typedef {import("./types.js").Snapshot} Snapshot */

export class OrdersSheet {
  #busy = false;
  #chosen = "";
  #why = "";

  /** @param {() => void} done closes the sheet after a command was carried out */
  constructor(done) {
    this.done = done;
  }

  title() {
    return t("orders.title");
  }

  /** @param {HTMLElement} root */
  build(root) {
    this.facts = el("dl", "pairs");
    for (const name of ["number", "product", "lot", "target", "state"]) {
      const term = el("dt");
      term.dataset.t = name === "lot" ? "order.lot_label" : `order.${name}`;
      const fact = el("dd");
      fact.translate = name === "target" || name === "state";
      this.facts.append(el("div", "", term, fact));
    }
    this.why = this.#buildReasons();
    this.pause = holdButton("wide", () => this.#send("pause", { why: this.#why }));
    this.resume = button("wide", true);
    this.resume.addEventListener("click", () => this.#send("resume", {}));
    this.finish = holdButton("wide", () => this.#send("finish", {}));
    this.cause = el("p", "held-cause");
    this.running = el("section", "running", this.facts, this.cause, this.why,
      el("div", "actions", this.pause.node, this.resume, this.finish.node));

    this.listTitle = el("h3");
    this.listTitle.dataset.t = "orders.startable";
    this.list = el("div", "choices");
    this.list.setAttribute("role", "radiogroup");
    this.list.dataset.tLabel = "orders.startable";
    this.none = el("p", "empty");
    this.first = el("p", "small");
    this.first.dataset.t = "orders.finish_first";
    this.start = button("wide", true);
    this.start.addEventListener("click", () => this.#send("start", { order: this.#chosen }));
    this.startable = el("section", "", this.listTitle, this.none, this.list,
      el("div", "actions", this.start));
    this.result = el("p", "result");
    this.result.setAttribute("role", "alert");
    this.running.append(this.first);
    root.append(this.running, this.startable, this.result);
  }

  #buildReasons() {
    const legend = el("legend");
    legend.dataset.t = "pause.why";
    const set = el("fieldset", "chips", legend);
    for (const reason of PAUSE_REASONS) {
      const input = /** @type {HTMLInputElement} */ (el("input"));
      input.type = "radio";
      input.name = "why";
      input.addEventListener("change", () => (this.#why = reason));
      const words = el("span");
      words.dataset.t = `pause.${reason}`;
      set.append(el("label", "chip", input, words));
    }
    return set;
  }

  /** @param {Snapshot} s */
  render(s) {
    const order = s.order;
    const held = order?.status === "paused";
    show(this.running, order !== null);
    show(this.startable, order === null);
    if (order) {
      const facts = [order.number, text.named(order.names, order.sku), order.lot,
        text.tOr("count", order.level, { n: order.target }), text.tOr("state", s.state.packml)];
      [...this.facts.children].forEach((row, index) => put(row.lastElementChild, facts[index]));
    }
    const why = causeText(s.state.cause);
    put(this.cause, why);
    show(this.cause, why !== "");
    show(this.pause.node, !held);
    show(this.why, !held);
    show(this.resume, held);
    this.pause.name(t("order.pause"));
    put(this.resume, t("order.resume"));
    this.finish.name(t("order.finish"));
    this.#renderStartable(s);
    for (const node of [this.pause.node, this.resume, this.finish.node]) allow(node, !this.#busy);
  }

  /** @param {Snapshot} s */
  #renderStartable(s) {
    put(this.none, s.orders.length ? "" : t("orders.none"));
    show(this.none, s.orders.length === 0);
    keep(this.list, s.orders.length, () => this.#makeChoice());
    s.orders.forEach((order, index) => {
      const row = this.list.children[index];
      const [input, number, sku, lot, target] = row.children;
      const radio = /** @type {HTMLInputElement} */ (input);
      radio.value = order.number;
      radio.checked = order.number === this.#chosen;
      put(number, order.number);
      put(sku, order.sku);
      put(lot, t("order.lot", { lot: order.lot }));
      put(target, t("good.target", { n: order.target }));
    });
    const chosen = s.orders.some((order) => order.number === this.#chosen);
    show(this.start, s.orders.length > 0);
    put(this.start, chosen ? t("order.start_this", { number: this.#chosen }) : t("order.choose_first"));
    attr(this.start, "data-ready", chosen ? "" : null);
    allow(this.start, chosen && !this.#busy);
  }

  #makeChoice() {
    const input = /** @type {HTMLInputElement} */ (el("input"));
    input.type = "radio";
    input.name = "order";
    input.addEventListener("change", () => {
      this.#chosen = input.value;
      this.#say("");
      this.#again();
    });
    const [number, sku] = [el("b"), el("span")];
    number.translate = sku.translate = false;
    return el("label", "choice", input, number, sku, el("span"), el("span"));
  }

  /** @param {string} what @param {object} more */
  async #send(what, more) {
    if (this.#busy || !state.snapshot) return;
    this.#busy = true;
    this.#say(t("orders.sending"));
    this.#again();
    try {
      await command(`${linePath(state.snapshot.line.id)}/${what}`, { by: by(), ...more });
      this.done();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#say(error.message, true);
    } finally {
      this.#busy = false;
      this.#again();
    }
  }

  /** @param {string} words @param {boolean} [refused] */
  #say(words, refused = false) {
    put(this.result, words);
    attr(this.result, "data-refused", refused ? "" : null);
  }

  #again() {
    if (state.snapshot) this.render(state.snapshot);
  }
}
