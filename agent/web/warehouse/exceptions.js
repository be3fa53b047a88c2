// Scans and other items that came to nothing, each with what to do and who decides.

import { button, el, keep, put, show } from "/panel/dom.js";
import { Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { ask, done, tell, verdictText } from "./ask.js";
import { closeSheet, field, held, input, openSheet, result, words } from "./parts.js";

const { t } = text;

export class ExceptionsView {
  live = true;
  /** @type {any[]} */
  #rows = [];

  constructor() {
    this.list = el("ul", "rows");
    this.empty = words("p", "exceptions.none", "empty");
    this.result = result();
    this.node = el("div", "view", el("header", "", words("h2", "rail.exceptions")),
      el("div", "sheet-body", this.result.node, this.empty, this.list));
  }

  async refresh() {
    this.#rows = await ask("exceptions");
    this.render();
  }

  render() {
    show(this.empty, this.#rows.length === 0);
    keep(this.list, this.#rows.length, () => {
      const number = el("span");
      const code = el("p", "code");
      const who = el("span", "small");
      number.translate = code.translate = who.translate = false;
      return el("li", "card case", el("div", "top", el("span", "tag"), number, el("span", "small"), who),
        el("p", "do"), code, el("div", "actions"));
    });
    this.#rows.forEach((one, index) => {
      const [top, what, code, actions] = this.list.children[index].children;
      put(top.children[0], t(`do.${one.do}`));
      put(top.children[1], one.document || text.NONE);
      put(top.children[2], `${text.day(one.at_ms)} ${text.second(one.at_ms)}`);
      put(top.children[3], [one.device_name || one.device, one.by].filter(Boolean).join(" · "));
      put(what, verdictText(one));
      put(code, one.text || "");
      show(code, Boolean(one.text));
      keep(actions, one.choices.length, () => button("choice-button", true));
      one.choices.forEach((/** @type {string} */ choice, /** @type {number} */ at) => {
        const node = /** @type {any} */ (actions.children[at]);
        put(node, text.tOr("choice", choice));
        node.onclick = () => this.#askSettle(one, choice);
      });
    });
  }

  /** @param {any} one @param {string} choice */
  #askSettle(one, choice) {
    const said = result();
    const reason = input("text", 200);
    const hold = held("exceptions.settle", async () => {
      if (choice === "accept" && !reason.value.trim()) throw new Refusal(t("post.reason_missing"));
      const answer = await tell("exceptions/settle", { device: one.device, seq: one.seq, choice, reason: reason.value.trim() });
      if (!done(answer)) throw new Refusal(verdictText(answer));
      closeSheet();
      this.result.say(verdictText(answer));
      await this.refresh();
    }, said);
    const [verdict, what] = [el("p"), el("p", "do")];
    openSheet("exceptions.settle", [verdict, what, words("p", `choice_what.${choice}`, "small"),
      field("post.reason_optional", reason), said.node, el("div", "actions", hold)], () => {
      put(verdict, verdictText(one));
      put(what, text.tOr("choice", choice));
    });
  }
}
