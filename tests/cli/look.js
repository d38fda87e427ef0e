// What a reader would stumble over on the page as it is shown now: a list of sentences.
(() => {
  const faults = [], width = document.documentElement.clientWidth, texts = [];
  const short = (s) => `"${s.trim().replace(/\s+/g, " ").slice(0, 50)}"`;
  const fault = (what, text, more = "") => faults.push(`${what}: ${short(text)}${more}`);
  const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowX);

  // --- text, as it stands ---
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const parent = node.parentElement, style = getComputedStyle(parent);
    if (!node.data.trim() || parent.closest("script,style,title")) continue;
    if (style.display === "none" || style.visibility !== "visible") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects())
      if (r.width > 0.5 && r.height > 0.5) texts.push({ node, parent, style, text: node.data, left: r.left, right: r.right, top: r.top, bottom: r.bottom });
  }

  // --- beyond an edge ---
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide and scrolls`);
  for (const e of document.querySelectorAll("*"))
    if (scrolls(e) && e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0 && e !== document.documentElement)
      fault("scrolls, and no key reaches it", e.textContent);
  for (const t of texts) {
    let seen = true;
    for (let e = t.parent; e && seen; e = e.parentElement) {
      const s = getComputedStyle(e), box = e.getBoundingClientRect();
      if (e instanceof SVGElement ? e.tagName !== "svg" || s.overflow === "visible" : s.overflowX === "visible") continue;
      if (scrolls(e)) { // what is beyond can be scrolled to
        seen = t.left < box.right && t.right > box.left;
        t.left = Math.max(t.left, box.left), t.right = Math.min(t.right, box.right);
        if (t.right <= t.left) seen = false;
        break;
      }
      if (t.left < box.left - 1 || t.right > box.right + 1 || t.top < box.top - 2 || t.bottom > box.bottom + 3)
        fault("cut off", t.text);
    }
    t.seen = seen;
    if (seen && (t.left < -1 || t.right > width + 1)) fault("beyond the page's edge", t.text);
  }

  // --- on each other ---
  const order = texts.filter((t) => t.seen).sort((a, b) => a.top - b.top);
  for (let i = 0; i < order.length; i++)
    for (let k = i + 1; k < order.length && order[k].top < order[i].bottom; k++) {
      const a = order[i], b = order[k];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (a.node !== b.node && wide > 1 && high > 4) fault("on each other", a.text, ` and ${short(b.text)}`);
    }

  // --- too faint ---
  const parse = (c) => { const m = /rgba?\(([^)]+)\)/.exec(c); return m ? m[1].split(/[,/ ]+/).map(Number) : null; };
  const light = (c) => { const l = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const opaque = (c) => c && (c.length < 4 || c[3] > 0.99);
  const fillOf = (shape) => {
    const pattern = /url\("?#(\w+)"?\)/.exec(getComputedStyle(shape).fill);
    return parse(getComputedStyle(pattern ? document.getElementById(pattern[1]).querySelector("rect") : shape).fill);
  };
  const behind = (t) => {
    const svg = t.parent.closest("svg"), x = (t.left + t.right) / 2, y = (t.top + t.bottom) / 2;
    let found = null;
    for (const shape of svg ? svg.querySelectorAll("rect") : []) {
      const box = shape.getBoundingClientRect();
      if (box.left <= x && x <= box.right && box.top <= y && y <= box.bottom && !shape.closest("pattern")) found = fillOf(shape) || found;
    }
    for (let e = t.parent; !found && e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (opaque(c)) found = c;
    }
    return found || [255, 255, 255];
  };
  for (const t of texts) {
    const colour = parse(t.parent.closest("svg") ? t.style.fill : t.style.color), back = behind(t), ratio = contrast(colour, back);
    if (ratio < 4.5) fault(`contrast ${ratio.toFixed(2)}`, t.text, ` (${colour} on ${back})`);
  }
  return { faults: [...new Set(faults)], texts: texts.length };
})()
