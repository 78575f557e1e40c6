// The package's own `Ai`, in plain Node: the same calls, without Cloudflare's SDK around it.
import { Ai } from "../../../workers/index.js";
import { calls } from "./calls.js";

const { SATSUMA_URL: baseUrl, SATSUMA_TOKEN: token, ACCOUNT_ID: accountId, GIVEN } = process.env;
const ai = new Ai({ baseUrl, accountId, token });
console.log(JSON.stringify(await calls(ai, JSON.parse(GIVEN))));
