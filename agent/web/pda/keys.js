// The device's own key: made here, kept here, never readable, not even by this page.

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
const encoder = new TextEncoder();

export function makeKey() {
  return crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
}

/** @param {CryptoKeyPair} key */
export async function publicJwk(key) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", key.publicKey);
  return { kty, crv, x, y };
}

/**
 * r and s, base64url without padding.
 * @param {CryptoKeyPair} key
 * @param {string} text
 */
export async function sign(key, text) {
  return base64url(await crypto.subtle.sign(SIGNING, key.privateKey, encoder.encode(text)));
}

/** @param {string} text */
export async function sha256(text) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function nonce() {
  return base64url(crypto.getRandomValues(new Uint8Array(16)).buffer);
}

/** @param {ArrayBuffer} bytes */
function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * JSON with sorted keys and no spaces.
 * @param {any} value
 * @returns {string}
 */
export function plainJson(value) {
  if (Array.isArray(value)) return `[${value.map(plainJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${plainJson(value[key])}`).join(",")}}`;
}

/**
 * What the signature of an item covers, one field per line.
 * @param {string} device
 * @param {any} item
 */
export async function itemText(device, item) {
  const said = [device, item.seq, item.id, item.do, item.document, item.text];
  said.push(item.remove ? 1 : 0, item.answer, item.reason, item.condition, item.at, item.by);
  said.push(await sha256(plainJson(item.body)));
  return said.join("\n");
}
