// What the package's `Ai` sends and makes of odd answers, over a fetch that only takes notes.
import { Ai } from "../../../workers/index.js";

const sent = [];
let answer = () => Response.json({ success: true, result: [] });
const fetch = async (url, init) => {
  sent.push({ url, headers: Object.fromEntries(init.headers) });
  return answer();
};
const ai = new Ai({ baseUrl: "http://x/client/v4/", accountId: "a b", token: " t \n", fetch });
const tell = (call) => call.catch((error) => `${error.name}: ${error.message}`);

await ai.run("@cf/a#b?c/d", { text: "a" }, null);
await ai.run("m", { text: "a" }, { prefix: "p", gateway: { id: "g", skipCache: true, retries: { maxAttempts: 2 } } });
await ai.models({ search: undefined, page: 2 });
await ai.models(null);
const escaped = await tell(ai.run("../../tokens", { text: "a" }));
answer = () => new Response(null, { status: 204 });
const empty = await tell(ai.run("m", { text: "a" }));
const emptyRaw = (await ai.run("m", { text: "a" }, { returnRawResponse: true })).status;
answer = () => new Response("<html>", { status: 502 });
const html = await tell(ai.models());
console.log(JSON.stringify({ sent: sent.slice(0, 4), escaped, empty, emptyRaw, html }));
