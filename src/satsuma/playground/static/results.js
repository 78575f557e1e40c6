// What a call gave: a line of facts, the heat map, the map, and the code for it.

import { showCode } from "./code.js";
import { $, copyButton, count, duration, el, many, shorten } from "./dom.js";
import { drawHeatMap } from "./heatmap.js";
import { drawMap, mark } from "./map.js";
import { findModel } from "./store.js";
import { cosines } from "./vectors.js";

/** Show what a call gave. `spentS`: seconds, as seen from here. */
export function showVectors(call, result, headers, spentS) {
  $("compare-error").replaceChildren();
  $("pictures").hidden = false;
  summarise(call, result, headers, spentS);
  const vectors = result.data;
  const values = cosines(vectors);
  const { pickPair, pickOne } = readouts(call.texts, values);
  drawHeatMap($("heat"), call.texts, values, pickPair);
  const shares = drawMap($("map"), call.texts, vectors, pickOne);
  const [first, second] = shares.map((share) => `${Math.round(100 * share)} %`);
  $("map-says").textContent =
    `The two directions in which they differ most: ${first} and ${second} of what there is.`;
  tellClosest(values, pickPair);
  showCode(call);
}

/** Some kinds of models answer neither their pooling nor how many tokens they read. */
function summarise(call, result, headers, spentS) {
  const [number, dimensions] = result.shape;
  const timing = Object.fromEntries(
    [...(headers.get("server-timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g)].map((one) => [
      one[1],
      one[2] / 1000,
    ]),
  );
  const precision = headers.get("x-satsuma-precision");
  const facts = el(
    "span",
    { class: "facts-row" },
    fact(many(number, "vector"), `of ${count(dimensions)} numbers`),
    fact(result.pooling ?? findModel(call.model)?.pooling, "pooling"),
    fact(precision, "precision"),
    fact(result.usage && count(result.usage.total_tokens), "tokens"),
    fact(
      duration(spentS),
      `inference ${duration(timing.inference ?? 0)}, queue ${duration(timing.queue ?? 0)}`,
    ),
  );
  $("summary").replaceChildren(
    facts,
    copyButton("Copy vectors", () => JSON.stringify(result.data)),
  );
}

const fact = (value, says) =>
  value ? el("span", { class: "fact" }, el("b", {}, value), " ", el("span", {}, says)) : null;

const brief = (text) => shorten(text, 90);

/** Tell of the pair or the text that is looked at, in both pictures. */
function readouts(texts, values) {
  const nearest = (i) =>
    values[i].reduce(
      (best, value, j) => (j !== i && (best < 0 || value > values[i][best]) ? j : best),
      -1,
    );
  const pickPair = (i, j) => {
    $("heat-readout").replaceChildren(
      el("b", {}, values[i][j].toFixed(4)),
      ` ${brief(texts[i])}`,
      el("span", { class: "with" }, " with "),
      brief(texts[j]),
    );
    mark($("map"), i, j);
  };
  const pickOne = (i) => {
    const j = nearest(i);
    mark($("map"), i, j);
    $("map-readout").replaceChildren(
      el("b", {}, brief(texts[i])),
      ...(j < 0
        ? []
        : [
            el("span", { class: "with" }, " nearest: "),
            `${brief(texts[j])} (${values[i][j].toFixed(2)})`,
          ]),
    );
  };
  return { pickPair, pickOne };
}

/** Before anybody looks at a pair: the closest one. */
function tellClosest(values, pickPair) {
  let best = null;
  values.forEach((line, i) =>
    line.forEach((value, j) => {
      if (i < j && (!best || value > best.value)) best = { value, i, j };
    }),
  );
  $("heat-readout").textContent = "";
  $("map-readout").textContent =
    "Point at a text, or walk there with Tab, to see which is nearest.";
  if (!best) return;
  pickPair(best.i, best.j);
  $("heat-readout").prepend(el("span", { class: "with" }, "Closest: "));
  mark($("map"), -1, -1);
}
