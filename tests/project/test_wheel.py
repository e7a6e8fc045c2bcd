"""What is no Python in the package, tested as it is installed and not as it lies in the checkout."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT
from wheels import run

from dataflow.cli.group import COMMANDS

pytestmark = pytest.mark.xdist_group("wheels")  # they are built once

PACKAGES = {
    "dataflow": ROOT / "dataflow",
    **{path.name: path for path in (ROOT / "plugins").glob("dataflow_*")},
}
"""Without the worked example, a distribution of its own."""
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {
    "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])  # for graphviz-pure
}

CONF = """
extensions = ["dataflow.sphinx", "myst_parser"]
dataflow_engine = "graphviz-pure"
"""
INDEX = """
Site
====

.. toctree::

   page

.. dataflow:: xor.toml
   :both:
   :values:
   :example: 3

.. dataflow-explain:: xor.toml
   :wrt: W1
   :example: 3
"""
PAGE = "# Page\n\n```{dataflow} xor.toml\n:theme: auto\n```\n"

RESULTS = {
    "draw": "draw xor.toml --both --values --engine graphviz-pure -o RESULT.svg",
    "explain": "explain xor.toml --wrt W1 --format html --output RESULT.html",
    "view": "view xor.toml -o RESULT.html",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "models" / "xor.toml", tmp_path)
    return tmp_path


def data_files() -> dict[str, Path]:
    """All in the packages that is no Python, by the name that it has in the wheel."""
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": path
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and ".egg-info" not in str(path)
    }


@pytest.mark.slow
def test_every_data_file_is_declared_and_in_the_wheel(project_wheel: Path) -> None:
    found = data_files()
    assert {"dataflow/py.typed", "dataflow/files/schema.json", "dataflow/sphinx/static/dataflow.css"} <= found.keys()
    with zipfile.ZipFile(project_wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith(".py") and ".dist-info/" not in name}
        assert packed == found.keys()
        for name, path in found.items():
            assert archive.read(name) == path.read_bytes(), name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package, patterns in project["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            assert list(PACKAGES[package].glob(pattern)), f"{package} has no {pattern}"


@pytest.mark.slow
def test_the_installed_package_is_meant(python: Path, folder: Path) -> None:
    code = "import dataflow, sys; print(dataflow.__file__); print(sys.prefix)"
    file, prefix = run(python, "-c", code, cwd=folder, env=ENVIRONMENT).stdout.splitlines()
    assert file.startswith(prefix)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RESULTS.keys() & set(COMMANDS)))
def test_commands_make_of_the_wheel_what_they_make_of_the_checkout(name: str, python: Path, folder: Path) -> None:
    found = []
    for where, interpreter in enumerate((python, Path(sysconfig.get_path("scripts")) / "python")):
        words = shlex.split(RESULTS[name].replace("RESULT", f"result{where}"))
        run(interpreter, "-m", "dataflow", *words, cwd=folder, env=ENVIRONMENT)
        (result,) = folder.glob(f"result{where}.*")
        found.append(result.read_bytes())
    assert found[0] == found[1]
    assert len(found[0]) > 1000


@pytest.mark.slow
def test_a_site_is_built_with_the_wheel(python: Path, folder: Path) -> None:
    for name, text in {"conf.py": CONF, "index.rst": INDEX, "page.md": PAGE}.items():
        (folder / name).write_text(text, encoding="utf-8")
    run(python, "-m", "sphinx", "-W", "-q", folder, folder / "html", cwd=folder, env=ENVIRONMENT)
    html = (folder / "html" / "index.html").read_text(encoding="utf-8")
    assert "<td>-0.105</td>" in html
    assert len(list((folder / "html" / "_images").glob("dataflow-xor-*.svg"))) == 2
    stylesheet = ROOT / "dataflow" / "sphinx" / "static" / "dataflow.css"
    assert (folder / "html" / "_static" / "dataflow.css").read_bytes() == stylesheet.read_bytes()


@pytest.mark.slow
def test_a_notebook_would_show_it(python: Path, folder: Path) -> None:
    code = (
        "import dataflow\nmodel = dataflow.load('xor.toml')\n"
        "for shown in model, model.graph, dataflow.explain(model, wrt='W1'): print(*shown._repr_mimebundle_())"
    )
    lines = run(python, "-c", code, cwd=folder, env=ENVIRONMENT).stdout.splitlines()
    assert lines == ["text/plain image/svg+xml", "text/plain image/svg+xml", "text/plain text/html text/latex"]
