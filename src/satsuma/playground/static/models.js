// The models that there are, and a page for each.

import { $, copyButton, count, el, prose } from "./dom.js";
import { showNotice } from "./notice.js";
import { showSchema } from "./schema.js";
import { changes, choose, findModel, schemasOf, store } from "./store.js";
import { mostTexts, poolingsOf } from "./takes.js";

let address = "";

export function modelsView() {
  changes.addEventListener("models", () => $("models").hidden || show(address));
  return { enter: show };
}

function show(id) {
  address = id;
  $("models-error").replaceChildren();
  const model = id && findModel(id);
  if (model) return showOne(model);
  $("models-title").textContent = "Models";
  $("models-says").textContent =
    id && store.models.length
      ? `There is no model ${id} in this server’s catalog.`
      : "What this server knows, and what is on its disk.";
  if (!store.models.length) return;
  $("models-body").replaceChildren(el("ul", { class: "model-list" }, store.models.map(card)));
}

function card(model) {
  return el(
    "li",
    { class: "card" },
    el("h2", {}, el("a", { href: `#/models/${model.id}` }, model.id)),
    el("p", {}, model.description),
    el(
      "p",
      { class: "badges" },
      badge(model),
      size(model.dimensions, "dimensions"),
      size(model.maxTokens, "tokens"),
      model.licence ? el("span", {}, model.licence) : null,
    ),
  );
}

const size = (value, noun) => (value ? el("span", {}, `${count(value)} ${noun}`) : null);

const badge = (model) =>
  el(
    "span",
    { class: model.isHere ? "badge is-good" : "badge" },
    model.isHere ? "installed" : "not installed",
  );

async function showOne(model) {
  $("models-title").textContent = model.id;
  $("models-says").textContent = model.description;
  const known = el("dl", {}, rows(model));
  const place = el("div", { class: "schemas" }, el("p", { class: "state" }, "Reading its schema…"));
  $("models-body").replaceChildren(
    el("p", {}, el("a", { href: "#/models" }, "← All models")),
    el("div", { class: "model-page" }, facts(model, known), place),
  );
  try {
    const { input, output } = await schemasOf(model.id);
    if (address !== model.id) return;
    place.replaceChildren(
      schemaCard("What it takes", input),
      schemaCard("What it answers", output),
    );
    known.replaceChildren(...rows(model, input));
  } catch (error) {
    place.replaceChildren();
    showNotice($("models-error"), error);
  }
}

function facts(model, known) {
  return el("div", { class: "card facts" }, el("p", {}, badge(model)), known, action(model));
}

/** List what is known of a model, as terms and descriptions; the schema comes a little later. */
function rows(model, input = null) {
  const all = [
    ["Dimensions", model.embeds && (model.dimensions ? count(model.dimensions) : later(model))],
    [model.embeds ? "Longest text" : "Longest pair", longest(model) || later(model)],
    ["Most texts a request", input && prose(most(input))],
    ["Pooling", input && (poolings(input) || model.pooling)],
    ["Licence", model.licence || "not known"],
    ["Task", model.task],
    ["In Cloudflare’s catalog since", model.createdAt.slice(0, 10)],
    ["Cloudflare’s price", model.prices.map(price).join(", ")],
    ["More about it", model.info && outside(model.info)],
  ];
  return all
    .filter(([, value]) => value)
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
}

function action(model) {
  if (model.isHere && !model.embeds) return null;
  if (model.isHere) {
    const use = () => choose({ model: model.id });
    return el("a", { class: "button primary", href: "#/", on: { click: use } }, "Use it");
  }
  const command = `satsuma models pull ${model.id}`;
  return el(
    "div",
    {},
    el("p", { class: "hint" }, "To get it:"),
    el("pre", { class: "code", tabindex: "0" }, el("code", {}, command)),
    copyButton("Copy", () => command),
  );
}

const later = (model) => (model.isHere ? "" : "known once it is here");

function longest({ maxTokens, embeds }) {
  const included = embeds ? "special tokens included" : "query and special tokens included";
  return maxTokens ? `${count(maxTokens)} tokens, ${included}` : "";
}

const most = (input) =>
  mostTexts(input)
    .map(([name, limit]) => `${count(limit)} in \`${name}\``)
    .join(", ");

function poolings(input) {
  const choice = poolingsOf(input);
  if (!choice) return "";
  return choice.enum.join(" or ") + (choice.default ? `; ${choice.default} if not said` : "");
}

const price = (one) => `${one.price} ${one.currency} ${one.unit}; here it costs nothing`;

const outside = (href) =>
  el("a", { href, rel: "noreferrer external" }, href.replace("https://", ""));

function schemaCard(title, schema) {
  return el("section", { class: "card" }, el("h2", {}, title), showSchema(schema), raw(schema));
}

const raw = (schema) =>
  el(
    "details",
    {},
    el("summary", {}, "As JSON Schema"),
    el("pre", { class: "code", tabindex: "0" }, el("code", {}, JSON.stringify(schema, null, 2))),
  );
