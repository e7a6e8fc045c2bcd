"""Test with the lowest versions of the dependencies that ``pyproject.toml`` allows, in an environment of their own.

``python tools/test_lowest.py`` installs the extra ``test``, in which the packages that users need have their lowest
versions, and those that tests alone need, and what any of them needs in turn, their newest; then it runs all tests but
the slow ones. Any arguments are those of pytest. ``--list`` shows the versions, and installs nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lowest_versions() -> list[str]:
    """``NAME==VERSION`` for each package of the project and of the extras that the extra ``test`` holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = next(requirement for requirement in extras["test"] if requirement.startswith(project["name"]))
    requirements = project["dependencies"] + [
        requirement for extra in own[own.index("[") + 1 : -1].split(",") for requirement in extras[extra]
    ]
    return sorted({requirement.replace(">=", "==") for requirement in requirements})


def main() -> int:
    """Make the environment, run pytest in it, and return its exit status."""
    words = sys.argv[1:]
    if words == ["--list"]:
        print("\n".join(lowest_versions()))
        return 0
    with tempfile.TemporaryDirectory(prefix="dataflow-lowest-") as folder:
        venv.create(folder, with_pip=True, symlinks=True)
        python = Path(folder, "bin", "python")
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(lowest_versions()), encoding="utf-8")
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", constraints]
        subprocess.run([*install, "-e", f"{ROOT}[test]"], check=True)
        chosen = words or ["-q", "-n", "auto", "--dist", "loadfile"]
        return subprocess.run([python, "-m", "pytest", *chosen], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
