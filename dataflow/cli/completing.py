"""What a shell completes on a command line. Nothing is imported or read for it but what names the candidates."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from dataflow.registry import registry

VARIABLE = "_DATAFLOW_COMPLETE"
"""Where a shell says that it asks for candidates."""
SHELLS = ("bash", "zsh", "fish")
MODELS = (".toml", ".msgpack", ".onnx")


def is_asked() -> bool:
    """Whether this process is to complete a command line, not to run it."""
    return VARIABLE in os.environ


def complete_model_files(ctx: click.Context, option: click.Parameter, beginning: str) -> list[CompletionItem]:
    """The model files that begin so; where a folder does, too, the shell completes paths of any kind."""
    folder, start = os.path.split(beginning)
    try:
        found = [path for path in Path(folder or ".").iterdir() if path.name.startswith(start)]
    except OSError:
        found = []
    files = sorted(path.name for path in found if path.suffix.lower() in MODELS and path.is_file())
    if not files or any(path.is_dir() and not path.name.startswith(".") for path in found):
        return [CompletionItem(beginning, type="file")]
    return [CompletionItem(os.path.join(folder, name)) for name in files]


def complete_ops(ctx: click.Context, option: click.Parameter, beginning: str) -> list[CompletionItem]:
    """The registered ops and blocks that begin so."""
    found = registry.registry()
    names = sorted({*found.ops, *found.blocks})
    return [CompletionItem(name) for name in names if name.startswith(beginning)]
