"""Measure how ``dataflow/`` is built: modules at its root, imports that point up, circles, ops looked up by name, long
modules, file names that occur twice, lines of each package.

``.venv/bin/python tools/structure.py`` prints it; ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "dataflow"
LONGEST = 300
"""Lines that a module may have."""
ORDER = [
    *("errors", "support", "limits", "shapes", "operations", "graph", "registry", "ops", "expressions", "plan"),
    *("backends", "execution", "autodiff", "data", "metrics", "model", "analysis", "files", "notation"),
    *("explain", "draw"),
    *("training", "faults", "profiling", "testing", "viewer", "sphinx", "cli"),
]
"""The parts of the engine in the order in which a model passes through them: imports point to the left only."""
REASONS = {
    "dataflow/analysis/gradient_check.py": "one check, from the points to the words for what it found",
    "dataflow/data/readers/csv.py": "one reader: lines, blocks in threads, rows with quotes, and their faults",
    "dataflow/data/source.py": "what [data] declares, and each step from a table to the inputs",
    "dataflow/draw/writers/dot.py": "one writer: nodes, edges, and a legend with samples",
    "dataflow/expressions/parser.py": "the grammar, read from top to bottom",
    "dataflow/files/toml/places.py": "one scan of TOML's grammar",
    "dataflow/graph/graph.py": "the public class Graph; its methods are the way to build one",
    "dataflow/model/comparison.py": "one comparison: the structure, the parameters, then the results",
    "dataflow/model/model.py": "the public class Model; its methods are the modes of differentiation",
    "dataflow/notation/local_jacobians.py": "each form of a derivative, and what matrix it is",
    "dataflow/notation/rewrite_rules.py": "one table of rules, and what they look at",
    "dataflow/notation/write_formula.py": "how each op is written",
    "dataflow/operations/jacobians.py": "one algebra: each kind of Jacobian times each other",
    "dataflow/operations/op.py": "the public class Op: what is known of an op, and how it is called",
    "dataflow/registry/registry.py": "what plugins bring, by kind and name, and how it is found",
    "dataflow/shapes.py": "sizes and their arithmetic are one subject",
    "dataflow/testing/values.py": "each check of an op's values, one after the other",
    "dataflow/training/saving/checkpoints.py": "one file: its description, its writer and its reader",
    "dataflow/training/trainer.py": "the public class Trainer: a run's state, and each way to go on with it",
    "plugins/dataflow_llvm/kernels/interpreter.py": "one function: an instruction after the other",
    "plugins/dataflow_llvm/kernels/windows.py": "one layout of windows, which all its kernels read",
    "plugins/dataflow_onnx/translate.py": "one walk over an ONNX graph, node by node",
    "plugins/dataflow_ops/gathering.py": "gathering and scattering, each the derivative of the other",
}
"""Why a module is longer than that."""


class Import(NamedTuple):
    """One imported module, and where the import stands."""

    module: str
    line: int
    local: bool
    """Whether it stands in a function, or under ``TYPE_CHECKING``: importing the module does not run it."""


def modules() -> dict[str, Path]:
    """The modules of the engine by dotted name; the package's own two files are the way in and belong to no part."""
    paths = [path for path in sorted(ENGINE.rglob("*.py")) if path.parent != ENGINE or path.stem not in ENTRY]
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


ENTRY = ("__init__", "__main__")


def part_of(module: str) -> str:
    """The part of the engine in which a module stands, such as ``"graph"``."""
    return module.split(".")[1]


@cache
def imports_of(path: Path) -> list[Import]:
    """What a file imports, under ``TYPE_CHECKING`` and in functions, too; names of the engine as full as they are
    written."""
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), local=False))


def _imports(node: ast.AST, *, local: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, local) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        ours = node.module.split(".")[0] == ENGINE.name
        names = [f"{node.module}.{alias.name}" for alias in node.names] if ours else [node.module]
        yield from (Import(name, node.lineno, local) for name in names)
    elif not isinstance(node, ast.expr):
        later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        for inner in ast.iter_child_nodes(node):
            yield from _imports(inner, local=local or later)


def edges() -> Iterator[tuple[str, str, int]]:
    """Each import of one module of the engine by another: who, whom, and the line."""
    known = modules()
    for name, path in known.items():
        for module, line, _ in imports_of(path):
            target = module
            while target not in known and "." in target:
                target = target.rpartition(".")[0]
            if target in known and target != name:
                yield name, target, line
            elif module == ENGINE.name or (target == ENGINE.name and part_of(module) not in ORDER):
                yield name, ENGINE.name, line


def pointing_up() -> list[str]:
    """Imports of a part that stands further down the list, or of the package itself."""
    return [
        f"{source}, line {line}, imports {target}"
        for source, target, line in edges()
        if target == ENGINE.name or ORDER.index(part_of(target)) > ORDER.index(part_of(source))
    ]


def circles() -> list[list[str]]:
    """Modules that import each other, directly or by a detour."""
    graph = nx.DiGraph((source, target) for source, target, _ in edges())
    return [sorted(component) for component in nx.strongly_connected_components(graph) if len(component) > 1]


def op_names() -> set[str]:
    """The names of the ops that are declared in the engine and in its own plugins."""
    names = set()
    for path in [*(ENGINE / "operations" / "engine_ops").glob("*.py"), *(ROOT / "plugins").glob("dataflow_*/*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and {_called(one) for one in node.decorator_list} & {
                "primitive",
                "op",
            }:
                names.add(node.name.rstrip("_"))
            elif isinstance(node, ast.Assign) and _called(node.value) == "elementwise":
                names |= {one.id.rstrip("_") for one in node.targets if isinstance(one, ast.Name)}
    return names


def looked_up_by_name() -> list[str]:
    """Where the engine looks an op up by a name that it holds itself, compares an op's name with one, or has a table of
    such names."""
    known = op_names()
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {', '.join(names)}"
        for path in modules().values()
        for node in sorted(_placed(path), key=lambda node: node.lineno)
        if (names := _names_of_ops(node, known))
    ]


OTHER_WORDS = {"sum", "mean", "max", "one_hot", "index"}
"""Names of ops that are also ways to reduce a loss, structures of Jacobians, and ways to encode a column."""


def _names_of_ops(node: ast.AST, known: set[str]) -> list[str]:
    if isinstance(node, ast.Call) and node.args and _called(node) in ("lookup", "call"):
        return _texts(node.args[:1])
    if isinstance(node, ast.Compare) and re.search(r"\bop\b|\.name$|\bname$", ast.unparse(node.left)):
        return [text for text in _texts(node.comparators) if text in known - OTHER_WORDS]
    entries = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    texts = _texts(entries)
    return texts if set(texts) <= known and not set(texts) <= OTHER_WORDS and len(texts) == len(entries) else []


def _placed(path: Path) -> list[ast.expr]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.expr)]


def _called(node: ast.AST) -> str:
    """The name of what is called, or stands there without a call."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _texts(nodes: Iterable[ast.AST | None]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def lines_of(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def files() -> list[Path]:
    """The modules of the engine, and the two files that are the way in."""
    return [*modules().values(), *(ENGINE / f"{name}.py" for name in ENTRY)]


def long_modules() -> dict[str, int]:
    """The modules of the engine and of our plugins that have more lines than one may have."""
    paths = [*files(), *sorted((ROOT / "plugins").rglob("*.py"))]
    return {str(path.relative_to(ROOT)): count for path in paths if (count := lines_of(path)) > LONGEST}


def measure() -> dict[str, object]:
    """All of it, for ``--json``."""
    names, lines = defaultdict(list), defaultdict(int)
    for path in files():
        names[path.name].append(str(path.relative_to(ROOT)))
        lines[path.relative_to(ENGINE).parts[0].removesuffix(".py")] += lines_of(path)
    return {
        "modules at the root": len(list(ENGINE.glob("*.py"))),
        "imports that point up": pointing_up(),
        "circles": circles(),
        "ops looked up by name": looked_up_by_name(),
        f"modules over {LONGEST} lines": {
            name: f"{count}: {REASONS.get(name, '?')}" for name, count in long_modules().items()
        },
        "names that occur twice": {
            name: places for name, places in sorted(names.items()) if len(places) > 1 and name != "__init__.py"
        },
        "lines": {**dict(sorted(lines.items())), "all": sum(lines.values())},
    }


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    results = measure()
    if parser.parse_args().json:
        print(json.dumps(results, indent=2))
        return
    for title, value in results.items():
        if isinstance(value, int):
            print(f"{title}: {value}")
            continue
        print(f"{title}: {len(value)}" if title != "lines" else f"{title}:")
        pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
        for key, content in pairs:
            print(f"  {key}: {', '.join(content) if isinstance(content, list) else content}")


if __name__ == "__main__":
    main()
