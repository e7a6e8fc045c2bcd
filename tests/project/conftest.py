"""What tests of the whole project share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import ROOT
from wheels import make_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models, which is the current one."""
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, project_wheel: Path) -> Path:
    """A Python in whose environment the project's wheel is installed."""
    return make_environment(tmp_path_factory.mktemp("environment"), project_wheel)
