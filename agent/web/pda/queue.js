// Everything that was done and must not be lost: numbered without gaps, signed, on the disk before
// anybody is told that it counts, and kept until the agent has answered it.

import { write } from "./db.js";
import { itemText, sign } from "./keys.js";
import { app, bus, changed } from "./state.js";

const KEPT = 3000; // answered items: for the last scans, and should the agent fall back to a backup

/** @type {Promise<unknown>} */
let last = Promise.resolve();

/**
 * Put something that was done into the queue. `fields` as in the API, `local` what was shown for
 * it; `document` may be a function of the item's number. Returns the kept record.
 * @param {Record<string, any>} fields
 * @param {Record<string, any>} [local]
 * @param {(store: (name: string) => IDBObjectStore, record: any) => void} [also] in the transaction
 */
export function add(fields, local = {}, also) {
  const made = last.then(() => addNext(fields, local, also));
  last = made.catch(() => {});
  return made;
}

/**
 * The verdict where an item could not be written: the device's storage is full or broken.
 * @param {unknown} error
 */
export function notKept(error) {
  if (!(error instanceof DOMException)) throw error;
  return { word: "not_kept", severity: "stop", args: { why: error.name } };
}

/**
 * @param {Record<string, any>} fields
 * @param {Record<string, any>} local
 * @param {((store: (name: string) => IDBObjectStore, record: any) => void) | undefined} also
 */
async function addNext(fields, local, also) {
  const seq = app.seq + 1;
  const item = {
    seq,
    id: crypto.randomUUID(),
    do: "scan",
    text: "",
    remove: false,
    answer: "",
    reason: "",
    condition: "",
    body: {},
    at: Date.now(),
    by: app.session?.badge ?? "",
    ...fields,
    document: fields.document || `${app.device.device}-${seq}`,
    sig: "",
  };
  item.sig = await sign(app.device.key, await itemText(app.device.device, item));
  const record = { seq, document: item.document, item, local, result: null };
  await write(["items", "documents"], (store) => {
    store("items").add(record); // add: a number is never given twice
    also?.(store, record);
  });
  app.seq = seq;
  changed();
  return record;
}

/**
 * Take over what the agent answered, and how far it has come.
 * @param {any[]} records that were sent
 * @param {{upto: number, results: any[]}} answer
 * @param {(record: any) => boolean} isTrouble
 */
export async function settle(records, answer, isTrouble) {
  const bySeq = new Map(answer.results.map((result) => [result.seq, result]));
  const upto = Math.max(app.upto, Math.min(answer.upto, app.seq));
  const done = records.filter((record) => bySeq.has(record.seq));
  for (const record of done) {
    record.result = bySeq.get(record.seq);
    if (isTrouble(record)) record.trouble = 1;
  }
  const told = (/** @type {(name: string) => IDBObjectStore} */ store) => {
    for (const record of done) store("items").put(record);
    store("meta").put(upto, "upto");
    if (upto > KEPT) forget(store("items"), upto - KEPT);
  };
  // Relaxed: the next scan does not wait for the disk. Should the power fail before it is there,
  // the items go up again and are answered as before.
  await write(["items", "meta"], told, "relaxed");
  app.upto = upto;
  const troubles = done.filter((record) => record.trouble);
  app.troubles = [...app.troubles, ...troubles];
  if (troubles.length) bus.dispatchEvent(new Event("trouble"));
  return done;
}

/**
 * Answered items about which nobody has to choose any more.
 * @param {IDBObjectStore} items
 * @param {number} below
 */
function forget(items, below) {
  let from = 0;
  for (const { seq } of app.troubles) {
    if (seq > below) break;
    if (seq > from + 1) items.delete(IDBKeyRange.bound(from, seq, true, true));
    from = seq;
  }
  if (below > from) items.delete(IDBKeyRange.bound(from, below, true, false));
}

/**
 * The agent knows less than it has answered (its disk was replaced): send again from there.
 * @param {number} upto
 */
export async function rewind(upto) {
  await write(["meta"], (store) => store("meta").put(upto, "upto"));
  app.upto = upto;
  changed();
}

/**
 * A person has seen what became of an item that was refused, and chosen `how` it goes on; the
 * agent's own list of exceptions hears of it.
 * @param {any} record
 * @param {string} how
 */
export async function settled(record, how) {
  const body = { device: app.device.device, seq: record.seq };
  const fields = { do: "settle", document: record.document, answer: how, body };
  await add(fields, { word: "settled", severity: "ok" });
  delete record.trouble;
  record.local = { ...record.local, settled: Date.now() };
  await write(["items"], (store) => store("items").put(record));
  app.troubles = app.troubles.filter((one) => one.seq !== record.seq);
  changed();
}
