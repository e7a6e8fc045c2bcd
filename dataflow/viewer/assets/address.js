// The theme, and the address of the page, in which the reader's place in it is kept.

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const tellTheme = () => {
    byId("theme").textContent = current() === "dark" ? "Light" : "Dark";
    drawCharts();
  };
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    tellTheme();
    writeAddress();
  });
  dark.addEventListener("change", tellTheme);
  tellTheme();
}

function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  const number = (key, length) => {
    const value = found.get(key);
    return value !== null && /^\d+$/.test(value) && Number(value) < length ? Number(value) : null;
  };
  const byName = (name, list, naming) => list.findIndex((one) => naming(one) === name);
  if (found.has("of-batch"))
    state.pass = Math.max(
      0,
      data.passes.findIndex((pass) => pass.example === null),
    );
  if (found.has("example"))
    state.pass = Math.max(
      0,
      data.passes.findIndex((pass) => String(pass.example) === found.get("example")),
    );
  if (found.has("wrt")) {
    const way = byName(found.get("wrt"), data.ways, (one) => nameOf(one.wrt));
    state.way = way >= 0 ? way : null;
  }
  if (!data.ways.length) state.way = null;
  if (found.has("node")) {
    const node = byName(found.get("node"), data.nodes, (one) => one.name);
    state.node = node >= 0 ? node : null;
  }
  if (found.has("open")) {
    const open = found
      .get("open")
      .split(" ")
      .map((path) => byName(path, data.calls, (one) => one.path));
    state.layout = layoutFor(new Set(open.filter((one) => one >= 0)), null, true) ?? state.layout;
  }
  if (found.has("quiz")) quiz.on = true;
  state.step = number("step", 1e6) ?? state.step;
  if (["dark", "light"].includes(found.get("theme"))) document.documentElement.dataset.theme = found.get("theme");
}

function writeAddress() {
  const pass = data.passes[state.pass];
  const open = data.layouts[state.layout].open.map((call) => data.calls[call].path).join(" ");
  const entries = [
    ["step", state.step],
    ...(pass.example === null ? (data.passes.length > 1 ? [["of-batch", 1]] : []) : [["example", pass.example]]),
    ...(data.ways.length ? [["wrt", state.way === null ? "all" : nameOf(chosenWrt())]] : []),
    ...(state.node === null ? [] : [["node", nameOf(state.node)]]),
    ...(data.layouts.length > 1 ? [["open", open]] : []),
    ...(quiz.on ? [["quiz", 1]] : []),
    ...(document.documentElement.dataset.theme ? [["theme", document.documentElement.dataset.theme]] : []),
  ];
  state.written = `#${new URLSearchParams(entries)}`;
  try {
    history.replaceState(null, "", state.written);
  } catch {
    // in a frame without an address of its own there is nothing to write to
  }
}
