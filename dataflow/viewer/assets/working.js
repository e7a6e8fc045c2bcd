// What an entry is made of: pointing at it, or moving the focus to it, lights its row and its column, and writes the line.

/** The line under a step, of the entry that is pointed at, and of the first until then. */
function workingLine() {
  return element("p", { class: "working", "aria-live": "polite" });
}

function connectWorking() {
  const card = byId("step");
  const entryOf = (event) => event.target.closest?.("[data-made] td[data-i]");
  for (const kind of ["pointerover", "focusin"]) {
    card.addEventListener(kind, (event) => entryOf(event) && light(entryOf(event)));
  }
  card.addEventListener("pointerleave", () => light(card.querySelector("[data-made] td:focus")));
  card.addEventListener("keydown", (event) => {
    const cell = entryOf(event);
    const [down, across] = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key] ?? [0, 0];
    if (!cell || (!down && !across)) return;
    event.preventDefault();
    event.stopPropagation();
    const rows = [...cell.closest("table").querySelectorAll("tr")].map((row) => [...row.querySelectorAll("td[data-i]")]);
    const filled = rows.filter((row) => row.length);
    const at = filled.findIndex((row) => row.includes(cell));
    const next = filled[at + down]?.[filled[at].indexOf(cell) + across];
    if (!next) return;
    cell.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

/** Light what an entry is made of; without one, nothing is lit, and the line is that of the first entry. */
function light(cell) {
  const card = byId("step");
  for (const lit of card.querySelectorAll(".lit, .pointed")) lit.classList.remove("lit", "pointed");
  const line = card.querySelector(".working");
  const box = (cell ?? card).closest?.("[data-made]") ?? card.querySelector(".result [data-made=value], .result [data-made=term]");
  if (!line || !box) return;
  const first = box.querySelector("td[data-i]");
  const chosen = cell ?? first;
  const [i, j] = chosen ? [Number(chosen.dataset.i), Number(chosen.dataset.j)] : [0, 0];
  const found = explain(data.passes[state.pass], state.steps[state.step], box.dataset.made, i, j);
  line.textContent = found.text;
  line.hidden = !found.text;
  if (!cell) return;
  cell.classList.add("pointed");
  for (const [name, fits] of found.lights) {
    for (const one of card.querySelectorAll(`[data-of="${name}"] td[data-i]`)) {
      if (fits(Number(one.dataset.i), Number(one.dataset.j))) one.classList.add("lit");
    }
  }
}

/** The line of an entry, and which entries of which matrices it is made of. */
function explain(pass, step, made, i, j) {
  if (made === "value") return explainValue(pass, step.node, i, j);
  const { of, wrt } = data.factors[step.factor];
  const entry = (node, number) => entryName(pass, node, number);
  if (made === "factor") {
    const name = `∂${entry(of, i)}/∂${entry(wrt, j)}`;
    const value = cellOf(pass.factors[step.factor], i, j);
    const numbers = factorNumbers(pass, data.factors[step.factor], pass.factors[step.factor], i, j);
    const lights = numbers ? numbers.sources.map((source) => lightOf(pass, ...source)) : [];
    const middle = numbers && numbers.text !== format(value) ? `${numbers.text} = ` : "";
    return { text: `${name} = ${middle}${format(value)}`, lights };
  }
  const [left, factor] = [pass.cotangents[of], pass.factors[step.factor]];
  const pairs = Array.from({ length: factor.shape[0] }, (_, k) => [cellOf(left, i, k), cellOf(factor, k, j)]);
  const some = pairs.filter(([a, b]) => a !== 0 && b !== 0); // in a long sum, terms of 0 are left out
  const terms = (pairs.length > MOST_TERMS && some.length ? some : pairs).map(([a, b]) =>
    a === undefined || b === undefined ? null : joined("·", PRODUCT, numeral(a), numeral(b)),
  );
  const sum = terms.includes(null) ? null : summed(terms.length, (k) => terms[k]).text;
  const name = `∂${entry(data.of, i)}/∂${entry(wrt, j)}`;
  const value = format(cellOf(termOf(pass, step.factor), i, j));
  return {
    text: `${step.terms > 1 ? `term ${step.term} of ${name}` : name} = ${sum === null ? "" : `${sum} = `}${value}`,
    lights: [
      ["left", (row) => row === i],
      ["factor", (row, column) => column === j],
    ],
  };
}

function explainValue(pass, node, i, j) {
  const value = valueOf(pass, node);
  const number = i * sides(value.shape)[1] + j;
  const found = workingOf(pass, node, number);
  const shown = format(cellAt(value, number));
  const middle = found?.text && found.text !== shown ? `${found.text} = ` : "";
  const lights = found
    ? found.sources.map((source) => lightOf(pass, ...source))
    : data.nodes[node].arguments.map((one) => [`value ${one}`, () => true]);
  return { text: `${entryName(pass, node, number)} = ${middle}${shown}`, lights };
}

function lightOf(pass, node, number) {
  const columns = sides(valueOf(pass, node).shape)[1];
  return [`value ${node}`, (i, j) => i * columns + j === number];
}

/** A formula's text with the number of examples in the place of its symbol. */
function withBatch(pass, text) {
  const node = data.nodes.findIndex((one, i) => one.by_example && valueOf(pass, i));
  if (node < 0 || data.batch === null) return text;
  const size = String(valueOf(pass, node).shape[0]);
  return text.replace(/[^\s/·()+−,;[\]]+/g, (word) => (word === data.batch ? size : word));
}

function cellOf(found, i, j) {
  const { down, across } = grid(found);
  const [m, n] = [down.indexOf(i), across.indexOf(j)];
  return m < 0 || n < 0 ? undefined : found.cells[m * across.length + n];
}

/** The formula of a factor with numbers for its symbols, where it is one entry by entry: ``1[2.1 > 0]``. */
function factorNumbers(pass, factor, found, i, j) {
  if (factor.formula === null) return null;
  const diagonal = /^diag\(/.test(factor.formula[0]);
  let parts = [...factor.formula];
  if (diagonal) parts = [parts[0].slice(5), ...parts.slice(1, -1), parts.at(-1).replace(/\)$/, "")];
  else if (/\)ᵀ$/.test(parts.at(-1)) && /^\(/.test(parts[0])) {
    parts = [parts[0].slice(1), ...parts.slice(1, -1), parts.at(-1).slice(0, -2)];
  }
  const rest = parts.filter((part) => typeof part === "string").join(" ");
  if (parts.length === 1 || /[ᵀ⊗ΣI]|diag|…|softmax/.test(rest)) return null;
  if (diagonal && i !== j) return null;
  const sources = [];
  const shape = valueOf(pass, factor.wrt).shape;
  const numbers = parts.map((part, at) => {
    if (typeof part === "string") return withBatch(pass, part);
    const value = valueOf(pass, part);
    if (!value) return null;
    const size = count(value.shape);
    const number = size === 1 ? 0 : size === count(shape) ? j : null;
    const cell = number === null ? undefined : cellAt(value, number);
    if (cell === undefined) return null;
    sources.push([part, number]);
    const alone = parts.length === 3 && !parts[0] && !parts[2];
    const beside = /[\w)\]}⁰-₉]$/.test(parts[at - 1] ?? "") || /^[\w([⁰-₉²³]/.test(parts[at + 1] ?? "");
    const text = format(cell);
    return !alone && (beside || (text.startsWith("−") && (at > 1 || parts[0]))) ? `(${text})` : text;
  });
  return numbers.includes(null) ? null : { text: numbers.join(""), sources };
}
