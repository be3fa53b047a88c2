// Things in words: verdicts, goods, quantities, ages.

import { duration, has, minute, named, number, t, tOr } from "../panel/text.js";
import { app } from "./state.js";

/** @param {string} sku */
export const productName = (sku) => named(app.products.get(sku)?.names, sku || t("goods.unnamed"));
/** @param {string} id */
export const partyName = (id) => named(app.parties.get(id)?.names, id);
/** @param {string} level */
export const levelName = (level) => tOr("level", level || "unit");

/**
 * @param {{word: string, args?: Record<string, any>}} verdict
 * @param {string} part title, text or do
 */
export function verdictWords({ word, args = {} }, part) {
  const known = has(`verdict.${word}.title`) ? word : "other";
  const key = `verdict.${known}.${part}`;
  if (!has(key)) return "";
  return t(key, {
    ...args,
    ...(args.to ? { to: partyName(args.to) } : {}),
    ...(args.product ? { product: productName(args.product) } : {}),
    ...(args.op ? { op: t(`kind.${args.op}`) } : {}),
    ...(typeof args.when === "number" && args.when ? { when: moment(args.when) } : { when: "" }),
    word,
  });
}

/** A unit in words: "Case of 24". @param {string} level @param {number} pieces */
export function unitWords(level, pieces) {
  if (!level && !pieces) return "";
  return pieces > 1
    ? t("goods.holds", { level: levelName(level), n: pieces })
    : levelName(level);
}

/**
 * Bottles done and wanted in a unit of `each`, while that comes out even; else in bottles: a rounded
 * figure would hide the last ones.
 * @param {number} done
 * @param {number} wanted
 * @param {number} each
 * @param {string} level
 */
export function inUnits(done, wanted, each, level) {
  if (done % each || wanted % each) return { done, wanted, level: "bottle" };
  return { done: done / each, wanted: wanted / each, level };
}

/**
 * Done and wanted of a line, in the unit that it was asked in.
 * @param {any} line
 */
export function lineWords(line) {
  const each = line.quantity ? line.pieces / line.quantity : 1;
  const { done, wanted, level } = inUnits(line.done, line.pieces, each, line.level);
  return `${number(done)} / ${number(wanted)} ${levelName(level)}`;
}

/** @param {number} ms */
export function moment(ms) {
  const days = (Date.now() - ms) / 86_400_000;
  if (days < 1 && new Date(ms).getDate() === new Date().getDate()) return minute(ms);
  const tag = document.documentElement.lang;
  return `${new Date(ms).toLocaleDateString(tag, { month: "short", day: "numeric" })} ${minute(ms)}`;
}

/** With the year. @param {number} ms */
export function dateTime(ms) {
  const tag = document.documentElement.lang;
  return new Date(ms).toLocaleString(tag, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
}

/** How old what is kept is. @param {number} ms */
export function age(ms) {
  if (!ms) return t("age.never");
  const seconds = Math.max(0, (Date.now() - ms) / 1000);
  return seconds < 60 ? t("age.now") : t("age.ago", { time: duration(seconds) });
}

/** The end of a code is what tells it from its neighbours. @param {string} code @param {number} most */
const tail = (code, most) => (code.length > most ? `…${code.slice(1 - most)}` : code);
/** @param {string} code */
export const shortCode = (code) => tail(code, 60);
/** For a line of a list. @param {string} code */
export const endOf = (code) => tail(code, 22);
