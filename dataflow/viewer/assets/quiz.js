// The quiz: the next value or factor is asked for before it is shown. Answers are kept as long as the page is open.

const quiz = { on: data.quiz, done: new Map(), said: null };
const ENTRIES_ASKED = 4; // of a larger matrix one entry is asked for
const SHARE = 0.005; // a number is right that is this near, or that is the answer rounded to two digits or more
const NOTHING = 1e-9; // of the largest entry: what is smaller counts as 0

function startQuiz() {
  byId("quiz").addEventListener("click", () => turnQuiz(!quiz.on));
  byId("score").hidden = !quiz.on;
}

function turnQuiz(on) {
  quiz.on = on;
  choose({});
  if (on) focusQuestion();
}

function showScore() {
  const results = [...quiz.done.values()];
  byId("quiz").setAttribute("aria-pressed", quiz.on);
  byId("score").hidden = !quiz.on;
  byId("score").textContent = `Score: ${results.filter(Boolean).length} of ${results.length}`;
}

/** What a step asks for: the numbers, and the entries that are asked; null where nothing is. */
function askedOf(pass, step) {
  if (step.kind === "forward") {
    const found = valueOf(pass, step.node);
    if (!found?.cells.length) return null;
    const columns = sides(found.shape)[1];
    const name = (i, j) => entryName(pass, step.node, i * columns + j);
    return { found, name, of: textOf(step.node), key: `value ${step.node}` };
  }
  if (step.kind !== "factor" || !pass.factors[step.factor]?.cells.length) return null;
  const factor = data.factors[step.factor];
  const name = (i, j) => `∂${entryName(pass, factor.of, i)}/∂${entryName(pass, factor.wrt, j)}`;
  return { found: pass.factors[step.factor], name, of: factorName(factor), key: `factor ${step.factor}` };
}

function keyOf(asked) {
  return `${state.pass} ${asked.key}`;
}

/** Whether the step hides its numbers. */
function isAsked(pass, step) {
  if (!quiz.on || printing.on) return false;
  const asked = askedOf(pass, step);
  return asked !== null && !quiz.done.has(keyOf(asked));
}

/** Whether the value of a node is not to be seen yet. */
function isHidden(pass, node) {
  if (!quiz.on) return false;
  return state.steps.some((step, at) => {
    const about = step.kind === "forward" ? step.node : step.kind === "factor" ? data.factors[step.factor].wrt : null;
    return about === node && at >= state.step && isAsked(pass, step);
  });
}

/** The entries asked for: all of a small matrix, of a large one the one with the largest number. */
function entriesAsked({ found }) {
  const { down, across, at } = grid(found);
  const all = down.flatMap((i, m) => across.map((j, n) => ({ i, j, value: at(m, n) })));
  if (all.length <= ENTRIES_ASKED) return all;
  const size = ({ value }) => (Number.isFinite(value) ? Math.abs(value) : 0);
  return [all.reduce((best, one) => (size(one) > size(best) ? one : best))];
}

function questionOf(pass, step) {
  const asked = askedOf(pass, step);
  const entries = entriesAsked(asked);
  const what = step.kind === "forward" ? "value" : "factor";
  const name = entries.length === 1 ? asked.name(entries[0].i, entries[0].j) : asked.of;
  return { text: `What is the ${what} ${name}?`, entries, asked };
}

function quizForm(pass, step) {
  const { text, entries, asked } = questionOf(pass, step);
  const told = element("p", { role: "status" });
  const fields = entries.map(({ i, j, value }, n) => {
    const input = element("input", { type: "text", id: `answer-${n}`, autocomplete: "off", size: 9, "aria-describedby": "answer-form" });
    const label = element("label", { for: `answer-${n}` }, `${asked.name(i, j)} = `);
    return { input, value, name: asked.name(i, j), view: element("span", { class: "answer" }, label, input) };
  });
  const check = (event) => {
    event.preventDefault();
    const largest = Math.max(0, ...asked.found.cells.filter(Number.isFinite).map(Math.abs));
    const results = fields.map(({ input, value }) => judge(input.value, value, largest));
    fields.forEach(({ input }, n) => input.setAttribute("aria-invalid", results[n] !== "right"));
    const wrong = results.findIndex((result) => result !== "right");
    if (wrong < 0) return settle(asked, true, "Right.");
    const { name, input } = fields[wrong];
    told.textContent = {
      none: `${name}: write a number, such as −0.15, 3/4 or 2e-3.`,
      digits: `${name}: nearly; give two digits or more.`,
      sign: `${name}: the sign is wrong.`,
      wrong: `${name}: not right yet.`,
    }[results[wrong]];
    input.focus();
    input.select();
  };
  const reveal = element("button", { type: "button", onclick: () => settle(asked, false, "Revealed.") }, "Reveal");
  return element(
    "form",
    { class: "quiz", onsubmit: check },
    element("p", { class: "question" }, text),
    element("div", { class: "row" }, ...fields.map(({ view }) => view)),
    element("p", { class: "soft small", id: "answer-form" }, "A decimal number or a fraction; two digits are enough."),
    element("div", { class: "row" }, element("button", { type: "submit" }, "Check"), reveal),
    told,
  );
}

function settle(asked, right, said) {
  quiz.done.set(keyOf(asked), right);
  quiz.said = said;
  choose({});
  quiz.said = null;
  byId("step").querySelector(".verdict button")?.focus();
}

/** After an answer: what it was worth, and the way on. */
function quizVerdict(pass, step) {
  if (!quiz.on || printing.on) return null;
  const asked = askedOf(pass, step);
  if (asked === null || isAsked(pass, step)) return null;
  const right = quiz.done.get(keyOf(asked));
  const on = element("button", { type: "button", onclick: () => (go(state.step + 1), focusQuestion()) }, "Next step");
  return element(
    "div",
    { class: "row verdict" },
    element("p", { role: "status" }, quiz.said ?? (right ? "Answered." : "Revealed.")),
    state.step < state.steps.length - 1 ? on : null,
  );
}

/** The focus in the first field; where a step asks nothing, on the way on. */
function focusQuestion() {
  (byId("step").querySelector("form input") ?? byId("next")).focus();
}

/** "right", "wrong", or what is wrong with it. */
function judge(text, value, largest) {
  const answer = numberOf(text);
  if (answer === null) return "none";
  if (typeof value === "boolean") value = Number(value);
  if (typeof value !== "number") return String(answer.number) === String(Number(String(value).replace("inf", "Infinity"))) ? "right" : "wrong";
  const apart = Math.abs(answer.number - value);
  if (apart <= Math.max(SHARE * Math.abs(value), NOTHING * largest)) return "right";
  if (answer.decimals !== null && apart <= 0.5000001 * 10 ** -answer.decimals) {
    if (answer.digits >= 2) return "right";
    if (answer.number !== 0) return "digits";
  }
  return Math.abs(answer.number + value) <= SHARE * Math.abs(value) ? "sign" : "wrong";
}

/** What a reader wrote: a decimal number, with a point or a comma, a fraction, or a word for what is not finite. */
function numberOf(text) {
  const plain = text.trim().replaceAll("−", "-").replace(/\s+/g, "").replace(/^\+/, "");
  const words = { nan: NaN, inf: Infinity, "-inf": -Infinity, "∞": Infinity, "-∞": -Infinity };
  if (plain.toLowerCase() in words) return { number: words[plain.toLowerCase()], decimals: null };
  const decimal = "(?:\\d+(?:[.,]\\d*)?|[.,]\\d+)(?:e[+-]?\\d+)?";
  const match = new RegExp(`^(-?)(${decimal})(?:/(-?${decimal}))?$`, "i").exec(plain);
  if (!match) return null;
  const read = (part) => Number(part.replace(",", "."));
  const sign = match[1] ? -1 : 1;
  if (match[3] !== undefined) return read(match[3]) === 0 ? null : { number: (sign * read(match[2])) / read(match[3]), decimals: null };
  const [mantissa, exponent] = match[2].toLowerCase().split("e");
  const behind = /[.,](\d*)/.exec(mantissa)?.[1].length ?? 0;
  const digits = mantissa.replace(/[.,]/g, "").replace(/^0+/, "").length;
  return { number: sign * read(match[2]), decimals: behind - Number(exponent ?? 0), digits };
}
