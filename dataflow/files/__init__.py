"""Models as files: ``load`` and ``save``, each format by the ending of the file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from dataflow import registry
from dataflow.errors import DataflowError
from dataflow.files.binary import load_msgpack, save_msgpack
from dataflow.files.text import load_toml
from dataflow.files.write_text import save_toml
from dataflow.hookspecs import hookimpl
from dataflow.interfaces import FileFormat
from dataflow.limits import Limits
from dataflow.model import Model

__all__ = ["load", "register_file_formats", "save"]


def load(path: str | os.PathLike[str], *, limits: Limits | None = None) -> Model:
    """The model in a file: ``.toml``, ``.msgpack``, or an ending that a plugin adds. Every fault of the file is a
    ``DataflowError`` that names it. ``limits`` says how much is read of a file that is trusted, if more than usual."""
    with limits or nullcontext():
        return _format_of(path).load(Path(path))


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a file, in the format that its ending names. The old file stays whole until the new one is."""
    _format_of(path).save(model, Path(path))


@hookimpl
def register_file_formats() -> Iterable[FileFormat]:
    """The formats that need no plugin."""
    return [
        FileFormat("toml", (".toml",), load_toml, save_toml),
        FileFormat("msgpack", (".msgpack",), load_msgpack, save_msgpack),
    ]


def _format_of(path: str | os.PathLike[str]) -> FileFormat:
    try:
        return registry.file_format(Path(path).suffix)
    except DataflowError as error:
        raise error.at(file=path) from None
