// Screens and the way between them: one is shown, the others wait on a stack.

import { put, show, View } from "../panel/dom.js";
import { signal } from "./signals.js";

/** @typedef {{label: string, hint?: string, value: any, match?: string}} Option */

export class Screen extends View {
  /** What stands in the bar. */
  heading() {
    return "";
  }

  sub() {
    return "";
  }

  /** Whether there is a way back from here. */
  stays() {
    return false;
  }

  /** Shown with these arguments. @param {any} _args */
  enter(_args) {}

  /** Left by going back. */
  leave() {}

  /** Something in the app changed. */
  draw() {}

  /** A code was scanned; no screen is deaf. @param {string} _text @returns {any} */
  code(_text) {
    signal("refused");
  }

  /** Press one of my pieces. @param {string} name @param {() => unknown} act */
  on(name, act) {
    this.piece(name).addEventListener("click", act);
  }
}

/** Scans and taps of a screen: one after the other, in the order in which they were made. */
export class InTurn {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Do it when all that came before is done; what fails is told and holds up nothing.
   * @template T
   * @param {() => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  next(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** @type {Screen[]} */
const stack = [];
let armed = false;
/** The screen that the first tap of a double tap was for. @type {Screen | null} */
let tapped = null;

/** @param {string} name @returns {Screen} */
const named = (name) => /** @type {Screen} */ (document.querySelector(`pda-${name}`));

export const current = () => stack[stack.length - 1];

/**
 * @param {string} name
 * @param {any} [args]
 */
export function go(name, args = {}) {
  if (current()) show(current(), false);
  const next = named(name);
  const at = stack.indexOf(next);
  if (at >= 0) stack.splice(at, 1); // a screen is on the way once
  stack.push(next);
  show(next, true);
  next.enter(args);
  drawAll();
}

/** Leave the screen that is shown. */
export function back() {
  if (stack.length < 2 || current().stays()) return;
  const left = /** @type {Screen} */ (stack.pop());
  show(left, false);
  show(current(), true);
  left.leave();
  drawAll();
}

/** Back to the first screen. */
export function home() {
  while (stack.length > 1) {
    const left = /** @type {Screen} */ (stack.pop());
    show(left, false);
    left.leave();
  }
  show(current(), true);
  drawAll();
}

export function drawAll() {
  const now = current();
  if (!now) return;
  put(/** @type {Element} */ (document.getElementById("title")), now.heading());
  put(/** @type {Element} */ (document.getElementById("sub")), now.sub());
  const way = stack.length > 1 && !now.stays();
  show(/** @type {Element} */ (document.getElementById("back")), way);
  now.draw();
}

/**
 * Let a person choose; null when they go back. An option may also be scanned (`match`).
 * @param {{title: string, hint?: string, options: Option[], grid?: boolean}} asked
 * @returns {Promise<any>}
 */
export function pick(asked) {
  return new Promise((done) => go("choose", { ...asked, done }));
}

/**
 * Let a person type digits; null when they go back. `check` may say what is wrong with them.
 * @param {{title: string, hint?: string, secret?: boolean, most: number,
 *   check?: (text: string) => Promise<string>}} asked
 * @returns {Promise<string | null>}
 */
export function digits(asked) {
  return new Promise((done) => go("keys", { ...asked, done }));
}

/** The back key of the device goes back here, and leaves the app only from the first screen. */
export function ownBackKey() {
  document.addEventListener("click", (event) => {
    // A nervous thumb: the second tap must not press what the next screen has in the same place.
    if (event.detail > 1 && current() !== tapped) event.stopPropagation();
    else tapped = current();
  }, true);
  document.addEventListener("pointerup", () => {
    if (armed || stack.length < 2) return;
    history.pushState(null, "");
    armed = true;
  });
  window.addEventListener("popstate", () => {
    armed = false;
    back();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "GoBack") back();
  });
}
