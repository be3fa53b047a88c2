// The device's own database. What a verdict promises is on the disk before the verdict is shown.

const NAME = "caselink-pda";
const VERSION = 1;

/** @type {IDBDatabase} */
let db;

/** Open it, making the stores the first time. */
export async function openDb() {
  db = await new Promise((done, failed) => {
    const asked = indexedDB.open(NAME, VERSION);
    asked.onupgradeneeded = () => {
      const made = asked.result;
      made.createObjectStore("meta"); // device, session, settings, upto ... by name
      const items = made.createObjectStore("items", { keyPath: "seq" });
      items.createIndex("document", "document");
      items.createIndex("trouble", "trouble"); // 1 while a person has to choose
      made.createObjectStore("refused", { keyPath: "n", autoIncrement: true });
      made.createObjectStore("documents", { keyPath: "number" });
      made.createObjectStore("chunks", { keyPath: ["document", "n"] });
      made.createObjectStore("places", { keyPath: ["document", "n"] });
    };
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} asked
 * @returns {Promise<T>}
 */
function answered(asked) {
  return new Promise((done, failed) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

/**
 * @param {string} store
 * @param {IDBValidKey} key
 */
export function get(store, key) {
  return answered(db.transaction(store).objectStore(store).get(key));
}

/**
 * @param {string} store
 * @param {IDBKeyRange | IDBValidKey | null} [range]
 * @param {string} [index]
 * @param {number} [most]
 */
export function all(store, range = null, index, most) {
  const from = db.transaction(store).objectStore(store);
  return answered((index ? from.index(index) : from).getAll(range, most));
}

/**
 * @param {string} store
 * @param {"next" | "prev"} direction
 * @returns {Promise<IDBValidKey | null>} the first or the last key
 */
export async function endKey(store, direction) {
  const from = db.transaction(store).objectStore(store);
  return (await answered(from.openKeyCursor(null, direction)))?.key ?? null;
}

/**
 * One transaction: all of it or nothing. "strict" returns when it is on the disk.
 * @param {string[]} stores
 * @param {(store: (name: string) => IDBObjectStore) => void} work
 * @param {"strict" | "relaxed"} [durability]
 */
export function write(stores, work, durability = "strict") {
  return new Promise((done, failed) => {
    const all = db.transaction(stores, "readwrite", { durability });
    all.oncomplete = () => done(undefined);
    all.onabort = () => failed(all.error);
    work((name) => all.objectStore(name));
    all.commit?.();
  });
}

/**
 * @param {string} key
 * @param {any} value
 * @param {"strict" | "relaxed"} [durability]
 */
export function setMeta(key, value, durability) {
  return write(["meta"], (store) => store("meta").put(value, key), durability);
}
