"""The annotations reach those who use the package: mypy, in a folder of its own, reads them by ``py.typed``."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from checkout import ROOT

RIGHT = """
import numpy as np
import dataflow

model = dataflow.load("xor.toml")
values: dict[str, np.ndarray] = model.run()
reveal_type(model)
try:
    dataflow.save(model, "xor.msgpack")
except dataflow.DataflowError as error:
    text: str = error.message
"""
WRONG = """
import dataflow

dataflow.load("xor.toml").no_such_method()
dataflow.save(3, "xor.msgpack")
"""


@pytest.mark.slow
def test_mypy_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-networkx.*]\nignore_missing_imports = True\n")
    venv.create(tmp_path / "venv", with_pip=False)  # where dataflow lies as an installer puts it
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "dataflow").symlink_to(ROOT / "dataflow")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    python = tmp_path / "venv" / "bin" / "python"
    words = [sys.executable, "-m", "mypy", "--python-executable", str(python), "right.py", "wrong.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
    lines = done.stdout.splitlines()
    assert [line for line in lines if "right.py" in line and "error" in line] == []
    assert any("right.py:7" in line and "dataflow.model.model.Model" in line for line in lines), done.stdout
    assert [line.split(":")[1] for line in lines if line.startswith("wrong.py")] == ["4", "5"]
    assert (ROOT / "dataflow" / "py.typed").exists()
