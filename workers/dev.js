#!/usr/bin/env node
// `wrangler dev` with env.AI answered by satsuma. All flags are wrangler's.

import { spawn } from "node:child_process";
import { watchFile } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { unanswered } from "./address.js";
import { findConfig, satsumaConfig } from "./config.js";
import { serverToken, serverUrl } from "./settings.js";

const HELP = `node satsuma-workers/dev.js [FLAGS OF wrangler dev]

Runs this project's \`wrangler dev\` with env.AI answered by satsuma. Nothing is asked of
Cloudflare for it, and the configuration that \`wrangler deploy\` reads stays as it is.

  node satsuma-workers/dev.js                      as: npx wrangler dev
  node satsuma-workers/dev.js --port 8000 --env staging
  SATSUMA_URL=http://gpu-box:7768 SATSUMA_TOKEN=... node satsuma-workers/dev.js
`;

const OURS = /^(--config|-c|--cwd)(?:=(.*))?$/s;

/** @type {[NodeJS.Signals, NodeJS.Signals][]} what ends this, and what ends wrangler without orphans */
const SIGNALS = [["SIGINT", "SIGINT"], ["SIGTERM", "SIGTERM"], ["SIGHUP", "SIGTERM"]];

/**
 * Split the flags that say which configuration from the rest.
 * @param {string[]} flags
 */
function parse(flags) {
  /** @type {{ configs: string[], cwd: string | undefined, rest: string[] }} */
  const parsed = { configs: [], cwd: undefined, rest: [] };
  for (let index = 0; index < flags.length; index += 1) {
    const flag = flags[index] ?? "";
    const [, name, joined] = OURS.exec(flag) ?? [];
    if (!name) {
      parsed.rest.push(flag);
      continue;
    }
    const value = joined ?? flags[(index += 1)];
    if (!value) throw new Error(`${name} needs a path`);
    if (name === "--cwd") parsed.cwd = value;
    else parsed.configs.push(value);
  }
  return parsed;
}

/** @param {string | undefined} path */
function deriveAndWatch(path) {
  const original = findConfig(path);
  watchFile(original, { interval: 500 }, () => {
    try {
      satsumaConfig(original);
    } catch (error) {
      say(/** @type {Error} */ (error).message); // half-written: the next save mends it
    }
  });
  return ["--config", satsumaConfig(original)];
}

/** @param {string} text */
const say = (text) => process.stderr.write(`satsuma: ${text}\n`);

/** @param {string} url */
async function announce(url) {
  const said = await greet(url).catch((error) => unanswered(url, error));
  say(said ?? `env.AI is answered by ${url}`);
}

/**
 * Anything may listen there: only satsuma's own answer will do.
 * @param {string} url
 * @returns {Promise<string | undefined>} what is wrong
 */
async function greet(url) {
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) });
  const health = await response.json().catch(() => undefined);
  if (response.ok && health?.status === "ok") return undefined;
  return `what answers at ${url} is not satsuma; SATSUMA_URL names another address`;
}

/** @param {string[]} flags */
async function main(flags) {
  if (flags.includes("--help") || flags.includes("-h")) return process.stdout.write(HELP);
  const { configs, cwd, rest } = parse(flags[0] === "dev" ? flags.slice(1) : flags);
  if (cwd) process.chdir(cwd);
  const url = serverUrl();
  serverToken(); // what is malformed is told now, once, and not by each request
  const derived = (configs.length ? configs : [undefined]).flatMap(deriveAndWatch);
  await announce(url);
  const root = dirname(derived[1] ?? ".");
  const wrangler = createRequire(join(root, "package.json")).resolve("wrangler/package.json");
  const binary = join(dirname(wrangler), "bin", "wrangler.js");
  const child = spawn(process.execPath, [binary, "dev", ...derived, ...rest], { stdio: "inherit" });
  // A terminal tells wrangler too, which hears it twice then, and bears it. It ends first.
  for (const [told, sent] of SIGNALS) process.on(told, () => child.kill(sent));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}

main(process.argv.slice(2)).catch((error) => {
  say(error.message);
  process.exit(1);
});
