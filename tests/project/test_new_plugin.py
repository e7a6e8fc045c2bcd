"""The plugin that ``dataflow new-plugin`` writes: installed, it is found, its parts work, its tests pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkout import ROOT
from click.testing import CliRunner
from wheels import built, install, make_environment, run

from dataflow.cli.group import main
from dataflow.registry.new_plugin import new_plugin

pytestmark = pytest.mark.xdist_group("wheels")  # they are built once


def write(folder: Path, name: str, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["new-plugin", name, "--output-dir", str(folder), *words])
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.stderr


def test_what_is_written(tmp_path: Path) -> None:
    text = write(tmp_path, "soft-step")
    assert "pip install -e ." in text
    folder = tmp_path / "dataflow-soft-step"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == {
        "pyproject.toml",
        "README.md",
        "dataflow_soft_step.py",
        "example.toml",
        "tests/test_soft_step.py",
    }
    assert all("$" not in path.read_text() for path in folder.rglob("*") if path.is_file())
    document = json.loads(write(tmp_path, "dataflow-other_step", "--json"))
    assert document["op"] == "other_step"
    assert all(Path(name).is_file() for name in document["files"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("relu", "the op 'relu' is there already"),
        ("mlp", "the block 'mlp' is there already"),
        ("nn", "a plugin 'nn' or a module 'dataflow_nn' is installed already"),
        ("sample", "'sample' means something else"),
        ("class", "'class' means something else"),
        ("print", "'print' means something else"),
        ("Soft", "is no name for a plugin"),
        ("../soft", "is no name for a plugin"),
        ("soft--step", "is no name for a plugin"),
        ("2step", "is no name for a plugin"),
        ("dataflow-", "is no name for a plugin"),
        ("s" * 41, "is no name for a plugin"),
        ("", "is no name for a plugin"),
    ],
)
def test_a_name_that_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    told = write(tmp_path, name, status=1)
    assert reason in told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "dataflow-soft-step").mkdir()
    assert "is kept" in write(tmp_path, "soft-step", status=1)
    assert list((tmp_path / "dataflow-soft-step").iterdir()) == []


def test_the_worked_example_is_what_is_written() -> None:
    """So it is what is tested here, and a newcomer reads what the command gives."""
    folder = ROOT / "plugins" / "example"
    files = new_plugin("soft-step").files
    for path, text in files.items():
        assert (folder / path).read_text(encoding="utf-8") == text, path
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if "cache" not in str(path)} == {*files}


@pytest.mark.slow
def test_it_is_installed_and_works(tmp_path: Path, project_wheel: Path) -> None:
    """Without network: the wheel is built by the setuptools that is here, and its dependencies are there."""
    write(tmp_path, "soft-step")
    folder = tmp_path / "dataflow-soft-step"
    python = make_environment(tmp_path / "environment", project_wheel)
    install(python, built(folder, tmp_path / "dist"))
    (folder / "dataflow_soft_step.py").unlink()  # what is installed is tested
    tested = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=folder)
    assert "3 passed" in tested.stdout
    listed = json.loads(run(python, "-m", "dataflow", "plugins", "--json", cwd=folder).stdout)["plugins"]
    (found,) = [plugin for plugin in listed if plugin["distribution"] == "dataflow-soft-step"]
    assert found["registered"] == {"op": ["soft_step"], "optimizer": ["soft_step_descent"]}
    assert (found["error"], found["warnings"]) == (None, [])
    run(python, "-m", "dataflow", "ops", "soft_step", "--check", cwd=folder)
    data = ("--set", "x=[4]", "--set", "y=[0]")
    values = run(python, "-m", "dataflow", "run", "example.toml", *data, "--json", cwd=folder)
    assert json.loads(values.stdout)["values"]["h"] == [pytest.approx(0.5**0.5)]  # a x = 2, so 2 / √(2² + 2²)
    told = run(python, "-m", "dataflow", "new-plugin", "soft-step", cwd=tmp_path / "dist", status=1)
    assert "the op 'soft_step' is there already, from plugin 'soft_step' (dataflow-soft-step 0.1.0)" in told.stderr
