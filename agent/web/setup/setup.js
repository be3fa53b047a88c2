// The self-test of /setup: whether this device trusts the site's certificate.
// The answer itself cannot be read from here (another origin); that there is one is what counts.

const SECONDS = 8;

/** @param {string} url */
async function trusted(url) {
  try {
    await fetch(url, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(SECONDS * 1000) });
    return true;
  } catch {
    return false;
  }
}

const rows = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-url]"));
for (const row of rows) {
  trusted(row.dataset.url ?? "").then((good) => {
    row.dataset.state = good ? "good" : "bad";
    row.textContent = good
      ? "✓ 安全连接 Secure connection"
      : "✕ 离线保护未启用：请先安装证书 · Not secure yet: install the certificate first";
  });
}
