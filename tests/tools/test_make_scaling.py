"""The page on scaling is made of its measurements, and processes sum what they should."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from checkout import ROOT


@pytest.mark.slow
def test_the_page_is_made_of_the_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_scaling

    fit = make_scaling.Fitted(json.loads(make_scaling.RESULT.read_text(encoding="utf-8")))
    page = make_scaling.PAGE.read_text(encoding="utf-8")
    assert make_scaling.filled(page, fit) == page, "run tools/make_scaling.py"


def test_processes_have_the_sum_and_wait_for_the_latency() -> None:
    """Each process of the measurement asserts that it has the sum. A tree of three has one message up and one down."""
    script = "from scaling.processes import measure\nprint(*(measure(p, 4000, 3, 0.01, 1) for p in ('tree', 'ring')))"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "tools", capture_output=True, text=True, check=True
    )
    tree, ring = map(float, found.stdout.split())
    assert tree >= 0.02
    assert ring >= 0.04
