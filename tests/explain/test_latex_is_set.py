"""What is written in LaTeX is set by TeX: it compiles, and its lines fit a page, a slide and a column."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner
from tex import compile_tex, need_tex

import dataflow
from dataflow.cli.group import main
from dataflow.explain.equations import matrix
from dataflow.explain.latex_lines import Equation, aligned_lines, set_width, terms

ARTICLE = "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\begin{document}\n%s\\end{document}\n"
BEAMER = (
    "\\documentclass[11pt]{beamer}\n\\begin{document}\n\\begin{frame}[allowframebreaks]\n%s\\end{frame}\n"
    "\\end{document}\n"
)
COLUMN = "\\noindent\\begin{minipage}{140pt}\n%s\\end{minipage}\n\n"
LINES = [
    "xor.toml --wrt W1 --example 3",
    "xor.toml",
    "xor-scalars.toml --wrt w1,b1",
    "composition.toml --of f",
    "perspectives.toml --of f --wrt x,y,a,b",
    "jacobian.toml --of f --wrt x",
    "deep.toml --wrt W_in --example 0",
    "digits.toml --example 0",
    "xor.toml --symbolic --wrt W1",
    "xor-scalars.toml --symbolic --wrt w1",
    "jacobian.toml --symbolic --of f --wrt x",
]
PIECES = [
    r"\frac{\partial \mathrm{loss}}{\partial W^{(1)}}",
    r"\begin{pmatrix} -0.14 & 0.123456 & -1.5\cdot 10^{-7} \\ 0 & 1 & 2 \end{pmatrix}",
    r"x_{12}^{2} + \left(w_{1} x_{1} + b\right) \cdot 3 - \hat{y}",
    r"\begin{cases} w_{5} x_{1} \left(\hat{y} - y\right) & \text{for}\: z_{1} > 0 \\0 & \text{otherwise} \end{cases}",
    r"\nabla_{W^{(1)}}\, \mathrm{loss} = \text{(matmul, Kronecker, I $\otimes$ A)}",
    r"\sum_{i} \log{\left(x_{1} \right)} \tanh{x} \sqrt{x^{2} + 1}",
    r"abcdefghijklmnopqrstuvwxyz \mathrm{some\_long\_name}",
    r"ABCDEFGHIJKLMNOPQRSTUVWXYZ \alpha\beta\gamma\theta",
]


def explained(line: str) -> str:
    done = CliRunner().invoke(main, ["explain", *shlex.split(line)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(autouse=True)
def in_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MODELS)


def overfull(log: str) -> Iterator[float]:
    """By how many points lines are too wide."""
    return (float(size) for size in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide\)", log))


@pytest.mark.parametrize("lines", [LINES[:1], pytest.param(LINES, marks=pytest.mark.slow)])
def test_snippets_fit_a_page_a_slide_and_half_a_slide(tmp_path: Path, lines: list[str]) -> None:
    need_tex("amsmath.sty", "beamer.cls")
    snippets = [explained(f"{line} --format latex") for line in lines]
    assert not any("documentclass" in snippet for snippet in snippets)
    assert list(overfull(compile_tex(tmp_path, ARTICLE % "".join(snippets)))) == []
    slides = compile_tex(tmp_path, BEAMER % "".join(snippets))
    assert list(overfull(slides)) == []
    assert len(lines) > 1 or "Overfull \\vbox" not in slides  # a matrix of a batch may be higher than a slide
    narrow = [explained(f"{line} --format latex --width 140pt --digits 2") for line in lines[:6]]
    assert list(overfull(compile_tex(tmp_path, ARTICLE % "".join(COLUMN % snippet for snippet in narrow)))) == []


def test_documents_compile_on_their_own(tmp_path: Path) -> None:
    need_tex("amsmath.sty", "geometry.sty")
    for line in (LINES[1], "perspectives.toml --symbolic --of f --wrt x"):
        document = explained(f"{line} --standalone")
        assert document.startswith("\\documentclass[a4paper]")
        assert list(overfull(compile_tex(tmp_path, document))) == []


def test_widths_are_those_of_tex(tmp_path: Path) -> None:
    need_tex("amsmath.sty")
    asked = "".join(f"\\settowidth{{\\w}}{{$\\displaystyle {piece}$}}\\typeout{{W \\the\\w}}\n" for piece in PIECES)
    log = compile_tex(tmp_path, ARTICLE % f"\\newlength{{\\w}}\n{asked}x")
    sizes = [float(size) for size in re.findall(r"^W ([0-9.]+)pt", log, re.MULTILINE)]
    assert len(sizes) == len(PIECES)
    for piece, size in zip(PIECES, sizes, strict=True):
        assert 0.95 * size <= set_width(piece) <= 1.25 * size, piece


# ------------------------------------------------------------------------------------------------ without TeX


def test_lines_are_broken_before_signs() -> None:
    pieces = [("=", r"\frac{\partial a}{\partial b}"), *[(r"\cdot", r"\frac{\partial b}{\partial c}")] * 30]
    lines = aligned_lines([Equation("f", pieces), Equation("g", [("=", "1")])], 200)
    assert len(lines) > 3
    assert all(set_width(line.replace("&", "")) <= 200 for line in lines)
    assert lines[0].startswith("f &= ")
    assert all(line.startswith(r"&\quad \cdot ") for line in lines[1:-1])
    assert lines[-1] == "g &= 1"


def test_a_sum_has_its_terms() -> None:
    assert terms(r"a + \left(b - c\right) d - \frac{e + f}{2}") == [
        ("=", "a"),
        ("+", r"\left(b - c\right) d"),
        ("-", r"\frac{e + f}{2}"),
    ]
    assert terms("- x") == [("=", "- x")]


def test_matrices_that_do_not_fit_are_shortened_in_their_middle() -> None:
    wide = matrix(np.arange(40.0)[None] / 7, 200)
    assert r"\cdots" in wide
    assert set_width(wide) <= 200
    assert wide.startswith(r"\begin{pmatrix} 0 & 0.142857 &")
    assert wide.endswith(r"5.57143 \end{pmatrix}")
    tall = matrix(np.arange(40.0)[:, None])
    assert tall.count(r"\\") == 11
    assert r"\vdots" in tall


def test_every_format_names_the_example() -> None:
    for form, words in {
        "text": "example 3 of the batch",
        "latex": "example 3 of the batch",
        "markdown": "example 3 of the batch",
        "html": "example 3 of the batch",
        "json": '"example": 3',
    }.items():
        assert words in explained(f"xor.toml --wrt b2 --example 3 --format {form}"), form
        assert form == "html" or "example 3" in explained(
            f"xor.toml --wrt b2 --example 3 --symbolic --format {form}"
        ).replace('"example": 3', "example 3")


def test_an_example_of_a_model_without_a_batch_is_refused_in_symbols_too() -> None:
    for more in ("", "--symbolic"):
        done = CliRunner().invoke(main, shlex.split(f"explain perspectives.toml --of f --wrt x --example 0 {more}"))
        assert done.exit_code == 1
        assert "the model has no batch" in done.stderr


def test_wrt_given_several_times_adds_up() -> None:
    for line in ("explain xor.toml {} --json", "jacobian xor.toml --of yhat {} --json", "gradients xor.toml {} --json"):
        several = CliRunner().invoke(main, shlex.split(line.format("--wrt W1 --wrt b1,b2")))
        assert several.exit_code == 0, several.output
        assert several.stdout == CliRunner().invoke(main, shlex.split(line.format("--wrt W1,b1,b2"))).stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--example -1", "'--example': -1"),
        ("--standalone --format text", "--standalone makes a LaTeX document"),
        ("--standalone --json", "--standalone makes a LaTeX document"),
        ("--width 140pt", "--width is for lines"),
        ("--width 140 --format latex", "no length such as 830px"),
        ("--width 2pt --format latex", "at least 80pt"),
        ("--symbolic --wrt b2 --format html", "--symbolic writes latex, markdown, text or json, not html"),
        ("--symbolic --wrt b2 --inner", "--inner is for an explanation in numbers"),
        ("--symbolic --wrt b2 --order h", "--order is for an explanation in numbers"),
        ("--step --format json", "--step goes with --format text"),
    ],
)
def test_options_that_do_not_go_together(line: str, message: str) -> None:
    done = CliRunner().invoke(main, ["explain", "xor.toml", *shlex.split(line)])
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_derivation_in_symbols_is_in_the_shape_of_the_parameter(tmp_path: Path) -> None:
    file = tmp_path / "linear.toml"
    file.write_text(
        'dataflow = 1\n[inputs]\nx = { shape = ["n", 2] }\n[parameters]\nW = { value = [[1, 2], [3, 4], [5, 6]] }\n'
        '[nodes]\nf = "sum(x @ W.T)"\n[model]\nloss = "f"\n[data]\nx = [[7, 8]]\n'
    )
    derivation = dataflow.derive(dataflow.load(file), wrt="W")
    x1, x2 = derivation.symbols["x"]
    assert derivation.gradient.tolist() == [[x1, x2]] * 3  # f is the sum of x1 (W11 + W21 + W31) + x2 (W12 + W22 + W32)
    assert derivation.gradient.shape != derivation.result.shape == (1, 6)
    line = f"{file} --symbolic --wrt W"
    assert r"\nabla_{W}\, f &= \begin{pmatrix}x_{1} & x_{2}\\x_{1} & x_{2}\\x_{1} & x_{2}\end{pmatrix}" in explained(
        line
    )
    assert "∇W f = ⎢x₁  x₂⎥" in explained(f"{line} --format text")
    assert json.loads(explained(f"{line} --json"))["gradient"] == [["x₁", "x₂"]] * 3
    assert dataflow.derive(dataflow.load("jacobian.toml"), of="f", wrt="x").gradient is None


def test_what_is_hidden_is_said_in_every_form() -> None:
    for form in ("text", "latex", "markdown", "html"):
        written = explained(f"xor.toml --wrt W1 --example 3 --set 'W2=[[1e-20, 1]]' --format {form}")
        assert "below 1e-12 of their array" in written, form
