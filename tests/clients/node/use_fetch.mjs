// Plain fetch, as Cloudflare's page for Node has it: a string of JSON with no content type.

import { ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, tell } from "./program.mjs";

async function run(inputs, model = MODEL) {
  const response = await fetch(`${SERVER}/client/v4/accounts/${ACCOUNT}/ai/run/${model}`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    method: "POST",
    body: JSON.stringify(inputs),
  });
  return { status: response.status, ...(await response.json()) };
}

tell({
  version: process.versions.node.split(".")[0], // Node's own, as far as its behaviour goes
  string: (await run({ text: TEXTS[0] })).result,
  list: (await run({ text: TEXTS })).result,
  cls: (await run({ text: TEXTS, pooling: "cls" })).result,
  unknown_model: await run({ text: TEXTS }, UNKNOWN_MODEL),
  bad_input: await run({ text: "" }),
});
