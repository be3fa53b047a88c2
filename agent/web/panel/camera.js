// The camera: its last picture, asked for one at a time while it is visible, with the marks of the
// feed drawn over it. The feed's tick, 4 a second, is the most that it is asked.

import { attr, put, show, svg, View } from "./dom.js";
import { state } from "./state.js";
import * as text from "./text.js";

const { t } = text;
const PICTURE_MS = 5000;
const LIMIT = 240; // marks that are drawn

class CameraView extends View {
  #visible = false;
  #busy = false;
  /** The frame that is on the screen: camera id and frame number. */
  #shown = "";
  #camera = "";

  connectedCallback() {
    new IntersectionObserver((seen) => {
      this.#visible = seen.some((entry) => entry.isIntersecting);
    }).observe(this);
  }

  /** @param {import("./types.js").Snapshot} s */
  render(s) {
    const camera = s.camera;
    put(this.piece("id"), camera?.id ?? "");
    put(
      this.piece("counts"),
      camera
        ? t("camera.counts", { good: camera.good, bad: camera.no_read, wait: camera.waiting })
        : text.NONE,
    );
    if (camera?.id !== this.#camera) {
      this.#camera = camera?.id ?? "";
      this.#blank();
    }
    this.#marks(camera);
    if (camera) void this.#ask(camera);
    put(this.piece("empty"), t(camera ? "camera.no_picture" : "camera.none"));
  }

  #blank() {
    this.#shown = "";
    show(this.piece("canvas"), false);
    show(this.piece("empty"), true);
  }

  /** @param {import("./types.js").Camera} camera */
  async #ask(camera) {
    const frame = `${camera.id} ${camera.frame}`;
    const wanted = this.#visible && document.visibilityState === "visible";
    if (!wanted || this.#busy || frame === this.#shown) return;
    this.#busy = true;
    try {
      const answer = await fetch(`/api/cameras/${encodeURIComponent(camera.id)}/picture`, {
        signal: AbortSignal.timeout(PICTURE_MS),
      });
      if (answer.status === 200) await this.#draw(await answer.blob(), frame);
      else this.#blank();
    } catch {
      this.#blank(); // no connection, no answer in time, or no picture: the next frame asks again
    } finally {
      this.#busy = false;
    }
  }

  /** @param {Blob} blob @param {string} frame */
  async #draw(blob, frame) {
    const bitmap = await createImageBitmap(blob);
    const canvas = this.piece("canvas");
    if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
    if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    this.#shown = frame;
    show(canvas, true);
    show(this.piece("empty"), false);
    if (state.snapshot?.camera) this.#marks(state.snapshot.camera);
  }

  /** @param {import("./types.js").Camera | null} camera */
  #marks(camera) {
    const layer = this.piece("marks");
    show(layer, camera !== null && !this.piece("canvas").hasAttribute("hidden"));
    if (!camera) return;
    const { width, height } = camera;
    attr(layer, "viewBox", `0 0 ${width} ${height}`);
    const marks = camera.marks.slice(0, LIMIT);
    while (layer.childElementCount < marks.length) {
      layer.append(svg("g", {}, svg("rect", { class: "halo" }), svg("rect"), svg("text")));
    }
    while (layer.childElementCount > marks.length) layer.lastElementChild.remove();
    const size = Math.max(14, height / 18);
    marks.forEach((mark, index) => {
      const group = layer.children[index];
      attr(group, "data-s", mark.s);
      const [halo, box, label] = group.children;
      for (const rect of [halo, box]) {
        attr(rect, "x", mark.x);
        attr(rect, "y", mark.y);
        attr(rect, "width", mark.w);
        attr(rect, "height", mark.h);
      }
      const named = mark.s === "no_read" || mark.s === "duplicate";
      const below = mark.y + mark.h + size * 1.1;
      attr(label, "x", mark.x);
      attr(label, "y", below < height ? below : mark.y - size * 0.3);
      attr(label, "font-size", size);
      put(label, named ? t(`mark.${mark.s}`) : "");
    });
    attr(
      this.piece("canvas"),
      "aria-label",
      t("camera.counts", { good: camera.good, bad: camera.no_read, wait: camera.waiting }),
    );
  }
}

customElements.define("cl-camera", CameraView);
