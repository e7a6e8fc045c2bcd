"""Find Graphviz, and run it in a process of its own with a time limit.

In this order: what the user set, ``dot`` on the PATH, pygraphviz, graphviz-pure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from dataflow.errors import DataflowError, GraphError, MissingExtraError, cut, listed

LONGEST = 10**6
"""Seconds that are as good as no limit; the system counts no further than some hundred years."""
TIME_LIMIT = 60.0
LAY_OUT, DRAW = "dot", "nop2"
"""What Graphviz calls laying out in ranks, and drawing what has its place already."""
PURE = "graphviz-pure"
PYGRAPHVIZ = "pygraphviz"
HELPER = Path(__file__).with_name("pygraphviz_process.py")
INSTALL = "install Graphviz, or dataflow-autodiff[render]"


@dataclass(frozen=True)
class Engine:
    """A way to lay out. ``font`` is what its PNG files can be drawn with, if it is not everything."""

    name: str
    command: tuple[str, ...]
    formats: tuple[str, ...] = ("svg", "png", "pdf", "json0")
    png_font: str | None = None

    def run(self, source: str, form: str, time_limit: float, *, program: str = LAY_OUT) -> bytes:
        """What Graphviz makes of a DOT file; a ``GraphError`` when it takes longer than ``time_limit`` seconds."""
        with ExitStack() as stack:
            environment = environment_of(self, stack)
            try:
                done = subprocess.run(
                    [*self.command, f"-K{program}", f"-T{form}"],
                    input=source.encode(),
                    capture_output=True,
                    timeout=min(time_limit, LONGEST),
                    env=environment,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise GraphError(
                    f"laying the picture out took more than {time_limit:g} s and was stopped; fold it with --collapse "
                    f"or --max-nodes, allow more with --time-limit, or write a .dot file"
                ) from None
            except OSError as error:
                raise DataflowError(f"the layout engine {self.command[0]} cannot be run: {error.strerror}") from None
        if done.returncode or not done.stdout:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())
            reason = cut(said, 300, end=150, mark=" ... ") or f"status {done.returncode}"
            raise DataflowError(f"the layout engine {self.name} failed: {reason}")
        return done.stdout


def environment_of(engine: Engine, stack: ExitStack) -> dict[str, str]:
    """The environment that an engine runs in."""
    return _environment(stack) if engine.name == PYGRAPHVIZ else _plain_environment()


def find_engine(form: str, chosen: str | None = None) -> Engine:
    """The first engine that writes ``form``; a ``MissingExtraError`` says what to install."""
    if chosen is not None:
        engine = _chosen(chosen)
        if form not in engine.formats:
            raise MissingExtraError(f"{engine.name} writes no {form.upper()}; {INSTALL}")
        return engine
    for engine in engines():
        if form in engine.formats:
            return engine
    what = f"no layout engine that writes {form.upper()} is installed"
    raise MissingExtraError(f"{what}; {INSTALL}")


def engines() -> Iterator[Engine]:
    """Find all engines, the preferred one first."""
    from graphviz.backend import dot_command

    if os.fspath(dot_command.DOT_BINARY) != "dot":  # set by the user, as the package's documentation says
        yield _chosen(os.fspath(dot_command.DOT_BINARY))
    if (dot := shutil.which("dot")) is not None:
        yield Engine("dot", (dot,))
    if not why_unusable():
        yield _pygraphviz()
    if (pure := _pure_path()) is not None:
        yield _pure(pure)


@cache
def why_unusable() -> str:
    """Why pygraphviz cannot be used here: it is not installed, or lacks a library of the system; nothing if it can."""
    try:
        import_module(PYGRAPHVIZ)
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == PYGRAPHVIZ:
            return "pygraphviz is not installed; install dataflow-autodiff[render]"
        return f"pygraphviz is installed, and cannot be imported here: {error}"
    return ""


def _chosen(name: str) -> Engine:
    if name == PYGRAPHVIZ:
        if reason := why_unusable():
            raise MissingExtraError(reason)
        return _pygraphviz()
    program = _pure_path() if name == PURE else shutil.which(name)
    if program is None and name == "dot":
        raise MissingExtraError("dot is not on the PATH; install Graphviz, or take another --engine")
    if program is None:
        known = listed(("dot", PYGRAPHVIZ, PURE))
        raise MissingExtraError(f"unknown layout engine '{name}'; choose {known}, or the path of Graphviz' dot")
    return _pure(program) if Path(program).stem == PURE else Engine(name, (program,))


def _pygraphviz() -> Engine:
    return Engine(PYGRAPHVIZ, (sys.executable, "-P", str(HELPER)))


def _pure(path: str) -> Engine:
    return Engine(PURE, (path,), ("svg", "png", "json0"), png_font="Arial")


def _pure_path() -> str | None:
    beside = Path(sysconfig.get_path("scripts"))
    return shutil.which(PURE, path=str(beside)) or shutil.which(PURE)


def _plain_environment() -> dict[str, str]:
    # the date that Graphviz writes into a PDF, so that the same picture is the same bytes
    return {**os.environ, "SOURCE_DATE_EPOCH": "0"}


def _environment(stack: ExitStack) -> dict[str, str]:
    """pygraphviz brings Graphviz but no fonts, and draws boxes for letters where the system has none: matplotlib's
    DejaVu stands in."""
    environment = _plain_environment()
    spec = find_spec("matplotlib")
    if "FONTCONFIG_FILE" in environment or spec is None or spec.origin is None:
        return environment
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    listed = [fonts, *map(Path, ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts"))]
    rows = "".join(f"<dir>{_xml(str(path))}</dir>" for path in listed if path.is_dir())
    config = folder / "fonts.conf"
    config.write_text(
        f'<?xml version="1.0"?><fontconfig>{rows}<cachedir>{_xml(str(folder))}</cachedir></fontconfig>',
        encoding="utf-8",
    )
    environment["FONTCONFIG_FILE"] = str(config)
    return environment


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
