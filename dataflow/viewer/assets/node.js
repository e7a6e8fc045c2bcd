// The card of the node that was chosen, and the one that tells what the page is about.

/** All about a node of the picture. */
function showNode(pass, drawn, go, unfold) {
  const card = byId("node");
  if (drawn === null) {
    replaceChildren(
      card,
      title("node-title", "A node"),
      soft("Choose one in the graph for its op, shape, value, cotangent and local Jacobians."),
    );
    return;
  }
  if (drawn.node === null) {
    const count = plural(drawn.members.length, "node");
    replaceChildren(
      card,
      title("node-title", drawn.label, drawn.kind),
      soft(`${count}, folded: ${some(drawn.members)}`),
    );
    return;
  }
  const node = data.nodes[drawn.node];
  const children = [title("node-title", node.text, node.role || node.kind)];
  if (drawn.call !== null) {
    children.push(
      soft(`${data.calls[drawn.call].title}, folded: ${some(drawn.members)}. The numbers are those of its output.`),
      element("button", { type: "button", onclick: () => unfold(drawn.call) }, "Unfold"),
    );
  } else if (node.kind === "op") {
    const last = node.ops.length > 1 ? `Its ops are ${node.ops.join(", ")}; the last is ` : "";
    const op = element("p", { class: "soft" }, last, element("code", {}, node.signature), `: ${node.summary}`);
    children.push(formula(drawn.node), op);
  }
  const value = valueOf(pass, drawn.node);
  const shape = value ? `${node.shape}, here ${sizes(value.shape)}` : node.shape;
  children.push(
    element(
      "dl",
      {},
      element("dt", {}, "Shape"),
      element("dd", {}, shape),
      element("dt", {}, "Dtype"),
      element("dd", {}, node.dtype),
    ),
  );
  children.push(element("h3", {}, "Value"), isHidden(pass, drawn.node) ? soft("asked for in the quiz") : valueView(pass, drawn.node));
  children.push(...derivatives(pass, drawn.node), stepLinks(drawn.node, go), notesOf(pass, node.name));
  replaceChildren(card, ...children);
}

function some(names, most = 16) {
  return names.slice(0, most).join(", ") + (names.length > most ? ", …" : "");
}

function derivatives(pass, node) {
  if (data.of === null) return [];
  if (isHidden(pass, node)) return [];
  const name = textOf(node);
  const shown = [element("h3", {}, `Cotangent ${partial(data.of, node)}`)];
  const lies = data.of === node || data.factors.some((factor) => factor.wrt === node);
  if (pass.cotangents[node]) shown.push(cotangentView(pass, node));
  else if (lies) shown.push(soft(pass.problem ? `not computed: ${pass.problem}` : "not computed"));
  else shown.push(soft("not computed: it lies on no way back to what is differentiated by"));
  const factors = data.factors.map((factor, i) => [factor, i]).filter(([factor]) => factor.of === node);
  if (factors.length) shown.push(element("h3", {}, `Local Jacobians of ${name}`));
  for (const [factor, i] of factors) {
    const found = pass.factors[i];
    const caption = `${factorName(factor)}${found ? `, ${sizes(found.shape)}, ${structureOf(found)}` : ""}`;
    const view = found ? jacobianView(pass, found, factor.of, factor.wrt, `local ${factorName(factor)}`) : soft("not computed");
    shown.push(named(caption, view));
  }
  return shown;
}

function stepLinks(node, go) {
  const link = (text, fits) => element("button", { type: "button", class: "link", onclick: () => go(fits) }, text);
  const children = [];
  if (data.forward.includes(node))
    children.push(link("its forward step", (step) => step.kind === "forward" && step.node === node));
  if (data.factors.some((factor) => factor.of === node)) {
    children.push(link("its backward step", (step) => step.kind === "factor" && data.factors[step.factor].of === node));
  }
  return children.length
    ? element("p", { class: "soft" }, "Go to ", ...children.flatMap((one, i) => (i ? [" or ", one] : [one])))
    : null;
}

// ------------------------------------------------------------------------------------------------ the page

const KEYS = [
  ["← →", "a step back or on"],
  ["Home End", "the first or the last step"],
  ["↑ ↓", "the previous or next node, with the focus in the graph"],
  ["Enter", "all about the node"],
  ["f", "fold or unfold its block"],
  ["+ − 0", "zoom in, out, fit"],
  ["arrows", "with the focus in a matrix of a step: from entry to entry, to see what it is made of"],
  ["q", "the quiz on or off; a digit or a minus begins an answer, Enter checks it, Escape leaves the field"],
];

function showAbout() {
  const remarks = [
    ...data.notes,
    ...(data.why_not ? [`there is no backward pass: ${data.why_not}`] : []),
    `matrices of more than ${data.side} rows or columns are cut down; numbers are shown with ${DIGITS} digits`,
  ];
  replaceChildren(
    byId("about"),
    element("details", { open: true }, element("summary", {}, `About ${data.title}`), ...paragraphs(data.doc)),
    element(
      "details",
      {},
      element("summary", {}, "Keys"),
      element(
        "dl",
        { class: "keys" },
        ...KEYS.flatMap(([key, what]) => [element("dt", {}, key), element("dd", {}, what)]),
      ),
    ),
    element(
      "details",
      {},
      element("summary", {}, "What is left out"),
      element("ul", {}, ...remarks.map((one) => element("li", {}, one))),
    ),
    soft("Made by dataflow, with panzoom and uPlot (MIT licence). The page loads nothing from anywhere."),
  );
}

function paragraphs(text) {
  const found = text.split(/\n\s*\n/).filter(Boolean);
  return (found.length ? found : ["The model's file says nothing about it."]).map((one) => element("p", {}, one));
}
