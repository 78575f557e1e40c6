// A Miniflare plugin: a binding of the runtime's own `Ai` class, whose requests go to satsuma.
// Miniflare 4 and 5 load it by name from an unsafe binding; so does wrangler, which holds one.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { PLUGIN, PLUGIN_FILE, destination, serverToken, serverUrl } from "./settings.js";

const MODULES = ["proxy.js", "address.js"].map((name) => ({
  name,
  esModule: readFileSync(new URL(name, import.meta.url), "utf8"),
}));
const COMPATIBILITY_DATE = "2025-01-01";

/**
 * Miniflare's option for a local `env.AI`: `new Miniflare({ ..., unsafeBindings: [ai()] })`.
 * @param {{ binding?: string, url?: string, token?: string }} [options]
 */
export function ai({ binding = "AI", url, token } = {}) {
  const options = { ...(url && { url }), ...(token && { token }) };
  return { name: binding, type: PLUGIN, plugin: { package: PLUGIN_FILE, name: PLUGIN }, options };
}

/** @typedef {{ url?: string, token?: string }} Options */

/**
 * The bindings that are ours, by name.
 * @param {any} given Miniflare 4 gives a list of unsafe bindings, Miniflare 5 the whole worker
 * @returns {[string, Options][]}
 */
function ours(given) {
  if (Array.isArray(given)) return given.map(({ name, options }) => [name, options ?? {}]);
  /** @type {[string, any][]} */
  const bindings = Object.entries(given?.config?.env ?? {});
  return bindings
    .filter(([, binding]) => binding?.dev?.plugin?.name === PLUGIN)
    .map(([name, binding]) => [name, binding.dev.options ?? {}]);
}

/** @param {Options} options */
const serviceName = (options) => `${PLUGIN}:${destination(options)}`;

/** @param {Options} options */
function services(options) {
  const network = `${serviceName(options)}:network`;
  return [
    {
      name: serviceName(options),
      worker: {
        compatibilityDate: COMPATIBILITY_DATE,
        modules: MODULES,
        bindings: [
          { name: "SATSUMA_URL", text: serverUrl(options.url) },
          { name: "SATSUMA_TOKEN", text: serverToken(options.token) },
        ],
        globalOutbound: { name: network },
      },
    },
    // The runtime's own network refuses private addresses, loopback among them.
    { name: network, network: { allow: ["public", "private"], tlsOptions: { trustBrowserCas: true } } },
  ];
}

/**
 * Miniflare's marker for "hand out a proxy of this binding": `mf.getBindings()` and wrangler's
 * `getPlatformProxy()` compare its class, so it must come from the very Miniflare that asks.
 */
function nodeBinding() {
  const caller = new Error().stack ?? "";
  const loaded = Object.entries(createRequire(import.meta.url).cache);
  const found = loaded.find(([file, module]) => caller.includes(file) && isMiniflare(module));
  const Marker = found?.[1]?.exports.ProxyNodeBinding;
  return Marker && new Marker();
}

/** @param {NodeModule | undefined} module */
const isMiniflare = (module) => typeof module?.exports?.ProxyNodeBinding === "function";

export const plugins = {
  [PLUGIN]: {
    bindingTypeDescription: "AI, by satsuma",
    /** @param {any} given */
    getBindings: (given) =>
      ours(given).map(([name, options]) => ({
        name,
        wrapped: {
          moduleName: "cloudflare-internal:ai-api",
          innerBindings: [{ name: "fetcher", service: { name: serviceName(options) } }],
        },
      })),
    /** @param {any} given */
    getNodeBindings: (given) =>
      Object.fromEntries(ours(given).map(([name]) => [name, nodeBinding()])),
    /** @param {{ options: any }} given */
    getServices: ({ options: given }) => ours(given).flatMap(([, options]) => services(options)),
  },
};
