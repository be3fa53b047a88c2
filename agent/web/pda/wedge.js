// What the scanner types. A code ends at Enter or Tab and never by a pause; a text that comes in one
// piece (input method, paste) is a whole code; what is left over is reported, never taken for one.

import { app } from "./state.js";

const LEFT_OVER_MS = 2500;
const MOST = 64 * 1024; // one paste
const GS = "\x1d";

/** @type {HTMLTextAreaElement} */
let field;
let composing = false;
let typed = ""; // what came since the last code
let held = ""; // what of it the field held after the last event
let timer = 0;
/** @type {(text: string) => void} */
let onCode;
/** @type {(text: string) => void} */
let onLeftOver;

/**
 * @param {HTMLTextAreaElement} node a field that shows no keyboard
 * @param {(text: string) => void} code one whole code
 * @param {(text: string) => void} leftOver characters without an end
 */
export function listen(node, code, leftOver) {
  field = node;
  onCode = code;
  onLeftOver = leftOver;
  field.addEventListener("input", onInput);
  field.addEventListener("compositionstart", () => (composing = true));
  field.addEventListener("compositionend", () => {
    composing = false;
    taken();
  });
  document.addEventListener("keydown", onKey, true);
  field.addEventListener("blur", () => setTimeout(refocus));
  for (const name of ["pointerup", "focusin"]) document.addEventListener(name, () => refocus());
  for (const name of ["focus", "pageshow"]) window.addEventListener(name, () => refocus());
  document.addEventListener("visibilitychange", () => refocus());
  // A button that takes the focus would be pressed by the Enter of the next scan.
  document.addEventListener("mousedown", (event) => {
    if (!isEntry(/** @type {Element} */ (event.target))) event.preventDefault();
  });
  refocus();
}

/** A field for people: it keeps the focus. @param {Element | null} node */
function isEntry(node) {
  return node !== field && !!node?.closest("input, select, textarea, video");
}

export function refocus() {
  const now = document.activeElement;
  if (document.hidden || now === field || isEntry(now)) return;
  // Who walks through the buttons by keyboard may; a scanner types into the field anyway (onKey).
  if (now instanceof HTMLElement && now.matches(":focus-visible") && now !== document.body) return;
  field.focus({ preventScroll: true });
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {Element} */ (event.target);
  if (isEntry(target)) return;
  // keyCode 229: the input method has the key; the text itself comes with an input event.
  const ours = !event.isComposing && event.keyCode !== 229;
  if (ours && isCharacter(event) && !(target !== field && event.key === " ")) {
    // Not left to the field: its layout and a frame for every character would be waited for.
    event.preventDefault();
    if (target !== field) field.focus({ preventScroll: true });
    grown(typed + (event.ctrlKey ? GS : event.key));
    return;
  }
  if (ours && event.key === "Backspace" && !held) typed = typed.slice(0, -1);
  const end = event.key === "Enter" || event.key === "Tab";
  if (!end || !ours) return;
  if (event.key === "Tab" && !typed) return;
  if (target !== field && !typed) return; // a button pressed by keyboard
  event.preventDefault();
  const text = typed;
  clear();
  if (text) code(text);
}

/** Ctrl+] is GS as a keystroke. @param {KeyboardEvent} event */
function isCharacter(event) {
  if (event.ctrlKey) return event.key === "]";
  return event.key.length === 1 && !event.metaKey && !event.altKey;
}

/** @param {string} text */
function grown(text) {
  typed = text.slice(0, MOST);
  clearTimeout(timer);
  if (typed) timer = setTimeout(forget, LEFT_OVER_MS);
}

/** @param {Event} event */
function onInput(event) {
  if (composing || /** @type {InputEvent} */ (event).isComposing) return;
  taken();
}

/** Take what is whole out of the field. */
function taken() {
  const value = field.value.slice(0, MOST);
  if (held.startsWith(value)) {
    grown(typed.slice(0, typed.length - held.length + value.length)); // some of it was deleted
    held = value;
    return;
  }
  const more = value.startsWith(held) ? value.slice(held.length) : value;
  if (typed && more.length > 1 && !/^[\r\n\t]/.test(more)) {
    // Characters without an end, and then a text in one piece: two different things.
    leftOver(typed);
    typed = "";
  }
  const parts = (typed + more).split(/[\r\n\t]+/);
  let rest = /** @type {string} */ (parts.pop());
  if (rest.length > 1 && (!typed || parts.length)) {
    parts.push(rest);
    rest = "";
  }
  held = value;
  if (parts.length) field.value = held = rest;
  grown(rest);
  for (const part of parts) if (part) code(part);
}

function clear() {
  if (field.value) field.value = "";
  held = "";
  grown("");
}

function forget() {
  const text = typed;
  clear();
  if (text) leftOver(text);
}

/** @param {string} text */
function code(text) {
  onCode(restored(text));
}

/** @param {string} text */
function leftOver(text) {
  onLeftOver(restored(text));
}

/** The profile's printable character back into GS. @param {string} text */
function restored(text) {
  return app.settings.gs ? text.replaceAll(app.settings.gs, GS) : text;
}
