"""What takes long to make, and serves tests of several modules."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from wheels import built, run

ROOT = Path(__file__).parent.parent
FOLDERS = ("dataflow", "plugins", "models", "docs", "tests", "tools")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made from a copy of the checkout: setuptools leaves traces where it works."""
    copy = tmp_path_factory.mktemp("project")
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", copy / "dist", copy)
    (found,) = (copy / "dist").iterdir()
    return found


@pytest.fixture(scope="session")
def project_wheel(tmp_path_factory: pytest.TempPathFactory, sdist: Path) -> Path:
    """The wheel, made from what is in the source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # there is none before Python 3.11.4
        archive.extractall(folder)
    (source,) = folder.iterdir()
    return built(source, folder / "dist")
