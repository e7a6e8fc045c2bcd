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

/** A number as people read it; the words nan, inf and -inf stay. */
function format(value, digits = DIGITS) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e9) return String(Number(value.toPrecision(digits)));
  return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
}

function sizes(shape) {
  return shape.length ? shape.join("×") : "scalar";
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function nameOf(node) {
  return data.nodes[node].name;
}

function partial(of, wrt) {
  return `∂${nameOf(of)}/∂${nameOf(wrt)}`;
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
