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
    this.part("ack").addEventListener("click", () => this.#acknowledge());
  }

  async #acknowledge() {
    const alarm = this.#first;
    if (!alarm) return;
    allow(this.part("ack"), false);
    try {
      await acknowledge(alarm);
      this.#failed = "";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#failed = error.message;
    }
    allow(this.part("ack"), true);
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
    put(this.part("mark"), first ? String(first.priority) : "");
    put(this.part("title"), first ? alarmText(first, "title") : t("alarm.none"));
    put(this.part("subject"), first ? alarmSubject(first) : "");
    put(this.part("since"), first ? second(first.since) : "");
    put(this.part("cause"), first ? alarmText(first, "cause") : "");
    put(this.part("do"), this.#failed || (first ? alarmText(first, "do") : ""));
    put(this.part("others"), others.length ? t("alarm.others", { n: others.length }) : "");
    show(this.part("others"), others.length > 0);
    show(this.part("ack"), first !== null);
    put(this.part("ack"), t(first?.acked ? "alarm.acknowledged" : "alarm.acknowledge"));
    allow(this.part("ack"), first !== null && !first.acked);
  }

  /** The data is old: the row says so, before anything else. @param {number} age in ms */
  showStale(age) {
    const row = this.firstElementChild;
    if (!row) return;
    attr(row, "data-level", "stale");
    attr(row, "data-blink", null);
    put(this.part("mark"), "");
    const at = state.snapshot?.at ?? null;
    put(
      this.part("title"),
      Number.isFinite(age) ? t("stale.title", { n: Math.floor(age / 1000) }) : t("stale.never"),
    );
    put(this.part("subject"), "");
    put(this.part("since"), at === null ? "" : t("stale.since", { time: second(at) }));
    put(this.part("cause"), "");
    put(this.part("do"), t("stale.do"));
    show(this.part("others"), false);
    show(this.part("ack"), false);
  }
}

customElements.define("cl-alarm", AlarmRow);

/** The word for why an item was not good. @param {string} why */
export const whyWord = (why) => tOr("why", why);
