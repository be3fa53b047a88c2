// What is wrong with how the page looks: a list of sentences. Run in the page by test_look.py.
() => {
  const faults = [];
  const html = document.documentElement;
  if (html.scrollWidth > html.clientWidth || html.scrollHeight > html.clientHeight)
    faults.push(`the page scrolls: ${html.scrollWidth}x${html.scrollHeight}`);
  const box = (n) => n.getBoundingClientRect();
  const dialog = document.querySelector("dialog[open]");
  const root = dialog ?? document.body;
  const texts = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest("[hidden], symbol")) continue;
    if (!dialog && parent.closest("dialog")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      if (rect.width > 0.5) texts.push({ words: node.data.trim(), rect, parent });
    }
    const clipped = getComputedStyle(parent).overflowX !== "visible";
    if (clipped && parent.scrollWidth > parent.clientWidth + 1)
      faults.push(`cut off: ${node.data}`);
  }
  const holder = "button, .chip, .choice, .card, .alarm, .frame, .sheet-top, dialog li, dialog";
  for (const { words, rect, parent } of texts) {
    if (parent.closest(".sheet-body")) continue; // it may scroll
    const outer = box(parent.closest(holder) ?? document.body);
    if (rect.left < outer.left - 1 || rect.right > outer.right + 1 ||
        rect.top < outer.top - 3 || rect.bottom > outer.bottom + 3)
      faults.push(`outside its box: ${words}`);
  }
  // Words over words: of each line only the height of its letters counts, not the line box.
  const shrunk = texts.filter((t) => !t.parent.closest("svg")).map(({ words, rect, parent }) => {
    const half = parseFloat(getComputedStyle(parent).fontSize) * 0.36;
    const middle = (rect.top + rect.bottom) / 2;
    const { left, right } = rect;
    return { words, parent, rect: { left, right, top: middle - half, bottom: middle + half } };
  });
  for (let a = 0; a < shrunk.length; a++) {
    for (let b = a + 1; b < shrunk.length; b++) {
      if (shrunk[a].parent === shrunk[b].parent) continue;
      const [p, q] = [shrunk[a].rect, shrunk[b].rect];
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 1 && high > 1)
        faults.push(`over each other: ${shrunk[a].words} / ${shrunk[b].words}`);
    }
  }
  const gauge = document.querySelector(".gauge:not([hidden])");
  if (gauge && !dialog)
    for (const { words, rect } of texts)
      if (rect.right > box(gauge).left && rect.left < box(gauge).right &&
          rect.bottom > box(gauge).top && rect.top < box(gauge).bottom)
        faults.push(`over the gauge: ${words}`);
  // What is pressed is at least 64 px each way.
  for (const node of root.querySelectorAll("button, label")) {
    const { width, height } = box(node);
    if (width === 0 || (!dialog && node.closest("dialog"))) continue;
    const small = node.matches(".plain") ? Math.min(width, height) < 44 : Math.min(width, height) < 63.5;
    if (small) faults.push(`small target ${width.toFixed()}x${height.toFixed()}: ${node.textContent}`);
  }
  return faults;
}
