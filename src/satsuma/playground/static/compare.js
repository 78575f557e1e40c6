// The first view: what is typed, how the model reads it, and the call for its vectors.

import * as api from "./api.js";
import { codeCard } from "./code.js";
import { $, count, debounce, el, many } from "./dom.js";
import { showNotice } from "./notice.js";
import { showVectors } from "./results.js";
import { changes, choose, findModel, store } from "./store.js";
import { readTexts } from "./texts.js";
import { showTokens } from "./tokens.js";

const TYPING_MS = 250;

const EXAMPLES = {
  "Support desk": [
    "How do I reset my password?",
    "I forgot my login details",
    "Where is my parcel?",
    "My order has not arrived yet",
    "Can I get a refund?",
    "I want my money back",
    "Do you have this shirt in blue?",
    "Which colours does it come in?",
  ],
  Kitchen: [
    "Peel the satsuma and split it into segments",
    "Whisk the eggs with sugar until pale",
    "A recipe for orange marmalade",
    "The stock market fell sharply today",
    "Shares lost three percent this morning",
    "Knead the dough for ten minutes",
  ],
  "Same words": [
    "The bank of the river was muddy",
    "The bank raised its interest rates",
    "We fished from the shore all day",
    "He opened a savings account",
    "The boat was tied up at the water’s edge",
  ],
};

let asked = null; // the request whose vectors are shown
let running = null;
let counting = null;

export function compareView() {
  codeCard();
  $("examples").append(...Object.entries(EXAMPLES).map(([name, texts]) => example(name, texts)));
  $("texts").value = EXAMPLES["Support desk"].join("\n");
  $("texts").addEventListener("input", edited);
  $("texts").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  });
  $("ask").addEventListener("submit", submit);
  $("model").addEventListener("change", (event) => choose({ model: event.target.value }));
  for (const radio of document.querySelectorAll("[name=pooling]"))
    radio.addEventListener("change", () => choose({ pooling: radio.value }));
  changes.addEventListener("models", () => {
    listModels();
    if (!$("compare").hidden) start();
  });
  changes.addEventListener("choice", chosen);
  $("reading").addEventListener("toggle", () => countTokens());
  return { enter: start };
}

/** The first to come here sees what the first example gives. */
function start() {
  if (store.models.length && !store.model) return tellEmpty();
  if (asked || !store.model) return;
  countTokens();
  embed();
}

function tellEmpty() {
  $("summary").replaceChildren(
    el(
      "span",
      { class: "hint" },
      "No model is installed here. ",
      el("a", { href: "#/models" }, "Models"),
      " says how to get one.",
    ),
  );
}

function example(name, texts) {
  const use = () => {
    $("texts").value = texts.join("\n");
    countTokens();
    embed();
  };
  return el("button", { type: "button", class: "chip", on: { click: use } }, name);
}

const readTyped = () => readTexts($("texts").value, store.most);

function listModels() {
  const option = (one) =>
    el(
      "option",
      { value: one.id, disabled: !one.isHere },
      one.isHere ? one.id : `${one.id} (not installed)`,
    );
  const embedding = store.models.filter((one) => one.embeds);
  const sorted = embedding.toSorted((a, b) => b.isHere - a.isHere);
  $("model").replaceChildren(...sorted.map(option));
  showChoice();
}

function chosen() {
  showChoice();
  countTokens();
  noteStale();
}

function showChoice() {
  $("model").value = store.model;
  $("poolings").hidden = !store.hasPoolings;
  document.querySelector(`[name=pooling][value="${store.pooling}"]`).checked = true;
}

const countSoon = debounce(TYPING_MS, () => countTokens());

function edited() {
  countSoon();
  noteStale();
}

/** Say how many tokens there are, as people type. */
async function countTokens() {
  countSoon.cancel();
  counting?.abort();
  const { texts, problem } = readTyped();
  sayState(
    problem || (texts.length ? many(texts.length, "text") : "Type a text, or take an example."),
    problem,
  );
  if (problem || !texts.length) $("tokens").replaceChildren();
  if (problem || !texts.length || !store.model) return;
  counting = new AbortController();
  try {
    const read = await api.tokenize(store.model, texts, counting.signal);
    sayTokens(texts, read);
  } catch (error) {
    if (error.name === "AbortError") return;
    const { title, detail } = api.explain(error);
    sayState(`${many(texts.length, "text")}; tokens not counted: ${detail || title}`, false);
  }
}

function sayTokens(texts, read) {
  const total = read.reduce((sum, one) => sum + one.tokens, 0);
  const cut = read.filter((one) => one.is_truncated).length;
  const truncation = cut ? `${count(cut)} too long: the end is left out` : "none too long";
  sayState(
    `${many(texts.length, "text")} · ${many(total, "token")} · ${truncation}`,
    false,
    cut > 0,
  );
  const most = findModel(store.model)?.maxTokens || Math.max(...read.map((one) => one.tokens));
  if (cut && !$("reading").open) $("reading").open = true;
  if ($("reading").open) showTokens($("tokens"), texts, read, most);
}

function sayState(says, isProblem, isWarning = false) {
  const state = $("texts-state");
  state.textContent = says;
  state.classList.toggle("is-problem", Boolean(isProblem));
  state.classList.toggle("is-warning", isWarning);
  $("texts").setAttribute("aria-invalid", String(Boolean(isProblem)));
}

function submit(event) {
  event.preventDefault();
  embed();
}

/** Ask for the vectors, and show them. */
async function embed() {
  const { texts, problem } = readTyped();
  if (problem || !texts.length) {
    countTokens();
    $("texts").focus();
    return;
  }
  running?.abort();
  const controller = new AbortController();
  running = controller;
  const call = { model: store.model, pooling: store.pooling, texts };
  setBusy(true);
  try {
    const startedAt = performance.now();
    const { result, headers } = await api.run(call.model, texts, call.pooling, controller.signal);
    asked = call;
    showVectors(call, result, headers, (performance.now() - startedAt) / 1000);
    noteStale();
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (running === controller) setBusy(false);
  }
}

function fail(error) {
  if (!asked) $("summary").replaceChildren();
  showNotice($("compare-error"), error);
}

function setBusy(isBusy) {
  $("embed").classList.toggle("is-busy", isBusy);
  $("embed-says").textContent = isBusy ? "Embedding…" : "Embed";
  $("results").setAttribute("aria-busy", String(isBusy));
}

/** Results of other inputs than those typed are still worth looking at, but say so. */
function noteStale() {
  const { texts } = readTyped();
  const isSame =
    asked &&
    asked.model === store.model &&
    asked.pooling === store.pooling &&
    JSON.stringify(asked.texts) === JSON.stringify(texts);
  const isStale = Boolean(asked) && !isSame;
  $("results").classList.toggle("is-stale", isStale);
  const says = isStale ? "From before your changes: press Embed for new results." : "";
  if ($("stale").textContent !== says) $("stale").textContent = says; // or it is read out again
}
