"""Compile LaTeX, where a TeX is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIRED = os.environ.get("DATAFLOW_TEX") == "required"


def need_tex(*files: str) -> None:
    """Skip the test where pdflatex or one of these files is missing; where TeX is required, it fails."""
    missing = [file for file in files if shutil.which("kpsewhich") is None or not _has(file)]
    if shutil.which("pdflatex") is None or missing:
        what = f"LaTeX is not installed: {', '.join(missing) or 'pdflatex'}"
        pytest.fail(what) if REQUIRED else pytest.skip(what)


def compile_tex(folder: Path, source: str) -> str:
    """Compile a document, which must succeed; its log, on unbroken lines."""
    folder.joinpath("a.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "a.tex"]
    environment = {**os.environ, "max_print_line": "10000"}
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120, env=environment)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


def _has(file: str) -> bool:
    return bool(subprocess.run(["kpsewhich", file], capture_output=True, check=False).stdout)
