// The `cloudflare` package: what there is, and whether the token is good.

import Cloudflare from "cloudflare";
import {
  ACCOUNT, MODEL, SERVER, TOKEN, UNKNOWN_MODEL, refusal, tell, version,
} from "./program.mjs";

const client = new Cloudflare({ apiToken: TOKEN, baseURL: `${SERVER}/client/v4` });
const account = { account_id: ACCOUNT };

// Iterating asks for one page after another until one is empty.
const all = (pages) => Array.fromAsync(pages);

tell({
  version: version("cloudflare"),
  models: await all(client.ai.models.list(account)),
  found: await all(client.ai.models.list({ ...account, search: "bge-base" })),
  schema: await client.ai.models.schema.get({ ...account, model: MODEL }),
  tasks: await all(client.ai.tasks.list(account)),
  authors: await all(client.ai.authors.list(account)),
  token: await client.user.tokens.verify(),
  unknown_schema: await refusal(() => client.ai.models.schema.get({ ...account, model: UNKNOWN_MODEL })),
});
