"""The pages of docs/lecture: nothing generated is out of date, and the numbers are right.

What is expected is computed here: the net by its formulas in exact fractions (30 digits for 3000 epochs), costs by the
rule that (a×b)(b×c) takes a·b·c multiplications.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from math import pi
from pathlib import Path

import make_lecture
import pytest
from checkout import ROOT

import dataflow

LECTURE = ROOT / "docs" / "lecture"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in LECTURE.glob("*.md")}
ORDER = ["net", "derivatives", "descent", "jacobians", "chain-rule", "back-propagation", "exercises"]
OUTPUTS = {
    (name, block["source"].strip()): block["printed"]
    for name, page in PAGES.items()
    for block in make_lecture.RUN.finditer(page)
    if block["printed"]
}

X = [(0, 0), (0, 1), (1, 0), (1, 1)]
Y = [0, 1, 1, 0]
S1 = [".5", "-.3", ".2", ".8", ".7", "-.5", ".1", "-.2", ".05"]
S2 = ["1", "1", "1", "1", "1", "-2", "0", "-1", "0"]
S3 = [".9", "1.1", ".8", "1.2", ".7", "-1.3", ".1", "-.6", ".2"]
"""w1 to w6, b1, b2, b3."""


class Example:
    """Forward and backward pass of one example, by hand."""

    def __init__(self, p: Sequence, x: tuple[int, int], y: int):
        w1, w2, w3, w4, w5, w6, b1, b2, b3 = p
        self.z = (w1 * x[0] + w2 * x[1] + b1, w3 * x[0] + w4 * x[1] + b2)
        self.h = tuple(max(z, 0 * z) for z in self.z)
        self.yhat = w5 * self.h[0] + w6 * self.h[1] + b3
        self.error = self.yhat - y
        self.f = self.error * self.error / 2
        s1, s2 = (w5 * int(self.z[0] > 0), w6 * int(self.z[1] > 0))
        self.slopes = (s1 * x[0], s1 * x[1], s2 * x[0], s2 * x[1], *self.h, s1, s2, 1)
        self.partials = tuple(self.error * slope for slope in self.slopes)


def examples(p: Sequence, rows: Sequence[int] = range(4)) -> list[Example]:
    return [Example(p, X[k], Y[k]) for k in rows]


def loss(p: Sequence) -> Fraction:
    return sum(example.f for example in examples(p))


def step(p: Sequence, rows: Sequence[int] = range(4), rate: object = Fraction(1, 10)) -> list:
    sums = [sum(column) for column in zip(*(example.partials for example in examples(p, rows)), strict=True)]
    return [value - rate * gradient for value, gradient in zip(p, sums, strict=True)]


P1 = [Fraction(text) for text in S1]
AT_11 = Example(P1, (1, 1), 0)
SUMS = [sum(column) for column in zip(*(example.partials for example in examples(P1)), strict=True)]


def numbers(text: str) -> list[float]:
    return [
        float(number.replace(",", ""))
        for number in re.findall(r"(?<![\w.⁽])-?\d[\d,]*(?:\.\d*)?(?:e-?\d+)?(?![\w⁾])", text)
    ]


def printed(page: str, start: str, after: str = "", until: str = "") -> str:
    """What the command that begins so printed, between two of its texts."""
    (output,) = (
        output
        for (name, source), output in OUTPUTS.items()
        if name == page and any(f"{line} ".startswith(start) for line in source.splitlines())
    )
    part = output[output.index(after) + len(after) :]
    return part[: part.index(until)] if until else part


def holds(page: str, start: str, expected: Sequence, after: str = "", until: str = "", rel: float = 5e-6) -> None:
    """These numbers, and no others, are in that part of what was printed."""
    found = numbers(printed(page, start, after, until))
    assert found == pytest.approx([float(value) for value in expected], rel=rel, abs=0), (page, start, found)


def says(page: str, text: str) -> None:
    assert text in " ".join(PAGES[page].split()), f"{page}.md: {text}"


def shown(values: Sequence, separator: str = ", ") -> str:
    return separator.join(f"{float(value):.10g}".replace("-", "−") for value in values)


def matrix(values: Sequence) -> str:
    return f"[[{shown(values[:2])}], [{shown(values[2:4])}]]"


# ------------------------------------------------------------------------------------------------ generated parts


def make(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tools" / "make_lecture.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root.parent)


@pytest.mark.slow
def test_the_pages_are_up_to_date() -> None:
    done = make(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout


@pytest.mark.slow
def test_what_is_out_of_date_is_said_and_mended(tmp_path: Path) -> None:
    for name in ("docs", "models", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    page, pictures = tmp_path / "docs" / "lecture" / "net.md", tmp_path / "docs" / "lecture" / "pictures"
    page.write_text(PAGES["net"].replace("loss 'f' = 0.0072", "loss 'f' = 0.0073"), encoding="utf-8")
    (pictures / "old.svg").write_text("<svg/>", encoding="utf-8")
    (pictures / "shared.svg").unlink()
    said = make(tmp_path, "--check")
    assert said.returncode == 1
    assert {line.split()[0] for line in said.stdout.splitlines()} == {
        "docs/lecture/net.md",
        "docs/lecture/pictures/old.svg",
        "docs/lecture/pictures/shared.svg",
    }
    assert make(tmp_path).returncode == 0
    assert make(tmp_path, "--check").stdout == ""
    assert page.read_text(encoding="utf-8") == PAGES["net"]


def test_the_tutorial_has_what_its_commands_print_and_builds_its_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert not [block["source"] for block in make_lecture.RUN.finditer(page) if block["printed"] == ""]
    pytest.importorskip("sphinx")
    monkeypatch.chdir(tmp_path)
    make_lecture.write_files(page)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "site", "build"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    html = Path("build/index.html").read_text(encoding="utf-8")
    assert "The backward pass, as far as" in html
    assert len(list(Path("build/_images").glob("*.svg"))) == 1


def test_the_pages_lead_from_one_to_the_next() -> None:
    assert {"index", *ORDER} == set(PAGES)
    assert re.findall(r"^\| \[[^]]*\]\(([\w-]+)\.md\)", PAGES["index"], re.MULTILINE) == ORDER
    for name, following in zip(ORDER, ORDER[1:], strict=False):
        assert PAGES[name].rstrip().splitlines()[-1].startswith("Next: ")
        assert f"({following}.md)" in PAGES[name].rstrip().splitlines()[-1]


def test_every_picture_stands_under_the_command_that_draws_it() -> None:
    for page in PAGES.values():
        shown_pictures = re.findall(
            r"^dataflow (?:draw|plot) .* -o ([\w-]+\.svg)\n```\n\n!\[.+\]\(pictures/\1\)$", page, re.MULTILINE
        )
        assert shown_pictures == re.findall(r"\(pictures/([\w-]+\.svg)\)", page)
    assert sum(len(re.findall(r"^!\[", page, re.MULTILINE)) for page in PAGES.values()) >= 20


def test_every_command_that_prints_has_its_output() -> None:
    for page in PAGES.values():
        for block in make_lecture.RUN.finditer(page):
            last = block["source"].strip().splitlines()[-1]
            drawn = re.search(r" -o ([\w-]+\.svg)$", last) is not None
            assert drawn == (block["printed"] is None), last


@pytest.mark.parametrize(("name", "weights"), [("docs/lecture/net", S1), ("models/xor", S3)])
def test_the_weights_of_the_files(name: str, weights: list[str]) -> None:
    model = dataflow.load(ROOT / f"{name}.toml")
    values = [*model.parameters["W1"].flat, *model.parameters["W2"].flat, *model.parameters["b1"]]
    assert [*values, *model.parameters["b2"]] == [float(text) for text in weights]
    scalars = dataflow.load(ROOT / f"{name}-scalars.toml")
    assert [float(scalars.parameters[key]) for key in ["w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3"]] == [
        *map(float, weights)
    ]


# ------------------------------------------------------------------------------------------------ rows 1 to 3, 28


def test_the_forward_pass() -> None:
    batch = examples(P1)
    run = "dataflow run docs/lecture/net.toml --digits 6"
    holds("net", run, [entry for example in batch for entry in example.z], "float64", "h  ")
    holds("net", run, [example.yhat for example in batch], "yhat            add        (4, 1)  float64", "f  ")
    scalars = "dataflow run docs/lecture/net-scalars.toml"
    holds("net", scalars, [example.yhat for example in batch], "(4,)   float64", "f  ")
    says("net", f"ŷ = {shown([example.yhat for example in batch])}")
    says("net", "4 + 2 in the hidden layer, 2 + 1 in the output: 9.")
    assert sum(value.size for value in dataflow.load(LECTURE / "net.toml").parameters.values()) == len(P1) == 9
    says("net", f"z = ({shown(AT_11.z)}), both are positive")
    w5, w6, b3, (h1, h2) = P1[4], P1[5], P1[8], AT_11.h
    terms = f"{shown([w5])} · {shown([h1])} − {shown([-w6])} · {shown([h2])} + {shown([b3])}"
    says("net", f"ŷ = {terms} = {shown([AT_11.yhat])}")


def test_the_losses() -> None:
    losses = [example.f for example in examples(P1)]
    for k, value in enumerate(losses):
        holds("net", f"dataflow run docs/lecture/net.toml --example {k}", [value], "=", "\n", rel=1e-12)
    says("net", f"The losses are {shown(losses[:3])} and {shown(losses[3:])}. Their sum is {shown([sum(losses)])}")


# ------------------------------------------------------------------------------------------------ rows 4 to 9


def test_derivatives_one_at_a_time() -> None:
    batch = examples(P1)
    errors = [example.error for example in batch]
    holds("derivatives", "dataflow gradients docs/lecture/net.toml --of f --wrt yhat", errors, "(4, 1)")
    says("derivatives", f"{shown(errors)}. The second")
    slopes = [example.slopes[0] for example in batch]
    (column,) = (text for (_, source), text in OUTPUTS.items() if source.endswith("--of yhat --wrt w1"))
    assert [float(line.split()[-1]) for line in column.splitlines()[3:]] == [float(slope) for slope in slopes]
    says(
        "derivatives",
        f"At (1, 1), the last row, z₁ = {shown(AT_11.z[:1])} is positive: 0.7 · 1 · 1 = {shown(slopes[3:])}",
    )


def test_the_kink() -> None:
    at_10 = Example(P1, (1, 0), 1)
    assert at_10.z[1] == 0
    w1, w2, w3, w4, w5, w6, b1, b2, _ = at_10.partials
    assert w3 == b2 == 0
    kink = "dataflow run docs/lecture/net.toml --example 2"
    holds("derivatives", kink, [w1, w2, w3, w4], "(2, 2)", "b1")
    holds("derivatives", kink, [b1, b2], "(2,)", "W2")
    holds("derivatives", kink, [w5, w6], "(1, 2)", "b2")
    assert "(relu) touches its kink at [0, 1]" in printed("derivatives", kink)


def test_all_partials_and_their_sum() -> None:
    rows = list(zip(*(example.partials for example in examples(P1)), strict=True))
    lines = printed("derivatives", "dataflow gradients docs/lecture/net-scalars.toml").splitlines()[3:12]
    for line, row in zip(lines, rows, strict=True):
        assert numbers(line.split(")")[1]) == pytest.approx([float(value) for value in row], rel=1e-12)
    row = printed("derivatives", "dataflow jacobian docs/lecture/net-scalars.toml --of yhat --wrt w1,").splitlines()[3]
    assert [float(text) for text in row.split()[1:]] == pytest.approx(
        [float(value) for value in AT_11.slopes], rel=1e-12
    )
    says("derivatives", f"Multiply this row by {shown([AT_11.error])}: {shown(AT_11.partials)}.")
    sums = printed("derivatives", "dataflow run docs/lecture/net-scalars.toml").splitlines()[1:10]
    assert [float(line.split()[-1]) for line in sums] == pytest.approx([float(value) for value in SUMS], rel=1e-12)


# ------------------------------------------------------------------------------------------------ rows 10 to 13


def has_parameters(command: str, p: Sequence) -> None:
    w1, w2, w3, w4, w5, w6, b1, b2, b3 = p
    holds("descent", command, [2, 2, w1, w2, w3, w4, 2, b1, b2, 1, 2, w5, w6, 1, b3], "parameter", "")


def test_one_step() -> None:
    after = step(P1)
    has_parameters("dataflow run step.msgpack", after)
    holds("descent", "dataflow train docs/lecture/net.toml -o step", [1, loss(after)], "loss\n", "\n\n", rel=1e-11)
    says("descent", f"The loss was {shown([loss(P1)])}, and is {float(loss(after)):.6f} now.")
    says(
        "descent",
        f"w₁ was 0.5, its gradient {shown(SUMS[:1])}, so it is 0.5 + {shown([-SUMS[0] / 10])} = {shown(after[:1])}.",
    )
    mean = loss(step(P1, rate=Fraction(1, 40)))
    holds("descent", "dataflow train docs/lecture/net-mean.toml", [1, mean / 4], "loss\n", "\n\n", rel=1e-11)
    says("descent", f"a mean of {float(mean / 4):.6f} is a sum of {float(mean):.6f}")


def test_minibatches() -> None:
    first = step(P1, (0, 1))
    has_parameters("dataflow run first.msgpack", first)
    epoch = loss(step(first, (2, 3)))
    holds("descent", "dataflow train docs/lecture/net.toml --batch-size 2", [1, epoch], "loss\n", "\n\n", rel=1e-11)
    says("descent", f"{float(epoch):.6f}, where the full batch came to {float(loss(step(P1))):.6f}.")


def test_convergence() -> None:
    table = {
        int(line.split()[0]): float(line.split()[1])
        for line in printed("descent", "dataflow train models/xor.toml", "loss\n", "\n\n").splitlines()
    }
    with localcontext(prec=34):
        p = [Decimal(text) for text in S3]
        says("descent", f"It starts at {loss(p):.4f}.")
        for epoch in range(1, 3001):
            p = step(p, rate=Decimal("0.1"))
            if epoch in table:
                assert table.pop(epoch) == pytest.approx(float(loss(p)), rel=5e-6)  # of six digits
            if epoch == 1:
                says("descent", f"the loss goes up to {loss(p):.6f}.")
        says("descent", f"After 3000 epochs it is {loss(p):.1e}.".replace("E", "e"))
    assert not table


def test_nothing_left_to_learn() -> None:
    batch = examples([Fraction(text) for text in S2])
    assert [example.yhat for example in batch] == Y
    assert not any(partial for example in batch for partial in example.partials)
    holds("descent", "dataflow run docs/lecture/net.toml --set 'W1", Y, "(4, 1)  float64", "f  ")
    gradients = "dataflow run docs/lecture/net.toml --set 'W1"
    holds("descent", gradients, [2, 2, 0, 0, 0, 0, 2, 0, 0, 1, 2, 0, 0, 1, 0], "value\nW1", "\n\n")


# ---------------------------------------------------------------------------------------- rows 14 to 18, 22 to 25


def rows_of(page: str, command: str) -> list[list[float]]:
    """The matrix that ``dataflow jacobian`` printed."""
    lines = printed(page, command).splitlines()
    assert lines[0].startswith("Jacobian of")
    return [[float(text) for text in line.split()[1:]] for line in lines[3:] if not line.startswith("Warning")]


def test_jacobians() -> None:
    x1, x2 = 3, 2
    expected = [[2, 1], [0, pytest.approx(pi, rel=2e-6)], [-1 / x2, x1 / x2**2]]
    assert rows_of("jacobians", "dataflow jacobian models/jacobian.toml") == expected
    assert printed("jacobians", "dataflow jacobian models/jacobian.toml").startswith(
        "Jacobian of f with respect to x: 3 x 2"
    )
    says("jacobians", f"At (3, 2), f = [{2 * x1 + x2}, {x2}π, {shown([-x1 / x2])}]")
    w1, w2 = 2, 4
    exercise = [[1 / w2, -w1 / w2**2], [0, -1], [1 / w1, 0]]
    assert (
        exercise == [[0.25, -0.125], [0, -1], [0.5, 0]] == rows_of("jacobians", "dataflow jacobian models/log-exercise")
    )
    assert "node 'f.divide' (divide): inf" in printed(
        "jacobians", "dataflow run models/log-exercise.toml --set 'w=[2, 0]'"
    )
    assert "node 'f.log' (log): nan" in printed("jacobians", "dataflow run models/log-exercise.toml --set 'w=[-1, 2]'")


def test_the_gradient_in_the_shape_of_the_matrix() -> None:
    (row,) = rows_of("jacobians", "dataflow jacobian docs/lecture/net.toml")
    assert row == pytest.approx([float(value) for value in SUMS[:4]], rel=1e-12)
    holds("jacobians", "dataflow gradients docs/lecture/net.toml", SUMS[:4], "(2, 2)", "Warning")


def test_two_perspectives() -> None:
    x, y, a, b = 3, 2, 5, 7
    says("jacobians", f"At x = {x}, y = {y}, a = {a}, b = {b}, f = {shown([2 * a * x + b / y])}.")
    assert rows_of("jacobians", "dataflow jacobian models/perspectives.toml --of f --wrt x,y") == [[2 * a, -b / y**2]]
    assert rows_of("jacobians", "dataflow jacobian models/perspectives.toml --of f --wrt a,b") == [[2 * x, 1 / y]]


def test_by_a_matrix_and_any_widths() -> None:
    assert rows_of("jacobians", "dataflow jacobian models/matrix-vector.toml") == [[5, 7, 0, 0], [0, 0, 5, 7]]
    assert printed("jacobians", "dataflow check docs/lecture/three-layers.toml").strip() == "All gradients agree."
    parameters = dataflow.load(LECTURE / "three-layers.toml").parameters
    assert (parameters["W1"].shape, parameters["W2"].shape) == ((5, 3), (2, 5))


# ------------------------------------------------------------------------------------------------ rows 19 to 21, 26, 27


def product(left: Sequence, right: Sequence) -> list[list]:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)] for row in left
    ]


def python_of(page: str, text: str) -> str:
    (output,) = (output for (name, source), output in OUTPUTS.items() if name == page and text in source)
    return output


def test_composition_and_order() -> None:
    f, g = [[1, -2, Fraction(1, 4)]], [[1, 2], [0, 1], [-1, 0]]
    assert product(f, g) == [[Fraction(3, 4), 0]]
    x1, x2 = 5, -7
    value = x1 + 2 * x2 - 2 * x2 + (-x1 + 3) / 4
    assert python_of("chain-rule", "dataflow.compose") == f"f(g(5, -7)) = {value}\n[[0.75 0.  ]]\n"
    assert "∂f/∂x = [3/4  0]" in printed("chain-rule", "dataflow explain models/composition.toml")
    says("chain-rule", "[1, −2, ¼] · [[1, 2], [0, 1], [−1, 0]] = [¾, 0]")
    assert python_of("chain-rule", "except").startswith("[[0.75 0.  ]]\n(3×2)(1×3) is no product")
    u1, u2 = 1 + 2, 1
    outer, inner = [[u2, u1], [0, 1]], [[1, 1], [1, 0]]
    right, wrong = ([[float(v) for v in row] for row in product(*pair)] for pair in ((outer, inner), (inner, outer)))
    assert (right, wrong) == ([[4, 1], [1, 0]], [[1, 4], [1, 3]])
    assert python_of("chain-rule", "wrong") == f"right: {right}\nwrong: {wrong}\n"


def test_a_net_is_a_composition() -> None:
    yhat = [example.yhat for example in examples(P1)]
    holds("chain-rule", "dataflow run docs/lecture/net-blocks.toml", yhat, "(4, 1)  float64")
    whole, blocks = (dataflow.load(LECTURE / f"{name}.toml").run()["yhat"] for name in ("net", "net-blocks"))
    assert whole.tobytes() == blocks.tobytes()
    factors = re.findall(r"(\d)×(\d), ", printed("chain-rule", "dataflow explain docs/lecture/net.toml"))
    assert factors == [("1", "1"), ("1", "2"), ("2", "2"), ("2", "4")]
    says("chain-rule", "the widths are 1, 1, 2, 2, 4")


# ------------------------------------------------------------------------------------------------ rows 29 to 32


def costs(widths: Sequence[int]) -> tuple[int, int, int]:
    """Multiplications of a chain of matrices from the left, from the right, and at best. ``widths`` from the left."""

    @cache
    def best(i: int, j: int) -> int:
        return min((best(i, k) + best(k, j) + widths[i] * widths[k] * widths[j] for k in range(i + 1, j)), default=0)

    first, last = widths[0], widths[-1]
    left = sum(first * a * b for a, b in zip(widths[1:], widths[2:], strict=False))
    right = sum(a * b * last for a, b in zip(widths, widths[1:-1], strict=False))
    return left, right, best(0, len(widths) - 1)


def counted(output: str) -> dict[str, int]:
    return {
        name: int(number.replace(",", ""))
        for name, number in re.findall(r"^  (\S.*?) {3,}([\d,]+)", output, re.MULTILINE)
    }


def test_the_four_formulas() -> None:
    w, last = AT_11.partials[:4], AT_11.partials[4:6]
    says("back-propagation", f"∇W⁽¹⁾ = {matrix(w)}.")
    says("back-propagation", f"∇W⁽²⁾ = [{shown(last)}].")
    svg = (LECTURE / "pictures" / "formulas-values.svg").read_text(encoding="utf-8")
    for text in (matrix(w), f"[[{shown(last)}]]", f"∂f/∂ŷ = {shown([AT_11.error])}", f"∂ŷ/∂h = ({shown(P1[4:6])})"):
        assert text in svg


def test_what_is_shared() -> None:
    chains = {"W1": (1, 1, 2, 2, 4), "b1": (1, 1, 2, 2, 2), "W2": (1, 1, 2), "b2": (1, 1, 1)}
    separately = sum(costs(widths)[0] for widths in chains.values())
    shared = separately - costs((1, 1, 2, 2))[0]
    found = counted(printed("back-propagation", "dataflow explain docs/lecture/net.toml --example 3"))
    assert found == {"each derivative by itself": separately, "shared prefixes computed once": shared}
    assert (separately, shared) == (27, 21)
    says("back-propagation", f"{separately} if each is computed by itself, {shared} if")


@pytest.mark.parametrize(
    ("page", "command", "widths"),
    [
        ("back-propagation", "dataflow explain docs/lecture/net.toml --wrt W1", (1, 1, 2, 2, 4)),
        ("back-propagation", "dataflow explain docs/lecture/chain.toml", (64, 8, 32, 8, 64)),
        ("exercises", "dataflow explain docs/lecture/net.toml --wrt b1", (1, 1, 2, 2, 2)),
    ],
)
def test_what_an_order_costs(page: str, command: str, widths: tuple[int, ...]) -> None:
    found = counted(printed(page, command))
    assert (found["from the left (reverse)"], found["from the right (forward)"], found["the best order"]) == costs(
        widths
    )


def test_the_costs_in_the_text() -> None:
    says(
        "back-propagation",
        "{:,} multiplications. From the right, whole matrices are multiplied: {:,}.".format(*costs((1, 1, 2, 2, 4))),
    )
    left, right, _ = costs((1, 10, 30, 30, 784 * 30))
    says("back-propagation", f"{left:,} from the left, {right:,} from the right.")
    assert python_of("back-propagation", "he_normal") == f"from the left {left:,}, from the right {right:,}\n"
    left, _, best = costs((64, 8, 32, 8, 64))
    says("back-propagation", f"Both sides cost {left:,}. The best order costs {best:,}")
    for widths in (64, 8, 32, 8, 64), (10, 100, 5, 100, 10):
        left, right, best = costs(widths)
        assert f"{widths} from the left {left:,}, from the right {right:,}, at best {best:,}\n" in python_of(
            "back-propagation", 'normal") @ value'
        )
    says(
        "exercises",
        "1·1·2 + 1·2·2 + 1·2·2 = {}. From the right: 2·2·2 + 1·2·2 + 1·1·2 = {}.".format(*costs((1, 1, 2, 2, 2))),
    )


def test_forward_comes_first() -> None:
    assert "'f' needs the input 'y', which is not given" in printed(
        "back-propagation", "dataflow gradients docs/lecture/net.toml"
    )


# ------------------------------------------------------------------------------------------------ exercises


def answer(path: str) -> list[float]:
    found = json.loads((LECTURE / path).read_text(encoding="utf-8"))
    return [*found["W1"][0], *found["W1"][1], *found["W2"][0], *found["b1"], *found["b2"]]


LEARNERS: dict[str, tuple[str, Callable[[], Sequence]]] = {
    "cleo": ("missing minus", lambda: [-value for value in SUMS]),
    "dana": ("last example only", lambda: AT_11.partials),
    "hana": ("forgotten ½", lambda: [2 * value for value in SUMS]),
    "ben": ("transposed matrix or column-major vec", lambda: [SUMS[0], SUMS[2], SUMS[1], *SUMS[3:]]),
}


def test_the_answers_are_marked() -> None:
    marks = printed("exercises", "dataflow check docs/lecture/net.toml --against docs/lecture/answers ")
    assert answer("answers/anna.json") == [float(value) for value in SUMS]
    assert answer("step/anna.json") == [float(value) for value in step(P1)]
    assert answer("step/cleo.json") == [float(value) for value in step(P1, rate=Fraction(-1, 10))]
    assert re.search(r"^anna +4 +0$", marks, re.MULTILINE)
    for name, (mistake, numbers_of) in LEARNERS.items():
        assert answer(f"answers/{name}.json") == [float(value) for value in numbers_of()]
        assert re.search(rf"^{name} .*: {mistake}$", marks, re.MULTILINE)
    for name, mistake in {"emil": r"relu′\(0\) = 1", "fay": "updated weights", "gil": "forgotten derivative"}.items():
        assert re.search(rf"^{name} .*: {mistake}$", marks, re.MULTILINE)


def test_the_third_exercise() -> None:
    partials = Example(P1, (0, 1), 1).partials
    names = ["w₁", "w₂", "w₃", "w₄", "w₅", "w₆", "b₁", "b₂", "b₃"]
    nonzero = {name: value for name, value in zip(names, partials, strict=True) if value}
    *some, last = nonzero
    says("exercises", f"Only {', '.join(some)} and {last} get something: {shown(list(nonzero.values()))}.")
