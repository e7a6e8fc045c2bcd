"""The developers' pages are right: each file and function that they name exists, and the tour prints what it says."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import shutil
from pathlib import Path

import pytest
import structure
from checkout import ROOT

from dataflow.autodiff.reverse import sweep

LAYOUT = (ROOT / "docs/developer/layout.md").read_text(encoding="utf-8")
FOLDERS, CHANGES = (
    [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines() if line[:2] == "| "][
        1:
    ]
    for part in LAYOUT.split("## ")[1:]
)
TOUR = (ROOT / "docs/developer/tour.md").read_text(encoding="utf-8")


def names_by_file(cell: str, folder: Path) -> list[tuple[Path, list[str]]]:
    """Of a cell such as "`a.py`: `f`, `g`; `b.py`", each file with the names that follow it."""
    files = []
    for part in cell.split(";"):
        path, *names = re.findall(r"`([^`]+)`", part)
        files.append((folder / path, names))
    return files


def defined(path: Path) -> set[str]:
    """The functions, classes and constants of a module's top level; the functions of a script."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"^function (\w+)", text, re.MULTILINE))
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def missing(cell: str, folder: Path) -> list[str]:
    """What a cell names that does not exist."""
    wrong = []
    for path, names in names_by_file(cell, folder):
        if path.is_file():
            wrong += [f"{name} in {path.relative_to(ROOT)}" for name in names if name not in defined(path)]
        else:
            wrong.append(str(path.relative_to(ROOT)))
    return wrong


@pytest.mark.parametrize(("folder", "start"), [(row[0].strip("`"), row[2]) for row in FOLDERS])
def test_what_a_folder_starts_with_exists(folder: str, start: str) -> None:
    engine = ROOT / "dataflow"
    assert missing(start, engine / folder if (engine / folder).is_dir() else engine) == []


@pytest.mark.parametrize("change", CHANGES, ids=lambda row: row[0].replace("`", ""))
def test_what_is_to_be_opened_exists(change: list[str]) -> None:
    assert missing(change[1], ROOT) == []


def test_a_name_that_does_not_exist_is_seen() -> None:
    assert missing("`shapes.py`: `Size`, `Sise`; `shape.py`", ROOT / "dataflow") == [
        "Sise in dataflow/shapes.py",
        "dataflow/shape.py",
    ]


def test_the_folders_are_all_there_in_their_order() -> None:
    parts = {structure.part_of(name) for name in structure.modules()}
    assert [row[0].strip("`") for row in FOLDERS] == [part for part in structure.ORDER if part in parts]
    assert len(CHANGES) >= 20


def test_the_tour_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    steps = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", TOUR, re.DOTALL | re.MULTILINE)
    assert len(steps) == TOUR.count("```python") >= 8
    assert sum(len(code.splitlines()) for code, _ in steps) <= 70
    for code, printed in steps:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, "tour.md", "exec"), names)  # noqa: S102 (the page's own code)
        assert output.getvalue() == printed


def test_the_design_quotes_the_sweep_as_it_is() -> None:
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    assert f"```py\n{inspect.getsource(sweep)}```\n" in design
