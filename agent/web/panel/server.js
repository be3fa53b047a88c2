// Commands to the agent, and its refusals in plain words.

import { currentLanguage, has, plainKey, t } from "./text.js";

const COMMAND_MS = 12000;
let csrf = "";
let build = "";

/**
 * Get the token that commands carry. Reloads the page when the agent was upgraded meanwhile.
 */
export async function openSession() {
  const answer = await fetch("/api/session", { signal: AbortSignal.timeout(COMMAND_MS) });
  if (!answer.ok) throw new Error(`session: ${answer.status}`);
  const session = await answer.json();
  csrf = session.csrf;
  if (build && build !== session.build) location.reload();
  build = session.build;
}

/** A command that was not carried out; `message` is for the person who gave it, `said` the same of a device. */
export class Refusal extends Error {
  /** @type {import("./types.js").Said | undefined} */
  said;
}

/**
 * Carry out a command. Returns what it says when it is durable; throws Refusal otherwise.
 * @param {string} path
 * @param {object} body
 */
export async function command(path, body) {
  let answer;
  try {
    answer = await send(path, body);
    if (answer.status === 403) {
      await openSession(); // the agent was started anew since this page got its token
      answer = await send(path, body);
    }
  } catch (error) {
    // fetch says TypeError for no connection, DOMException for no answer in time.
    if (error instanceof Refusal) throw error;
    throw new Refusal(t("refused.no_answer"));
  }
  if (!answer.ok) {
    const { said } = await answer.clone().json().catch(() => ({}));
    throw Object.assign(new Refusal(await inWords(answer)), { said });
  }
  return answer.json();
}

/**
 * @param {string} path
 * @param {object} body
 */
function send(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(COMMAND_MS),
  });
}

/** @param {Response} answer */
export async function inWords(answer) {
  const { reason = "", message = "" } = await answer.json().catch(() => ({}));
  const key = `refused.${plainKey(reason)}`;
  // The agent's own message names the things concerned; it is English.
  if (currentLanguage() === "en" && message) return message;
  return has(key) ? t(key) : t("refused.other", { key: reason || answer.status, message });
}

/** @param {string} line */
export const linePath = (line) => `/api/lines/${encodeURIComponent(line)}`;
