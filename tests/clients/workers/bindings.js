// Several bindings in one Worker of Miniflare: what each gives, and what none of them has.
import { Miniflare } from "miniflare";

import { ai } from "../../../workers/miniflare.js";

const script = `
  const tell = async (call) => {
    try {
      const answer = await call();
      return answer instanceof Response ? { status: answer.status, text: await answer.text() } : answer;
    } catch (error) {
      return { name: error.name, message: error.message };
    }
  };
  const missing = (AI, model) => ({
    toMarkdown: () => AI.toMarkdown([{ name: "a", blob: new Blob(["a"]) }]),
    autorag: () => AI.autorag("a").search({ query: "a" }),
    aiSearch: () => AI.aiSearch().list(),
    gateway: () => AI.gateway("a").getUrl(),
    "gateway.run": () => AI.gateway("a").run({ provider: "a", endpoint: "a", headers: {}, query: {} }),
    websocket: () => AI.run(model, { text: "a" }, { websocket: true }),
    supported: () => AI.toMarkdown().supported(),
  });
  export default {
    async fetch(request, env) {
      const { names, model } = await request.json();
      const seen = { missing: {} };
      for (const name of names) {
        const run = await tell(() => env[name].run(model, { text: "hello world" }));
        seen[name] = { run, models: await tell(() => env[name].models({ search: "minilm" })) };
      }
      for (const [name, call] of Object.entries(missing(env[names[0]], model))) {
        seen.missing[name] = await tell(call);
      }
      return Response.json(seen);
    },
  };
`;
const given = JSON.parse(process.env.GIVEN); // [{ binding, url, token }, ...]
const worker = { modules: true, script, compatibilityDate: "2026-07-01", cf: false };
const miniflare = new Miniflare({ ...worker, unsafeBindings: given.map(ai) });
const names = given.map(({ binding }) => binding);
const body = JSON.stringify({ names, model: process.env.MODEL });
const answer = await miniflare.dispatchFetch("http://x/", { method: "POST", body });
const seen = await answer.json();
const proxy = (await miniflare.getBindings())[names[0]];
seen.fromNode = await proxy.run("@cf/none", { text: "a" }).catch(({ name, message }) => ({ name, message }));
await miniflare.dispose();
console.log(JSON.stringify(seen));
