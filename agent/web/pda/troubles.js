// What is not uploaded, and what the agent sees differently: each with what to do about it.

import { attr, keep, put } from "../panel/dom.js";
import { number, t } from "../panel/text.js";
import { all } from "./db.js";
import { add, settled } from "./queue.js";
import { nameGoods, reasonFor } from "./asking.js";
import { go, pick, Screen } from "./screen.js";
import { app, waiting } from "./state.js";
import { sendSoon, syncNow } from "./sync.js";
import { moment, verdictWords } from "./words.js";

class Queue extends Screen {
  busy = false;

  connectedCallback() {
    this.on("now", async () => {
      this.busy = true;
      this.draw();
      await syncNow().finally(() => (this.busy = false));
      this.draw();
    });
    this.on("export", () => exportAll());
  }

  heading() {
    return t("queue.title");
  }

  draw() {
    put(this.piece("waiting"), number(waiting()));
    put(this.piece("troubles"), number(app.troubles.length));
    const today = app.uploaded.day === new Date().toDateString() ? app.uploaded.n : 0;
    put(this.piece("today"), number(today));
    const at = app.uploaded.at ? t("queue.last", { time: moment(app.uploaded.at) }) : t("queue.never");
    put(this.piece("hint"), `${at} ${t(waiting() ? "queue.hint" : "queue.nothing")}`);
    const list = this.piece("list");
    keep(list, app.troubles.length, () => this.row());
    for (const [n, record] of app.troubles.entries()) this.drawRow(list.children[n], record);
    put(this.piece("now"), t(this.busy ? "queue.busy" : "queue.now"));
    this.piece("now").disabled = this.busy || !app.device;
    this.piece("export").disabled = waiting() === 0 && app.troubles.length === 0;
  }

  row() {
    const node = document.createElement("li");
    for (const name of ["name", "value", "more", "more", "acts"]) {
      node.append(Object.assign(document.createElement("span"), { className: name }));
    }
    for (const act of ["again", "aside", "open"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.choice = act;
      button.addEventListener("click", () => this.choose(act, /** @type {any} */ (node).record));
      node.children[4].append(button);
    }
    return node;
  }

  /**
   * @param {Element} node
   * @param {any} record
   */
  drawRow(node, record) {
    const { item, result, local } = record;
    const said = { word: result.verdict, args: result.args };
    /** @type {any} */ (node).record = record;
    put(node.children[0], local.code || item.document);
    node.children[0].setAttribute("translate", "no");
    put(node.children[1], verdictWords(said, "title"));
    attr(node, "data-bad", "");
    const what = item.do === "scan" ? `${item.document} · ` : "";
    put(node.children[2], `${what}${moment(item.at)} ${verdictWords(said, "text")}`);
    put(node.children[3], verdictWords(said, "do"));
    for (const button of /** @type {any} */ (node.children[4]).children) {
      put(button, t(`choice.${button.dataset.choice}${item.do === "scan" ? "" : "_deed"}`));
    }
  }

  /**
   * @param {string} act
   * @param {any} record
   */
  async choose(act, record) {
    const { item, result, local } = record;
    if (act === "open") {
      const known = app.documents.some((one) => one.number === item.document);
      return known ? go("scan", { number: item.document }) : go("query", { text: item.text });
    }
    if (act === "again") {
      const { do: deed, document, text, remove, condition, body } = item;
      const fields = { do: deed, document, text, remove, condition, body };
      const answers = { answer: item.answer, reason: item.reason };
      if (result.severity === "ask") {
        const kind = app.documents.find((one) => one.number === document)?.kind ?? "";
        const reasons = reasonFor(kind).map((value) => ({ label: t(`ask.${value}`), value }));
        const reason = await pick({ title: verdictWords(local, "title"), options: reasons });
        if (!reason) return undefined;
        Object.assign(answers, { answer: `${item.answer} ${result.verdict}`.trim(), reason });
      }
      const { settled: _, ...shown } = local;
      // What nobody told of must be named, too.
      const unknown = result.verdict === "not_expected" && !local.pieces;
      const named = unknown ? await nameGoods() : null;
      if (named) fields.body = named;
      await add({ ...fields, ...answers }, { ...shown, severity: "ok" });
    }
    await settled(record, act);
    sendSoon();
    this.draw();
    return undefined;
  }
}

/** As a last resort: everything that the agent has not taken, as a file. */
async function exportAll() {
  const waitingOnes = await all("items", IDBKeyRange.lowerBound(app.upto, true));
  const items = waitingOnes.map(({ item }) => item);
  const troubles = app.troubles.map(({ item, result }) => ({ item, result }));
  const told = { device: app.device?.device, upto: app.upto, now: Date.now(), items, troubles };
  const blob = new Blob([JSON.stringify(told, null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `caselink-${told.device}-${told.now}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

customElements.define("pda-queue", Queue);
