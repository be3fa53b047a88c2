// Goods known offline: units in chunks on the disk, and per page of them a sorted list of hashes in
// memory, so that 240,000 codes load at once and one scan reads one or two small chunks.

import { all, get, write } from "./db.js";

const CHUNK = 256;
const CHUNKS_KEPT = 64; // in memory, each some 30 kB

/**
 * One page: hashes sorted, and where each unit is (chunk * CHUNK + row).
 * @typedef {{document: string, n: number, hashes: Uint32Array, places: Uint32Array}} Places
 */

/** @type {Map<string, Places[]>} by document */
const pages = new Map();
/** @type {Map<string, any[]>} chunks read last, oldest first */
const chunks = new Map();

/** @param {string} text */
function hash(text) {
  let value = 0x811c9dc5; // FNV-1a over the text's units
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return value >>> 0;
}

/** Read what is known where; a few megabytes. */
export async function loadPlaces() {
  pages.clear();
  chunks.clear();
  for (const page of await all("places")) keepPage(page);
}

/** @param {Places} page */
function keepPage(page) {
  const list = pages.get(page.document);
  if (list) list.push(page);
  else pages.set(page.document, [page]);
}

/** Documents of which goods are kept. */
export const knownDocuments = () => [...pages.keys()];

/** @param {string} document */
export const knows = (document) => pages.has(document);

/**
 * Keep the goods of a document in place of what was kept of it. `fetchPage(after)` gives {goods,
 * next}; all pages are fetched before the old ones go, so that a broken fetch changes nothing.
 * @param {string} document
 * @param {(after: number) => Promise<{goods: any[], next: number}>} fetchPage
 */
export async function keepGoods(document, fetchPage) {
  const old = pages.get(document) ?? [];
  // Numbers go on from the old ones: both lie side by side until the last page is there.
  let chunk = Math.max(0, ...old.map((page) => page.n)) + 1;
  const first = chunk;
  const made = [];
  let after = 0;
  do {
    const { goods, next } = await fetchPage(after);
    const n = chunk;
    /** @type {[number, number][]} */
    const found = [];
    /** @type {{document: string, n: number, rows: string}[]} */
    const parts = [];
    for (let row = 0; row < goods.length; row += CHUNK) {
      const some = goods.slice(row, row + CHUNK);
      for (const [at, good] of some.entries()) {
        for (const code of new Set([good.ref, ...(good.codes ?? [])])) {
          found.push([hash(code), chunk * CHUNK + at]);
        }
      }
      parts.push({ document, n: chunk, rows: JSON.stringify(some.map(packed)) });
      chunk++;
    }
    if (parts.length === 0) chunk++; // a page without goods still says that they are known
    found.sort((a, b) => a[0] - b[0]);
    const page = {
      document,
      n,
      hashes: Uint32Array.from(found, (one) => one[0]),
      places: Uint32Array.from(found, (one) => one[1]),
    };
    made.push(page);
    await write(
      ["chunks", "places"],
      (store) => {
        for (const part of parts) store("chunks").put(part);
        store("places").put(page);
      },
      "relaxed",
    );
    after = next;
  } while (after);
  await write(
    ["chunks", "places"],
    (store) => {
      for (const name of ["chunks", "places"]) store(name).delete(upTo(document, first));
    },
    "relaxed",
  );
  for (const key of chunks.keys()) if (key.startsWith(`${document}\n`)) chunks.delete(key);
  pages.set(document, made);
}

/** Forget the goods of a document. @param {string} document */
export async function dropGoods(document) {
  pages.delete(document);
  await write(
    ["chunks", "places"],
    (store) => {
      for (const name of ["chunks", "places"]) store(name).delete(upTo(document, Infinity));
    },
    "relaxed",
  );
}

/**
 * @param {string} document
 * @param {number} end
 */
function upTo(document, end) {
  return IDBKeyRange.bound([document, -Infinity], [document, end], false, true);
}

/** Only what is not as usual is written. @param {any} good */
function packed(good) {
  const { n, doubtful, integrity, ...rest } = good;
  for (const [key, value] of Object.entries(rest)) {
    const empty = value === "" || value === 0 || value === false || value === null;
    if (empty || (Array.isArray(value) && value.length === 0)) delete rest[key];
  }
  if (rest.codes?.length === 1 && rest.codes[0] === rest.ref) delete rest.codes;
  return rest;
}

const USUAL = {
  ...{ level: "", product: "", lot: "", pieces: 0, state: "", mine: false, location: "" },
  ...{ held: false, broken: false, expected: false, sent_to: "", to: "", when: 0, claimed: "" },
  ...{ older: "", territory: "", channel: "", parent: "", codes: [], mixed: [] },
  claimed_here: false,
};

/**
 * The unit of a code or ref, as far as it is kept: of this document first, then of any other, which
 * is told by `from`.
 * @param {string} code
 * @param {string} [document]
 */
export async function find(code, document = "") {
  const wanted = hash(code);
  const own = pages.get(document);
  const found = own && (await findIn(own, wanted, code));
  if (found) return found;
  for (const [name, list] of pages) {
    if (name === document) continue;
    const other = await findIn(list, wanted, code);
    if (other) return asForeign(other, name);
  }
  return null;
}

/**
 * A unit that another document told of: what that one scanned is another document's.
 * @param {any} good
 * @param {string} from
 */
function asForeign(good, from) {
  const claimed = good.claimed_here ? from : good.claimed;
  return { ...good, from, expected: false, claimed, claimed_here: false };
}

/**
 * @param {Places[]} list
 * @param {number} wanted
 * @param {string} code
 */
async function findIn(list, wanted, code) {
  for (const { document, hashes, places } of list) {
    let [low, high] = [0, hashes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (hashes[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    for (; hashes[low] === wanted; low++) {
      const rows = await chunk(document, Math.floor(places[low] / CHUNK));
      const row = rows[places[low] % CHUNK];
      if (row && (row.ref === code || row.codes?.includes(code))) return { ...USUAL, ...row };
    }
  }
  return null;
}

/**
 * @param {string} document
 * @param {number} n
 */
async function chunk(document, n) {
  const key = `${document}\n${n}`;
  let rows = chunks.get(key);
  if (!rows) {
    const kept = await get("chunks", [document, n]);
    rows = kept ? JSON.parse(kept.rows) : [];
  }
  chunks.delete(key); // and in again: the newest stands last
  chunks.set(key, /** @type {any[]} */ (rows));
  if (chunks.size > CHUNKS_KEPT) chunks.delete(/** @type {string} */ (chunks.keys().next().value));
  return /** @type {any[]} */ (rows);
}

/**
 * What a unit is in, from the inside out.
 * @param {any} good
 * @param {string} document
 */
export async function parentsOf(good, document) {
  const found = [];
  for (let up = good.parent; up && found.length < 9; ) {
    found.push(up);
    up = (await find(up, good.from ?? document))?.parent;
  }
  return found;
}

