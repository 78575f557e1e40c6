// `@langchain/cloudflare`, which takes a Worker's binding and nothing else: outside a Worker, an
// object with the binding's `run`, here a few lines over fetch.

import { CloudflareWorkersAIEmbeddings } from "@langchain/cloudflare";
import {
  ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version,
} from "./program.mjs";

let numRefused = 0;
const binding = {
  async run(model, inputs) {
    const answer = await fetch(`${SERVER}/client/v4/accounts/${ACCOUNT}/ai/run/${model}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify(inputs),
    });
    const { result, errors } = await answer.json();
    if (answer.ok) return result;
    numRefused += 1;
    // LangChain does not retry an error that has the status of a bad request.
    throw Object.assign(new Error(errors[0].message), { status: answer.status });
  },
};
const embeddings = (model) => new CloudflareWorkersAIEmbeddings({ binding, model });

tell({
  version: version("@langchain/cloudflare"),
  query: await embeddings(MODEL).embedQuery(TEXTS[0]),
  documents: await embeddings(MODEL).embedDocuments(TEXTS),
  unknown_model: await refusal(() => embeddings(UNKNOWN_MODEL).embedQuery(TEXTS[0])),
  num_refused: numRefused,
});
