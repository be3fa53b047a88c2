// Verdicts for ears and hands: tone and vibration.

import { app } from "./state.js";

/** Tones as [Hz, ms], 0 Hz = silence; vibration in ms. */
const SIGNALS = {
  ok: { tones: [[1760, 90]], shake: [40] },
  warn: { tones: [[1320, 90], [0, 50], [990, 130]], shake: [60, 50, 60] },
  again: { tones: [[880, 80], [0, 60], [880, 80]], shake: [40, 60, 40] },
  ask: { tones: [[660, 120], [0, 60], [990, 160]], shake: [120, 60, 120] },
  stop: { tones: [[196, 700]], shake: [700] },
  refused: { tones: [[247, 120], [0, 40], [196, 240]], shake: [90, 50, 90, 50, 90] },
};

/** @type {AudioContext | null} */
let sound = null;

/** Browsers let a page sound only after a person touched it. */
export function wakeSound() {
  sound ??= typeof AudioContext === "undefined" ? null : new AudioContext();
  void sound?.resume();
}

/** @param {keyof typeof SIGNALS} name */
export function signal(name) {
  const { tones, shake } = SIGNALS[name];
  navigator.vibrate?.(shake);
  if (!sound || sound.state !== "running" || !app.settings.sound) return;
  let at = sound.currentTime;
  for (const [hertz, ms] of tones) {
    if (hertz) tone(sound, hertz, at, at + ms / 1000);
    at += ms / 1000;
  }
}

/**
 * @param {AudioContext} on
 * @param {number} hertz
 * @param {number} from
 * @param {number} to
 */
function tone(on, hertz, from, to) {
  const [source, gain] = [on.createOscillator(), on.createGain()];
  source.type = hertz < 300 ? "square" : "sine";
  source.frequency.value = hertz;
  gain.gain.setValueAtTime(0.6, from);
  gain.gain.linearRampToValueAtTime(0, to);
  source.connect(gain).connect(on.destination);
  source.start(from);
  source.stop(to);
}
