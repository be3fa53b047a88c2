// The current container as a grid: what is in it, what is wrong, what comes next.

import { attr, button, keep, put, show, svg, View } from "./dom.js";
import { openCell } from "./dialogs.js";
import * as text from "./text.js";

const { t } = text;
const LIMIT = 240; // places that are drawn

class Cells extends View {
  /** @type {import("./types.js").Current | null} */
  #current = null;

  connectedCallback() {
    // One listener for all: a cell that changes under the finger is still the same node.
    this.piece("grid").addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const cell = /** @type {Element} */ (event.target).closest("button");
      if (cell && this.#current) {
        openCell(this.#current, [...this.piece("grid").children].indexOf(cell));
      }
    });
  }

  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    const current = (this.#current = s.current);
    const level = text.tOr("level", current?.level ?? "case");
    put(this.piece("title"), t("current.title", { level }));
    put(this.piece("number"), current?.number == null ? "" : `#${current.number}`);
    put(this.piece("count"), `${text.number(current?.count)} / ${text.number(current?.of)}`);
    show(this.piece("grid"), current !== null);
    show(this.piece("legend"), current !== null);
    show(this.piece("empty"), current === null);
    put(this.piece("empty"), current ? "" : t("current.none"));
    const cells = current ? current.cells.slice(0, LIMIT) : [];
    const grid = this.piece("grid");
    const columns = Math.max(1, current?.columns ?? 1);
    grid.style.setProperty("--columns", String(columns));
    grid.style.setProperty("--rows", String(Math.ceil(cells.length / columns) || 1));
    attr(grid, "data-dense", cells.length > 60 ? "" : null);
    keep(grid, cells.length, makeCell);
    const next = cells.findIndex((cell) => cell.s === "wait");
    cells.forEach((cell, index) => {
      const node = grid.children[index];
      const shown = index === next ? "next" : cell.s;
      attr(node, "data-s", shown);
      put(node.lastElementChild, text.number(index + 1));
      attr(node.firstElementChild.firstElementChild, "href", shown === "bad" ? "#i-cross" : "#");
      attr(node, "aria-label", t("cell.name", { n: index + 1, state: t(`cell.${shown}`) }));
    });
  }
}

function makeCell() {
  const node = button("cell");
  node.append(svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use")), document.createElement("span"));
  return node;
}

customElements.define("cl-cells", Cells);
