// A button that acts only when it has been held for a second: a slip of the glove does nothing.

import { button, el, put } from "./dom.js";
import { t } from "./text.js";

export const HOLD_MS = 1000;

/**
 * @param {string} className
 * @param {() => void} act called once when held long enough, by pointer or by keyboard
 */
export function holdButton(className, act) {
  const node = button(`hold ${className}`, true);
  const label = el("span", "hold-label");
  const hint = el("span", "hold-hint");
  node.append(label, hint);
  let timer = 0;

  const begin = () => {
    if (node.disabled || timer) return;
    node.dataset.holding = "";
    timer = setTimeout(() => {
      end();
      if (!node.disabled) act();
    }, HOLD_MS);
  };
  const end = () => {
    clearTimeout(timer);
    timer = 0;
    delete node.dataset.holding;
  };
  node.addEventListener("pointerdown", (event) => event.button === 0 && begin());
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
    node.addEventListener(name, end);
  }
  node.addEventListener("keydown", (event) => {
    if ((event.key === " " || event.key === "Enter") && !event.repeat) begin();
  });
  node.addEventListener("keyup", end);
  node.addEventListener("contextmenu", (event) => event.preventDefault());
  return {
    node,
    /** @param {string} words */
    name(words) {
      put(label, words);
      put(hint, t("hold.hint"));
    },
  };
}
