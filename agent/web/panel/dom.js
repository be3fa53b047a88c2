// Small helpers: nodes are made once and then only written to.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Write a text, touching the document only if it changed; the text node is reused.
 * @param {Element} node
 * @param {string} value
 */
export function put(node, value) {
  const first = node.firstChild;
  if (first instanceof Text && first === node.lastChild) {
    if (first.data !== value) first.data = value;
  } else {
    node.textContent = value;
  }
}

/**
 * Set an attribute if it changed; null removes it.
 * @param {Element} node
 * @param {string} name
 * @param {string | number | null} value
 */
export function attr(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * @param {Element} node
 * @param {boolean} shown
 */
export function show(node, shown) {
  if (node.hasAttribute("hidden") === shown) node.toggleAttribute("hidden", !shown);
}

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {...(Node | string)} children
 */
export function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** @param {string} name of a symbol in index.html */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

/**
 * A button. `act` marks one that changes something: it is locked while the data is old.
 * @param {string} className
 * @param {boolean} act
 */
export function button(className, act = false) {
  const node = /** @type {HTMLButtonElement} */ (el("button", className));
  node.type = "button";
  if (act) node.dataset.act = "";
  return node;
}

/** Base of the panel's elements: finds its pieces by `data-v`. */
export class View extends HTMLElement {
  /** @type {Map<string, any>} */
  #pieces = new Map();

  /**
   * The piece of this element that carries data-v=name.
   * @param {string} name
   * @returns {any}
   */
  piece(name) {
    let node = this.#pieces.get(name);
    if (!node) {
      node = this.querySelector(`[data-v="${name}"]`);
      if (!node) throw new Error(`${this.tagName} has no piece ${name}`);
      this.#pieces.set(name, node);
    }
    return node;
  }

  /** @param {import("./types.js").Snapshot} _snapshot */
  render(_snapshot) {}
}

/**
 * As many children as wanted: made by `make`, the surplus removed, the rest kept.
 * @param {Element} parent
 * @param {number} count
 * @param {(index: number) => Node} make
 */
export function keep(parent, count, make) {
  while (parent.childElementCount < count) parent.append(make(parent.childElementCount));
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
}
