/**
 * Write `wrangler.satsuma.jsonc` beside a wrangler configuration and give its path.
 *
 * It is the same configuration, but that the `ai` binding is answered by satsuma. Use it where a
 * tool takes a `configPath`.
 *
 * @param path the configuration, or its folder; the working folder's when left out
 */
export function satsumaConfig(path?: string): string;

/** The configuration that is deployed: the path itself, or the one in that folder. */
export function findConfig(path?: string): string;
