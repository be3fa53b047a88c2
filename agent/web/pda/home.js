// The first screen: what to do, and the documents that wait.

import { keep, put, show } from "../panel/dom.js";
import { otherLanguage, setLanguage, t } from "../panel/text.js";
import { openKind } from "./opening.js";
import { go, Screen } from "./screen.js";
import { signal } from "./signals.js";
import { app, may, waiting } from "./state.js";
import { age, moment, partyName } from "./words.js";

export const KINDS = ["receive", "ship", "return", "transfer", "count", "query"];

/** @param {any} one */
const kindOf = ({ kind }) => (kind.startsWith("return") ? "return" : kind);

class Home extends Screen {
  connectedCallback() {
    for (const kind of KINDS) {
      const node = document.createElement("button");
      node.type = "button";
      node.dataset.kind = kind;
      node.append(document.createElement("span"), document.createElement("small"));
      node.addEventListener("click", () => (kind === "query" ? go("query") : openKind(kind)));
      this.piece("kinds").append(node);
    }
    this.on("queue", () => go("queue"));
    this.on("settings", () => go("setup", { step: "settings" }));
    this.on("language", () => {
      setLanguage(otherLanguage());
      document.dispatchEvent(new Event("language"));
    });
  }

  heading() {
    return app.session?.name ?? t("app");
  }

  sub() {
    return app.device ? partyName(app.device.party) : "";
  }

  /** @param {string} text */
  code(text) {
    const found = app.documents.find((one) => one.number === text);
    if (found) go("scan", { number: found.number });
    else if (may("query")) go("query", { text });
    else signal("refused");
  }

  draw() {
    for (const node of this.piece("kinds").children) {
      const { kind } = node.dataset;
      const n = app.documents.filter((one) => kindOf(one) === kind).length;
      put(node.children[0], t(`home.${kind}`));
      put(node.children[1], n ? t("home.waiting", { n }) : "");
      node.disabled = !this.#allowed(kind);
    }
    put(this.piece("language"), otherLanguage() === "zh" ? "中文" : "EN");
    put(this.piece("queue"), t("home.queue", { n: waiting(), e: app.troubles.length }));
    put(this.piece("age"), t("home.open", { age: age(app.fetched) }));
    show(this.piece("empty"), app.documents.length === 0);
    put(this.piece("empty"), t("home.none"));
    drawDocuments(this.piece("documents"), app.documents);
  }

  /** @param {string} kind */
  #allowed(kind) {
    if (kind === "return") return may("return_in") || may("return_out");
    return may(kind);
  }
}

/**
 * @param {Element} list
 * @param {any[]} documents
 */
export function drawDocuments(list, documents) {
  keep(list, documents.length, () => {
    const row = document.createElement("li");
    row.className = "press";
    const node = document.createElement("button");
    node.type = "button";
    for (const name of ["name", "value", "more"]) {
      node.append(Object.assign(document.createElement("span"), { className: name }));
    }
    node.children[0].setAttribute("translate", "no");
    node.addEventListener("click", () => go("scan", { number: node.dataset.number }));
    row.append(node);
    return row;
  });
  for (const [at, one] of documents.entries()) {
    const node = /** @type {HTMLElement} */ (list.children[at].firstElementChild);
    node.dataset.number = one.number;
    put(node.children[0], one.number);
    put(node.children[1], progress(one));
    put(node.children[2], about(one));
  }
}

/** @param {any} one */
function progress(one) {
  const units = one.scanned ?? 0;
  return one.expected && one.kind !== "count"
    ? t("home.of", { n: units, of: one.expected })
    : t("home.units", { n: units });
}

/** What a document is about, in a line. @param {any} one */
export function about(one) {
  const place = one.kind === "transfer" && one.to ? `${one.location} → ${one.to}` : one.location;
  const parts = [t(`kind.${one.kind}`), one.other && partyName(one.other), place];
  if (one.opened_ms) parts.push(moment(one.opened_ms));
  return parts.filter(Boolean).join(" · ");
}

customElements.define("pda-home", Home);
