// The first screen: may it trade, what does it hold, how near are the limits, is everything alive.

import { chip, el, panel, table } from "./dom.js";
import { age, clock, direction, local, measured, money, percent, price, quantity, signed, utc } from "./format.js";

const KINDS = { ACTIVE: "good", "REDUCE-ONLY": "warn", PAUSED: "warn", HALTED: "bad", UNKNOWN: "bad" };
const FEED = ["alerts", "order_results", "risk_decisions", "control"];
const LEVELS = { CRITICAL: "bad", WARNING: "warn", INFO: "info" };

export async function now(desk, screen) {
  const parts = Object.fromEntries(["state", "account", "limits", "layers", "positions", "services", "feed", "funnel"].map((name) => [name, el("div", {})]));
  const equity = el("div", { class: "plot", role: "img", "aria-label": "Equity over time; the table of runs has the figures" });
  screen.replaceChildren(el("div", { class: "grid" },
    el("div", { class: "w12" }, parts.state),
    panel("Account, in quote currency", "w7", parts.account, equity),
    panel("Limits", "w5", parts.limits, el("h2", {}, "Layers at the last entry decision"), parts.layers),
    panel("Open positions", "w12", parts.positions),
    panel("What happened", "w7", parts.feed),
    panel("Services", "w5", parts.services, el("h2", {}, "From signals to trades"), parts.funnel)));
  let run = null;
  let plot = null;
  let timer = null;

  async function drawEquity(id) {
    const { plotEquity } = await import("./plots.js");
    const found = await desk.get(`/api/runs/${id}/equity`).catch(() => null);
    if (found && found.at.length > 1) {
      plot?.destroy();
      plot = plotEquity(equity, found);
    }
  }

  function drawFeed() {
    const rows = desk.events.filter((row) => FEED.includes(row.topic)).slice(0, 60);
    parts.feed.replaceChildren(rows.length
      ? el("ul", { class: "feed" }, rows.map((row) => feedLine(desk, row)))
      : el("p", { class: "empty" }, "Decisions, fills and alerts appear here as they happen. A strategy needs its look-back window first, 15 minutes of market time by default."));
  }

  async function loadRun(id) {
    drawEquity(id);
    drawLayers(id);
    const { rows } = await desk.get(`/api/runs/${id}/events`).catch(() => ({ rows: [] }));
    const known = new Set(desk.events.map((row) => row.seq));
    desk.events.push(...rows.filter((row) => !known.has(row.seq)));
    drawFeed();
  }

  async function drawLayers(id) {
    const { decision } = await desk.get(`/api/runs/${id}/layers`).catch(() => ({ decision: null }));
    parts.layers.replaceChildren(decision ? layers(desk, decision) : el("p", { class: "muted" }, "No entry has been decided yet."));
  }

  drawFeed();
  return {
    update(view) {
      parts.state.replaceChildren(stateLine(view));
      parts.account.replaceChildren(account(view));
      parts.limits.replaceChildren(...view.limits.map(limit));
      parts.positions.replaceChildren(positions(desk, view));
      parts.services.replaceChildren(services(view));
      parts.funnel.replaceChildren(funnel(view));
      if (view.run.run_id && view.run.run_id !== run) {
        run = view.run.run_id;
        loadRun(run);
        clearInterval(timer);
        timer = setInterval(() => drawEquity(run), 15000);
      }
    },
    event(row) {
      drawFeed();
      if (row.topic === "risk_decisions" && run) drawLayers(run);
    },
    leave() {
      clearInterval(timer);
      plot?.destroy();
    },
  };
}

function stateLine(view) {
  const { state, run } = view;
  const facts = run.run_id
    ? `run ${run.run_id.slice(0, 10)} on ${run.source} · market time ${utc(run.clock_ms)} UTC · ${Number(run.ticks || 0).toLocaleString("en-US")} ticks${run.ended ? ` · ended: ${run.ended}` : ""}`
    : "no run has started yet";
  return el("section", { class: `panel state ${KINDS[state.name]}`, "aria-live": "polite" },
    el("span", { class: "word" }, state.name),
    el("div", {},
      state.why.length ? el("ul", {}, state.why.map((cause) => el("li", {}, cause))) : el("span", {}, "Entries and exits are allowed."),
      state.release ? el("div", { class: "muted" }, state.release) : null,
      el("div", { class: "muted", title: local(run.clock_ms) }, facts)));
}

function figure(name, value, kind = "") {
  return el("div", { class: "figure" }, el("span", { class: "muted" }, name), el("b", { class: kind }, value));
}

function account({ account: a }) {
  const gain = a.equity === null || a.equity_start === null ? null : Number(a.equity) - Number(a.equity_start);
  return el("div", { class: "figures" },
    el("div", { class: "figure" }, el("span", { class: "muted" }, "equity"), el("b", { style: "font-size:26px", id: "equity" }, money(a.equity))),
    figure("since start", gain === null ? "–" : signed(gain), direction(gain)),
    figure("unrealised", signed(a.unrealised_profit), direction(a.unrealised_profit)),
    figure("fees", money(a.fees)), figure("funding", signed(a.funding)),
    figure("exposure", `${money(a.exposure, 0)} (${percent(a.exposure_pct, 1)})`),
    figure("largest drawdown", percent(a.max_drawdown_pct)));
}

function limit(row) {
  const used = row.used === null ? 0 : Math.min(1, Math.max(0, row.used));
  const kind = used >= 0.9 ? "bad" : used >= 0.6 ? "warn" : "";
  return el("div", { class: "limit" },
    el("span", {}, row.name),
    el("div", { class: "meter", role: "meter", "aria-label": row.name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(used * 100) },
      el("i", { class: kind, style: `width:${(used * 100).toFixed(1)}%` })),
    el("span", {}, `${percent(row.value)} of ${percent(row.limit, 0)}`),
    el("small", {}, `${row.setting}: ${row.on_breach}`));
}

function positions(desk, view) {
  const columns = [
    { name: "symbol", text: true, cell: (p) => el("a", { href: `#chart/${p.symbol}` }, p.symbol) },
    { name: "side", text: true, cell: (p) => chip(Number(p.quantity) > 0 ? "long" : "short", Number(p.quantity) > 0 ? "good" : "warn") },
    { name: "quantity", cell: (p) => quantity(Math.abs(Number(p.quantity))) },
    { name: "entry", cell: (p) => price(p.entry_price) },
    { name: "mark", cell: (p) => price(p.mark_price) },
    { name: "price age", cell: (p) => age(p.price_age_s) },
    { name: "unrealised", cell: (p) => el("span", { class: direction(p.unrealised_profit) }, signed(p.unrealised_profit)) },
    { name: "stop", cell: (p) => `${price(p.stop_loss_price)} (${percent(p.stop_distance)})` },
    { name: "liquidation", cell: (p) => `${price(p.liquidation_price)} (${percent(p.liquidation_distance, 0)})` },
    { name: "notional", cell: (p) => money(p.notional, 0) },
    { name: "margin", cell: (p) => money(p.margin, 0) },
  ];
  const blocked = view.symbols.filter((row) => row.state !== "ACTIVE");
  return el("div", {}, table(columns, view.positions, { empty: "No open position." }),
    blocked.length ? el("p", {}, "Without entries: ", ...blocked.slice(0, 12).flatMap((row) => [chip(`${row.symbol} ${row.state}`, "warn"), ` ${row.why.join(", ")} `])) : null);
}

function services(view) {
  const columns = [
    { name: "service", text: true, cell: (s) => s.name },
    { name: "health", text: true, cell: (s) => chip(s.healthy === null ? "unknown" : s.healthy ? "ok" : "red", s.healthy === null ? "warn" : s.healthy ? "good" : "bad") },
    { name: "data age", cell: (s) => age(s.measured.data_age_s) },
    { name: "lag", cell: (s) => (s.measured.bus_lag_events === undefined ? "–" : s.measured.bus_lag_events.toLocaleString("en-US")) },
    { name: "last commit", cell: (s) => age(s.measured.db_write_age_s) },
    { name: "why", text: true, wrap: true, cell: (s) => s.why || "" },
  ];
  return table(columns.slice(0, view.services.some((s) => s.why) ? 6 : 5), view.services);
}

function funnel({ funnel: f, rejected }) {
  if (f.signals === undefined) return el("p", { class: "empty" }, "No run yet.");
  const sum = `${f.signals} signals = ${f.approved} approved + ${f.trimmed} trimmed + ${f.rejected} rejected${f.undecided ? ` + ${f.undecided} undecided` : ""}`;
  const reasons = Object.entries(rejected).sort((a, b) => b[1] - a[1]).slice(0, 4);
  return el("div", {}, el("p", {}, `${sum}; ${f.orders} orders, ${f.fills} fills, ${f.trades} closed trades.`),
    reasons.length ? el("p", { class: "muted" }, "Refused: ", ...reasons.flatMap(([name, n]) => [chip(`${name} ${n}`, "warn"), " "]), el("a", { href: "#why" }, "why")) : null);
}

function layers(desk, decision) {
  const kinds = { PASS: "good", FAIL: "bad", NOT_APPLICABLE: "" };
  const columns = [
    { name: "layer", text: true, cell: (l) => `${l.layer} ${l.name.replaceAll("_", " ")}` },
    { name: "value", cell: (l) => measured(l.value, l.unit) },
    { name: "limit", cell: (l) => measured(l.limit, l.unit) },
    { name: "", text: true, cell: (l) => chip(l.verdict === "NOT_APPLICABLE" ? "not applicable" : l.verdict.toLowerCase(), kinds[l.verdict]) },
  ];
  return el("div", {}, el("p", {}, el("button", { type: "button", class: "link", onclick: () => desk.explain(decision.event_id) },
    `${decision.verdict} ${decision.side} ${decision.symbol}${decision.reason ? `: ${decision.reason}` : ""}`), el("span", { class: "muted" }, ` ${utc(decision.at)}`)),
  table(columns, decision.layers));
}

function feedLine(desk, row) {
  const text = row.event_id ? el("button", { type: "button", class: "link", onclick: () => desk.explain(row.event_id) }, row.text) : el("span", {}, row.text);
  return el("li", { class: desk.seen.has(row.event_id) ? "seen" : "" },
    el("span", { class: "muted", title: `${utc(row.at)} UTC, ${local(row.at)}` }, clock(row.at)),
    el("span", {}, row.level ? chip(row.level, LEVELS[row.level]) : row.symbol || row.topic), text);
}
