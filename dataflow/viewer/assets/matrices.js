// Matrices as tables with brackets, and as heat maps.

const TABLE_CELLS = 64; // a matrix of more cells is a heat map at first
const heated = new Map(); // what the reader chose, by what the matrix is of

/** The two sizes of the table of an array: all axes but the last are rows. */
function sides(shape) {
  if (!shape.length) return [1, 1];
  return [shape.slice(0, -1).reduce((a, b) => a * b, 1), shape.at(-1)];
}

function grid(found) {
  const [rows, columns] = sides(found.shape);
  const down = found.rows ?? [...Array(rows).keys()];
  const across = found.columns ?? [...Array(columns).keys()];
  return { rows, columns, down, across, at: (i, j) => found.cells[i * across.length + j] };
}

/**
 * The matrix with what can be said of it. ``key`` is what it is of, so that the choice of table or heat map stays;
 * ``labels`` gives names of rows and columns by their numbers, or null for an axis without any; ``made`` says that its
 * entries can be pointed at to see what they are made of, and ``of`` what it is called where others are made of it.
 */
function matrixView(found, { key, labels = null, describe, made = null, of = null }) {
  const cells = found.cells.length;
  const box = element("div", { class: "matrix-box", "data-made": made, "data-of": of });
  if (!cells) {
    box.append(element("p", { class: "soft" }, `[] (empty, ${sizes(found.shape)})`));
    return box;
  }
  const draw = () => {
    const hot = heated.get(key) ?? cells > TABLE_CELLS;
    const children = [hot ? heatMap(found, labels, describe) : table(found, labels, describe, made, key)];
    const remarks = [];
    if (found.rows) {
      const { down, across } = grid(found);
      remarks.push(`${sizes(found.shape)}: the first ${down.length}×${across.length} with the last`);
      if (found.range && found.range[0] !== null) {
        remarks.push(`all between ${format(found.range[0])} and ${format(found.range[1])}`);
      }
    }
    if (cells > 8) {
      remarks.push(
        element(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => {
              heated.set(key, !hot);
              draw();
              box.querySelector("button").focus(); // the one in the place of this one
            },
          },
          hot ? "as a table" : "as a heat map",
        ),
      );
    }
    if (remarks.length) {
      children.push(element("p", { class: "soft small" }, ...remarks.flatMap((one, i) => (i ? ["; ", one] : [one]))));
    }
    replaceChildren(box, ...children);
  };
  draw();
  return box;
}

/** A table with brackets, its rows and columns named. One whose entries can be pointed at is a grid: the focus is in one
 * entry, and arrow keys move it. */
function table(found, labels, describe, made, key) {
  const { down, across, at } = grid(found);
  const [rowNames, columnNames] = [labels?.row ?? null, labels?.column ?? null];
  const cut = (list, i) => i > 0 && list[i] !== list[i - 1] + 1;
  const rows = [];
  if (columnNames) {
    const names = across.flatMap((j, n) => [
      ...(cut(across, n) ? [element("td", { class: "gap" }, "…")] : []),
      element("th", { scope: "col" }, columnNames(j)),
    ]);
    rows.push(element("tr", { class: "names" }, ...(rowNames ? [element("td", { class: "corner" })] : []), ...names));
  }
  let first = true;
  down.forEach((i, m) => {
    const name = rowNames ? [element("th", { scope: "row" }, rowNames(i))] : [];
    if (cut(down, m)) rows.push(element("tr", {}, ...(rowNames ? [element("td", { class: "gap" })] : []), element("td", { class: "entry" }, "⋮")));
    const cells = across.flatMap((j, n) => {
      const cell = element(
        "td",
        { class: "entry", "data-i": i, "data-j": j, title: describe ? describe(i, j, at(m, n)) : null },
        format(at(m, n)),
      );
      if (made) cell.setAttribute("tabindex", first ? "0" : "-1");
      first = false;
      return [...(cut(across, n) ? [element("td", { class: "entry gap" }, "…")] : []), cell];
    });
    cells[0].classList.add("left");
    cells.at(-1).classList.add("right");
    rows.push(element("tr", {}, ...name, ...cells));
  });
  const body = rows.filter((row) => row.className !== "names");
  body[0].classList.add("top");
  body.at(-1).classList.add("bottom");
  const grids = made ? { role: "grid", "aria-label": `${key}: arrow keys lead from entry to entry` } : {};
  const drawn = element("table", { class: "matrix", ...grids }, element("tbody", {}, ...rows));
  const scrolls = across.length > 8 || down.length > 8;
  return element("div", scrolls ? { class: "scroll", tabindex: "0", role: "region", "aria-label": key } : { class: "scroll" }, drawn);
}

/** From blue over nothing to orange, by how large a number is beside the largest. */
function heatMap(found, labels, describe) {
  const { down, across, at } = grid(found);
  const numbers = found.cells.filter((x) => typeof x === "number").map(Math.abs);
  const largest = Math.max(...numbers, 0) || 1;
  const canvas = element("canvas", {
    class: "heat",
    width: across.length,
    height: down.length,
    role: "img",
    "aria-label": `Heat map of ${down.length}×${across.length} entries, the largest of size ${format(largest)}`,
  });
  const side = Math.max(3, Math.min(22, Math.floor(360 / across.length), Math.floor(300 / down.length)));
  canvas.style.width = `${side * across.length}px`;
  canvas.style.height = `${side * down.length}px`;
  const context = canvas.getContext("2d");
  down.forEach((_, m) =>
    across.forEach((_, n) => {
      context.fillStyle = heatColor(at(m, n), largest);
      context.fillRect(n, m, 1, 1);
    }),
  );
  const read = element(
    "span",
    { class: "soft small" },
    `orange above 0, blue below; the strongest is ${format(largest)}`,
  );
  const rest = read.textContent;
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const n = Math.min(across.length - 1, Math.floor(((event.clientX - box.left) / box.width) * across.length));
    const m = Math.min(down.length - 1, Math.floor(((event.clientY - box.top) / box.height) * down.length));
    if (n < 0 || m < 0) return;
    read.textContent = describe ? describe(down[m], across[n], at(m, n)) : format(at(m, n));
  });
  canvas.addEventListener("pointerleave", () => (read.textContent = rest));
  return element("div", {}, element("div", { class: "scroll" }, canvas), read);
}

function heatColor(value, largest) {
  if (typeof value === "boolean") value = value ? largest : 0;
  if (typeof value !== "number") return "#c0208a"; // nan, inf
  const strength = Math.sqrt(Math.abs(value) / largest);
  return value >= 0 ? `rgb(214 94 0 / ${strength})` : `rgb(0 102 204 / ${strength})`;
}

/** On one line, for those who listen: the numbers if they are few. */
function spoken(found) {
  if (found.cells.length === 1) return format(found.cells[0]);
  if (found.cells.length > 12 || found.rows) return `a ${sizes(found.shape)} array`;
  const { down, across, at } = grid(found);
  return down.map((_, m) => `[${across.map((_, n) => format(at(m, n))).join(", ")}]`).join(", ");
}
