// Builds elements from text only: nothing that an event carries can become markup.

export function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function panel(title, width, ...children) {
  return el("section", { class: `panel ${width}` }, title ? el("h2", {}, title) : null, ...children);
}

// columns: [{ name, text, cell(row) -> string | Node }]; onrow makes rows open something.
export function table(columns, rows, { empty = "Nothing yet.", onrow = null, caption = null } = {}) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const head = el("tr", {}, columns.map((c) => el("th", { class: c.text ? "text" : "", scope: "col" }, c.name)));
  const body = rows.map((row) => {
    const cells = columns.map((c) => el("td", { class: [c.text ? "text" : "", c.wrap ? "wrap" : ""].join(" ") }, c.cell(row) ?? "–"));
    const line = el("tr", {}, cells);
    if (onrow) {
      line.className = "click";
      line.tabIndex = 0;
      line.addEventListener("click", () => onrow(row));
      line.addEventListener("keydown", (event) => event.key === "Enter" && onrow(row));
    }
    return line;
  });
  return el("div", { class: "scroll" }, el("table", {}, caption ? el("caption", { class: "muted" }, caption) : null, el("thead", {}, head), el("tbody", {}, body)));
}

export const chip = (text, kind = "") => el("span", { class: `chip ${kind}` }, text);

// Like Element.replaceChildren, but absent parts are left out.
export const fill = (node, ...children) => node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
