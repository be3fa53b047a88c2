// Choosing by a tap or a scan, and typing digits with a glove.

import { keep, put, show } from "../panel/dom.js";
import { t } from "../panel/text.js";
import { back, Screen } from "./screen.js";
import { signal } from "./signals.js";

class Choose extends Screen {
  /** @type {any} */
  asked = { options: [] };

  heading() {
    return this.asked.title;
  }

  /** @param {any} asked */
  enter(asked) {
    this.asked = asked;
    const list = this.piece("options");
    list.replaceChildren();
    list.classList.toggle("grid", Boolean(asked.grid));
    keep(list, asked.options.length, (at) => {
      const { label, hint } = asked.options[at];
      const node = document.createElement("button");
      node.type = "button";
      node.append(label);
      if (hint) node.append(Object.assign(document.createElement("small"), { textContent: hint }));
      node.addEventListener("click", () => this.choose(asked.options[at].value));
      return node;
    });
    put(this.piece("hint"), asked.hint ?? "");
    show(this.piece("empty"), asked.options.length === 0);
  }

  /** @param {any} value */
  choose(value) {
    const { done } = this.asked;
    this.asked = { ...this.asked, done: null };
    back();
    done?.(value);
  }

  leave() {
    this.asked.done?.(null);
  }

  /** @param {string} text */
  code(text) {
    const found = this.asked.options.find((/** @type {any} */ one) => one.match === text);
    if (found) this.choose(found.value);
    else signal("refused");
  }
}

class Keys extends Screen {
  /** @type {any} */
  asked = { most: 0 };
  entry = "";

  connectedCallback() {
    for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "⌫"]) {
      const node = document.createElement(key ? "button" : "span");
      node.textContent = key;
      if (key) node.addEventListener("click", () => this.press(key));
      if (key === "⌫") node.dataset.tLabel = "keys.back";
      this.piece("pad").append(node);
    }
    this.on("ok", () => this.done());
  }

  heading() {
    return this.asked.title;
  }

  /** @param {any} asked */
  enter(asked) {
    this.asked = asked;
    this.entry = "";
    put(this.piece("bad"), "");
    put(this.piece("hint"), asked.hint ?? "");
  }

  leave() {
    this.asked.done?.(null);
  }

  /** @param {string} key */
  press(key) {
    if (key === "⌫") this.entry = this.entry.slice(0, -1);
    else if (this.entry.length < this.asked.most) this.entry += key;
    put(this.piece("bad"), "");
    this.draw();
  }

  /** A PDA with number keys types here as a scanner does. @param {string} text */
  code(text) {
    if (!/^\d+$/.test(text) || this.piece("ok").disabled) return signal("refused");
    this.entry = text.slice(0, this.asked.most);
    return this.done();
  }

  async done() {
    const { asked } = this;
    if (!this.entry || this.piece("ok").disabled) return;
    this.piece("ok").disabled = true;
    const wrong = (await asked.check?.(this.entry)) ?? "";
    this.piece("ok").disabled = false;
    if (this.asked !== asked) return; // given up meanwhile
    if (wrong) {
      put(this.piece("bad"), wrong);
      this.entry = "";
      signal("refused");
      this.draw();
      return;
    }
    const { done } = this.asked;
    this.asked = { ...this.asked, done: null };
    back();
    done?.(this.entry);
  }

  draw() {
    put(this.piece("entry"), this.asked.secret ? "●".repeat(this.entry.length) : this.entry);
    put(this.piece("ok"), t("keys.ok"));
  }
}

customElements.define("pda-choose", Choose);
customElements.define("pda-keys", Keys);
