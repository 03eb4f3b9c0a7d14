// What a person may do: each action asks for a reason and a typed word.

import { post, session } from "./api.js";
import { el } from "./dom.js";

const dialog = document.getElementById("dialog");
const ACTIONS = [
  ["halt", "Halt", "Stops all entries until a release. Open orders that would increase risk are cancelled; exits still work.", "danger"],
  ["reset", "Release", "Ends a halt. Equity peak and day start become the present equity.", ""],
  ["pause", "Pause", "No entries until a resume, for the account or one symbol.", ""],
  ["resume", "Resume", "Ends a pause, or releases a quarantined symbol.", ""],
  ["close", "Close one position", "Sends a reduce-only order for the whole position.", ""],
  ["close-all", "Close all positions", "Sends a reduce-only order for each position. New entries stay allowed: halt first to prevent them.", "danger"],
];

export async function openActions(desk) {
  let state;
  try {
    state = await session();
  } catch (error) {
    return showText("The console does not answer", error.message);
  }
  if (!state.logged_in) login(desk, state.token_place);
  else choose(desk, state);
  if (!dialog.open) dialog.showModal();
}

function login(desk, place) {
  const error = el("p", { class: "error", role: "alert" });
  const token = el("input", { type: "password", autocomplete: "current-password", required: true });
  dialog.replaceChildren(form("Enter the console token", async () => {
    try {
      await post("/api/login", { token: token.value });
      openActions(desk);
    } catch (problem) {
      error.textContent = problem.message;
    }
  }, el("p", { class: "muted" }, `Reading is open on this machine; actions need the token: ${place}.`),
  el("input", { type: "text", autocomplete: "username", value: "console", hidden: true, "aria-hidden": "true" }), el("label", {}, "Console token", token), error, buttons("Log in")));
  token.focus();
}

function choose(desk, state) {
  dialog.replaceChildren(el("h2", {}, "Actions"),
    el("div", { class: "tiles" }, ACTIONS.map(([name, title, text, kind]) => el("button", { type: "button", class: kind, title: text, onclick: () => confirmAction(desk, state, name) }, title))),
    el("div", { class: "row", style: "margin-top:14px" }, el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close"),
      el("button", { type: "button", class: "quiet", onclick: async () => { await post("/api/logout", {}); dialog.close(); } }, "Log out")));
}

function confirmAction(desk, state, name) {
  const [, title, text, kind] = ACTIONS.find((one) => one[0] === name);
  const word = state.confirmations[name];
  const error = el("p", { class: "error", role: "alert" });
  const reason = el("input", { type: "text", required: true, maxlength: 500 });
  const typed = el("input", { type: "text", required: true, autocomplete: "off", autocapitalize: "characters" });
  const names = name === "close" ? (desk.view?.positions || []).map((p) => p.symbol) : ["", ...(desk.view?.symbols || []).map((s) => s.symbol)];
  const symbol = ["pause", "resume", "close"].includes(name) ? el("select", {}, names.map((s) => el("option", { value: s }, s || "the account"))) : null;
  dialog.replaceChildren(form(title, async (button) => {
    error.textContent = "";
    button.disabled = true;
    try {
      showResult(await post(`/api/actions/${name}`, { reason: reason.value, confirmation: typed.value.trim(), symbol: symbol?.value || null }));
    } catch (problem) {
      error.textContent = problem.message;
      button.disabled = false;
    }
  }, el("p", { class: "muted" }, text), symbol ? el("label", {}, "For", symbol) : null, el("label", {}, "Reason, kept in the record", reason),
  el("label", {}, `Type ${word} to confirm`, typed), error, buttons(title, kind)));
  reason.focus();
}

function showResult(result) {
  const lines = (result.changes || []).map((c) => `${c.symbol || "account"}: ${c.previous} → ${c.state}. ${c.message}`)
    .concat((result.closings || []).map((c) => `${c.symbol}: ${c.verdict}${c.reason ? ` (${c.reason})` : ""}`));
  showText(`${result.action}: done${result.seq ? `, event ${result.seq}` : ""}`, lines.join("\n") || "Nothing changed.");
}

function showText(title, text) {
  dialog.replaceChildren(el("h2", {}, title), el("p", { style: "white-space:pre-wrap" }, text), el("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  if (!dialog.open) dialog.showModal();
}

function form(title, onsubmit, ...children) {
  const node = el("form", { method: "dialog" }, el("h2", {}, title), ...children);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    onsubmit(node.querySelector("button[type=submit]"));
  });
  return node;
}

const buttons = (text, kind = "primary") => el("div", { class: "row" }, el("button", { type: "submit", class: kind || "primary" }, text), el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"));
