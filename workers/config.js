// wrangler's configuration for development, derived from the one that is deployed: the same, but
// that the `ai` binding is the plugin's. The file it comes from is read and never written.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

import { PLUGIN, PLUGIN_FILE, kept } from "./settings.js";

const NAMES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"]; // wrangler's own order
const OLDEST_MINOR = 80; // 4.34 reads the plugin's binding and leaves it out of env
const DERIVED = "wrangler.satsuma.jsonc"; // beside the original: its paths are relative to it

/**
 * Write the derived configuration and give its path, for `wrangler dev --config`,
 * `cloudflareTest({ wrangler: { configPath } })`, `getPlatformProxy({ configPath })` and others.
 * @param {string} [path] the configuration, or its folder; the working folder's when left out
 * @returns {string}
 */
export function satsumaConfig(path) {
  const original = findConfig(path);
  const { experimental_readRawConfig: read } = wranglerOf(dirname(original));
  const derived = join(dirname(original), derivedName(basename(original)));
  const { rawConfig } = read({ config: original }, { useRedirectIfAvailable: false });
  writeIfChanged(derived, render(derive(rawConfig, basename(original)), basename(original)));
  return derived;
}

/**
 * Find the configuration that is deployed.
 * @param {string} [path]
 * @returns {string}
 */
export function findConfig(path) {
  const start = resolve(path ?? ".");
  if (/\.(jsonc?|toml)$/.test(start)) {
    if (!existsSync(start)) throw new Error(`${start} does not exist`);
    return start;
  }
  const found = NAMES.map((name) => join(start, name)).find(existsSync);
  if (!found) throw new Error(`No ${NAMES.join(", ")} in ${start}; name one with --config`);
  return found;
}

/** @param {string} name */
const derivedName = (name) =>
  NAMES.includes(name) ? DERIVED : `${name.replace(/\.[^.]+$/, "")}.satsuma.jsonc`;

/**
 * The project's own wrangler, not one of ours.
 * @param {string} folder
 */
function wranglerOf(folder) {
  const require = createRequire(join(folder, "package.json"));
  const file = resolved(require, "wrangler/package.json");
  const update = "npm install --save-dev wrangler@4";
  if (!file) throw new Error(`wrangler is not installed in ${folder}: ${update}`);
  const [major, minor] = require(file).version.split(".").map(Number);
  if (major < 4 || (major === 4 && minor < OLDEST_MINOR)) {
    throw new Error(`wrangler ${major}.${minor} is too old, 4.${OLDEST_MINOR} will do: ${update}`);
  }
  return require("wrangler");
}

/**
 * @param {NodeJS.Require} require
 * @param {string} name
 */
function resolved(require, name) {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/**
 * Replace `ai` by the plugin's binding, at the top and in each environment.
 * @param {Record<string, any>} config
 * @param {string} name the file's, for messages
 * @returns {Record<string, any>}
 */
export function derive(config, name) {
  const { binding } = kept();
  const named = Object.entries(config.env ?? {}).map(([env, own]) => [env, withPlugin(own, binding)]);
  const derived = withPlugin(config, binding);
  if (config.env) derived.env = Object.fromEntries(named);
  if (![derived, ...Object.values(derived.env ?? {})].some(hasPlugin)) {
    throw new Error(`${name} has no ai binding; give it one: "ai": { "binding": "AI" }`);
  }
  return derived;
}

/**
 * @param {Record<string, any>} config
 * @param {string} [fallback] the name to use where the configuration has no `ai`
 * @returns {Record<string, any>}
 */
function withPlugin({ ai, ...rest }, fallback) {
  const name = ai?.binding ?? fallback;
  if (!name) return rest;
  const dev = { plugin: { package: PLUGIN_FILE, name: PLUGIN }, options: {} };
  const bindings = [...(rest.unsafe?.bindings ?? []), { name, type: PLUGIN, dev }];
  return { ...rest, unsafe: { ...rest.unsafe, bindings } };
}

/** @param {any} config */
const hasPlugin = (config) =>
  config.unsafe?.bindings?.some((/** @type {any} */ one) => one.type === PLUGIN) ?? false;

/**
 * @param {Record<string, any>} config
 * @param {string} original
 */
const render = (config, original) =>
  `// Written by satsuma-workers from ${original}, at each start. Edit that one; do not commit this.\n` +
  `${JSON.stringify(config, null, 2)}\n`;

/**
 * wrangler watches its configuration: the same text again would restart the worker for nothing.
 * @param {string} path
 * @param {string} text
 */
function writeIfChanged(path, text) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  writeFileSync(path, text);
}
