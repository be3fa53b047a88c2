// What blocks until a person has looked: the stop screen, questions, and naming unknown goods.

import { attr, keep, put } from "../panel/dom.js";
import { t } from "../panel/text.js";
import { back, current, digits, pick, Screen } from "./screen.js";
import { signal } from "./signals.js";
import { app } from "./state.js";
import { drawVerdict } from "./scan.js";
import { levelName, productName, shortCode, verdictWords } from "./words.js";

const LEVELS = ["bottle", "box", "case", "pallet"];

/** Why something comes that nobody announced. @param {string} kind */
export function reasonFor(kind) {
  return kind === "count" ? ["found", "other"] : ["over_sent", "wrong_sent", "not_listed", "other"];
}

class Stop extends Screen {
  /** @type {any} */
  args = {};
  /** @type {string[]} */
  refused = [];

  heading() {
    return t(this.args.verdict?.severity === "ask" ? "stop.asked" : "stop.title");
  }

  /** @param {any} args */
  enter(args) {
    this.args = args;
    this.refused = [];
    const options = args.answers ?? [];
    const box = this.piece("answers");
    box.replaceChildren();
    box.classList.toggle("pairs", options.length > 1);
    keep(box, options.length + 1, (at) => {
      const node = document.createElement("button");
      node.type = "button";
      const answer = options[at] ?? "";
      node.className = answer || options.length === 0 ? "main" : "";
      node.dataset.answer = answer;
      node.addEventListener("click", () => this.answer(answer));
      return node;
    });
  }

  /** @param {string} answer */
  answer(answer) {
    const { choose } = this.args;
    this.args = { ...this.args, choose: null };
    back();
    if (choose) choose(answer);
    else /** @type {any} */ (current()).ready?.();
  }

  leave() {
    this.args.choose?.("");
  }

  /** @param {string} text */
  code(text) {
    this.refused.unshift(text);
    /** @type {any} */ (document.querySelector("pda-scan")).book?.refuse(text, "meanwhile");
    signal("refused");
    this.draw();
  }

  draw() {
    const { verdict, code, answers = [] } = this.args;
    if (!verdict) return;
    drawVerdict(this, { ...verdict, code });
    put(this.piece("do"), verdictWords(verdict, "do"));
    put(this.piece("hint"), t(this.refused.length ? "stop.refused" : "stop.blocked"));
    for (const node of this.piece("answers").children) {
      const { answer } = node.dataset;
      const none = answers.length ? "ask.aside" : "stop.got_it";
      put(node, answer ? t(`ask.${answer}`) : t(none));
    }
    const list = this.piece("meanwhile");
    keep(list, this.refused.length, () => document.createElement("li"));
    for (const [at, text] of this.refused.entries()) {
      put(list.children[at], shortCode(text));
      attr(list.children[at], "translate", "no");
    }
  }
}

customElements.define("pda-stop", Stop);

/** Say what goods are that nobody told of; null when it was given up. */
export async function nameGoods() {
  const title = t("more.name");
  const product = await pick({
    ...{ title, hint: t("name.product") },
    options: [...app.products.values()]
      .filter((one) => !one.withdrawn)
      .map(({ sku, gtin }) => ({ label: productName(sku), hint: sku, value: sku, match: gtin })),
  });
  if (!product) return null;
  const level = await nameLevel(title);
  if (!level) return null;
  const hint = t("name.pieces", { level: levelName(level) });
  const typed = level === "bottle" ? "1" : await digits({ title, hint, most: 5 });
  return typed ? { product, lot: "", level, pieces: Number(typed) } : null;
}

/** What a unit is; "" when it was given up. @param {string} title */
export async function nameLevel(title) {
  const options = LEVELS.map((value) => ({ label: levelName(value), value }));
  return (await pick({ title, hint: t("name.level"), options, grid: true })) || "";
}
