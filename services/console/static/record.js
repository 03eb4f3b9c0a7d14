// The record: runs, trades, orders and events, each with its explanation.

import { chip, el, table } from "./dom.js";
import { direction, local, money, price, quantity, short, signed, utc } from "./format.js";

const TABS = ["trades", "orders", "events", "runs"];
const TYPES = ["", "signal", "risk_decision", "trading_state", "order", "order_result", "alert", "condition", "run_started", "run_ended", "halt", "reset", "pause", "resume", "portfolio_snapshot"];
const LEVELS = { CRITICAL: "bad", WARNING: "warn", INFO: "info" };
const time = (ms) => el("span", { title: local(ms) }, utc(ms));

export async function record(desk, screen, path) {
  const { runs } = await desk.get("/api/runs");
  if (!runs.length) {
    screen.replaceChildren(el("section", { class: "panel empty" }, "Nothing is recorded yet."));
    return {};
  }
  const tab = TABS.includes(path[0]) ? path[0] : "trades";
  const runId = path[1] || runs[0].run_id;
  const body = el("div", {});
  screen.replaceChildren(
    el("div", { class: "row" },
      ...TABS.map((name) => el("a", { href: `#record/${name}/${runId}`, class: `chip ${name === tab ? "info" : ""}`, "aria-current": name === tab ? "page" : null }, name)),
      el("label", {}, "run", el("select", { onchange: (e) => desk.go(`record/${tab}/${e.target.value}`) },
        runs.map((r) => el("option", { value: r.run_id, selected: r.run_id === runId }, `${short(r.run_id)} ${r.source} ${utc(r.started_at)}`))))),
    el("section", { class: "panel" }, body));
  await { trades, orders, events, runs: async () => body.replaceChildren(runTable(desk, runs)) }[tab](desk, body, runId);
  return {};
}

async function trades(desk, body, runId) {
  const { rows } = await desk.get(`/api/runs/${runId}/trades`);
  body.replaceChildren(table([
    { name: "closed", text: true, cell: (t) => time(t.closed_at) },
    { name: "symbol", text: true, cell: (t) => t.symbol },
    { name: "side", text: true, cell: (t) => (t.side === "BUY" ? "long" : "short") },
    { name: "quantity", cell: (t) => quantity(t.quantity) },
    { name: "entry", cell: (t) => price(t.entry_price) },
    { name: "exit", cell: (t) => price(t.exit_price) },
    { name: "exit reason", text: true, cell: (t) => chip(t.exit_reason.replaceAll("_", " "), "info") },
    { name: "gross", cell: (t) => signed(t.gross_profit) },
    { name: "fees", cell: (t) => money(Number(t.fees_open) + Number(t.fees_close)) },
    { name: "funding", cell: (t) => signed(t.funding) },
    { name: "net", cell: (t) => el("b", { class: direction(t.profit_loss) }, signed(t.profit_loss)) },
  ], rows, { empty: "No closed trade yet; the screen Why shows the reasons.", onrow: (t) => desk.explain(t.trade_id) }));
}

async function orders(desk, body, runId) {
  await paged(body, (before) => desk.get(`/api/runs/${runId}/orders${before ? `?before=${before}` : ""}`), [
    { name: "submitted", text: true, cell: (o) => time(o.submitted_at) },
    { name: "symbol", text: true, cell: (o) => o.symbol },
    { name: "side", text: true, cell: (o) => o.side },
    { name: "origin", text: true, cell: (o) => chip(o.origin.replaceAll("_", " "), o.reduce_only ? "info" : "good") },
    { name: "quantity", cell: (o) => quantity(o.quantity) },
    { name: "price", cell: (o) => price(o.price) },
    { name: "status", text: true, cell: (o) => chip(`${o.status}${o.reason ? ` ${o.reason}` : ""}`, o.status === "FILLED" ? "good" : o.status === "REJECTED" ? "bad" : "") },
    { name: "filled at", cell: (o) => price(o.filled_price) },
    { name: "slippage", cell: (o) => (o.slippage_bps === null ? "–" : `${Number(o.slippage_bps).toFixed(1)} bp`) },
    { name: "fees", cell: (o) => money(o.fees) },
  ], "No order yet.", (o) => desk.explain(o.order_id));
}

async function events(desk, body, runId) {
  const list = el("div", {});
  let kind = "";
  let text = "";
  const load = () => paged(list, (before) => {
    const query = new URLSearchParams();
    if (kind) query.set("type", kind);
    if (text) query.set("text", text);
    if (before) query.set("before", before);
    return desk.get(`/api/runs/${runId}/events?${query}`);
  }, [
    { name: "seq", cell: (e) => e.seq.toLocaleString("en-US") },
    { name: "time", text: true, cell: (e) => time(e.at) },
    { name: "type", text: true, cell: (e) => chip(e.type.replaceAll("_", " "), LEVELS[e.level] || "") },
    { name: "from", text: true, cell: (e) => e.producer },
    { name: "what", text: true, wrap: true, cell: (e) => e.text },
  ], "No event matches.", (e) => desk.explain(e.event_id));
  body.replaceChildren(el("div", { class: "row" },
    el("label", {}, "type", el("select", { onchange: (e) => { kind = e.target.value; load(); } }, TYPES.map((name) => el("option", { value: name }, name ? name.replaceAll("_", " ") : "all")))),
    el("label", {}, "contains", el("input", { type: "search", placeholder: "symbol, reason, id", onchange: (e) => { text = e.target.value.trim(); load(); } }))), list);
  await load();
}

function runTable(desk, runs) {
  return table([
    { name: "run", text: true, cell: (r) => short(r.run_id) },
    { name: "source", text: true, cell: (r) => r.source },
    { name: "started", text: true, cell: (r) => time(r.started_at) },
    { name: "ended", text: true, cell: (r) => (r.ended_at ? time(r.ended_at) : chip("open", "good")) },
    { name: "why", text: true, wrap: true, cell: (r) => r.end_reason || "" },
    { name: "signals", cell: (r) => r.signals.toLocaleString("en-US") },
    { name: "trades", cell: (r) => r.trades.toLocaleString("en-US") },
    { name: "net", cell: (r) => el("span", { class: direction(r.net_profit) }, signed(r.net_profit)) },
    { name: "equity", cell: (r) => money(r.equity) },
    { name: "open", cell: (r) => String(r.open_positions) },
    { name: "halts", cell: (r) => String(r.halts) },
  ], runs, { onrow: (r) => desk.go(`record/trades/${r.run_id}`) });
}

async function paged(body, load, columns, empty, onrow) {
  const first = await load(null);
  let rows = first.rows;
  const draw = (more) => body.replaceChildren(table(columns, rows, { empty, onrow }),
    more ? el("p", {}, el("button", { type: "button", onclick: next }, "Older")) : "");
  async function next() {
    const found = await load(rows.at(-1).seq);
    rows = rows.concat(found.rows);
    draw(found.rows.length === found.page);
  }
  draw(rows.length === first.page);
}
