// `workers-ai-provider` with the AI SDK, by the provider's own `fetch` setting.

import { embed, embedMany } from "ai";
import { createWorkersAI } from "workers-ai-provider";
import {
  ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version,
} from "./program.mjs";

const workersai = createWorkersAI({
  accountId: ACCOUNT,
  apiKey: TOKEN,
  fetch: (url, init) => fetch(String(url).replace("https://api.cloudflare.com", SERVER), init),
});
const model = workersai.embedding(MODEL);
const bounded = workersai.embedding(MODEL, { maxEmbeddingsPerCall: 2 });
const unknown = workersai.embedding(UNKNOWN_MODEL);

tell({
  version: version("workers-ai-provider"),
  ai_version: version("ai"),
  one: (await embed({ model, value: TEXTS[0] })).embedding,
  many: (await embedMany({ model, values: TEXTS })).embeddings,
  in_calls_of_two: (await embedMany({ model: bounded, values: TEXTS })).embeddings,
  unknown_model: await refusal(() => embed({ model: unknown, value: TEXTS[0] })),
  // The provider's own bound is 3,000 texts a call; the service's is 100.
  too_many: await refusal(() => embedMany({ model, values: Array(101).fill(TEXTS[0]) })),
  bad_input: await refusal(() => embedMany({ model, values: [""] })),
});
