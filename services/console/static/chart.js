// Candles of a symbol with everything that was decided on it, refused signals included.

import { chip, el, fill, table } from "./dom.js";
import { local, measured, price, quantity, utc } from "./format.js";

const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"];
const LAYERS = { 1: "#c0392b", 2: "#d35400", 3: "#8e6c00", 4: "#7d3c98", 5: "#1f6fb2", 6: "#0e7490", 7: "#5d6d7e" };
const REFRESH_MS = 2000;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const exitName = (origin) => (origin === "signal" ? "exit" : origin.replaceAll("_", " "));
const layerColour = (layer) => LAYERS[layer] || "#707b88";

export async function chart(desk, screen, path) {
  const { runs } = await desk.get("/api/runs");
  if (!runs.length) {
    screen.replaceChildren(el("section", { class: "panel empty" }, "Nothing is recorded yet. The chart appears with the first trades of a run."));
    return {};
  }
  const runId = path[1] || runs[0].run_id;
  const { symbols } = await desk.get(`/api/runs/${runId}/symbols`);
  const held = desk.view?.positions[0]?.symbol;
  const symbol = path[0] || held || symbols[0];
  if (!symbol) {
    screen.replaceChildren(el("section", { class: "panel empty" }, "No symbol has traded in this run yet."));
    return {};
  }
  let interval = sessionStorage.getItem("interval") || "1m";
  let layers = new Set();
  let data = null;

  const place = el("div", { class: "chart", role: "img", "aria-label": `Candles of ${symbol}; the tables below have the same decisions` });
  const legend = el("div", { class: "legend" });
  const hover = el("div", { class: "muted", style: "min-height:1.5em" });
  const below = el("div", { class: "grid", style: "margin-top:14px" });
  const select = (label, values, chosen, onchange) => el("label", {}, label, el("select", { onchange: (e) => onchange(e.target.value) },
    values.map(([value, text]) => el("option", { value, selected: value === chosen }, text))));
  screen.replaceChildren(el("section", { class: "panel" },
    el("div", { class: "row" },
      select("symbol", symbols.map((s) => [s, s]), symbol, (s) => desk.go(`chart/${s}/${runId}`)),
      select("candles", INTERVALS.map((i) => [i, i]), interval, (i) => { interval = i; sessionStorage.setItem("interval", i); load(true); }),
      select("run", runs.map((r) => [r.run_id, `${r.run_id.slice(0, 8)} ${r.source}`]), runId, (r) => desk.go(`chart/${symbol}/${r}`)),
      el("button", { type: "button", onclick: () => view.timeScale().fitContent() }, "Show all")),
    hover, place, legend), below);

  const grid = { color: colour("--line") };
  const view = LightweightCharts.createChart(place, {
    autoSize: true, attributionLogo: true,
    layout: { background: { color: colour("--panel") }, textColor: colour("--muted"), attributionLogo: true },
    grid: { vertLines: grid, horzLines: grid },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 6 },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
  });
  const candles = view.addSeries(LightweightCharts.CandlestickSeries, {
    upColor: colour("--up"), downColor: colour("--down"), wickUpColor: colour("--up"), wickDownColor: colour("--down"), borderVisible: false,
  });
  const volume = view.addSeries(LightweightCharts.HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false, color: colour("--line") });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
  const markers = LightweightCharts.createSeriesMarkers(candles, []);
  let stops = [];

  const seconds = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400 };
  const bucket = (ms) => Math.floor(ms / 1000 / seconds[interval]) * seconds[interval];

  function draw(fit) {
    const rows = data.candles;
    const step = smallestStep(rows);
    candles.applyOptions({ priceFormat: { type: "price", precision: decimals(step), minMove: step } });
    candles.setData(rows.map(([at, open, high, low, close]) => ({ time: at / 1000, open, high, low, close })));
    volume.setData(rows.map(([at, , , , , amount]) => ({ time: at / 1000, value: amount })));
    drawMarkers();
    drawStops();
    if (fit) view.timeScale().setVisibleLogicalRange({ from: Math.max(-2, rows.length - 160), to: rows.length + 4 });
  }

  function drawMarkers() {
    const fills = data.fills.map((one) => ({
      time: bucket(one.at), position: one.side === "BUY" ? "belowBar" : "aboveBar", id: one.event_id,
      shape: one.side === "BUY" ? "arrowUp" : "arrowDown", color: one.reduce_only ? colour("--info") : one.side === "BUY" ? colour("--up") : colour("--down"),
      text: one.reduce_only ? exitName(one.origin) : "entry",
    }));
    const refused = data.refused.filter((one) => !layers.size || layers.has(one.reason)).map((one) => ({
      time: bucket(one.at), position: one.side === "BUY" ? "belowBar" : "aboveBar", id: one.event_id,
      shape: "circle", size: 0.7, color: layerColour(one.layer),
    }));
    markers.setMarkers([...fills, ...refused].sort((a, b) => a.time - b.time));
  }

  function drawStops() {
    for (const line of stops) view.removeSeries(line);
    const last = data.candles.at(-1);
    stops = data.stops.slice(-60).map(({ from, to, price: level }) => {
      const line = view.addSeries(LightweightCharts.LineSeries, { color: colour("--down"), lineWidth: 1, lineStyle: LightweightCharts.LineStyle.Dashed,
        lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false });
      const begin = bucket(from);
      const end = Math.max(begin, to === null ? (last ? last[0] / 1000 : begin) : bucket(to));
      line.setData(begin === end ? [{ time: begin, value: Number(level) }] : [{ time: begin, value: Number(level) }, { time: end, value: Number(level) }]);
      return line;
    });
  }

  function drawLegend() {
    const counts = new Map();
    for (const one of data.refused) counts.set(one.reason, { layer: one.layer, n: (counts.get(one.reason)?.n || 0) + 1 });
    const toggle = (reason) => { layers.has(reason) ? layers.delete(reason) : layers.add(reason); drawMarkers(); drawLegend(); };
    fill(legend,
      el("span", {}, el("i", { style: `background:${colour("--up")}` }), "entry long"), el("span", {}, el("i", { style: `background:${colour("--down")}` }), "entry short, dashed: stop"),
      el("span", {}, el("i", { style: `background:${colour("--info")}` }), "exit"),
      ...[...counts].sort((a, b) => b[1].n - a[1].n).map(([reason, { layer, n }]) => el("button", { type: "button", class: "chip", style: layers.has(reason) ? "outline:2px solid var(--accent)" : "", onclick: () => toggle(reason), "aria-pressed": String(layers.has(reason)) },
        el("i", { style: `background:${layerColour(layer)}` }), `refused: ${layer ? `layer ${layer} ` : ""}${reason} ${n}`)),
      data.is_whole ? null : el("span", {}, "Older candles of this run are not loaded."),
      data.refused_total > data.refused.length ? el("span", {}, `The newest ${data.refused.length} of ${data.refused_total} refused signals are drawn.`) : null,
      ...data.gaps.map((gap) => el("span", { class: "error" }, `data gap ${utc(gap.from)} to ${gap.to ? utc(gap.to) : "now"}: ${gap.detail}`)));
  }

  function drawTables() {
    const refusedColumns = [
      { name: "time", text: true, cell: (r) => el("span", { title: local(r.at) }, utc(r.at)) },
      { name: "side", text: true, cell: (r) => r.side },
      { name: "reason", text: true, cell: (r) => chip(r.reason, "warn") },
      { name: "layer", cell: (r) => (r.layer ? `${r.layer} ${r.layer_name.replaceAll("_", " ")}` : "–") },
      { name: "value", cell: (r) => measured(r.value, r.unit) },
      { name: "limit", cell: (r) => measured(r.limit, r.unit) },
    ];
    const fillColumns = [
      { name: "time", text: true, cell: (f) => el("span", { title: local(f.at) }, utc(f.at)) },
      { name: "side", text: true, cell: (f) => f.side },
      { name: "kind", text: true, cell: (f) => chip(f.reduce_only ? exitName(f.origin) : "entry", f.reduce_only ? "info" : "good") },
      { name: "quantity", cell: (f) => quantity(f.quantity) },
      { name: "price", cell: (f) => price(f.price) },
      { name: "stop", cell: (f) => price(f.stop) },
      { name: "slippage", cell: (f) => (f.slippage_bps === null ? "–" : `${Number(f.slippage_bps).toFixed(1)} bp`) },
    ];
    below.replaceChildren(
      el("section", { class: "panel w6" }, el("h2", {}, `Fills (${data.fills.length})`), table(fillColumns, data.fills.slice(0, 50), { empty: "No fill yet.", onrow: (f) => desk.explain(f.event_id) })),
      el("section", { class: "panel w6" }, el("h2", {}, `Refused signals (${data.refused_total})`), table(refusedColumns, data.refused.slice(0, 50), { empty: "No signal was refused.", onrow: (r) => desk.explain(r.event_id) })));
  }

  async function load(fit = false) {
    const found = await desk.get(`/api/runs/${runId}/chart/${encodeURIComponent(symbol)}?interval=${interval}`);
    const changed = !data || found.fills.length !== data.fills.length || found.refused_total !== data.refused_total || fit;
    data = found;
    if (changed) { draw(fit); drawLegend(); drawTables(); }
    else if (data.candles.length) {
      for (const row of data.candles.slice(-3)) {
        const [at, open, high, low, close, amount] = row;
        try { candles.update({ time: at / 1000, open, high, low, close }); volume.update({ time: at / 1000, value: amount }); } catch { draw(false); break; }
      }
    }
  }

  view.subscribeClick((param) => {
    if (param.hoveredInfo?.objectId ?? param.hoveredObjectId) desk.explain(param.hoveredInfo?.objectId ?? param.hoveredObjectId);
  });
  view.subscribeCrosshairMove((param) => {
    const id = param.hoveredObjectId;
    const refused = id && data?.refused.find((one) => one.event_id === id);
    const filled = id && data?.fills.find((one) => one.event_id === id);
    const candle = param.seriesData?.get(candles);
    if (refused) hover.textContent = `${utc(refused.at)} ${refused.side} refused: ${refused.reason}${refused.layer ? `, layer ${refused.layer} ${refused.layer_name}: ${measured(refused.value, refused.unit)} against ${measured(refused.limit, refused.unit)}` : ""}; click for the explanation`;
    else if (filled) hover.textContent = `${utc(filled.at)} ${filled.side} ${filled.quantity} at ${filled.price}, stop ${filled.stop ?? "–"}; click for the explanation`;
    else hover.textContent = candle ? `${utc(param.time * 1000)} open ${price(candle.open)} high ${price(candle.high)} low ${price(candle.low)} close ${price(candle.close)}` : "";
  });

  await load(true);
  const timer = setInterval(() => document.hidden || load().catch(() => {}), REFRESH_MS);
  return { leave() { clearInterval(timer); view.applyOptions({ autoSize: false }); view.remove(); } };
}

function smallestStep(rows) {
  let digits = 0;
  for (const row of rows.slice(-200)) for (const value of row.slice(1, 5)) {
    const text = String(value);
    const at = text.indexOf("e-") >= 0 ? Number(text.split("e-")[1]) : text.indexOf(".") >= 0 ? text.length - text.indexOf(".") - 1 : 0;
    digits = Math.max(digits, Math.min(at, 10));
  }
  return 10 ** -digits;
}

const decimals = (step) => Math.max(0, Math.round(-Math.log10(step)));
