// The way to the agent: what was done goes up in order, what is needed offline comes down. Nobody
// has to press anything; a failed upload decides that we are offline, not navigator.onLine.

import { ask, NoAnswer, Refused } from "./api.js";
import { counts } from "./book.js";
import { all, setMeta, write } from "./db.js";
import { dropGoods, keepGoods, knownDocuments, knows } from "./goods.js";
import { rewind, settle } from "./queue.js";
import { app, bus, changed, mayAsk, remember, setNamed, waiting } from "./state.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;
const REFRESH_MS = 30_000;
/** After a scan: its verdict is drawn first, and scans close to each other go up together. */
const SOON_MS = 100;
/** While scans are sent, what comes down is asked for no more often. */
const FRESH_MS = 5000;
const NAMES_MS = 3_600_000;
const GOODS_MS = 300_000;
const MOST_AT_ONCE = 200;
const MOST_BYTES = 48 * 1024;
/** What no repetition mends: a person has to act. */
const STOPS = ["device_revoked", "not_enrolled", "item_forged", "bad_signature", "sequence_lost"];

let wait = FIRST_WAIT_MS;
let timer = 0;
/** @type {Promise<void> | null} */
let running = null;
let again = false;
let soon = 0;
/** Whether the next round is to fetch documents however fresh they are. */
let whole = true;
let namesAt = 0;
let documentsAt = 0;
/** @type {Map<string, number>} */
const goodsAt = new Map();

/** Begin; from now on it goes on by itself. */
export function startSync() {
  window.addEventListener("online", () => syncNow());
  document.addEventListener("visibilitychange", () => document.hidden || syncNow());
  syncNow();
}

/** Something is to be sent, or a person wants it now. @returns {Promise<void>} when it was tried */
export function syncNow() {
  whole = true;
  return send();
}

/** A scan was queued: send it soon, unless the last tries failed. */
export function sendSoon() {
  if (app.online) soon ||= setTimeout(send, SOON_MS);
}

/** @returns {Promise<void>} */
function send() {
  clearTimeout(timer);
  clearTimeout(soon);
  soon = 0;
  again = running !== null;
  running ??= round().finally(() => {
    running = null;
    timer = setTimeout(again ? send : syncNow, again ? 0 : wait);
  });
  return running;
}

async function round() {
  if (!app.device || !app.secure) return;
  try {
    await upload();
    if (mayAsk() && (whole || Date.now() - documentsAt > FRESH_MS)) await refresh();
    app.online = true;
    wait = REFRESH_MS;
  } catch (error) {
    await failed(error);
  }
  changed();
}

/** @param {unknown} error */
async function failed(error) {
  if (error instanceof NoAnswer) {
    wait = Math.min(LONGEST_WAIT_MS, app.online === false ? wait * 2 : FIRST_WAIT_MS);
    wait *= 0.8 + 0.4 * Math.random(); // fifty devices must not come back in step
    app.online = false;
  } else if (error instanceof Refused) {
    app.online = true;
    wait = REFRESH_MS;
    if (STOPS.includes(error.reason)) await remember("stopped", error.reason);
    else if (error.reason === "not_logged_in" && app.session) {
      await remember("session", { ...app.session, idle: true }); // what is scanned still counts
    } else if (error.reason === "replayed") {
      wait = FIRST_WAIT_MS; // the network sent it twice: asked anew, it is told what was done
    } else console.warn(`refused: ${error.reason} ${error.message}`);
  } else {
    throw error;
  }
}

async function upload() {
  while (waiting() > 0) {
    const records = await batch();
    if (records.length === 0 || records[0].seq !== app.upto + 1) {
      await remember("stopped", "sequence_lost"); // what the agent asks for is no longer here
      return;
    }
    const items = records.map((record) => record.item);
    let answer;
    try {
      answer = await ask("/items", { items, now: Date.now() });
    } catch (error) {
      const upto = error instanceof Refused && error.reason === "rewind" ? uptoOf(error) : -1;
      if (upto < 0 || upto === app.upto) throw error;
      await rewind(upto);
      continue;
    }
    if (app.stopped) await remember("stopped", "");
    const before = app.upto;
    const done = await settle(records, answer, isTrouble);
    if (done.some((record) => record.trouble)) whole = true; // the list of scans is to say so
    app.online = true;
    const day = new Date().toDateString();
    const n = (app.uploaded.day === day ? app.uploaded.n : 0) + app.upto - before;
    await remember("uploaded", { at: Date.now(), day, n }, "relaxed");
    if (app.upto === before) throw new NoAnswer("nothing was taken");
  }
}

/** @param {Refused} error */
function uptoOf(error) {
  return Number(error.told.upto ?? -1);
}

async function batch() {
  const range = IDBKeyRange.lowerBound(app.upto, true);
  const records = await all("items", range, undefined, MOST_AT_ONCE);
  let bytes = 0;
  const many = records.findIndex((/** @type {any} */ record) => {
    bytes += 2 * JSON.stringify(record.item).length;
    return bytes > MOST_BYTES;
  });
  return many > 0 ? records.slice(0, many) : records;
}

/** What was shown as counting and does not, or the other way round. @param {any} record */
function isTrouble({ item, local, result }) {
  if (item.do === "settle" || item.do === "stopped") return false;
  return !counts(result) && !(result.severity === "again" && item.remove && !counts(local));
}

async function refresh() {
  whole = false;
  const now = Date.now();
  if (now - namesAt > NAMES_MS) {
    for (const what of /** @type {const} */ (["products", "parties"])) {
      const told = await ask(`/${what}`);
      setNamed(what, told[what]);
      await setMeta(what, told[what], "relaxed");
    }
    namesAt = now;
  }
  await refreshDocuments();
  for (const { number } of app.documents) {
    if (!knows(number) || now - (goodsAt.get(number) ?? 0) > GOODS_MS) await refreshGoods(number);
  }
}

async function refreshDocuments() {
  const at_seq = app.upto;
  const told = await ask("/documents");
  if (String(told.locations) !== String(app.locations)) {
    await remember("locations", told.locations);
  }
  const known = told.documents.map((/** @type {any} */ one) => ({ ...one, at_seq }));
  const numbers = new Set(known.map((/** @type {any} */ one) => one.number));
  // Made here and not told yet, or made while the answer was on its way.
  const ours = app.documents.filter((one) => one.opened > at_seq && !numbers.has(one.number));
  const gone = app.documents.filter((one) => !numbers.has(one.number) && !ours.includes(one));
  await write(
    ["documents"],
    (store) => {
      for (const { number } of gone) store("documents").delete(number);
      for (const one of known) store("documents").put(one);
    },
    "relaxed",
  );
  app.documents = [...known, ...ours];
  for (const number of knownDocuments()) {
    if (!app.documents.some((one) => one.number === number)) await dropGoods(number);
  }
  documentsAt = Date.now();
  await remember("fetched", documentsAt, "relaxed");
  bus.dispatchEvent(new Event("documents"));
}

/** @param {string} number */
export async function refreshGoods(number) {
  const path = `/documents/${encodeURIComponent(number)}/goods`;
  try {
    await keepGoods(number, (after) => ask(`${path}?after=${after}`, undefined, { ms: 60_000 }));
    goodsAt.set(number, Date.now());
  } catch (error) {
    if (!(error instanceof Refused)) throw error; // closed meanwhile: the next list says so
  }
}
