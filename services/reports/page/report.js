// Draws the report from the JSON in the page. All text goes through textContent.
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const el = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const number = (value, digits = 2) => value === null || value === undefined ? "–"
  : Number(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (value, digits = 2) => value === null || value === undefined ? "–"
  : (value > 0 ? "+" : "") + number(value * 100, digits) + " %";
const plain = (value) => value === null || value === undefined ? "–" : number(value * 100) + " %";
const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
const sign = (value) => value > 0 ? "up" : value < 0 ? "down" : "";
const words = (code) => code.replaceAll("_", " ").toLowerCase();
const { run, result, performance, curve } = data;

// -- head -------------------------------------------------------------------------------------
const names = data.symbols.map((one) => one.symbol);
$("title").textContent = (names.length > 4 ? names.slice(0, 4).join(", ") + " and " + (names.length - 4) + " more"
  : names.join(", ") || "No market data") + (run.engine === "paper" ? ": paper run" : ": backtest");
document.title = $("title").textContent;
$("subtitle").textContent = (data.first === null ? "" : utc(data.first / 1000) + " to " + utc(data.last / 1000) + " UTC · ")
  + Number(result.ticks).toLocaleString("en") + " ticks · " + run.source + " · run " + run.run_id.slice(0, 12);
{
  const mine = performance.account.total_return, held = performance.held.total_return;
  const verb = mine > 0 ? "gained " : mine < 0 ? "lost " : "ended where it began, with ";
  $("verdict").textContent = "The account " + verb + plain(Math.abs(mine)) + "; buying and holding "
    + (held >= 0 ? "would have gained " : "would have lost ") + plain(Math.abs(held)) + ". Costs were "
    + plain(performance.costs_pct) + " of the equity at the start"
    + (performance.total.trades ? ", " + performance.total.trades + " positions were closed" : ", no position was closed") + ".";
  const tiles = [
    ["Return", percent(mine), "buy and hold " + percent(held), sign(mine)],
    ["Equity at the end", number(result.equity_end), "from " + number(result.equity_start, 0), ""],
    ["Largest drawdown", plain(Number(result.max_drawdown_pct)), "worst day " + plain(Number(result.worst_day_pct)), ""],
    ["Sharpe", number(performance.account.sharpe), "Sortino " + number(performance.account.sortino), ""],
    ["Won", performance.total.win_rate === null ? "–" : number(performance.total.win_rate * 100, 0) + " %", performance.total.wins + " of " + performance.total.trades + " positions", ""],
    ["Profit factor", number(performance.total.profit_factor), "expectancy " + number(performance.total.expectancy), ""],
    ["Costs", number(performance.costs.total), "of which fees " + number(performance.costs.fees), ""],
    ["In the market", plain(performance.time_in_market), "exposure at most " + plain(performance.exposure_max), ""],
  ];
  for (const [name, value, beside, kind] of tiles) {
    const tile = el("div", null, { class: "tile" });
    tile.append(el("span", name), el("b", value, { class: kind }), el("span", beside));
    $("tiles").append(tile);
  }
}

// -- candles ----------------------------------------------------------------------------------
const LC = LightweightCharts;
const state = { symbol: 0, step: data.step, fills: true, stops: true, refused: true, exits: false };
let chart, series, stopSeries, markers, bars = [], events = new Map();

function barsOf(symbol, minutes) {
  const made = [], flat = symbol.candles, length = minutes * 60;
  for (let i = 0; i < flat.length; i += 6) {
    const time = Math.floor(flat[i] / length) * length, last = made[made.length - 1];
    if (last && last.time === time) {
      last.high = Math.max(last.high, flat[i + 2]); last.low = Math.min(last.low, flat[i + 3]);
      last.close = flat[i + 4]; last.volume += flat[i + 5];
    } else made.push({ time, open: flat[i + 1], high: flat[i + 2], low: flat[i + 3], close: flat[i + 4], volume: flat[i + 5] });
  }
  return made;
}
function barAt(seconds) { // the last bar that began by then
  let low = 0, high = bars.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (bars[middle].time <= seconds) low = middle; else high = middle - 1; }
  return low;
}
function note(seconds, color, text) {
  const time = bars[barAt(seconds)].time;
  if (!events.has(time)) events.set(time, []);
  events.get(time).push([seconds, color, text]);
}
function markersOf(symbol) {
  const found = [], many = new Map();
  const add = (seconds, key, marker) => {
    const time = bars[barAt(seconds)].time, place = time + key, known = many.get(place);
    if (known) known.count += 1;
    else { const one = { time, count: 1, ...marker }; many.set(place, one); found.push(one); }
  };
  for (const [at, side, quantity, price, reduces, origin] of symbol.fills) {
    const buy = side === "BUY", color = buy ? "--up" : "--down";
    const text = reduces ? "Exit" + (origin === "signal" ? "" : " (" + words(origin) + ")") : buy ? "Long" : "Short";
    note(at, color, utc(at) + "  " + text + ": " + side + " " + quantity + " at " + price.toFixed(symbol.digits));
    if (state.fills) add(at, side + reduces, { position: buy ? "belowBar" : "aboveBar",
      shape: reduces ? "circle" : buy ? "arrowUp" : "arrowDown", color: css(color), label: reduces ? "" : text });
  }
  for (const [at, side, price, exit, layer, reason, detail] of symbol.refused) {
    note(at, "--refused", utc(at) + "  Refused " + (exit ? "exit " : "") + side + ": " + words(reason)
      + (layer ? ", layer " + layer : "") + (detail ? " (" + detail + ")" : ""));
    if (state.refused && (!exit || state.exits)) add(at, "refused" + reason, { position: side === "BUY" ? "belowBar" : "aboveBar",
      shape: "square", color: css("--refused"), size: 0.6, label: "" });
  }
  return found.sort((a, b) => a.time - b.time).map(({ label, count, ...one }) =>
    ({ ...one, text: label ? label + (count > 1 ? " ×" + count : "") : "" }));
}
function stopsOf(symbol) { // one point a bar while a stop stands; what follows the last is not drawn
  const points = [], color = css("--stop");
  symbol.stops.forEach(([at, price], place) => {
    if (price === null) return;
    const next = symbol.stops[place + 1], first = barAt(at), last = next ? barAt(next[0]) : bars.length - 1;
    for (let i = first; i <= last; i++) {
      const point = { time: bars[i].time, value: price, color };
      if (points.length && points[points.length - 1].time === point.time) points.pop();
      points.push(point);
    }
    if (!next || next[1] === null) points[points.length - 1].color = "transparent";
  });
  return points;
}
function drawMarket() {
  const symbol = data.symbols[state.symbol];
  if (!symbol) { $("market").hidden = true; return; }
  if (!chart) {
    chart = LC.createChart($("candles"), { autoSize: true, timeScale: { timeVisible: true, secondsVisible: false }, crosshair: { mode: 0 } });
    series = chart.addSeries(LC.CandlestickSeries);
    stopSeries = chart.addSeries(LC.LineSeries, { lineWidth: 2, lineStyle: 0, lineType: 1, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false });
    markers = LC.createSeriesMarkers(series, []);
    chart.subscribeCrosshairMove((moved) => moved.time !== undefined && showBar(moved.time));
  }
  bars = barsOf(symbol, state.step);
  events = new Map();
  paintChart();
  const format = { type: "price", precision: symbol.digits, minMove: symbol.tick };
  series.applyOptions({ priceFormat: format });
  stopSeries.applyOptions({ priceFormat: format });
  series.setData(bars);
  markers.setMarkers(markersOf(symbol));
  stopSeries.setData(state.stops ? stopsOf(symbol) : []);
}
function showBar(time) {
  const bar = bars[barAt(time)], digits = data.symbols[state.symbol].digits, list = $("happened");
  $("legend").textContent = utc(bar.time) + " UTC   open " + bar.open.toFixed(digits) + "  high " + bar.high.toFixed(digits)
    + "  low " + bar.low.toFixed(digits) + "  close " + bar.close.toFixed(digits) + "  volume " + number(bar.volume, 0);
  list.replaceChildren(...(events.get(bar.time) || []).sort((a, b) => a[0] - b[0]).map(([, color, text]) =>
    el("li", text, { style: "--c: var(" + color + ")" })));
}
function paintChart() {
  const grid = { color: css("--grid") };
  chart.applyOptions({
    layout: { background: { type: "solid", color: css("--card") }, textColor: css("--quiet"), fontFamily: "system-ui, sans-serif" },
    grid: { vertLines: grid, horzLines: grid }, rightPriceScale: { borderColor: css("--line") },
    timeScale: { borderColor: css("--line") },
  });
  const up = css("--up"), down = css("--down");
  series.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
}
function chips(place, entries, pressed, press) {
  $(place).replaceChildren(...entries.map(([value, label]) => {
    const chip = el("button", label, { type: "button", "aria-pressed": String(pressed(value)) });
    chip.addEventListener("click", () => { press(value); drawChips(); drawMarket(); });
    return chip;
  }));
}
function drawChips() {
  const labels = { 1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d" };
  chips("symbols", names.length > 1 ? names.map((name, place) => [place, name]) : [], (v) => v === state.symbol,
    (v) => { state.symbol = v; chart.timeScale().fitContent(); });
  chips("intervals", Object.entries(labels).map(([m, label]) => [Number(m), label]).filter(([m]) => m >= data.step),
    (v) => v === state.step, (v) => { state.step = v; });
  chips("shown", [["fills", "Fills"], ["stops", "Stops"], ["refused", "Refused entries"], ["exits", "Refused exits"]],
    (v) => state[v], (v) => { state[v] = !state[v]; });
}
function firstView() { // a readable number of bars, where something was traded
  const symbol = data.symbols[state.symbol];
  if (!symbol || bars.length < 300) { chart && chart.timeScale().fitContent(); return; }
  const middle = symbol.fills.length ? barAt(symbol.fills[0][0]) : 0, first = Math.max(0, middle - 40);
  chart.timeScale().setVisibleLogicalRange({ from: first, to: first + ($("candles").clientWidth < 600 ? 110 : 220) });
}
function showTrade(trade) {
  const place = names.indexOf(trade[0]);
  if (place < 0) return;
  state.symbol = place; drawChips(); drawMarket();
  const first = barAt(trade[5]), last = barAt(trade[6]), room = Math.max(30, last - first);
  chart.timeScale().setVisibleLogicalRange({ from: first - room, to: last + room });
  showBar(bars[first].time);
  $("market").scrollIntoView({ behavior: "smooth" });
}

// -- curves -----------------------------------------------------------------------------------
let plots = [];
function drawCurves() {
  plots.forEach((plot) => plot.destroy());
  if (curve.time.length < 2) return;
  const axis = { stroke: css("--quiet"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const days = [[86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1], [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1]];
  const width = $("equity").clientWidth, tz = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");
  const peak = []; let top = -Infinity;
  for (const value of curve.equity) { top = Math.max(top, value); peak.push(top > 0 ? (value / top - 1) * 100 : 0); }
  const base = { width, tzDate: tz, cursor: { sync: { key: "curves" } }, legend: { show: false } };
  const size = width < 600 ? 58 : 76;
  const money = (_, values) => values.map((value) => Math.abs(value) >= 1e6 ? number(value / 1e6, 2) + "M" : value.toLocaleString("en"));
  plots = [
    new uPlot({ ...base, height: 230, scales: { x: { time: true } }, axes: [{ ...axis, values: days }, { ...axis, size, values: money }],
      series: [{}, { stroke: css("--account"), width: 2, points: { show: false } }, { stroke: css("--held"), width: 1.5, dash: [5, 4], points: { show: false } }] },
      [curve.time, curve.equity, curve.held], $("equity")),
    new uPlot({ ...base, height: 130, scales: { x: { time: true } },
      axes: [{ ...axis, values: days }, { ...axis, size, values: (_, values) => values.map((value) => +value.toFixed(3) + " %") }],
      series: [{}, { stroke: css("--down"), width: 1.5, fill: css("--fill"), points: { show: false } }] },
      [curve.time, peak], $("drawdown")),
  ];
}

// -- tables -----------------------------------------------------------------------------------
function table(id, heads, rows) {
  const head = el("tr"); heads.forEach((text) => head.append(el("th", text)));
  const body = rows.map((cells) => {
    const row = el("tr");
    for (const cell of cells) row.append(Array.isArray(cell) ? el("td", cell[0], { class: cell[1] }) : el("td", cell));
    return row;
  });
  $(id).replaceChildren(head, ...body);
}
function drawTables() {
  const kinds = [performance.account, performance.held, performance.nothing];
  const drawdown = (one) => one.drawdown ? plain(one.drawdown.pct) : "none";
  const length = (one) => one.drawdown ? utc(one.drawdown.start / 1000).slice(5) + ", "
    + (one.drawdown.end ? utc(one.drawdown.end / 1000).slice(5) : "not recovered") : "–";
  const line = (name, show) => [name, ...kinds.map(show)];
  table("performance", ["returns per " + performance.period, "This run", "Buy and hold", "Nothing"], [
    line("Return", (one) => [percent(one.total_return), sign(one.total_return)]), line("A year", (one) => percent(one.annual_return)),
    line("Volatility a year", (one) => plain(one.volatility)), line("Sharpe", (one) => number(one.sharpe)),
    line("Sortino", (one) => number(one.sortino)), line("Calmar", (one) => number(one.calmar)),
    line("Largest drawdown", drawdown), line("from, until", length), line("Value at risk 95 %", (one) => plain(one.value_at_risk)),
    line("Expected shortfall", (one) => plain(one.expected_shortfall)),
  ]);
  const sets = [performance.total, performance.long, performance.short];
  const each = (name, show) => [name, ...sets.map(show)];
  table("sets", ["net, in quote", "All", "Long", "Short"], [
    each("Positions", (one) => String(one.trades)), each("Net", (one) => [number(one.net), sign(one.net)]),
    each("Won", (one) => one.win_rate === null ? "–" : number(one.win_rate * 100, 0) + " %"), each("Profit factor", (one) => number(one.profit_factor)),
    each("Expectancy", (one) => number(one.expectancy)), each("Average win", (one) => number(one.average_win)),
    each("Average loss", (one) => number(one.average_loss)), each("Largest loss", (one) => number(one.largest_loss)),
    each("Longest losing row", (one) => String(one.longest_losing_row)), each("SQN", (one) => number(one.quality)),
    each("Held (median)", (one) => one.held_s === null ? "–" : number(one.held_s / 60, 1) + " min"),
    ...Object.entries(performance.exits).map(([reason, one]) => ["Exit: " + words(reason), one.trades + "× " + number(one.net), "", ""]),
  ]);
  const years = new Map(), most = Math.max(1e-9, ...data.months.map((one) => Math.abs(one[2])));
  for (const [year, month, mine] of data.months) { if (!years.has(year)) years.set(year, new Map()); years.get(year).set(month, mine); }
  const present = [...new Set(data.months.map((one) => one[1]))].sort((a, b) => a - b);
  table("months", ["", ...present.map((month) => new Date(Date.UTC(2000, month - 1)).toLocaleString("en", { month: "short", timeZone: "UTC" })), "Year"],
    [...years].map(([year, gains]) => {
      const all = [...gains.values()].reduce((whole, one) => whole * (1 + one), 1) - 1;
      return [String(year), ...present.map((month) => gains.has(month) ? [percent(gains.get(month)), sign(gains.get(month))] : ""), [percent(all), sign(all)]];
    }));
  document.querySelectorAll("#months td.up, #months td.down").forEach((cell) => {
    const share = Math.min(1, Math.abs(parseFloat(cell.textContent)) / 100 / most) * 22;
    cell.style.background = "color-mix(in srgb, var(--" + cell.className + ") " + share + "%, transparent)";
  });
  table("settings", ["setting", "value"], Object.entries(run.settings).map(([name, value]) =>
    [name, name in run.changed_settings ? [value + "  (changed)", "up"] : value]));
}
function barRows(id, rows) {
  const most = Math.max(1e-9, ...rows.map((row) => Math.abs(row.value)));
  $(id).replaceChildren(...rows.flatMap((row) => {
    const name = el("div", row.name, { class: "name" }), track = el("div", null, { class: "track" });
    if (row.beside) name.append(el("small", row.beside));
    track.append(el("i", null, { style: "width:" + Math.abs(row.value) / most * 100 + "%;--c:var(" + row.color + ")" }));
    return [name, track, el("div", row.shown)];
  }));
}
function drawBars() {
  barRows("costs", ["fees", "spread", "impact", "funding"].map((kind) => ({ name: kind[0].toUpperCase() + kind.slice(1),
    value: Number(performance.costs[kind]), shown: number(performance.costs[kind]),
    color: Number(performance.costs[kind]) < 0 ? "--up" : "--down", beside: kind === "funding" ? "negative: received" : "" })));
  const taken = ["APPROVED", "TRIMMED"].map((verdict) => ({ name: words(verdict), value: performance.decisions[verdict] || 0, color: "--account" }));
  const out = data.refused.map(([reason, layer, count]) => ({ name: words(reason), value: count, color: "--refused", beside: layer ? "refused by layer " + layer : "refused" }));
  barRows("decisions", [...taken, ...out].map((row) => ({ ...row, shown: row.value.toLocaleString("en") })));
}
function drawDistribution() {
  const nets = data.trades.map((trade) => trade[7]), place = $("distribution");
  if (!nets.length) { place.replaceChildren(el("p", "No position was closed.", { class: "quiet" })); return; }
  const ordered = [...nets].sort((a, b) => a - b), at = (share) => ordered[Math.round(share * (ordered.length - 1))];
  const reach = Math.max(Math.abs(at(0.01)), Math.abs(at(0.99)), 1e-9), half = Math.min(15, Math.max(4, Math.ceil(Math.sqrt(nets.length))));
  const bins = new Array(2 * half).fill(0);
  for (const net of nets) bins[Math.min(2 * half - 1, Math.max(0, Math.floor((net / reach + 1) * half)))] += 1;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), most = Math.max(...bins), whole = Math.max(260, place.clientWidth), wide = whole / bins.length;
  svg.setAttribute("viewBox", "0 0 " + whole + " 190");
  const add = (tag, attributes, text) => { const made = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text; svg.append(made); return made; };
  bins.forEach((count, index) => {
    const height = count / most * 145, loses = index < half;
    const bar = add("rect", { x: index * wide + 1, width: wide - 2, y: 165 - height, height, rx: 2, fill: "var(--" + (loses ? "down" : "up") + ")" });
    const from = (index / half - 1) * reach, to = ((index + 1) / half - 1) * reach;
    bar.append(Object.assign(document.createElementNS(svg.namespaceURI, "title"), { textContent: count + " between " + number(from) + " and " + number(to) }));
    if (count && wide > 16) add("text", { x: (index + 0.5) * wide, y: 160 - height, "text-anchor": "middle" }, count);
  });
  add("line", { x1: 0, x2: whole, y1: 165.5, y2: 165.5, stroke: "var(--line)" });
  add("text", { x: 0, y: 183 }, number(-reach)); add("text", { x: whole / 2, y: 183, "text-anchor": "middle" }, "0"); add("text", { x: whole, y: 183, "text-anchor": "end" }, number(reach));
  place.replaceChildren(svg);
  $("spreadnote").textContent = "Net profit in quote, number of trades; the outermost bars hold everything beyond.";
}
let shownTrades = 0;
function drawTrades(count = 50) {
  const rows = data.trades.slice().reverse();
  if (!shownTrades) {
    const head = el("div", null, { class: "trade head" }), summary = el("summary");
    ["opened (UTC)", "symbol", "side", "entry", "exit", "net", "costs", "exit reason"].forEach((text) => summary.append(el("span", text)));
    head.append(summary); $("trades").append(head); $("tradecount").textContent = rows.length ? "(" + rows.length + ", newest first)" : "(none)";
  }
  for (const trade of rows.slice(shownTrades, shownTrades + count)) {
    const [symbol, side, quantity, entry, exit, opened, closed, net, costs, reason, lines] = trade;
    const digits = (data.symbols.find((one) => one.symbol === symbol) || { digits: 2 }).digits;
    const row = el("details", null, { class: "trade" }), summary = el("summary"), when = el("button", utc(opened), { type: "button" });
    when.addEventListener("click", (clicked) => { clicked.preventDefault(); showTrade(trade); });
    summary.append(when, el("span", symbol), el("span", side === "BUY" ? "long" : "short"), el("span", entry.toFixed(digits)), el("span", exit.toFixed(digits)),
      el("span", number(net), { class: sign(net) }), el("span", number(costs)), el("span", words(reason)));
    ["", "", "", "entry", "exit", "net", "costs", "by"].forEach((label, place) => { summary.children[place].dataset.label = label; });
    const list = el("ol");
    list.append(el("li", quantity + " held for " + number((closed - opened) / 60, 1) + " minutes, until " + utc(closed)));
    lines.forEach((text) => list.append(el("li", text)));
    row.append(summary, list); $("trades").append(row);
  }
  shownTrades += count; $("more").hidden = shownTrades >= rows.length;
}
function drawOrigin() {
  $("command").textContent = run.command;
  const rows = [["run id", run.run_id], ["engine", run.engine], ["code", run.code_version], ["decisions_hash", run.decisions_hash],
    ...(run.chain_head ? [["chain head", run.chain_head]] : []), ...run.data.map((file) => [file.name, "sha256 " + file.sha256]),
    ["changed settings", Object.entries(run.changed_settings).map(([name, value]) => name + "=" + value).join("  ") || "none"],
    ["ended", run.ended || "the run goes on"]];
  for (const [name, value] of rows) $("origin").append(el("dt", name), el("dd", value));
  $("notes").hidden = !result.notes.length;
  result.notes.forEach((text) => $("notelist").append(el("li", text)));
  $("copy").addEventListener("click", () => navigator.clipboard && navigator.clipboard.writeText(run.command).then(() => { $("copy").textContent = "Copied"; }));
}

// -- theme ------------------------------------------------------------------------------------
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
const repaint = () => { $("theme").textContent = isDark() ? "Light" : "Dark"; drawMarket(); drawCurves(); };
$("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; repaint(); });
prefersDark.addEventListener("change", repaint);
let resized; addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => { drawCurves(); drawDistribution(); }, 120); });

drawChips(); repaint(); firstView(); drawTables(); drawBars(); drawDistribution(); drawTrades(); drawOrigin();
$("more").addEventListener("click", () => drawTrades(200));
document.documentElement.dataset.drawn = "true";
})();
