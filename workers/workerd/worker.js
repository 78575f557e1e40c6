export default {
  async fetch(request, env) {
    const text = new URL(request.url).searchParams.getAll("text");
    return Response.json(await env.AI.run("@cf/baai/bge-base-en-v1.5", { text }));
  },
};
