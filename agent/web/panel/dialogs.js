// The sheet over the Run screen: one dialog, filled by what was asked for.

import { acknowledge, alarmSubject, alarmText, byUrgency, whyWord } from "./alarms.js";
import { attr, button, el, icon, keep, put, show } from "./dom.js";
import { OrdersSheet } from "./orders.js";
import { Refusal } from "./server.js";
import { allow, lockAll, state } from "./state.js";
import * as text from "./text.js";

const { t } = text;

/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("./types.js").Alarm} Alarm */
/**
 * @typedef {object} Sheet
 * @property {() => string} title
 * @property {boolean} [named] the title is a name of no language
 * @property {(body: HTMLElement) => void} build makes the nodes, once
 * @property {(snapshot: Snapshot) => void} render writes them, per snapshot and per language
 */

const dialog = /** @type {HTMLDialogElement} */ (el("dialog", "sheet"));
const heading = el("h2");
heading.id = "sheet-title";
const close = button("close");
const body = el("div", "sheet-body");
dialog.setAttribute("aria-labelledby", heading.id);
dialog.append(el("div", "sheet-top", heading, close), body);
close.addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("close", () => {
  current = null;
  body.replaceChildren();
});
document.body.append(dialog);

/** @type {Sheet | null} */
let current = null;

/** @param {Sheet} sheet */
export function openSheet(sheet) {
  current = sheet;
  body.replaceChildren();
  sheet.build(body);
  renderSheet();
  if (!dialog.open) dialog.showModal();
  body.scrollTop = 0;
}

export const closeSheet = () => dialog.close();

/** Write the open sheet again: a new snapshot, or another language. */
export function renderSheet() {
  if (!current) return;
  put(heading, current.title());
  heading.translate = !current.named;
  put(close, t("close"));
  text.writeFixed(body);
  if (state.snapshot) current.render(state.snapshot);
  lockAll();
}

/** @param {import("./types.js").Current} container @param {number} index */
export function openCell(container, index) {
  openSheet(new CellSheet(container, index));
}

/** @param {string} name data-open of the button @param {{lines: string[], change: (line: string) => void}} context */
export function openNamed(name, context) {
  if (name === "orders") openSheet(new OrdersSheet(closeSheet));
  else if (name === "alarms") openSheet(new AlarmsSheet());
  else if (name === "devices") void openDevices();
  else if (name === "lines" && context.lines.length > 1) openSheet(new LinesSheet(context));
  else if (name === "run" && dialog.open) closeSheet();
}

async function openDevices() {
  const { DevicesSheet } = await import("/devices/sheet.js");
  openSheet(new DevicesSheet());
}

/** What one place of the container holds. The container goes on; this stays what was tapped. */
class CellSheet {
  /** @param {import("./types.js").Current} container @param {number} index */
  constructor(container, index) {
    this.cells = container.cells;
    this.index = index;
  }

  title() {
    return t("cell.title", { n: this.index + 1 });
  }

  /** @param {HTMLElement} root */
  build(root) {
    this.verdict = el("p", "verdict", icon("cross"), el("b"));
    this.facts = el("dl", "pairs cell-facts");
    for (const name of ["cell.code", "cell.time", "cell.reason", "cell.do"]) {
      const term = el("dt");
      term.dataset.t = name;
      this.facts.append(el("div", "", term, el("dd")));
    }
    this.facts.firstElementChild?.lastElementChild?.setAttribute("translate", "no");
    this.steps = [-1, 1].map((step) => {
      const node = button("step");
      node.addEventListener("click", () => {
        this.index = (this.index + step + this.cells.length) % this.cells.length;
        renderSheet();
      });
      return node;
    });
    root.append(this.verdict, this.facts, el("div", "actions", ...this.steps));
  }

  render() {
    const cell = this.cells[this.index];
    attr(this.verdict, "data-s", cell.s);
    show(this.verdict.firstElementChild, cell.s === "bad");
    put(this.verdict.lastElementChild, t(`cell.${cell.s}`));
    const [code, time, reason, todo] = [...this.facts.children].map((row) => row.lastElementChild);
    put(code, cell.code ?? text.NONE);
    put(time, text.second(cell.at));
    put(reason, cell.why ? whyWord(cell.why) : text.NONE);
    put(todo, t(`cell.do.${cell.s}`));
    put(this.steps[0], t("cell.previous"));
    put(this.steps[1], t("cell.following"));
  }
}

/** Every open alarm: cause, what to do, acknowledge. */
class AlarmsSheet {
  title() {
    return t("rail.alarms");
  }

  /** @param {HTMLElement} root */
  build(root) {
    this.empty = el("p", "empty");
    this.list = el("ul", "alarms");
    this.result = el("p", "result");
    this.result.setAttribute("role", "status");
    root.append(this.empty, this.list, this.result);
  }

  /** @param {Snapshot} s */
  render(s) {
    const alarms = byUrgency(s.alarms);
    this.alarms = alarms;
    put(this.empty, alarms.length ? "" : t("alarm.none"));
    show(this.empty, alarms.length === 0);
    keep(this.list, alarms.length, (index) => this.#makeRow(index));
    alarms.forEach((alarm, index) => {
      const row = this.list.children[index];
      const [mark, words, ack] = row.children;
      const [what, subject, since, cause, todo] = words.children;
      attr(row, "data-level", alarm.priority);
      put(mark, String(alarm.priority));
      put(what, alarmText(alarm, "title"));
      put(subject, alarmSubject(alarm));
      put(since, t("since", { time: text.second(alarm.since) }));
      put(cause, alarmText(alarm, "cause"));
      put(todo, alarmText(alarm, "do"));
      put(ack, t(alarm.acked ? "alarm.acknowledged" : "alarm.acknowledge"));
      allow(/** @type {HTMLButtonElement} */ (ack), !alarm.acked);
    });
  }

  /** @param {number} index */
  #makeRow(index) {
    const mark = el("span", "mark");
    mark.setAttribute("aria-hidden", "true");
    const subject = el("span", "subject");
    subject.translate = false;
    const words = el("div", "words");
    words.append(el("b"), subject, el("span", "small"), el("p", "cause"), el("p", "do"));
    const ack = button("ack", true);
    ack.addEventListener("click", async () => {
      try {
        await acknowledge(this.alarms[index]);
        put(this.result, "");
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        put(this.result, error.message);
      }
    });
    return el("li", "", mark, words, ack);
  }
}

/** Which line this panel shows. */
class LinesSheet {
  /** @param {{lines: string[], change: (line: string) => void}} context */
  constructor(context) {
    this.context = context;
  }

  title() {
    return t("lines.title");
  }

  /** @param {HTMLElement} root */
  build(root) {
    const list = el("div", "choices");
    for (const line of this.context.lines) {
      const node = button("choice");
      node.translate = false;
      node.textContent = line;
      node.addEventListener("click", () => {
        closeSheet();
        this.context.change(line);
      });
      list.append(node);
    }
    root.append(list);
  }

  render() {}
}
