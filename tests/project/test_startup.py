"""What starting costs: which packages and parts a process imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checkout import ROOT

XOR = str(ROOT / "models" / "xor.toml")

ENGINE = {"dataflow", "msgpack", "networkx", "numpy", "pluggy"}
PLUGINS = {"dataflow_ops", "dataflow_nn", "dataflow_llvm", "dataflow_onnx", "dataflow_cluster", "dataflow_jax"}

IMPORTED = """
import sys
before = set(sys.modules)
{code}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print("\\n" + " ".join(sorted(names - set(sys.stdlib_module_names))))
"""


def imported(code: str) -> set[str]:
    """The packages outside the standard library that a fresh process imports, but for those by which an installer finds
    an editable package, and for the names under which Cython's compiled modules know each other."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(code=code)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    names = set(done.stdout.splitlines()[-1].split())
    return {name for name in names if not name.startswith(("__editable__", "_cython_")) and name != "cython_runtime"}


def command(*words: str) -> str:
    return f"""
from dataflow.cli import main
main({list(words)!r}, standalone_mode=False)
"""


def test_importing_dataflow_imports_what_the_engine_needs() -> None:
    assert imported("import dataflow") == ENGINE


def test_a_model_runs_without_any_optional_package() -> None:
    code = f"import dataflow; model = dataflow.load({XOR!r}); model.run(); model.gradients()"
    assert imported(code) == ENGINE | PLUGINS


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("run", XOR), marks=pytest.mark.slow),
        pytest.param(("run", XOR, "--json"), marks=pytest.mark.slow),
        pytest.param(("jacobian", XOR, "--of", "yhat", "--wrt", "W1"), marks=pytest.mark.slow),
        pytest.param(("gradients", XOR, "--mode", "hessian", "--wrt", "b1"), marks=pytest.mark.slow),
        pytest.param(("explain", XOR, "--wrt", "W1", "--example", "3"), marks=pytest.mark.slow),
        pytest.param(("check", XOR), marks=pytest.mark.slow),
        pytest.param(("ops", "relu"), marks=pytest.mark.slow),
        ("train", XOR, "--epochs", "2", "--json"),
    ],
    ids=lambda words: " ".join(word for word in words if word != XOR),
)
def test_a_command_imports_click_and_no_more(words: tuple[str, ...]) -> None:
    assert imported(command(*words)) <= ENGINE | PLUGINS | {"click"} | ({"mpmath"} if words[0] == "check" else set())


def test_help_imports_no_command() -> None:
    code = "import sys" + command("--help") + "print([name for name in sys.modules if 'training' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "explain" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


NAMES_TWICE = """
import importlib, pkgutil, dataflow
first = {name: getattr(dataflow, name) for name in dataflow.__all__}
for module in pkgutil.walk_packages(dataflow.__path__, "dataflow."):
    if not module.name.endswith(("__main__", "_process")):
        importlib.import_module(module.name)
print([name for name in dataflow.__all__ if name[0] != "_" and getattr(dataflow, name) is not first[name]])
print([name for name in dataflow.__all__ if type(getattr(dataflow, name)) is type(dataflow)])
"""


def test_public_names_stay_what_they_are_whatever_is_imported() -> None:
    """A module that is called like a public name would take its place when it is imported."""
    done = subprocess.run([sys.executable, "-c", NAMES_TWICE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['ops']\n"


PARTS = {"analysis", "draw", "explain", "faults", "plan", "profiling", "sphinx", "testing", "training", "viewer"}
"""Folders of ``dataflow/`` with commands of their own."""


def test_a_run_imports_no_part_that_it_does_not_use() -> None:
    """Each module costs about half a millisecond; ``tools/startup.py`` measures what they cost together."""
    code = "import sys" + command("run", XOR) + "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [name.split(".") for name in done.stdout.splitlines()[-1].split() if name.startswith("dataflow.")]
    assert all((ROOT / "dataflow" / part).is_dir() for part in PARTS)
    assert {"graph", "files"} <= {name[1] for name in ours}
    assert not PARTS & {name[1] for name in ours}
    commands = {name[3] for name in ours if name[1:3] == ["cli", "commands"] and len(name) > 3}
    assert commands == {"run"}
