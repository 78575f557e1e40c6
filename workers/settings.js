// Where satsuma is, and how to get in: one place for the launcher, the plugin and the tests.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const DEFAULT_URL = "http://127.0.0.1:7768";

/** The plugin's name, and the file by which Miniflare loads it, wherever this package lies. */
export const PLUGIN = "satsuma";
export const PLUGIN_FILE = fileURLToPath(new URL("./miniflare.js", import.meta.url));

const KEPT = new URL("./satsuma.json", import.meta.url); // written by `satsuma workers init`

/**
 * What `satsuma workers init` was told.
 * @returns {{ url?: string, binding?: string }}
 */
export function kept() {
  return existsSync(KEPT) ? JSON.parse(readFileSync(KEPT, "utf8")) : {};
}

/**
 * The server's address: the argument, else SATSUMA_URL, else satsuma.json, else the default.
 * @param {string} [url]
 * @returns {string} without a slash at its end
 */
export function serverUrl(url) {
  const chosen = url || process.env.SATSUMA_URL || kept().url || DEFAULT_URL;
  if (!/^https?:\/\//.test(chosen) || !URL.canParse(chosen)) {
    throw new Error(`satsuma's address must look like ${DEFAULT_URL}, and is ${chosen}`);
  }
  return chosen.replace(/\/+$/, "");
}

/**
 * The API token: the argument, else SATSUMA_TOKEN. It is never written to a file.
 * @param {string} [token]
 * @returns {string} empty if there is none
 */
export function serverToken(token) {
  return token || process.env.SATSUMA_TOKEN || "";
}
