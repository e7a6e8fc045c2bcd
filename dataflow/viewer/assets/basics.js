// The data of the page, elements, and numbers as text. Whatever comes from a model enters the page as text.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DIGITS = 6;

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes and children; a child that is a string is text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function replaceChildren(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null));
}

/** A number as people read it; the words nan and inf stay. */
function format(value, digits = DIGITS) {
  return minus(digitsOf(value, digits));
}

function digitsOf(value, digits) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e9) return String(Number(value.toPrecision(digits)));
  return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
}

/** With the sign of mathematics. */
function minus(text) {
  return text.replaceAll("-", "−");
}

function sizes(shape) {
  return shape.length ? shape.join("×") : "scalar";
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** What a node is called in the model's file. */
function nameOf(node) {
  return data.nodes[node].name;
}

/** The symbol of a node. */
function textOf(node) {
  return data.nodes[node].text;
}

function partial(of, wrt) {
  return `∂${textOf(of)}/∂${textOf(wrt)}`;
}

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** The place of an entry, by its number in row-major order. */
function placeOf(shape, number) {
  const place = [];
  for (const size of [...shape].reverse()) {
    place.unshift(number % size);
    number = Math.floor(number / size);
  }
  return place;
}

/** The symbol of an entry: ``W⁽¹⁾₁₂``, or as in the file, ``W1[0, 1]``. Of one example, the batch has no axis. */
function entryName(pass, node, number) {
  const { symbol, by_example: byExample } = data.nodes[node];
  const shape = valueOf(pass, node)?.shape ?? [];
  const place = placeOf(shape, number);
  const example = byExample ? place[0] : null;
  const [sizes, at] = byExample ? [shape.slice(1), place.slice(1)] : [shape, place];
  if (symbol[2] && count(shape) > 1) return symbolAt(symbol, place);
  const name = sizes.every((size) => size === 1) ? textOf(node) : symbolAt(symbol, at);
  return byExample && pass.example === null && shape[0] > 1 ? `${name} (ex. ${example})` : name;
}

function symbolAt([text, below, isRaw], place) {
  if (isRaw) return `${text}${below}[${place.join(", ")}]`;
  const numbers = place.map((i) => [...String(i + 1)].map((digit) => SUBSCRIPTS[digit]).join(""));
  return text + (below ? `${below},` : "") + numbers.join(place.some((i) => i > 8) ? "," : "");
}

/** A value of a node in a pass: undefined where it was not computed. */
function valueOf(pass, node) {
  return data.fixed.values[node] ?? pass.values[node];
}

function shortValue(pass, node) {
  return data.fixed.short[node] ?? pass.short[node];
}

/** Why a value is not there. */
function missing(pass, node) {
  const inputs = pass.missing[node] ?? [];
  if (data.nodes[node].kind === "input") return "not given";
  return inputs.length ? `not computed: it needs ${inputs.join(", ")}` : "not computed";
}
