// The loop: a document is open, a code is scanned, the verdict stands over a third of the screen.

import { attr, keep, put, show } from "../panel/dom.js";
import { number, second, t } from "../panel/text.js";
import { Book } from "./book.js";
import { nameGoods, reasonFor } from "./asking.js";
import { add, notKept } from "./queue.js";
import { current, go, InTurn, pick, Screen } from "./screen.js";
import { signal } from "./signals.js";
import { app, bus, may, waiting } from "./state.js";
import { sendSoon } from "./sync.js";
import { enterCode, otherWays } from "./type.js";
import { endOf, inUnits, levelName, lineWords, productName, shortCode, unitWords, verdictWords } from "./words.js";

const LAST_SHOWN = 20;

class Scan extends Screen {
  /** @type {Book | null} */
  book = null;
  removing = false;
  beat = 0;
  turns = new InTurn();
  /** @type {any} */
  shown = { severity: "ready" };

  connectedCallback() {
    this.on("remove", () => {
      this.removing = !this.removing;
      this.ready();
    });
    this.on("finish", () => this.tap(() => go("finish", { book: this.book })));
    this.on("more", () => this.tap(() => void this.more()));
    // Other PDAs work on it too: their progress, and that it was closed.
    bus.addEventListener("documents", () => {
      void this.turns.next(() => this.reread().then(() => this.draw()));
    });
  }

  /** A tap waits for the scans before it, and is void when one of them stopped. @param {() => void} act */
  tap(act) {
    void this.turns.next(() => this.book && current() === this && act());
  }

  heading() {
    return this.book ? t(`kind.${this.book.record.kind}`) : "";
  }

  sub() {
    return this.book?.number ?? "";
  }

  /** @param {{number?: string}} args */
  enter({ number: wanted }) {
    this.removing = false;
    this.shown = { severity: "ready" };
    if (!wanted || wanted === this.book?.number) this.ready();
    void this.turns.next(() => this.open(wanted ?? this.book?.number ?? ""));
  }

  /** @param {string} wanted */
  async open(wanted) {
    this.book = await Book.open(wanted);
    this.ready();
    document.dispatchEvent(new Event("redraw"));
  }

  ready() {
    this.shown = { severity: this.removing ? "remove" : "ready" };
    this.draw();
  }

  /** Take over what the agent told meanwhile. */
  async reread() {
    if (!this.book) return;
    const { last, named, number: wanted, record } = this.book;
    const book = await Book.open(wanted);
    book.named = named;
    const refused = last.filter((one) => one.seq === undefined);
    book.last = [...book.last, ...refused].sort((a, b) => b.item.at - a.item.at);
    book.record ??= { ...record, status: "closed" };
    this.book = book;
  }

  /** @param {string} text */
  code(text) {
    const remove = this.removing; // as it is now, not when the scans before it are done
    return this.turns.next(() => this.one(text, remove));
  }

  /**
   * @param {string} text
   * @param {boolean} remove
   */
  async one(text, remove) {
    if (!this.book || current() !== this) return this.meanwhile(text);
    const other = app.documents.find((one) => one.number === text);
    if (other && other.number !== this.book.number) {
      this.removing = false;
      return this.open(text); // at once: the scans that wait already are for it
    }
    return this.judge(text, { remove });
  }

  /**
   * @param {string} text
   * @param {import("./book.js").Scan} how
   */
  async judge(text, how) {
    const book = /** @type {Book} */ (this.book);
    const { verdict, good, code, record } = await this.scanned(book, text, how);
    const units = unitWords(good?.level ?? record?.local.level, good?.pieces ?? record?.local.pieces);
    this.shown = { ...verdict, code, units };
    this.beat++;
    signal(/** @type {any} */ (verdict.severity));
    if (record) sendSoon();
    if (verdict.severity === "stop") go("stop", { verdict, code });
    else if (verdict.severity === "ask") go("stop", { verdict, code, ...this.answers(how, good, code) });
    else this.draw();
  }

  /**
   * @param {Book} book
   * @param {string} text
   * @param {import("./book.js").Scan} how
   * @returns {Promise<any>}
   */
  async scanned(book, text, how) {
    try {
      return await book.scan(text, how);
    } catch (error) {
      return { verdict: notKept(error), code: text.slice(0, 200) };
    }
  }

  /**
   * What may be answered to an ask.
   * @param {import("./book.js").Scan} how
   * @param {any} good
   * @param {string} code
   */
  answers(how, good, code) {
    const word = this.shown.word;
    const choose = async (/** @type {string} */ reason) => {
      if (!reason) return this.ready();
      const answer = `${how.answer ?? ""} ${word}`.trim();
      const more = { ...how, answer, reason: word === "not_expected" ? reason : (how.reason ?? "") };
      const book = /** @type {Book} */ (this.book);
      if (!good && word === "not_expected" && !book.named) more.named = await nameGoods();
      if (!good && word === "not_expected" && !book.named && !more.named) return this.ready();
      void this.turns.next(() => this.judge(code, more));
    };
    const own = word === "around_scanned" ? ["all"] : reasonFor(this.book?.record.kind);
    return { answers: own, choose };
  }

  /** A scan that came while a person has something else to look at. @param {string} text */
  async meanwhile(text) {
    signal("refused");
    await this.book?.refuse(text, "meanwhile");
    current().draw();
  }

  async more() {
    const book = /** @type {Book} */ (this.book);
    const { kind, doc } = book.record;
    const options = otherWays();
    if (kind === "receive" || kind.startsWith("return") || kind === "count") {
      const hint = book.named ? t("more.named", { product: productName(book.named.product) }) : "";
      options.push({ label: t("more.name"), value: "name", ...(hint ? { hint } : {}) });
    }
    if (kind === "receive" && doc?.asn) options.push({ label: t("more.all"), value: "all" });
    options.push({ label: t("more.hand_over"), value: "hand_over" });
    options.push({ label: t("more.pack"), value: "pack" });
    const what = await pick({ title: t("scan.more"), options });
    if (what === "type" || what === "camera") {
      const text = await enterCode(what);
      if (text) await this.code(text);
    } else if (what === "name") {
      book.named = await nameGoods();
    } else if (what === "all") {
      go("finish", { book, all: true });
    } else if (what === "hand_over") {
      await add({ do: "hand_over", document: book.number }, { word: "handed_over", severity: "ok" });
      sendSoon();
      this.shown = { severity: "ok", word: "handed_over", code: book.number };
    } else if (what === "pack") {
      go("pack");
    }
    this.draw();
  }

  draw() {
    const { book, shown } = this;
    if (!book?.record) return;
    drawVerdict(this, shown, book.record.kind);
    const blind = book.record.kind === "count";
    const lines = blind ? [] : book.lines;
    const wanted = lines.length ? whole(lines) : null;
    put(this.piece("done"), number(wanted ? wanted.done : book.units));
    const unit = wanted?.level ? levelName(wanted.level) : "";
    put(this.piece("done-label"), unit ? t("scan.done_in", { level: unit }) : t("scan.done"));
    show(this.piece("wanted-box"), !blind && (wanted !== null || Boolean(book.record.expected)));
    put(this.piece("wanted"), number(wanted ? wanted.wanted : book.record.expected));
    put(this.piece("waiting"), number(waiting()));
    attr(this.piece("remove"), "aria-pressed", String(this.removing));
    this.piece("finish").disabled = book.closed || !may(book.record.kind);
    drawLines(this.piece("lines"), lines);
    drawLast(this.piece("last"), book.last);
  }
}

/** Lines in one figure: in their unit where they share one. @param {any[]} lines */
function whole(lines) {
  const levels = new Set(lines.map((line) => `${line.level} ${line.pieces / line.quantity}`));
  const each = levels.size === 1 ? lines[0].pieces / lines[0].quantity : 1;
  const sum = (/** @type {string} */ key) => lines.reduce((n, line) => n + line[key], 0);
  return inUnits(sum("done"), sum("pieces"), each, levels.size === 1 ? lines[0].level : "");
}

/**
 * Colour, shape and word of a verdict.
 * @param {Screen & {beat?: number}} screen
 * @param {any} shown
 * @param {string} [kind]
 */
export function drawVerdict(screen, shown, kind = "") {
  const { severity, word, code = "", units = "" } = shown;
  const node = screen.piece("verdict");
  attr(node, "data-severity", severity);
  attr(node, "data-beat", screen.beat ? String(1 + (screen.beat % 2)) : null);
  attr(screen.piece("shape"), "href", `#i-${severity}`);
  const own = word === "accepted" && kind ? t(`accepted.${kind}`) : "";
  const title = own || (word ? verdictWords(shown, "title") : t(`scan.${severity}`));
  put(screen.piece("word"), title);
  put(screen.piece("code"), shortCode(code));
  const why = word ? (severity === "ok" && word === "accepted" ? "" : verdictWords(shown, "text")) : "";
  put(screen.piece("why"), [units, why].filter(Boolean).join(" · "));
}

/**
 * @param {Element} list
 * @param {any[]} lines
 */
export function drawLines(list, lines) {
  keep(list, lines.length, () => row());
  for (const [at, line] of lines.entries()) {
    const node = list.children[at];
    const lot = line.lot ? ` ${t("goods.lot", { lot: line.lot })}` : "";
    put(node.children[0], `${productName(line.product)}${lot}`);
    put(node.children[1], lineWords(line));
    attr(node, "data-open", line.done < line.pieces ? "" : null);
    attr(node, "data-bad", line.done > line.pieces ? "" : null);
  }
}

/**
 * @param {Element} list
 * @param {any[]} last newest first
 */
export function drawLast(list, last) {
  const some = last.slice(0, LAST_SHOWN);
  keep(list, some.length, () => row());
  for (const [at, { item, local, result }] of some.entries()) {
    const node = list.children[at];
    const said = result ? { ...result, word: result.verdict } : local;
    const counted = ["ok", "warn"].includes(said.severity);
    const bad = !counted && said.severity !== "again";
    put(node.children[0], endOf(local.code));
    node.children[0].setAttribute("translate", "no");
    const word = !counted || item.remove || said.severity === "warn";
    put(node.children[1], word ? verdictWords(said, "title") : second(item.at));
    attr(node, "data-bad", bad ? "" : null);
  }
}

function row() {
  const node = document.createElement("li");
  for (const name of ["name", "value"]) {
    node.append(Object.assign(document.createElement("span"), { className: name }));
  }
  return node;
}

customElements.define("pda-scan", Scan);
