// The panel beside the graph: views of numbers, and the card of the step.

function title(id, text, badge = null) {
  return element("h2", { id }, text, badge === null ? null : element("span", { class: "badge" }, badge));
}

function soft(text) {
  return element("p", { class: "soft" }, text);
}

/** What a node is, in symbols; else as its file says. */
function formulaOf(node) {
  const { formula, expression, op, folded } = data.nodes[node];
  if (folded.length) return `${plural(folded.length + 1, "node")}, folded`;
  return formula || expression || `${op}(…)`;
}

/** ``h = relu(z)``. */
function equation(node) {
  return `${textOf(node)} = ${formulaOf(node)}`;
}

function formula(node) {
  const { formula, expression, folded, name } = data.nodes[node];
  const lines = [element("p", { class: "formula" }, equation(node))];
  if (folded.length) lines.push(soft(`Folded here: ${some([...folded, name])}.`));
  else if (formula && expression) lines.push(soft(`In the file: ${name} = ${expression}`));
  return element("div", {}, ...lines);
}

/** An operator with what follows it, so that a line never ends in one. */
function after(operator, view) {
  return element("div", { class: "operand" }, element("span", { class: "operator" }, operator), view);
}

/** A matrix under its name. */
function named(text, view) {
  return element("figure", { class: "named-matrix" }, element("figcaption", {}, text), view);
}

/** The value of a node, its rows and columns named. ``made`` as for a matrix. */
function valueView(pass, node, made = null) {
  const found = valueOf(pass, node);
  if (!found) return soft(missing(pass, node));
  const columns = sides(found.shape)[1];
  const name = (i, j) => entryName(pass, node, i * columns + j);
  return matrixView(found, {
    key: `value of ${textOf(node)}`,
    labels: valueLabels(pass, node, found),
    describe: (i, j, x) => `${name(i, j)} = ${format(x)}`,
    made,
    of: `value ${node}`,
  });
}

/** Of one row the entries' symbols; else the numbers of rows and columns, and of examples. */
function valueLabels(pass, node, found) {
  const [rows, columns] = sides(found.shape);
  const { by_example: byExample, symbol } = data.nodes[node];
  if (rows * columns === 1) return null;
  if (rows === 1) return { column: (j) => entryName(pass, node, j), row: null };
  const first = symbol[2] ? 0 : 1; // how the symbols count
  const ofExamples = byExample && found.shape.length <= 2;
  const single = found.shape.length === 1 || columns === 1;
  return {
    row: (i) => (ofExamples ? `ex. ${i}` : String(i + first)),
    column: single ? null : (j) => (ofExamples && !symbol[2] ? symbolAt(symbol, [j]) : String(j + first)),
  };
}

/** A matrix of derivatives: rows are entries of ``of``, columns entries of ``wrt``. */
function jacobianView(pass, found, of, wrt, key, made = null) {
  const labels = { row: (i) => entryName(pass, of, i), column: (j) => entryName(pass, wrt, j) };
  const describe = (i, j, x) => `∂${labels.row(i)}/∂${labels.column(j)} = ${format(x)}`;
  return matrixView(found, { key, labels, describe, made, of: made ?? key });
}

function cotangentView(pass, node) {
  const found = pass.shaped[node] ?? pass.cotangents[node];
  const of = data.of;
  const key = `${partial(of, node)}`;
  if (pass.shaped[node] === undefined) return jacobianView(pass, found, of, node, key);
  const columns = sides(found.shape)[1];
  const describe = (i, j, x) => `∂${textOf(of)}/∂${entryName(pass, node, i * columns + j)} = ${format(x)}`;
  return matrixView(found, { key, labels: valueLabels(pass, node, found), describe });
}

// ------------------------------------------------------------------------------------------------ the step

function showStep(pass, steps, at) {
  replaceChildren(byId("step"), ...stepCard(pass, steps, at));
  light(null);
}

function stepCard(pass, steps, at) {
  const step = steps[at];
  const shown = {
    start: startCard,
    forward: forwardCard,
    seed: seedCard,
    factor: factorCard,
    gradient: gradientCard,
    "no path": noPathCard,
  }[step.kind](pass, step, steps, at);
  return shown.filter((one) => one !== null);
}

function startCard(pass) {
  const given = data.nodes.map((node, i) => [node, i]).filter(([node]) => node.kind !== "op");
  const few = given.slice(0, 12);
  return [
    title("step-title", "Start", "forward"),
    soft(
      data.of === null
        ? "Every node is computed from those before it, step by step."
        : `First forward, node by node; then back from ${textOf(data.of)}, factor by factor.`,
    ),
    element("div", { class: "row" }, ...few.map(([node, i]) => named(node.text, glance(pass, i)))),
    given.length > few.length ? soft(`and ${given.length - few.length} more; choose a node to see its value`) : null,
    backwardRemark(pass),
  ];
}

/** A value that is not the matter of a step: the numbers if they are few, else what stands in the graph too. */
function glance(pass, node) {
  const found = valueOf(pass, node);
  return found && found.cells.length > 8 ? soft(minus(shortValue(pass, node))) : valueView(pass, node);
}

function forwardCard(pass, step) {
  const node = data.nodes[step.node];
  const asked = isAsked(pass, step);
  const value = valueOf(pass, step.node);
  return [
    title("step-title", node.text, `forward ${step.place} of ${data.forward.length}`),
    formula(step.node),
    node.folded.length ? null : soft(node.ops.length > 1 ? `The ops ${node.ops.join(", ")}, one after the other.` : node.summary),
    node.arguments.length
      ? element("div", { class: "row" }, ...node.arguments.map((one) => named(textOf(one), glance(pass, one))))
      : null,
    asked
      ? quizForm(pass, step)
      : element("div", { class: "result" }, named(node.text, valueView(pass, step.node, "value"))),
    asked || !value ? null : workingLine(),
    quizVerdict(pass, step),
    notesOf(pass, node.name),
  ];
}

function seedCard(pass, step) {
  const name = textOf(step.node);
  const found = pass.cotangents[step.node];
  return [
    title("step-title", `Backward from ${name}`, "backward"),
    soft(
      `The backward pass multiplies from the left, beginning with ∂${name}/∂${name}, the identity. Each factor is a ` +
        "local Jacobian: its rows are outputs, its columns inputs; a matrix is read row by row.",
    ),
    found
      ? element("div", { class: "result" }, named(`∂${name}/∂${name}`, cotangentView(pass, step.node)))
      : backwardRemark(pass),
  ];
}

function factorCard(pass, step) {
  const factor = data.factors[step.factor];
  const { of, wrt } = factor;
  const found = pass.factors[step.factor];
  const head = [title("step-title", factorName(factor), `backward ${step.place} of ${step.count}`), chain(step)];
  if (!found) return [...head, backwardRemark(pass)];
  const asked = isAsked(pass, step);
  const others = factor.shared.filter((one) => step.factors.length < data.factors.length && one !== chosenWrt());
  const term = termOf(pass, step.factor);
  const total = partial(data.of, wrt);
  const product = [
    named(partial(data.of, of), jacobianView(pass, pass.cotangents[of], data.of, of, "left")),
    ...(asked
      ? []
      : [
          after("·", named(factorName(factor), jacobianView(pass, found, of, wrt, factorName(factor), "factor"))),
          after(
            "=",
            named(
              step.terms > 1 ? `term ${step.term} of ${step.terms} of ${total}` : total,
              jacobianView(pass, term, data.of, wrt, total, "term"),
            ),
          ),
        ]),
  ];
  return [
    ...head,
    localFormula(factor),
    element(
      "p",
      { class: "soft" },
      element("span", { class: "formula" }, equation(of)),
      asked ? "" : `: a ${sizes(found.shape)} factor, ${structureOf(found)}`,
      others.length ? `; shared with ${some(others.map(textOf), 6)}` : "",
    ),
    readValues(pass, factor),
    asked ? quizForm(pass, step) : null,
    element("div", { class: "row equation result" }, ...product),
    asked ? null : workingLine(),
    quizVerdict(pass, step),
    !asked && step.terms > 1 && step.term === step.terms
      ? element(
          "div",
          { class: "result" },
          soft(`${textOf(wrt)} is used ${step.terms} times: the cotangent is the sum of the ${step.terms} terms.`),
          named(total, jacobianView(pass, pass.cotangents[wrt], data.of, wrt, `sum ${total}`)),
        )
      : null,
    notesOf(pass, nameOf(of)),
  ];
}

function structureOf({ structure }) {
  const parts = structure.split(" · ");
  return parts.length > 3 ? `a product of ${parts.length}` : structure;
}

/** ``∂h/∂z = diag(1[z > 0])``, where there is a formula. */
function localFormula(factor) {
  if (factor.formula === null) return null;
  const text = factor.formula.map((part) => (typeof part === "number" ? textOf(part) : part)).join("");
  return element("p", { class: "formula" }, `${partial(factor.of, factor.wrt)} = ${text}`);
}

/** The values that the formula of a factor reads. */
function readValues(pass, factor) {
  const nodes = [...new Set((factor.formula ?? []).filter((part) => typeof part === "number"))];
  const known = nodes.filter((node) => valueOf(pass, node));
  if (!known.length) return null;
  return element("div", { class: "row" }, ...known.map((node) => named(textOf(node), glance(pass, node))));
}

/** The product as far as it has come, with the factor of this step marked. */
function chain(step) {
  if (step.factors.length === data.factors.length && data.ways.length > 1) return null;
  if (step.factors.length > 14) return null;
  const single = isChain(step.factors);
  const chips = step.factors.flatMap((i, n) => [
    ...(n ? [single ? " · " : ", "] : []),
    element(
      "span",
      {
        class: n + 1 < step.place ? "chip done" : n + 1 === step.place ? "chip now" : "chip",
        "aria-current": n + 1 === step.place ? "step" : null,
      },
      factorName(data.factors[i]),
    ),
  ]);
  const wrt = data.factors[step.factors.at(-1)].wrt;
  const lead = single ? `${partial(data.of, wrt)} = ` : "Factors: ";
  return element("p", { class: "chain" }, lead, ...chips);
}

function gradientCard(pass, step) {
  const { text: name } = data.nodes[step.node];
  if (!pass.cotangents[step.node])
    return [title("step-title", partial(data.of, step.node), "result"), backwardRemark(pass)];
  const value = valueOf(pass, step.node);
  const shaped = pass.shaped[step.node] !== undefined;
  const together = pass.example === null && data.passes.length > 1 ? " for all examples together" : "";
  return [
    title("step-title", partial(data.of, step.node), "result"),
    soft(
      shaped || pass.cotangents[step.node].shape[0] === 1
        ? `The gradient of ${textOf(data.of)}${together}, in the shape of ${name} (${sizes(value.shape)}).`
        : `The Jacobian of ${textOf(data.of)}${together}: rows are its entries, columns those of ${name}.`,
    ),
    element("div", { class: "result" }, named(partial(data.of, step.node), cotangentView(pass, step.node))),
    named(name, valueView(pass, step.node)),
  ];
}

function noPathCard(pass, step) {
  const names = step.wrts.map(textOf).join(", ");
  return [
    title("step-title", "No path", "backward"),
    element(
      "p",
      {},
      `No path leads from ${textOf(data.of)} back to ${names}: the gradient is zero, whatever the numbers are.`,
    ),
  ];
}

function backwardRemark(pass) {
  if (data.of === null) return soft(`There is no backward pass: ${data.why_not}.`);
  return pass.problem ? element("p", { class: "remark" }, `The backward pass is not computed: ${pass.problem}.`) : null;
}

/** What should be known of a node in this pass: a kink that was touched, numbers that are not finite. */
function notesOf(pass, name) {
  const found = pass.notes.filter((note) => note.includes(`'${name}'`) || note.includes(`'${name}.`));
  return found.length ? element("div", {}, ...found.map((note) => element("p", { class: "remark" }, note))) : null;
}
