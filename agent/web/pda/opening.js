// A document that is there already, or a new one: what must be known before the first scan.

import { t } from "../panel/text.js";
import { add } from "./queue.js";
import { go, pick } from "./screen.js";
import { app, changed, may } from "./state.js";
import { sendSoon } from "./sync.js";
import { partyName } from "./words.js";
import { about } from "./home.js";

export const REASONS = ["unsold", "expired", "damaged", "wrong_goods", "recall", "other"];
const CONDITIONS = ["sellable", "damaged", "inspect"];
const NEW = Symbol("new");

/**
 * From the first screen: choose a document of this kind or make one.
 * @param {string} kind
 */
export async function openKind(kind) {
  const open = app.documents.filter((one) => one.kind.split("_")[0] === kind);
  const options = open.map((one) => ({
    ...{ label: one.number, hint: about(one), value: one.number, match: one.number },
  }));
  options.push({ label: t(`new.${kind}`), hint: t(`new.${kind}_hint`), value: NEW, match: "" });
  const number = open.length ? await pick({ title: t(`home.${kind}`), options }) : NEW;
  if (number === NEW) await makeNew(kind);
  else if (number) go("scan", { number });
}

/** @param {string} kind */
async function makeNew(kind) {
  const title = t(`new.${kind}`);
  const made = { kind, other: "", location: "", to: "", reason: "", condition: "" };
  const steps = { receive, ship, return: giveBack, transfer, count };
  if (!(await steps[/** @type {keyof typeof steps} */ (kind)](made, title))) return;
  await open(made);
}

/** @param {any} made @param {string} title */
async function receive(made, title) {
  made.other = await pickParty(title, t("new.from"));
  return made.other !== null && pickPlace(made, "location", title, t("new.into"));
}

/** @param {any} made @param {string} title */
async function ship(made, title) {
  made.other = await pickParty(title, t("new.to_whom"), false);
  return Boolean(made.other) && pickPlace(made, "location", title, t("new.out_of"));
}

/** @param {any} made @param {string} title */
async function giveBack(made, title) {
  const ways = ["return_in", "return_out"].filter(may);
  const options = ways.map((value) => ({ label: t(`kind.${value}`), value }));
  made.kind = ways.length > 1 ? await pick({ title, options }) : ways[0];
  if (!made.kind) return false;
  made.reason = await pick({
    ...{ title, hint: t("new.why"), grid: true },
    options: REASONS.map((value) => ({ label: t(`reason.${value}`), value })),
  });
  if (!made.reason) return false;
  made.condition = await pick({
    ...{ title, hint: t("new.condition") },
    options: CONDITIONS.map((value) => ({ label: t(`condition.${value}`), value })),
  });
  if (!made.condition) return false;
  made.other = await pickParty(title, t(made.kind === "return_in" ? "new.from" : "new.to_whom"));
  return made.other !== null && pickPlace(made, "location", title, t("new.where"));
}

/** @param {any} made @param {string} title */
async function transfer(made, title) {
  return (
    (await pickPlace(made, "location", title, t("new.out_of"))) &&
    pickPlace(made, "to", title, t("new.into"))
  );
}

/** @param {any} made @param {string} title */
function count(made, title) {
  return pickPlace(made, "location", title, t("new.count_where"));
}

/**
 * @param {string} title
 * @param {string} hint
 * @param {boolean} [orNone]
 * @returns {Promise<string | null>}
 */
function pickParty(title, hint, orNone = true) {
  const others = [...app.parties.values()].filter(
    (one) => one.id !== app.device.party && !one.withdrawn,
  );
  const options = others.map(({ id }) => {
    return { label: partyName(id), hint: id, value: id, match: id };
  });
  if (orNone) options.push({ label: t("new.nobody"), hint: "", value: "", match: "" });
  return pick({ title, hint, options });
}

/**
 * Into `made[key]`; without a question where there is only one.
 * @param {any} made
 * @param {"location" | "to"} key
 * @param {string} title
 * @param {string} hint
 */
async function pickPlace(made, key, title, hint) {
  const places = app.locations.filter((one) => key !== "to" || one !== made.location);
  if (places.length === 1 && key === "location") made[key] = places[0];
  else {
    const options = places.map((value) => ({ label: value, value, match: value }));
    made[key] = await pick({ title, hint: `${hint} ${t("new.scan_place")}`, options, grid: true });
  }
  return Boolean(made[key]);
}

/** @param {any} made */
async function open(made) {
  const { kind, other, location, to, reason, condition } = made;
  const party = app.device.party;
  const blind = kind === "receive";
  const body = { kind, other, location, to, lines: [], blind };
  const local = { word: "opened", severity: "ok", args: {} };
  /** @type {any} */
  let made_record;
  await add({ do: "open", reason, condition, body }, local, (store, { seq, document }) => {
    const territories = app.parties.get(other)?.territories ?? [];
    const doc = { free: true, asn: false, blind, party, other, location, territories };
    made_record = { number: document, status: "open", party, ...made, lines: [], opened: seq };
    Object.assign(made_record, { doc, at_seq: seq, opened_ms: Date.now(), scanned: 0, pieces: 0 });
    store("documents").put(made_record);
  });
  app.documents = [made_record, ...app.documents];
  changed();
  sendSoon();
  go("scan", { number: made_record.number });
}
