// One document: its lines and the PDAs at work on it, live; post it, take it back, print its slip.

import { attr, el, icon, keep, put, show } from "/panel/dom.js";
import { Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { ask, documentPath, done, tell, verdictText } from "./ask.js";
import { desk, levelName } from "./desk.js";
import { progressText, wayText } from "./documents.js";
import { approval, closeSheet, field, held, input, meter, openSheet, press, result, table, words } from "./parts.js";

const { t } = text;
const FACTS = ["way", "location", "paper", "territory", "channel", "source", "opened", "closed"];

export class DocumentView {
  live = true;
  /** @type {any} */
  #one = null;

  /** @param {string} number */
  constructor(number) {
    this.number = number;
    this.title = el("h2", "number", number);
    this.title.translate = false;
    this.kind = el("span");
    this.status = el("span", "tag");
    this.result = result();
    const back = press("", () => (location.hash = "#documents"), "back");
    delete back.dataset.t;
    back.dataset.tLabel = "documents.back";
    back.append(icon("back"));
    this.print = press("document.print", () => void this.#print());
    this.post = press("document.post", () => this.#askPost());
    this.reverse = press("document.reverse", () => this.#askReverse());
    for (const node of [this.print, this.post, this.reverse]) node.dataset.act = "";

    this.facts = el("dl", "facts-line");
    for (const name of FACTS) this.facts.append(el("div", "", words("dt", `document.${name}`), el("dd")));
    this.total = el("p");
    this.lines = table([["line.product", ""], ["line.lot", ""], ["line.asked", "n"], ["line.done", "n"], ["line.share", "share"]]);
    this.devices = table([["document.device", ""], ["document.units", "n"], ["document.last", "n"]]);
    this.noDevices = words("p", "document.no_devices", "small");
    this.last = table([["last.time", "time"], ["last.unit", ""], ["last.pieces", "n"]]);
    this.noLast = words("p", "document.nothing", "small");
    this.missing = table([["last.unit", ""], ["line.product", ""], ["line.lot", ""], ["last.pieces", "n"]]);
    this.difference = table([["difference.word", ""], ["last.unit", ""], ["line.product", ""], ["line.lot", ""], ["last.pieces", "n"]]);
    this.differenceCard = el("section", "card", words("h3", "document.difference"), this.difference.node);
    this.missingCard = el("section", "card", words("h3", "document.missing"), this.missing.node);
    this.work = el("div", "", el("section", "card", words("h3", "document.at_work"), this.noDevices, this.devices.node),
      el("section", "card", words("h3", "document.last_scans"), this.noLast, this.last.node));
    this.node = el("div", "view",
      el("header", "", back, this.kind, this.title, this.status, this.print, this.reverse, this.post),
      el("div", "sheet-body", this.result.node, el("section", "card", this.facts),
        el("div", "two",
          el("div", "", el("section", "card", words("h3", "document.lines"), this.total, this.lines.node), this.missingCard, this.differenceCard),
          this.work)));
  }

  async refresh() {
    this.#one = await ask(documentPath(this.number));
    this.render();
  }

  render() {
    const one = this.#one;
    if (!one) return;
    put(this.kind, t(`kind.${one.kind}`));
    put(this.status, t(`status.${one.status}`));
    attr(this.status, "data-s", one.status);
    show(this.post, one.status === "open" || one.status === "counted");
    show(this.reverse, one.status === "closed");
    show(this.print, Boolean(desk.warehouse?.slips));
    /** @type {Record<string, string>} */
    const facts = {
      way: one.kind === "count" ? "" : wayText(one),
      location: one.kind === "transfer" ? "" : one.location,
      paper: one.paper,
      territory: one.territory,
      channel: one.channel,
      source: t(`source.${one.source || "other"}`),
      opened: moment(one.opened_ms),
      closed: one.closed_ms ? moment(one.closed_ms) : "",
    };
    FACTS.forEach((name, index) => {
      const row = this.facts.children[index];
      show(row, Boolean(facts[name]));
      put(/** @type {Element} */ (row.lastElementChild), facts[name] || "");
      /** @type {HTMLElement} */ (row.lastElementChild).translate = name === "source" || name === "opened" || name === "closed";
    });
    put(this.total, progressText(one));
    this.#renderLines(one);
    show(this.work, one.status === "open");
    show(this.noDevices, one.devices.length === 0);
    show(this.devices.node, one.devices.length > 0);
    this.devices.fill(one.devices, (row, [name, units, last]) => {
      put(name, row.name || row.device || t("document.desk"));
      /** @type {HTMLElement} */ (name).translate = false;
      put(units, text.number(row.units));
      put(last, text.second(row.last_ms));
    });
    show(this.noLast, one.last.length === 0);
    show(this.last.node, one.last.length > 0);
    this.last.fill(one.last, (row, [time, unit, pieces]) => {
      put(time, text.second(row.at_ms));
      put(unit, `${levelName(row.level)} ${row.code || row.ref}`);
      put(pieces, text.number(row.pieces));
    });
    show(this.missingCard, one.missing.length > 0);
    this.#renderMissing(this.missing, one.missing);
    const { found, lost } = one.difference;
    show(this.differenceCard, found.length + lost.length > 0);
    this.difference.fill([...lost.map((/** @type {any} */ each) => ({ ...each, word: "lost" })), ...found.map((/** @type {any} */ each) => ({ ...each, word: "found" }))],
      (row, [word, unit, product, lot, pieces]) => {
        put(word, t(`difference.${row.word}`));
        put(unit, `${levelName(row.level)} ${row.code || row.ref}`);
        put(product, desk.productName(row.product));
        put(lot, row.lot || text.NONE);
        put(pieces, text.number(row.pieces));
      });
  }

  /** @param {any} one */
  #renderLines(one) {
    show(this.lines.node, one.lines.length > 0);
    this.lines.fill(one.lines, (line, [product, lot, asked, got, share]) => {
      const per = line.quantity ? line.pieces / line.quantity : 1;
      put(product, desk.productName(line.product));
      put(lot, line.lot || t("line.any_lot"));
      put(asked, text.tOr("count", line.level || "piece", { n: line.quantity }));
      const done = line.done + line.posted;
      put(got, done % per ? desk.amount(line.product, done) : text.tOr("count", line.level || "piece", { n: done / per }));
      const bar = /** @type {any} */ (share).bar ?? (/** @type {any} */ (share).bar = meter());
      if (!bar.node.isConnected) share.append(bar.node);
      bar.set(line.pieces ? done / line.pieces : 0);
    });
  }

  /** @param {any} where @param {any[]} rows */
  #renderMissing(where, rows) {
    where.fill(rows, (/** @type {any} */ row, /** @type {Element[]} */ [unit, product, lot, pieces]) => {
      put(unit, row.level ? `${levelName(row.level)} ${row.code || row.ref}` : text.NONE);
      put(product, desk.productName(row.product));
      put(lot, row.lot || text.NONE);
      put(pieces, text.number(row.pieces));
    });
  }

  // -------------------------------------------------------------------------------------- deeds

  async #print() {
    this.result.say(t("sending"));
    try {
      const said = await tell(`${documentPath(this.number)}/print`);
      this.result.say(t("document.printed", { n: said.labels }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.result.say(error.message, true);
    }
  }

  /** Post it: at first as if nothing were missing; a difference is shown and asked about. */
  #askPost() {
    const one = this.#one;
    const supervised = one.status === "counted";
    const said = result();
    const sign = approval();
    const reason = input("text", 200);
    const list = table([["last.unit", ""], ["line.product", ""], ["line.lot", ""], ["last.pieces", "n"]]);
    const difference = el("section", "", words("p", "post.difference"), list.node, field("post.reason", reason));
    show(difference, false);
    let seen = false;
    const hold = held("document.post", async () => {
      const signed = supervised ? sign.values() : {};
      if (seen && !reason.value.trim()) throw new Refusal(t("post.reason_missing"));
      const answer = await tell(`${documentPath(this.number)}/close`, { acknowledged: seen, reason: reason.value.trim(), ...signed });
      if (done(answer)) {
        closeSheet();
        this.result.say(verdictText(answer));
        await this.refresh();
      } else if (answer.verdict === "difference") {
        seen = true;
        await this.refresh();
        const missing = this.#one.expected ? this.#one.missing : short(this.#one.lines);
        this.#renderMissing(list, missing);
        show(list.node, missing.length > 0);
        show(difference, true);
        said.say("");
      } else {
        said.say(verdictText(answer), true);
      }
    }, said);
    const total = el("p");
    openSheet("post.title", [total, difference, ...(supervised ? [sign.node] : []), said.node, el("div", "actions", hold)],
      () => put(total, progressText(this.#one)));
  }

  #askReverse() {
    const said = result();
    const sign = approval();
    const reason = input("text", 200);
    const hold = held("document.reverse", async () => {
      if (!reason.value.trim()) throw new Refusal(t("post.reason_missing"));
      const answer = await tell(`${documentPath(this.number)}/reverse`, { reason: reason.value.trim(), ...sign.values() });
      if (!done(answer)) throw new Refusal(verdictText(answer));
      closeSheet();
      this.result.say(verdictText(answer));
      await this.refresh();
    }, said);
    openSheet("reverse.title", [words("p", "reverse.what"), field("post.reason", reason), sign.node, said.node, el("div", "actions", hold)]);
  }
}

/** Lines that are not filled, as what is missing of them. @param {any[]} lines */
const short = (lines) => lines.filter((line) => line.done + line.posted < line.pieces)
  .map((line) => ({ level: "", product: line.product, lot: line.lot, pieces: line.pieces - line.done - line.posted }));

/** @param {number} ms */
const moment = (ms) => `${text.day(ms)} ${text.minute(ms)}`;
