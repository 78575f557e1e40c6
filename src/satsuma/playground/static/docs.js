// The API reference: /openapi.json, drawn. Everything on the page comes from that document.

import { $, copyButton, debounce, decode, el, many, prose } from "./dom.js";
import { showNotice } from "./notice.js";
import { OfflineError } from "./api.js";
import { showSchema } from "./schema.js";

let document_ = null;

async function start() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new OfflineError();
    document_ = await response.json();
  } catch (error) {
    showNotice($("error"), error instanceof TypeError ? new OfflineError() : error);
    return;
  }
  $("version").textContent = `satsuma ${document_.info.version}`;
  $("about").textContent = document_.info.description;
  draw();
  $("filter").addEventListener("input", debounce(120, filter));
  window.addEventListener("hashchange", openTarget);
  openTarget();
}

/** List the operations by tag. */
function byTag() {
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag] = operation.tags;
      groups.set(tag, [...(groups.get(tag) ?? []), { path, method, ...operation }]);
    }
  }
  return groups;
}

const idOf = ({ method, path }) =>
  `${method}${path.replaceAll(/[{}]/g, "")}`.replaceAll(/[^\w.-]+/g, "-");

function draw() {
  const groups = [...byTag()];
  $("contents").append(
    ...groups.map(([tag, all]) => el("div", {}, el("h2", {}, tag), el("ul", {}, all.map(entry)))),
  );
  $("operations").append(
    ...groups.map(([tag, all]) =>
      el("section", { class: "group", "aria-label": tag }, el("h2", {}, tag), all.map(draft)),
    ),
    components(),
  );
}

const entry = (one) =>
  el(
    "li",
    { "data-words": wordsOf(one) },
    el(
      "a",
      { href: `#${idOf(one)}` },
      prose(one.summary),
      isTwin(one) ? el("span", { class: "path" }, shortPath(one)) : null,
    ),
  );

const shortPath = ({ path }) => path.replace("/client/v4/accounts/{account_id}", "…");

/** Some operations have several paths: those below an account, and shorter ones. */
const isTwin = (one) =>
  Object.values(document_.paths).filter((methods) => methods[one.method]?.summary === one.summary)
    .length > 1;

const wordsOf = (one) =>
  [
    one.method,
    one.path,
    one.summary,
    ...Object.values(one.responses).map((answer) => answer.description),
  ]
    .join(" ")
    .toLowerCase();

/** An operation whose inside is drawn when it is first opened. */
function draft(one) {
  const details = el(
    "details",
    { class: "card operation", id: idOf(one), "data-words": wordsOf(one) },
    el(
      "summary",
      {},
      el("span", { class: `method ${one.method}` }, one.method.toUpperCase()),
      el("span", { class: "path" }, one.path),
      el("span", { class: "what" }, prose(one.summary)),
    ),
  );
  details.addEventListener(
    "toggle",
    () => details.open && details.children.length === 1 && details.append(inside(one)),
  );
  return details;
}

function inside(one) {
  return el(
    "div",
    { class: "inside" },
    access(one),
    parameters(one),
    body(one),
    command(one),
    answers(one),
  );
}

const access = (one) =>
  one.security?.length === 0 ? el("p", { class: "hint" }, "Open to all, without a token.") : null;

function parameters({ parameters: all = [] }) {
  if (!all.length) return null;
  return el(
    "div",
    {},
    el("h3", {}, "Parameters"),
    all.map((one) =>
      el(
        "div",
        { class: "parameter" },
        el(
          "div",
          {},
          el("code", {}, one.name),
          el("div", { class: "hint" }, `${one.in}${one.required ? ", required" : ""}`),
        ),
        el("div", {}, prose(one.description), showSchema(one.schema, link)),
      ),
    ),
  );
}

function body({ requestBody }) {
  if (!requestBody) return null;
  const { schema, example } = main(requestBody.content);
  return el(
    "div",
    {},
    el("h3", {}, "Body"),
    el("p", { class: "hint" }, prose(requestBody.description)),
    showSchema(opened(schema), link),
    code(example),
  );
}

/** The form of a body that is shown: JSON where there is one. */
const main = (content) => content["application/json"] ?? Object.values(content)[0];

/** A schema without references at its top, nor in the alternatives there. */
function opened(schema) {
  const top = resolve(schema);
  const words = ["oneOf", "anyOf"].filter((word) => top[word]);
  return { ...top, ...Object.fromEntries(words.map((word) => [word, top[word].map(resolve)])) };
}

function command(one) {
  const text = curl(one);
  return el(
    "div",
    {},
    el("h3", {}, "curl"),
    code(text),
    copyButton("Copy", () => text),
  );
}

function curl({ method, path, parameters: all = [], requestBody, security }) {
  const valueOf = (one) => one.example ?? one.schema.default ?? one.schema.enum?.[0] ?? one.name;
  const filled = all
    .filter((one) => one.in === "path")
    .reduce((text, one) => text.replace(`{${one.name}}`, valueOf(one)), path);
  const query = all
    .filter((one) => one.in === "query" && one.required)
    .map((one) => `${one.name}=${valueOf(one)}`)
    .join("&");
  const lines = [`curl '${location.origin}${filled}${query ? `?${query}` : ""}'`];
  if (security?.length !== 0) lines.push('-H "Authorization: Bearer $SATSUMA_TOKEN"');
  for (const one of all.filter((one) => one.in === "header"))
    lines.push(`-H '${one.name}: ${valueOf(one)}'`);
  if (method === "post")
    lines.push(`-d '${JSON.stringify(main(requestBody.content).example)}'`);
  return lines.join(" \\\n  ");
}

function answers({ responses }) {
  return el("div", {}, el("h3", {}, "Answers"), Object.entries(responses).map(answer));
}

function answer([status, { description, headers = {}, content }]) {
  const { schema, example, examples = {} } = main(content);
  const isError = status >= "400";
  const [first, ...lines] = description.split("\n");
  const says = first.startsWith("- ")
    ? el(
        "ul",
        {},
        [first, ...lines].map((line) => el("li", {}, prose(line.slice(2)))),
      )
    : el("p", {}, description);
  const shown = example ?? Object.values(examples).map((one) => resolve(one).value)[0];
  return el(
    "details",
    { class: isError ? "answer is-error" : "answer", open: !isError },
    el(
      "summary",
      {},
      el("span", { class: "status" }, status),
      isError ? words(description) : description,
    ),
    isError ? says : null,
    el("p", { class: "hint" }, `Headers: ${Object.keys(headers).join(", ")}`),
    isError
      ? el("p", { class: "schema" }, el("span", { class: "type" }, nameOf(schema)))
      : showSchema(resolve(schema), link),
    code(shown),
  );
}

/** The codes of a status, for a line that is closed. */
const words = (description) =>
  [...description.matchAll(/`(\d+)`/g)]
    .map((one) => one[1])
    .filter((one, i, all) => all.indexOf(one) === i)
    .join(", ");

const nameOf = (schema) =>
  schema.$ref
    ? link(schema.$ref.split("/").at(-1))
    : schema.anyOf
      ? schema.anyOf.map((one) => [nameOf(one), " "]).flat(2)
      : "";

function code(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return el("pre", { class: "code", tabindex: "0" }, el("code", {}, text));
}

/** Follow a reference within the document. */
function resolve(value) {
  if (!value.$ref) return value;
  return value.$ref
    .split("/")
    .slice(1)
    .reduce((place, name) => place[name], document_);
}

const link = (name) => el("a", { href: `#schema-${name}` }, name);

function components() {
  const all = Object.entries(document_.components.schemas);
  return el(
    "section",
    { class: "group", "aria-label": "Schemas" },
    el("h2", {}, "Schemas"),
    all.map(([name, schema]) =>
      el(
        "details",
        {
          class: "card component",
          id: `schema-${name}`,
          "data-words": `schema ${name}`.toLowerCase(),
        },
        el("summary", {}, name),
        showSchema(schema, link),
      ),
    ),
  );
}

/** Open what the address names. */
function openTarget() {
  const target = $(decode(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

function filter() {
  const wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const one of document.querySelectorAll("[data-words]")) {
    one.hidden = !wanted.every((word) => one.dataset.words.includes(word));
    if (!one.hidden && one.classList.contains("operation")) found += 1;
  }
  for (const group of document.querySelectorAll(".group, #contents > div")) {
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
  }
  $("found").textContent = wanted.length ? many(found, "operation") : "";
}

start();
