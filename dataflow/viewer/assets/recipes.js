// How an entry of a node comes from entries of others: the numbers in the place of the symbols, and which they are.

const SUM = 1;
const PRODUCT = 2;
const POWER = 3;
const ATOM = 4;
const MOST_TERMS = 6; // of a longer sum the first two and the last are written
const LONGEST_LINE = 150;
const LEFT_OUT = "?"; // an entry that is not in the page

const INFIX = {
  add: ["+", SUM],
  subtract: ["−", SUM],
  multiply: ["·", PRODUCT],
  divide: [" / ", PRODUCT],
  greater: [" > ", 0],
  greater_equal: [" ≥ ", 0],
  less: [" < ", 0],
  less_equal: [" ≤ ", 0],
  equal: [" = ", 0],
  not_equal: [" ≠ ", 0],
};
const FUNCTIONS = { sigmoid: "σ", log: "ln", maximum: "max", minimum: "min" };
const ZERO_FIRST = { relu: "max" }; // relu(z) is max(0, z)
const SUPERSCRIPT = { 2: "²", 3: "³" };

class NoWorking extends Error {}

/** ``{ text, sources }`` of an entry by its number: numbers for symbols, and the entries ``[node, number]`` they are.
 * The text is null where it is long, or a number is not in the page; all is null where there is no recipe. */
function workingOf(pass, node, number) {
  const { recipe } = data.nodes[node];
  const value = valueOf(pass, node);
  if (!recipe || !value) return null;
  const sources = [];
  try {
    const shape = shapeOf(pass, recipe);
    if (count(shape) !== count(value.shape)) return null;
    const { text } = written(pass, recipe, placeOf(shape, number), sources);
    return { text: text.length > LONGEST_LINE || text.includes(LEFT_OUT) ? null : text, sources };
  } catch (error) {
    if (error instanceof NoWorking) return null;
    throw error;
  }
}

function count(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

const isNumber = (recipe) => typeof recipe !== "object" || recipe === null;

function shapeOf(pass, recipe) {
  if (isNumber(recipe)) return [];
  if (recipe.node !== undefined) {
    const value = valueOf(pass, recipe.node);
    if (!value) throw new NoWorking();
    return value.shape;
  }
  const shapes = recipe.of.map((one) => shapeOf(pass, one));
  const [first, second] = shapes;
  if (recipe.entries) return [];
  switch (recipe.op) {
    case "matmul": {
      const left = first.length > 1 ? first.slice(0, -1) : [];
      const right = second.length > 1 ? second.slice(-1) : [];
      if (second.length > 2) throw new NoWorking();
      return [...left, ...right];
    }
    case "transpose":
      return recipe.axes.map((axis) => first[axis]);
    case "add.reduce":
    case "maximum.reduce":
      return first.flatMap((size, i) => (recipe.axes.includes(i) ? (recipe.keepdims ? [1] : []) : [size]));
    case "expand_dims":
      return first.toSpliced(recipe.axis, 0, 1);
    case "stack":
      return first.toSpliced(recipe.axis, 0, shapes.length);
    case "index":
      return recipe.key.flatMap((item, i) => (typeof item === "number" ? [] : [sliced(item, first[i]).length]));
    default:
      if (/reduce$/.test(recipe.op)) throw new NoWorking();
      return shapes.reduce(broadcast, []);
  }
}

function broadcast(a, b) {
  const length = Math.max(a.length, b.length);
  const padded = (shape) => [...Array(length - shape.length).fill(1), ...shape];
  const [left, right] = [padded(a), padded(b)];
  return left.map((size, i) => (size === 1 ? right[i] : size));
}

/** The places along an axis that a slice takes, as Python counts them. */
function sliced([start, stop, step], size) {
  step ??= 1;
  const bound = (value, otherwise) => {
    if (value === null) return otherwise;
    const at = value < 0 ? value + size : value;
    return step > 0 ? Math.min(Math.max(at, 0), size) : Math.min(Math.max(at, -1), size - 1);
  };
  const places = [];
  const [first, last] = [bound(start, step > 0 ? 0 : size - 1), bound(stop, step > 0 ? size : -1)];
  for (let i = first; step > 0 ? i < last : i > last; i += step) places.push(i);
  return places;
}

/** The place of a broadcast argument. */
function within(place, shape) {
  return place.slice(place.length - shape.length).map((at, i) => (shape[i] === 1 ? 0 : at));
}

function numeral(value) {
  const text = format(value);
  return { text, level: ATOM, negative: text.startsWith("−") };
}

/** The text of an entry, with how strongly it binds. */
function written(pass, recipe, place, sources) {
  if (isNumber(recipe)) return numeral(recipe);
  if (recipe.node !== undefined) return leaf(pass, recipe.node, place, sources);
  const at = (i, there) => written(pass, recipe.of[i], there, sources);
  const shapes = recipe.of.map((one) => shapeOf(pass, one));
  const [first, second] = shapes;
  if (recipe.entries) return numeral(count(recipe.entries.map((axis) => first[axis])));
  switch (recipe.op) {
    case "matmul": {
      const inner = first.at(-1);
      const row = first.length > 1 ? place.slice(0, first.length - 1) : [];
      const column = second.length > 1 ? place.slice(-1) : [];
      const terms = (k) => joined("·", PRODUCT, at(0, [...row, k]), at(1, [k, ...column]));
      return summed(inner, terms);
    }
    case "transpose":
      return at(0, first.map((_, axis) => place[recipe.axes.indexOf(axis)]));
    case "expand_dims":
      return at(0, place.toSpliced(recipe.axis, 1));
    case "stack":
      return at(place[recipe.axis], place.toSpliced(recipe.axis, 1));
    case "index": {
      const rest = [...place];
      return at(0, recipe.key.map((item, i) => indexed(item, first[i], rest)));
    }
    case "add.reduce":
    case "maximum.reduce": {
      const reduced = recipe.axes.map((axis) => first[axis]);
      const kept = recipe.keepdims ? place.filter((_, i) => !recipe.axes.includes(i)) : place;
      const there = (k) => {
        const [inside, outside] = [placeOf(reduced, k), [...kept]];
        return first.map((_, axis) => (recipe.axes.includes(axis) ? inside.shift() : outside.shift()));
      };
      const total = count(reduced);
      if (recipe.op === "maximum.reduce") return called("max", several(total, (k) => at(0, there(k)).text));
      return summed(total, (k) => at(0, there(k)));
    }
    case "softmax":
    case "log_softmax": {
      const power = (k) => called("exp", [at(0, place.with(recipe.axis, k)).text]);
      const all = summed(first[recipe.axis], power);
      if (recipe.op === "softmax") return joined(" / ", PRODUCT, power(place[recipe.axis]), all);
      return joined("−", SUM, at(0, place), called("ln", [all.text]));
    }
    default:
      return elementwise(recipe, shapes, place, at);
  }
}

function indexed(item, size, rest) {
  if (typeof item === "number") return item < 0 ? item + size : item;
  return sliced(item, size)[rest.shift()];
}

function leaf(pass, node, place, sources) {
  const value = valueOf(pass, node);
  const number = place.reduce((sum, at, i) => sum * value.shape[i] + at, 0);
  sources.push([node, number]);
  const cell = cellAt(value, number);
  return cell === undefined ? { text: LEFT_OUT, level: ATOM } : numeral(cell);
}

/** A cell by its number in row-major order; undefined where it was left out of the page. */
function cellAt(found, number) {
  const { columns, down, across } = grid(found);
  const [m, n] = [down.indexOf(Math.floor(number / columns)), across.indexOf(number % columns)];
  return m < 0 || n < 0 ? undefined : found.cells[m * across.length + n];
}

function elementwise({ op, of }, shapes, place, at) {
  const parts = of.map((_, i) => at(i, within(place, shapes[i])));
  if (op === "negative") return { text: `−${inside(parts[0], PRODUCT)}`, level: SUM, negative: true };
  if (op === "identity" || op === "cast") return parts[0];
  if (op === "multiply" && JSON.stringify(of[0]) === JSON.stringify(of[1])) return raised(parts[0], "2");
  if (op === "power") return raised(...[parts[0], parts[1].text]);
  if (op === "abs") return { text: `|${parts[0].text}|`, level: ATOM };
  if (op === "divide" && of[1]?.entries && parts[1].text === "1") return parts[0]; // a mean over one
  if (op in INFIX) return joined(...INFIX[op], ...parts);
  if (op in ZERO_FIRST) return called(ZERO_FIRST[op], ["0", ...parts.map((part) => part.text)]);
  return called(FUNCTIONS[op] ?? op, parts.map((part) => part.text));
}

function raised(base, exponent) {
  const text = inside(base, ATOM);
  return { text: SUPERSCRIPT[exponent] ? text + SUPERSCRIPT[exponent] : `${text}^${exponent}`, level: POWER };
}

function called(name, parts) {
  return { text: `${name}(${parts.join(", ")})`, level: ATOM };
}

/** A part as it stands in an operation that binds as strongly as ``level``. */
function inside(part, level) {
  return part.negative || part.level < level ? `(${part.text})` : part.text;
}

function joined(sign, level, left, right) {
  const strict = sign === "−" || sign === " / "; // a − (b − c)
  const first = level === SUM ? left.text : inside(left, level);
  const text = `${first}${level === SUM ? ` ${sign} ` : sign}${inside(right, strict ? level + 1 : level)}`;
  return { text, level, negative: level === SUM && left.negative };
}

function several(total, one) {
  const all = Array.from({ length: total }, (_, k) => one(k));
  return total > MOST_TERMS ? [...all.slice(0, 2), "…", all.at(-1)] : all;
}

function summed(total, term) {
  if (total === 1) return term(0);
  const terms = Array.from({ length: total }, (_, k) => term(k));
  if (!total) return numeral(0);
  if (total <= MOST_TERMS) return terms.reduce((sum, one) => joined("+", SUM, sum, one));
  const dots = { text: "…", level: ATOM };
  return [...terms.slice(0, 2), dots, terms.at(-1)].reduce((sum, one) => joined("+", SUM, sum, one));
}
