// The `openai` package, with nothing but its base URL changed.

import OpenAI from "openai";
import {
  ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, TOKEN_IDS, UNKNOWN_MODEL, refusal, tell, version,
} from "./program.mjs";

const client = new OpenAI({ apiKey: TOKEN, baseURL: `${SERVER}/client/v4/accounts/${ACCOUNT}/ai/v1` });
const plain = new OpenAI({ apiKey: TOKEN, baseURL: `${SERVER}/v1` }); // where other servers are

// The package itself asks for base64 and decodes it, unless told otherwise.
const embed = (input, more = {}, by = client) =>
  by.embeddings.create({ model: MODEL, input, ...more });

tell({
  version: version("openai"),
  string: await embed(TEXTS[0]),
  list: await embed(TEXTS),
  floats: await embed(TEXTS, { encoding_format: "float" }),
  base64: await embed(TEXTS, { encoding_format: "base64" }),
  cls: await embed(TEXTS, { pooling: "cls" }),
  token_ids: await embed(TOKEN_IDS[0]),
  token_id_lists: await embed(TOKEN_IDS),
  plain: await embed(TEXTS, {}, plain),
  by_environment: await embed(TEXTS, {}, new OpenAI()), // OPENAI_BASE_URL, OPENAI_API_KEY
  models: (await client.models.list()).data,
  model: await client.models.retrieve(MODEL),
  unknown_model: await refusal(() => embed(TEXTS, { model: UNKNOWN_MODEL })),
  bad_input: await refusal(() => embed("")),
  dimensions: await refusal(() => embed(TEXTS, { dimensions: 5 })),
  model_not_listed: await refusal(() => client.models.retrieve(UNKNOWN_MODEL)),
});
