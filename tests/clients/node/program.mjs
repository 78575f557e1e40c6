// What every program here needs: where the server is, what to embed, and how to tell of it.

import { readFileSync } from "node:fs";

const { env } = process;

export const SERVER = env.SERVER_URL;
export const ACCOUNT = env.ACCOUNT_ID;
export const TOKEN = env.API_TOKEN;
export const WRONG_TOKEN = env.WRONG_TOKEN;
export const MODEL = env.MODEL;
export const UNKNOWN_MODEL = env.UNKNOWN_MODEL;
export const TEXTS = JSON.parse(env.TEXTS);
export const TOKEN_IDS = JSON.parse(env.TOKEN_IDS); // of TEXTS, without [CLS] and [SEP]

// Which release is installed here; packages do not export their package.json.
export function version(name) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")).version;
}

// What a call throws, as somebody who catches it would see it.
export async function refusal(call) {
  try {
    return { class: null, returned: String(await call()) };
  } catch (error) {
    const { status, statusCode, code, param, errors, message, isRetryable } = error;
    return {
      class: error.constructor.name,
      status: status ?? statusCode ?? null,
      code: code ?? null,
      param: param ?? null,
      errors: Array.isArray(errors) ? errors : [],
      message,
      isRetryable,
    };
  }
}

export function tell(outcome) {
  console.log(JSON.stringify(outcome));
}
