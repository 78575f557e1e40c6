#!/usr/bin/env node
// `wrangler dev` with env.AI answered by satsuma. All flags are wrangler's.

import { spawn } from "node:child_process";
import { watchFile } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { findConfig, satsumaConfig } from "./config.js";
import { serverUrl } from "./settings.js";

const HELP = `node satsuma-workers/dev.js [FLAGS OF wrangler dev]

Runs this project's \`wrangler dev\` with env.AI answered by satsuma. Nothing is asked of
Cloudflare for it, and the configuration that \`wrangler deploy\` reads stays as it is.

  node satsuma-workers/dev.js                      as: npx wrangler dev
  node satsuma-workers/dev.js --port 8000 --env staging
  SATSUMA_URL=http://gpu-box:7768 SATSUMA_TOKEN=... node satsuma-workers/dev.js
`;

/**
 * Split wrangler's --config flags from the rest.
 * @param {string[]} flags
 */
function parse(flags) {
  /** @type {{ configs: (string | undefined)[], rest: string[] }} */
  const parsed = { configs: [], rest: [] };
  for (let index = 0; index < flags.length; index += 1) {
    const flag = flags[index] ?? "";
    const joined = /^(?:--config|-c)=(.*)$/.exec(flag);
    if (joined) parsed.configs.push(joined[1]);
    else if (flag === "--config" || flag === "-c") parsed.configs.push(flags[(index += 1)]);
    else parsed.rest.push(flag);
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

async function announce() {
  const url = serverUrl();
  const isThere = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) }).catch(() => false);
  say(isThere ? `env.AI is answered by ${url}` : `not answering at ${url}; start it: satsuma serve`);
}

/** @param {string[]} flags */
async function main(flags) {
  if (flags.includes("--help") || flags.includes("-h")) return process.stdout.write(HELP);
  const { configs, rest } = parse(flags[0] === "dev" ? flags.slice(1) : flags);
  const derived = (configs.length ? configs : [undefined]).flatMap(deriveAndWatch);
  await announce();
  const root = dirname(derived[1] ?? ".");
  const wrangler = createRequire(join(root, "package.json")).resolve("wrangler/package.json");
  const binary = join(dirname(wrangler), "bin", "wrangler.js");
  const child = spawn(process.execPath, [binary, "dev", ...derived, ...rest], { stdio: "inherit" });
  process.on("SIGINT", () => {}); // the terminal has told wrangler too; it ends first
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}

main(process.argv.slice(2)).catch((error) => {
  say(error.message);
  process.exit(1);
});
