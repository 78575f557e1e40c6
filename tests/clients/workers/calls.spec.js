import { env, exports } from "cloudflare:workers";
import { expect, inject, test } from "vitest";

import { calls } from "./calls.js";

test("env.AI inside the test, and inside the Worker", async ({ task }) => {
  const given = inject("given");
  task.meta.seen = await calls(env.AI, given);
  const answer = await exports.default.fetch("http://x/", { method: "POST", body: JSON.stringify(given) });
  expect((await answer.json()).direct.answer).toEqual(task.meta.seen.direct.answer);
});
