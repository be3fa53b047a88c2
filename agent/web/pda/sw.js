// Served with VERSION and FILES in front. Keeps the whole app for days without a network; a new
// version waits until a person taps for it.

/* global VERSION, FILES */
const CACHE = `pda-${VERSION}`;
const START = "/pda/";

self.addEventListener("install", (event) => {
  event.waitUntil(keepAll());
});

async function keepAll() {
  const cache = await caches.open(CACHE);
  // "reload": past the browser's own cache, so that one version never has parts of another.
  await cache.addAll([START, ...FILES].map((path) => new Request(path, { cache: "reload" })));
}

self.addEventListener("activate", (event) => {
  event.waitUntil(takeOver());
});

async function takeOver() {
  for (const name of await caches.keys()) {
    if (name.startsWith("pda-") && name !== CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

self.addEventListener("message", (event) => {
  if (event.data === "take-over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  const wanted = pathname === `${START}index.html` || request.mode === "navigate" ? START : pathname;
  if (wanted === START ? pathname.startsWith(START) : FILES.includes(wanted)) {
    event.respondWith(kept(wanted, request));
  }
});

/**
 * @param {string} path
 * @param {Request} request
 */
async function kept(path, request) {
  const found = await (await caches.open(CACHE)).match(path);
  return found ?? fetch(request);
}
