"""Python without docstrings and ``assert`` (``-OO``, ``PYTHONOPTIMIZE=2``): everything is registered and gives the same
numbers, and no ``assert`` decides anything."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest
from checkout import ROOT

from dataflow.registry import registry

XOR = str(ROOT / "models" / "xor.toml")


def dataflow(*words: str, optimize: str) -> str:
    environment = {**os.environ, "PYTHONOPTIMIZE": optimize}
    done = subprocess.run(  # noqa: PLW1510 (judged below)
        [sys.executable, "-m", "dataflow", *words], capture_output=True, text=True, env=environment, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("run", XOR, "--json"), marks=pytest.mark.slow),
        pytest.param(("run", XOR, "--json", "--backend", "llvm"), marks=pytest.mark.slow),
        pytest.param(("train", XOR, "--json", "--epochs", "3"), marks=pytest.mark.slow),
        ("train", XOR, "--json", "--epochs", "3", "--backend", "llvm"),
    ],
    ids=["run", "run llvm", "train", "train llvm"],
)
def test_the_same_numbers_without_docstrings(words: tuple[str, ...]) -> None:
    plain, optimized = (json.loads(dataflow(*words, optimize=level)) for level in ("", "2"))
    assert optimized == plain


@pytest.mark.slow
def test_every_op_is_registered_without_docstrings() -> None:
    rows = json.loads(dataflow("ops", "--json", optimize="2"))
    assert {row["name"] for row in rows} == set(registry.all_ops())
    kept = {op.name: op.doc for op in registry.all_ops().values() if op.ufunc is not None}  # given as an argument
    assert all("-OO" in row["doc"] or row["doc"] == kept.get(row["name"]) for row in rows)
    assert "-OO" in dataflow("ops", "relu", optimize="2")


def test_every_assert_only_tells_the_type_checker() -> None:
    """What a ``python -O`` leaves out may be no check that a caller relies on."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("dataflow", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if "tests" not in path.parts[len(ROOT.parts) :] and "assert " in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assert) and not _narrows(node.test)
    ]
    assert found == []


def _narrows(test: ast.expr) -> bool:
    """``x is not None``, ``isinstance(x, T)``, ``not isinstance(x, T)``."""
    if isinstance(test, ast.UnaryOp):
        test = test.operand
    if isinstance(test, ast.Call):
        return isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.IsNot)
