// Questions and commands of this page; what an item was answered with, in words.

import { command, inWords, Refusal } from "/panel/server.js";
import { currentLanguage, has, NONE, t } from "/panel/text.js";
import { desk } from "./desk.js";

export const BASE = "/api/v1/warehouse";
const ANSWER_MS = 8000;

/**
 * Ask about the chosen warehouse. Throws Refusal, in plain words.
 * @param {string} path
 * @param {Record<string, string>} [query]
 */
export async function ask(path, query = {}) {
  const search = new URLSearchParams(desk.party ? { party: desk.party, ...query } : query);
  let answer;
  try {
    answer = await fetch(`${BASE}/${path}?${search}`, { signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Refusal(t("refused.no_answer"));
  }
  if (!answer.ok) throw new Refusal(await inWords(answer));
  return answer.json();
}

/**
 * Do something in the chosen warehouse. Throws Refusal, in plain words.
 * @param {string} path
 * @param {object} [body]
 */
export const tell = (path, body = {}) => command(`${BASE}/${path}`, { party: desk.party, ...body });

/** @param {string} number */
export const documentPath = (number) => `documents/${encodeURIComponent(number)}`;

/** What an item was answered with, and what to do. @param {any} result */
export function verdictText(result) {
  const { to = "", territory = "", channel = "" } = result.args ?? {};
  const args = { ...result.args, party: to ? desk.partyName(to) : territory || channel || NONE };
  if (result.verdict === "refused") {
    const key = `refused.${args.reason}`;
    if ((currentLanguage() === "en" || !has(key)) && args.text) return String(args.text);
    return has(key) ? t(key) : t("refused.other", { key: args.reason ?? "", message: args.text ?? "" });
  }
  const key = `verdict.${result.verdict}`;
  return has(key) ? t(key, args) : t("verdict.other", { key: result.verdict });
}

/** Whether an item was carried out. @param {any} result */
export const done = (result) => result.severity === "ok" || result.severity === "warn";
