"""Packages as users get them: built, and installed in an environment that is not the tests'."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("dataflow", "plugins", "models", "docs", "tests", "tools")
FILES = (
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "SECURITY.md",
    "LICENSE",
    "MANIFEST.in",
    "dataflow_start.py",
)


def run(
    *words: str | os.PathLike[str], cwd: Path | None = None, status: int = 0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A program, run to its end, which is the ``status``."""
    command = [os.fspath(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=env)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def built(source: Path, target: Path) -> Path:
    """The wheel of the project in a folder."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", target, source)
    (found,) = target.glob("*.whl")
    return found


def make_environment(folder: Path, wheel: Path) -> Path:
    """The Python of an environment with dataflow's wheel, whose other packages are those of the tests' own."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install(python, wheel)
    # packages of the tests' environment come last, and without its own dataflow
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "dataflow" not in entry.name and not entry.name.endswith(".pth"):
            (borrowed / entry.name).symlink_to(entry)
    (site_of(python) / "borrowed.pth").write_text(f"{borrowed}\n")
    return python


def install(python: Path, wheel: Path) -> None:
    """Install a wheel into an environment that has no pip."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", site_of(python)]
    run(*command, wheel)


def site_of(python: Path) -> Path:
    """Where an environment has its packages."""
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
