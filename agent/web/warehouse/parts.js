// Parts that several screens are made of: fields, choices, tables, meters, the sheet, the signature.

import { attr, button, el, keep, put, svg } from "/panel/dom.js";
import { holdButton } from "/panel/hold.js";
import { Refusal } from "/panel/server.js";
import { t, writeFixed } from "/panel/text.js";

/** A node whose text is that of a key. @param {string} tag @param {string} key @param {string} [className] */
export function words(tag, key, className) {
  const node = el(tag, className);
  node.dataset.t = key;
  return node;
}

/** @param {string} key @param {Element} control */
export function field(key, control) {
  return el("label", "field", words("span", key), control);
}

/** @param {string} [type] @param {number} [longest] */
export function input(type = "text", longest = 64) {
  const node = /** @type {HTMLInputElement} */ (el("input"));
  node.type = type;
  node.maxLength = longest;
  node.autocomplete = "off";
  node.spellcheck = false;
  return node;
}

/**
 * A select; write its options again whenever their words may have changed.
 * @param {() => [string, string][]} options value and words of each
 */
export function select(options) {
  const node = /** @type {HTMLSelectElement} */ (el("select"));
  const write = () => {
    const wanted = options();
    keep(node, wanted.length, () => el("option"));
    wanted.forEach(([value, label], index) => {
      const option = /** @type {HTMLOptionElement} */ (node.children[index]);
      option.value = value;
      put(option, label);
      option.translate = value === "";
    });
  };
  write();
  return { node, write };
}

let groups = 0;

/**
 * Chips, one of which is chosen.
 * @param {string} legend key
 * @param {string[]} values
 * @param {string} prefix of their keys
 * @param {string} chosen
 * @param {(value: string) => void} changed
 */
export function chips(legend, values, prefix, chosen, changed) {
  const set = el("fieldset", "chips");
  set.dataset.tLabel = legend;
  const name = `chips${++groups}`;
  for (const value of values) {
    const node = input("radio");
    node.name = name;
    node.value = value;
    node.checked = value === chosen;
    node.addEventListener("change", () => changed(value));
    set.append(el("label", "chip", node, words("span", `${prefix}.${value}`)));
  }
  return set;
}

/** Boxes, any of which may be ticked. @param {[string, Element][]} entries value and words @param {boolean} ticked */
export function checks(entries, ticked) {
  const set = el("fieldset", "checks");
  for (const [value, label] of entries) {
    const node = input("checkbox");
    node.value = value;
    node.checked = ticked;
    set.append(el("label", "chip", node, label));
  }
  const values = () => [.../** @type {NodeListOf<HTMLInputElement>} */ (set.querySelectorAll("input:checked"))].map((one) => one.value);
  return { node: set, values };
}

/**
 * A table: `columns` are [key, class], "" = no heading.
 * @param {[string, string][]} columns
 */
export function table(columns) {
  const head = el("tr");
  for (const [key, className] of columns) head.append(words("th", key, className));
  for (const cell of head.children) cell.setAttribute("scope", "col");
  const body = el("tbody");
  const node = el("table", "", el("thead", "", head), body);
  /** @param {any[]} rows @param {(row: any, cells: Element[], line: Element) => void} write */
  const fill = (rows, write) => {
    keep(body, rows.length, () => el("tr", "", ...columns.map(([, className]) => el("td", className))));
    rows.forEach((row, index) => write(row, [...body.children[index].children], body.children[index]));
  };
  return { node, fill };
}

/** How much of something is done; the words beside it say the same. */
export function meter() {
  const bar = svg("rect", { height: 10, width: 0 });
  const node = el("div", "meter", svg("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none" }, bar));
  node.setAttribute("aria-hidden", "true");
  /** @param {number} share */
  const set = (share) => {
    attr(bar, "width", Math.round(1000 * Math.max(0, Math.min(1, share || 0))));
    node.toggleAttribute("data-over", share > 1);
  };
  return { node, set };
}

/** A link back or another small button that changes nothing. @param {string} key @param {() => void} act @param {string} [className] */
export function press(key, act, className = "") {
  const node = button(className);
  node.dataset.t = key;
  node.addEventListener("click", act);
  return node;
}

/** A button that is held for a second. @param {string} key @param {() => Promise<void>} act @param {{say: (words: string, refused?: boolean) => void}} where */
export function held(key, act, where) {
  let busy = false;
  const hold = holdButton("wide", async () => {
    if (busy) return;
    busy = true;
    where.say(t("sending"));
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      where.say(error.message, true);
    } finally {
      busy = false;
    }
  });
  hold.node.dataset.held = key;
  hold.name(t(key));
  names.set(hold.node, () => hold.name(t(key)));
  return hold.node;
}

/** @type {WeakMap<Element, () => void>} */
const names = new WeakMap();

/** Every fixed text below a node, held buttons too. @param {ParentNode} root */
export function writeWords(root) {
  writeFixed(root);
  for (const node of root.querySelectorAll("[data-held]")) names.get(node)?.();
}

/** A place for what came of something. */
export function result() {
  const node = el("p", "result");
  node.setAttribute("role", "status");
  /** @param {string} text @param {boolean} [refused] */
  const say = (text, refused = false) => {
    put(node, text);
    attr(node, "data-refused", refused ? "" : null);
  };
  return { node, say };
}

/** Badge and PIN of a supervisor. */
export function approval() {
  const badge = input();
  const pin = input("password", 12);
  pin.inputMode = "numeric";
  const node = el("fieldset", "approve", words("legend", "approve.why"), field("approve.badge", badge), field("approve.pin", pin));
  return {
    node,
    values() {
      const found = { badge: badge.value.trim(), pin: pin.value };
      if (!found.badge || !found.pin) throw new Refusal(t("approve.missing"));
      return found;
    },
  };
}

// --------------------------------------------------------------------------------------- the sheet

const dialog = /** @type {HTMLDialogElement} */ (el("dialog", "sheet"));
const heading = el("h2");
heading.id = "sheet-title";
const body = el("div", "sheet-body");
const close = press("close", () => dialog.close());
dialog.setAttribute("aria-labelledby", heading.id);
dialog.append(el("div", "sheet-top", heading, close), body);
dialog.addEventListener("close", () => {
  if (dialog.open) return; // opened again before this was told
  ended();
  ended = () => {};
  body.replaceChildren();
});
document.body.append(dialog);
let ended = () => {};
let written = () => {};

/**
 * Ask for something over the screen.
 * @param {string} title key
 * @param {Node[]} nodes
 * @param {() => void} [write] writes what no key says: now, and in another language
 * @param {() => void} [atEnd]
 */
export function openSheet(title, nodes, write = () => {}, atEnd = () => {}) {
  ended();
  ended = atEnd;
  written = write;
  write();
  heading.dataset.t = title;
  body.replaceChildren(...nodes);
  writeWords(dialog);
  if (!dialog.open) dialog.showModal();
  body.scrollTop = 0;
}

/** Write the open sheet in another language. */
export const writeSheet = () => dialog.open && written();

export const closeSheet = () => dialog.close();
