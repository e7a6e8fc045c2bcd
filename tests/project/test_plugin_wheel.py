"""A stranger's plugin, as a wheel in an environment of its own: found, documented, used in a file, and checked."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from checkout import ROOT
from wheels import FILES, FOLDERS, built, install, run

pytestmark = pytest.mark.xdist_group("wheels")  # they are built once

MODULE = '''
import sys
from dataflow import hookimpl, op, ops_in, sample
from dataflow.ops import exp, log

@op
def rounded_relu(x, *, beta: float = 1.0):
    """log(1 + exp(beta · x)) / beta, elementwise: relu with a rounded corner."""
    return log(1 + exp(beta * x)) / beta

@rounded_relu.vjp
def _(g, y, x, *, beta):
    return g / (1 + exp(-beta * x))

@rounded_relu.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)))
    yield sample(rng.normal(size=4), beta=0.5)

@hookimpl
def register_ops():
    return ops_in(sys.modules[__name__])
'''

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.2.3"
[project.entry-points.dataflow]
{point} = "{module}"
[tool.setuptools]
py-modules = ["{module}"]
"""

MODEL = """
dataflow = 1
[inputs]
x = { shape = ["n"] }
[nodes]
y = "rounded_relu(x, beta=2.0)"
[model]
outputs = ["y"]
"""


def wheel(folder: Path, name: str, module: str, source: str, point: str) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, module=module, point=point), encoding="utf-8")
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    return built(folder, folder / "dist")


@pytest.mark.slow
def test_what_is_in_the_source_distribution(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
    wanted = {name for name in files if "__pycache__" not in name}
    assert len(wanted) > 150
    assert wanted | set(FILES) <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".so"))]


@pytest.mark.slow
def test_what_is_in_the_wheel(project_wheel: Path) -> None:
    with zipfile.ZipFile(project_wheel) as archive:
        names = archive.namelist()
        (info,) = {name.split("/")[0] for name in names if ".dist-info" in name}
        points = archive.read(f"{info}/entry_points.txt").decode()
        about = message_from_string(archive.read(f"{info}/METADATA").decode())
        assert archive.read("dataflow/files/schema.json") == (ROOT / "dataflow" / "files" / "schema.json").read_bytes()
    assert {name.split("/")[0] for name in names} == {
        "dataflow",
        "dataflow_ops",
        "dataflow_nn",
        "dataflow_jax",
        "dataflow_llvm",
        "dataflow_onnx",
        "dataflow_cluster",
        "dataflow_start.py",
        info,
    }
    assert {"dataflow/files/schema.json", "dataflow/py.typed", f"{info}/licenses/LICENSE"} <= set(names)
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dataflow").rglob("*.py")}
    own |= {"dataflow_start.py"}
    own |= {path.relative_to(ROOT / "plugins").as_posix() for path in (ROOT / "plugins").glob("dataflow_*/**/*.py")}
    assert own == {name for name in names if name.endswith(".py")}
    lines = set(points.splitlines())
    assert {"[console_scripts]", "dataflow = dataflow_start:main", "[dataflow]", "ops = dataflow_ops"} <= lines
    assert "nn = dataflow_nn" in lines
    assert about["Name"] == "dataflow-autodiff"
    assert about["License-Expression"] == "MIT"
    assert about["Requires-Python"] == ">=3.11"
    needed = {line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert needed == set(declared["dependencies"])
    assert set(about.get_all("Provides-Extra", [])) == set(declared["optional-dependencies"])


@pytest.mark.slow
def test_a_stranger_s_op_is_found_documented_used_and_checked(python: Path, tmp_path: Path) -> None:
    install(python, wheel(tmp_path / "mine", "dataflow-mine", "dataflow_mine", MODULE, "mine"))
    done = run(python, "-m", "dataflow", "ops", "rounded_relu", cwd=tmp_path)
    assert "relu with a rounded corner" in done.stdout
    assert "beta" in done.stdout
    assert "plugin 'mine' (dataflow-mine 1.2.3)" in done.stdout
    assert "rounded_relu(x, beta=1.0)" in run(python, "-m", "dataflow", "ops", cwd=tmp_path).stdout
    (tmp_path / "model.toml").write_text(MODEL)
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", "--json", cwd=tmp_path)
    assert "0.34657" in done.stdout  # log(2) / 2
    assert "rounded_relu  ok" in run(python, "-m", "dataflow", "ops", "rounded_relu", "--check", cwd=tmp_path).stdout
    check = "import dataflow.testing, dataflow_mine; dataflow.testing.assert_op(dataflow_mine.rounded_relu)"
    run(python, "-c", check, cwd=tmp_path)
    # a program that imports the plugin itself, before anything else of dataflow, finds its ops all the same
    found = "dataflow.load('model.toml').graph.op_of('y')"
    first = f"import dataflow_mine, dataflow; assert {found} is dataflow_mine.rounded_relu"
    run(python, "-c", first, cwd=tmp_path)
    done = run(python, "-m", "dataflow", "run", ROOT / "models" / "xor.toml", "--json", cwd=tmp_path)
    assert "0.3863" in done.stdout

    install(python, wheel(tmp_path / "bad", "dataflow-bad", "dataflow_bad", "raise RuntimeError('no luck')", "bad"))
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", cwd=tmp_path)
    assert "plugin 'bad' (dataflow-bad 1.2.3) is broken and was left out: RuntimeError: no luck" in done.stderr

    install(python, wheel(tmp_path / "twin", "dataflow-twin", "dataflow_twin", MODULE, "twin"))
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", cwd=tmp_path, status=1)
    assert "'rounded_relu' is registered twice" in done.stderr
    assert "dataflow-mine" in done.stderr
    assert "dataflow-twin" in done.stderr
