// Why a line is held: a word for the frame, a sentence for the order's sheet.

import { alarmText } from "./alarms.js";
import { has, plainKey, t } from "./text.js";

/** @typedef {import("./types.js").Cause} Cause */

/** @param {Cause} cause */
const kind = (cause) => (cause.by === null ? plainKey(cause.key ?? "") : cause.agent ? "agent" : "person");

/** One word, beside since when. @param {Cause | null | undefined} cause */
export function causeWord(cause) {
  if (!cause) return "";
  const key = `held.${kind(cause)}.word`;
  return has(key) ? t(key) : "";
}

/** Who or what, and what goes on by itself. @param {Cause | null | undefined} cause */
export function causeText(cause) {
  if (!cause) return "";
  const key = plainKey(cause.key ?? "");
  const why = has(`pause.${key}`)
    ? t(`pause.${key}`)
    : has(`alarm.${key}.title`)
      ? alarmText({ id: "", priority: 0, key, args: {}, since: 0, acked: false }, "title")
      : cause.key ?? "";
  const what = kind(cause);
  const name = `held.${what}.${what === "person" && !why ? "plain" : "text"}`;
  return has(name) ? t(name, { by: cause.by ?? "", why, device: cause.device ?? "" }) : "";
}
