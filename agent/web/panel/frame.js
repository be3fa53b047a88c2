// The frame: line, state, work order, devices, backlog, who, clock, language.

import { attr, put, show, View } from "./dom.js";
import { causeWord } from "./held.js";
import { state } from "./state.js";
import * as text from "./text.js";

const { t } = text;

/** Seconds that something may wait for the cloud before anybody need know. */
const WORTH_A_WORD = 60;

class Frame extends View {
  connectedCallback() {
    setInterval(() => this.#tick(), 500);
  }

  /** The clock is the agent's: its last word plus the time since. */
  #tick() {
    if (!state.snapshot) return;
    const now = state.snapshot.at + (Number.isFinite(state.age) ? state.age : 0);
    put(this.piece("clock"), text.minute(now));
    put(this.piece("date"), text.day(now));
  }

  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    put(this.piece("line"), text.named(s.line.names, s.line.id));
    attr(this.piece("state"), "data-state", s.state.packml);
    attr(this.piece("state-icon"), "href", `#i-${s.state.packml}`);
    put(this.piece("state-word"), text.tOr("state", s.state.packml));
    const word = causeWord(s.state.cause);
    const since = t("since", { time: text.minute(s.state.since) });
    put(this.piece("since"), word ? `${since} · ${word}` : since);
    show(this.piece("bypass"), Boolean(s.bypass));
    if (s.bypass) {
      const n = Object.values(s.bypass.unseen).reduce((sum, one) => sum + one, 0);
      const time = text.duration(s.bypass.left_s);
      put(this.piece("bypass-more"), t("bypass.more", { time, n }));
    }
    show(this.piece("test"), Boolean(s.test));
    if (s.test) {
      const n = Object.values(s.test.seen).reduce((sum, one) => sum + one, 0);
      put(this.piece("test-more"), t("test.more", { ok: s.test.seen.pass ?? 0, n }));
    }
    const order = s.order;
    put(this.piece("order"), order ? order.number : t("order.none"));
    attr(this.piece("order"), "translate", order ? "no" : null);
    attr(this.piece("order-button"), "data-call", order || s.orders.length === 0 ? null : "");
    show(this.piece("order-tag"), order !== null);
    put(this.piece("product"), order ? text.named(order.names, order.sku) : "");
    put(this.piece("lot"), order ? t("order.lot", { lot: order.lot }) : t("order.choose"));
    put(this.piece("devices"), `${text.number(s.devices.ok)}/${text.number(s.devices.all)}`);
    const offline = s.backlog.connected === false;
    put(this.piece("backlog-label"), t(offline ? "backlog.offline" : "backlog.label"));
    put(this.piece("backlog"), backlogAge(s));
    put(this.piece("operator"), s.operator ?? text.NONE);
    put(this.piece("shift"), s.shift ?? t("operator.label"));
    attr(this.piece("shift"), "translate", s.shift ? "no" : null);
    const other = text.otherLanguage();
    put(this.piece("language"), other === "en" ? "English" : "中文");
    attr(this.piece("language"), "lang", other === "en" ? "en" : "zh-CN");
    this.#tick();
    badge("alarm-badge", s.alarms.length);
    badge("device-badge", s.devices.list.filter((device) => troubled(device.state)).length);
  }
}

/** What waits, and for how long once that is worth a word.
 * @param {import("./types.js").Snapshot} s */
function backlogAge(s) {
  const { events, oldest } = s.backlog;
  const seconds = oldest == null ? 0 : (s.at - oldest) / 1000;
  if (seconds < WORTH_A_WORD) return text.number(events);
  const count = events != null && events >= 10_000 ? text.compact(events) : text.number(events);
  return t("backlog.aged", { count, time: text.duration(seconds) });
}

/** @param {string} deviceState */
export const troubled = (deviceState) => deviceState === "lost" || deviceState === "fault";

/** @param {string} id @param {number} count */
function badge(id, count) {
  const node = document.getElementById(id);
  if (!node) return;
  put(node, count ? String(count) : "");
  show(node, count > 0);
}

customElements.define("cl-frame", Frame);
