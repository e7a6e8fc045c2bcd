"""A stranger's plugin, as a wheel in an environment of its own: found, documented, used in a file, and checked."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MODULE = '''
import sys
from dataflow import hookimpl, op, ops_in, sample
from dataflow.ops import exp, log

@op
def softplus(x, *, beta: float = 1.0):
    """log(1 + exp(beta · x)) / beta, elementwise: relu with a rounded corner."""
    return log(1 + exp(beta * x)) / beta

@softplus.vjp
def _(g, y, x, *, beta):
    return g / (1 + exp(-beta * x))

@softplus.samples
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
y = "softplus(x, beta=2.0)"
[model]
outputs = ["y"]
"""


def run(*words: str | os.PathLike[str], cwd: Path | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([os.fspath(word) for word in words], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def wheel(folder: Path, name: str, module: str, source: str, point: str) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, module=module, point=point), encoding="utf-8")
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    return built(folder, folder / "dist")


def built(source: Path, target: Path) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", target, source)
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def project_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "dataflow", "plugins"):
        run("cp", "-r", ROOT / name, copy)
    return built(copy, copy / "dist")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, project_wheel: Path) -> Path:
    """An environment with dataflow's wheel, whose other packages are those of the tests' own environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    install(python, project_wheel)
    # packages of the tests' environment come last, and without its own dataflow
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "dataflow" not in entry.name and not entry.name.endswith(".pth"):
            (borrowed / entry.name).symlink_to(entry)
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return python


def install(python: Path, file: Path) -> None:
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", site, file)


def test_what_is_in_the_wheel(project_wheel: Path) -> None:
    with zipfile.ZipFile(project_wheel) as archive:
        names = archive.namelist()
        points = next(name for name in names if name.endswith("entry_points.txt"))
        text = archive.read(points).decode()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "dataflow",
        "dataflow_ops",
        "dataflow_nn",
    }
    assert "dataflow/files/schema.json" in names
    assert "dataflow/py.typed" in names
    assert "ops = dataflow_ops" in text
    assert "dataflow = dataflow.cli:main" in text


def test_a_stranger_s_op_is_found_documented_used_and_checked(python: Path, tmp_path: Path) -> None:
    install(python, wheel(tmp_path / "mine", "dataflow-mine", "dataflow_mine", MODULE, "mine"))
    done = run(python, "-m", "dataflow", "ops", "softplus", cwd=tmp_path)
    assert "relu with a rounded corner" in done.stdout
    assert "beta" in done.stdout
    assert "plugin 'mine' (dataflow-mine 1.2.3)" in done.stdout
    assert "softplus(x, beta=1.0)" in run(python, "-m", "dataflow", "ops", cwd=tmp_path).stdout
    (tmp_path / "model.toml").write_text(MODEL)
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", "--json", cwd=tmp_path)
    assert "0.34657" in done.stdout  # log(2) / 2
    check = "import dataflow.testing, dataflow_mine; dataflow.testing.assert_op(dataflow_mine.softplus)"
    run(python, "-c", check, cwd=tmp_path)
    done = run(python, "-m", "dataflow", "run", ROOT / "models" / "xor.toml", "--json", cwd=tmp_path)
    assert "0.3863" in done.stdout

    install(python, wheel(tmp_path / "bad", "dataflow-bad", "dataflow_bad", "raise RuntimeError('no luck')", "bad"))
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", cwd=tmp_path)
    assert "plugin 'bad' (dataflow-bad 1.2.3) is broken and was left out: RuntimeError: no luck" in done.stderr

    install(python, wheel(tmp_path / "twin", "dataflow-twin", "dataflow_twin", MODULE, "twin"))
    done = run(python, "-m", "dataflow", "run", "model.toml", "--set", "x=[0]", cwd=tmp_path, status=1)
    assert "'softplus' is registered twice" in done.stderr
    assert "dataflow-mine" in done.stderr
    assert "dataflow-twin" in done.stderr
