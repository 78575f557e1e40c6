// Elements, made one by one: no text ever becomes markup, which the page's policy would refuse.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `on` has listeners, `vars` CSS variables; null and false are left out. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Make an SVG element. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, { on = {}, vars = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en");
const rounded = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** Write a whole number. */
export const count = (value) => whole.format(value);

/** Write a number with its noun: "1 text", "2 texts". */
export const many = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Write a duration in the unit that suits it. */
export function duration(seconds) {
  if (seconds >= 1) return `${rounded.format(seconds)} s`;
  return seconds >= 0.0001 ? `${rounded.format(seconds * 1000)} ms` : "0 ms";
}

/** Write a size in memory or on a disk. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${rounded.format(value / 1000 ** power)} ${units[power]}`;
}

/** Cut a text to what a label has room for. */
export function shorten(text, length) {
  const characters = [...text];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : text;
}

/** Call once nothing has happened for a while. */
export function debounce(waitMs, work) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(work, waitMs, ...values);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Decode a part of an address; one with a stray `%` stays as it is. */
export function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A sentence whose `names` are set as code. */
export const prose = (text) =>
  text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** A button that copies what `read` gives, and says so. */
export function copyButton(label, read) {
  const says = el("span", {}, label);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(read());
      says.textContent = "Copied";
    } catch {
      says.textContent = "Not allowed here: select the text";
    }
    setTimeout(() => (says.textContent = label), 2000);
  };
  return el(
    "button",
    { type: "button", class: "quiet copy", "aria-live": "polite", on: { click: copy } },
    says,
  );
}
