"""Train the model of handwritten digits, or run any other ``dataflow`` command, on a machine that has only Python.

``python3 tools/run.py``                         makes ``.venv``, installs dataflow there, trains ``models/digits.toml``
``python3 tools/run.py --epochs 5 --plot a.png`` the same, with these options of ``dataflow train``
``python3 tools/run.py check models/xor.toml``   another command, as ``dataflow check models/xor.toml``
"""

from __future__ import annotations

import os
import sys

from environment import ROOT, command, guarded, ready, run


def main() -> int:
    """Run the command in the environment, and return its exit status."""
    arguments = sys.argv[1:]
    ready()
    if not arguments or arguments[0].startswith("-"):
        arguments = ["train", _from_here(ROOT / "models" / "digits.toml"), *arguments]
    return run(command("dataflow"), *arguments)


def _from_here(path: os.PathLike[str]) -> str:
    """The path as one would type it: relative, unless it is on another drive."""
    try:
        return os.path.relpath(path)
    except ValueError:
        return os.fspath(path)


if __name__ == "__main__":
    guarded(main)
