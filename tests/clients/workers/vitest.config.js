import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

import { satsumaConfig } from "../../../workers/config.js";

export default defineConfig({
  plugins: [cloudflareTest({ wrangler: { configPath: satsumaConfig() } })],
  test: {
    include: ["calls.spec.js"],
    provide: { given: JSON.parse(process.env.GIVEN ?? "{}") },
    testTimeout: 60_000, // all the calls are one test, and the machine may be busy
  },
});
