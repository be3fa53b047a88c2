// What the whole page knows: which warehouse, and the names of what it deals with.

import { named, number, NONE, t, tOr } from "/panel/text.js";

const KEPT = "caselink.party";

/** @typedef {{sku: string, names: Record<string, string>, levels: {level: string, pieces: number}[]}} Product */

class Desk {
  party = "";
  /** @type {{warehouses: any[], products: Product[], parties: any[], operations: string[]}} */
  setup = { warehouses: [], products: [], parties: [], operations: [] };

  /** @param {any} setup */
  know(setup) {
    this.setup = setup;
    const parties = setup.warehouses.map((/** @type {any} */ one) => one.party);
    const kept = localStorage.getItem(KEPT) ?? "";
    if (!parties.includes(this.party)) this.party = parties.includes(kept) ? kept : parties[0] ?? "";
  }

  /** @param {string} party */
  choose(party) {
    this.party = party;
    localStorage.setItem(KEPT, party);
  }

  get warehouse() {
    return this.setup.warehouses.find((one) => one.party === this.party);
  }

  /** @param {string} id */
  partyName(id) {
    const known = [...this.setup.parties, ...this.setup.warehouses.map((w) => ({ ...w, id: w.party }))];
    const found = known.find((one) => one.id === id);
    return id ? named(found?.names, id) : NONE;
  }

  /** @param {string} sku */
  product(sku) {
    return this.setup.products.find((one) => one.sku === sku);
  }

  /** @param {string} sku */
  productName(sku) {
    return sku ? named(this.product(sku)?.names, sku) : NONE;
  }

  /** Pieces of a product in its units: whole containers, then what is left. @param {string} sku @param {number} pieces */
  amount(sku, pieces) {
    const levels = [...(this.product(sku)?.levels ?? [])].sort((a, b) => b.pieces - a.pieces);
    const parts = [];
    let left = Math.abs(pieces);
    for (const { level, pieces: each } of levels) {
      const n = Math.floor(left / each);
      if (n) parts.push(tOr("count", level || "piece", { n }));
      left -= n * each;
    }
    if (left) parts.push(number(left));
    if (!parts.length) return "0";
    return (pieces < 0 ? "−" : "") + parts.join(" ");
  }
}

export const desk = new Desk();

/** @param {string} level */
export const levelName = (level) => tOr("level", level || "piece", { level });

/** Days since a moment, in words. @param {number | null | undefined} ms @param {number} now */
export function age(ms, now) {
  if (!ms) return NONE;
  const days = Math.floor((now - ms) / 86_400_000);
  return days < 1 ? t("age.today") : t("age.days", { n: days });
}
