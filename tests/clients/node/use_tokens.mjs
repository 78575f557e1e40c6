// Three packages against a server that asks for a token: the right one, a wrong one.

import { embedMany } from "ai";
import Cloudflare from "cloudflare";
import OpenAI from "openai";
import { createWorkersAI } from "workers-ai-provider";
import { ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, WRONG_TOKEN, refusal, tell, version } from "./program.mjs";

async function byCloudflare(apiToken) {
  const client = new Cloudflare({ apiToken, baseURL: `${SERVER}/client/v4` });
  return (await client.ai.run(MODEL, { account_id: ACCOUNT, text: TEXTS })).data;
}

async function byOpenAI(apiKey) {
  const client = new OpenAI({ apiKey, baseURL: `${SERVER}/client/v4/accounts/${ACCOUNT}/ai/v1` });
  const { data } = await client.embeddings.create({ model: MODEL, input: TEXTS });
  return data.map((one) => one.embedding);
}

async function byAiSdk(apiKey) {
  const toServer = (url) => String(url).replace("https://api.cloudflare.com", SERVER);
  const fetchThere = (url, init) => fetch(toServer(url), init);
  const workersai = createWorkersAI({ accountId: ACCOUNT, apiKey, fetch: fetchThere });
  return (await embedMany({ model: workersai.embedding(MODEL), values: TEXTS })).embeddings;
}

async function verified(apiToken) {
  const client = new Cloudflare({ apiToken, baseURL: `${SERVER}/client/v4` });
  return (await client.user.tokens.verify()).status;
}

const calls = { cloudflare: byCloudflare, openai: byOpenAI, "workers-ai-provider": byAiSdk };
const outcome = {
  versions: {}, right: {}, wrong: {},
  verified: await verified(TOKEN),
  not_verified: await refusal(() => verified(WRONG_TOKEN)),
};
for (const [name, call] of Object.entries(calls)) {
  outcome.versions[name] = version(name);
  outcome.right[name] = await call(TOKEN);
  outcome.wrong[name] = await refusal(() => call(WRONG_TOKEN));
}
tell(outcome);
