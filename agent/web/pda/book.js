// The document that is being worked on: what is on it, what is missing, and the verdict of a scan.

import { ask } from "./api.js";
import { canonical, NotACode } from "./codes.js";
import { all, get, write } from "./db.js";
import { find, knows, parentsOf } from "./goods.js";
import { add } from "./queue.js";
import { judge } from "./rules.js";
import { app, loggedIn } from "./state.js";

const SECOND_LOOK_MS = 1200;
const REFUSED_SHOWN = 300;
/** Stops that the brand must hear of although nothing is booked: goods that were sent elsewhere. */
const TOLD = ["not_for_party"];

/** Whether a verdict counts. @param {{severity: string}} verdict */
export const counts = ({ severity }) => severity === "ok" || severity === "warn";

/**
 * @typedef {object} Scan what a person did for one scan
 * @property {boolean} [remove]
 * @property {string} [answer] to an ask
 * @property {string} [reason]
 * @property {any} [named] {product, lot, level, pieces} of a unit that is not known
 */

export class Book {
  /** @type {any} as the agent told it, or as it was made here */
  record;
  /** @type {Map<string, any>} what this device scanned for it, by ref */
  on = new Map();
  /** @type {Map<string, number>} how many of them are in a unit, by its ref */
  around = new Map();
  /** @type {any[]} the last scans, newest first */
  last = [];
  closed = false;
  /** What is named for goods that nobody told of, until it is changed. @type {any} */
  named = null;

  /** @param {string} number */
  static async open(number) {
    const book = new Book();
    book.record = await get("documents", number);
    for (const record of await all("items", number, "document")) book.take(record);
    return book;
  }

  get number() {
    return this.record.number;
  }

  /** Lines with what was scanned here since the agent told them. */
  get lines() {
    const lines = (this.record.lines ?? []).map((/** @type {any} */ line) => ({ ...line }));
    for (const { item, local } of this.mine()) {
      for (const part of local.content ?? []) fill(lines, part, item.remove ? -1 : 1);
    }
    return lines;
  }

  /** Refs of what was stopped and is told. @type {Set<string>} */
  #told = new Set();

  /** Units scanned, by everybody. */
  get units() {
    let units = this.record.scanned ?? 0;
    for (const { item, local } of this.mine()) units += item.remove ? -1 : (local.units ?? 1);
    return units;
  }

  /** Pieces in them. */
  get pieces() {
    let pieces = this.record.pieces ?? 0;
    for (const { item, local } of this.mine()) {
      for (const [, , n] of local.content ?? []) pieces += item.remove ? -n : n;
    }
    return pieces;
  }

  /** Scans that the agent's figures do not hold yet. @type {any[]} */
  #mine = [];
  mine() {
    return this.#mine.filter((record) => record.seq > (this.record.at_seq ?? 0));
  }

  /**
   * Take an item over into what is on the document, in the order of their numbers.
   * @param {any} record
   */
  take(record) {
    const { item, local, result } = record;
    const good = !local.settled && (result ? counts(result) : counts(local));
    if (item.do === "close" || item.do === "count_done" || item.do === "accept_all") {
      this.closed = good;
      if (result?.verdict === "count_again") this.#anew();
    }
    if (item.do === "stopped") this.#told.add(local.ref);
    if (item.do !== "scan") return;
    this.last.unshift(record);
    if (!good) return;
    this.#mine.push(record);
    for (const ref of item.remove ? [local.ref] : (local.instead ?? [])) this.#off(ref);
    if (!item.remove) this.#put(local);
  }

  /** The second count of a place begins with nothing. */
  #anew() {
    this.on.clear();
    this.around.clear();
    this.#mine = [];
  }

  /** @param {any} local */
  #put(local) {
    this.on.set(local.ref, local);
    for (const up of local.up ?? []) this.around.set(up, (this.around.get(up) ?? 0) + 1);
  }

  /** @param {string} ref */
  #off(ref) {
    const local = this.on.get(ref);
    this.on.delete(ref);
    for (const up of local?.up ?? []) this.around.set(up, (this.around.get(up) ?? 1) - 1);
  }

  /**
   * The verdict of a scan, durable when it counts. `record` is its item then.
   * @param {string} raw
   * @param {Scan} [how]
   */
  async scan(raw, how = {}) {
    const seen = await this.#look(raw, how);
    let { verdict } = seen;
    if (app.stopped) verdict = { word: "device_stopped", severity: "stop", args: {} };
    if (!counts(verdict)) {
      if (verdict.severity !== "ask") await this.refuse(seen.code, verdict.word, verdict.severity);
      if (TOLD.includes(verdict.word) && !this.#told.has(seen.ref)) {
        this.#told.add(seen.ref);
        const { word, severity, args } = verdict;
        const fields = { do: "stopped", document: this.number, text: seen.code };
        await add(fields, { word, severity, args, ref: seen.ref });
      }
      return { ...seen, verdict };
    }
    const { good, code, ref, up, named } = seen;
    const content = good ? contentOf(good) : named ? [[named.product, "", named.pieces]] : [];
    /** @type {string[]} */
    const instead = [];
    if (!how.remove) for (const [one, { up: ups }] of this.on) if (ups?.includes(ref)) instead.push(one);
    for (const one of instead) {
      for (const [product, lot, n] of this.on.get(one).content ?? []) {
        content.push([product, lot, -n]); // what holds them counts in their place
      }
    }
    const local = {
      ...{ word: verdict.word, severity: verdict.severity, args: verdict.args },
      ...{ ref, code, up, content, instead, level: good?.level ?? named?.level ?? "" },
      ...{ pieces: good?.pieces ?? named?.pieces ?? 0, units: 1 - instead.length },
    };
    const fields = {
      ...{ document: this.number, text: code, remove: how.remove ?? false },
      ...{ answer: how.answer ?? "", reason: how.reason ?? "" },
      condition: this.record.condition ?? "",
      body: good || !named?.level ? {} : named,
    };
    const record = await add(fields, local);
    this.take(record);
    return { ...seen, verdict, record };
  }

  /**
   * @param {string} raw
   * @param {Scan} how
   */
  async #look(raw, how) {
    let code = raw;
    let isCode = true;
    try {
      code = canonical(raw);
    } catch (error) {
      if (!(error instanceof NotACode)) throw error;
      isCode = false;
    }
    const named = how.named ?? this.named ?? (isCode ? namedByCode(code) : null);
    let good = isCode ? await find(code, this.number) : null;
    let up = good ? await parentsOf(good, this.number) : [];
    let verdict = this.#judge(isCode, code, good, up, named, how);
    const state = !good || verdict.severity === "stop";
    if (isCode && state && !how.remove && app.online && this.#mayBeWrong(verdict.word, good)) {
      const fresh = await askAbout(code, this.number);
      if (fresh) {
        good = fresh.good;
        up = fresh.up;
        verdict = this.#judge(isCode, code, good, up, named, how);
      }
    }
    if (!good && isCode && !how.remove && this.#unsure(verdict.word)) {
      verdict = { word: "unchecked", severity: "warn", args: {} };
    }
    const ref = good?.ref ?? code;
    return { verdict, good, code: isCode ? code : raw.slice(0, 200), ref, up, named };
  }

  /**
   * Whether newer knowledge could say otherwise.
   * @param {string} word
   * @param {any} good
   */
  #mayBeWrong(word, good) {
    if (!good) return ["unknown", "not_expected", "accepted", "accepted_implicit"].includes(word);
    return ["not_here", "claimed", "shipped_already", "held", "broken"].includes(word);
  }

  /**
   * Without the goods of this document nobody can say that a code is unknown: the agent will.
   * @param {string} word
   */
  #unsure(word) {
    if (this.record.doc?.blind) return false; // nothing was announced: a person says what it is
    return (word === "unknown" || word === "not_expected") && !app.online && !knows(this.number);
  }

  /**
   * @param {boolean} isCode
   * @param {string} code
   * @param {any} good
   * @param {string[]} up
   * @param {any} named
   * @param {Scan} how
   */
  #judge(isCode, code, good, up, named, how) {
    const ref = good?.ref ?? code;
    const doc = this.record.doc ?? {};
    const ours = good?.claimed_here;
    const taken = this.on.has(ref) || (ours && !this.#takenBack(ref));
    return judge({
      op: this.record.kind,
      operations: loggedIn() ? app.session.operations : [],
      doc: {
        ...{ free: true, asn: false, blind: false, party: "", other: "", location: "" },
        ...{ territories: [], channel: "", fifo: "off", ...doc },
        status: this.closed ? "closed" : (this.record.status ?? "open"),
        lines: doc.lines?.length ? this.lines : [],
      },
      good,
      remove: how.remove ?? false,
      code: isCode,
      seen: taken
        ? "same"
        : up.some((one) => this.on.has(one))
          ? "inside"
          : (this.around.get(ref) ?? 0) > 0
            ? "around"
            : "",
      named: named !== null && named !== undefined,
      answer: how.answer ?? "",
    });
  }

  /** @param {string} ref */
  #takenBack(ref) {
    return this.#mine.some(({ item, local }) => item.remove && local.ref === ref);
  }

  /**
   * Write down a scan that does not count.
   * @param {string} code
   * @param {string} word
   * @param {string} [severity]
   */
  async refuse(code, word, severity = "stop") {
    const local = { word, severity, code: code.slice(0, 200) };
    this.last.unshift({ item: { at: Date.now(), do: "scan" }, local, result: null });
    this.last.length = Math.min(this.last.length, REFUSED_SHOWN);
    const row = { document: this.number, code: local.code, word, at: Date.now() };
    await write(["refused"], (store) => store("refused").add(row), "relaxed");
  }
}

/**
 * What a GS1 code says of a unit that is not known: its product, by the GTIN. The agent reads the
 * same from the text.
 * @param {string} code
 */
function namedByCode(code) {
  const gtin = /^https:\/\/id\.gs1\.org\/01\/0*(\d+)\//.exec(code)?.[1];
  if (!gtin) return null;
  for (const { sku, gtin: own } of app.products.values()) {
    if (own?.replace(/^0+/, "") === gtin) return { product: sku, lot: "", level: "", pieces: 1 };
  }
  return null;
}

/** Product, lot and pieces of what a unit holds. @param {any} good @returns {[string, string, number][]} */
function contentOf(good) {
  return good.mixed.length ? [...good.mixed] : [[good.product, good.lot, good.pieces]];
}

/**
 * Count pieces to the line that they fit best.
 * @param {any[]} lines
 * @param {[string, string, number]} part
 * @param {number} sign
 */
function fill(lines, [product, lot, pieces], sign) {
  const fitting = lines.filter((line) => line.product === product && ["", lot].includes(line.lot));
  fitting.sort((a, b) => (a.lot ? 0 : 1) - (b.lot ? 0 : 1));
  const open = fitting.find((line) => line.done + sign * pieces <= line.pieces) ?? fitting[0];
  if (open) open.done += sign * pieces;
}

/**
 * Ask the agent what it knows of a code now; null if it does not answer at once.
 * @param {string} code
 * @param {string} document
 */
async function askAbout(code, document) {
  try {
    const told = await ask("/query", { text: code }, { ms: SECOND_LOOK_MS });
    return fromQuery(told, code, document);
  } catch {
    return null; // the verdict from what is kept stands, and the upload decides
  }
}

/**
 * @param {any} told
 * @param {string} code
 * @param {string} document
 */
function fromQuery(told, code, document) {
  if (!told.known) return null;
  const content = (told.content ?? []).map((/** @type {any} */ one) => {
    return [one.product, one.lot, one.pieces];
  });
  const good = {
    ...{ ref: code, level: "", product: "", lot: "", pieces: 1, state: "stock", mine: true },
    ...{ location: "", held: false, broken: false, expected: false, sent_to: "", to: "" },
    ...{ when: 0, claimed: "", older: "", territory: "", channel: "", mixed: [], codes: [] },
    ...told,
    mixed: content.length > 1 ? content : [],
    // What is scanned for the document that is open here is no other document's.
    claimed: told.claimed === document ? "" : (told.claimed ?? ""),
    claimed_here: told.claimed === document,
  };
  return { good, up: (told.parents ?? []).map((/** @type {any} */ one) => one.ref) };
}
