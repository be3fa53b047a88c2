// When a code cannot be scanned: by hand, or with the camera of a phone.

import { put } from "../panel/dom.js";
import { t } from "../panel/text.js";
import { back, go, Screen } from "./screen.js";

const LOOK_MS = 150;

class Type extends Screen {
  /** @type {any} */
  asked = {};

  connectedCallback() {
    this.on("ok", () => this.done());
    this.piece("text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter") this.done();
    });
  }

  heading() {
    return t("scan.type");
  }

  /** @param {any} asked */
  enter(asked) {
    this.asked = asked;
    this.piece("text").value = "";
    put(this.piece("label"), asked.label);
    this.piece("text").focus();
  }

  leave() {
    this.piece("text").blur();
    this.asked.done?.("");
  }

  done() {
    const { done } = this.asked;
    const text = this.piece("text").value.trim();
    this.asked = {};
    back();
    done?.(text);
  }
}

class Camera extends Screen {
  /** @type {any} */
  asked = {};
  /** @type {MediaStream | null} */
  stream = null;

  heading() {
    return t("scan.camera");
  }

  /** @param {any} asked */
  enter(asked) {
    this.asked = asked;
    this.film().catch((error) => {
      const none = ["NotFoundError", "OverconstrainedError"].includes(error.name);
      put(this.piece("hint"), none ? t("camera.none") : t("camera.failed", { why: error.name }));
    });
  }

  async film() {
    put(this.piece("hint"), t("camera.hint"));
    const video = { facingMode: "environment", width: { ideal: 1280 } };
    const { asked } = this;
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    if (this.hidden || this.asked !== asked) return stop(stream); // given up while it was asked for
    this.stream = stream;
    const node = this.piece("video");
    node.srcObject = this.stream;
    await node.play();
    const Detector = /** @type {any} */ (globalThis).BarcodeDetector;
    const detector = new Detector({ formats: await Detector.getSupportedFormats() });
    while (this.stream && !this.hidden) {
      const found = await detector.detect(node);
      if (found.length && this.stream) return this.done(found[0].rawValue);
      await new Promise((go) => setTimeout(go, LOOK_MS));
    }
  }

  /** @param {string} text */
  done(text) {
    const { done } = this.asked;
    this.asked = {};
    back();
    done?.(text);
  }

  leave() {
    if (this.stream) stop(this.stream);
    this.stream = null;
    this.asked.done?.("");
  }
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

customElements.define("pda-type", Type);
customElements.define("pda-camera", Camera);

/** Whether this browser can read codes with its camera. */
export const hasCamera = () =>
  "BarcodeDetector" in globalThis && Boolean(navigator.mediaDevices?.getUserMedia);

/** The ways in without a scanner, as options for `pick`. */
export function otherWays() {
  const ways = [{ label: t("scan.type"), value: "type" }];
  if (hasCamera()) ways.push({ label: t("scan.camera"), value: "camera" });
  return ways;
}

/**
 * Get a code by hand or camera; "" when it was given up.
 * @param {"type" | "camera"} way
 * @param {string} [label]
 * @returns {Promise<string>}
 */
export function enterCode(way, label = t("scan.type_label")) {
  return new Promise((done) => go(way, { label, done }));
}

