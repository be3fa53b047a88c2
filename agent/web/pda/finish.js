// Finishing a document: what was wanted and what is there, side by side; a difference is looked at,
// ticked and given a reason before anything is posted.

import { attr, put, show } from "../panel/dom.js";
import { number, t } from "../panel/text.js";
import { counts } from "./book.js";
import { get } from "./db.js";
import { add, settled } from "./queue.js";
import { drawLines } from "./scan.js";
import { back, current, go, home, pick, Screen } from "./screen.js";
import { signal } from "./signals.js";
import { app } from "./state.js";
import { syncNow } from "./sync.js";

const ANSWER_MS = 5000;
const WHY = ["short", "damaged", "no_stock", "later", "other"];

class Finish extends Screen {
  /** @type {import("./book.js").Book} */
  book = /** @type {any} */ (null);
  all = false;
  seen = false;
  busy = false;

  connectedCallback() {
    this.on("seen", () => {
      this.seen = !this.seen;
      this.draw();
    });
    this.on("close", () => this.close());
  }

  heading() {
    return t(this.all ? "more.all" : "scan.finish");
  }

  sub() {
    return this.book?.number ?? "";
  }

  /** @param {any} args */
  enter({ book, all = false }) {
    this.book = book;
    this.all = all;
    this.seen = this.busy = false;
  }

  /** Pieces too few and too many. */
  difference() {
    const { book } = this;
    if (this.all || book.record.kind === "count") return { short: 0, over: 0 };
    let [short, over] = [0, 0];
    for (const line of book.lines) {
      short += Math.max(0, line.pieces - line.done);
      over += Math.max(0, line.done - line.pieces);
    }
    if (!book.lines.length && book.record.expected) {
      short = Math.max(0, book.record.expected - book.units);
    }
    return { short, over };
  }

  draw() {
    const { book } = this;
    if (!book) return;
    const counting = book.record.kind === "count";
    const { short, over } = this.difference();
    const differs = short + over > 0;
    const n = number(book.units);
    put(
      this.piece("what"),
      this.all
        ? t("finish.all", { n })
        : counting
          ? t("finish.counted", { n })
          : differs
            ? t(short && over ? "finish.both" : short ? "finish.short" : "finish.over", { short, over })
            : t("finish.fits", { n }),
    );
    drawLines(this.piece("lines"), counting ? [] : book.lines);
    put(this.piece("hint"), t(app.online ? "finish.hint" : "finish.offline"));
    show(this.piece("seen"), differs);
    attr(this.piece("seen"), "aria-pressed", String(this.seen));
    put(this.piece("seen"), t(this.seen ? "finish.seen" : "finish.see"));
    put(this.piece("close"), t(this.busy ? "finish.busy" : differs ? "finish.anyway" : "finish.do"));
    this.piece("close").disabled = this.busy || (differs && !this.seen);
  }

  /** Not counted any more: it is heard, and listed. @param {string} text */
  code(text) {
    signal("refused");
    return this.book.refuse(text, "meanwhile");
  }

  async close() {
    const { book } = this;
    const { short, over } = this.difference();
    const fields = { do: this.all ? "accept_all" : "close", document: book.number };
    if (book.record.kind === "count") fields.do = "count_done";
    if (short + over > 0) {
      const options = WHY.map((value) => ({ label: t(`why.${value}`), value }));
      const reason = await pick({ title: t("finish.why"), options });
      if (!reason) return;
      const end = Boolean(book.record.doc?.asn) && short > 0 && reason !== "later";
      Object.assign(fields, { answer: "difference", reason, body: end ? { end: true } : {} });
    }
    this.busy = true;
    this.draw();
    const local = { word: "queued", severity: "ok", args: {} };
    const record = await add(fields, local);
    book.take(record);
    const result = await answerOf(record.seq);
    this.busy = false;
    if (current() !== this) return;
    if (!result) return this.left({ word: "queued", severity: "ok", args: {} });
    const verdict = { word: result.verdict, severity: result.severity, args: result.args };
    if (counts(verdict)) return this.left(verdict);
    const trouble = app.troubles.find((one) => one.seq === record.seq);
    if (trouble) await settled(trouble, "seen");
    back();
    await /** @type {any} */ (current()).reread?.();
    go("stop", { verdict, code: book.number });
  }

  /** @param {any} verdict */
  left(verdict) {
    signal("ok");
    home();
    document.dispatchEvent(new CustomEvent("said", { detail: verdict }));
  }
}

/**
 * What the agent answers to an item, if it does so soon.
 * @param {number} seq
 * @returns {Promise<any>}
 */
export async function answerOf(seq) {
  const late = new Promise((done) => setTimeout(done, ANSWER_MS));
  for (let tries = 0; tries < 2 && app.upto < seq; tries++) await Promise.race([syncNow(), late]);
  return (await get("items", seq))?.result ?? null;
}

customElements.define("pda-finish", Finish);
