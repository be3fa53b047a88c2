// The canonical text of a code, as agent/core/codes.py makes it: the same words mean the same thing
// offline. tests/web/test_pda_codes.py compares the two; the reasons are explained in codes.py.

const GS = "\x1d";
const MAX_LENGTH = 512;
const MAX_RAW = 2 * MAX_LENGTH;
const DIGITAL_LINK = "https://id.gs1.org";
const AIM_GS1 = ["]C1", "]d2", "]Q3", "]J1", "]e0", "]e1", "]e2"];
const FIXED_HEADS = "00 01 02 03 11 12 13 15 16 17 20 31 32 33 34 35 36 41".split(" ");
const QUALIFIERS = ["22", "10", "21", "235"];
// As str.isprintable() of Python: nothing invisible but the space.
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

/** @type {Map<string, {value: RegExp, whole: RegExp, separated: boolean}>} */
const identifiers = new Map();

/** A text that cannot be a code; `reason` is one of codes.REASONS of the agent. */
export class NotACode extends Error {
  /** @param {string} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Take over the table of application identifiers (gs1.json), once.
 * @param {[string, number, string][]} rows
 */
export function useIdentifiers(rows) {
  for (const [pattern, separated, ais] of rows) {
    const entry = {
      value: new RegExp(pattern, "y"),
      whole: new RegExp(`^(?:${pattern})$`),
      separated: separated === 1,
    };
    for (const ai of ais.split(" ")) identifiers.set(ai, entry);
  }
}

/**
 * The canonical text of what a reader sent; throws NotACode.
 * @param {string} raw
 */
export function canonical(raw) {
  let text = raw;
  if (longer(text, MAX_RAW)) throw new NotACode("code_too_long");
  let strict = false;
  if (text === "" || text[0] === "]" || text[0] === " " || text.endsWith(" ")) {
    [text, strict] = peeled(text);
  }
  if (longer(text, MAX_LENGTH)) throw new NotACode("code_too_long");
  if (INVISIBLE.test(text)) {
    if (INVISIBLE.test(text.replaceAll(GS, ""))) throw new NotACode("code_control_character");
    return item(elementsOf(text.replace(/^\x1d+|\x1d+$/g, "")));
  }
  const url = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/s.exec(text);
  if (url) return urlOf(url[1], url[2], url[3]);
  const bracket = /^\(([0-9]{2,4})\)/.exec(text);
  if (bracket && identifiers.has(bracket[1])) return item(bracketed(text));
  if (strict) return item(elementsOf(text));
  if (text.length > 16 && FIXED_HEADS.includes(text.slice(0, 2))) {
    const likely = likelyItem(text);
    if (likely) return likely;
  }
  if (/^[0-9]{18}$/.test(text) && checkDigit(text.slice(0, 17)) === text[17]) return sscc(text);
  return text;
}

/**
 * Longer than so many characters, as Python counts them.
 * @param {string} text
 * @param {number} most
 */
function longer(text, most) {
  return text.length > most && [...text].length > most;
}

/**
 * @param {string} text
 * @returns {[string, boolean]}
 */
function peeled(text) {
  let strict = false;
  for (;;) {
    text = text.replace(/^ +| +$/g, "");
    if (!/^\][A-Za-z][0-9A-Za-z]/.test(text)) break;
    strict ||= AIM_GS1.includes(text.slice(0, 3));
    text = text.slice(3);
  }
  if (!text) throw new NotACode("code_empty");
  return [text, strict];
}

/**
 * @param {string} scheme
 * @param {string} authority
 * @param {string} tail
 */
function urlOf(scheme, authority, tail) {
  scheme = scheme.toLowerCase();
  const at = authority.lastIndexOf("@") + 1;
  const host = authority.slice(at).replace(/[A-Z]/g, (one) => one.toLowerCase());
  if (!host) throw new NotACode("code_url_without_host");
  if (/\/0[01]\//.test(tail) && (scheme === "https" || scheme === "http")) {
    const link = digitalLink(tail, host === "id.gs1.org");
    if (link) return link;
  }
  return `${scheme}://${authority.slice(0, at)}${host}${tail}`;
}

/**
 * @param {string} tail
 * @param {boolean} ours
 */
function digitalLink(tail, ours) {
  const [rest, query] = cut(cut(tail, "#")[0], "?");
  const parts = rest.split("/");
  for (let at = 1; at < parts.length - 1; at++) {
    const [key, digits] = [parts[at], parts[at + 1]];
    if (key === "00" && /^[0-9]{18}$/.test(digits)) {
      if (parts.length > at + 2) break;
      if (!ours && checkDigit(digits.slice(0, 17)) !== digits[17]) return null;
      return sscc(digits);
    }
    if (key === "01" && /^[0-9]{13,14}$/.test(digits)) {
      const elements = qualified(parts.slice(at + 2), query);
      if (!elements) break;
      if (!ours && !elements.has("21") && !elements.has("235")) return null;
      return item(elements.set("01", digits.padStart(14, "0")));
    }
  }
  if (ours) throw new NotACode("code_gs1_malformed");
  return null;
}

/**
 * @param {string} text
 * @param {string} mark
 */
function cut(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

/**
 * @param {string[]} path
 * @param {string} query
 */
function qualified(path, query) {
  if (path.length % 2) return null;
  /** @type {Map<string, string>} */
  const elements = new Map();
  let after = -1;
  for (let at = 0; at < path.length; at += 2) {
    const place = QUALIFIERS.indexOf(path[at]);
    if (place <= after) return null;
    after = place;
    elements.set(path[at], unquoted(path[at + 1]));
  }
  for (const pair of query.split("&")) {
    const [ai, value] = cut(pair, "=");
    if (QUALIFIERS.includes(ai) && !elements.has(ai)) {
      elements.set(ai, unquoted(value.replaceAll("+", " ")));
    }
  }
  for (const [ai, value] of elements) if (!matches(ai, value)) return null;
  return elements;
}

/** Nothing beyond ASCII fits any element, so its exact form does not matter. @param {string} text */
function unquoted(text) {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => {
    const value = Number.parseInt(hex, 16);
    return value < 128 ? String.fromCharCode(value) : "\ufffd";
  });
}

/**
 * @param {string} ai
 * @param {string} value
 */
function matches(ai, value) {
  return identifiers.get(ai)?.whole.test(value) ?? false;
}

/** @param {string} text */
function elementsOf(text) {
  /** @type {Map<string, string>} */
  const elements = new Map();
  let at = 0;
  while (at < text.length) {
    const ai = [2, 3, 4].map((n) => text.slice(at, at + n)).find((one) => identifiers.has(one));
    const known = ai && identifiers.get(ai);
    if (!ai || !known) throw new NotACode("code_gs1_malformed");
    at += ai.length;
    let value;
    if (known.separated) {
      const stop = text.indexOf(GS, at);
      value = text.slice(at, stop < 0 ? undefined : stop);
      if (!known.whole.test(value)) throw new NotACode("code_gs1_malformed");
    } else {
      known.value.lastIndex = at;
      const found = known.value.exec(text);
      if (!found) throw new NotACode("code_gs1_malformed");
      value = found[0];
    }
    add(elements, ai, value);
    at += value.length;
    while (text[at] === GS) at++;
  }
  return elements;
}

/** @param {string} text */
function bracketed(text) {
  const parts = text.replaceAll(" ", "").split(/\(([0-9]{2,4})\)/);
  /** @type {Map<string, string>} */
  const elements = new Map();
  for (let at = 1; at < parts.length; at += 2) {
    const [ai, value] = [parts[at], parts[at + 1]];
    const padded = ai === "01" && value.length === 13 ? `0${value}` : value;
    if (!matches(ai, padded)) throw new NotACode("code_gs1_malformed");
    add(elements, ai, padded);
  }
  return elements;
}

/**
 * @param {Map<string, string>} elements
 * @param {string} ai
 * @param {string} value
 */
function add(elements, ai, value) {
  if ((elements.get(ai) ?? value) !== value) throw new NotACode("code_gs1_malformed");
  elements.set(ai, value);
}

/** @param {string} text */
function likelyItem(text) {
  try {
    const elements = elementsOf(text);
    const named = elements.has("00") || elements.get("21") || elements.get("235");
    const code = item(elements);
    return named ? code : null;
  } catch (error) {
    if (error instanceof NotACode) return null;
    throw error;
  }
}

/** @param {Map<string, string>} elements */
function item(elements) {
  const unit = elements.get("00");
  if (unit !== undefined) return sscc(unit);
  const gtin = elements.get("01");
  if (gtin === undefined) throw new NotACode("code_gs1_no_item");
  if (checkDigit(gtin.slice(0, 13)) !== gtin[13]) throw new NotACode("code_check_digit");
  for (const ai of ["21", "235"]) {
    const serial = elements.get(ai);
    if (serial) return `${DIGITAL_LINK}/01/${gtin}/${ai}/${quoted(serial)}`;
  }
  const lot = elements.get("10");
  return `${DIGITAL_LINK}/01/${gtin}${lot ? `/10/${quoted(lot)}` : ""}`;
}

/** @param {string} digits */
function sscc(digits) {
  if (checkDigit(digits.slice(0, 17)) !== digits[17]) throw new NotACode("code_check_digit");
  return `${DIGITAL_LINK}/00/${digits}`;
}

/** @param {string} value */
function quoted(value) {
  return encodeURIComponent(value).replace(
    /[!'()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** GS1 mod 10, weights 3 and 1 from the right. @param {string} digits without it */
function checkDigit(digits) {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    sum += Number(digits[digits.length - 1 - at]) * (at % 2 ? 1 : 3);
  }
  return String((10 - (sum % 10)) % 10);
}
