// The models that there are, and a page for each.

import * as api from "./api.js";
import { $, copyButton, count, el } from "./dom.js";
import { showNotice } from "./notice.js";
import { showSchema } from "./schema.js";
import { changes, choose, findModel, store } from "./store.js";

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
  const place = el("div", { class: "schemas" }, el("p", { class: "state" }, "Reading its schema…"));
  $("models-body").replaceChildren(
    el("p", {}, el("a", { href: "#/models" }, "← All models")),
    el("div", { class: "model-page" }, facts(model), place),
  );
  try {
    const { input, output } = await api.schemas(model.id);
    if (address !== model.id) return;
    place.replaceChildren(
      schemaCard("What it takes", input),
      schemaCard("What it answers", output),
    );
    tellPooling(input);
  } catch (error) {
    place.replaceChildren();
    showNotice($("models-error"), error);
  }
}

function facts(model) {
  const rows = [
    ["Dimensions", model.dimensions ? count(model.dimensions) : "known once it is here"],
    [
      "Longest text",
      model.maxTokens
        ? `${count(model.maxTokens)} tokens, [CLS] and [SEP] included`
        : "known once it is here",
    ],
    ["Most texts a request", "100"],
    ["Pooling", el("span", { id: "model-pooling" }, "mean or cls")],
    ["Licence", model.licence || "not known"],
    ["Task", model.task],
    ["In Cloudflare’s catalog since", model.createdAt.slice(0, 10)],
    [
      "Cloudflare’s price",
      model.prices
        .map((one) => `${one.price} ${one.currency} ${one.unit}; here it costs nothing`)
        .join(", "),
    ],
    [
      "More about it",
      model.info &&
        el(
          "a",
          { href: model.info, rel: "noreferrer external" },
          model.info.replace("https://", ""),
        ),
    ],
  ];
  return el(
    "div",
    { class: "card facts" },
    el("p", {}, badge(model)),
    el(
      "dl",
      {},
      rows
        .filter(([, value]) => value)
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
    action(model),
  );
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

function tellPooling(input) {
  const pooling = input.oneOf?.[0]?.properties?.pooling;
  if (pooling?.default)
    $("model-pooling").textContent = `${pooling.enum.join(" or ")}; ${pooling.default} if not said`;
}

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
