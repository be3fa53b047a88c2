// Words, numbers and times in the chosen language.

/** @typedef {"zh" | "en"} Language */
/** @typedef {string | {one?: string, other: string}} Entry */

const STORED = "caselink.language";
const TAGS = { zh: "zh-CN", en: "en-GB" };
export const NONE = "–";

/** @type {Record<Language, Record<string, Entry>>} */
const catalogues = { zh: {}, en: {} };
/** @type {Language} */
let language = stored();

/** @returns {Language} */
function stored() {
  try {
    return localStorage.getItem(STORED) === "en" ? "en" : "zh";
  } catch {
    return "zh"; // storage may be switched off
  }
}

/** Load both catalogues of a folder, so that a switch needs neither a reload nor the server. */
export async function loadTexts(from = "") {
  for (const name of /** @type {Language[]} */ (["zh", "en"])) {
    const answer = await fetch(`${from}text.${name}.json`);
    if (!answer.ok) throw new Error(`text.${name}.json: ${answer.status}`);
    Object.assign(catalogues[name], await answer.json());
  }
}

export function currentLanguage() {
  return language;
}

export function otherLanguage() {
  return language === "zh" ? "en" : "zh";
}

/** @param {Language} next */
export function setLanguage(next) {
  language = next;
  formats = makeFormats();
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // Not kept then: it holds until the page is closed.
  }
}

/** @param {string} key */
export function has(key) {
  return key in catalogues[language];
}

/**
 * The text of a key, with {name} replaced; `n` chooses the plural form.
 * @param {string} key
 * @param {Record<string, string | number>} [args]
 */
export function t(key, args = {}) {
  const entry = catalogues[language][key];
  if (entry === undefined) {
    console.error(`no text for ${key} in ${language}`);
    return key;
  }
  const form =
    typeof entry === "string"
      ? entry
      : (formats.plural.select(Number(args.n)) === "one" && entry.one) || entry.other;
  return form.replace(/\{(\w+)\}/g, (_, name) => {
    const value = args[name];
    return typeof value === "number" ? number(value) : (value ?? NONE);
  });
}

/**
 * The text of `prefix.key`, or of `prefix.other` when the catalogue does not know the key.
 * @param {string} prefix
 * @param {string} key
 * @param {Record<string, string | number>} [args]
 */
export function tOr(prefix, key, args) {
  const full = `${prefix}.${plainKey(key)}`;
  return has(full) ? t(full, args) : t(`${prefix}.other`, { ...args, key });
}

/** Keys come with dashes or underscores. @param {string} key */
export function plainKey(key) {
  return key.replaceAll("-", "_");
}

/**
 * A name that the agent holds in several languages.
 * @param {Record<string, string> | null | undefined} names
 * @param {string} fallback
 */
export function named(names, fallback) {
  return names?.[language] || names?.en || names?.zh || fallback;
}

let formats = makeFormats();

function makeFormats() {
  const tag = TAGS[language];
  const clock = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return {
    tag,
    plural: new Intl.PluralRules(tag),
    number: new Intl.NumberFormat(tag),
    percent0: new Intl.NumberFormat(tag, { style: "percent" }),
    percent2: new Intl.NumberFormat(tag, { style: "percent", minimumFractionDigits: 2 }),
    minute: new Intl.DateTimeFormat(tag, clock),
    second: new Intl.DateTimeFormat(tag, { ...clock, second: "2-digit" }),
    day: new Intl.DateTimeFormat(tag, { month: "short", day: "numeric" }),
    compact: new Intl.NumberFormat(tag, { notation: "compact" }),
  };
}

export const languageTag = () => formats.tag;

/** @param {number | null | undefined} value */
export const number = (value) => (value == null ? NONE : formats.number.format(value));
/** @param {number | null | undefined} value */
export const compact = (value) => (value == null ? NONE : formats.compact.format(value));
/** A share 0..1 in whole percent. @param {number | null | undefined} value */
export const percent = (value) => (value == null ? NONE : formats.percent0.format(value));
/** A share 0..1 with two decimals. @param {number | null | undefined} value */
export const finePercent = (value) => (value == null ? NONE : formats.percent2.format(value));
/** @param {number | null | undefined} ms */
export const minute = (ms) => (ms == null ? NONE : formats.minute.format(ms));
/** @param {number | null | undefined} ms */
export const second = (ms) => (ms == null ? NONE : formats.second.format(ms));
/** @param {number | null | undefined} ms */
export const day = (ms) => (ms == null ? NONE : formats.day.format(ms));

/** A length of time in words. @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds == null) return NONE;
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return t("time.seconds", { n: Math.round(seconds) });
  if (minutes < 60) return t("time.minutes", { n: minutes });
  if (minutes >= 600) return t("time.long", { n: Math.round(minutes / 60) });
  return t("time.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/**
 * Write every fixed text below a node: data-t is its text, data-t-label its accessible name.
 * @param {ParentNode} root
 */
export function writeFixed(root) {
  for (const node of root.querySelectorAll("[data-t]")) {
    node.textContent = t(/** @type {HTMLElement} */ (node).dataset.t ?? "");
  }
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(/** @type {HTMLElement} */ (node).dataset.tLabel ?? ""));
  }
}
