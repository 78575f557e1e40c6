import { Ai } from "@cloudflare/ai";

const MODEL = "@cf/baai/bge-base-en-v1.5";

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const texts = searchParams.getAll("text"); // /?text=first&text=second
    const text = texts.length > 0 ? texts : ["hello world"];
    const ai = pathname === "/sdk" ? new Ai(env.AI) : env.AI; // the SDK, or the binding itself
    return Response.json(await ai.run(MODEL, { text }));
  },
};
