// What a code is: asked of the agent, or told from what is kept, with its age. And packing by hand.

import { keep, put, show } from "../panel/dom.js";
import { t } from "../panel/text.js";
import { ask, NoAnswer, Refused } from "./api.js";
import { nameLevel } from "./asking.js";
import { canonical, NotACode } from "./codes.js";
import { find, parentsOf } from "./goods.js";
import { add, notKept } from "./queue.js";
import { drawLast, drawVerdict } from "./scan.js";
import { back, current, InTurn, pick, Screen } from "./screen.js";
import { signal } from "./signals.js";
import { app } from "./state.js";
import { sendSoon } from "./sync.js";
import { enterCode, hasCamera } from "./type.js";
import { age, levelName, moment, partyName, productName, unitWords } from "./words.js";

const MS = 3000;
const REREAD_MS = 3000;

class Query extends Screen {
  /** @type {any} */
  shown = { severity: "ready" };
  /** @type {[string, string][]} */
  facts = [];
  hint = "";
  asked = 0;

  connectedCallback() {
    for (const way of /** @type {const} */ (["type", "camera"])) {
      this.on(way, async () => {
        const text = await enterCode(way);
        if (text) await this.code(text);
      });
    }
  }

  heading() {
    return t("home.query");
  }

  /** @param {{text?: string}} args */
  enter({ text }) {
    this.shown = { severity: "ready" };
    this.facts = [];
    this.hint = app.device ? "" : t("insecure.query");
    if (text) void this.code(text);
  }

  /** @param {string} raw */
  async code(raw) {
    let text = raw;
    const asked = ++this.asked;
    try {
      text = canonical(raw);
      const told = await this.know(text);
      if (asked !== this.asked) return; // the last scan is what a person wants to know of
      const known = Boolean(told?.known);
      this.shown = known
        ? told.verdict?.severity === "stop"
          ? told.verdict
          : { severity: "ok", word: "known", args: {} }
        : { severity: "stop", word: "unknown", args: {} };
      this.shown = { ...this.shown, code: text };
      this.facts = known ? factsOf(told) : [];
    } catch (error) {
      if (!(error instanceof NotACode || error instanceof Refused)) throw error;
      if (asked !== this.asked) return;
      const word = error instanceof NotACode ? "not_a_code" : "refused";
      const args = { text: error.message };
      this.shown = { severity: "stop", word, code: text.slice(0, 200), args };
      this.facts = [];
    }
    signal(this.shown.severity);
    this.draw();
  }

  /** @param {string} text */
  async know(text) {
    try {
      const told = await ask("/query", { text }, { ms: MS });
      this.hint = app.device ? "" : t("insecure.query");
      return told;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.hint = t("query.offline", { age: age(app.fetched) });
      const good = await find(text);
      if (!good) return null;
      const parents = (await parentsOf(good, "")).map((ref) => ({ ref, level: "" }));
      return { ...good, known: true, parents, verdict: null };
    }
  }

  draw() {
    drawVerdict(this, this.shown);
    put(this.piece("hint"), this.hint);
    show(this.piece("camera"), hasCamera());
    const list = this.piece("facts");
    keep(list, this.facts.length, () => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      row.children[1].setAttribute("translate", "no");
      return row;
    });
    for (const [at, [name, value]] of this.facts.entries()) {
      put(list.children[at].children[0], t(`fact.${name}`));
      put(list.children[at].children[1], value);
    }
  }
}

/** @param {any} told @returns {[string, string][]} */
function factsOf(told) {
  const documents = (told.documents ?? []).slice(0, 3);
  /** @type {[string, string][]} */
  const facts = [
    ["unit", unitWords(told.level, told.pieces)],
    ["product", told.product && productName(told.product)],
    ["lot", told.lot],
    ["expires", told.expires],
    ["state", told.state && t(`state.${told.state}`)],
    ["location", told.location],
    ["held", told.held ? t("yes") : ""],
    ["to", told.to && partyName(told.to)],
    ["parent", (told.parents ?? []).map(parentWords).join("\n")],
    ["children", told.children ? String(told.children) : ""],
    ["documents", documents.map(documentWords).join("\n")],
  ];
  return facts.filter(([, value]) => value);
}

/** @param {any} one */
const parentWords = ({ ref, level }) => `${level ? levelName(level) : ""} ${ref}`.trim();
/** @param {any} one */
const documentWords = (one) => `${t(`kind.${one.kind}`)} ${one.number} ${moment(one.at_ms)}`;

/** Open a container, or put units into one. */
class Pack extends Screen {
  /** @type {"all" | "one" | "pack" | "parent"} what the next scan means */
  step = "all";
  /** @type {string[]} */
  units = [];
  /** @type {any[]} */
  last = [];
  /** @type {any} */
  shown = { severity: "ready" };
  beat = 0;

  /** What was opened or taken out since the screen was opened. @type {string[]} */
  did = [];
  /** The container that was read last. */
  packed = { text: "", at: 0 };
  turns = new InTurn();

  connectedCallback() {
    this.on("done", () => {
      void this.turns.next(() => {
        if (current() !== this) return;
        if (this.step === "pack" && this.units.length) this.step = "parent";
        else if (this.step !== "parent") return back();
        this.shown = { severity: "ready" };
        this.draw();
      });
    });
  }

  heading() {
    return t("more.pack");
  }

  leave() {
    const n = this.units.length;
    if (!n) return;
    signal("refused");
    const detail = { word: "not_packed", args: { n } };
    document.dispatchEvent(new CustomEvent("said", { detail }));
  }

  /** @param {{step?: any}} args */
  async enter({ step }) {
    this.leave();
    this.units = [];
    this.did = [];
    this.last = [];
    this.shown = { severity: "ready" };
    this.step = step ?? "all";
    if (step) return;
    const options = ["all", "one", "pack"].map((value) => ({ label: t(`pack.${value}`), value }));
    const chosen = await pick({ title: t("more.pack"), options });
    if (!chosen) return back();
    this.step = chosen;
    this.draw();
  }

  /** @param {string} raw */
  code(raw) {
    return this.turns.next(() => this.one(raw));
  }

  /** @param {string} raw */
  async one(raw) {
    if (current() !== this) return signal("refused");
    let text;
    try {
      text = canonical(raw);
    } catch (error) {
      if (!(error instanceof NotACode)) throw error;
      this.say({ word: "not_a_code", severity: "stop", args: {} }, raw.slice(0, 200));
      return;
    }
    if (this.isAgain(text)) {
      this.say({ word: "duplicate", severity: "again", args: {} }, text);
      return;
    }
    if (this.step === "pack") {
      this.units.push(text);
      this.say({ word: "collected", severity: "ok", args: {} }, text);
      return;
    }
    let level = "";
    if (this.step === "parent" && !(await find(text))) {
      level = await nameLevel(t("more.pack")); // it may be new, and then nobody else can say it
      if (!level) return;
    }
    const deed =
      this.step === "parent"
        ? { do: "pack", text, body: { children: this.units, ...(level ? { level } : {}) } }
        : { do: "unpack", text, body: this.step === "all" ? { all: true } : {} };
    const local = { word: "queued", severity: "ok", args: {}, code: text };
    try {
      await add({ ...deed, document: "-" }, local);
    } catch (error) {
      return this.say(notKept(error), text);
    }
    if (this.step === "parent") {
      this.packed = { text, at: Date.now() };
      this.units = [];
      this.step = "pack";
    } else {
      this.did.push(text);
    }
    this.say(local, text);
    sendSoon();
  }

  /**
   * Whether this is what was read already. The last unit, read once more where a container is asked
   * for, is not its own container; a container, read once more, is not the first unit of the next.
   * @param {string} text
   */
  isAgain(text) {
    const same = text === this.packed.text && Date.now() - this.packed.at < REREAD_MS;
    if (same) this.packed.at = Date.now();
    return same || this.units.includes(text) || this.did.includes(text);
  }

  /**
   * @param {any} verdict
   * @param {string} code
   */
  say(verdict, code) {
    this.beat++;
    this.shown = { ...verdict, code };
    this.last.unshift({ item: { at: Date.now() }, local: { ...verdict, code }, result: null });
    signal(verdict.severity);
    this.draw();
  }

  draw() {
    drawVerdict(this, this.shown);
    if (this.shown.severity === "ready") put(this.piece("word"), t(`pack.${this.step}_hint`));
    drawLast(this.piece("list"), this.last);
    const n = this.units.length;
    const parent = this.step === "parent"; // only a scan goes on from there, or the way back
    put(this.piece("done"), n ? t(parent ? "pack.wait" : "pack.done", { n }) : t("back"));
    this.piece("done").disabled = parent;
  }
}

customElements.define("pda-query", Query);
customElements.define("pda-pack", Pack);

