// The explanation of one event: what caused it, what was decided with which figures, what followed.

import { get } from "./api.js";
import { el } from "./dom.js";

const drawer = document.getElementById("drawer");
let before = null;

export async function explain(id) {
  if (drawer.hidden) before = document.activeElement;
  drawer.hidden = false;
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: hide }, "✕");
  const head = el("div", { class: "row" }, el("h2", { tabindex: "-1" }, "Explanation"), close);
  drawer.replaceChildren(head, el("p", { class: "muted" }, "Reading the record …"));
  close.focus();
  try {
    const story = await get(`/api/explain/${encodeURIComponent(id)}`);
    drawer.replaceChildren(head, el("p", { class: "muted" }, `id ${id}`), el("ul", { class: "story" }, node(story)));
  } catch (error) {
    drawer.replaceChildren(head, el("p", { class: "error" }, error.message));
  }
}

function node(part) {
  return el("li", { class: part.subject ? "subject" : "" },
    el("span", { class: "title" }, part.title),
    part.lines.length ? el("div", { class: "lines" }, part.lines.join("\n")) : null,
    part.children.length ? el("ul", {}, part.children.map(node)) : null);
}

function hide() {
  drawer.hidden = true;
  before?.focus?.();
}

document.addEventListener("keydown", (event) => event.key === "Escape" && !drawer.hidden && hide());
