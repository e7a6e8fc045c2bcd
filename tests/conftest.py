"""What takes long to make, and serves tests of several modules."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from checkout import ROOT
from warm_graphviz import FORMATS, WarmGraphviz
from wheels import FILES, FOLDERS, built, run

from dataflow.draw.layout.engines import LAY_OUT, PYGRAPHVIZ, Engine, environment_of

# Python is started some hundred times, and each worker reads all tests: what is compiled for that is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Output is as wide as without a terminal, unless a test asks for a width.
os.environ.pop("COLUMNS", None)

ON_ANY_MACHINE = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}
"""How long an example takes says nothing of what is tested, and much of what else the machine does."""
hypothesis.settings.register_profile("slow run", **ON_ANY_MACHINE)
hypothesis.settings.register_profile("default run", max_examples=50, **ON_ANY_MACHINE)


def pytest_configure(config: pytest.Config) -> None:
    """Properties have half of hypothesis' examples, unless the slow tests are asked for."""
    hypothesis.settings.load_profile("default run" if config.option.markexpr == "not slow" else "slow run")


def pytest_collection_finish() -> None:
    """The collector of garbage need not look again and again at the modules and tests that stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests have."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], Path]) -> Path:
    """What ``make`` makes in a folder, which the first process that comes does for all."""
    name, made = make.__name__, folder / f"{make.__name__}.path"
    until = time.monotonic() + 300  # the process that makes it may have been killed
    while not made.exists():
        work = folder / name
        try:
            work.mkdir()
        except FileExistsError:
            if time.monotonic() < until:
                time.sleep(0.1)
                continue
            work = Path(tempfile.mkdtemp(dir=folder))
        part = work / "path"
        part.write_text(str(make(work)), encoding="utf-8")
        part.rename(made)
    return Path(made.read_text(encoding="utf-8"))


@pytest.fixture(scope="session", autouse=True)
def kept_layouts(of_all_workers: Path) -> Iterator[pytest.MonkeyPatch]:
    """What Graphviz made of a DOT file is kept, for all workers: it is started some hundred times for the same few.
    pygraphviz' is started once, by each worker."""
    folder = of_all_workers / "layouts"
    folder.mkdir(exist_ok=True)
    lay_out, fonts = Engine.run, font_settings()
    warm: list[WarmGraphviz] = []

    def made(engine: Engine, source: str, form: str, time_limit: float, program: str) -> bytes:
        if engine.name == PYGRAPHVIZ and form in FORMATS and time_limit >= 10 and font_settings() == fonts:
            if not warm and hasattr(os, "fork"):
                stack = ExitStack()
                warm.append(WarmGraphviz(environment_of(engine, stack), stack))
            picture = warm[0].ask(source, form, program, time_limit) if warm else None
            if picture is not None:
                return picture
        return lay_out(engine, source, form, time_limit, program=program)  # it says what is wrong, too

    def run(self: Engine, source: str, form: str, time_limit: float, *, program: str = LAY_OUT) -> bytes:
        of = repr((self, source, form, program, font_settings()))
        path = folder / hashlib.sha256(of.encode()).hexdigest()
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(made(self, source, form, time_limit, program))
            part.rename(path)
        return path.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "run", run)
        yield patch
    for process in warm:
        process.close()


def font_settings() -> list[tuple[str, str]]:
    """The environment variables on which texts in a picture depend."""
    return sorted((name, value) for name, value in os.environ.items() if "FONT" in name)


@pytest.fixture
def fresh_layouts(kept_layouts: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphviz runs each time."""
    ((_, _, lay_out),) = kept_layouts._setattr
    monkeypatch.setattr(Engine, "run", lay_out)


@pytest.fixture(scope="session")
def sdist(of_all_workers: Path) -> Path:
    """The source distribution."""
    return made_once(of_all_workers, make_sdist)


def make_sdist(folder: Path) -> Path:
    """It is made from a copy of the checkout: setuptools leaves traces where it works."""
    copy = folder / "project"
    copy.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", copy / "dist", copy)
    (found,) = (copy / "dist").iterdir()
    return found


@pytest.fixture(scope="session")
def project_wheel(of_all_workers: Path, sdist: Path) -> Path:
    """The wheel, made from what is in the source distribution."""

    def make_wheel(folder: Path) -> Path:
        with tarfile.open(sdist) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # there is none before Python 3.11.4
            archive.extractall(folder)
        (source,) = folder.iterdir()
        return built(source, folder / "dist")

    return made_once(of_all_workers, make_wheel)
