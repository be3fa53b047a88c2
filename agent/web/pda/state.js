// What the whole app knows, kept in memory and in the database; views hear "change" and draw again.

import { all, endKey, get, setMeta, write } from "./db.js";

const REFUSED_KEPT = 500;
/** What asks by itself would keep a log-in going for ever: it ends so long after the last deed. */
const QUIET_MS = 600_000;

/**
 * @typedef {object} Settings
 * @property {string} gs the printable character that stands for GS, "" = none
 * @property {boolean} sun
 * @property {boolean} sound
 */

export const app = {
  /** @type {any} {device, name, token, party, locations, operations, key} */
  device: null,
  /** @type {any} {session, badge, name, role, operations, until} */
  session: null,
  /** @type {Settings} */
  settings: { gs: "", sun: false, sound: true },
  /** Highest number given to an item, and up to which the agent has answered. */
  seq: 0,
  upto: 0,
  /** @type {boolean | null} whether the agent answered last time; null = not asked yet */
  online: null,
  /** @type {string} reason why nothing can be uploaded until a person acts, "" = none */
  stopped: "",
  /** @type {any[]} */
  documents: [],
  /** @type {string[]} where this device may put and find goods */
  locations: [],
  /** @type {Map<string, any>} */
  products: new Map(),
  /** @type {Map<string, any>} */
  parties: new Map(),
  /** When documents were fetched last, device ms. */
  fetched: 0,
  /** When something was uploaded last, and how much on that day. */
  uploaded: { at: 0, day: "", n: 0 },
  /** @type {any[]} items about which a person has to choose */
  troubles: [],
  /** How much the device's clock is ahead of the agent's, ms, as of the last answer. */
  ahead: 0,
  /** When a person did something here last, by performance.now(). */
  touched: performance.now(),
  /** Whether a newer version waits for a tap. */
  newer: false,
  secure: globalThis.isSecureContext,
};

export const bus = new EventTarget();

export function changed() {
  bus.dispatchEvent(new Event("change"));
}

/** Items that the agent has not answered yet. */
export const waiting = () => app.seq - app.upto;

/** Load what was kept. */
export async function loadState() {
  const keys = ["device", "session", "settings", "fetched", "uploaded", "upto", "stopped"];
  for (const key of [...keys, "locations"]) {
    const kept = await get("meta", key);
    if (kept !== undefined) /** @type {any} */ (app)[key] = kept;
  }
  app.seq = Math.max(app.upto, Number((await endKey("items", "prev")) ?? 0));
  const refused = Number((await endKey("refused", "prev")) ?? 0);
  const old = IDBKeyRange.upperBound(refused - REFUSED_KEPT);
  await write(["refused"], (store) => store("refused").delete(old), "relaxed");
  app.documents = await all("documents");
  app.troubles = await all("items", 1, "trouble");
  setNamed("products", (await get("meta", "products")) ?? []);
  setNamed("parties", (await get("meta", "parties")) ?? []);
}

/**
 * @param {"products" | "parties"} what
 * @param {any[]} rows
 */
export function setNamed(what, rows) {
  app[what] = new Map(rows.map((row) => [row.sku ?? row.id, row]));
}

/**
 * @param {"device" | "session" | "settings" | "fetched" | "uploaded" | "stopped" | "locations"} key
 * @param {any} value
 * @param {"strict" | "relaxed"} [durability]
 */
export async function remember(key, value, durability) {
  /** @type {any} */ (app)[key] = value;
  changed();
  await setMeta(key, value, durability);
}

/** Whether this person on this device may do it. @param {string} operation */
export function may(operation) {
  const granted = app.session?.operations ?? app.device?.operations ?? [];
  return granted.includes(operation);
}

/** Whether a person is logged in; without a network this goes by the device's clock. */
export const loggedIn = () => app.session !== null && Date.now() < app.session.here;

/** Whether the agent would answer this person's questions too, not only take what was scanned. */
export const mayAsk = () =>
  loggedIn() && !app.session.idle && performance.now() - app.touched < QUIET_MS;
