// Try to call an address beyond this machine.

import { tell } from "./program.mjs";

const outside = "http://192.0.2.1/"; // of TEST-NET-1, where nobody is
const failure = await fetch(outside, { signal: AbortSignal.timeout(20_000) }).catch((error) => error);
tell({ fetch: { class: failure.constructor.name, message: String(failure.cause?.message) } });
