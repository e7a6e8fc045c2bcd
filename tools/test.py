"""Run the tests on a machine that has only Python: makes ``.venv`` in the checkout and installs what they need.

``python3 tools/test.py``                 all but the slow ones, on every core
``python3 tools/test.py -m slow``         the slow ones
``python3 tools/test.py tests/operations -k vjp``   any arguments of pytest; paths count from the top of the checkout
"""

from __future__ import annotations

import sys

from environment import ROOT, guarded, ready, run


def main() -> int:
    """Run pytest in the environment, and return its exit status. A file of tests stays in one process, which then makes
    once what all of them need."""
    return run(ready("test"), "-m", "pytest", *(sys.argv[1:] or ["-n", "auto", "--dist", "loadfile"]), cwd=ROOT)


if __name__ == "__main__":
    guarded(main)
