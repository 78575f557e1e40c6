// env.AI for programs outside Workers: Node, Deno, Bun, pages of the same origin. Only `fetch` is
// needed. It speaks REST, so that Cloudflare's own address does too, and answers as the binding does.

import { DEFAULT_URL, parseAddress, tokenOf, unanswered } from "./address.js";

/** @typedef {import("./index.js").Ai} Declared */
/** @typedef {import("./index.js").AiOptions} AiOptions */
/** @typedef {import("./index.js").GatewayOptions} GatewayOptions */

const API = "/client/v4";

// REST puts the binding's description between the layer's name and the request's id.
const FRAME = /^AiError: (?:(?:AiError|Ai|Bad input|Configuration error): )?(.*?)(?: \([\da-f-]{36}\))?$/s;

/** @type {Record<string, string>} What the runtime makes of `gateway`, by its option. */
const GATEWAY_HEADERS = {
  id: "cf-aig-gateway-id",
  skipCache: "cf-aig-skip-cache",
  cacheTtl: "cf-aig-cache-ttl",
  cacheKey: "cf-aig-cache-key",
  metadata: "cf-aig-metadata",
  collectLog: "cf-aig-collect-log",
  eventId: "cf-aig-event-id",
  requestTimeoutMs: "cf-aig-request-timeout",
  maxAttempts: "cf-aig-max-attempts",
  retryDelayMs: "cf-aig-retry-delay",
  backoff: "cf-aig-backoff",
};

export class InferenceUpstreamError extends Error {
  constructor(/** @type {string} */ message, name = "InferenceUpstreamError") {
    super(message);
    this.name = name;
  }
}

export class AiInternalError extends Error {
  constructor(/** @type {string} */ message, name = "AiInternalError") {
    super(message);
    this.name = name;
  }
}

/** @implements {Declared} */
export class Ai {
  #base;
  #token;
  #fetch;

  /** @type {string | null} */
  lastRequestId = null;
  /** @type {string | null} */
  aiGatewayLogId = null;
  /** @type {number | null} */
  lastRequestHttpStatusCode = null;
  /** @type {number | null} */
  lastRequestInternalStatusCode = null;

  /** @param {import("./index.js").AiSettings} settings */
  constructor({ baseUrl = DEFAULT_URL, accountId = "local", token, fetch } = {}) {
    const { origin, pathname } = parseAddress(baseUrl, "baseUrl");
    const path = pathname === "/" ? API : pathname;
    this.#base = `${origin}${path}/accounts/${encodeURIComponent(accountId)}/ai`;
    this.#token = tokenOf(token, "token");
    this.#fetch = fetch ?? globalThis.fetch.bind(globalThis);
  }

  /**
   * @param {string} model
   * @param {object} inputs
   * @param {AiOptions | null} [options]
   * @returns {Promise<any>}
   */
  async run(model, inputs, options) {
    if (options?.websocket) throw new AiInternalError("Only a Worker can open a websocket.");
    const { prefix, extraHeaders, sessionOptions, signal, gateway, returnRawResponse, ...sent } =
      options ?? {};
    const path = pathOf(prefix ? `${prefix}:${model}` : model);
    const body = Object.keys(sent).length > 0 ? { ...inputs, options: sent } : inputs;
    const query = sent.queueRequest ? "?queueRequest=true" : ""; // REST's spelling of it
    const response = await this.#request(`/run/${path}${query}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: {
        ...sessionOptions?.extraHeaders,
        ...extraHeaders,
        ...gatewayHeaders(gateway),
        "content-type": "application/json",
      },
      signal: signal ?? null,
    });
    this.lastRequestId = response.headers.get("cf-ai-req-id");
    this.aiGatewayLogId = response.headers.get("cf-aig-log-id");
    this.lastRequestHttpStatusCode = response.status;
    return this.#read(response, returnRawResponse ?? false);
  }

  /**
   * @param {import("./index.js").AiModelsSearchParams | null} [params]
   * @returns {Promise<any[]>}
   */
  async models(params) {
    const given = Object.entries(params ?? {}).filter(([, value]) => value != null);
    const query = new URLSearchParams(given.map(([key, value]) => [key, `${value}`]));
    const response = await this.#request(`/models/search?${query}`, { method: "GET" });
    const answer = parse(await response.text());
    if (response.ok && answer) return answer.result;
    throw new AiInternalError(answer?.errors?.[0]?.message || notJson(response));
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<Response>}
   */
  async #request(path, init) {
    const headers = new Headers(init.headers);
    if (this.#token) headers.set("authorization", `Bearer ${this.#token}`);
    try {
      return await this.#fetch(this.#base + path, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      const message = unanswered(new URL(this.#base).origin, error);
      throw Object.assign(new InferenceUpstreamError(message), { cause: error });
    }
  }

  /**
   * @param {Response} response
   * @param {boolean} isRaw
   */
  async #read(response, isRaw) {
    const text = await response.text();
    const answer = parse(text);
    if (response.ok && answer) return isRaw ? bare(answer.result, response) : answer.result;
    const problem = describe(answer, response);
    if (isRaw) return problem ? bare(problem, response) : new Response(text || null, response);
    if (!problem) throw new InferenceUpstreamError(text || notJson(response));
    this.lastRequestInternalStatusCode = problem.internalCode;
    throw new InferenceUpstreamError(`${problem.internalCode}: ${problem.description}`, problem.name);
  }
}

/**
 * A model's name as segments of a path; a dot segment, however it is written, would leave the path.
 * @param {string} model
 */
function pathOf(model) {
  const segments = `${model}`.split("/");
  if (segments.some((one) => one === "." || one === "..")) {
    throw new InferenceUpstreamError(`5007: No such model ${model} or task`, "AiError");
  }
  return segments.map(encodeURIComponent).join("/").replace(/%40/g, "@").replace(/%3A/g, ":");
}

/**
 * @param {GatewayOptions} [gateway]
 * @returns {Record<string, string>}
 */
function gatewayHeaders(gateway) {
  const given = Object.entries(gateway?.id ? { ...gateway, ...gateway.retries } : {});
  return Object.fromEntries(
    given.flatMap(([option, value]) => {
      const name = GATEWAY_HEADERS[option];
      if (!name || value === undefined) return [];
      return [[name, typeof value === "object" ? JSON.stringify(value) : `${value}`]];
    }),
  );
}

/**
 * @param {string} text
 * @returns {any} undefined if it is not JSON
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {Response} response */
const notJson = (response) => `The answer of ${response.url} has status ${response.status}, and no JSON.`;

/**
 * The binding's form of a REST error.
 * @param {any} answer
 * @param {Response} response
 */
function describe(answer, response) {
  const error = answer?.errors?.[0];
  if (!error) return undefined;
  const description = FRAME.exec(error.message)?.[1];
  return {
    name: description === undefined ? undefined : "AiError",
    internalCode: error.code,
    httpCode: response.status,
    message: error.message,
    description: description ?? error.message,
    requestId: response.headers.get("cf-ai-req-id"),
  };
}

/**
 * A response without REST's envelope, as the binding's `returnRawResponse` gives it.
 * @param {unknown} body
 * @param {Response} response
 */
function bare(body, response) {
  const headers = new Headers(response.headers);
  headers.delete("content-length"); // of the envelope
  headers.delete("content-encoding"); // fetch has undone it
  headers.set("content-type", "application/json");
  const { status, statusText } = response;
  return new Response(JSON.stringify(body), { status, statusText, headers });
}
