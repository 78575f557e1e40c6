// Where satsuma is, and how to get in: one place for the launcher, the plugin and the tests.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { DEFAULT_URL, originOf, tokenOf } from "./address.js";

/** The plugin's name, and the file by which Miniflare loads it, wherever this package lies. */
export const PLUGIN = "satsuma";
export const PLUGIN_FILE = fileURLToPath(new URL("./miniflare.js", import.meta.url));

const KEPT = fileURLToPath(new URL("./satsuma.json", import.meta.url)); // of `satsuma workers init`
const HASH_LENGTH = 12; // enough to tell the tokens of one project apart

/**
 * What `satsuma workers init` was told.
 * @returns {{ url?: string, binding?: string }}
 */
export function kept() {
  if (!existsSync(KEPT)) return {};
  const settings = parseObject(readFileSync(KEPT, "utf8"));
  const isRight = settings && [settings.url, settings.binding].every(isStringOrAbsent);
  if (isRight) return settings;
  throw new Error(`${KEPT} cannot be read; delete it, and run: satsuma workers init`);
}

/** @param {unknown} value */
const isStringOrAbsent = (value) => value === undefined || typeof value === "string";

/**
 * @param {string} text
 * @returns {any} undefined if it is no JSON object
 */
function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The server's address: the argument, else SATSUMA_URL, else satsuma.json, else the default.
 * @param {string} [url]
 * @returns {string} without a slash at its end
 */
export function serverUrl(url) {
  if (url) return originOf(url, "url");
  if (process.env.SATSUMA_URL) return originOf(process.env.SATSUMA_URL, "SATSUMA_URL");
  return originOf(kept().url || DEFAULT_URL, `url in ${KEPT}`);
}

/**
 * The API token: the argument, else SATSUMA_TOKEN. It is never written to a file.
 * @param {string} [token]
 * @returns {string} empty if there is none
 */
export const serverToken = (token) =>
  tokenOf(token, "token") || tokenOf(process.env.SATSUMA_TOKEN, "SATSUMA_TOKEN");

/**
 * A name for where a binding's requests go, and as whom: one service of Miniflare for each.
 * @param {{ url?: string, token?: string }} options
 */
export function destination({ url, token }) {
  const secret = createHash("sha256").update(serverToken(token)).digest("hex");
  return `${serverUrl(url)}:${secret.slice(0, HASH_LENGTH)}`; // names appear in logs
}
