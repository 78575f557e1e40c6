// What a model takes, read from the JSON Schema that the server serves and validates by.

const formsOf = (input) => input.oneOf ?? [input];

const isListOfTexts = ({ items, maxItems }) =>
  items && maxItems && ((items.type === "string" && !items.enum) || items.properties?.text);

/** List the members that hold texts, and how many each may have at most: `[["text", 100]]`. */
export function mostTexts(input) {
  const members = formsOf(input).flatMap((form) => Object.entries(form.properties ?? {}));
  return members.flatMap(([name, one]) => {
    const list = [one, ...(one.oneOf ?? [])].find(isListOfTexts);
    return list ? [[name, list.maxItems]] : [];
  });
}

/** Give the schema of the poolings to choose from; null where there is no choice. */
export function poolingsOf(input) {
  const found = formsOf(input).map((form) => form.properties?.pooling);
  return found.find((one) => one?.enum) ?? null;
}
