// What an address and a token look like, and what to say of a server that does not answer.
// Nothing is imported: Node, browsers and workerd load this.

export const DEFAULT_URL = "http://127.0.0.1:7768";

const API = "/client/v4"; // under which the REST API lies, here and at Cloudflare
// Names that do not resolve, and TLS; workerd calls both an internal error, and logs which.
const NO_HELP = /ENOTFOUND|EAI_AGAIN|DNS|CERT|SSL|TLS|internal error/i; // ... in starting satsuma

/**
 * The server's origin; the path of its REST API may be given with it.
 * @param {string} text
 * @param {string} source where it was said, for messages
 * @returns {string} without a slash at its end
 */
export function originOf(text, source) {
  const { origin, pathname } = parseAddress(text, source);
  if (pathname !== "/" && pathname !== API) throw malformed(text, source);
  return origin;
}

/**
 * An http(s) address with nothing behind its path, and no slash at the path's end.
 * @param {string} text
 * @param {string} source
 * @returns {URL}
 */
export function parseAddress(text, source) {
  if (!URL.canParse(text)) throw malformed(text, source);
  const url = new URL(text);
  const extra = url.username + url.password + url.search + url.hash;
  if (extra || !/^https?:$/.test(url.protocol)) throw malformed(text, source);
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

/**
 * What may be a password, or a key in a query, is not repeated.
 * @param {string} text
 * @param {string} source
 */
function malformed(text, source) {
  const given = /[@?#]/.test(text) ? "with no user, query or fragment" : `and is ${text}`;
  return new Error(`${source} must look like ${DEFAULT_URL}, ${given}`);
}

/**
 * A token as a header can carry it; fetch's own error would repeat it.
 * @param {string | null | undefined} text
 * @param {string} source
 * @returns {string} empty if there is none
 */
export function tokenOf(text, source) {
  const token = (text ?? "").trim();
  if (/[^!-~]/.test(token)) throw new Error(`${source} has a character that no API token has`);
  return token;
}

/**
 * What to say where fetch threw; what to do where starting satsuma would help.
 * @param {string} origin
 * @param {any} error
 * @returns {string}
 */
export function unanswered(origin, error) {
  const cause = error?.cause?.message || error?.cause?.code || error?.message || `${error}`;
  const { hostname } = new URL(origin);
  if (/(^|\.)cloudflare\.com$/.test(hostname)) return `${hostname} is not answering: ${cause}`;
  const advice = NO_HELP.test(`${error?.cause?.code} ${cause}`) ? "" : "; start it: satsuma serve";
  return `satsuma is not answering at ${origin}${advice} (${cause})`;
}
