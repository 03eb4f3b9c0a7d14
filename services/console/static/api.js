// Requests to the console, and the stream of what happens.

let csrf = "";

export async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `${path} answered ${answer.status}`);
  return body;
}

export async function session() {
  const found = await get("/api/session");
  csrf = found.csrf_token;
  return found;
}

export async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
    body: JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  if (found.csrf_token) csrf = found.csrf_token;
  if (!answer.ok) throw new Error(found.error || `${path} answered ${answer.status}`);
  return found;
}

// handlers: { now, event, bus, reload, link }; the browser connects again by itself and sends the
// id of the last event it has, so that nothing is missed.
export function listen(handlers) {
  const source = new EventSource("/stream");
  for (const name of ["now", "event", "bus", "reload"]) {
    source.addEventListener(name, (message) => handlers[name]?.(JSON.parse(message.data)));
  }
  source.onopen = () => handlers.link(true);
  source.onerror = () => {
    handlers.link(false);
    // A refused stream (too many pages) is closed for good by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(handlers), 5000);
  };
}
