// wrangler's configuration for development, derived from the one that is deployed: the same, but
// that the `ai` binding is the plugin's. The file it comes from is read and never written.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

import { PLUGIN, PLUGIN_FILE, kept } from "./settings.js";

const NAMES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"]; // wrangler's own order
const OLDEST_MINOR = 80; // 4.34 reads the plugin's binding and leaves it out of env
const DERIVED = "satsuma.jsonc"; // beside the original: its paths are relative to it
const MARKER = "// Written by satsuma-workers from ";

/**
 * Write the derived configuration and give its path, for `wrangler dev --config`,
 * `cloudflareTest({ wrangler: { configPath } })`, `getPlatformProxy({ configPath })` and others.
 * @param {string} [path] the configuration, or its folder; the working folder's when left out
 * @returns {string}
 */
export function satsumaConfig(path) {
  const original = findConfig(path);
  const [folder, name] = [dirname(original), basename(original)];
  const text = render(derive(readRaw(original), name), name);
  return writeIfChanged(join(folder, derivedName(folder, name)), text);
}

/**
 * Find the configuration that is deployed, as wrangler does: each name up to the root.
 * @param {string} [path]
 * @returns {string}
 */
export function findConfig(path) {
  const start = resolve(path ?? ".");
  if (/\.(jsonc?|toml)$/.test(start)) {
    if (!existsSync(start)) throw new Error(`${start} does not exist`);
    return start;
  }
  const folders = path === undefined ? withParents(start) : [start];
  const found = NAMES.flatMap((name) => folders.map((one) => join(one, name))).find(existsSync);
  if (!found) throw new Error(`No ${NAMES.join(", ")} in ${start}; name one with --config`);
  return found;
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
const withParents = (folder) =>
  dirname(folder) === folder ? [folder] : [folder, ...withParents(dirname(folder))];

/**
 * `wrangler.satsuma.jsonc` from the folder's first configuration; any other keeps its whole name.
 * @param {string} folder
 * @param {string} name
 */
function derivedName(folder, name) {
  const first = NAMES.find((one) => existsSync(join(folder, one)));
  return name === first ? `wrangler.${DERIVED}` : `${name}.${DERIVED}`;
}

/**
 * Read a configuration with wrangler's own reader, whose errors name neither file nor line.
 * @param {string} original
 * @returns {Record<string, any>}
 */
function readRaw(original) {
  const { experimental_readRawConfig: read } = wranglerOf(dirname(original));
  try {
    return read({ config: original }, { useRedirectIfAvailable: false }).rawConfig;
  } catch (error) {
    const { message, location } = /** @type {any} */ (error);
    const line = location?.line ? `:${location.line}` : "";
    throw new Error(`${original}${line} cannot be read: ${message}`, { cause: error });
  }
}

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
function derive(config, name) {
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
  `${MARKER}${original}, at each start. Edit that one; do not commit this.\n` +
  `${JSON.stringify(config, null, 2)}\n`;

/**
 * wrangler watches its configuration: the same text again would restart the worker for nothing,
 * and need not be written where nothing can be.
 * @param {string} path
 * @param {string} text
 */
function writeIfChanged(path, text) {
  const present = existsSync(path) ? readFileSync(path, "utf8") : MARKER;
  if (!present.startsWith(MARKER)) {
    throw new Error(`${path} is not of satsuma-workers, which would overwrite it; rename it`);
  }
  if (present !== text) write(path, text);
  return path;
}

/**
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  try {
    writeFileSync(path, text);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    const why = "wrangler reads its configuration from a file, beside the one it comes from";
    throw new Error(`${path} cannot be written (${code}): ${why}`, { cause: error });
  }
}
