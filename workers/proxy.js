// Runs inside workerd, between a Worker's `env.AI` and satsuma: it knows the address, adds the
// token, and turns a server that is not there into an error that says what to do.

/** @typedef {{ SATSUMA_URL?: string, SATSUMA_TOKEN?: string }} Env */

const DEFAULT_URL = "http://127.0.0.1:7768";

export default {
  /**
   * @param {Request} request for https://workers-binding.ai, whatever the server's address
   * @param {Env} env
   * @returns {Promise<Response>}
   */
  async fetch(request, env) {
    const base = (env.SATSUMA_URL || DEFAULT_URL).replace(/\/+$/, "");
    const { pathname, search } = new URL(request.url);
    try {
      return await fetch(new Request(base + pathname + search, withToken(request, env)));
    } catch {
      return unreachable(base, pathname);
    }
  },
};

/**
 * @param {Request} request
 * @param {Env} env
 */
function withToken(request, env) {
  const headers = new Headers(request.headers);
  if (env.SATSUMA_TOKEN) headers.set("Authorization", `Bearer ${env.SATSUMA_TOKEN}`);
  return new Request(request, { headers, redirect: "manual" });
}

/**
 * The binding shows `run` a body that is not JSON as it is, and `models` the first of `errors`.
 * @param {string} base
 * @param {string} pathname
 */
function unreachable(base, pathname) {
  const message = `satsuma is not answering at ${base}; start it: satsuma serve`;
  const isRun = pathname === "/run" || pathname === "/ai-gateway/run";
  return isRun
    ? new Response(message, { status: 503 })
    : Response.json({ success: false, errors: [{ code: 503, message }] }, { status: 503 });
}
