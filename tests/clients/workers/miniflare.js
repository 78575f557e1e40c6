// The bundled worker in Miniflare 4, by its own API: node miniflare.js BUNDLE
import { readFileSync } from "node:fs";

import { Miniflare } from "miniflare";

import { ai } from "../../../workers/miniflare.js";

const script = readFileSync(process.argv[2], "utf8");
const worker = { modules: true, script, compatibilityDate: "2026-07-01" };
const miniflare = new Miniflare({ ...worker, cf: false, unsafeBindings: [ai()] });
const { GIVEN, MODEL } = process.env;
const answer = await miniflare.dispatchFetch("http://x/", { method: "POST", body: GIVEN });
const seen = await answer.json();
const { AI } = await miniflare.getBindings(); // the same binding, from Node
seen.from_node = await AI.run(MODEL, { text: JSON.parse(GIVEN).texts }).catch((error) => `${error}`);
await miniflare.dispose();
console.log(JSON.stringify(seen));
