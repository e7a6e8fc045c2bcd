"""Imports point down only, the engine imports no plugin, and heavy packages are imported where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "dataflow"
TIERS = [
    ["errors", "collector", "notebook"],
    ["limits"],
    ["memory", "shapes", "operators", "indexing", "attributes", "op", "tokens"],
    ["value", "graph"],
    ["hookspecs", "interfaces"],
    ["registry"],
    [
        "ops",
        "literals",
        "hints",
        "parser",
        "expression",
        "render",
        "autodiff",
        "evaluate",
        "interpret",
        "plan",
        "batching",
        "cost",
        "counting",
    ],
    ["backends"],
    [
        "program",
        "modes",
        "precise",
        "feeding",
        "tables",
        "datafiles",
        "archives",
        "data",
        "derivatives",
        "parameters",
        "perexample",
        "model",
        "gathering",
    ],
    ["files", "check", "differences", "digests", "explain", "composition", "draw", "testing"],
    ["training", "faults", "plot", "profiling", "sphinx"],
    ["viewer"],
    ["cli", "results"],
]
TIER = {name: level for level, names in enumerate(TIERS) for name in names}
OPTIONAL = {
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


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules that a file imports, and whether the import stands in a function."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if str(node.module).startswith("dataflow")
                else [node.module]
            )
            found += [(str(name), id(node) in inside) for name in names]
    return found


def part_of(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


FILES = [
    path
    for path in sorted(ENGINE.rglob("*.py"))
    if path.parent != ENGINE or path.name not in ("__init__.py", "__main__.py")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    assert part in TIER, f"{part} has no tier"
    for module, local in imports(path):
        if not module.startswith("dataflow"):
            continue
        assert not module.startswith(("dataflow_ops", "dataflow_nn")), f"the engine imports the plugin {module}"
        target = [*module.split("."), ""][1]
        if target in TIER and part != "cli":
            assert TIER[target] <= TIER[part], f"{part} imports {target}, which stands above it"
            assert not local, f"{module} is imported inside a function"


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 40
    assert sum(len(imports(path)) for path in FILES) > 300


def test_importing_dataflow_imports_no_optional_package() -> None:
    code = f"import sys, dataflow; dataflow.ops.relu; print(sorted(set(sys.modules) & {OPTIONAL!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def modules_at_the_top() -> nx.DiGraph:
    """Which module of the engine imports which when it is imported itself."""
    names = {"dataflow." + ".".join(path.relative_to(ENGINE).with_suffix("").parts): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = nx.DiGraph()
    for name, path in names.items():
        for module, local in imports(path):
            target = module
            while target not in names and "." in target:
                target = target.rpartition(".")[0]
            if target in names and target != name and not local:
                graph.add_edge(name, target)
    return graph


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = modules_at_the_top()
    assert graph.number_of_edges() > 150
    assert list(nx.simple_cycles(graph)) == []


EVERYWHERE = {"dataflow", "numpy"}
ONLY_IN = {
    "networkx": {"graph"},
    "pluggy": {"hookspecs", "registry"},
    "msgpack": {"files", "training"},
    "click": {"cli"},
    "docutils": {"sphinx"},
    "sphinx": {"sphinx"},
}
"""Other packages that may be imported at the top of a module, and where; all others wait until they are used."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_other_packages_are_imported_where_they_are_used(path: Path) -> None:
    for module, local in imports(path):
        package = module.split(".")[0]
        if package in sys.stdlib_module_names or package in EVERYWHERE:
            continue
        if local:
            assert package in OPTIONAL, f"{package} is imported inside a function, though it is always there"
        else:
            assert part_of(path) in ONLY_IN.get(package, set()), f"{package} is imported at the top of {path.name}"
