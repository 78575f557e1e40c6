const server = process.env.SATSUMA_URL ?? "http://127.0.0.1:7768";
const account = process.env.CLOUDFLARE_ACCOUNT_ID ?? "local";
const token = process.env.CLOUDFLARE_API_TOKEN ?? "none";

async function run(model, input) {
  const response = await fetch(`${server}/client/v4/accounts/${account}/ai/run/${model}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
    body: JSON.stringify(input),
  });
  const answer = await response.json();
  if (!answer.success) throw new Error(answer.errors[0].message);
  return answer.result;
}

const result = await run("@cf/baai/bge-base-en-v1.5", { text: process.argv.slice(2) });
console.log(JSON.stringify(result));
