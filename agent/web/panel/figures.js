// The five figures: good against plan, rejected, no read, speed, OEE.

import { attr, put, show, View } from "./dom.js";
import * as text from "./text.js";

const { t, number } = text;

class Figures extends View {
  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    this.#good(s);
    this.#limited("rejected", s.rejected, s.good);
    this.#limited("no_read", s.no_read, s.good, s.rejected.count);
    const top = Object.entries(s.rejected.reasons ?? {})
      .filter(([, n]) => n > 0)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 1)
      .map(([reason, n]) => `${text.tOr("why", reason)} ${number(n)}`);
    put(this.piece("rejected-reasons"), top.join(" · "));
    this.#speed(s.speed);
    this.#value("oee", text.percent(s.oee.value), s.oee.value != null);
    put(
      this.piece("stops"),
      s.oee.stops == null
        ? text.NONE
        : t("oee.stops", { n: s.oee.stops, time: text.duration(s.oee.stopped_s) }),
    );
  }

  /** @param {string} name @param {string} words @param {boolean} known */
  #value(name, words, known) {
    put(this.piece(name), words);
    attr(this.piece(name), "data-none", known ? null : "");
  }

  /** @param {import("./types.js").Snapshot} s */
  #good(s) {
    const target = s.order?.target ?? null;
    put(this.piece("target"), target === null ? "" : t("good.target", { n: target }));
    this.#value("good", number(s.good), s.good != null);
    const share = (/** @type {number | null} */ n) =>
      n == null || !target ? null : Math.max(0, Math.min(1000, (n / target) * 1000));
    attr(this.piece("done"), "width", (share(s.good) ?? 0).toFixed(1));
    const tick = share(s.plan);
    attr(this.piece("tick-mark"), "x", tick === null ? -19 : Math.min(tick, 990).toFixed(1));
    show(this.piece("tick"), tick !== null);
    put(this.piece("plan-words"), againstPlan(s));
  }

  /**
   * A count with a limit in percent of all that were judged; coloured only past it.
   * @param {string} name
   * @param {{count: number | null, limit_pct: number | null}} figure
   * @param {number | null} good
   * @param {number | null} [rejected] where the figure is itself a part of the rejected
   */
  #limited(name, figure, good, rejected = figure.count) {
    this.#value(name, number(figure.count), figure.count != null);
    const all = good == null || rejected == null ? null : good + rejected;
    const share = figure.count == null || !all ? null : figure.count / all;
    const limit = figure.limit_pct;
    const over = share !== null && limit !== null && share * 100 > limit;
    const words = [text.finePercent(share)];
    if (limit !== null) words.push(t("limit", { value: text.finePercent(limit / 100) }));
    put(this.piece(`${name}-share`), words.join("  "));
    attr(this.piece(`${name}-card`), "data-over", over ? "" : null);
    put(this.piece(`${name}-over`), over ? t("over_limit") : "");
  }

  /** @param {import("./types.js").Snapshot["speed"]} speed */
  #speed(speed) {
    put(this.piece("speed-label"), t("speed.label", { unit: text.tOr("unit", speed.unit ?? "other") }));
    this.#value("speed", number(speed.per_min), speed.per_min != null);
    const { per_min: now, low, high } = speed;
    const banded = low !== null && high !== null;
    put(
      this.piece("speed-band"),
      banded ? t("speed.band", { low: number(low), high: number(high) }) : "",
    );
    let word = text.NONE;
    if (now !== null && banded) {
      word = t(now < low ? "speed.low" : now > high ? "speed.high" : "speed.normal");
    }
    put(this.piece("speed-words"), word);
    // The scale runs from two bands below to two above; beyond it the mark stays at the end.
    const span = banded ? Math.max(high - low, 1) : 1;
    const y = (/** @type {number} */ v) =>
      98 - ((Math.max(-2, Math.min(3, (v - (low ?? 0)) / span)) + 2) / 5) * 96;
    attr(this.piece("gauge-band"), "y", banded ? y(high).toFixed(1) : 0);
    attr(this.piece("gauge-band"), "height", banded ? (y(low) - y(high)).toFixed(1) : 0);
    const shown = now !== null && banded;
    show(this.piece("gauge"), banded);
    attr(this.piece("gauge-mark"), "transform", `translate(0 ${shown ? y(now).toFixed(1) : -99})`);
  }
}

/** "2,480 bottles behind plan (about 10 min)". @param {import("./types.js").Snapshot} s */
function againstPlan(s) {
  if (s.good == null || s.plan == null) return text.NONE;
  const late = Math.round(s.plan - s.good);
  const unit = s.order?.level ?? s.speed.unit ?? "other";
  const n = Math.abs(late);
  const count = text.tOr("count", unit, { n });
  if (late === 0) return t("plan.even");
  if (late < 0) return t("plan.ahead", { n, count });
  if (!s.speed.per_min) return t("plan.behind", { n, count });
  const time = text.duration((late / s.speed.per_min) * 60);
  return t("plan.behind_time", { n, count, time });
}

customElements.define("cl-figures", Figures);
