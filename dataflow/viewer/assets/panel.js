// The panel beside the graph: views of numbers, and the card of the step.

function title(id, text, badge = null) {
  return element("h2", { id }, text, badge === null ? null : element("span", { class: "badge" }, badge));
}

function soft(text) {
  return element("p", { class: "soft" }, text);
}

/** ``h = relu(z)``. */
function equation(node) {
  const { name, formula, op } = data.nodes[node];
  return `${name} = ${formula || `${op}(…)`}`;
}

function formula(node) {
  return element("p", { class: "formula" }, equation(node));
}

/** An operator with what follows it, so that a line never ends in one. */
function after(operator, view) {
  return element("div", { class: "operand" }, element("span", { class: "operator" }, operator), view);
}

/** A matrix under its name. */
function named(text, view) {
  return element("figure", { class: "named-matrix" }, element("figcaption", {}, text), view);
}

function valueView(pass, node, compact = true) {
  const found = valueOf(pass, node);
  if (!found) return soft(missing(pass, node));
  const { name } = data.nodes[node];
  const columns = sides(found.shape)[1];
  const describe = (i, j, x) => `${entry(name, found.shape, i * columns + j)} = ${format(x)}`;
  return matrixView(found, { key: `value ${name}`, compact, describe });
}

/** A matrix of derivatives: rows are entries of ``of``, columns entries of ``wrt``. */
function jacobianView(pass, found, of, wrt, key, compact) {
  const shapes = [of, wrt].map((node) => valueOf(pass, node)?.shape);
  const labels = {
    row: (i) => entry(nameOf(of), shapes[0], i),
    column: (j) => entry(nameOf(wrt), shapes[1], j),
  };
  const describe = (i, j, x) => `∂${labels.row(i)}/∂${labels.column(j)} = ${format(x)}`;
  return matrixView(found, { key, labels, compact, describe });
}

function cotangentView(pass, node) {
  const found = pass.shaped[node] ?? pass.cotangents[node];
  const of = data.of;
  if (pass.shaped[node] === undefined) return jacobianView(pass, found, of, node, `cotangent ${nameOf(node)}`, true);
  const columns = sides(found.shape)[1];
  const describe = (i, j, x) => `∂${nameOf(of)}/∂${entry(nameOf(node), found.shape, i * columns + j)} = ${format(x)}`;
  return matrixView(found, { key: `shaped ${nameOf(node)}`, describe });
}

// ------------------------------------------------------------------------------------------------ the step

function showStep(pass, steps, at) {
  const step = steps[at];
  const shown = {
    start: startCard,
    forward: forwardCard,
    seed: seedCard,
    factor: factorCard,
    gradient: gradientCard,
    "no path": noPathCard,
  }[step.kind](pass, step, steps, at);
  replaceChildren(byId("step"), ...shown);
}

function startCard(pass) {
  const given = data.nodes.map((node, i) => [node, i]).filter(([node]) => node.kind !== "op");
  const few = given.slice(0, 12);
  return [
    title("step-title", "Start", "forward"),
    soft(
      data.of === null
        ? "Every node is computed from those before it, step by step."
        : `First forward, node by node; then back from ${nameOf(data.of)}, factor by factor.`,
    ),
    element("div", { class: "row" }, ...few.map(([node, i]) => named(node.name, glance(pass, i)))),
    given.length > few.length ? soft(`and ${given.length - few.length} more; choose a node to see its value`) : null,
    backwardRemark(pass),
  ];
}

/** A value that is not the matter of a step: the numbers if they are few, else what stands in the graph too. */
function glance(pass, node) {
  const found = valueOf(pass, node);
  return found && found.cells.length > 8 ? soft(shortValue(pass, node)) : valueView(pass, node);
}

function forwardCard(pass, step) {
  const node = data.nodes[step.node];
  return [
    title("step-title", `${node.name}`, `forward ${step.place} of ${data.forward.length}`),
    formula(step.node),
    soft(node.ops.length > 1 ? `The ops ${node.ops.join(", ")}, one after the other.` : node.summary),
    node.arguments.length
      ? element("div", { class: "row" }, ...node.arguments.map((one) => named(nameOf(one), glance(pass, one))))
      : null,
    element("div", { class: "result" }, named(node.name, valueView(pass, step.node))),
    notesOf(pass, node.name),
  ];
}

function seedCard(pass, step) {
  const name = nameOf(step.node);
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
  const others = factor.shared.filter((one) => step.factors.length < data.factors.length && one !== chosenWrt());
  const term = termOf(pass, step.factor);
  const total = partial(data.of, wrt);
  const left = partial(data.of, of);
  const product = [
    named(left, jacobianView(pass, pass.cotangents[of], data.of, of, `left ${of}`, true)),
    after("·", named(factorName(factor), jacobianView(pass, found, of, wrt, `factor ${step.factor}`, true))),
    after(
      "=",
      named(
        step.terms > 1 ? `term ${step.term} of ${step.terms} of ${total}` : total,
        jacobianView(pass, term, data.of, wrt, `term ${step.factor}`, true),
      ),
    ),
  ];
  return [
    ...head,
    element(
      "p",
      { class: "soft" },
      element("code", {}, equation(of)),
      `: a ${sizes(found.shape)} factor, ${found.structure}`,
      others.length ? `; shared with ${others.map(nameOf).join(", ")}` : "",
    ),
    element("div", { class: "row equation result" }, ...product),
    step.terms > 1 && step.term === step.terms
      ? element(
          "div",
          { class: "result" },
          soft(`${nameOf(wrt)} is used ${step.terms} times: the cotangent is the sum of the ${step.terms} terms.`),
          named(total, jacobianView(pass, pass.cotangents[wrt], data.of, wrt, `left ${wrt}`, true)),
        )
      : null,
    notesOf(pass, nameOf(of)),
  ];
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
  const { name } = data.nodes[step.node];
  if (!pass.cotangents[step.node])
    return [title("step-title", partial(data.of, step.node), "result"), backwardRemark(pass)];
  const value = valueOf(pass, step.node);
  const shaped = pass.shaped[step.node] !== undefined;
  const together = pass.example === null && data.passes.length > 1 ? " for all examples together" : "";
  return [
    title("step-title", partial(data.of, step.node), "result"),
    soft(
      shaped || pass.cotangents[step.node].shape[0] === 1
        ? `The gradient of ${nameOf(data.of)}${together}, in the shape of ${name} (${sizes(value.shape)}).`
        : `The Jacobian of ${nameOf(data.of)}${together}: rows are its entries, columns those of ${name}.`,
    ),
    element("div", { class: "result" }, named(partial(data.of, step.node), cotangentView(pass, step.node))),
    named(name, valueView(pass, step.node)),
  ];
}

function noPathCard(pass, step) {
  const names = step.wrts.map(nameOf).join(", ");
  return [
    title("step-title", "No path", "backward"),
    element(
      "p",
      {},
      `No path leads from ${nameOf(data.of)} back to ${names}: the gradient is zero, whatever the numbers are.`,
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
