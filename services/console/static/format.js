// Numbers and times for people. Amounts arrive as text and are only rounded for display.

export const money = (text, digits = 2) =>
  text === null || text === undefined ? "–" : Number(text).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const price = (text) => {
  if (text === null || text === undefined) return "–";
  const value = Number(text);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 8 });
};

export const quantity = (text) => (text === null || text === undefined ? "–" : Number(text).toLocaleString("en-US", { maximumFractionDigits: 8 }));

export const percent = (fraction, digits = 2) => (fraction === null || fraction === undefined ? "–" : `${(Number(fraction) * 100).toFixed(digits)} %`);

export const signed = (text) => (text === null || text === undefined ? "–" : `${Number(text) > 0 ? "+" : ""}${money(text)}`);

export const direction = (text) => (Number(text) > 0 ? "up" : Number(text) < 0 ? "down" : "");

export const utc = (ms) => (ms === null || ms === undefined ? "–" : new Date(ms).toISOString().replace("T", " ").slice(0, 19));

export const clock = (ms) => (ms === null || ms === undefined ? "–" : new Date(ms).toISOString().slice(11, 19));

export const local = (ms) => (ms === null || ms === undefined ? "" : `${new Date(ms).toLocaleString()} local time`);

export const age = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
};

export const short = (id) => (id ? id.slice(0, 10) : "–");

// A layer's figure in its unit; fractions are shown in percent.
export const measured = (value, unit) => {
  if (value === null || value === undefined) return "–";
  return unit === "fraction" ? percent(value) : `${Number(value).toLocaleString("en-US", { maximumSignificantDigits: 5 })}${unit ? ` ${unit}` : ""}`;
};
