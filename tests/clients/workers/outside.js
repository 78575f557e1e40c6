// The package's own `Ai`, of several settings: what a run and a listing give, or how they fail.
import { Ai } from "../../../workers/index.js";

const { GIVEN, MODEL } = process.env;
const seen = {};
for (const { name, ...settings } of JSON.parse(GIVEN)) {
  const tell = (call) => call.catch((error) => ({ name: error.name, message: error.message }));
  try {
    const ai = new Ai(settings);
    seen[name] = { run: await tell(ai.run(MODEL, { text: "hello world" })), models: await tell(ai.models()) };
  } catch (error) {
    seen[name] = error.message;
  }
}
console.log(JSON.stringify(seen));
