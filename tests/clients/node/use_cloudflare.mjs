// The `cloudflare` package: client.ai.run and the catalog, as its README calls the API.

import Cloudflare from "cloudflare";
import {
  ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version,
} from "./program.mjs";

const client = new Cloudflare({ apiToken: TOKEN, baseURL: `${SERVER}/client/v4` });

const run = (inputs, model = MODEL, by = client) =>
  by.ai.run(model, { account_id: ACCOUNT, ...inputs });

tell({
  version: version("cloudflare"),
  string: await run({ text: TEXTS[0] }),
  list: await run({ text: TEXTS }),
  cls: await run({ text: TEXTS, pooling: "cls" }),
  by_environment: await run({ text: TEXTS }, MODEL, new Cloudflare()), // CLOUDFLARE_BASE_URL, _API_TOKEN
  unknown_model: await refusal(() => run({ text: TEXTS[0] }, UNKNOWN_MODEL)),
  bad_input: await refusal(() => run({ text: "" })),
});
