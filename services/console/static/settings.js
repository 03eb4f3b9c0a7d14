// Settings as the services use them; they are read at start only, so nothing can be changed here.

import { chip, el, panel, table } from "./dom.js";

export async function settings(desk, screen) {
  const { trading, system } = await desk.get("/api/settings");
  const text = (row) => (row.value === null || row.value === undefined ? "–" : String(row.value));
  screen.replaceChildren(
    el("p", { class: "muted" }, "Settings are read when the services start and are part of each run. Change .env and restart, or try a value with `claire replay --set NAME=VALUE`."),
    el("div", { class: "grid" },
      panel("Trading", "w12", table([
        { name: "setting", text: true, cell: (s) => s.name },
        { name: "value", cell: (s) => (s.changed ? chip(text(s), "info") : text(s)) },
        { name: "default", cell: (s) => s.default },
        { name: "range", text: true, cell: (s) => s.range },
        { name: "unit", text: true, cell: (s) => s.unit },
        { name: "layer", cell: (s) => s.layer ?? "–" },
        { name: "meaning", text: true, wrap: true, cell: (s) => s.meaning },
      ], trading)),
      panel("System", "w12", table([{ name: "setting", text: true, cell: (s) => s.name }, { name: "value", text: true, wrap: true, cell: text }], system, { empty: "The orchestrator does not answer." }))));
  return {};
}
