// What people type -> texts: one a line, or a JSON list.

/** Read a list; `problem` says what is wrong with it, "" if nothing. */
export function readTexts(typed, most) {
  const { texts, problem } = typed.trimStart().startsWith("[")
    ? readJson(typed)
    : { texts: readLines(typed), problem: "" };
  if (problem) return { texts: [], problem };
  if (texts.length > most)
    return { texts, problem: `${texts.length} texts are more than the ${most} that fit here.` };
  return { texts, problem: "" };
}

const readLines = (typed) =>
  typed
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);

function readJson(typed) {
  let value;
  try {
    value = JSON.parse(typed);
  } catch {
    return {
      texts: readLines(typed),
      problem: looksLikeLines(typed) ? "" : "This begins as a JSON list and is none yet.",
    };
  }
  const isList =
    Array.isArray(value) && value.every((one) => typeof one === "string" && one !== "");
  return isList
    ? { texts: value, problem: "" }
    : { texts: [], problem: "A list holds texts in quotes, none of them empty." };
}

// "[draft] some words" is a line like any other.
const looksLikeLines = (typed) => !/^\s*\[\s*("|$)/.test(typed);
