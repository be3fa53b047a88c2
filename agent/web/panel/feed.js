// The live feed: one WebSocket that comes back by itself, for ever (docs/live-feed.md).

export const STALE_MS = 2000;
const RETRY_MS = 500;
const SILENT_MS = 4000; // an open socket without a message is half dead: start anew

/**
 * Calls `onSnapshot` for every message, `onAge` four times a second with the age of the data in ms
 * (Infinity before the first message) and `onOpen` after each connection.
 */
export class Feed {
  #received = -Infinity;
  #tried = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  #retry = 0;

  /**
   * @param {string} line
   * @param {{onSnapshot: (s: import("./types.js").Snapshot) => void,
   *          onAge: (ms: number) => void, onOpen: () => void}} listener
   */
  constructor(line, listener) {
    this.line = line;
    this.listener = listener;
    this.#connect();
    setInterval(() => this.#watch(), 250);
  }

  /** Watch another line. @param {string} line */
  change(line) {
    this.line = line;
    this.#received = -Infinity;
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#socket) {
      const old = this.#socket;
      old.onopen = old.onmessage = old.onclose = null;
      old.close();
    }
    this.#tried = performance.now();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(
      `${scheme}://${location.host}/ws/live?line=${encodeURIComponent(this.line)}`,
    );
    this.#socket = socket;
    socket.onopen = () => this.listener.onOpen();
    socket.onmessage = (event) => {
      this.#received = performance.now();
      this.listener.onSnapshot(JSON.parse(event.data));
    };
    socket.onclose = () => {
      this.#retry = setTimeout(() => this.#connect(), RETRY_MS);
    };
  }

  #watch() {
    const now = performance.now();
    if (now - Math.max(this.#received, this.#tried) > SILENT_MS) this.#connect();
    this.listener.onAge(now - this.#received);
  }
}
