// What the reader has chosen, and what follows from it. It is kept in the address, so that a page can be linked to at a
// step, and comes back to it when it is loaded again.

const state = { step: 0, pass: data.pass, way: 0, layout: data.layout, node: null, steps: [], timer: null };

function start() {
  document.title = `${data.title} – dataflow`;
  byId("title").textContent = data.title;
  fillChoices();
  readAddress();
  startTheme();
  startPanning();
  connectSteps();
  connectWorking();
  startQuiz();
  startPrinting();
  connectGraph();
  showAbout();
  show(state.layout);
  choose({});
  showTraining();
  follow();
}

function fillChoices() {
  byId("example").append(...data.passes.map((pass, i) => element("option", { value: i }, pass.label)));
  byId("example").disabled = data.passes.length < 2;
  if (data.of === null) byId("wrt-choice").hidden = true;
  else {
    byId("wrt").append(...data.ways.map((way, i) => element("option", { value: i }, partial(data.of, way.wrt))));
    if (data.ways.length > 1) byId("wrt").append(element("option", { value: "all" }, "all of them"));
  }
  byId("example").addEventListener("change", (event) => choose({ pass: Number(event.target.value) }));
  byId("wrt").addEventListener("change", (event) => {
    const way = event.target.value === "all" ? null : Number(event.target.value);
    choose({ way, step: sameStep(way) });
  });
}

/** The step of another derivative's way that is about the same. */
function sameStep(way) {
  const step = state.steps[state.step];
  const steps = findSteps(data.of === null ? null : way);
  const found = steps.findIndex(
    (one) => one.kind === step.kind && one.node === step.node && one.factor === step.factor,
  );
  if (found >= 0) return found;
  return step.kind === "gradient"
    ? steps.length - 1
    : steps.findIndex((one) => one.kind === "seed" || one.kind === "no path");
}

function chosenWrt() {
  return state.way === null ? null : data.ways[state.way].wrt;
}

/** Take over what was chosen, and show it. */
function choose(changes) {
  Object.assign(state, changes);
  state.steps = findSteps(data.of === null ? null : state.way);
  state.step = Math.max(0, Math.min(state.steps.length - 1, state.step));
  const pass = data.passes[state.pass];
  const step = state.steps[state.step];
  byId("example").value = state.pass;
  byId("wrt").value = state.way ?? "all";
  byId("slider").max = state.steps.length - 1;
  byId("slider").value = state.step;
  byId("slider").setAttribute("aria-valuetext", sentence(pass, step));
  const phase = ["start", "forward"].includes(step.kind) ? "forward" : "backward";
  replaceChildren(
    byId("place"),
    `${state.step} of ${state.steps.length - 1}`,
    element("span", { class: "phase" }, phase),
  );
  // not disabled, which would take the focus from under a reader who steps by keyboard
  for (const id of ["back", "first"]) byId(id).setAttribute("aria-disabled", state.step === 0);
  for (const id of ["next", "last"]) byId(id).setAttribute("aria-disabled", state.step === state.steps.length - 1);
  byId("step").classList.toggle("is-backward", phase === "backward");
  const drawn = graph.layout.nodes.find((one) => one.node === state.node && state.node !== null) ?? null;
  showStep(pass, state.steps, state.step);
  showNode(pass, drawn ?? state.folded ?? null, goTo, (call) => refold(call, true));
  markGraph(pass, seen(pass, known(state.steps, state.step)), marksOf(step));
  showScore();
  byId("live").textContent = sentence(pass, step);
  writeAddress();
}

/** What is known without what the quiz asks for. */
function seen(pass, { values, cotangents, forward }) {
  const step = state.steps[state.step];
  if (isAsked(pass, step)) {
    if (step.kind === "forward") values.delete(step.node);
    else cotangents.delete(data.factors[step.factor].wrt);
  }
  return { values, cotangents, forward };
}

/** What a step is about, in the graph. */
function marksOf(step) {
  const marks = {
    current: new Set(),
    sources: new Set(),
    between: null,
    from: null,
    backward: false,
    selected: state.node,
  };
  const named = (numbers) => new Set(numbers.map(nameOf));
  if (step.kind === "forward") {
    marks.current.add(step.node);
    data.nodes[step.node].arguments.forEach((one) => marks.sources.add(one));
    marks.between = named([step.node]);
    marks.from = named(data.nodes[step.node].arguments);
  } else if (step.kind === "factor") {
    const { of, wrt, inside } = data.factors[step.factor];
    marks.backward = true;
    marks.current.add(wrt);
    marks.sources.add(of);
    marks.between = new Set(inside);
    marks.from = new Set([nameOf(wrt), ...inside]);
  } else if (step.kind === "seed" || step.kind === "gradient") {
    marks.backward = true;
    marks.current.add(step.node);
  }
  return marks;
}

// ------------------------------------------------------------------------------------------------ steps and keys

function go(step) {
  choose({ step });
}

function goTo(fits) {
  const found = state.steps.findIndex(fits);
  if (found >= 0) return go(found);
  const all = findSteps(null).findIndex(fits); // it is on no path to what is chosen
  if (all >= 0) choose({ way: null, step: all });
}

function connectSteps() {
  byId("first").addEventListener("click", () => go(0));
  byId("back").addEventListener("click", () => go(state.step - 1));
  byId("next").addEventListener("click", () => go(state.step + 1));
  byId("last").addEventListener("click", () => go(state.steps.length - 1));
  byId("slider").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("play").addEventListener("click", play);
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", () => {
    if (location.hash !== state.written) {
      readAddress();
      show(state.layout);
      choose({});
    }
  });
}

function play() {
  const stop = () => {
    clearInterval(state.timer);
    state.timer = null;
    byId("play").textContent = "Play";
  };
  if (state.timer !== null) return stop();
  if (state.step === state.steps.length - 1) go(0);
  byId("play").textContent = "Stop";
  state.timer = setInterval(() => {
    if (state.step < state.steps.length - 1) go(state.step + 1);
    if (state.step === state.steps.length - 1) stop();
  }, 1500);
}

function pressed(event) {
  const { target } = event;
  if (event.key === "Escape" && target.closest("#step form")) return target.blur();
  if (event.ctrlKey || event.altKey || event.metaKey || target.closest("input, select, textarea, summary, .scroll"))
    return;
  const inGraph = target.closest("#viewport") !== null;
  const does = {
    ArrowRight: () => go(state.step + 1),
    ArrowLeft: () => go(state.step - 1),
    Home: () => go(0),
    End: () => go(state.steps.length - 1),
    "+": () => zoomBy(1.3),
    "-": () => zoomBy(1 / 1.3),
    0: () => fit(),
    q: () => turnQuiz(!quiz.on),
    ...(inGraph ? { ArrowDown: () => focusNode(1), ArrowUp: () => focusNode(-1) } : {}),
  }[event.key];
  const isAnswer = quiz.on && !inGraph && /^[-−.,\d]$/.test(event.key);
  const field = isAnswer ? byId("step").querySelector("form input") : null;
  if (field) return field.focus(); // what is typed goes into the field
  if (!does) return;
  event.preventDefault();
  does();
}

// ------------------------------------------------------------------------------------------------ the graph

function connectGraph() {
  byId("zoom-in").addEventListener("click", () => zoomBy(1.3));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.3));
  byId("zoom-fit").addEventListener("click", () => fit());
  replaceChildren(byId("legend").querySelector(".popup"), ...legend());
  for (const popup of document.querySelectorAll(".tools details")) {
    popup.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      popup.open = false;
      popup.querySelector("summary").focus();
    });
  }
  document.addEventListener("click", (event) => {
    const path = event.composedPath(); // what was clicked may have been replaced since
    for (const popup of document.querySelectorAll(".tools details[open]"))
      if (!path.includes(popup)) popup.open = false;
  });
}

function show(layout) {
  state.layout = layout;
  showLayout(layout, {
    select: (i) => {
      const drawn = graph.layout.nodes[i];
      choose({ node: drawn.node, folded: drawn.node === null ? drawn : null });
    },
    fold: (call) => refold(call, false),
    unfold: (call) => refold(call, true),
  });
  showBlocks();
}

/** Fold or unfold a block. The focus stays in the graph. */
function refold(call, unfolded) {
  const wanted = new Set(data.layouts[state.layout].open);
  if (unfolded) wanted.add(call);
  else wanted.delete(call);
  const found = layoutFor(wanted, call, unfolded);
  if (found === null) return;
  const focused = byId("viewport").contains(document.activeElement);
  show(found);
  choose({});
  if (focused)
    (graph.nodes.find((_, i) => graph.layout.nodes[i].call === call) ?? graph.nodes[0]).focus({ preventScroll: true });
}

function showBlocks() {
  const box = byId("blocks");
  box.hidden = data.layouts.length < 2;
  const open = new Set(data.layouts[state.layout].open);
  const toggle = (call, title) =>
    element(
      "label",
      {},
      element("input", {
        type: "checkbox",
        checked: open.has(call),
        onchange: (event) => refold(call, event.target.checked),
      }),
      title,
    );
  const both = [
    ["Unfold all", data.layouts.length - 1],
    ["Fold all", 0],
  ].map(([text, layout]) => element("button", { type: "button", onclick: () => (show(layout), choose({})) }, text));
  const some =
    data.layouts.length < 2 ** data.calls.length ? [soft("All of them, or one at a time with those around it.")] : [];
  replaceChildren(box.querySelector(".popup"), ...both, ...data.calls.map(({ title }, i) => toggle(i, title)), ...some);
}

function legend() {
  const rows = [
    ["= …", "the value of a node, in this pass"],
    ["∂ = …", data.of === null ? "the cotangent" : `the cotangent ∂${textOf(data.of)}/∂node`],
    ["ellipse", "input"],
    ["cylinder", "parameter"],
    ["rounded box", "op; double: an output"],
    ["octagon", "the loss"],
  ];
  return [
    element(
      "dl",
      { class: "keys" },
      ...rows.flatMap(([key, what]) => [element("dt", {}, key), element("dd", {}, what)]),
    ),
  ];
}

start();
