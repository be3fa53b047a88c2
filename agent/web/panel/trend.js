// The shift's output against plan, drawn in pixels of its own box.

import { attr, put, svg, View } from "./dom.js";
import { state } from "./state.js";
import * as text from "./text.js";

const { t } = text;
const LEFT = 46;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 14;

/** A round step that divides `top` into about three. @param {number} top */
function roundStep(top) {
  const raw = Math.max(1, top / 3);
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 3, 5, 10].find((factor) => factor * power >= raw * 0.8) ?? 10) * power;
}

class TrendView extends View {
  connectedCallback() {
    const plot = this.piece("plot");
    for (const name of ["rules", "plan", "line", "dot", "words"]) {
      plot.append(svg(name === "rules" || name === "words" ? "g" : "path", { class: name }));
    }
    new ResizeObserver(() => state.snapshot && this.render(state.snapshot)).observe(plot.parentElement);
  }

  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    const plot = this.piece("plot");
    const { clientWidth: width, clientHeight: height } = plot.parentElement;
    if (width < 80 || height < 50) return;
    attr(plot, "viewBox", `0 0 ${width} ${height}`);
    const trend = s.trend;
    const last = trend?.points.at(-1);
    attr(
      plot,
      "aria-label",
      last ? t("trend.name", { n: last[1], time: text.minute(last[0]) }) : t("trend.none"),
    );
    const [rules, plan, line, dot, words] = plot.children;
    if (!trend || !last || trend.to <= trend.from) {
      for (const path of [plan, line, dot]) attr(path, "d", null);
      writeWords(words, [{ x: width / 2, y: height / 2, anchor: "middle", text: t("trend.none") }]);
      writeRules(rules, [], width);
      return;
    }
    const highest = Math.max(trend.target ?? 0, last[1], 10) * 1.04;
    const x = (/** @type {number} */ at) =>
      LEFT + (Math.max(0, Math.min(1, (at - trend.from) / (trend.to - trend.from))) * (width - LEFT - RIGHT));
    const y = (/** @type {number} */ n) => height - BOTTOM - (n / highest) * (height - BOTTOM - TOP);
    const step = roundStep(highest);
    const ticks = [];
    for (let n = 0; n <= highest; n += step) ticks.push(n);
    writeRules(rules, ticks.map(y), width);
    attr(
      plan,
      "d",
      trend.target === null ? null : `M${x(trend.from)} ${y(0)}L${x(trend.to)} ${y(trend.target)}`,
    );
    const points = trend.points.map(([at, n]) => `${x(at).toFixed(1)} ${y(n).toFixed(1)}`);
    attr(line, "d", `M${points.join("L")}`);
    const [lx, ly] = [x(last[0]), y(last[1])];
    attr(dot, "d", `M${lx - 5} ${ly}a5 5 0 1 0 10 0a5 5 0 1 0-10 0`);
    /** @type {Word[]} */
    const labels = ticks.map((n) => ({ x: LEFT - 6, y: y(n) + 5, anchor: "end", text: text.compact(n) }));
    labels.push({ x: LEFT, y: height - 4, anchor: "start", text: text.minute(trend.from) });
    labels.push({ x: width - 2, y: height - 4, anchor: "end", text: text.minute(trend.to) });
    if (lx > LEFT + 70 && lx < width - 90) {
      labels.push({ x: lx, y: height - 4, anchor: "middle", text: text.minute(last[0]) });
    }
    if (trend.target !== null) {
      const at = trend.from + (trend.to - trend.from) * 0.72;
      labels.push({ x: x(at) - 8, y: y(trend.target * 0.72) - 6, anchor: "end", text: t("trend.plan") });
    }
    writeWords(words, labels);
  }
}

/** @typedef {{x: number, y: number, anchor: string, text: string}} Word */

/** @param {Element} group @param {Word[]} labels */
function writeWords(group, labels) {
  while (group.childElementCount < labels.length) group.append(svg("text"));
  while (group.childElementCount > labels.length) group.lastElementChild?.remove();
  labels.forEach((label, index) => {
    const node = group.children[index];
    attr(node, "x", label.x.toFixed(1));
    attr(node, "y", label.y.toFixed(1));
    attr(node, "text-anchor", label.anchor);
    put(node, label.text);
  });
}

/** @param {Element} group @param {number[]} heights @param {number} width */
function writeRules(group, heights, width) {
  while (group.childElementCount < heights.length) group.append(svg("path"));
  while (group.childElementCount > heights.length) group.lastElementChild?.remove();
  heights.forEach((y, index) => attr(group.children[index], "d", `M${LEFT} ${y.toFixed(1)}H${width - RIGHT}`));
}

customElements.define("cl-trend", TrendView);
