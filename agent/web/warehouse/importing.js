// Documents from a file: looked through first, booked whole or not at all.

import { el, icon, keep, put, show } from "/panel/dom.js";
import { Refusal } from "/panel/server.js";
import * as text from "/panel/text.js";
import { tell } from "./ask.js";
import { desk } from "./desk.js";
import { chips, held, input, press, result, table, words } from "./parts.js";

const { t } = text;
const KINDS = ["ship", "receive", "transfer", "return_in", "return_out"];
const MOST_BYTES = 700_000;

export class ImportView {
  #kind = "ship";
  #data = "";
  /** @type {any} */
  #found = null;
  #turn = 0;

  constructor() {
    const back = press("", () => (location.hash = "#documents"), "back");
    delete back.dataset.t;
    back.dataset.tLabel = "documents.back";
    back.append(icon("back"));
    this.file = input("file");
    this.file.accept = ".csv,.json,.txt,text/csv,application/json";
    this.file.addEventListener("change", () => void this.#look());
    this.name = el("span");
    this.name.translate = false;
    this.kinds = chips("new.kind", KINDS, "kind", this.#kind, (kind) => {
      this.#kind = kind;
      if (this.#data) void this.#check();
    });
    this.result = result();
    this.more = el("p", "small");
    this.problems = el("ul", "problems");
    this.list = table([["document.kind", ""], ["document.number", ""], ["document.way", ""], ["document.lines", "n"], ["last.pieces", "n"], ["import.units", "n"]]);
    this.book = held("import.book", () => this.#book(), this.result);
    this.actions = el("div", "actions", this.book);
    this.node = el("div", "view", el("header", "", back, words("h2", "import.title")),
      el("div", "sheet-body", words("p", "import.what", "small"), el("p", "small", words("span", "import.kind")), this.kinds,
        el("label", "file", this.file, words("b", "import.file"), this.name), this.result.node, this.problems, this.more, this.list.node, this.actions));
  }

  async refresh() {
    this.render();
  }

  render() {
    const problems = this.#found?.problems ?? [];
    const documents = this.#found?.documents ?? [];
    keep(this.problems, problems.length, () => el("li", "", el("b"), el("span"), el("span")));
    problems.forEach((/** @type {any} */ one, /** @type {number} */ index) => {
      const [line, column, what] = this.problems.children[index].children;
      put(line, one.line ? t("import.line", { n: one.line }) : t("import.whole"));
      put(column, one.column ? t(`column.${one.column}`) : "");
      put(what, t(`problem.${one.reason}`, args(one)));
    });
    put(this.more, this.#found?.more ? t("import.more", { n: this.#found.more }) : "");
    show(this.list.node, documents.length > 0);
    this.list.fill(documents, (one, [kind, number, way, lines, pieces, units]) => {
      put(kind, t(`kind.${one.kind}`));
      put(number, one.number);
      put(way, one.kind === "transfer" ? `${one.location} → ${one.to}` : desk.partyName(one.other));
      put(lines, text.number(one.lines));
      put(pieces, text.number(one.pieces));
      put(units, one.units ? text.number(one.units) : text.NONE);
      /** @type {HTMLElement} */ (number).translate = /** @type {HTMLElement} */ (way).translate = false;
    });
    show(this.actions, documents.length > 0);
  }

  async #look() {
    const file = this.file.files?.[0];
    this.#found = null;
    this.#data = "";
    put(this.name, file?.name ?? "");
    this.render();
    if (!file) return;
    if (file.size > MOST_BYTES) {
      this.result.say(t("import.too_large", { n: Math.floor(MOST_BYTES / 1000) }), true);
      return;
    }
    this.#data = base64(new Uint8Array(await file.arrayBuffer()));
    await this.#check();
  }

  async #check() {
    const turn = ++this.#turn;
    this.result.say(t("import.reading"));
    try {
      const found = await tell("import", { data: this.#data, kind: this.#kind, book: false });
      if (turn !== this.#turn) return;
      this.#found = found;
      this.result.say(found.problems.length ? t("import.wrong") : t("import.good", { n: found.documents.length }), found.problems.length > 0);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.result.say(error.message, true);
    }
    this.render();
  }

  async #book() {
    const said = await tell("import", { data: this.#data, kind: this.#kind, book: true });
    this.#found = null;
    this.#data = "";
    this.file.value = "";
    put(this.name, "");
    this.render();
    this.result.say(t("import.done", { n: said.documents.length }));
  }
}

/** What a problem's sentence needs; a kind of column by its name. @param {any} one */
function args(one) {
  const found = { ...one.args };
  if (typeof found.name === "string") found.name = t(`column.${found.name}`);
  return found;
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let found = "";
  for (let at = 0; at < bytes.length; at += 0x8000) found += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(found);
}
