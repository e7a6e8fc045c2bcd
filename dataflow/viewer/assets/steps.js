// The steps: forward node by node, then backward factor by factor, for one derivative or for all together.

/** All steps for what is chosen: ``way`` is a number in ``data.ways``, or null for all. */
function findSteps(way) {
  const steps = [{ kind: "start" }, ...data.forward.map((node, i) => ({ kind: "forward", node, place: i + 1 }))];
  if (data.of === null) return steps;
  const factors = way === null ? data.factors.map((_, i) => i) : data.ways[way].factors;
  const wrts = way === null ? data.ways.map((one) => one.wrt) : [data.ways[way].wrt];
  const reached = new Set(factors.map((i) => data.factors[i].wrt)).add(data.of);
  const unreached = wrts.filter((wrt) => !reached.has(wrt));
  const end = unreached.length ? [{ kind: "no path", wrts: unreached }] : [];
  if (unreached.length === wrts.length) return [...steps, ...end];
  const left = new Map(); // how many factors still lead to a node
  for (const i of factors) left.set(data.factors[i].wrt, (left.get(data.factors[i].wrt) ?? 0) + 1);
  const terms = new Map(left);
  steps.push({ kind: "seed", node: data.of });
  if (wrts.includes(data.of)) steps.push({ kind: "gradient", node: data.of });
  factors.forEach((i, n) => {
    const { wrt } = data.factors[i];
    left.set(wrt, left.get(wrt) - 1);
    steps.push({
      kind: "factor",
      factor: i,
      place: n + 1,
      count: factors.length,
      term: terms.get(wrt) - left.get(wrt),
      terms: terms.get(wrt),
      factors,
    });
    if (!left.get(wrt) && wrts.includes(wrt)) steps.push({ kind: "gradient", node: wrt });
  });
  return [...steps, ...end];
}

/** What is known after so many steps: nodes with a value, and nodes with their cotangent. */
function known(steps, last) {
  const values = new Set();
  const cotangents = new Set();
  data.nodes.forEach((node, i) => node.kind !== "op" && values.add(i));
  const forward = new Set(data.forward);
  // what is computed inside a folded block has no step of its own
  if (steps.findLastIndex((step) => step.kind === "forward") <= last) data.nodes.forEach((_, i) => values.add(i));
  for (const step of steps.slice(0, last + 1)) {
    if (step.kind === "forward") values.add(step.node);
    if (step.kind === "seed") cotangents.add(step.node);
    if (step.kind === "factor" && step.term === step.terms) cotangents.add(data.factors[step.factor].wrt);
  }
  return { values, cotangents, forward };
}

/** Whether factors follow each other as one product: no node gets two terms. */
function isChain(factors) {
  return factors.every((i, n) => !n || data.factors[factors[n - 1]].wrt === data.factors[i].of);
}

function factorName(factor) {
  const { of, wrt, argument } = factor;
  return partial(of, wrt) + (argument === null ? "" : ` (by argument ${argument + 1})`);
}

/** The term that a factor adds, which is the cotangent itself where there is only one. */
function termOf(pass, factor) {
  return pass.terms[factor] ?? pass.cotangents[data.factors[factor].wrt];
}

/** A step in one sentence or two, for those who listen. */
function sentence(pass, step) {
  if (isAsked(pass, step)) return questionOf(pass, step).text;
  switch (step.kind) {
    case "start":
      return "Start: inputs and parameters have their values.";
    case "forward": {
      const value = valueOf(pass, step.node);
      const node = data.nodes[step.node];
      const is = value ? `is ${spoken(value)}` : `is ${missing(pass, step.node)}`;
      return `Forward: ${node.text}, which is ${formulaOf(step.node)}, ${is}.`;
    }
    case "seed":
      return `Backward starts with the derivative of ${textOf(step.node)} with respect to itself, the identity.`;
    case "no path":
      return `There is no path back to ${step.wrts.map(textOf).join(", ")}: the gradient is zero.`;
    case "gradient": {
      const shaped = pass.shaped[step.node] ?? pass.cotangents[step.node];
      return `The derivative with respect to ${textOf(step.node)} is ${shaped ? spoken(shaped) : "not computed"}.`;
    }
    default: {
      const factor = data.factors[step.factor];
      const found = pass.factors[step.factor];
      if (!found) return `Backward: the factor ${factorName(factor)} is not computed.`;
      const sum = step.terms > 1 ? `, term ${step.term} of ${step.terms} of` : ",";
      return (
        `Backward: the factor ${factorName(factor)} is ${spoken(found)}. ` +
        `The product so far${sum} ${partial(data.of, factor.wrt)}, is ${spoken(termOf(pass, step.factor))}.`
      );
    }
  }
}
