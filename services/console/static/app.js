// The frame of the console: screens, stream, theme, and the drawer with explanations.

import { get, listen } from "./api.js";
import { openActions } from "./actions.js";
import { chart } from "./chart.js";
import { el } from "./dom.js";
import { now } from "./now.js";
import { record } from "./record.js";
import { settings } from "./settings.js";
import { explain } from "./story.js";
import { why } from "./why.js";

const SCREENS = { now, chart, why, record, settings };
const screen = document.getElementById("screen");
const link = document.getElementById("link");
const banner = document.getElementById("banner");

export const desk = { view: null, events: [], seen: new Set(), explain, get, go };

let shown = null;
let stale = null;

function go(hash) {
  location.hash = hash;
}

async function show() {
  const [name, ...path] = location.hash.slice(1).split("/");
  const screenName = SCREENS[name] ? name : "now";
  for (const item of document.querySelectorAll(".bar nav a")) {
    if (item.hash === `#${screenName}`) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  shown?.leave?.();
  shown = null;
  screen.replaceChildren(el("p", { class: "muted" }, "Loading …"));
  try {
    shown = await SCREENS[screenName](desk, screen, path.map(decodeURIComponent));
    if (desk.view) shown?.update?.(desk.view);
  } catch (error) {
    screen.replaceChildren(el("section", { class: "panel" }, el("p", { class: "error" }, error.message),
      el("p", {}, el("button", { type: "button", onclick: show }, "Try again"))));
  }
}

function connected(is_up) {
  link.textContent = is_up ? "live" : "reconnecting";
  link.className = `chip ${is_up ? "good" : "bad"}`;
  clearTimeout(stale);
  if (is_up) banner.hidden = true;
  else stale = setTimeout(() => warn("The console does not answer. What you see is the last known state; it reconnects by itself."), 2500);
}

function warn(text) {
  banner.textContent = text;
  banner.hidden = false;
}

listen({
  now(view) {
    desk.view = view;
    shown?.update?.(view);
  },
  event(row) {
    desk.events.unshift(row);
    desk.events.length = Math.min(desk.events.length, 500);
    shown?.event?.(row);
  },
  bus({ state }) {
    if (state === "away") warn("The bus is away: no new events until it answers again. What you see is the last known state.");
    else banner.hidden = true;
  },
  reload: show,
  link: connected,
});

const theme = localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = theme;
document.getElementById("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  show();
});
document.getElementById("act").addEventListener("click", () => openActions(desk));
window.addEventListener("hashchange", show);
show();
