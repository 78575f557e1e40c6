// Runs inside workerd, between a Worker's `env.AI` and satsuma: it knows the address, adds the
// token, and turns what is not there, a server or a feature, into an error that says so.

import { WorkerEntrypoint } from "cloudflare:workers";

import { DEFAULT_URL, originOf, tokenOf, unanswered } from "./address.js";

/** @typedef {{ SATSUMA_URL?: string, SATSUMA_TOKEN?: string }} Env */

const RUN = ["/run", "/ai-gateway/run"];
const SERVED = [...RUN, "/ai-api/models/search"];
const FEATURES = { "/to-everything/": "toMarkdown()", "/autorag/": "autorag()", "/ai-gateway/": "gateway()" };

/** @extends {WorkerEntrypoint<Env>} */
export default class extends WorkerEntrypoint {
  /**
   * @param {Request} request for https://workers-binding.ai, whatever the server's address
   * @returns {Promise<Response>}
   */
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const isRun = RUN.includes(pathname);
    const missing = missingFeature(request, pathname);
    if (missing) return refuse(404, notThere(missing), isRun);
    try {
      const { origin, headers } = target(request, this.env);
      return await send(new Request(origin + pathname + search, request), headers, origin);
    } catch (error) {
      return refuse(503, /** @type {Error} */ (error).message, isRun);
    }
  }

  // The runtime calls these by name: aiSearch always, the others where its betas are on.
  aiSearch() {
    throw new Error(notThere("aiSearch()"));
  }

  gateway() {
    throw new Error(notThere("gateway()"));
  }

  autorag() {
    throw new Error(notThere("autorag()"));
  }
}

/** @param {string} feature */
const notThere = (feature) => `satsuma serves text embeddings only: ${feature} is not there`;

/**
 * @param {Request} request
 * @param {string} pathname
 * @returns {string | undefined} what to call it
 */
function missingFeature(request, pathname) {
  if (request.headers.get("upgrade")) return "a websocket";
  if (SERVED.includes(pathname)) return undefined;
  const found = Object.entries(FEATURES).find(([start]) => pathname.startsWith(start));
  return found?.[1] ?? pathname;
}

/**
 * @param {Request} request
 * @param {Env} env
 */
function target(request, env) {
  const headers = new Headers(request.headers);
  const token = tokenOf(env.SATSUMA_TOKEN, "SATSUMA_TOKEN");
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return { origin: originOf(env.SATSUMA_URL || DEFAULT_URL, "SATSUMA_URL"), headers };
}

/**
 * @param {Request} request
 * @param {Headers} headers
 * @param {string} origin
 */
async function send(request, headers, origin) {
  try {
    return await fetch(new Request(request, { headers, redirect: "manual" }));
  } catch (error) {
    throw new Error(unanswered(origin, error));
  }
}

/**
 * The binding shows `run` a body that is not JSON as it is, and all else the first of `errors`;
 * `toMarkdown().supported()` looks at the result alone.
 * @param {number} status
 * @param {string} message
 * @param {boolean} isRun
 */
function refuse(status, message, isRun) {
  if (isRun) return new Response(message, { status });
  return Response.json({ result: [], success: false, errors: [{ code: status, message }] }, { status });
}
