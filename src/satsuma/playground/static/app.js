// The page's frame: which view is shown, whether the server answers, who may ask.

import { askForToken, watchAccess } from "./access.js";
import * as api from "./api.js";
import { compareView } from "./compare.js";
import { $, decode } from "./dom.js";
import { liveView } from "./live.js";
import { modelsView } from "./models.js";
import { showNotice } from "./notice.js";
import { searchView } from "./search.js";
import { load, store } from "./store.js";

const RETRY_S = 3;
const TITLE = "satsuma playground";

const views = {
  compare: compareView(),
  search: searchView(),
  models: modelsView(),
  live: liveView(),
};

/** Read the address: `#/models/@cf/baai/...` is the view `models` of that model. */
function readAddress() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return { name: Object.hasOwn(views, name) ? name : "compare", rest: decode(rest.join("/")) };
}

function show({ isFirst = false } = {}) {
  if (location.hash && !location.hash.startsWith("#/")) return; // the skip link
  const { name, rest } = readAddress();
  for (const [other, view] of Object.entries(views)) {
    $(other).hidden = other !== name;
    if (other !== name) view.leave?.();
  }
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  views[name].enter?.(rest);
  const heading = $(`${name}-title`);
  document.title = name === "compare" ? TITLE : `${heading.textContent} · ${TITLE}`;
  if (isFirst) return;
  window.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

async function start() {
  try {
    await load();
    $("version").textContent = `satsuma ${store.stats.version}`;
    $("compare-error").replaceChildren();
  } catch (error) {
    if (error instanceof api.OfflineError) return;
    $("summary").replaceChildren();
    showNotice($("compare-error"), error);
    showNotice($("models-error"), error);
  }
}

async function tryAgain() {
  try {
    await fetch("/health", { cache: "no-store" });
  } catch {
    setTimeout(tryAgain, RETRY_S * 1000);
    return;
  }
  await start();
}

function showOffline() {
  const banner = $("banner");
  banner.textContent = "The server does not answer. Trying again…";
  banner.hidden = false;
  setTimeout(tryAgain, RETRY_S * 1000);
}

function showOnline() {
  $("banner").hidden = true;
}

api.connection.addEventListener("offline", showOffline);
api.connection.addEventListener("online", showOnline);
api.connection.addEventListener("locked", (event) => askForToken(event.detail));
watchAccess(start);
window.addEventListener("hashchange", () => show());
show({ isFirst: true });
start();
