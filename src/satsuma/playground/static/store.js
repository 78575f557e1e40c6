// What the views share: the models, which one is chosen, and vectors that were made already.

import * as api from "./api.js";
import { mostTexts, poolingsOf } from "./takes.js";

const MOST_KEPT = 5000; // vectors: some 30 MB of bge-base's

/** Fires `models` when the catalog came, `choice` when model or pooling changed. */
export const changes = new EventTarget();

/** `most`: texts of one request; the server refuses more. */
export const store = {
  models: [],
  stats: null,
  model: "",
  pooling: "",
  most: Infinity,
  hasPoolings: true,
};

const kept = new Map();

/** Ask the server for its models, and choose one that can answer at once. */
export async function load() {
  store.stats = await api.stats();
  store.models = (await api.models()).map(readModel);
  const loaded = new Set(store.stats.models.map((one) => one.id));
  const here = store.models.filter((one) => one.isHere && one.embeds);
  const best =
    here.find((one) => one.id === store.model) ?? here.find((one) => loaded.has(one.id)) ?? here[0];
  store.model = best?.id ?? "";
  await learn();
  changes.dispatchEvent(new Event("models"));
}

export async function choose(choice) {
  Object.assign(store, choice);
  await learn();
  changes.dispatchEvent(new Event("choice"));
}

const schemas = new Map();

/** Ask, once, for the schemas of what a model takes and answers. */
export async function schemasOf(model) {
  if (!schemas.has(model)) schemas.set(model, await api.schemas(model));
  return schemas.get(model);
}

/** Learn what the chosen model takes; where that fails, its own refusals will tell. */
async function learn() {
  const { model } = store;
  const input = model ? (await schemasOf(model).catch(() => ({}))).input : null;
  if (model !== store.model) return; // another was chosen meanwhile
  const limits = Object.fromEntries(input ? mostTexts(input) : []);
  store.most = limits.text ?? Infinity;
  store.hasPoolings = !input || poolingsOf(input) !== null;
  if (!store.hasPoolings) store.pooling = "";
}

export const findModel = (id) => store.models.find((one) => one.id === id);

/** Turn the catalog's list of properties into members. */
function readModel(listed) {
  const properties = Object.fromEntries(
    listed.properties.map((one) => [one.property_id, one.value]),
  );
  return {
    id: listed.name,
    description: listed.description,
    task: listed.task.name,
    createdAt: listed.created_at ?? "",
    maxTokens: Number(properties.max_input_tokens ?? 0),
    dimensions: Number(properties.output_dimensions ?? 0),
    licence: properties.satsuma_licence ?? "",
    pooling: properties.satsuma_pooling ?? "",
    info: properties.info ?? "",
    prices: properties.price ?? [],
    hasQueue: properties.async_queue === "true",
    isHere: properties.satsuma_installed === "true",
    embeds: listed.task.name !== "Text Classification", // else it scores pairs of texts
  };
}

const keyOf = (model, pooling, text) => JSON.stringify([model, pooling, text]);

/** Embed any number of texts, as many a call as the model takes; texts that were embedded before cost nothing. */
export async function embedAll(texts, { signal, onProgress = () => {} }) {
  const { model, pooling, most } = store;
  const missing = [...new Set(texts)].filter((text) => !kept.has(keyOf(model, pooling, text)));
  for (let start = 0; start < missing.length; start += most) {
    onProgress(start, missing.length);
    const part = missing.slice(start, start + most);
    const { result } = await api.run(model, part, pooling, signal);
    part.forEach((text, i) => kept.set(keyOf(model, pooling, text), result.data[i]));
  }
  const vectors = texts.map((text) => kept.get(keyOf(model, pooling, text)));
  for (const key of kept.keys()) {
    if (kept.size <= MOST_KEPT) break;
    kept.delete(key); // the oldest
  }
  return vectors;
}
