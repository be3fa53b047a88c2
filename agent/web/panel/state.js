// What the whole page knows: the last snapshot, how old it is, and so whether buttons may act.

import { STALE_MS } from "./feed.js";

/** @type {{snapshot: import("./types.js").Snapshot | null, age: number}} */
export const state = { snapshot: null, age: Infinity };

export const isStale = () => state.age > STALE_MS;

/** Who gives a command: the person who is logged in, else this panel. */
export const by = () => state.snapshot?.operator || "panel";

/**
 * Allow or forbid a command's button; while the data is old it is locked in any case.
 * @param {HTMLButtonElement} button
 * @param {boolean} allowed
 */
export function allow(button, allowed) {
  if (allowed) delete button.dataset.off;
  else button.dataset.off = "";
  lock(button);
}

/** @param {HTMLButtonElement} button */
function lock(button) {
  const locked = isStale() || "off" in button.dataset;
  if (button.disabled !== locked) button.disabled = locked;
}

/** Lock or unlock every button that changes something. */
export function lockAll() {
  for (const node of document.querySelectorAll("button[data-act]")) {
    lock(/** @type {HTMLButtonElement} */ (node));
  }
}
