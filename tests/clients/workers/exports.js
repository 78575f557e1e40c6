// The names that each entry of package.json really has, without the types.
import { readFileSync } from "node:fs";

const root = new URL("../../../workers/", import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
const entries = Object.values(exports).filter((entry) => entry.types);
const modules = await Promise.all(entries.map((entry) => import(new URL(entry.default, root))));
console.log(JSON.stringify(Object.fromEntries(entries.map(({ types }, at) => [types, Object.keys(modules[at])]))));
