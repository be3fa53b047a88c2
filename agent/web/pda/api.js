// Requests to the agent, signed by the device; what went wrong is one of two things.

import { nonce, sha256, sign } from "./keys.js";
import { app, waiting } from "./state.js";
import { languageTag } from "../panel/text.js";

export const API = "/api/pda/v1";
const TIMEOUT_MS = 15000;

/** Nobody answered: no network, no agent, or not in time. Trying again later is right. */
export class NoAnswer extends Error {}

/** The agent refused: `reason` is a stable key, `message` its own words. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {any} told
   */
  constructor(status, told) {
    super(told.message ?? "");
    this.status = status;
    this.reason = String(told.reason ?? status);
    this.told = told;
  }
}

/**
 * @param {string} path below API
 * @param {object} [body] makes it a POST
 * @param {{ms?: number, device?: any}} [more]
 * @returns {Promise<any>}
 */
export async function ask(path, body, { ms = TIMEOUT_MS, device = app.device } = {}) {
  const method = body ? "POST" : "GET";
  const text = body ? JSON.stringify(body) : "";
  const target = API + path;
  /** @type {Record<string, string>} */
  const headers = { "accept-language": languageTag() };
  if (body) headers["content-type"] = "application/json";
  if (device) {
    const [time, once] = [String(Date.now()), nonce()];
    const covered = [method, target, time, once, await sha256(text)].join("\n");
    headers.authorization = `Bearer ${device.token}`;
    headers["x-device"] = device.device;
    headers["x-time"] = time;
    headers["x-nonce"] = once;
    headers["x-signature"] = await sign(device.key, covered);
    headers["x-queue"] = String(waiting());
    if (app.session) headers["x-session"] = app.session.session;
  }
  let answer;
  let told;
  try {
    answer = await fetch(target, {
      method,
      headers,
      body: body ? text : undefined,
      signal: AbortSignal.timeout(ms),
      cache: "no-store",
    });
    told = await answer.json();
  } catch (error) {
    throw new NoAnswer(String(error)); // fetch and json fail in several ways, with one remedy
  }
  const date = Date.parse(answer.headers.get("date") ?? "");
  if (date) app.ahead = Date.now() - date;
  if (answer.ok) return told;
  if (answer.status >= 500 || answer.status === 429) throw new NoAnswer(String(told.message ?? answer.status));
  throw new Refused(answer.status, told);
}
