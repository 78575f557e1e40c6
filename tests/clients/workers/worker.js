import { calls } from "./calls.js";

export default {
  async fetch(request, env) {
    if (request.method === "GET") return Response.json("ready");
    return Response.json(await calls(env.AI, await request.json()));
  },
};
