"""A plugin to begin with: a package with an op, its derivative, its test, an optimizer, an entry point, a README."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from dataflow.errors import DataflowError
from dataflow.registry import registry

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
LONGEST = 40
USED = {"dataflow", "sys", "op", "sample", "hookimpl", *dir(builtins), *keyword.kwlist, *keyword.softkwlist}
"""Names that the files use otherwise."""


@dataclass(frozen=True)
class NewPlugin:
    """What the new package's parts are called, and its files by name."""

    distribution: str
    module: str
    op: str
    optimizer: str
    files: Mapping[str, str]


def new_plugin(name: str) -> NewPlugin:
    """The plugin of that name, such as ``soft-step``. A ``DataflowError`` where something is called so already."""
    stem = re.sub(r"^dataflow[-_]", "", name)
    if not NAME.fullmatch(stem) or len(stem) > LONGEST:
        raise DataflowError(
            f"'{name}' is no name for a plugin; it takes at most {LONGEST} small letters, digits and single dashes, a "
            "letter first, as in soft-step"
        )
    op = stem.replace("-", "_")
    words = {
        "distribution": f"dataflow-{op.replace('_', '-')}",
        "module": f"dataflow_{op}",
        "op": op,
        "padded": f"{op:<21}  ",  # so that the remarks of commands stand below each other
        "optimizer": f"{op}_descent",
        "Optimizer": "".join(word.capitalize() for word in op.split("_")) + "Descent",
    }
    _check_free(op, words)
    files = {Template(path).substitute(words): Template(text).substitute(words) for path, text in FILES.items()}
    return NewPlugin(words["distribution"], words["module"], op, words["optimizer"], files)


def _check_free(op: str, words: Mapping[str, str]) -> None:
    found = registry.registry()
    for kind, taken in (("op", op), ("block", op), ("optimizer", words["optimizer"])):
        if (kind, taken) in found.owners:
            raise DataflowError(
                f"the {kind} '{taken}' is there already, from {found.owners[kind, taken]}; take another name, such as "
                f"my-{op.replace('_', '-')}"
            )
    if op in USED:
        raise DataflowError(f"'{op}' means something else in Python, or in the plugin's files; take another name")
    if any(owner.name == op for owner in found.plugins) or importlib.util.find_spec(words["module"]) is not None:
        raise DataflowError(f"a plugin '{op}' or a module '{words['module']}' is installed already; take another name")


FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "The op $op and the optimizer $optimizer, a plugin of dataflow."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["dataflow-autodiff"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.dataflow]
$op = "$module"

[tool.setuptools]
py-modules = ["$module"]
""",
    "$module.py": '''\
"""The op ``$op`` and the optimizer ``$optimizer``, a plugin of dataflow."""

import sys

from dataflow import Optimizer, hookimpl, op, ops_in, sample
from dataflow.ops import sqrt


@op
def $op(x, *, width: float = 1.0):
    """x / sqrt(width² + x²), elementwise: from −1 to 1, and steepest at 0."""
    return x / sqrt(width * width + x * x)


@$op.vjp
def _(g, y, x, *, width):
    root = sqrt(width * width + x * x)
    return g * width * width / (root * root * root)


@$op.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)))
    yield sample(rng.normal(size=4), width=0.5)


class $Optimizer(Optimizer):
    """Descent along a mean of the gradients so far, in which old ones fade."""

    name = "$optimizer"
    state_names = ("mean",)

    def __init__(self, *, learning_rate: float = 0.1, decay: float = 0.9):
        self.learning_rate = learning_rate
        self.decay = decay

    def update(self, parameters, gradients, state, step):
        mean = state["mean"]  # what is kept from update to update stands in the state, and is changed in place
        mean *= self.decay
        mean += (1 - self.decay) * gradients
        parameters -= self.learning_rate * mean


@hookimpl
def register_ops():
    return ops_in(sys.modules[__name__])


@hookimpl
def register_optimizers():
    return [$Optimizer]
''',
    "tests/test_$op.py": '''\
"""Every rule of the op, the optimizer, and both in a model file."""

from pathlib import Path

import dataflow
import $module
from dataflow.testing import assert_op, assert_optimizer

EXAMPLE = Path(__file__).parent.parent / "example.toml"


def test_op():
    assert_op($module.$op)


def test_optimizer():
    assert_optimizer($module.$Optimizer)


def test_the_example_learns():
    history = dataflow.train(dataflow.load(EXAMPLE))
    assert history.loss[-1] < 0.1 * history.loss[0]
''',
    "example.toml": """\
dataflow = 1
name = "$op"

[inputs]
x = { shape = ["n"] }
y = { shape = ["n"] }

[parameters]
a = { value = 0.5 }

[nodes]
h = "$op(a * x, width=2.0)"
loss = "mse(h, y)"

[model]
outputs = ["h"]
loss = "loss"

[data]
x = [-2, -1, 0, 1, 2]
y = [-0.9, -0.7, 0, 0.7, 0.9]

[train]
optimizer = { name = "$optimizer", learning_rate = 0.3 }
epochs = 200
""",
    "README.md": """\
# $distribution

A plugin of dataflow with the op `$op` and the optimizer `$optimizer`.

```
pip install -e .                    # dataflow finds it by its entry point, in pyproject.toml
dataflow plugins                    # is it there?
dataflow ops ${padded}# what it is
dataflow train example.toml         # a model file that uses both
pip install pytest && pytest        # its tests
```

The op, its derivative and its samples stand in `$module.py`; put your own in their place, and run the tests.
""",
}
"""Templates of the files, by their paths in the package's folder."""
