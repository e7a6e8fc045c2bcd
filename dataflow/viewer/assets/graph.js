// The graph: its picture, what is marked in it, pan and zoom, and the folding of blocks.

const READABLE = 0.4; // a graph that would have to be smaller to be seen as a whole is shown in part, and followed
const LARGEST = 1.5; // a small graph is not blown up further
const graph = { layout: null, nodes: [], edges: [], untouched: true, whole: true, panzoom: null, pressed: null };

/** Show a layout, and call back when a node is chosen, or a block is to be folded or unfolded. */
function showLayout(number, { select, fold, unfold }) {
  const layout = data.layouts[number];
  const svg = document.importNode(new DOMParser().parseFromString(layout.svg, "image/svg+xml").documentElement, true);
  svg.setAttribute("role", "group");
  svg.removeAttribute("aria-labelledby");
  svg.setAttribute(
    "aria-label",
    `Graph of ${data.title}: ${plural(layout.nodes.length, "node")}; up and down lead through it`,
  );
  replaceChildren(byId("stage"), svg);
  graph.layout = layout;
  graph.nodes = numbered(svg, "node");
  graph.edges = numbered(svg, "edge");
  graph.nodes.forEach((group, i) => {
    const node = layout.nodes[i];
    const texts = [...group.children].filter((child) => child.tagName === "text");
    const [value, cotangent] = node.room;
    group.cotangentText = cotangent ? texts.at(-1) : null;
    group.valueText = value ? texts.at(cotangent ? -2 : -1) : null;
    group.cotangentText?.classList.add("cotangent-text");
    group.valueText?.classList.add("value-text");
    group.setAttribute("role", "button");
    group.setAttribute("tabindex", i ? "-1" : "0");
    group.addEventListener("click", (event) => wasDragged(event) || select(i));
    group.addEventListener("dblclick", () => node.call !== null && unfold(node.call));
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") select(i);
      else if (event.key === "f" && node.call !== null) unfold(node.call);
      else if (event.key === "f" && node.inside.length) fold(node.inside.at(-1));
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  });
  numbered(svg, "cluster").forEach((group, i) => {
    const call = layout.clusters[i];
    const label = [...group.children].find((child) => child.tagName === "text");
    if (!label) return;
    label.textContent = `▾ ${label.textContent.trim()}`;
    label.setAttribute("role", "button");
    label.setAttribute("tabindex", "0");
    label.setAttribute("aria-label", `Fold ${data.calls[call].title}`);
    label.addEventListener("click", (event) => wasDragged(event) || fold(call));
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      fold(call);
    });
  });
  fit(READABLE);
}

/** The groups of one kind in the order of the picture, by the numbers that end their ids. */
function numbered(svg, kind) {
  const found = [];
  for (const group of svg.querySelectorAll(`g.${kind}`)) found[Number(/(\d+)$/.exec(group.id)[1]) - 1] = group;
  return found;
}

/** Write the numbers that are known after a step, and mark what the step is about. */
function markGraph(pass, state, marks) {
  graph.nodes.forEach((group, i) => {
    const node = graph.layout.nodes[i];
    const number = node.node;
    const done = number === null || state.values.has(number);
    const back = number !== null && state.cotangents.has(number) && pass.cotangents[number] !== undefined;
    const value = number === null ? undefined : shortValue(pass, number);
    const absent = node.kind === "input" ? "not given" : "not computed";
    if (group.valueText) {
      group.valueText.textContent = done ? (value === undefined ? absent : `= ${minus(value)}`) : "= ?";
      group.classList.toggle("not-computed", done && value === undefined);
    }
    if (group.cotangentText) group.cotangentText.textContent = back ? `∂ = ${minus(pass.short_cotangents[number])}` : "∂ = ?";
    group.classList.toggle("waiting", !done);
    group.classList.toggle("reached", back);
    group.classList.toggle("unreached", !back);
    group.classList.toggle("current", standsFor(node, marks.current));
    group.classList.toggle("backward", marks.backward);
    group.classList.toggle("source", standsFor(node, marks.sources));
    group.classList.toggle("selected", marks.selected === number && number !== null);
    const told = [...group.children].filter((child) => child.tagName === "text").map((line) => line.textContent);
    group.setAttribute("aria-label", `${told.join(" ")}, ${node.kind}`);
    group.querySelector("title").textContent = told.join("\n");
    if (marks.selected === number && number !== null) group.setAttribute("aria-current", "true");
    else group.removeAttribute("aria-current");
  });
  const inside = (i, names) => graph.layout.nodes[i].members.some((member) => names.has(member));
  graph.edges.forEach((group, i) => {
    const [source, target] = graph.layout.edges[i];
    const on = marks.between !== null && inside(target, marks.between) && inside(source, marks.from);
    group.classList.toggle("current", on);
    group.classList.toggle("backward", marks.backward);
    group.classList.toggle("waiting", graph.nodes[target].classList.contains("waiting"));
  });
  const first = graph.nodes.find((group) => group.classList.contains("current"));
  if (first) bringIntoView(first);
}

/** Whether a node of the picture is one of these, or has one of them folded into it. */
function standsFor(drawn, numbers) {
  if (drawn.node !== null && drawn.call === null) return numbers.has(drawn.node);
  return drawn.members.some((member) => [...numbers].some((number) => nameOf(number) === member));
}

// ---------------------------------------------------------------------------------------------- pan and zoom

function startPanning() {
  const stage = byId("stage");
  const viewport = byId("viewport");
  graph.panzoom = Panzoom(stage, { canvas: true, maxScale: 8, minScale: 0.05, cursor: "grab" });
  viewport.addEventListener(
    "wheel",
    (event) => {
      graph.untouched = graph.whole = false;
      graph.panzoom.zoomWithWheel(event);
    },
    { passive: false },
  );
  viewport.addEventListener("pointerdown", (event) => (graph.pressed = [event.clientX, event.clientY]), true);
  stage.addEventListener("panzoomstart", () => (graph.untouched = graph.whole = false));
  new ResizeObserver(() => graph.untouched && fit(READABLE)).observe(viewport);
  setTimeout(() => fit(READABLE)); // after panzoom has put things where it begins
}

/** Whether a click is the end of a drag, which is no choice of anything. */
function wasDragged(event) {
  if (!graph.pressed) return false;
  return Math.hypot(event.clientX - graph.pressed[0], event.clientY - graph.pressed[1]) > 6;
}

/** The whole graph, or with ``least`` as much of it as there is room for at that scale, the current node with it. */
function fit(least = 0) {
  const stage = byId("stage");
  const viewport = byId("viewport");
  const [width, height] = [stage.offsetWidth, stage.offsetHeight];
  if (!width || !height || !graph.panzoom) return;
  const room = Math.min(viewport.clientWidth / width, viewport.clientHeight / height, LARGEST) * 0.97;
  const scale = Math.max(room, least);
  graph.panzoom.zoom(scale, { animate: false, force: true });
  const x = (viewport.clientWidth - width) / 2 / scale;
  const above = Math.max(0, height * scale - viewport.clientHeight) / 2;
  const y = ((viewport.clientHeight - height) / 2 + (scale > room ? above : 0)) / scale;
  graph.panzoom.pan(x, y, { animate: false, force: true });
  graph.whole = scale === room;
  graph.untouched = true;
  const current = graph.nodes.find((group) => group.classList.contains("current"));
  if (current) bringIntoView(current, false);
}

function zoomBy(factor) {
  graph.untouched = graph.whole = false;
  graph.panzoom.zoom(graph.panzoom.getScale() * factor, { animate: true });
}

/** Pan until an element can be seen. Where it will be is reckoned, as it may still be moving there. */
function bringIntoView(group, animate = true) {
  if (graph.whole || !graph.panzoom) return;
  const stage = byId("stage");
  const viewport = byId("viewport");
  const [box, base] = [group.getBoundingClientRect(), stage.getBoundingClientRect()];
  const seen = base.width / stage.offsetWidth;
  const scale = graph.panzoom.getScale();
  const pan = graph.panzoom.getPan();
  const middle = [stage.offsetWidth / 2, stage.offsetHeight / 2];
  const at = (edge, side) =>
    middle[side] + scale * ((edge - (side ? base.top : base.left)) / seen - middle[side] + (side ? pan.y : pan.x));
  const off = (low, high, from, to) => (high > to ? to - high - 12 : low < from ? from - low + 12 : 0);
  const x = off(at(box.left, 0), at(box.right, 0), 0, viewport.clientWidth);
  const y = off(at(box.top, 1), at(box.bottom, 1), 0, viewport.clientHeight);
  if (x || y) graph.panzoom.pan(x / scale, y / scale, { relative: true, animate });
}

/** Move the focus to the next or the previous node. */
function focusNode(by) {
  const at = graph.nodes.indexOf(document.activeElement);
  const next = graph.nodes[Math.max(0, Math.min(graph.nodes.length - 1, at + by))];
  graph.nodes.forEach((group) => group.setAttribute("tabindex", group === next ? "0" : "-1"));
  next.focus({ preventScroll: true });
  bringIntoView(next);
}

/** The layout in which just these blocks are unfolded, or that which comes nearest to it with ``call`` as wanted. */
function layoutFor(wanted, call, unfolded) {
  const fits = (layout) => call === null || layout.open.includes(call) === unfolded;
  const distance = (layout) =>
    layout.open.filter((one) => !wanted.has(one)).length +
    [...wanted].filter((one) => !layout.open.includes(one)).length;
  let best = null;
  data.layouts.forEach((layout, i) => {
    if (fits(layout) && (best === null || distance(layout) < distance(data.layouts[best]))) best = i;
  });
  return best;
}
