// On paper: the graph with all its numbers, then every step, one after the other.

const printing = { on: false };

function startPrinting() {
  window.addEventListener("beforeprint", layOutPages);
  window.addEventListener("afterprint", () => byId("printed").replaceChildren());
}

function layOutPages() {
  printing.on = true;
  const pass = data.passes[state.pass];
  const { steps } = state;
  markGraph(pass, known(steps, steps.length - 1), { current: new Set(), sources: new Set(), between: null, from: null, backward: true, selected: null });
  const picture = byId("stage").querySelector("svg").cloneNode(true);
  const cards = steps.map((step, at) => {
    const backward = !["start", "forward"].includes(step.kind);
    const card = element("article", { class: backward ? "card step is-backward" : "card step" }, ...stepCard(pass, steps, at));
    card.querySelector(".working")?.replaceWith(...workings(pass, step));
    card.querySelectorAll("button").forEach((button) => button.remove());
    return card;
  });
  const about = element("p", {}, pass.label, state.way === null ? "" : `, ${partial(data.of, chosenWrt())}`);
  const pages = [element("h1", {}, data.title), about, element("div", { class: "picture" }, picture), ...cards];
  for (const page of pages) page.querySelectorAll("[id], [tabindex]").forEach((one) => (one.removeAttribute("id"), one.removeAttribute("tabindex")));
  byId("printed").replaceChildren(...pages);
  printing.on = false;
  choose({});
}

/** The lines of the first few entries, as nobody can point at paper. */
function workings(pass, step, most = 6) {
  const found = step.kind === "forward" ? valueOf(pass, step.node) : termOf(pass, step.factor);
  const { down, across } = grid(found);
  const places = down.flatMap((i) => across.map((j) => [i, j])).slice(0, most);
  const made = step.kind === "forward" ? "value" : "term";
  return places.map(([i, j]) => element("p", { class: "working" }, explain(pass, step, made, i, j).text));
}
