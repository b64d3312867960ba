// The page over GET /admin/status. It asks once a second while it is seen, and shows what came. All text is set as text:
// what workers and clients wrote is never read as HTML. The key is in sessionStorage alone, and goes out in a header.
const EVERY_MS = 1000;
const LATELY_S = 300;
const KEY = "warmroute-admin-key";
const OPEN = "open" in document.body.dataset; // the router asks for no key
const $ = (id) => document.getElementById(id);
const samples = [];
let paused = false;
let timer = 0;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const percent = (part, all) => (all > 0 ? `${((100 * part) / all).toFixed(1)}\u00a0%` : "–");
const seconds = (s) => {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${Math.round(s * 1000)}\u00a0ms`;
  if (s < 100) return `${s.toFixed(1)}\u00a0s`;
  if (s < 7200) return `${Math.round(s / 60)}\u00a0min`;
  return s < 172800 ? `${Math.round(s / 3600)}\u00a0h` : `${Math.round(s / 86400)}\u00a0days`;
};
const host = (url) => url.replace(/^http:\/\//, "");

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Keep what has not changed, so that focus, selection and what was opened stay.
function keyed(parent, items, keyOf, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const said = JSON.stringify(item);
    const before = old.get(key);
    if (before && before.said === said) return before;
    const made = make(item);
    made.dataset.key = key;
    made.said = said;
    if (before) {
      if (before.open) made.open = true;
      const focused = before.contains(document.activeElement);
      before.replaceWith(made);
      if (focused) made.querySelector("summary")?.focus();
    }
    return made;
  });
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

function said(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const fact = (name, value, more = "") =>
  el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, more) : null));

function tiles(status) {
  const now = status.totals;
  samples.push({ at: status.at, ...now });
  while (samples.length > 1 && samples[0].at < status.at - LATELY_S) samples.shift();
  const first = samples[0];
  const since = (name) => now[name] - first[name];
  const lately = since("prompt_tokens") > 0;
  const watched = seconds(Math.max(1, status.at - first.at));
  return [
    ["Cached, real", percent(now.cached_tokens, now.prompt_tokens),
      lately ? `${percent(since("cached_tokens"), since("prompt_tokens"))} in the last ${watched}` : "of all prompt tokens"],
    ["Cached, predicted", percent(now.predicted_tokens, now.prompt_tokens),
      lately ? `${percent(since("predicted_tokens"), since("prompt_tokens"))} in the last ${watched}` : "for the same prompts"],
    ["First token, median", seconds(now.ttft_p50_s), `p90 ${seconds(now.ttft_p90_s)}`],
    ["Requests", whole.format(now.requests), `${whole.format(now.in_flight)} in flight`],
    ["At the door", whole.format(status.waiting_total), status.waiting_total ? "wait in the router" : "nobody waits"],
  ];
}

function notice(item) {
  const level = item.level === "bad" ? "Error: " : "Warning: ";
  return el("li", { class: item.level }, el("b", {}, el("span", { class: "hide" }, level), item.what), el("span", {}, item.do));
}

function segment(kind, tokens, all) {
  const made = el("div", { class: `seg ${kind}` });
  made.style.width = `${(100 * tokens) / all}%`;
  return made;
}

function bar(memory) {
  const sessions = memory.sessions;
  const held = sessions.reduce((sum, session) => sum + session.tokens, 0);
  const all = Math.max(memory.capacity_tokens, memory.indexed_tokens, memory.session_tokens, 1);
  const scale = held > memory.session_tokens ? memory.session_tokens / held : 1; // what they share counts once
  const parts = sessions.map((session) => segment(session.state, session.tokens * scale, all));
  const used = Math.min(all, Math.max(memory.session_tokens, memory.indexed_tokens));
  parts.push(segment("other", used - Math.min(used, held * scale), all));
  const count = (state) => sessions.filter((session) => session.state === state).length;
  const text =
    `${memory.sessions_total} sessions inside: ${count("running")} running, ${count("pausing")} pausing, ` +
    `${count("leaving")} leaving; together ${short.format(memory.session_tokens)} of ` +
    (memory.capacity_tokens ? `${short.format(memory.capacity_tokens)} tokens` : "an unknown number of tokens");
  return [el("div", { class: "bar", role: "img", "aria-label": text }, ...parts), el("div", { class: "soft" }, text)];
}

function badge(worker) {
  if (worker.state === "unhealthy") return el("span", { class: "badge bad" }, "✕ no requests");
  if (worker.breaker !== "closed") return el("span", { class: "badge bad" }, "✕ set aside");
  if (worker.state === "draining") return el("span", { class: "badge warn" }, "↓ draining");
  return el("span", { class: "badge" }, "● healthy");
}

function worker(item) {
  const { hits, memory } = item;
  const engine = item.engine ? `${item.engine} ${item.version}` : "engine unknown";
  const why = item.state === "unhealthy" || item.reason ? item.reason : "";
  return el("article", { class: "worker" },
    el("div", { class: "top" }, el("h3", {}, host(item.name)), badge(item)),
    el("div", { class: "soft" }, [item.models.slice(0, 4).join(", ") || "no model known", engine, item.id].join(" · ")),
    why ? el("p", { class: "why" }, why) : null,
    ...(item.engine ? bar(memory) : []),
    el("dl", { class: "facts" },
      fact("In flight", whole.format(item.in_flight)),
      fact("To prefill", short.format(item.queued_tokens), `at ${short.format(item.prefill_rate)}/s`),
      fact("Queue", whole.format(item.engine_waiting)),
      fact("Cached", percent(hits.cached_tokens, hits.prompt_tokens), `predicted ${percent(hits.predicted_tokens, hits.prompt_tokens)}`)));
}

function waits(item) {
  const forWhat = item.waits_for === "memory" ? "for room in KV memory" : "for a worker that is not saturated";
  const who = item.known_session ? "known session" : "new session";
  return el("li", {}, el("b", {}, seconds(item.waited_s)), ` ${forWhat}`,
    el("div", { class: "soft" }, [item.model, who, item.client].filter(Boolean).join(" · ")));
}

function door(status) {
  const held = status.models.filter((model) => model.turns_waiting);
  if (!status.waiting_total) return "Nobody waits. Prompts go to their workers at once.";
  const more = status.waiting_total > status.waiting.length ? ` The first ${status.waiting.length} are shown.` : "";
  const room = held.map((model) => `Room is made for a turn of ${model.model} after ${seconds(model.room_is_made_after_s)}.`);
  return `${whole.format(status.waiting_total)} wait in the router.${more} ${room.join(" ")}`;
}

function saving(item) {
  const served = item.policies[0];
  const price = Number(item.price) || 0;
  const rows = item.policies.map((each) => {
    const hours = (each.prefill_s - served.prefill_s) / 3600;
    const saved = each === served ? ["", ""] : [`${hours.toFixed(hours < 10 ? 3 : 1)}\u00a0h`, (hours * price).toFixed(2)];
    const cells = [each.policy, percent(each.cached_tokens, item.prompt_tokens), seconds(each.prefill_s), ...saved.slice(0, price ? 2 : 1)];
    return el("tr", each === served ? { class: "chosen" } : {}, ...cells.map((cell) => el("td", {}, cell)));
  });
  const head = ["Policy", "Cached", "Prefill", "Saved", ...(price ? ["Money"] : [])];
  return el("div", { class: "saving", tabindex: "0", role: "group", "aria-label": `Savings of ${item.model}` },
    el("div", { class: "soft" }, `${item.model}: ${whole.format(item.prompt_tokens)} prompt tokens since the start`),
    el("table", {}, el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...rows)));
}

const names = new Map();
const nameOf = (id) => names.get(id) ?? id;

function decision(item) {
  const clock = new Date(item.at * 1000).toLocaleTimeString("en-GB");
  const real = item.cached_tokens === null ? "" : `, really ${whole.format(item.cached_tokens)}`;
  const done = item.outcome === "" ? "running" : item.outcome === "ok" ? `first token ${seconds(item.ttft_s)}` : item.outcome;
  const waited = item.waited_s > 0.001 ? `waited ${seconds(item.waited_s)}, ` : "";
  const rows = item.candidates.map((each) => {
    const row = el("tr", each.worker === item.worker ? { class: "chosen" } : {});
    const cells = [nameOf(each.worker) + (each.worker === item.worker ? " ✓" : ""), whole.format(each.cached_tokens),
      whole.format(each.uncached_tokens), whole.format(each.queued_tokens), each.in_flight, each.cost.toFixed(4)];
    row.append(...cells.map((cell) => el("td", {}, String(cell))));
    return row;
  });
  const head = el("tr", {}, ...["Worker", "Cached", "To compute", "Queued there", "In flight", "Price"].map((name) => el("th", { scope: "col" }, name)));
  const said = [item.model, item.client, item.session && `session ${item.session}`, `tokens known: ${item.source}`];
  return el("details", { class: "decision" },
    el("summary", {}, el("span", {}, clock), el("span", { class: "reason" }, item.reason), el("b", {}, el("span", {}, nameOf(item.worker))),
      el("span", {}, `${whole.format(item.predicted_cached_tokens)} of ${whole.format(item.prompt_tokens)} cached${real}`),
      el("span", { class: "soft" }, waited + done)),
    el("div", { class: "inside", tabindex: "0", role: "group", "aria-label": "Candidates" },
      el("div", { class: "soft" }, `${said.filter(Boolean).join(" · ")}. Counts are tokens. The lowest price is chosen.`),
      el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows))));
}

function run(item) {
  const chips = Object.entries(item.holders).map(([id, share]) => {
    const all = share.tokens >= item.tokens;
    const part = all ? "" : ` ${short.format(share.tokens)}`;
    const coming = share.coming_tokens ? ` + ${short.format(share.coming_tokens)} coming` : "";
    return el("span", { class: all ? "chip" : "chip part" }, nameOf(id) + part + coming);
  });
  const where = item.start_tokens ? `after ${short.format(item.start_tokens)}` : "from the start";
  return el("li", {},
    el("div", { class: "run" }, el("b", {}, `${whole.format(item.tokens)} tokens`), el("span", { class: "soft" }, where), ...chips),
    item.below.length || item.more ? el("ul", {}, ...item.below.map(run),
      item.more ? el("li", { class: "soft" }, `${whole.format(item.more)} more, not used lately`) : null) : null);
}

function shared(sharing) {
  const processes = sharing.processes > 1 ? ` This is one of ${sharing.processes} processes, and tells what it sees itself.` : "";
  if (!sharing.redis) return `This router is alone: no Redis is set.${processes}`;
  const up = sharing.redis_up ? "Redis answers" : "Redis does not answer";
  return `${sharing.routers} ${sharing.routers === 1 ? "router lives" : "routers live"}. ${up}, uses ` +
    `${short.format(sharing.redis_memory_bytes)}B of memory; ${whole.format(sharing.queued_records)} records wait to be written.${processes}`;
}

function show(status) {
  status.workers.forEach((item) => names.set(item.id, host(item.name)));
  const router = status.router;
  said($("router"), `${router.version} · ${router.policy} · up ${seconds(status.at - router.started_at)}${router.draining ? " · draining" : ""}`);
  keyed($("tiles"), tiles(status), (tile) => tile[0], (tile) => fact(...tile));
  $("amiss").hidden = !status.notices.length;
  keyed($("notices"), status.notices, (item) => item.what.replace(/\d+/g, ""), notice);
  $("saved").hidden = !status.savings.length;
  keyed($("savings"), status.savings.map((item) => ({ ...item, price: $("price").value })), (item) => item.model, saving);
  keyed($("workers"), status.workers, (item) => item.id, worker);
  said($("more-workers"), status.workers_total > status.workers.length ? `${status.workers_total - status.workers.length} more healthy workers.` : "");
  said($("door"), door(status));
  keyed($("waiting"), status.waiting.map((item, at) => ({ ...item, at })), (item) => String(item.at), waits);
  $("no-decisions").hidden = status.decisions.length > 0;
  keyed($("decisions"), status.decisions, (item) => `${item.at}${item.worker}`, decision);
  $("all-decisions").hidden = status.decisions.length <= 12;
  keyed($("prefixes"), status.prefixes.map((item, at) => ({ ...item, at })), (item) => String(item.at), run);
  said($("shared"), shared(status.sharing));
}

function ask(message) {
  sessionStorage.removeItem(KEY);
  samples.length = 0;
  $("status").hidden = $("pause").hidden = $("forget").hidden = true;
  $("login").hidden = false;
  said($("wrong"), message);
  said($("link"), "");
  $("key").focus();
}

async function look() {
  clearTimeout(timer);
  const key = sessionStorage.getItem(KEY);
  if (!key && !OPEN) return ask("");
  if (paused || document.hidden) return;
  try {
    const answer = await fetch("/admin/status", { headers: key ? { "x-warmroute-admin-key": key } : {}, cache: "no-store" });
    if (answer.status === 401) return ask("This is not the admin key.");
    if (!answer.ok) throw new Error(`the router answers ${answer.status}`);
    show(await answer.json());
    $("login").hidden = true;
    $("status").hidden = $("pause").hidden = false;
    $("forget").hidden = OPEN;
    said($("link"), "");
  } catch (error) {
    said($("link"), `No answer from the router (${error.message}). What is shown is old.`);
  }
  clearTimeout(timer);
  timer = setTimeout(look, EVERY_MS);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key").value);
  $("key").value = "";
  look();
});
$("forget").addEventListener("click", () => ask(""));
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  said($("pause"), paused ? "Go on" : "Pause");
  look();
});
$("all-decisions").addEventListener("click", () => {
  const few = $("decisions").classList.toggle("few");
  $("all-decisions").setAttribute("aria-expanded", String(!few));
  said($("all-decisions"), few ? "Show more" : "Show fewer");
});
document.addEventListener("visibilitychange", look);
look();
