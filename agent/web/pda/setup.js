// Making a device ours, a person known, and sure that both will work in the cold store.

import { keep, put } from "../panel/dom.js";
import { t } from "../panel/text.js";
import { ask, NoAnswer, Refused } from "./api.js";
import { setMeta, write } from "./db.js";
import { makeKey, publicJwk } from "./keys.js";
import { digits, go, home, pick, Screen } from "./screen.js";
import { signal, wakeSound } from "./signals.js";
import { app, loggedIn, remember, waiting } from "./state.js";
import { syncNow } from "./sync.js";
import { enterCode, hasCamera } from "./type.js";

const GS_CHARACTERS = ["", "|", "~", "^", "¦", "¬"];
const PIN_MOST = 12;

/** A QR that is read twice lets the device in once. */
let enrolling = false;

/** The code in a text that the panel's QR holds, or "". @param {string} text */
export const enrolCode = (text) => /#enrol=([\w-]{8,64})/.exec(text)?.[1] ?? "";

class Setup extends Screen {
  step = "enrol";
  bad = "";
  /** @type {Record<string, string>} results of the self-test */
  tests = {};

  heading() {
    return t(`setup.${this.step}`);
  }

  sub() {
    return app.device?.device ?? "";
  }

  stays() {
    return mustDo() === this.step;
  }

  /** @param {{step?: string, bad?: string}} args */
  enter({ step = "enrol", bad = "" }) {
    this.step = step;
    this.bad = bad;
    if (step === "settings") void this.settings();
    if (step === "test") void this.test();
  }

  /** @param {string} text */
  async code(text) {
    const code = enrolCode(text);
    if (code) return enrol(code);
    if (this.step === "test") return this.result("suffix", "good");
    if (this.step === "login") return this.login(text);
    return signal("refused");
  }

  /** @param {string} _text */
  leftOver(_text) {
    if (this.step === "test") this.result("suffix", "no_end");
  }

  /** @param {string} badge */
  async login(badge) {
    const check = async (/** @type {string} */ pin) => {
      try {
        const told = await ask("/login", { badge, pin });
        const here = Date.now() + (told.until - told.server);
        await remember("session", { ...told, here });
        return "";
      } catch (error) {
        return failure(error);
      }
    };
    const hint = t("login.pin", { badge });
    const typed = await digits({ title: t("setup.login"), hint, secret: true, most: PIN_MOST, check });
    if (!typed) return;
    signal("ok");
    home();
    void syncNow();
  }

  /** @returns {Promise<void>} */
  async settings() {
    const { settings, session } = app;
    const on = (/** @type {boolean} */ yes) => t(yes ? "set.on" : "set.off");
    const options = [
      { label: t("set.sun"), hint: on(settings.sun), value: "sun" },
      { label: t("set.sound"), hint: on(settings.sound), value: "sound" },
      { label: t("set.gs"), hint: settings.gs || t("set.gs_none"), value: "gs" },
      { label: t("setup.test"), hint: t("set.test_hint"), value: "test" },
    ];
    if (session) options.push({ label: t("set.logout"), hint: session.name, value: "logout" });
    if (app.newer) options.push({ label: t("newer"), hint: "", value: "newer" });
    const version = (await caches.keys()).find((key) => key.startsWith("pda-"))?.slice(4) ?? "–";
    const hint = t("set.about", { device: app.device?.device ?? "–", version });
    const what = await pick({ title: t("settings.title"), hint, options });
    if (what === "sun") await remember("settings", { ...settings, sun: !settings.sun });
    else if (what === "sound") {
      await remember("settings", { ...settings, sound: !settings.sound });
    } else if (what === "gs") {
      const all = GS_CHARACTERS.map((value) => ({ label: value || t("set.gs_none"), value }));
      const gs = await pick({ title: t("set.gs"), hint: t("set.gs_hint"), options: all, grid: true });
      if (gs !== null) await remember("settings", { ...settings, gs });
    } else if (what === "test") {
      return go("setup", { step: "test" });
    } else if (what === "logout") {
      await remember("session", null);
      return go("setup", { step: "login" });
    } else if (what === "newer") {
      document.dispatchEvent(new Event("take-over"));
    }
    if (what === null || what === "newer") return home();
    return this.settings();
  }

  async test() {
    this.tests = { secure: app.secure ? "good" : "insecure" };
    this.draw();
    this.result("offline", await offlineReady());
  }

  /**
   * @param {string} name
   * @param {string} said
   */
  result(name, said) {
    this.tests[name] = said;
    if (name === "suffix") signal(said === "good" ? "ok" : "refused");
    this.draw();
  }

  draw() {
    const { step } = this;
    put(this.piece("do"), t(`setup.${step}_do`));
    put(this.piece("more"), t(`setup.${step}_more`));
    put(this.piece("bad"), this.bad);
    const names = step === "test" ? ["secure", "offline", "suffix", "sound", "shake"] : [];
    const list = this.piece("tests");
    keep(list, names.length, () => {
      const row = document.createElement("li");
      for (const name of ["name", "value", "more"]) {
        row.append(Object.assign(document.createElement("span"), { className: name }));
      }
      return row;
    });
    for (const [at, name] of names.entries()) {
      const said = this.tests[name] ?? "open";
      const row = list.children[at];
      put(row.children[0], t(`test.${name}`));
      const known = ["good", "open", "asked"].includes(said);
      put(row.children[1], t(`test.${known ? said : "bad"}`));
      put(row.children[2], said === "good" ? "" : t(`test.${name}.${said}`));
      row.toggleAttribute("data-bad", !known);
    }
    put(this.piece("hint"), step === "enrol" || step === "login" ? t("setup.scan") : "");
    this.drawActs();
  }

  drawActs() {
    /** @type {[string, () => unknown, string?][]} */
    let acts = [];
    const type = async (/** @type {"type" | "camera"} */ way) => {
      const text = await enterCode(way, t(`setup.${this.step}_type`));
      if (text) await this.code(this.step === "enrol" && !enrolCode(text) ? `#enrol=${text}` : text);
    };
    if (this.step === "enrol" || this.step === "login") {
      acts = [[t("scan.type"), () => type("type")]];
      if (hasCamera()) acts.push([t("scan.camera"), () => type("camera")]);
      if (waiting() > 0) acts.push([t("queue.title"), () => go("queue")]);
    }
    if (this.step === "test") {
      acts = [
        [t("test.play"), () => this.play()],
        [t("test.heard"), () => this.result("sound", "good")],
        [t("test.felt"), () => this.result("shake", "good")],
      ];
    }
    const box = this.piece("acts");
    box.classList.toggle("pairs", acts.length > 2);
    const made = acts.map(([label, act]) => {
      const node = document.createElement("button");
      node.type = "button";
      node.textContent = label;
      node.addEventListener("click", act);
      return node;
    });
    if (box.textContent !== acts.map(([label]) => label).join("")) box.replaceChildren(...made);
  }

  play() {
    wakeSound();
    signal("stop");
    for (const name of ["sound", "shake"]) if (!this.tests[name]) this.result(name, "asked");
  }
}

/** Whether the app would start without a network. */
async function offlineReady() {
  if (!("serviceWorker" in navigator)) return "no_worker";
  if (!navigator.serviceWorker.controller) return "not_yet";
  const kept = await navigator.storage?.persisted?.();
  return kept ? "good" : "not_persistent";
}

/**
 * Become a device of the agent with the code that the panel shows.
 * @param {string} code
 */
export async function enrol(code) {
  history.replaceState(null, "", location.pathname); // it is good for once; not for the history
  if (app.device && waiting() > 0) {
    return go("setup", { step: "enrol", bad: t("enrol.waiting", { n: waiting() }) });
  }
  if (enrolling) return;
  enrolling = true;
  try {
    const key = await makeKey();
    const model = navigator.userAgent.slice(-64);
    const body = { code, key: await publicJwk(key), name: "", model };
    const told = await ask("/enrol", body, { device: null });
    // A device of another name begins with item 1.
    await setMeta("upto", 0);
    await clearItems();
    app.seq = app.upto = 0;
    await remember("device", { ...told, key });
    await remember("stopped", "");
    await remember("session", null);
    signal("ok");
    go("setup", { step: "login" });
  } catch (error) {
    signal("refused");
    go("setup", { step: "enrol", bad: failure(error) });
  } finally {
    enrolling = false;
  }
}

async function clearItems() {
  await write(["items", "documents"], (store) => {
    for (const name of ["items", "documents"]) store(name).clear();
  });
  app.documents = [];
  app.troubles = [];
}

/** @param {unknown} error */
function failure(error) {
  if (error instanceof Refused) return error.message;
  if (error instanceof NoAnswer) return t("no_answer");
  throw error;
}

/** What has to be done before anybody can scan; the screen for it, or "". */
export function mustDo() {
  if (!app.secure) return "insecure";
  if (!app.device) return "enrol";
  return loggedIn() ? "" : "login";
}

customElements.define("pda-setup", Setup);

