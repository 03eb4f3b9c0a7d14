// Why it trades or not: the funnel with its sums, refusals over time, nearest misses, remedies.

import { chip, el, panel, table } from "./dom.js";
import { utc } from "./format.js";

export async function why(desk, screen, path) {
  const { runs } = await desk.get("/api/runs");
  if (!runs.length) {
    screen.replaceChildren(el("section", { class: "panel empty" }, "Nothing is recorded yet."));
    return {};
  }
  const runId = path[0] || runs[0].run_id;
  const found = await desk.get(`/api/runs/${runId}/why`);
  const f = found.funnel;
  screen.replaceChildren(
    el("div", { class: "row" }, el("label", {}, "run", el("select", { onchange: (e) => desk.go(`why/${e.target.value}`) },
      runs.map((r) => el("option", { value: r.run_id, selected: r.run_id === runId }, `${r.run_id.slice(0, 8)} ${r.source} ${utc(r.started_at)}`)))),
      el("span", { class: "muted" }, `market of ${utc(f.from)} to ${utc(f.to)} UTC`),
      found.adds_up ? chip("the sums add up", "good") : chip("THE SUMS DO NOT ADD UP: run claire validate", "bad")),
    el("div", { class: "grid" },
      panel("From ticks to trades", "w7", funnel(f)),
      panel("What would have to change", "w5", el("ul", {}, found.what_would_change_it.map((line) => el("li", {}, line)))),
      panel("Refused entries over time", "w12", refusals(found.refusals)),
      panel("Nearest misses", "w12", table([
        { name: "time", text: true, cell: (m) => utc(m.at) },
        { name: "entry that one limit refused", text: true, wrap: true, cell: (m) => m.text },
      ], found.misses, { empty: "No entry failed at exactly one limit.", onrow: (m) => desk.explain(m.event_id) }))));
  return {};
}

function funnel(f) {
  const listed = (counts) => Object.entries(counts || {}).map(([name, n]) => `${name} ${n.toLocaleString("en-US")}`).join(", ");
  const sum = (counts) => Object.values(counts || {}).reduce((total, n) => total + n, 0);
  const met = f.exits.approved + f.exits.trimmed;
  const steps = [
    ["ticks", f.ticks, `${f.trades_seen.toLocaleString("en-US")} of them are trades that the strategy acts on`],
    ["signals", f.signals, `${f.signals - f.of_which_exits} entries, ${f.of_which_exits} exits`],
    ["entries passed", f.entries.approved + f.entries.trimmed, `approved ${f.entries.approved}, trimmed ${f.entries.trimmed}`],
    ["entries refused", sum(f.entries.rejected), listed(f.entries.rejected) || "none"],
    ["exits passed", met, f.nothing_to_reduce ? `${f.nothing_to_reduce} further exits met no position` : ""],
    ["own exits", sum(f.own_exits), listed(f.own_exits) || "no stop, take-profit or liquidation"],
    ["orders", f.orders, f.orders_by_hand ? `${f.orders_by_hand} posted by hand` : ""],
    ["results", sum(f.results), listed(f.results)],
  ];
  const most = Math.max(1, f.signals, f.orders);
  return el("div", { class: "funnel" }, steps.map(([name, count, text]) => el("div", { class: "step" },
    el("span", {}, name), el("b", {}, count.toLocaleString("en-US")),
    el("div", {}, name === "ticks" ? null : el("div", { class: "bar-line", style: `width:${Math.min(100, (count / most) * 100)}%` }), el("small", { class: "muted" }, text)))));
}

function refusals({ began, span_ms: span, reasons }) {
  if (!reasons.length) return el("p", { class: "empty" }, "No entry was refused.");
  return table([
    { name: "reason", text: true, cell: (r) => chip(r.reason, "warn") },
    { name: "layer", cell: (r) => r.layer ?? "–" },
    { name: "count", cell: (r) => r.total.toLocaleString("en-US") },
    { name: `each column ${span < 120000 ? `${Math.round(span / 1000)} s` : `${Math.round(span / 60000)} min`} from ${utc(began)}`, text: true, cell: (r) => spark(r.counts, r.reason) },
    { name: "meaning", text: true, wrap: true, cell: (r) => r.meaning },
  ], reasons);
}

function spark(counts, name) {
  const most = Math.max(...counts, 1);
  return el("div", { class: "spark", role: "img", "aria-label": `${name} over time, at most ${most} in one column` },
    counts.map((n) => el("i", { style: `height:${(n / most) * 100}%`, title: String(n) })));
}
