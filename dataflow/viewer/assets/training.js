// Training: the curves that the file keeps, and what the model makes of the plane, epoch by epoch.

const training = { charts: [], plane: null, frame: 0, logarithmic: true };

function showTraining() {
  if (data.training === null) return;
  const card = byId("training");
  card.hidden = false;
  const { curves, settings, plane } = data.training;
  const children = [element("h2", {}, "Training")];
  if (settings.length) children.push(soft(settings.map(([name, value]) => `${name} ${value}`).join(" · ")));
  const losses = element("div"); // the chart, and a button beside it
  const shares = element("div", { class: "chart" });
  if (curves) children.push(losses, shares);
  const drawn = element("div", { class: "chart" });
  if (plane) children.push(...planeParts(plane, drawn));
  replaceChildren(card, ...children);
  drawCharts = () => {
    training.charts.splice(0).forEach((chart) => chart.destroy());
    const width = Math.max(220, card.clientWidth - 34);
    if (curves) showCurves(curves, losses, shares, width);
    if (plane) training.charts.push((training.plane = planeChart(plane, drawn, width)));
  };
  drawCharts();
  let before = card.clientWidth;
  new ResizeObserver(() => card.clientWidth !== before && ((before = card.clientWidth), drawCharts())).observe(card);
}

let drawCharts = () => {};

// a colour of the theme, as a chart draws with it
function ink(name) {
  const sample = byId("theme").appendChild(document.createElement("i"));
  sample.style.color = `var(${name})`;
  const color = getComputedStyle(sample).color;
  sample.remove();
  return color;
}

function axis(label) {
  const grid = { stroke: ink("--line"), width: 1 };
  return {
    stroke: ink("--ink"),
    grid,
    ticks: grid,
    label,
    labelSize: 18,
    size: 46,
    font: "12px system-ui",
    labelFont: "12px system-ui",
  };
}

// ------------------------------------------------------------------------------------------------ curves

function showCurves(curves, losses, shares, width) {
  const names = Object.keys(curves.lines);
  const ofLoss = names.filter((name) => name.includes("loss"));
  const rest = names.filter((name) => !ofLoss.includes(name));
  const numbers = ofLoss.flatMap((name) => curves.lines[name]).filter(Number.isFinite);
  const positive = numbers.every((x) => x >= 0) && numbers.some((x) => x > 0);
  const drawn = element("div", { class: "chart" });
  replaceChildren(losses, drawn);
  const chart = lines(curves, ofLoss, drawn, width, positive && training.logarithmic, "loss");
  training.charts.push(chart);
  if (positive) {
    losses.append(
      element(
        "button",
        {
          type: "button",
          class: "link",
          onclick: () => {
            training.logarithmic = !training.logarithmic;
            drawCharts();
            losses.querySelector("button").focus();
          },
        },
        training.logarithmic ? "linear scale" : "logarithmic scale",
      ),
    );
    if (training.logarithmic && numbers.includes(0)) {
      losses.append(soft("A loss of 0 has no place on a logarithmic scale: it is drawn at the lower edge."));
    }
  }
  if (rest.length) training.charts.push(lines(curves, rest, shares, width, false, "share"));
}

function lines(curves, names, parent, width, logarithmic, label) {
  const colors = [ink("--forward"), ink("--backward"), ink("--ink")];
  parent.replaceChildren();
  parent.setAttribute("role", "img");
  const last = names.map((name) => `${name} ${format(curves.lines[name].at(-1))}`).join(", ");
  parent.setAttribute("aria-label", `Curves over ${curves.epochs.at(-1)} epochs; at the end ${last}`);
  const powers = (x) => (x > 0 ? Math.log10(x) : -Infinity);
  const heights = names.map((name) =>
    curves.lines[name].map((x) => (!Number.isFinite(x) ? null : logarithmic ? powers(x) : x)),
  );
  const [low, high] = verticalRange(heights, logarithmic);
  const shown = heights.map((line) => line.map((x) => (x === null ? null : Math.min(high, Math.max(low, x)))));
  const splits = () => evenSplits(low, high, logarithmic);
  const values = (_, ticks) => ticks.map((x) => format(logarithmic ? 10 ** x : x, 3));
  return new uPlot(
    {
      width,
      height: 200,
      scales: { x: { time: false }, y: { range: [low, high] } },
      hooks: { ready: [(chart) => chart.setLegend({ idx: curves.epochs.length - 1 })] },
      axes: [axis("epoch"), { ...axis(label), size: 58, splits, values }],
      series: [
        { label: "epoch" },
        ...names.map((name, i) => ({
          label: name,
          stroke: colors[i % colors.length],
          dash: i ? [6, 4] : undefined,
          width: 2,
          points: { show: curves.epochs.length < 3 },
          value: (_, x, series, i) => (Number.isFinite(curves.lines[name][i]) ? format(curves.lines[name][i]) : "–"),
        })),
      ],
    },
    [curves.epochs, ...shown],
    parent,
  );
}

const LARGEST_HEIGHT = 8e307; // the difference of two such numbers is one that can be told

/** The lowest and the highest place of the chart. The plot library's own scales and ticks end in a loop on numbers far from
 * 1, so it gets powers of ten where the scale is logarithmic, and both its range and its ticks. */
function verticalRange(heights, logarithmic) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of heights) {
    for (const x of line) {
      if (x === null || x === -Infinity) continue;
      [low, high] = [Math.min(low, x), Math.max(high, x)];
    }
  }
  if (low > high) return [0, 1];
  if (logarithmic) {
    const hasZero = heights.some((line) => line.includes(-Infinity));
    return [Math.floor(low) - (hasZero || low === high ? 1 : 0), Math.max(Math.ceil(high), Math.floor(low) + 1)];
  }
  [low, high] = [Math.max(low, -LARGEST_HEIGHT), Math.min(high, LARGEST_HEIGHT)];
  const margin = (high - low || Math.abs(high) || 1) / 10;
  return [low >= 0 && low < margin ? 0 : low - margin, high + margin];
}

/** Some six ticks at round numbers; on a logarithmic scale at whole powers of ten. */
function evenSplits(low, high, logarithmic) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = power * ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10);
  const step = logarithmic ? Math.max(1, Math.ceil(rough)) : round;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

// ------------------------------------------------------------------------------------------------ the plane

const TINTS = [
  [0, 102, 204],
  [214, 94, 0],
  [34, 139, 84],
  [150, 70, 180],
  [190, 40, 70],
  [110, 110, 30],
  [20, 140, 150],
  [120, 80, 50],
];

function planeParts(plane, drawn) {
  training.frame = plane.fields.length - 1;
  const told = element("output", { class: "soft" });
  const slider = element("input", {
    type: "range",
    min: 0,
    max: plane.fields.length - 1,
    value: training.frame,
    "aria-label": "Epoch of the decision boundary",
  });
  const tell = () => {
    const epoch = plane.epochs[training.frame];
    told.textContent = data.training.curves ? `epoch ${epoch}` : "as the file has it";
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  slider.addEventListener("input", () => {
    training.frame = Number(slider.value);
    tell();
    training.plane?.redraw();
  });
  tell();
  const head =
    plane.threshold !== null && plane.threshold !== undefined
      ? "Decision boundary"
      : plane.classes
        ? "Decision regions"
        : "The output on the plane";
  const several = plane.fields.length > 1;
  return [
    element("h3", {}, head),
    several ? element("label", { class: "epochs" }, "Epoch ", slider, told) : null,
    drawn,
    soft(planeText(plane)),
    soft(`${plane.note}.`),
  ];
}

function planeText(plane) {
  const what = plane.difference ? `the second output of ${plane.output} less the first` : plane.output;
  const points =
    plane.points.length < plane.points_in_all
      ? ` ${plane.points.length} of the ${plane.points_in_all} examples are marked.`
      : "";
  if (plane.classes) return `The class with the largest of ${plane.output}, a colour for each.${points}`;
  const colors = `Blue is ${what} = ${format(plane.low, 3)} and below, orange ${format(plane.high, 3)} and above`;
  const boundary =
    plane.threshold === null || plane.threshold === undefined
      ? "."
      : `; the line is where it is ${format(plane.threshold, 3)}.`;
  return colors + boundary + points;
}

function planeChart(plane, parent, width) {
  parent.replaceChildren();
  const [[left, right], [bottom, top]] = plane.bounds;
  const kinds = [...new Set(plane.labels ?? [0])].sort((a, b) => a - b);
  const order = plane.points.map((_, i) => i).sort((a, b) => plane.points[a][0] - plane.points[b][0]);
  const column = (kind) =>
    order.map((i) => (plane.labels === null || plane.labels[i] === kind ? plane.points[i][1] : null));
  const color = (kind, i) => `rgb(${tint(plane.classes ? kind : i, plane.classes ?? kinds.length).join(" ")})`;
  const dot = order.length > 60 ? { size: 5, width: 0.7 } : { size: 9, width: 1.5 };
  parent.setAttribute("role", "img");
  parent.setAttribute("aria-label", `What ${plane.output} makes of ${plane.axes.join(" and ")}`);
  const side = Math.min(width, 420);
  return new uPlot(
    {
      width: side,
      height: Math.round(side * 0.86),
      legend: { show: plane.labels !== null, live: false },
      cursor: { show: false },
      scales: { x: { time: false, range: () => [left, right] }, y: { range: () => [bottom, top] } },
      axes: [axis(plane.axes[0]), axis(plane.axes[1])],
      series: [
        { label: "label" },
        ...kinds.map((kind, i) => ({
          label: format(kind),
          paths: () => null,
          width: 4,
          stroke: color(kind, i),
          points: { show: true, ...dot, fill: color(kind, i), stroke: ink("--ink") },
        })),
      ],
      hooks: { drawClear: [(chart) => drawField(chart, plane)] },
    },
    [order.map((i) => plane.points[i][0]), ...kinds.map(column)],
    parent,
  );
}

function tint(kind, kinds) {
  return kinds === 2 && kind === 1 ? TINTS[1] : TINTS[kind % TINTS.length];
}

const fields = new Map();

function field(plane, frame) {
  if (!fields.has(frame))
    fields.set(
      frame,
      Uint8Array.from(atob(plane.fields[frame]), (c) => c.charCodeAt(0)),
    );
  return fields.get(frame);
}

/** The field under the points, interpolated between those of the grid; a line where it crosses the threshold. */
function drawField(chart, plane) {
  const values = field(plane, training.frame);
  const { side } = plane;
  const size = 256;
  const canvas = element("canvas", { width: size, height: size });
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const level = plane.classes
    ? null
    : ((plane.threshold ?? (plane.low + plane.high) / 2) - plane.low) / (plane.high - plane.low);
  const read = plane.classes ? nearest : between;
  const at = (i, j) => read(values, side, (j / (size - 1)) * (side - 1), ((size - 1 - i) / (size - 1)) * (side - 1));
  const marks = plane.threshold !== null && plane.threshold !== undefined;
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j < size; j += 1) {
      const value = at(i, j);
      const pixel = 4 * (i * size + j);
      if (plane.classes) {
        image.data.set([...tint(value, plane.classes), 90], pixel);
        continue;
      }
      const away = value / plane.levels - level;
      const color = away < 0 ? TINTS[0] : TINTS[1];
      const reach = away < 0 ? level : 1 - level;
      image.data.set([...color, Math.round(25 + 150 * Math.min(1, Math.abs(away) / (reach || 1)))], pixel);
      if (marks && j && i) {
        const crosses = [at(i, j - 1), at(i - 1, j)].some((other) => other / plane.levels - level < 0 !== away < 0);
        if (crosses) image.data.set(inkColor(), pixel);
      }
    }
  }
  context.putImageData(image, 0, 0);
  const { left, top, width, height } = chart.bbox;
  chart.ctx.drawImage(canvas, left, top, width, height);
}

function inkColor() {
  return [...ink("--ink").match(/\d+/g).slice(0, 3).map(Number), 255];
}

function nearest(values, side, x, y) {
  return values[Math.round(y) * side + Math.round(x)];
}

function between(values, side, x, y) {
  const [i, j] = [Math.min(side - 2, Math.floor(y)), Math.min(side - 2, Math.floor(x))];
  const [v, u] = [y - i, x - j];
  const row = (k) => values[k * side + j] * (1 - u) + values[k * side + j + 1] * u;
  return row(i) * (1 - v) + row(i + 1) * v;
}
