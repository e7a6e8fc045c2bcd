"""Mistakes that authors of plugins make, each as a distribution of its own: one message names it, with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """\
import sys
import numpy as np
from dataflow import FileFormat, Optimizer, hookimpl, initializer, metric, op, ops_in
from dataflow.ops import exp
"""
OP = """
@op
def wobble(x):
    "exp(x) + 1, elementwise."
    return exp(x) + 1

@hookimpl
def register_ops():
    return ops_in(sys.modules[__name__])
"""
TWO = """
@op
def two(x, y):
    "x + y · exp(x), elementwise."
    return x + y * exp(x)

@two.vjp
def _(g, r, x, y):
    return g

@hookimpl
def register_ops():
    return [two]
"""
OPTIMIZER = """
class Mine(Optimizer):
    "Descent along the sum of all gradients."
    name = "mine"
    state_names = ("sums",)

    def __init__(self, *, learning_rate: float = 0.1):
        self.learning_rate = learning_rate

    def update(self, parameters, gradients, state, step):
        state["sums"] += gradients
        parameters -= self.learning_rate * state["sums"]

@hookimpl
def register_optimizers():
    return [Mine]
"""
INITIALIZER = """
@initializer
def spread(rng, shape):
    "Normal numbers."
    return np.random.normal(size=shape)

@hookimpl
def register_initializers():
    return [spread]
"""
METRIC = """
@metric("numbers", better="lower")
def worst(compared):
    "The largest error."
    return abs(compared.prediction - compared.targets).max()

@hookimpl
def register_metrics():
    return [worst]
"""
COMMAND = """
import click

@click.command("greet")
@click.option("--often", type=int)
def greet(often):
    "Greet."

@hookimpl
def register_commands():
    return [greet]
"""
FORMAT = """
@hookimpl
def register_file_formats():
    return [FileFormat("mine", ("mine",), print, print)]
"""
POINT = "[dataflow]\nmine = dataflow_mine\n"


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


WHEN_LOADED = {
    "the group is misspelt": (OP, "[dataflows]\nmine = dataflow_mine\n", "the group 'dataflows' and is not loaded"),
    "the entry point names a function": (OP, "[dataflow]\nmine = dataflow_mine:register_ops\n", "names a function"),
    "the entry point names no module": (OP, "[dataflow]\nmine = dataflow_min\n", "No module named 'dataflow_min'"),
    "hookimpl is forgotten": (changed(OP, "@hookimpl\n", ""), POINT, "register_ops that is not called: give it @data"),
    "the hook is misspelt": (
        changed(OP, "register_ops", "register_op"),
        POINT,
        "is no hook; did you mean",
    ),
    "return is forgotten": (changed(OP, "return ops_in", "ops_in"), POINT, "register_ops gives no entry"),
    "the op is not decorated": (
        changed(changed(OP, "@op\n", ""), "ops_in(sys.modules[__name__])", "[wobble]"),
        POINT,
        "the function wobble, which is no op; decorate it with @dataflow.op",
    ),
    "an op for a list": (
        changed(OP, "ops_in(sys.modules[__name__])", "wobble"),
        POINT,
        "<op wobble>; it gives a list",
    ),
    "no docstring": (changed(OP, '    "exp(x) + 1, elementwise."\n', ""), POINT, "op 'wobble' has no docstring"),
    "an attribute without a type": (changed(OP, "(x):", "(x, *, k=2):"), POINT, "attribute 'k' needs a type"),
    "a vjp of other arguments": (
        OP + "\n@wobble.vjp\ndef _(g, x):\n    return g * exp(x)\n",
        POINT,
        "its vjp rule takes (g, y, x)",
    ),
    "no name": (
        changed(OPTIMIZER, '    name = "mine"\n', ""),
        POINT,
        'has no name; write name = "mine"',
    ),
    "an instance for a class": (changed(OPTIMIZER, "[Mine]", "[Mine()]"), POINT, "classes: return [Mine]"),
    "an ending without a dot": (FORMAT, POINT, "an ending has a dot and small letters"),
}
WHEN_CHECKED = {
    "too few cotangents": (TWO, "the vjp rule of op 'two' gave 1 result for 2 inputs"),
    "a wrong derivative": (
        OP + "\n@wobble.vjp\ndef _(g, y, x):\n    return g * exp(-x)\n",
        "the cotangent of x[0, 0] is",
    ),
    "state not in place": (
        changed(OPTIMIZER, 'state["sums"] += gradients', 'state["sums"] = state["sums"] + gradients'),
        "update puts a new array in state['sums']; change it in place",
    ),
    "parameters not in place": (
        changed(OPTIMIZER, "parameters -=", "parameters = parameters -"),
        "update leaves the parameters as they are; change them in place",
    ),
    "state not declared": (
        changed(OPTIMIZER, '    state_names = ("sums",)\n', ""),
        "update uses state['sums'], which state_names does not declare",
    ),
    "state in self": (
        OPTIMIZER.replace('state["sums"] += gradients', "self.s = getattr(self, 's', 0) + gradients").replace(
            'state["sums"]', "self.s"
        ),
        "it does not repeat from a checkpoint",
    ),
    "an attribute that is not kept": (
        OPTIMIZER.replace("self.learning_rate", "self.rate"),
        "its attribute learning_rate is not kept: write self.learning_rate = learning_rate",
    ),
    "numbers that do not repeat": (INITIALIZER, "it gives other numbers for the same seed: draw with rng"),
    "a misspelt attribute": (METRIC, "no attribute 'targets'"),
    "a command without an example": (
        changed(COMMAND, "type=int", 'type=int, help="How often."'),
        "its help shows no example: @click.command(epilog=",
    ),
    "an option without help": (
        changed(COMMAND, '"greet"', '"greet", epilog="Example: dataflow greet"'),
        "its option --often has no help; say in a line what it is for",
    ),
}
CHECK = """
from dataflow.registry import registry
from dataflow.testing import PARTS, check_op, check_part
found = registry.registry()
for (kind, name), owner in found.owners.items():
    if owner.name == "mine":
        table = getattr(found, kind.replace(" ", "_") + "s")
        print(*(check_op(table[name]) if kind == "op" else check_part(kind, table[name])), sep="\\n")
"""


def distribution(folder: Path, code: str, points: str = POINT) -> dict[str, str]:
    """A distribution as an installer leaves it, and the environment in which Python finds it."""
    info = folder / "dataflow_mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dataflow-mine\nVersion: 1.0\nRequires-Dist: dataflow-autodiff\n"
    )
    (info / "entry_points.txt").write_text(points)
    (folder / "dataflow_mine.py").write_text(HEAD + code, encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(folder)}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)


def test_there_are_fifteen() -> None:
    assert len(WHEN_LOADED) + len(WHEN_CHECKED) >= 15


QUICK = {"the group is misspelt", "the hook is misspelt"}


@pytest.mark.parametrize(
    "mistake", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in WHEN_LOADED]
)
def test_told_when_the_plugin_is_loaded(tmp_path: Path, mistake: str) -> None:
    code, points, message = WHEN_LOADED[mistake]
    done = run(distribution(tmp_path, code, points), "-m", "dataflow", "ops", "relu")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Warning: ")
    assert "mine" in lines[0]
    assert message in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WHEN_CHECKED)
def test_told_once_when_the_plugin_is_checked(tmp_path: Path, mistake: str) -> None:
    code, message = WHEN_CHECKED[mistake]
    done = run(distribution(tmp_path, code), "-c", CHECK)
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert message in lines[0]


@pytest.mark.slow
def test_a_plugin_without_a_mistake(tmp_path: Path) -> None:
    done = run(distribution(tmp_path, OP + OPTIMIZER), "-c", CHECK)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_an_unknown_op_names_the_broken_plugin_that_has_it(tmp_path: Path) -> None:
    environment = distribution(tmp_path, "import not_there\n" + OP)
    model = tmp_path / "model.toml"
    text = 'dataflow = 1\n[inputs]\nx = { shape = ["n"] }\n[nodes]\ny = "wobble(x)"\n[model]\noutputs = ["y"]\n'
    model.write_text(text)
    done = run(environment, "-m", "dataflow", "run", str(model))
    assert done.returncode == 1
    told = "unknown op 'wobble'; plugin 'mine' (dataflow-mine 1.0) defines it, and is broken: ModuleNotFoundError"
    assert told in done.stderr.splitlines()[-1]
