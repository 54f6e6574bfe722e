// What pages do by themselves. Charts are drawn from the tables that stand behind them, so that both say the same.
"use strict";

const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawHours(figure) {
  const rows = [...figure.querySelectorAll("tbody tr")];
  const plot = figure.querySelector(".plot");
  charts.get(figure.id)?.destroy();
  charts.delete(figure.id);
  if (!rows.length || !plot) return;
  const hours = rows.map((row) => Number(row.dataset.hour));
  const now = rows.map((row) => Number(row.dataset.now) / 100);
  const before = rows.map((row) => Number(row.dataset.before) / 100);
  const names = new Map(rows.map((row) => [Number(row.dataset.hour), row.dataset.name]));
  const money = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
  const axis = {
    stroke: colour("--soft"), font: "13px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
  };
  const options = {
    width: plot.clientWidth || 300, height: 240, cursor: { show: false }, legend: { show: false },
    scales: {
      x: { time: false, range: [hours[0] - 0.6, hours[hours.length - 1] + 0.6] },
      y: { range: (_u, least, most) => [Math.min(0, least), Math.max(1, most * 1.08)] },
    },
    axes: [
      { ...axis, size: 30, grid: { show: false }, splits: () => hours, space: 56,
        values: (u, at) => {
          const every = Math.max(1, Math.ceil(hours.length * 56 / Math.max(1, u.width - 60)));
          return at.map((hour, place) => (place % every ? "" : names.get(hour) ?? ""));
        } },
      { ...axis, size: 56, values: (_u, at) => at.map((amount) => money.format(amount)) },
    ],
    series: [
      {},
      { fill: colour("--bar"), stroke: colour("--bar"), width: 0, points: { show: false },
        paths: uPlot.paths.bars({ size: [0.62, 48], radius: 0.12 }) },
      { stroke: colour("--before"), width: 2, dash: [5, 4], points: { show: true, size: 6, fill: colour("--card") } },
    ],
  };
  charts.set(figure.id, new uPlot(options, [hours, now, before], plot));
}

function drawAll() {
  document.querySelectorAll("[data-chart=hours]").forEach(drawHours);
}

let opened = new Set();
document.addEventListener("htmx:sseBeforeMessage", () => {
  opened = new Set([...document.querySelectorAll("details[open][id]")].map((one) => one.id));
});
document.addEventListener("htmx:sseMessage", () => {
  opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  drawAll();
});
document.addEventListener("DOMContentLoaded", () => {
  if (window.htmx) htmx.createEventSource = (url) => new SeenSource(url);  // Before it looks at the page.
  drawAll();
  // On a narrow screen the menu is longer than it: where one is stands in view.
  const menu = document.querySelector(".menu");
  const here = menu?.querySelector("[aria-current]");
  if (here && menu.scrollWidth > menu.clientWidth) {
    menu.scrollLeft = here.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2 - menu.offsetLeft;
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(drawAll, 120);
});

// A browser has six connections to one address, for all its windows together. A page that nobody sees lets go of
// its stream, or the seventh would not even open; it has the newest state again when somebody looks at it.
const UNSEEN_MS = 5000;

class SeenSource {
  constructor(url) {
    this.url = url;
    this.listeners = [];
    this.source = null;
    this.look = () => {
      clearTimeout(this.timer);
      if (document.hidden) this.timer = setTimeout(() => this.leave(), UNSEEN_MS);
      else if (!this.source) this.open();
    };
    document.addEventListener("visibilitychange", this.look);
    if (document.hidden) this.leave();
    else this.open();
  }
  get readyState() { return this.source?.readyState ?? EventSource.CONNECTING; }
  open() {
    const source = this.source = new EventSource(this.url);
    source.onopen = (event) => this.onopen?.(event);
    source.onerror = (event) => {
      if (source.readyState === EventSource.CLOSED) this.forget();  // Who asked for this one asks for another.
      this.onerror?.(event);
    };
    this.listeners.forEach((one) => source.addEventListener(...one));
  }
  addEventListener(...one) {
    this.listeners.push(one);
    this.source?.addEventListener(...one);
  }
  removeEventListener(name, tell) {
    this.listeners = this.listeners.filter((one) => one[0] !== name || one[1] !== tell);
    this.source?.removeEventListener(name, tell);
  }
  forget() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.look);
  }
  leave() {
    this.source?.close();
    this.source = null;
    sayStill();  // What stands there may not be so any more, and whoever comes back may find no connection.
  }
  close() {
    this.forget();
    this.source?.close();
  }
}

// On a page of which parts move, a part that says the same stays as it is: it is not read out again, what is
// being typed or marked beside it stays, and so does the focus.
function swapParts(html) {
  const came = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement?.id;
  document.querySelectorAll("[data-part]").forEach((part) => {
    const newer = came.getElementById(part.id);
    if (newer && newer.innerHTML !== part.innerHTML) part.replaceChildren(...newer.childNodes);
  });
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  if (!event.target.matches?.("[data-parts]")) return;
  event.preventDefault();
  swapParts(event.detail.data);
});

// A stream that ended because nobody is signed in any more: the page says so by going to the door.
function sayStill() {
  const state = document.getElementById("live-state");
  if (state) state.hidden = false;
}
document.addEventListener("htmx:sseError", (event) => {
  sayStill();
  if (event.detail?.source?.readyState === EventSource.CLOSED) {
    fetch(location.pathname, { headers: { "hx-request": "true" } }).then((answer) => {
      if (answer.status === 401) location.assign("/sign-in");
    }).catch(() => {});
  }
});
document.addEventListener("htmx:sseOpen", () => {
  const state = document.getElementById("live-state");
  if (state) state.hidden = true;
});

// How many alerts there are stands in the title and in the menu of every page, and follows while it is open.
const ASK_EVERY_MS = 20000;

function showAlerts(count) {
  const badge = document.getElementById("alert-count");
  if (!badge || !Number.isInteger(count)) return;
  badge.textContent = count;
  badge.hidden = count === 0;
  document.title = (count ? `(${count}) ` : "") + document.title.replace(/^\(\d+\) /, "");
}

async function askForAlerts() {
  if (document.hidden || !document.getElementById("alert-count")) return;
  try {
    const answer = await fetch("/alerts/count", { headers: { "hx-request": "true" } });
    if (answer.ok) showAlerts((await answer.json()).alerts);
  } catch { /* No connection: what stands there is the last that was known. */ }
}

setInterval(askForAlerts, ASK_EVERY_MS);
document.addEventListener("visibilitychange", askForAlerts);
document.addEventListener("htmx:sseMessage", () => {
  const shown = document.querySelector("[data-alerts]");
  if (shown) showAlerts(Number(shown.dataset.alerts));
});

// A scanner ends with Enter: within the lines of a delivery or a count that leads on, and sends nothing.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.closest?.(".lines") || event.target.tagName !== "INPUT") return;
  event.preventDefault();
  const fields = [...event.target.closest("form").querySelectorAll("input:not([type=hidden]), button")];
  fields[fields.indexOf(event.target) + 1]?.focus();
});

// Pressed twice, sent once. What a page shows after a form comes by itself; if it does not, one may press again.
const SENT_MS = 3000;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, SENT_MS);
});

// A page that a browser kept in its memory shows what was so, and a form that was sent: it is asked for anew.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-print]")) print();
});
