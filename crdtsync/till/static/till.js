// What the till's pages do by themselves: news of what is safe, the field that a scanner always finds, keys.
"use strict";

// -- what is safe: said by the till's program, and by nobody when it is silent -----------------------------

const SILENT_MS = 6000;
const place = document.getElementById("safety");
let heard = Date.now();
let isUnknown = false;

function sayUnknown() {
  if (isUnknown || !place) return;
  isUnknown = true;
  place.replaceChildren(document.getElementById("unknown").content.cloneNode(true));
}

let lastSafety = place ? place.innerHTML : "";
let source = null;
function listen() {
  source = new EventSource("/live");
  const on = (name, handle) => source.addEventListener(name, (event) => {
    heard = Date.now();
    handle(event.data);
  });
  on("safety", (data) => {
    lastSafety = JSON.parse(data);
    isUnknown = false;
    place.innerHTML = lastSafety;
  });
  on("progress", (data) => {
    const progress = document.getElementById("progress");
    if (progress) progress.innerHTML = JSON.parse(data);
  });
  on("basket", (data) => {
    const shown = document.querySelector("#basket [data-mark]");
    if (shown && shown.dataset.mark !== JSON.parse(data)) refreshBasket(JSON.parse(data));
    lookAtSum(JSON.parse(data));
  });
  on("mode", (data) => {
    if (document.body.dataset.mode !== JSON.parse(data)) location.assign("/");
  });
  on("beat", () => {
    if (isUnknown) {
      isUnknown = false;
      place.innerHTML = lastSafety;
    }
  });
  source.addEventListener("error", () => {
    sayUnknown();
    if (source?.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(look, 2000);
    }
  });
}

// A browser has six connections to one address, for all its windows together. A page that nobody sees lets go of
// its news, or the seventh would not even open, nor a sale be paid.
const UNSEEN_MS = 5000;
let unseen = 0;
function look() {
  clearTimeout(unseen);
  if (!document.hidden) {
    if (!source) listen();
    return;
  }
  unseen = setTimeout(() => {
    source?.close();
    source = null;
    sayUnknown();
  }, UNSEEN_MS);
}
document.addEventListener("visibilitychange", look);
setInterval(() => { if (Date.now() - heard > SILENT_MS) sayUnknown(); }, 500);
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// Another window may change the basket that is being paid here. An amount that is being typed is not taken away
// under the hand: the till's program takes no payment of a sum that is not the one that was shown.
function lookAtSum(mark) {
  const paying = document.querySelector(".paying[data-mark]");
  if (!paying || paying.dataset.mark === mark || mark === "?" || isLeaving) return;  // "?": nobody knows it now.
  if (document.getElementById("amount").value) return;
  isLeaving = true;
  location.replace("/pay");
}

// Pressed twice, sent once. What a page shows after a form comes by itself; if it does not, one may press again.
const SENT_MS = 3000;
let isLeaving = false;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.hasAttribute("hx-post") || form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  // However long the answer takes: to look at the sum anew meanwhile would take away the page that says "paid".
  isLeaving = true;
  setTimeout(() => delete form.dataset.sent, SENT_MS);
});

// A basket that is being changed by hand is not taken away under the hand.
function refreshBasket(mark) {
  if (busy || document.querySelector("#basket details[open]")) {
    setTimeout(() => {
      const shown = document.querySelector("#basket [data-mark]");
      if (shown && shown.dataset.mark !== mark) refreshBasket(mark);
    }, 300);
    return;
  }
  htmx.ajax("GET", "/basket", { target: "#basket", swap: "innerHTML" });
}

// -- search as one types: what was typed last counts, and a scan makes an end of it ---------------------------

const SEARCH_AFTER_MS = 120;
let searchTimer = 0;
let searching = null;

function search() {
  endSearch();
  const words = field().value;
  searching = new AbortController();
  fetch(`/found?q=${encodeURIComponent(words)}`, { signal: searching.signal, headers: { "hx-request": "true" } })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(new Error(String(answer.status)))))
    .then((html) => {
      const found = document.getElementById("found");
      found.innerHTML = html;
      htmx.process(found);
    })
    .catch(() => {});  // Whatever hinders it is told by the line of safety, and by the next request.
}

function endSearch() {
  clearTimeout(searchTimer);
  searching?.abort();
}

document.addEventListener("input", (event) => {
  if (event.target !== field() || !event.target) return;
  clearTimeout(searchTimer);
  searchTimer = setTimeout(search, SEARCH_AFTER_MS);
});

// -- parts that are swapped -----------------------------------------------------------------------------------

let busy = 0;
let wasSearched = false;
const alertPlace = document.getElementById("alert");
const field = () => document.getElementById("q");

document.addEventListener("htmx:beforeRequest", (event) => {
  busy += 1;
  // Not by an event of htmx: of a form that was taken away meanwhile it tells nobody that it has ended.
  event.detail.xhr.addEventListener("loadend", () => { busy -= 1; }, { once: true });
  alertPlace.replaceChildren();
  // What was entered is under way: the next scan finds an empty field, at once.
  const isChoice = event.detail.pathInfo?.requestPath === "/add";
  if (event.detail.elt.id === "take" || isChoice) {
    endSearch();
    wasSearched = isChoice && field().value !== "";
    field().value = "";
  }
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const isRefresh = event.detail.target.id === "basket" && event.detail.pathInfo?.requestPath === "/basket";
  if (isRefresh && document.querySelector("#basket details[open]")) {
    event.detail.shouldSwap = false;  // It was opened while the answer was on its way.
    refreshBasket(null);
  }
});
document.addEventListener("htmx:afterSettle", (event) => {
  const target = event.detail.target;
  if (target.id === "basket") {
    const lines = target.querySelector(".lines");
    if (lines) lines.scrollTop = lines.scrollHeight;
    const path = event.detail.pathInfo?.requestPath;
    const choice = document.querySelector("[data-focus] .product:not(:disabled)");
    if (choice && path === "/take") { choice.focus(); return; }
    if (path === "/add" && (wasSearched || choice)) {
      wasSearched = false;
      search();
    }
    if (path !== "/basket") field()?.focus();
  }
});
document.addEventListener("htmx:responseError", (event) => {
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  alertPlace.textContent = page.getElementById("says")?.textContent ?? String(event.detail.xhr.status);
});
document.addEventListener("htmx:sendError", () => {
  alertPlace.replaceChildren(document.getElementById("gone").content.cloneNode(true));
  sayUnknown();
});

// -- the keyboard, and a scanner that types like one ----------------------------------------------------------

const SCAN_GAP_MS = 45;
const SCAN_LENGTH = 6;
let burst = "";
let burstAt = 0;
let before = "";

const isField = (node) => node instanceof HTMLElement && node.matches("input:not([type=radio]), textarea, select");

document.addEventListener("keydown", (event) => {
  const key = event.target instanceof HTMLElement && document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (key && !event.ctrlKey && !event.altKey && !event.metaKey) {
    event.preventDefault();
    key.click();
    return;
  }
  if (event.key === "Escape") {
    document.querySelectorAll("details[open]").forEach((one) => one.removeAttribute("open"));
    field()?.focus();
  }
  if (event.key === "Enter") {
    const isScan = burst.length >= SCAN_LENGTH && event.timeStamp - burstAt <= SCAN_GAP_MS;
    if (isScan && event.target !== field()) {
      // A scan that came while something else was being filled in: it belongs to the basket.
      event.preventDefault();
      if (isField(event.target)) event.target.value = before;
      const form = document.getElementById("scan");
      form.elements.q.value = burst;
      burst = "";
      form.requestSubmit();
      return;
    }
    burst = "";
    return;
  }
  if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.timeStamp - burstAt > SCAN_GAP_MS) {
      burst = "";
      before = isField(event.target) ? event.target.value : "";
    }
    burst += event.key;
    burstAt = event.timeStamp;
    const isPress = event.key === " " && event.target instanceof HTMLElement && event.target.matches("button, a, summary, input");
    if (!isField(event.target) && !isPress) field()?.focus();
    return;
  }
  const products = [...document.querySelectorAll(".product:not(:disabled)")];
  const at = products.indexOf(document.activeElement);
  if (event.key === "ArrowDown" && event.target === field() && products.length) {
    event.preventDefault();
    products[0].focus();
  } else if (at >= 0 && ["ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"].includes(event.key)) {
    event.preventDefault();
    const columns = products.filter((one) => one.offsetTop === products[0].offsetTop).length;
    const step = { ArrowDown: columns, ArrowUp: -columns, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (at + step < 0) field().focus();
    else products[Math.min(products.length - 1, at + step)].focus();
  }
}, true);

document.addEventListener("click", (event) => {
  const menu = document.getElementById("menu");
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});

// -- counting a drawer: the sum is told while one counts; the till's program adds up again --------------------

const coins = document.querySelector("[data-coins]");
if (coins) {
  const sum = document.getElementById("sum");
  const told = document.getElementById("counted");
  const money = new Intl.NumberFormat(document.documentElement.lang === "fr" ? "fr-FR" : "en-GB", { style: "currency", currency: "EUR" });
  const tell = () => {
    const all = [...coins.querySelectorAll("input")];
    const filled = all.some((one) => one.value.trim() !== "");
    const total = all.reduce((so_far, one) => so_far + Number(one.dataset.worth) * (Number(one.value) || 0), 0);
    told.textContent = filled ? money.format(total / 100) : sum.value || "–";
    sum.disabled = filled;
  };
  document.addEventListener("input", tell);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".lines").forEach((one) => { one.scrollTop = one.scrollHeight; });
});
look();
