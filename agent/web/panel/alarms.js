// Alarms: their order, their marks and their words; the alarm row.

import { attr, put, show, View } from "./dom.js";
import { command, linePath, Refusal } from "./server.js";
import { allow, by, isStale, state } from "./state.js";
import { plainKey, second, t, tOr, has } from "./text.js";

/** @typedef {import("./types.js").Alarm} Alarm */

/** The most urgent first: not acknowledged before acknowledged, then priority, then the newest.
 * @param {Alarm[]} alarms */
export function byUrgency(alarms) {
  return [...alarms].sort(
    (a, b) => Number(a.acked) - Number(b.acked) || a.priority - b.priority || b.since - a.since,
  );
}

/** @param {Alarm} alarm @param {"title" | "cause" | "do"} what */
export function alarmText(alarm, what) {
  const key = plainKey(alarm.key);
  return has(`alarm.${key}.${what}`)
    ? t(`alarm.${key}.${what}`, alarm.args)
    : t(`alarm.other.${what}`, { key: alarm.key });
}

/** What the alarm concerns: the arguments that the catalogue has a name for. @param {Alarm} alarm */
export function alarmSubject(alarm) {
  return Object.entries(alarm.args)
    .filter(([name]) => has(`arg.${name}`))
    // A device's alarm has the device for its station.
    .filter(([name, value]) => name !== "station" || value !== alarm.args.device)
    .map(([name, value]) =>
      t(`arg.${name}`, { value: name === "verdict" ? tOr("why", value) : value }),
    )
    .join(" · ");
}

/** @param {Alarm} alarm */
export async function acknowledge(alarm) {
  const line = state.snapshot?.line.id ?? "";
  await command(`${linePath(line)}/alarms/${encodeURIComponent(alarm.id)}/acknowledge`, {
    by: by(),
  });
}

/** The row that is always there, so that nothing jumps. */
class AlarmRow extends View {
  /** @type {Alarm | null} */
  #first = null;
  #failed = "";

  connectedCallback() {
    this.piece("ack").addEventListener("click", () => this.#acknowledge());
  }

  async #acknowledge() {
    const alarm = this.#first;
    if (!alarm) return;
    allow(this.piece("ack"), false);
    try {
      await acknowledge(alarm);
      this.#failed = "";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#failed = error.message;
    }
    allow(this.piece("ack"), true);
    if (state.snapshot) this.render(state.snapshot);
  }

  /** @param {import("./types.js").Snapshot} snapshot */
  render(snapshot) {
    const [first = null, ...others] = byUrgency(snapshot.alarms);
    if (first?.id !== this.#first?.id) this.#failed = "";
    this.#first = first;
    if (!isStale()) this.#write(first, others);
  }

  /** @param {Alarm | null} first @param {Alarm[]} others */
  #write(first, others) {
    const row = this.firstElementChild;
    if (!row) return;
    attr(row, "data-level", first ? first.priority : "none");
    attr(row, "data-blink", first && !first.acked ? "" : null);
    put(this.piece("mark"), first ? String(first.priority) : "");
    put(this.piece("title"), first ? alarmText(first, "title") : t("alarm.none"));
    put(this.piece("subject"), first ? alarmSubject(first) : "");
    put(this.piece("since"), first ? second(first.since) : "");
    put(this.piece("cause"), first ? alarmText(first, "cause") : "");
    put(this.piece("do"), this.#failed || (first ? alarmText(first, "do") : ""));
    put(this.piece("others"), others.length ? t("alarm.others", { n: others.length }) : "");
    show(this.piece("others"), others.length > 0);
    show(this.piece("ack"), first !== null);
    put(this.piece("ack"), t(first?.acked ? "alarm.acknowledged" : "alarm.acknowledge"));
    allow(this.piece("ack"), first !== null && !first.acked);
  }

  /** The data is old: the row says so, before anything else. @param {number} age in ms */
  showStale(age) {
    const row = this.firstElementChild;
    if (!row) return;
    attr(row, "data-level", "stale");
    attr(row, "data-blink", null);
    put(this.piece("mark"), "");
    const at = state.snapshot?.at ?? null;
    put(
      this.piece("title"),
      Number.isFinite(age) ? t("stale.title", { n: Math.floor(age / 1000) }) : t("stale.never"),
    );
    put(this.piece("subject"), "");
    put(this.piece("since"), at === null ? "" : t("stale.since", { time: second(at) }));
    put(this.piece("cause"), "");
    put(this.piece("do"), t("stale.do"));
    show(this.piece("others"), false);
    show(this.piece("ack"), false);
  }
}

customElements.define("cl-alarm", AlarmRow);

/** The word for why an item was not good. @param {string} why */
export const whyWord = (why) => tOr("why", why);
