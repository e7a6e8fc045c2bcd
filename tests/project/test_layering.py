"""Imports point down only, the engine imports no plugin, and heavy packages are imported where they are used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structure

MODULES = structure.modules()
OPTIONAL = {
    "PIL",
    "pypdf",
    "safetensors",
    "pyarrow",
    "matplotlib",
    "rich",
    "sympy",
    "mpmath",
    "tomlkit",
    "graphviz",
    "pygraphviz",
    "scipy",
    "sklearn",
    "sphinx",
    "docutils",
    "click",
    "hypothesis",
    "pytest",
    "threadpoolctl",
}


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 150
    assert sum(1 for _ in structure.edges()) > 500
    assert {structure.part_of(name) for name in MODULES} <= set(structure.ORDER)


def test_imports_point_down() -> None:
    assert structure.pointing_up() == []


def test_no_module_imports_itself_by_a_detour() -> None:
    assert structure.circles() == []


def test_a_circle_and_an_import_that_points_up_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "dataflow"
    (engine / "graph").mkdir(parents=True)
    (engine / "graph" / "graph.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dataflow.graph import node\n"
    )
    (engine / "graph" / "node.py").write_text("def f():\n    from dataflow.graph.graph import Graph\n")
    (engine / "errors.py").write_text("from dataflow.graph.node import f\nimport dataflow\n")
    monkeypatch.setattr(structure, "ENGINE", engine)
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    assert structure.circles() == [["dataflow.graph.graph", "dataflow.graph.node"]]
    assert structure.pointing_up() == [
        "dataflow.errors, line 1, imports dataflow.graph.node",
        "dataflow.errors, line 2, imports dataflow",
    ]


def test_the_engine_names_no_op_that_a_plugin_might_bring() -> None:
    assert {"add", "matmul", "where", "sum", "relu", "exp"} <= structure.op_names()
    assert structure.looked_up_by_name() == []


def test_ops_by_name_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dataflow" / "operations" / "engine_ops").mkdir(parents=True)
    (tmp_path / "dataflow" / "operations" / "engine_ops" / "arithmetic.py").write_text(
        "@primitive(name='add')\ndef add(a, b): ...\nexp = elementwise(np.exp, 'e')\n"
    )
    (tmp_path / "dataflow" / "plan.py").touch()
    (tmp_path / "dataflow" / "plan").mkdir()
    (tmp_path / "dataflow" / "plan" / "passes.py").write_text(
        "registry.lookup('cast')\n"
        "TABLE = {'add': 1, 'exp': 2}\n"
        "chosen = data['op'] in {'exp'}\n"
        "same = op.name == 'add'\n"
        "other = {'add': 1, 'radd': 2}, structure == 'add', 'add', ()\n"
    )
    monkeypatch.setattr(structure, "ENGINE", tmp_path / "dataflow")
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    assert structure.looked_up_by_name() == [
        "dataflow/plan/passes.py:1 cast",
        "dataflow/plan/passes.py:2 add, exp",
        "dataflow/plan/passes.py:3 exp",
        "dataflow/plan/passes.py:4 add",
    ]


def test_few_modules_stand_at_the_root() -> None:
    assert len(list(structure.ENGINE.glob("*.py"))) <= 6


EVERYWHERE = {"dataflow", "numpy"}
ONLY_IN = {
    "networkx": {"graph"},
    "pluggy": {"registry"},
    "msgpack": {"files", "model", "training"},
    "click": {"cli"},
    "docutils": {"sphinx"},
    "sphinx": {"sphinx"},
}
"""Other packages that may be imported at the top of a module, and where; all others wait until they are used."""
LATE = {
    "dataflow.backends.interface",
    "dataflow.backends.numpy_backend",
    "dataflow.data.read_table",
    "dataflow.execution.program",
}
"""Modules that import parts of dataflow itself late, so that a command that needs no plan and no table starts quickly;
those of the command line do, too."""


@pytest.mark.parametrize("name", MODULES)
def test_other_packages_are_imported_where_they_are_used(name: str) -> None:
    for module, line, local in structure.imports_of(MODULES[name]):
        package = module.split(".")[0]
        assert not package.startswith("dataflow_"), f"{name} imports a plugin"
        if package in sys.stdlib_module_names or package in EVERYWHERE:
            late = name in LATE or structure.part_of(name) == "cli"
            assert late or not (local and package == "dataflow"), f"{name}, line {line}"
        elif local:
            assert package in OPTIONAL, f"{package} is imported late by {name}, though it is always there"
        else:
            assert structure.part_of(name) in ONLY_IN.get(package, set()), f"{package} is imported at the top of {name}"


def test_a_long_module_has_its_reason() -> None:
    long, reasons = structure.long_modules().keys(), set(structure.REASONS)
    assert long <= reasons
    assert {name for name in reasons if name.startswith("dataflow/")} <= long, "a module with a reason is short again"
    assert any(name.startswith("plugins/") for name in long)
