// Line charts drawn by uPlot in the page's colours.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Hours within a day, days where the axis spans many.
const time = (seconds, step) => {
  const text = new Date(seconds * 1000).toISOString();
  return step >= 86400 || text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
};

export function plotEquity(target, { at, equity, drawdown }) {
  target.replaceChildren();
  const options = {
    width: target.clientWidth, height: target.clientHeight - 28, tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
    legend: { show: true }, cursor: { y: false },
    scales: { dd: { range: (_plot, low) => [Math.min(low, -0.002) * 4, 0] } },
    axes: [
      { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, values: (_plot, values, _axis, _space, step) => values.map((v) => time(v, step)) },
      { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, size: 76, values: (_plot, values) => values.map((v) => v.toLocaleString("en-US")) },
      { scale: "dd", side: 1, stroke: colour("--muted"), grid: { show: false }, size: 56, values: (_plot, values) => values.map((v) => `${(v * 100).toFixed(1)} %`) },
    ],
    series: [
      { label: "UTC", value: (_plot, v) => (v === null ? "–" : new Date(v * 1000).toISOString().slice(0, 16).replace("T", " ")) },
      { label: "equity", stroke: colour("--accent"), width: 2, value: (_plot, v) => (v === null ? "–" : v.toLocaleString("en-US", { maximumFractionDigits: 2 })) },
      { label: "drawdown", scale: "dd", stroke: colour("--down"), fill: `${colour("--down")}22`, width: 1, value: (_plot, v) => (v === null ? "–" : `${(v * 100).toFixed(2)} %`) },
    ],
  };
  const plot = new uPlot(options, [at.map((ms) => ms / 1000), equity, drawdown.map((d) => (d === null ? null : -d))], target);
  const resize = () => plot.setSize({ width: target.clientWidth, height: target.clientHeight - 28 });
  window.addEventListener("resize", resize);
  return { destroy: () => { window.removeEventListener("resize", resize); plot.destroy(); } };
}
